"""Coverage reports: what closes a gap, what is out of reach, Cobertura field by field, the page, the command."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from policy_engine.cli.app import app
from policy_engine.language.source import Source
from policy_engine.policy import Policy, load
from policy_engine.testing.coverage import Coverage, Tally, measured, observed
from policy_engine.testing.coverage.cobertura import DOCTYPE, cobertura
from policy_engine.testing.coverage.page import page
from policy_engine.testing.coverage.reaching import Reaching
from policy_engine.testing.files import read_source
from policy_engine.testing.probing.writing import flat, inline
from tests.building import admission, entries, policy
from tests.testing.test_coverage import Asked
from tests.testing.test_mutation import POLICIES, SETS

# ---------------------------------------------------------------- gaps


EFFECTS = {"admit": "allow", "attempt": "go", "progress": "go", "failure": "stop"}


def case_of(of: Policy, point: str, facts: dict[str, Any]) -> Any:
    """The facts of a gap, put into a test file as they are shown, with some expectation."""
    effect = EFFECTS[point]
    text = f"decisions:\n  - case: c\n    {point}: {inline(flat(facts))}\n    expect: {effect}\n"
    file = read_source(Source("gap", text), Path("gap.policytest.yaml"), {(Path(),): of})
    assert len(file.cases) == 1, [str(item) for item in file.diagnostics]
    return file.cases[0]


@pytest.mark.parametrize("name", SETS)
def test_every_gap_of_the_examples_is_closed_by_the_facts_beside_it(name: str) -> None:
    """Told by nobody yet, all of it is a gap; each one's facts, as they are shown, show just that goal."""
    made = load(POLICIES / name)
    gaps = measured([], made, reach=Reaching(made)).gaps
    assert len(gaps) > 100
    for gap in gaps[::5]:
        assert not gap.impossible
        assert gap.facts is not None, f"{gap.subject.ref.name} {gap.words}"
        assert gap.point is not None
        tally = Tally()
        case_of(made, gap.point, gap.facts).run(observed(made, tally))
        assert tally.seen[gap.goal], f"{gap.subject.ref.name} {gap.words}: {gap.shown}"


@pytest.mark.parametrize(
    ("rules", "name", "expected"),
    [
        ({"outcome": "forbid as never"}, "never", ["never passed over"]),
        # inside the workflow, `workflow` is it
        ({"workflow": "forbid when workflow is support and vip as no"}, "no", ["`workflow is support` never false"]),
        ({"base": "forbid when plan is base and vip as no"}, "no", ["`plan is base` never false"]),
        ({"outcome": "forbid when size > 5 and size < 4 as no"}, "no", ["never decided"]),
        ({"outcome": "forbid when size < 5 or size > 4 as no"}, "no", ["never passed over"]),
        ({"outcome": "forbid when risk is low as no"}, "no", []),
    ],
)  # fmt: skip
def test_what_no_facts_can_show_is_not_counted(rules: dict[str, str], name: str, expected: list[str]) -> None:
    made = policy(**rules)
    found = measured([], made, reach=Reaching(made))
    gaps = [gap for gap in found.gaps if gap.subject.ref.name == name]
    assert [gap.words for gap in gaps if gap.impossible] == expected
    assert all(gap.facts is not None for gap in gaps if not gap.impossible)
    assert found.counted()[1] == len(found.gaps) - len(expected)


# ---------------------------------------------------------------- Cobertura

DTD = {  # coverage-04.dtd: element → its required attributes, and its content
    "coverage": (
        """line-rate branch-rate lines-covered lines-valid branches-covered branches-valid complexity version
        timestamp""",
        "sources?,packages",
    ),
    "sources": ("", "source*"),
    "source": ("", "#PCDATA"),
    "packages": ("", "package*"),
    "package": ("name line-rate branch-rate complexity", "classes"),
    "classes": ("", "class*"),
    "class": ("name filename line-rate branch-rate complexity", "methods,lines"),
    "methods": ("", "method*"),
    "lines": ("", "line*"),
    "line": ("number hits", "conditions*"),
    "conditions": ("", "condition*"),
    "condition": ("number type coverage", ""),
}  # fmt: skip
OPTIONAL = {"line": {"branch", "condition-coverage"}}


def assert_valid(element: ET.Element) -> None:
    required, content = DTD[element.tag]
    assert set(required.split()) <= set(element.attrib) <= set(required.split()) | OPTIONAL.get(element.tag, set())
    if content == "#PCDATA":
        assert not len(element)
    else:
        parts = [(part.rstrip("?*"), part[-1] if part[-1] in "?*" else "") for part in content.split(",") if part]
        pattern = "".join(f"(?:{name} ){times}" for name, times in parts)
        assert re.fullmatch(pattern, "".join(f"{child.tag} " for child in element)), element.tag
        assert not (element.text or "").strip()
    for child in element:
        assert_valid(child)


def covered() -> Coverage:
    made = policy(outcome="forbid when\n risk >= high and\n vip as no\nceiling $1 per outcome as cap")
    cases = [
        Asked(lambda p: p.admit(admission(p, vip=True))),
        Asked(lambda p: p.admit(admission(p, vip=True, risk="high"))),
        Asked(lambda p: p.attempt(entries(p, estimate="1"))),
    ]
    return measured(cases, made)


def test_cobertura_fits_its_definition_and_counts_right() -> None:
    text = cobertura({"a <set>": covered()}, timestamp=1_700_000_000_000)
    assert DOCTYPE in text
    root = ET.fromstring(text)  # noqa: S314 - our own text
    assert_valid(root)
    lines = {line.get("number"): line for line in root.iter("line")}
    found = {
        number: (line.get("hits"), line.get("condition-coverage"), [c.get("coverage") for c in line.iter("condition")])
        for number, line in lines.items()
    }
    assert list(found.values()) == [
        ("2", "100% (2/2)", ["100%"]),  # the rule: decided and passed over
        ("1", "100% (2/2)", ["100%"]),  # risk >= high
        ("2", "50% (1/2)", ["50%"]),  # vip: never false
        ("2", "50% (1/2)", ["50%"]),  # the ceiling: read by an admission, passed over by an attempt
    ]
    assert (root.get("lines-covered"), root.get("lines-valid")) == ("4", "4")
    assert (root.get("branches-covered"), root.get("branches-valid")) == ("6", "8")
    assert (root.get("line-rate"), root.get("branch-rate")) == ("1.0000", "0.7500")
    assert [package.get("name") for package in root.iter("package")] == ["a <set>"]


# ---------------------------------------------------------------- the page


class Reader(HTMLParser):
    """The text of a page, what is marked, and whether every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.marked: list[tuple[str, str, str]] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.outside += [
            value for name, value in attrs if name in ("src", "href") and value and not value.startswith("#")
        ]
        if tag != "meta":
            self.open.append(tag)
        if tag == "span" and "title" in given:
            self.marked.append((str(given["class"]), str(given["title"]), ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "span" in self.open and self.marked and not self.marked[-1][2]:
            self.marked[-1] = (*self.marked[-1][:2], data)


def test_the_page_marks_rules_and_comparisons_and_stands_alone() -> None:
    text = page("tests & trials", covered())
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    assert not reader.outside, "a page has everything in it"
    assert "tests &amp; trials" in text
    assert "prefers-color-scheme: dark" in text
    assert reader.marked == [
        ("full", "evaluated 2, decided 1, passed over 1", "forbid"),
        ("full", "true 1, false 1", "risk >= high"),
        ("part", "true 2, false 0", "vip"),
        ("part", "evaluated 2, decided 0, passed over 1", "ceiling $1 per outcome as cap"),
    ]
    assert "What no test has seen" in text


@pytest.mark.parametrize("name", SETS)
def test_the_page_shows_the_text_as_it_is(name: str) -> None:
    made = load(POLICIES / name)
    text = page(name, measured([], made))
    bare = re.sub(r"<[^>]*>", "", "\n".join(re.findall(r"<td>(.*)</td></tr>", text)))
    for entity, sign in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#x27;", "'"), ("&amp;", "&")):
        bare = bare.replace(entity, sign)
    assert bare == "\n".join(source.text for source in sorted(made.checked.sources, key=lambda source: source.name))


# ---------------------------------------------------------------- the command


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A policy with one rule, and a test of one side of it."""
    (tmp_path / "door.policy").write_text(
        "currency USD\n"
        'route m { tool "t" cost $1 }\nlane l { m }\n'
        "fact risk: low < high = low\n"
        "workflow w { outcome o {\n  price $1\n  lanes l\n  forbid when risk is high as door\n} }\n",
        encoding="utf-8",
    )
    (tmp_path / "door.policytest.yaml").write_text(
        "decisions:\n  - case: the quiet go in\n    admit: {outcome: o}\n    expect: allow\n", encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["test", *words])
    return result.exit_code, result.output


def test_the_command_shows_gaps_with_their_facts(desk: Path) -> None:
    code, said = ran("--coverage")
    assert code == 0
    assert "door.policy      1       100%       0%         100%    0%   100%   100%       50%" in said
    assert "  never decided\n    admit: {outcome: o, risk: high}\n" in said
    assert "60.0% of what tests can show (3 of 5)" in said
    assert ran("--coverage", "--fail-under", "61")[0] == 1
    assert ran("--coverage", "--fail-under", "60")[0] == 0
    assert "of what" not in ran()[1]


def test_the_command_writes_every_form(desk: Path) -> None:
    code, said = ran("--cobertura", "out.xml", "--html", "pages", "--format", "json")
    assert code == 0
    found = json.loads(said)
    (coverage,) = found["coverage"].values()
    assert coverage["percent"] == 60.0
    assert coverage["gaps"][0] == {
        "rule": "door", "place": "door.policy:8:3", "missing": "decided", "comparison": None, "impossible": False,
        "point": "admit", "facts": {"outcome": "o", "risk": "high"},
    }  # fmt: skip
    assert_valid(ET.parse("out.xml").getroot())  # noqa: S314 - our own text
    assert [path.name for path in Path("pages").iterdir()] == ["door.html"]
