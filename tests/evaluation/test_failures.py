"""`failure`: retries first, then fallbacks, innermost block first."""

from typing import Any

import pytest

from policy_engine.evaluation.decision import FailureDecision
from tests.building import deciding, entries, policy

pytestmark = pytest.mark.usefixtures("each_engine")


def after(rules: dict[str, str], error: str, **changed: Any) -> FailureDecision:
    loaded = policy(**rules)
    return loaded.failure(entries(loaded, error=error, **changed))


def said(decision: FailureDecision) -> tuple[str, str | None]:
    return decision.effect, decision.route


STOP = ("stop", None)
AGAIN = ("retry", "mini")
BIG = ("route", "big")
HUMAN = ("hand_off", "human")


@pytest.mark.parametrize(
    ("rules", "error", "retries", "expected"),
    [
        ({}, "timeout", {}, STOP),  # none written = no retry
        ({"mini": "retry 2 on timeout, rate_limit"}, "timeout", {}, AGAIN),
        ({"mini": "retry 2 on timeout, rate_limit"}, "timeout", {"timeout": 1, "rate_limit": 0}, AGAIN),
        ({"mini": "retry 2 on timeout, rate_limit"}, "timeout", {"timeout": 1, "rate_limit": 1}, STOP),  # shared
        ({"mini": "retry 2 on timeout, rate_limit"}, "timeout", {"invalid_output": 5}, AGAIN),
        ({"mini": "retry 2 on timeout"}, "rate_limit", {}, STOP),
        ({"mini": "retry 0"}, "timeout", {}, STOP),
        ({"mini": "retry 2"}, "tool_error", {}, AGAIN),  # no `on` is every class ...
        ({"mini": "retry 2"}, "auth", {}, STOP),  # ... that may be retried
        ({"mini": "retry 2 on any"}, "over_ceiling", {}, STOP),
        ({"mini": "retry 2 on any"}, "cancelled", {}, STOP),
        ({"mini": "retry 3", "outcome": "retry 1 on timeout"}, "timeout", {"timeout": 1}, STOP),  # every rule
        ({"mini": "retry 3", "outcome": "retry 1 on timeout"}, "rate_limit", {"timeout": 1}, AGAIN),
        ({"big": "retry 3"}, "timeout", {}, STOP),  # another route's
        ({"base": "retry 3"}, "timeout", {}, AGAIN),
        ({"other": "retry 3"}, "timeout", {}, STOP),  # another plan's
        ({"standard": "retry 3"}, "timeout", {}, AGAIN),
        ({"premium": "retry 3"}, "timeout", {}, STOP),
        ({"file": "retry 3 when vip"}, "timeout", {}, STOP),  # unknown: the reading that permits fewer
        ({"file": "retry 3 when vip", "mini": "retry 2"}, "timeout", {"timeout": 2}, STOP),
        ({"file": "retry 3 when vip retry 4"}, "timeout", {"timeout": 2}, AGAIN),
        ({"file": "retry 3 when vip retry 4"}, "timeout", {"timeout": 3}, STOP),
        ({"file": "retry 3 when risk is high"}, "timeout", {}, STOP),
    ],
)
def test_retries(rules: dict[str, str], error: str, retries: dict[str, int], expected: tuple[Any, ...]) -> None:
    assert said(after(rules, error, retries=retries)) == expected


@pytest.mark.parametrize(
    ("rule", "made", "delay_micros"),
    [
        ("retry 9 backoff 250ms..4s", 0, 250_000),
        ("retry 9 backoff 250ms..4s", 1, 500_000),
        ("retry 9 backoff 250ms..4s", 3, 2_000_000),
        ("retry 9 backoff 250ms..4s", 4, 4_000_000),
        ("retry 9 backoff 250ms..4s", 8, 4_000_000),
        ("retry 9 backoff 1s", 5, 1_000_000),  # one duration is constant
        ("retry 9", 5, 0),
        ("retry 9 backoff 1s retry 8 backoff 250ms..4s", 2, 1_000_000),  # the longest wins
        ("retry 9 backoff 1s retry 8 backoff 250ms..4s", 4, 4_000_000),
        ("retry 9 retry 8 when vip backoff 3s", 0, 3_000_000),  # unknown counts
        ("retry 9 retry 8 when risk is high backoff 3s", 0, 0),
    ],
)
def test_delay(rule: str, made: int, delay_micros: int) -> None:
    # tails stand in one order: `on`, `backoff`, then conditions
    ordered = rule.replace("when vip backoff 3s", "backoff 3s when vip")
    ordered = ordered.replace("when risk is high backoff 3s", "backoff 3s when risk is high")
    decision = after({"mini": ordered}, "timeout", retries={"timeout": made})
    assert (decision.effect, decision.delay_micros) == ("retry", delay_micros)


@pytest.mark.parametrize(
    ("rules", "error", "changed", "expected"),
    [
        ({"outcome": "fallback next"}, "timeout", {}, BIG),
        ({"outcome": "fallback next on rate_limit"}, "timeout", {}, STOP),
        ({"outcome": "fallback next on any"}, "cancelled", {}, STOP),
        ({"outcome": "fallback next"}, "cancelled", {}, STOP),
        ({"outcome": "fallback next on cancelled"}, "cancelled", {}, BIG),
        ({"outcome": "fallback next"}, "over_ceiling", {}, BIG),
        ({"outcome": "fallback next"}, "timeout", {"route": "big", "visited": ["mini", "big"]}, HUMAN),
        # beyond the furthest, even though `mini` was never visited
        ({"outcome": "fallback next"}, "timeout", {"route": "big", "visited": ["big"]}, HUMAN),
        # from a route outside the lane, `next` goes on behind the furthest one inside
        ({"outcome": "fallback next"}, "timeout", {"route": "web", "visited": ["mini", "web"]}, BIG),
        ({"outcome": "fallback next"}, "timeout", {"route": "web", "visited": ["web"]}, ("route", "mini")),
        ({"outcome": "fallback next", "human": "limit 1 per day"}, "timeout", {}, BIG),
        ({"outcome": "fallback web fallback next"}, "timeout", {"route": "web", "visited": ["mini", "web"]}, BIG),
        ({"outcome": "fallback mini fallback big"}, "timeout", {}, BIG),  # it has been on `mini`
        ({"outcome": "fallback big fallback human"}, "timeout", {}, BIG),  # the first match in written order
        ({"outcome": "fallback human fallback big"}, "timeout", {}, HUMAN),
        ({"outcome": "fallback stop fallback big"}, "timeout", {}, STOP),
        # innermost block first: outcome, workflow, lane, file
        ({"outcome": "fallback big", "workflow": "fallback human"}, "timeout", {}, BIG),
        ({"workflow": "fallback big", "standard": "fallback human"}, "timeout", {}, BIG),
        ({"standard": "fallback big", "file": "fallback human"}, "timeout", {}, BIG),
        ({"file": "fallback big"}, "timeout", {}, BIG),
        ({"premium": "fallback big"}, "timeout", {}, STOP),  # another lane's
        # conditions
        ({"outcome": "fallback big when risk is high"}, "timeout", {}, STOP),
        ({"outcome": "fallback big when risk is high"}, "timeout", {"risk": "high"}, BIG),
        ({"outcome": "fallback big when vip fallback web"}, "timeout", {}, ("route", "web")),  # unknown: passed over
        ({"outcome": "fallback stop when vip fallback web"}, "timeout", {}, STOP),  # unknown: matches
        ({"outcome": "fallback human when vip fallback web"}, "timeout", {}, HUMAN),
        (
            {"outcome": "fallback next when vip fallback web"},
            "timeout",
            {"route": "big", "visited": ["mini", "big"]},
            HUMAN,
        ),  # `next` is a handoff here
        ({"outcome": "fallback human when failures >= 2"}, "timeout", {"failures": 2}, HUMAN),
        ({"outcome": "fallback human when failures >= 2"}, "timeout", {"failures": 1}, STOP),
        ({"outcome": "fallback big when error in [timeout, rate_limit]"}, "timeout", {}, BIG),
        ({"outcome": "fallback big when route is mini and lane is standard"}, "timeout", {}, BIG),
        ({"outcome": 'fallback big when step is "main"'}, "timeout", {}, BIG),
        ({"outcome": "fallback big when attempt is 1 and attempts < 3"}, "timeout", {}, BIG),
        ({"outcome": "fallback big when elapsed > 30s"}, "timeout", {"elapsed": "31s"}, BIG),
        ({"outcome": "fallback big when input_tokens > 1k"}, "timeout", {"input_tokens": 1001}, BIG),
        ({"outcome": "fallback big when input_tokens > 1k"}, "timeout", {}, STOP),
    ],
)
def test_fallbacks(rules: dict[str, str], error: str, changed: dict[str, Any], expected: tuple[Any, ...]) -> None:
    assert said(after(rules, error, **changed)) == expected


@pytest.mark.parametrize(
    ("rule", "spent", "expected"),
    [
        ("fallback human when spent > 50% of ceiling", "0.20", STOP),  # of $0.40, the tightest that applies
        ("fallback human when spent > 50% of ceiling", "0.21", HUMAN),
        ("fallback human when remaining < $0.10", "0.30", STOP),
        ("fallback human when remaining < $0.10", {"settled": "0.30", "reserved": "0.01"}, HUMAN),
        ("fallback big when ceiling is $0.40", "0", BIG),
    ],
)
def test_ceiling_and_remaining(rule: str, spent: Any, expected: tuple[Any, ...]) -> None:
    ceilings = (
        "ceiling $1 per outcome ceiling $0.40 per outcome when lane is standard "
        "ceiling $0.30 per outcome when lane is premium shadow ceiling $0.10 per outcome "
        "ceiling $0.20 per step ceiling 9 attempts per outcome "
    )
    assert said(after({"outcome": ceilings + rule}, "timeout", meters={"spent per outcome": spent})) == expected


def test_without_a_ceiling_its_share_is_not_known() -> None:
    rules = {"outcome": "fallback big when spent > 50% of ceiling fallback human when remaining < $1"}
    decision = after(rules, "timeout")
    assert said(decision) == HUMAN  # unknown: a route is passed over, a handoff matches
    assert decision.unknown == ("ceiling", "remaining")


def test_a_ceiling_with_a_condition_that_is_not_known_applies() -> None:
    rules = {"outcome": "ceiling $1 per outcome ceiling $0.40 per outcome when vip fallback big when ceiling < $0.50"}
    assert said(after(rules, "timeout")) == BIG


@pytest.mark.parametrize(
    ("used", "expected"), [(1, HUMAN), (2, STOP), ({"settled": 1, "reserved": 1}, STOP), (None, STOP)]
)
def test_a_handoff_whose_limit_is_reached_is_passed_over(used: Any, expected: tuple[Any, ...]) -> None:
    rules = {"human": "limit 2 per day", "outcome": "fallback human"}
    assert said(after(rules, "timeout", meters={"count of human per day": used})) == expected


def test_a_handoffs_limit_with_a_condition() -> None:
    rules = {"human": "limit 2 per day when risk is high", "outcome": "fallback human"}
    used = {"count of human per day": 2}
    assert said(after(rules, "timeout", meters=used)) == HUMAN
    assert said(after(rules, "timeout", meters=used, risk="high")) == STOP


def test_deciding_rules_tell_the_whole_way() -> None:
    rules = {"mini": "retry 1 on timeout as once", "outcome": "fallback next as onward"}
    again = after(rules, "timeout")
    assert deciding(again) == ["once"]
    assert (again.rulings[0].limit, again.rulings[0].used, again.rulings[0].asked) == (1, 0, 1)
    assert str(again).startswith("retry on mini after 0s; because `once` (limit 1, used 0, asked 1)")
    assert deciding(after(rules, "timeout", retries={"timeout": 1})) == ["once", "onward"]
    assert deciding(after({"mini": "retry 1 as once"}, "timeout", retries={"timeout": 1})) == ["once"]
    assert str(after({}, "timeout")) == "stop"
