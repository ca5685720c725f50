"""The yardstick gives the decisions that it is compared with, every number and rule of them."""

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks import dozen, plain, yardstick
from benchmarks.cases import GIVEN, facts_of
from policy_engine.evaluation.decision import Decision
from policy_engine.evaluation.facts import AttemptFacts
from policy_engine.policy import ENGINES

COMMON = 2_000
EDGES = 3_000
POINTS = ("admit", "attempt", "progress", "failure", "settle")
FIXED_FOR_BOUND = {
    **yardstick.BOUND,
    "given": GIVEN(**yardstick.BOUND_GIVEN),
    "price_nanos": yardstick.BOUND_PRICE_NANOS,
}


def hand_written(point: str) -> tuple[Callable[[Any], Decision], Callable[[Any], Decision]]:
    return getattr(yardstick, f"best_{point}"), getattr(plain, f"plain_{point}")


def mixed(point: str, **fixed: Any) -> list[Any]:
    return facts_of(point, COMMON, seed=1, **fixed) + facts_of(point, EDGES, seed=2, edges=True, **fixed)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("point", POINTS)
def test_best_plain_and_every_engine_decide_alike(point: str, engine: str) -> None:
    best, plainly = hand_written(point)
    decide: Callable[[Any], Decision] = getattr(dozen.policy(engine), point)
    for facts in mixed(point):
        expected = decide(facts)
        assert best(facts) == expected, (facts, str(expected))
        assert plainly(facts) == expected, (facts, str(expected))


def test_the_bound_function_decides_as_the_others() -> None:
    decide = dozen.policy().attempt
    for facts in mixed("attempt", **FIXED_FOR_BOUND):
        assert yardstick.best_bound_attempt(*bound_arguments(facts)) == decide(facts), facts


def bound_arguments(facts: AttemptFacts) -> tuple[Any, ...]:
    return (
        facts.meters,
        facts.input_tokens,
        facts.max_output_tokens,
        facts.min_output_tokens,
        facts.estimate_nanos,
        facts.attempt,
        facts.failures,
        facts.elapsed_micros,
        facts.step_elapsed_micros,
    )


@pytest.mark.parametrize("point", POINTS)
def test_the_common_day_refuses_about_one_in_seven(point: str) -> None:
    best, _ = hand_written(point)
    decisions = [best(facts) for facts in facts_of(point, COMMON, seed=1)]
    refused = sum(not decision.permits for decision in decisions) / COMMON
    assert 0.10 <= refused <= 0.20


REACHED = {
    "admit": {None, "allowance_spent", "forbidden", "ceiling_reached", "not_allowed"},
    "attempt": {None, "shrunk", "over_ceiling"},
    "progress": {None, "output_cap", "deadline", "over_ceiling"},
    "failure": {None},
    "settle": {None, "window_closed", "not_possible"},
}


@pytest.mark.parametrize("point", POINTS)
def test_the_facts_reach_every_answer_and_rule(point: str) -> None:
    best, _ = hand_written(point)
    decisions = [best(facts) for facts in mixed(point)]
    assert {decision.reason for decision in decisions} == REACHED[point]
    if point == "attempt":
        named = {line[0].rule.name for decision in decisions for line in decision.lines}
        ceilings = {rule.ref.name for rule in dozen.policy().checked.every_rule() if hasattr(rule, "is_margin")}
        assert named == ceilings
        assert {line[0].role for decision in decisions for line in decision.lines} == {
            "decides",
            "alert",
            "passes",
            "refuses",
        }
