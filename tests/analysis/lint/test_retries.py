"""Retries: storms, waits, classes without a way on, counts that cannot be come to; at the edge, and in the engine."""

import pytest

from policy_engine.analysis.lint.page import page_of
from policy_engine.analysis.lint.rule import LintRule
from policy_engine.analysis.lint.rules import l020_retry_storm, l021_backoff_past_the_deadline, l023_retry_never_reached
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.policy import load
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.step import Step
from tests.analysis.lint.underlined import one_outcome, underlined

TWO = "lane standard { mini -> sonnet }"
TOOLS = "lane standard { web }"
FACTS = "fact risk: low | high\nerror stale"


def _set(rules: str, lanes: str = TWO, file: str = "") -> str:
    return one_outcome(lanes=lanes, rules=rules, head=FACTS, file=file)


@pytest.mark.parametrize(
    ("rules", "lanes", "file", "found"),
    [
        # attempts: mini 1 + 2, sonnet 1 + 2
        ("ceiling 6 attempts per outcome\nretry 2 on timeout\nfallback next", TWO, "", []),
        ("ceiling 5 attempts per outcome\nretry 2 on timeout\nfallback next", TWO, "", ["retry 2 on timeout"]),
        ("ceiling 5 attempts per step\nretry 2 on timeout\nfallback next", TWO, "", ["retry 2 on timeout"]),
        ("ceiling 5 attempts per outcome\nretry 2 on timeout", TWO, "", []),  # no way to the second route
        ("ceiling 2 attempts per outcome\nretry 2 on timeout", TWO, "", ["retry 2 on timeout"]),
        ("ceiling 5 attempts per outcome\nretry 2 on timeout\nfallback next on stale", TWO, "", []),
        ("ceiling 5 attempts per outcome\nretry 2 on timeout\nretry 1\nfallback next", TWO, "", []),
        ("ceiling 5 attempts per outcome\nretry 1 on timeout\nretry 1 on stale\nfallback next", TWO, "", []),
        ("ceiling 5 attempts per outcome when risk is low\nretry 2 on timeout\nfallback next", TWO, "", []),
        ("ceiling 5 attempts per outcome\nretry 2 on timeout when risk is low\nfallback next", TWO, "", []),
        ("ceiling 5 attempts per outcome\nretry 2 on timeout\nretry 1 on timeout when risk is low\nfallback next",
         TWO, "", []),
        ("ceiling 5 attempts per outcome\nretry 2 on timeout\nfallback stop when risk is low\nfallback next",
         TWO, "", []),
        ("ceiling 5 attempts per outcome\nretry 2 on timeout\nfallback stop when error is stale\nfallback next",
         TWO, "", ["retry 2 on timeout"]),
        ("ceiling 5 attempts per outcome\nfallback next", TWO, "retry 2 on timeout", ["retry 2 on timeout"]),
        ("ceiling 5 attempts per day\nretry 2 on timeout\nfallback next", TWO, "", []),
        ("shadow ceiling 5 attempts per outcome\nretry 2 on timeout\nfallback next", TWO, "", []),
        ("ceiling 3 attempts per outcome\nretry 2 on timeout\nfallback desk", TWO, "", []),  # no attempt
        ("ceiling 5 attempts per outcome\nretry 2 on timeout\nfallback web", TWO, "", ["retry 2 on timeout"]),
        # money: $0.30 an outcome, two cents an attempt
        ("retry 14 on timeout", TOOLS, "", []),
        ("retry 15 on timeout", TOOLS, "", ["retry 15 on timeout"]),
        ("retry 15 on timeout\nceiling 99% of price per step", TOOLS, "", ["retry 15 on timeout"]),
        ("retry 1 on timeout", "lane standard { dear_web }", "", []),  # even one is too dear: another finding
    ],
)  # fmt: skip
def test_retry_storm(rules: str, lanes: str, file: str, found: list[str]) -> None:
    assert underlined("L020", _set(rules, lanes, file)) == found


def test_of_several_lanes_one_is_enough() -> None:
    lanes = "lane premium { sonnet -> mini }\nlane standard { mini }"
    rules = "ceiling 3 attempts per outcome\nretry 2 on timeout\nfallback next"
    assert underlined("L020", _set(rules, lanes)) == ["retry 2 on timeout"]
    assert underlined("L020", _set(rules + " when lane is standard", lanes)) == []


def _until_it_ends(rule: LintRule, outcome: str, error: str) -> Step:
    engine = Engine(load(page_of(rule).bad), ledger=MemoryLedger(), clock=PinnedClock(0))
    step = engine.execution(outcome, customer="acme").step("main")
    while (attempt := step.attempt(input_tokens=1, max_output_tokens=1)) is not None:
        attempt.fail(error, input_tokens=1, output_tokens=1)
    return step


def test_a_storm_uses_its_ceiling_up() -> None:
    step = _until_it_ends(l020_retry_storm.RULE, "draft", "timeout")
    assert step.attempts == 5
    assert [decision.reason for decision in step.decisions].count("over_ceiling") == 1
    assert step.route == "sonnet"  # it came there, and was refused


@pytest.mark.parametrize(
    ("rules", "file", "found"),
    [
        ("ceiling 30s per outcome\nretry 3 on timeout backoff 10s", "", ["retry 3 on timeout backoff 10s"]),
        ("ceiling 31s per outcome\nretry 3 on timeout backoff 10s", "", []),
        ("ceiling 30s per step\nretry 2 on timeout backoff 10s..99s", "", ["retry 2 on timeout backoff 10s..99s"]),
        ("ceiling 30s per step\nretry 2 on timeout backoff 10s..19s", "", []),
        ("ceiling 30s per attempt\nretry 9 on timeout backoff 10s", "", []),  # an attempt's time starts after the wait
        ("ceiling 30s per outcome when risk is low\nretry 3 on timeout backoff 10s", "", []),
        ("ceiling 30s per outcome\nretry 3 on timeout backoff 10s when risk is low", "", []),
        ("ceiling 30s per outcome\nretry 3 on timeout backoff 10s\nretry 2", "", []),
        ("ceiling 30s per outcome\nretry 3 on timeout backoff 1s", "retry 3 on timeout backoff 10s",
         ["retry 3 on timeout backoff 10s"]),  # the longest delay wins
        ("ceiling 30s per outcome\nretry 3 on timeout backoff 1s", "retry 3 on timeout backoff 10s when risk is low",
         []),
        ("shadow ceiling 30s per outcome\nretry 3 on timeout backoff 10s", "", []),
        ("retry 3 on timeout backoff 10s", "", []),
    ],
)  # fmt: skip
def test_backoff_past_the_deadline(rules: str, file: str, found: list[str]) -> None:
    assert underlined("L021", _set(rules, file=file)) == found


def test_the_retry_after_too_long_a_wait_is_refused() -> None:
    step = _until_it_ends(l021_backoff_past_the_deadline.RULE, "draft", "rate_limit")
    assert step.attempts == 3  # the first and two retries; the third comes after 70 seconds
    assert step.execution.engine.clock.now_micros() == 70_000_000
    assert "over_ceiling" in [decision.reason for decision in step.decisions]


@pytest.mark.parametrize(
    ("rules", "lanes", "found"),
    [
        ("retry 1 on timeout\nfallback next on timeout", TWO, []),
        ("retry 1 on timeout\nfallback next on stale", TWO, ["retry 1 on timeout"]),
        ("retry 1 on timeout\nfallback next on stale\nfallback stop on timeout", TWO, []),
        ("retry 1 on timeout\nfallback next on stale\nfallback web on timeout when risk is low", TWO, []),  # sometimes
        ("retry 1 on timeout\nfallback next", TWO, []),
        ("retry 1 on timeout", TWO, []),  # no fallback at all: another finding
        ("retry 1 on timeout\nfallback stop on stale", TWO, []),
        ("retry 1 on timeout\nfallback mini on stale", "lane standard { mini }", []),  # nothing follows in the lane
        ("retry 0 on timeout\nfallback next on stale", TWO, []),
        ("retry 1 on timeout when route is mini\nfallback next on stale", TWO,
         ["retry 1 on timeout when route is mini"]),
        ("retry 1 on timeout when route is sonnet\nfallback next on stale", TWO, []),  # the last of the lane
        ("retry 1 on timeout, stale\nfallback next on stale", TWO, ["retry 1 on timeout, stale"]),
    ],
)  # fmt: skip
def test_retry_without_fallback(rules: str, lanes: str, found: list[str]) -> None:
    assert underlined("L022", _set(rules, lanes)) == found


@pytest.mark.parametrize(
    ("rules", "file", "lanes", "found"),
    [
        ("retry 2 on timeout", "retry 1 on timeout", TWO, ["retry 2 on timeout"]),
        ("retry 2 on timeout", "retry 2 on timeout", TWO, []),
        ("retry 1 on timeout", "retry 2 on timeout", TWO, []),  # other outcomes may come
        ("retry 2 on timeout", "retry 1", TWO, ["retry 2 on timeout"]),
        ("retry 2 on timeout, stale", "retry 1 on timeout", TWO, []),  # two on stale
        ("retry 2 on timeout, stale", "retry 1 on timeout\nretry 1 on stale", TWO, []),  # one of each makes two
        ("retry 2 on timeout", "retry 1 on timeout when risk is low", TWO, []),
        ("retry 2 on timeout when risk is low", "retry 1 on timeout", TWO, ["retry 2 on timeout when risk is low"]),
        ("retry 2 on timeout", "plan team { includes 5 reply  retry 1 on timeout }", TWO, []),  # some customers only
        ("retry 1 on timeout", "plan team { includes 5 reply  retry 2 on timeout }", TWO, []),
        ("", "retry 1 on timeout\nplan team { includes 5 reply  retry 2 on timeout }", TWO, ["retry 2 on timeout"]),
        ("retry 1 on timeout", "", "lane standard { mini  retry 2 on timeout }", ["retry 2 on timeout"]),
        ("retry 2 on timeout", "retry 0 on timeout", TWO, ["retry 2 on timeout"]),
        ("retry 0 on timeout", "", TWO, []),
    ],
)
def test_retry_never_reached(rules: str, file: str, lanes: str, found: list[str]) -> None:
    assert underlined("L023", _set(rules, lanes, file)) == found


def test_a_count_that_is_never_reached_is_never_made() -> None:
    step = _until_it_ends(l023_retry_never_reached.RULE, "draft", "timeout")
    assert step.attempts == 2


@pytest.mark.parametrize(
    ("rules", "file", "found"),
    [
        ("retry 0 on timeout", "", ["retry 0 on timeout"]),
        ("retry 0 on timeout", "retry 1 on timeout", []),
        ("retry 0 on timeout", "retry 1 on timeout when risk is low", []),
        ("retry 0 on timeout", "retry 1", []),
        ("retry 0", "retry 1 on stale", []),
        ("retry 0 on timeout", "retry 1 on stale", ["retry 0 on timeout"]),
        ("retry 0 on timeout", "retry 0 on timeout", ["retry 0 on timeout", "retry 0 on timeout"]),
    ],
)
def test_retry_of_nothing(rules: str, file: str, found: list[str]) -> None:
    assert underlined("L024", _set(rules, file=file)) == found


@pytest.mark.parametrize(
    ("rules", "file", "found"),
    [
        ("retry 1 on rate_limit", "", ["rate_limit"]),
        ("retry 1 on timeout, rate_limit", "", ["rate_limit"]),
        ("retry 1 on rate_limit backoff 1ms", "", []),
        ("retry 1 on rate_limit", "retry 2 backoff 1s", []),
        ("retry 1 on rate_limit", "retry 2 on timeout backoff 1s", ["rate_limit"]),
        ("retry 0 on rate_limit", "", []),
        ("retry 1", "", []),  # it names nothing
    ],
)
def test_rate_limit_at_once(rules: str, file: str, found: list[str]) -> None:
    assert underlined("L025", _set(rules, file=file)) == found
