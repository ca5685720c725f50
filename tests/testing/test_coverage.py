"""Coverage: what each decision shows, and that every engine shows the same."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from policy_engine.evaluation.compiler import cache
from policy_engine.evaluation.facts import FactError
from policy_engine.evaluation.guard import BoundTo
from policy_engine.evaluation.reference import view
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.policy import Policy, load
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.testing.coverage import Tally, measured, observed
from policy_engine.testing.coverage.measure import written
from policy_engine.testing.coverage.tally import Subject, subjects
from tests.building import admission, entries, policy
from tests.evaluation.crowds import drawn
from tests.generators import Asking
from tests.generators.picking import SeededPick


@dataclass(frozen=True)
class Asked:
    """A case that asks once, or does something with a policy."""

    do: Callable[[Policy], object]
    name: str = "asked"
    expected: bool = True

    def run(self, policy: Policy) -> "Asked":
        self.do(policy)
        return self

    @property
    def passed(self) -> bool:
        return self.expected


def marks(of: Policy, tally: Tally) -> dict[str, str]:
    """Rule → the first letters of what was seen of it: `EDP`, and of each comparison `TF?`."""
    return {subject.ref.name: _letters(subject, tally) for subject in subjects(of.checked)}


def _letters(subject: Subject, tally: Tally) -> str:
    seen = [goal for goal, number in tally.seen.items() if goal.rule == subject.ref and number]
    letters = "".join(
        letter
        for letter, mark in zip("EDP", ("evaluated", "decided", "passed_over"), strict=True)
        if any(goal.mark == mark for goal in seen)
    )
    for number in range(len(subject.atoms)):
        values = "".join(m[0].upper() for m in ("true", "false") if any(g.mark == m and g.atom == number for g in seen))
        letters += " " + values + ("?" if tally.unknown[subject.ref, number] else "")
    return letters


def seen(of: Policy, point: str, data: dict[str, Any]) -> dict[str, str]:
    tally = Tally()
    getattr(observed(of, tally), point)(data)
    return marks(of, tally)


TIMEOUT = {"error": "timeout"}
CAPPED = "overage $2 per draft up to $3 per month"


@pytest.mark.parametrize(
    ("rules", "point", "changed", "expected"),
    [
        # a ceiling is evaluated wherever it is checked, and decides where it refuses, shrinks or ends
        ({"outcome": "ceiling $1 per outcome as cap"}, "attempt", {"estimate": "0.5"}, {"cap": "EP"}),
        ({"outcome": "ceiling $1 per outcome as cap"}, "attempt", {"estimate": "1.5"}, {"cap": "ED"}),
        ({"outcome": "shadow ceiling $1 per outcome as cap"}, "attempt", {"estimate": "1.5"}, {"cap": "ED"}),
        ({"outcome": "shadow ceiling $1 per outcome as cap"}, "attempt", {"estimate": "1"}, {"cap": "EP"}),
        # at an admission it is only read, to say what it leaves; a window's is asked
        ({"outcome": "ceiling $1 per outcome as cap"}, "admit", {}, {"cap": "E"}),
        ({"outcome": "ceiling $1 per day as cap"}, "admit", {}, {"cap": "EP"}),
        # who it is about rules a rule out: passed over without a look at its facts
        ({"outcome": "forbid when plan is pay and risk >= high as no"}, "admit", {}, {"no": "P F "}),
        ({"outcome": "forbid when plan is base and risk >= high as no"}, "admit", {}, {"no": "EP T F"}),
        ({"outcome": "forbid when plan is base and risk >= high as no"}, "admit", {"risk": "high"}, {"no": "ED T T"}),
        ({"outcome": "forbid when plan is base or risk >= high as no"}, "admit", {}, {"no": "ED T "}),
        # unknown is reported apart, and resolved to the strict side
        ({"outcome": "forbid when vip as no"}, "admit", {}, {"no": "ED ?"}),
        ({"outcome": "allow unless vip as yes"}, "admit", {}, {"yes": "ED ?"}),
        ({"outcome": "allow unless vip as yes"}, "admit", {"vip": False}, {"yes": "ED F"}),
        # a refused lane's rules decided, though the next lane let it in
        ({"premium": "forbid when risk is low as no"}, "admit", {}, {"no": "ED T"}),
        # a lane behind the first that lets it in is not looked at
        ({"standard": "forbid when risk is low as no"}, "admit", {}, {"no": " "}),
        # an overage's cap is a rule that a decision can name
        (
            {"pay": "up to $3 per month"},
            "admit",
            {"plan": "pay", "grants": []},
            {"overage $2 per draft up to $3 per month": "EP"},
        ),
        (
            {"pay": "up to $1 per month"},
            "admit",
            {"plan": "pay", "grants": []},
            {"overage $2 per draft up to $1 per month": "ED"},
        ),
        ({"pay": "up to $1 per month"}, "admit", {"plan": "pay"}, {"overage $2 per draft up to $1 per month": ""}),
        # retries and fallbacks: another class passes a rule over; behind the one that decided none is looked at
        ({"outcome": "retry 1 on timeout as again"}, "failure", TIMEOUT, {"again": "ED"}),
        ({"outcome": "retry 1 on timeout as again"}, "failure", {"error": "rejected"}, {"again": "P"}),
        (
            {"outcome": "fallback next on timeout as first fallback stop as second"},
            "failure",
            TIMEOUT,
            {"first": "ED", "second": ""},
        ),
        (
            {"outcome": "fallback next on rejected as first fallback stop as second"},
            "failure",
            TIMEOUT,
            {"first": "P", "second": "ED"},
        ),
        ({"outcome": "retry 1 as again fallback stop as first"}, "failure", TIMEOUT, {"again": "ED", "first": ""}),
        ({"outcome": "retry 0 as never fallback stop as first"}, "failure", TIMEOUT, {"never": "ED", "first": "ED"}),
        # a handoff's limit decides where it turns a fallback away
        (
            {"human": "limit 2 per day as queue", "outcome": "fallback human as out"},
            "failure",
            TIMEOUT,
            {"queue": "EP", "out": "ED"},
        ),
        (
            {"human": "limit 2 per day as queue", "outcome": "fallback human as out"},
            "failure",
            {"error": "timeout", "meters": {"count of human per day": 2}},
            {"queue": "ED", "out": "EP"},
        ),
        # a ceiling that a fallback reads is looked at, and passed over by nobody
        (
            {"outcome": "ceiling $1 per outcome as cap fallback stop when spent > 50% of ceiling as out"},
            "failure",
            {"error": "timeout"},
            {"cap": "E", "out": "EP F"},
        ),
    ],
)
def test_what_a_decision_shows(
    each_engine: str, rules: dict[str, str], point: str, changed: dict[str, Any], expected: dict[str, str]
) -> None:
    made = policy(**rules)
    asked = admission(made, **changed) if point == "admit" else entries(made, **changed)
    if point == "failure":
        asked |= {"visited": ["mini"]}
    assert seen(made, point, asked) == expected


def test_guards_and_engines_are_watched() -> None:
    made = policy(outcome="ceiling $1 per outcome as cap limit 5 per day as door", mini="retry 1 as again")
    tally = Tally()
    execution = Engine(observed(made, tally), ledger=MemoryLedger(), clock=PinnedClock(0)).execution(
        "draft", customer="acme", lane="standard"
    )
    attempt = execution.step("main").attempt(estimate_nanos=5 * 10**8)
    assert attempt is not None
    attempt.fail("timeout", cost_nanos=10**8)
    assert marks(made, tally) == {"cap": "EP", "door": "EP", "again": "ED"}
    assert dict(tally.decisions) == {"admit": 1, "attempt": 1, "failure": 1}

    tally = Tally()
    watched = observed(made, tally)
    bound = BoundTo(
        customer="acme", outcome="draft", plan=None, lane="standard", route="mini", step="main", price_nanos=1,
        given=watched.boundary.given_facts({}),
    )  # fmt: skip
    guard = watched.guard(bound)
    facts = watched.facts("attempt", entries(made))
    guard.attempt(facts.meters, 1, 1, None, 2 * 10**9, 1, 0, 0, 0)
    guard.progress(facts.meters, 1, 1, None, 1, 1, 0, 0, 0, 0)
    assert marks(made, tally)["cap"] == "EDP"
    assert dict(tally.decisions) == {"attempt": 1, "progress": 1}


@pytest.mark.parametrize("seed", range(40))
def test_every_engine_shows_the_same(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Generated policies and facts: equal tallies, unchanged decisions, nothing decided that was not looked at."""
    monkeypatch.setattr(cache, "ASKED_AGAIN", 1)
    pick = SeededPick(seed)
    text = drawn(pick).text
    policies = [load(text), load(text, engine="reference")]
    tallies = [Tally(), Tally()]
    asking = Asking(pick, policies[0], text)
    looked: set[str] = set()
    holds = view.View.holds

    def noting(self: view.View, rule: Any) -> bool | None:
        looked.add(rule.ref.place)
        return holds(self, rule)

    for _ in range(12):
        for point in ("admit", "attempt", "progress", "failure"):
            facts = getattr(asking, point)()
            answers = []
            for of, tally in zip(policies, tallies, strict=True):
                try:
                    answers.append(getattr(observed(of, tally), point)(facts))
                except FactError as error:
                    answers.append(error.name)
            assert answers[0] == answers[1]
            if not isinstance(answers[0], str):
                with monkeypatch.context() as patched:
                    patched.setattr(view.View, "holds", noting)
                    assert getattr(policies[1], point)(facts) == answers[0]
    assert tallies[0] == tallies[1]
    evaluated = {goal.rule.place for goal in tallies[0].seen if goal.mark == "evaluated"}
    conditional = {s.ref.place for s in subjects(policies[0].checked) if s.rule is not None}
    assert evaluated & conditional <= looked
    assert all(goal.rule in tallies[0].governed for goal in tallies[0].seen if goal.rule.place in conditional)


def test_a_report_counts_and_names_what_is_missing() -> None:
    made = policy(outcome="forbid when risk >= high as no")
    cases = [Asked(lambda p: p.admit(admission(p))), Asked(lambda p: p.admit(admission(p)), expected=False)]
    found = measured(cases, made)
    assert (found.cases, found.failed, found.percent) == (2, 1, 60.0)
    assert [(gap.subject.ref.name, gap.words) for gap in found.gaps] == [
        ("no", "never decided"),
        ("no", "`risk >= high` never true"),
    ]
    assert written(found.gaps[0].subject, 0) == "risk >= high"
    data = found.to_json()
    assert data["totals"]["decided"] == {"seen": 0, "possible": 1, "percent": 0.0}
    assert data["rules"][0]["comparisons"][0] | {"line": 0, "column": 0} == {
        "text": "risk >= high", "line": 0, "column": 0, "true": 0, "false": 2, "unknown": 0,
    }  # fmt: skip


def test_bad_input_is_counted_and_raised() -> None:
    made, tally = load("currency USD\nfact risk: low < high\nforbid when risk is high\n" + BARE), Tally()
    with pytest.raises(FactError, match="risk"):
        observed(made, tally).admit({"customer": "acme", "outcome": "note", "grants": []})
    assert (tally.errors, dict(tally.seen), len(tally.governed)) == (1, {}, 1)


BARE = 'route mini { tool "t" cost $1 }\nlane one { mini }\nworkflow w { outcome note { price $1 lanes one } }\n'
