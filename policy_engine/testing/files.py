"""Test files: found, read, shaped, and put together with their policies.

`NAME.policytest.yaml` tests `NAME.policy` beside it; if there is no such file, the whole
folder it stands in; or whatever its key `policy:` names.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from policy_engine.language.diagnostics import Diagnostic, PolicyError, Severity, in_order
from policy_engine.language.encoding import decode
from policy_engine.language.source import Source, Span
from policy_engine.language.units import UnitError
from policy_engine.policy import SUFFIX, Policy, files_below, load
from policy_engine.prices.records import PriceError
from policy_engine.prices.table import PriceTable, beside
from policy_engine.testing import checking, expectation, mistakes
from policy_engine.testing.aspects import ASPECTS
from policy_engine.testing.cases import Case
from policy_engine.testing.decisions import DecisionCase
from policy_engine.testing.entries import resolve
from policy_engine.testing.forms import POINTS, DecisionForm, FileForm, ScenarioForm, shape
from policy_engine.testing.nodes import Node, compose
from policy_engine.testing.scenario import ScenarioCase
from policy_engine.testing.timeline import START, moment_micros, read_event

TEST_SUFFIX = ".policytest.yaml"
SUFFIXES = (TEST_SUFFIX, ".policytest.yml")
"""Both are read, so that no file is passed over for how its name ends; the first is the one that is written."""

ARROW = "=>"

Loaded = dict[tuple[Path, ...], Policy | PolicyError | PriceError | OSError]
"""Policies by their paths, loaded once for all the files that test them; or why they could not be."""


@dataclass(slots=True)
class TestFile:
    """One file of tests. With a mistake in it, or in its policy, there is no `policy` and nothing is run."""

    __test__ = False  # pytest would take the class for a test by its name

    path: Path
    policy_paths: tuple[Path, ...] = ()
    cases: tuple[Case, ...] = ()
    policy: Policy | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    source: Source | None = field(default=None, repr=False)


def collect(paths: Iterable[Path]) -> list[TestFile]:
    """The test files of all paths (a directory: every one below it), each with its policy, which several may share.

    Mistakes are in the files' `diagnostics`. Raises `OSError` for what cannot be read.
    """
    policies: Loaded = {}
    return [read(path, policies) for path in find(paths)]


def find(paths: Iterable[Path]) -> list[Path]:
    """The test files named, those of policies named, and those below directories; each once.

    Raises `FileNotFoundError`.
    """
    files: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            files.update(dict.fromkeys(sorted(file for end in SUFFIXES for file in files_below(path, end))))
        elif path.suffix == SUFFIX and path.exists():
            files[_beside(path)] = None
        elif path.exists():
            files[path] = None
        else:
            raise FileNotFoundError(2, "no such file or directory", str(path))
    return list(files)


def _beside(policy: Path) -> Path:
    """The tests of a policy file."""
    for end in SUFFIXES:
        path = policy.with_name(policy.stem + end)
        if path.exists():
            return path
    raise FileNotFoundError(2, f"no test file {policy.stem}{TEST_SUFFIX} beside it", str(policy))


def read(path: Path, policies: Loaded | None = None) -> TestFile:
    """One test file, checked against its policy. `policies` keeps what was loaded before."""
    source, mistaken = decode(path.read_bytes(), path.as_posix())
    if mistaken:
        return TestFile(path, source=source, diagnostics=mistaken)
    return read_source(source, path, policies)


def read_source(source: Source, path: Path, policies: Loaded | None = None) -> TestFile:
    """The tests of a text, as if it stood in a file of this name."""
    file = TestFile(path, source=source)
    found: list[Diagnostic] = []
    root, unread = compose(source)
    found += unread
    start = Span(source, 0, 1)
    if root is None or found:  # what is no plain YAML is read no further: its shape would be guessed
        file.diagnostics = in_order(found or [mistakes.no_cases(start)])
        return file
    form = shape(FileForm, root, found)
    if form is None:
        file.diagnostics = in_order(found)
        return file
    entries = root.value if isinstance(root.value, dict) else {}
    file.policy_paths = tested(path, form.policy)
    policy = _policy(file, entries.get("policy"), {} if policies is None else policies, found)
    cases = [*_cases(path, root, found)]
    if not cases and not found:
        found.append(mistakes.no_cases(start))
    found += _same_names(cases)
    if policy is not None:
        found += checking.check(cases, policy, _mapping(entries.get("fixtures")))
    file.diagnostics = in_order(found)
    if policy is not None and not any(item.severity is Severity.ERROR for item in found):
        file.policy, file.cases = policy, tuple(cases)
    return file


def tested(path: Path, named: Iterable[str]) -> tuple[Path, ...]:
    """Which policy a test file is about."""
    given = tuple(path.parent / name for name in named)
    if given:
        return given
    name = path.name
    for end in SUFFIXES:
        name = name.removesuffix(end)
    beside = path.with_name(name + SUFFIX)
    return (beside,) if beside.exists() else (path.parent,)


def _policy(
    file: TestFile,
    named: Node | None,
    policies: Loaded,
    found: list[Diagnostic],
) -> Policy | None:
    key = file.policy_paths
    if key not in policies:
        try:
            lock = beside(key)
            policies[key] = load(key, prices=None if lock is None else PriceTable.read(lock))
        except (PolicyError, PriceError, OSError) as error:
            policies[key] = error
    policy = policies[key]
    if isinstance(policy, Policy):
        return policy
    assert file.source is not None  # noqa: S101 - set before
    place = named.span if named is not None else Span(file.source, 0, 1)
    if isinstance(policy, PolicyError):
        errors = [item for item in policy.diagnostics if item.severity is Severity.ERROR]
        found += [*errors, mistakes.bad_policy(place, len(errors))]
    elif isinstance(policy, PriceError):
        found.append(mistakes.bad_prices(place, policy))
    else:
        found.append(mistakes.no_policy(place, ", ".join(path.as_posix() for path in key)))
    return None


def _cases(path: Path, root: Node, found: list[Diagnostic]) -> Iterator[DecisionCase | ScenarioCase]:
    entries = root.value if isinstance(root.value, dict) else {}
    fixtures = _mapping(entries.get("fixtures"))
    for node in _items(entries.get("decisions")):
        yield from _decisions(path, node, fixtures, found)
    for node in _items(entries.get("scenarios")):
        yield from _scenario(path, node, fixtures, found)


def _decisions(path: Path, node: Node, fixtures: dict[str, Node], found: list[Diagnostic]) -> Iterator[DecisionCase]:
    form = shape(DecisionForm, node, found)
    if form is None:
        return
    entries = _mapping(node)
    place = entries["case"].span
    points = [point for point in POINTS if point in entries]
    if len(points) != 1:
        said = "asks at several points" if points else "asks at no point"
        found.append(
            mistakes.wrong_shape(place, f"this case {said}", f"write one of {', '.join(f'`{p}:`' for p in POINTS)}")
        )
        return
    point, before = points[0], len(found)
    given = resolve(entries[point], fixtures, found)
    where = f"an expectation of `{point}`"
    shared = expectation.Expectation((), place)
    if "expect" in entries:
        shared = expectation.read(entries["expect"], ASPECTS[point], where, found)
    zero = form.counters == "zero"
    if "table" not in entries:
        if not shared and len(found) == before:
            found.append(mistakes.expects_nothing(place))
        yield DecisionCase(form.case, path, place, point, given, shared, zero)
        return
    head, *rows = _items(entries["table"])
    columns = _items(head)
    names = [str(cell.value) for cell in columns]
    if ARROW not in names or not rows:
        found.append(
            mistakes.wrong_shape(
                head.span,
                f"a table has a head with `{ARROW}` between facts and expectations, and rows",
                "write `- [fact, =>, lane]`",
            )
        )
        return
    if not all([*_columns(columns, found)]):
        return
    for row in rows:
        cells = _items(row)
        if len(cells) != len(names):
            found.append(mistakes.table_row(row.span, len(cells), len(names)))
            continue
        split = names.index(ARROW)
        facts = {name: _named(cell, column) for name, cell, column in zip(names[:split], cells, columns, strict=False)}
        after = [(name, _named(cell, column)) for name, cell, column in zip(names, cells, columns, strict=True)][
            split + 1 :
        ]
        expect = expectation.of(after, row.span, ASPECTS[point], where, found)
        # A row says more closely what the case says for all of them.
        here = {line.key for line in expect.wanted}
        kept = tuple(line for line in shared.wanted if line.key not in here)
        whole = expectation.Expectation((*kept, *expect.wanted), row.span, expect.bad_input or shared.bad_input)
        if not whole and len(found) == before:
            found.append(mistakes.expects_nothing(row.span))
        title = ", ".join(_word(cell) for cell in cells[:split])
        yield DecisionCase(f"{form.case} [{title}]", path, row.span, point, given.with_(facts), whole, zero)


def _columns(cells: list[Node], found: list[Diagnostic]) -> Iterator[bool]:
    """Whether each column has a name of its own; what is said where one has not."""
    split = next(i for i, cell in enumerate(cells) if cell.value == ARROW)
    seen: dict[tuple[bool, str], Node] = {}
    for i, cell in enumerate(cells):
        if not isinstance(cell.value, str):
            found.append(mistakes.wrong_shape(cell.span, "a column goes by the name of a fact", "write its name alone"))
            yield False
            continue
        first = seen.setdefault((i > split, cell.value), cell)
        if first is not cell:
            found.append(mistakes.twice(cell.value, cell.span, first.span))
        yield first is cell


def _scenario(path: Path, node: Node, fixtures: dict[str, Node], found: list[Diagnostic]) -> Iterator[ScenarioCase]:
    form = shape(ScenarioForm, node, found)
    if form is None:
        return
    entries = _mapping(node)
    start = form.start or START
    try:
        moment_micros(start, "UTC")
    except UnitError as error:
        found.append(mistakes.bad_value(entries["start"].span, f"`start` {error}"))
    before = len(found)
    events = [read_event(item, fixtures, found) for item in _items(entries["timeline"])]
    whole = tuple(event for event in events if event is not None)
    if len(found) == before and not any(event.decision or event.then or event.world for event in whole):
        found.append(mistakes.expects_nothing(entries["case"].span))
    yield ScenarioCase(form.case, path, entries["case"].span, start, whole)


def _named(cell: Node, column: Node) -> Node:
    return Node(cell.value, cell.span, column.span)


def _word(cell: Node) -> str:
    text = "~" if cell.value is None else cell.span.text
    return " ".join(text.strip("\"'").split())


def _same_names(cases: list[DecisionCase | ScenarioCase]) -> Iterator[Diagnostic]:
    seen: dict[str, DecisionCase | ScenarioCase] = {}
    for case in cases:
        first = seen.setdefault(case.name, case)
        if first is not case:
            yield mistakes.same_name(case.name, case.span, first.span)


def _mapping(node: Node | None) -> dict[str, Node]:
    return node.value if node is not None and isinstance(node.value, dict) else {}


def _items(node: Node | None) -> list[Node]:
    return node.value if node is not None and isinstance(node.value, list) else []
