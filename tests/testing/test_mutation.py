"""Mutants: the text edit and the changed policy say the same; which there are; who notices them."""

from collections import Counter
from pathlib import Path

import pytest

from policy_engine.language.source import Source
from policy_engine.policy import Policy, compile_sources, load
from policy_engine.testing.mutation.edits import diff, edited
from policy_engine.testing.mutation.equivalence import Equivalence
from policy_engine.testing.mutation.meaning import meaning
from policy_engine.testing.mutation.mutants import Mutant, mutants
from policy_engine.testing.mutation.trial import TestsFailError, Trial
from tests.building import admission, entries, policy
from tests.evaluation.crowds import drawn
from tests.generators.picking import SeededPick
from tests.testing.test_coverage import Asked

POLICIES = Path(__file__).parent.parent.parent / "policies"
SETS = ("customer_support", "document_extraction", "release_risk", "research_reports")


def reloaded(of: Policy, mutant: Mutant) -> Policy | None:
    """The mutant as its text says it."""
    sources = [Source(source.name, edited(source, mutant.edits)) for source in of.checked.sources]
    checked, _ = compile_sources(sources, of.prices)
    return None if checked is None else Policy(checked, of.prices)


def assert_text_and_meaning_agree(of: Policy, every: int = 1) -> Counter[str]:
    before = meaning(of.checked)
    made = mutants(of.checked)
    for mutant in made[::every]:
        by_text = reloaded(of, mutant)
        assert by_text is not None, mutant.diff
        changed = meaning(mutant.change(of.checked))
        assert meaning(by_text.checked) == changed, mutant.diff
        assert changed != before, mutant.diff
    assert [mutant.number for mutant in made] == list(range(len(made)))
    assert meaning(of.checked) == before, "a mutant changed the policy it comes from"
    return Counter(mutant.operator for mutant in made)


@pytest.mark.parametrize("name", SETS)
def test_every_mutant_of_the_examples_means_what_its_text_says(name: str) -> None:
    operators = assert_text_and_meaning_agree(load(POLICIES / name))
    assert set(operators) == {
        "amount", "rule dropped", "and / or", "comparison", "when / unless", "value", "error class", "route", "lane",
        "fallback order",
    }  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_mutants_of_a_generated_policy_mean_what_their_text_says(seed: int) -> None:
    assert_text_and_meaning_agree(load(drawn(SeededPick(seed)).text), every=11)


CONDITIONS = """currency USD
fact a: boolean = false
fact b: boolean = false
fact c: boolean = false
fact r: low < mid < high = low
route m { tool "t" cost $1 }
lane l { m }
workflow w { outcome o { price $1 lanes l
  forbid WHEN
} }
"""


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("when a and b", ["unless a and b", "when a or b"]),
        ("when a or b # or\n  or c", ["unless a or b # or\n  or c", "when a and b # or\n  and c"]),
        # what binds otherwise is kept together
        ("when a and b or c", ["unless a and b or c", "when (a and b) and c", "when (a or b) or c"]),
        ("when not (a or b)", ["unless not (a or b)", "when not (a and b)"]),
        ("when (a or b) and c", ["unless (a or b) and c", "when (a or b) or c", "when (a and b) and c"]),
        # an order that no value meets is no policy, and so no mutant
        ("when r >= mid", ["unless r >= mid", "when r > mid", "when r >= high"]),
        ("when r is mid", ["unless r is mid", "when r is high"]),
        ("when r in [low, mid]", ["unless r in [low, mid]", "when r in [high, mid]", "when r in [low, high]"]),
        ("when price < $0.50", ["unless price < $0.50", "when price <= $0.50"]),
        # `is high` and `> mid` are one meaning
        ("when r > mid", ["unless r > mid", "when r >= mid"]),
    ],
)
def test_changes_of_a_condition(condition: str, expected: list[str]) -> None:
    made = load(CONDITIONS.replace("WHEN", condition))
    found = []
    for mutant in mutants(made.checked):
        if mutant.old is not None and mutant.new is not None:
            text = edited(made.checked.sources[0], mutant.edits)
            found.append(text.partition("forbid ")[2].rpartition("\n} }")[0])
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize(
    ("rules", "written", "expected"),
    [
        ({"outcome": "ceiling $0.30 per outcome"}, "$0.30", {"$0.31", "$0.29"}),
        ({"outcome": "ceiling $2000 per day"}, "$2000", {"$2001", "$1999"}),
        ({"outcome": "ceiling $1.2k per day"}, "$1.2k", {"$1201", "$1199"}),
        ({"outcome": "ceiling $0.01 per day"}, "$0.01 per day", {"$0.02 per day"}),  # a ceiling of nothing is a mistake
        ({"outcome": "ceiling 4k attempts per day"}, "4k", {"4001", "3999"}),
        ({"outcome": "ceiling 90s per outcome"}, "90s", {"91s", "89s"}),
        ({"outcome": "ceiling 40% of price per outcome"}, "40%", {"41%", "39%"}),
        ({"outcome": "margin at least 99.5%"}, "99.5%", {"99.6%", "99.4%"}),
        ({"outcome": "margin at least 99%"}, "99%", {"98%"}),
        ({"outcome": "ceiling $3 per day alert at 50%, 51%"}, "50%", {"49%"}),  # the same alert twice is a mistake
        ({"outcome": "limit 5 per day"}, "limit 5", {"limit 6", "limit 4"}),
        ({"human": "limit 1 per day"}, "limit 1", {"limit 2"}),
        ({"outcome": "retry 0 on timeout"}, "retry 0", {"retry 1"}),
        ({"mini": "retry 1 backoff 250ms..4s"}, "250ms..4s", {"251ms..4s", "249ms..4s", "250ms..5s", "250ms..3s"}),
        ({"mini": "retry 1 on timeout"}, "on timeout", {"on rate_limit"}),
        ({"outcome": "retry 1 on timeout, rejected"}, "on timeout, rejected",
         {"on rate_limit, rejected", "on timeout, content_filter", "on timeout", "on rejected"}),
        ({"outcome": "fallback next"}, "fallback next", {"fallback stop"}),
        ({"outcome": "fallback human"}, "fallback human", {"fallback mini"}),
        ({"outcome": "accepted within 72h"}, "72h", {"73h", "71h"}),
        ({"pay": "up to $5 per month"}, "$5", {"$6", "$4"}),
        ({}, "includes 100 draft", {"includes 101 draft", "includes 99 draft"}),
        ({}, "fee $100", {"fee $101", "fee $99"}),
        ({}, "10 draft for $15 expires 30d", {
            "11 draft for $15 expires 30d", "9 draft for $15 expires 30d", "10 draft for $16 expires 30d",
            "10 draft for $14 expires 30d", "10 draft for $15 expires 31d", "10 draft for $15 expires 29d"}),
        ({}, "lanes premium, standard", {"lanes standard, premium"}),
        ({}, "note { price $1 lanes standard", {
            "note { price $1 lanes premium", "note { price $2 lanes standard", "note { price $0 lanes standard"}),
        # a handoff stays last
        ({}, "mini -> big -> human", {"big -> mini -> human"}),
        ({}, "lane premium { big -> human", set()),
        ({"file": "on store failure allow within $5"}, "within $5", {"within $6", "within $4"}),
    ],
)  # fmt: skip
def test_changes_of_amounts_classes_and_names(rules: dict[str, str], written: str, expected: set[str]) -> None:
    made = policy(**rules)
    source = made.checked.sources[0]
    start = source.text.index(written)
    end = start + len(written)
    found = set()
    for mutant in mutants(made.checked):
        inside = all(start <= edit.span.start and edit.span.end <= end for edit in mutant.edits)
        if inside and mutant.operator != "rule dropped":
            text = edited(source, mutant.edits)
            found.add(text[start : end + len(text) - len(source.text)])
    assert found == expected


def test_a_rule_is_dropped_with_its_line_and_fallbacks_change_about() -> None:
    text = CONDITIONS.replace("forbid WHEN", "ceiling $1 per day  # why\n  fallback next\n  fallback stop on timeout")
    found = {mutant.operator: mutant for mutant in mutants(load(text).checked)}
    assert (
        found["fallback order"].diff.splitlines()[2:]
        == [
            "@@ -8,6 +8,6 @@",
            " workflow w { outcome o { price $1 lanes l",
            "   ceiling $1 per day  # why",
            "-  fallback next",
            "-  fallback stop on timeout",
            "+  fallback stop on timeout",
            "+  fallback next",
            " } }",
        ]
        or found["fallback order"].diff.count("\n-") == 1
    )  # difflib may show it as one line moved
    dropped = [m for m in mutants(load(text).checked) if m.operator == "rule dropped"]
    assert [line for line in dropped[0].diff.splitlines() if line[:2] in ("- ", "+ ")] == [
        "-  ceiling $1 per day  # why"
    ]
    assert diff(dropped[1].edits, context=0).splitlines()[-1] == "-  fallback next"


# ---------------------------------------------------------------- who notices


def _allowed(of: Policy) -> None:
    assert of.admit(admission(of, meters={"count per day": 4})).permits


def _denied(of: Policy) -> None:
    assert not of.admit(admission(of, meters={"count per day": 5})).permits


class Expecting(Asked):
    """A case that asserts."""

    def run(self, policy: Policy) -> "Asked":
        try:
            self.do(policy)
        except AssertionError:
            return Asked(self.do, self.name, expected=False)
        return Asked(self.do, self.name)


def test_a_test_at_each_side_of_a_limit_notices_both_its_neighbours() -> None:
    made = policy(file="limit 5 per day as door")
    steps = [m for m in mutants(made.checked) if m.ref is not None and m.ref.name == "door" and m.operator == "amount"]
    for cases, expected in [
        ([_allowed], ["5 up", None]),
        ([_denied], [None, "5 down"]),
        ([_allowed, _denied], [None, None]),
    ]:
        trial = Trial(made, [Expecting(do) for do in cases])
        noticed = [trial.noticed(mutant) is not None for mutant in steps]
        assert noticed == [_denied in cases, _allowed in cases], expected


def test_cases_that_fail_by_themselves_are_said() -> None:
    made = policy(file="limit 3 per day")
    with pytest.raises(TestsFailError, match="`asked` first") as raised:
        Trial(made, [Expecting(_allowed), Expecting(_denied)])
    assert raised.value.cases == ("asked",)


def test_only_cases_that_looked_at_the_rule_are_run() -> None:
    made = policy(outcome="ceiling $1.00 per outcome as cap")
    runs: list[str] = []

    def admitting(of: Policy) -> None:
        runs.append("admit")
        of.admit(admission(of, outcome="note", plan="other"))

    def attempting(of: Policy) -> None:
        runs.append("attempt")
        assert of.attempt(entries(of, estimate="1")).effect == "go"
        assert of.attempt(entries(of, estimate="1.01")).effect == "refuse"

    trial = Trial(made, [Asked(admitting, "admitting"), Expecting(attempting, "attempting")])
    runs.clear()
    of_cap = [mutant for mutant in mutants(made.checked) if mutant.ref is not None and mutant.ref.name == "cap"]
    assert [trial.noticed(mutant) for mutant in of_cap] == ["attempting"] * 3
    assert runs == ["attempt"] * 3


# ---------------------------------------------------------------- what nobody could notice


@pytest.mark.parametrize(
    ("rules", "change", "proven"),
    [
        # one integer apart: `> 9` and `>= 10` are the same, `>` and `>=` are not
        ({"outcome": "forbid when size > 9"}, "size >= 9", False),
        ({"outcome": "forbid when size + size > 9"}, "size + size >= 9", True),
        ({"outcome": "forbid when 2 * size > 9 and risk is low"}, "2 * size >= 9 and risk is low", True),
        ({"outcome": "forbid when score > 0.5"}, "score >= 0.5", False),
        # looser than another on the same counter, before and after
        ({"outcome": "ceiling $5 per outcome ceiling $1 per outcome"}, "ceiling $6 per outcome", True),
        ({"outcome": "ceiling $5 per outcome ceiling $1 per outcome"}, "ceiling $2 per outcome", False),
        ({"outcome": "ceiling $5 per outcome ceiling $1 per outcome when vip"}, "ceiling $6 per outcome", False),
        ({"outcome": "ceiling $5 per outcome when risk is low ceiling $1 per outcome"}, "$6 per outcome when", True),
        ({"outcome": "ceiling $5 per day alert at 50% ceiling $1 per day"}, "ceiling $6 per day", False),
        ({"outcome": "ceiling $5 per outcome ceiling $1 per step"}, "ceiling $6 per outcome", False),
        ({"outcome": "ceiling $5 per day as a ceiling $5 per day as b"}, "ceiling $6 per day as a", True),
        ({"outcome": "ceiling $5 per day as a ceiling $5 per day as b"}, "ceiling $4 per day as a", False),
        # who stands first matters only where both may be meant
        ({"outcome": "fallback stop on auth fallback next on timeout"}, "next on timeout fallback stop", True),
        ({"outcome": "fallback stop fallback next on timeout"}, "next on timeout fallback stop", False),
        ({"outcome": "fallback stop when risk is low fallback next when risk is high"}, "high fallback stop", True),
        ({"outcome": "fallback stop when vip fallback next when not vip"}, "next when not vip fallback", False),
        ({"outcome": "limit 5 per day limit 3 per day"}, "limit 6 per day", True),
        ({"outcome": "limit 5 per day limit 3 per week"}, "limit 6 per day", False),
        # three retries wait 1s, 2s and 4s: the longest delay is come to from 4s downwards
        ({"mini": "retry 3 backoff 1s..8s"}, "1s..7s", True),
        ({"mini": "retry 3 backoff 1s..5s"}, "1s..4s", True),
        ({"mini": "retry 3 backoff 1s..4s"}, "1s..3s", False),
    ],
)  # fmt: skip
def test_what_is_proven_to_change_nothing(rules: dict[str, str], change: str, proven: bool) -> None:
    made = policy(**rules)
    source = made.checked.sources[0]
    equivalence = Equivalence(made.checked)
    (mutant,) = [mutant for mutant in mutants(made.checked) if change in edited(source, mutant.edits)]
    assert equivalence.proven(mutant) is proven
