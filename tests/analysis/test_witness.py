"""Witnesses become facts that the engine takes, and what is said to flip a decision does."""

from typing import Any

import pytest

from policy_engine.analysis.satisfy import Satisfier, Want, Witness
from policy_engine.analysis.witness import complete, confirmed, flips, replay
from policy_engine.language.vocabulary import Point
from policy_engine.policy import Policy
from tests import building
from tests.analysis.conditions import condition, policy_with

POINTS = tuple(Point)


def witness_of(policy: Policy, text: str, truth: bool | None = True) -> Witness:
    answer = Satisfier(policy.checked).satisfy([Want(condition(text), truth)])
    assert isinstance(answer, Witness)
    return answer


def facts_of(text: str, point: Point, truth: bool | None = True, **fixed: Any) -> dict[str, Any] | None:
    policy = policy_with()
    return complete(policy, witness_of(policy, text, truth), point, **fixed)


@pytest.mark.parametrize("point", POINTS)
def test_nothing_asked_is_an_ordinary_execution(point: Point) -> None:
    policy = policy_with("ceiling $1 per step\nlimit 10 per customer per day")
    facts = complete(policy, Witness({}), point)
    assert facts is not None
    decision = replay(policy, point, facts)
    assert decision.permits is (point is not Point.FAILURE)  # nothing is said of failures: that stops
    assert not decision.unknown


SHOWN = [
    ("risk is high", Point.ADMIT, {"risk": "high"}),
    ("region is us", Point.ADMIT, {"region": "us"}),
    ("words > 10", Point.ADMIT, {"words": 11}),
    ("confidence > 0.25 and confidence < 0.3", Point.ADMIT, {"confidence": 0.26}),
    ("quality > 99.5%", Point.ADMIT, {"quality": 100}),
    ("budget > $0.30", Point.ADMIT, {"budget": "$0.31"}),
    ("patience >= 90s", Point.ADMIT, {"patience": "90s"}),
    ("patience >= 90.5s and patience < 91s", Point.ADMIT, {"patience": "90500ms"}),
    ("urgent", Point.ADMIT, {"urgent": True}),
    ("plan is pro", Point.ADMIT, {"plan": "pro"}),
    ("lane is premium", Point.ADMIT, {"lane": "premium"}),
    ("outcome is note", Point.ADMIT, {"outcome": "note"}),
    ("workflow is desk", Point.ATTEMPT, {"outcome": "note", "lane": "premium", "route": "big"}),
    ("lane is standard", Point.ATTEMPT, {"outcome": "draft", "lane": "standard", "route": "mini"}),
    ("spent > $0.10", Point.ATTEMPT, {"spent": "$0.11"}),
    ("attempts is 3", Point.FAILURE, {"attempts": 3}),
    ("elapsed >= 1min", Point.PROGRESS, {"elapsed": "1min"}),
    ("price < $1", Point.ATTEMPT, {"price": "$0"}),
    ("error is stale", Point.FAILURE, {"error": "stale"}),
    ("estimate > $1", Point.ATTEMPT, {"estimate": "$1.01"}),
]


@pytest.mark.parametrize(("text", "point", "expected"), SHOWN)
def test_values_are_written_as_a_caller_would(text: str, point: Point, expected: dict[str, Any]) -> None:
    facts = facts_of(text, point)
    assert facts is not None
    assert {name: facts.get(name) for name in expected} == expected


def test_what_is_unknown_is_left_out_or_none() -> None:
    policy = policy_with("ceiling $1 per customer per day when spent per customer per day > $5 or region is eu")
    (rule,) = policy.checked.rules
    assert rule.condition is not None
    answer = Satisfier(policy.checked).satisfy([Want(rule.condition, None)])
    assert isinstance(answer, Witness)
    facts = complete(policy, answer, Point.ADMIT)
    assert facts is not None
    unknown = {"region", "spent per customer per day"} & set(replay(policy, Point.ADMIT, facts).unknown)
    assert unknown
    assert all(facts.get(name) is None for name in unknown if name == "region")


def test_an_ordinary_value_is_one_that_nothing_is_said_of() -> None:
    policy = policy_with("forbid when region in [eu, us] or risk in [low, high]")
    facts = complete(policy, Witness({}), Point.ADMIT)
    assert facts is not None
    assert (facts["region"], facts["risk"]) == ("apac", "medium")


def test_fixed_entries_are_kept() -> None:
    facts = facts_of("risk is high", Point.ADMIT, outcome="note", plan="pro", customer="bolt")
    assert facts is not None
    assert (facts["outcome"], facts["plan"], facts["customer"]) == ("note", "pro", "bolt")
    assert facts_of("lane is premium", Point.ADMIT, outcome="reply") is None
    assert facts_of("risk is high", Point.ADMIT, plan="nobody") is None


def test_remaining_is_made_by_a_reservation() -> None:
    policy = policy_with("ceiling $1 per outcome\nfallback spare when remaining < $0.25")
    (rule,) = policy.checked.rules.fallbacks
    answer = Satisfier(policy.checked).satisfy([Want(rule.condition, True)])  # type: ignore[arg-type]  # it has one
    assert isinstance(answer, Witness)
    facts = complete(policy, answer, Point.FAILURE)
    assert facts is not None
    assert confirmed(policy, Point.FAILURE, facts, lambda decision: getattr(decision, "route", None) == "spare")


def test_a_reservation_leaves_what_is_spent() -> None:
    policy = policy_with("ceiling $1 per outcome\nfallback spare when remaining is $0.25 and spent is $0.60")
    (rule,) = policy.checked.rules.fallbacks
    assert rule.condition is not None
    answer = Satisfier(policy.checked).satisfy([Want(rule.condition, True)], fixed={"outcome": "note"})
    assert isinstance(answer, Witness)
    facts = complete(policy, answer, Point.FAILURE, outcome="note")
    assert facts is not None
    assert (facts["spent"], facts["reserved"]) == ("$0.60", "$0.15")
    assert confirmed(policy, Point.FAILURE, facts, lambda decision: getattr(decision, "route", None) == "spare")


def test_confirmed_asks_the_engine() -> None:
    policy = building.policy(file='forbid when customer is "bad"')
    facts = building.admission(policy, customer="bad")
    assert confirmed(policy, Point.ADMIT, facts, lambda decision: decision.effect == "deny")
    assert not confirmed(policy, Point.ADMIT, facts, lambda decision: decision.effect == "allow")
    assert not confirmed(policy, Point.ADMIT, {"customer": "bad"}, lambda _: True)  # no facts of this point


# ---------------------------------------------------------------- flips


def flipped(policy: Policy, point: Point, facts: dict[str, Any], limit: int = 3) -> dict[str, str]:
    """Entry → new value and answer, of every flip."""
    found = flips(policy, point, facts, limit=limit)
    for flip in found:
        assert replay(policy, point, flip.facts) == flip.decision
    return {name: f"{value}: {flip.decision.effect}" for flip in found for name, value in flip.changes.items()}


def test_a_threshold_is_stepped_over() -> None:
    policy = building.policy(file="fact words: integer\nforbid when words > 100 and risk is high")
    facts = building.admission(policy, words=300, risk="high")
    assert flipped(policy, Point.ADMIT, facts) == {"risk": "medium: allow", "words": "100: allow"}
    facts = building.admission(policy, words=300, risk="low")
    assert flipped(policy, Point.ADMIT, facts) == {"risk": "high: deny"}


def test_numbers_are_stepped_over_by_little() -> None:
    policy = building.policy(file="fact confidence: number 0..1\nforbid when confidence < 0.5")
    assert flipped(policy, Point.ADMIT, building.admission(policy, confidence=0.2)) == {"confidence": "0.5: allow"}
    assert flipped(policy, Point.ADMIT, building.admission(policy, confidence=0.9)) == {"confidence": "0.49: deny"}


def test_counters_are_brought_to_their_limit() -> None:
    policy = building.policy(file="limit 10 per customer per day")
    facts = building.admission(policy, meters={"count per customer per day": 25})
    assert flipped(policy, Point.ADMIT, facts) == {"count per customer per day": "9: allow"}
    facts = building.admission(policy, meters={"count per customer per day": {"settled": 5, "reserved": 2}})
    (flip,) = flips(policy, Point.ADMIT, facts)
    assert flip.facts["meters"]["count per customer per day"] == {"settled": 8, "reserved": 2}


def test_a_condition_counts_what_is_held() -> None:
    policy = building.policy(file="forbid when count per day > 10")
    facts = building.admission(policy, meters={"count per day": {"settled": 12, "reserved": 3}})
    (flip,) = flips(policy, Point.ADMIT, facts)
    assert flip.facts["meters"]["count per day"] == {"settled": 7, "reserved": 3}


def test_other_counters_stay_what_they_were() -> None:
    policy = building.policy(file="limit 10 per customer per day\nlimit 100 per day")
    counters = {"count per customer per day": 10, "count  per   day": 7}
    facts = building.admission(policy) | {"meters": counters}
    assert counters == facts["meters"]
    (flip,) = flips(policy, Point.ADMIT, facts)
    assert flip.facts["meters"] == {"count per customer per day": 9, "count  per   day": 7}


def test_a_ceiling_is_crossed_by_a_billionth() -> None:
    policy = building.policy(outcome="ceiling $1 per outcome")
    facts = building.entries(policy, input_tokens=0, max_output_tokens=0, estimate="$0.20", spent="$0.10")
    found = flipped(policy, Point.ATTEMPT, facts)
    assert found == {"spent": "$0.800000001: refuse", "estimate": "$0.900000001: refuse"}
    facts = building.entries(policy, input_tokens=0, max_output_tokens=0, estimate="$0.20", spent="$0.90")
    assert flipped(policy, Point.ATTEMPT, facts)["spent"] == "$0.80: go"


def test_an_output_cap_is_found() -> None:
    policy = building.policy(mini="ceiling 700 tokens per attempt")
    facts = building.entries(policy, input_tokens=500, max_output_tokens=300)
    assert flipped(policy, Point.ATTEMPT, facts)["max_output_tokens"] == "200: go"


def test_failures_go_elsewhere() -> None:
    policy = building.policy(file="retry 2 on timeout\nfallback next on rate_limit")
    facts = building.entries(policy, error="timeout", retries={"timeout": 2}, visited=["mini"])
    found = flipped(policy, Point.FAILURE, facts)
    assert found["retries"] == "1: retry"
    assert found["error"] == "rate_limit: route"


def test_settlements_depend_on_time_and_event() -> None:
    policy = building.policy(outcome="accepted within 1h")
    facts = {"outcome": "draft", "state": "delivered", "event": "accept", "price": "$2", "since_delivery": "2h"}
    assert flipped(policy, Point.SETTLE, facts)["since_delivery"] == "3599999.999ms: accepted"


def test_reads_as_a_sentence() -> None:
    policy = building.policy(file="forbid when risk is high")
    (flip,) = flips(policy, Point.ADMIT, building.admission(policy, risk="high"))
    assert str(flip) == "`risk` medium instead of high: allow in lane premium"
