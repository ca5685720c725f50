"""load(): the stages joined. A `Policy` answers every decision point; it never changes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, overload

from policy_engine.evaluation.compiler import CompiledEvaluator
from policy_engine.evaluation.decision import (
    AdmitDecision,
    AttemptDecision,
    Digests,
    FailureDecision,
    ProgressDecision,
    SettleDecision,
)
from policy_engine.evaluation.evaluator import Evaluator
from policy_engine.evaluation.facts import AdmitFacts, AttemptFacts, Facts, FailureFacts, ProgressFacts, SettleFacts
from policy_engine.evaluation.guard import BoundTo, Guard, plain_guard
from policy_engine.evaluation.reference import ReferenceEvaluator
from policy_engine.language import checker, parser
from policy_engine.language.checked import CheckedPolicy, Route
from policy_engine.language.diagnostics import Diagnostic, PolicyError, Severity, in_order, one_of
from policy_engine.language.encoding import decode
from policy_engine.language.source import Source
from policy_engine.language.syntax import File
from policy_engine.language.vocabulary import Point
from policy_engine.prices.records import PriceError
from policy_engine.prices.table import PriceTable

if TYPE_CHECKING:
    from polars import DataFrame

    from policy_engine.evaluation.batch import BatchEvaluator
    from policy_engine.evaluation.context import Boundary

SUFFIX = ".policy"
_MOST_BYTES = 4 * parser.MAX_CHARACTERS + 8
UNPRICED = "P299"
"""What is said of a route that nothing prices."""

ENGINES: dict[str, Callable[[CheckedPolicy, Digests], Evaluator]] = {
    "compiled": lambda policy, digests: CompiledEvaluator(policy, digests, ReferenceEvaluator),
    "reference": ReferenceEvaluator,
}
"""How a policy may be answered, by name; all of them give equal decisions."""

DEFAULT_ENGINE = "compiled"

PolicyPath = str | PathLike[str]


class Policy:
    """A policy set without a mistake, with the prices it was loaded with.

    `checked` is what it means, `digest` the hash of its text, `warnings` what `check` would say.
    The decision points take a mapping (validated here: types, ranges, enums) or the records of
    `policy_engine.evaluation.facts` (taken as they are).
    """

    def __init__(
        self,
        checked: CheckedPolicy,
        prices: PriceTable,
        warnings: Sequence[Diagnostic] = (),
        *,
        engine: str = DEFAULT_ENGINE,
    ) -> None:
        self.checked = checked
        self.prices = prices
        self.warnings = tuple(warnings)
        self.digest = checked.digest
        if engine not in ENGINES:
            raise ValueError(f"there is no engine `{engine}`; engines are {one_of(ENGINES)}")
        self.evaluator: Evaluator = ENGINES[engine](checked, Digests(checked.digest, prices.digest))

    def __repr__(self) -> str:
        return f"<Policy {', '.join(source.name for source in self.checked.sources)} {self.digest[:12]}>"

    def admit(self, facts: Mapping[str, Any] | AdmitFacts) -> AdmitDecision:
        """May this execution start, in which lane, drawing on what? Raises `FactError` for bad input."""
        if type(facts) is AdmitFacts:
            return self.evaluator.admit(facts)
        return self.evaluator.admit(self._read_admit(facts, False, True))

    def attempt(self, facts: Mapping[str, Any] | AttemptFacts) -> AttemptDecision:
        """May this attempt be made, and with how much? Raises `FactError` for bad input."""
        if type(facts) is AttemptFacts:
            return self.evaluator.attempt(facts)
        return self.evaluator.attempt(self._read_attempt(facts, False, True))

    def progress(self, facts: Mapping[str, Any] | ProgressFacts) -> ProgressDecision:
        """May this attempt go on? Raises `FactError` for bad input."""
        if type(facts) is ProgressFacts:
            return self.evaluator.progress(facts)
        return self.evaluator.progress(self._read_progress(facts, False, True))

    def failure(self, facts: Mapping[str, Any] | FailureFacts) -> FailureDecision:
        """Where does the step go now? Raises `FactError` for bad input."""
        if type(facts) is FailureFacts:
            return self.evaluator.failure(facts)
        return self.evaluator.failure(self._read_failure(facts, False, True))

    def settle(self, facts: Mapping[str, Any] | SettleFacts) -> SettleDecision:
        """What becomes of the promised unit? Raises `FactError` for bad input."""
        if type(facts) is SettleFacts:
            return self.evaluator.settle(facts)
        return self.evaluator.settle(self._read_settle(facts, False, True))

    def guard(self, to: BoundTo) -> Guard:
        """`attempt` and `progress` for one route of one execution, as functions of what still changes."""
        if isinstance(self.evaluator, CompiledEvaluator):
            return self.evaluator.guard(to)
        return plain_guard(self.evaluator, to)

    def decide_many(self, point: Point | str, columns: Any, *, assume_zero: bool = False) -> "DataFrame":
        """One decision per row of a table, as columns: the same decisions as one by one.

        `columns` is a Polars frame, an Arrow table or a mapping of columns, money in nano units and time in
        microseconds. Raises `FactError`, naming a column and its first wrong row, for bad input, `ValueError`
        for a point that is not batched, `ImportError` without the extra `batch`.
        """
        return self._batch.decide(Point(point), columns, assume_zero=assume_zero)

    @cached_property
    def _batch(self) -> "BatchEvaluator":
        try:
            from policy_engine.evaluation.batch import BatchEvaluator
        except ModuleNotFoundError as error:
            if error.name != "polars":
                raise
            raise ImportError("`decide_many` needs the extra `batch`: pip install 'policy_engine[batch]'") from error
        return BatchEvaluator(self.checked, self.evaluator)

    @overload
    def facts(
        self, point: Literal[Point.ADMIT, "admit"], data: Mapping[str, Any], *, assume_zero: bool = False
    ) -> AdmitFacts: ...

    @overload
    def facts(
        self, point: Literal[Point.ATTEMPT, "attempt"], data: Mapping[str, Any], *, assume_zero: bool = False
    ) -> AttemptFacts: ...

    @overload
    def facts(
        self, point: Literal[Point.PROGRESS, "progress"], data: Mapping[str, Any], *, assume_zero: bool = False
    ) -> ProgressFacts: ...

    @overload
    def facts(
        self, point: Literal[Point.FAILURE, "failure"], data: Mapping[str, Any], *, assume_zero: bool = False
    ) -> FailureFacts: ...

    @overload
    def facts(
        self, point: Literal[Point.SETTLE, "settle"], data: Mapping[str, Any], *, assume_zero: bool = False
    ) -> SettleFacts: ...

    @overload
    def facts(self, point: Point | str, data: Mapping[str, Any], *, assume_zero: bool = False) -> Facts: ...

    def facts(self, point: Point | str, data: Mapping[str, Any], *, assume_zero: bool = False) -> Facts:
        """Validated facts of a decision point; see `Boundary.facts`."""
        return self.boundary.facts(Point(point), data, assume_zero=assume_zero)

    # The boundary's readers by point: kept here, because looking one up takes as long as half a decision.

    @cached_property
    def _read_admit(self) -> Callable[[Mapping[str, Any], bool, bool], AdmitFacts]:
        return self.boundary.reader(Point.ADMIT)

    @cached_property
    def _read_attempt(self) -> Callable[[Mapping[str, Any], bool, bool], AttemptFacts]:
        return self.boundary.reader(Point.ATTEMPT)

    @cached_property
    def _read_progress(self) -> Callable[[Mapping[str, Any], bool, bool], ProgressFacts]:
        return self.boundary.reader(Point.PROGRESS)

    @cached_property
    def _read_failure(self) -> Callable[[Mapping[str, Any], bool, bool], FailureFacts]:
        return self.boundary.reader(Point.FAILURE)

    @cached_property
    def _read_settle(self) -> Callable[[Mapping[str, Any], bool, bool], SettleFacts]:
        return self.boundary.reader(Point.SETTLE)

    @cached_property
    def boundary(self) -> "Boundary":
        """The validation of what callers give; pydantic is imported when it is first used."""
        from policy_engine.evaluation.context import Boundary

        return Boundary(self.checked)


def load(
    source: PolicyPath | Iterable[PolicyPath], *, prices: PriceTable | None = None, engine: str = DEFAULT_ENGINE
) -> Policy:
    """The policy of a file, a directory (every `*.policy` below it), several of them, or a text.

    A `str` with a line break or a brace in it is policy text; any other is a path. Raises
    `PolicyError`, carrying every diagnostic, for a set with a mistake, and `OSError` for what
    cannot be read. `prices` serves the models whose routes state no rates: `PriceTable.read("prices.lock.json")`.
    Nothing is looked for beside the policy. Raises `PriceError` for prices in another currency than the policy's.
    """
    sources, unread = _sources(source)
    checked, found = compile_sources(sources, prices, partial=bool(unread))
    diagnostics = in_order([*unread, *found])
    if checked is None or any(item.severity is Severity.ERROR for item in diagnostics):
        raise PolicyError(diagnostics)
    return Policy(checked, prices or PriceTable(checked.currency), diagnostics, engine=engine)


def compile_sources(
    sources: Sequence[Source], prices: PriceTable | None = None, *, partial: bool = False
) -> tuple[CheckedPolicy | None, tuple[Diagnostic, ...]]:
    """The checked and priced policy of a set of sources, or None; and all its diagnostics, in order.

    `partial` says that a file of the set could not be read: what it may have declared is not missed.
    """
    files, found = parse_sources(sources)
    policy, meaning = compile_files(files, found, prices, partial=partial)
    return policy, in_order([*found, *meaning])


def parse_sources(sources: Iterable[Source]) -> tuple[list[File], list[Diagnostic]]:
    """The tree of each source, and all their syntax mistakes."""
    files: list[File] = []
    found: list[Diagnostic] = []
    for source in sources:
        file, mistakes = parser.parse(source)
        files.append(file)
        found += mistakes
    return files, found


def compile_files(
    files: Sequence[File], found: Sequence[Diagnostic], prices: PriceTable | None = None, *, partial: bool = False
) -> tuple[CheckedPolicy | None, list[Diagnostic]]:
    """The checked and priced policy of the trees of a set, or None; and what is to be said beside what was `found`."""
    broken = partial or any(item.severity is Severity.ERROR for item in found)
    policy, meaning = checker.check(files, partial=broken)
    said = list(meaning)
    if any(item.severity is Severity.ERROR for item in [*found, *said]):
        policy = None
    if policy is not None:
        policy, unpriced = price(policy, prices or PriceTable(policy.currency))
        said += unpriced
    return policy, said


def price(checked: CheckedPolicy, table: PriceTable) -> tuple[CheckedPolicy, list[Diagnostic]]:
    """The policy with table rates where its routes state none, and a warning for each route without a price.

    Raises `PriceError` for prices in another currency than the policy's.
    """
    if table.rates and table.currency != checked.currency:
        hint = f"write `rates` in {checked.currency} on its routes, or give prices in {checked.currency}"
        raise PriceError(
            f"prices in {table.currency} are of no use to a policy in {checked.currency}", table.origin, hint
        )
    found: list[Diagnostic] = []
    routes: dict[str, Route] = {}
    for name, route in checked.routes.items():
        known = route.rates is not None or route.cost_nanos is not None or route.kind == "handoff"
        rates = table.get(route.reference) if route.kind == "model" else None
        routes[name] = route if known or rates is None else replace(route, rates=rates)
        if not known and rates is None:
            found.append(_unpriced(route, table))
    return replace(checked, routes=routes), found


def _unpriced(route: Route, table: PriceTable) -> Diagnostic:
    lacking = "add `rates`, `cost` or a price table"
    if table.origin is not None:
        lacking = f"`{table.origin}` does not have its model: run `policy prices lock`"
    return Diagnostic(
        code=UNPRICED,
        message=f"nothing prices the route `{route.name}`, so every attempt on it will be refused",
        span=route.span,
        hint=lacking if route.kind == "model" else "add a `cost`",
        severity=Severity.WARNING,
    )


class LivePolicy:
    """A policy that can be replaced while it is used; a bad new version never replaces a good one."""

    def __init__(
        self,
        source: PolicyPath | Iterable[PolicyPath],
        *,
        prices: PriceTable | None = None,
        engine: str = DEFAULT_ENGINE,
    ) -> None:
        self._source = source if isinstance(source, str | PathLike) else tuple(source)
        self._prices = prices
        self._engine = engine
        self._lock = Lock()
        self._policy = load(self._source, prices=prices, engine=engine)

    @property
    def policy(self) -> Policy:
        """The newest version that loaded. Hold on to it for as long as one execution runs."""
        return self._policy

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files and directories it is read from; none for a policy given as text."""
        given = [self._source] if isinstance(self._source, str | PathLike) else self._source
        return tuple(Path(path) for path in given if not _is_text(path))

    def reload(self) -> bool:
        """Read the files again, and the lock that the prices are from; whether policy or prices changed.

        On an error (that of `load`, or of `PriceTable.read`) the old ones stay.
        """
        with self._lock:
            prices = None if self._prices is None else self._prices.again()
            fresh = load(self._source, prices=prices, engine=self._engine)
            now = self._policy
            changed = (fresh.digest, fresh.prices.digest) != (now.digest, now.prices.digest)
            if changed:
                self._policy = fresh
            return changed


# ---------------------------------------------------------------- reading


def _sources(source: PolicyPath | Iterable[PolicyPath]) -> tuple[list[Source], list[Diagnostic]]:
    if isinstance(source, str) and _is_text(source):
        return [Source("<text>", source)], []
    given = [source] if isinstance(source, str | PathLike) else list(source)
    return read_files(policy_files(given))


def _is_text(source: PolicyPath) -> bool:
    return isinstance(source, str) and any(mark in source for mark in "\n{")


def policy_files(paths: Iterable[PolicyPath]) -> list[Path]:
    """The files of a policy set: those named, and every `*.policy` below the directories named; each once.

    Raises `FileNotFoundError` for a path that is not there and for a directory without policies, and any other
    `OSError` for a directory that cannot be listed: a rule must not be missed in silence.
    """
    files: dict[Path, None] = {}
    for path in paths:
        given = Path(path)
        if not str(path):
            raise FileNotFoundError("an empty path names no file")  # `Path("")` would be the working directory
        if given.is_dir():
            inside = files_below(given, SUFFIX)
            if not inside:
                raise FileNotFoundError(f"no *{SUFFIX} file in {given}")
            files.update(dict.fromkeys(inside))
        elif given.exists():
            files[given] = None
        else:
            raise FileNotFoundError(f"no such file or directory: {given}")
    return list(files)


def files_below(folder: Path, suffix: str) -> list[Path]:
    """All files below a directory whose names end so, in order. Raises `OSError` where one cannot be listed."""
    found: list[Path] = []
    folders = [folder]
    while folders:
        for path in folders.pop().iterdir():
            if path.is_dir() and not path.is_symlink():
                folders.append(path)
            elif path.name.endswith(suffix) and path.is_file():
                found.append(path)
    return sorted(found)


def policy_bytes(path: Path) -> bytes:
    """What a policy file holds, as far as one is ever parsed: a device has no end. Raises `OSError`."""
    with path.open("rb") as file:
        found = file.read(_MOST_BYTES)
    if len(found) < _MOST_BYTES:
        return found
    # It is too long, and not to be cut inside a character: the last one is left out, whole or not.
    return found[: -4 + max((at for at, byte in enumerate(found[-4:]) if byte & 0xC0 != 0x80), default=0)]


def read_files(paths: Iterable[Path]) -> tuple[list[Source], list[Diagnostic]]:
    """The sources of policy files that are UTF-8 text, and diagnostics for those that are not."""
    sources: list[Source] = []
    found: list[Diagnostic] = []
    for path in paths:
        source, mistakes = decode(policy_bytes(path), path.as_posix())
        found += mistakes
        if not mistakes:
            sources.append(source)
    return sources, found
