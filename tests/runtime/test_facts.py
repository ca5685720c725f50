"""What the policy is told at each of its points, in the course of one execution."""

from typing import Any

import pytest

from policy_engine.evaluation.evaluator import Evaluator
from policy_engine.evaluation.facts import AttemptFacts, Facts, FailureFacts, ProgressFacts, Reading, SettleFacts
from policy_engine.ledger.protocol import Ledger
from policy_engine.runtime.attempt import Attempt
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.execution import Execution
from tests.runtime.desk import ASKS, CENT, NOON, SECOND, Broken, Faulty, engine, ledger

__all__ = ["ledger"]  # a fixture

WORST = 30 * CENT
RULES = {"file": "ceiling $50 per customer per day", "outcome": "retry 1 on server_error  fallback next on any"}


class Asked:
    """An evaluator that notes what it is asked."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self.facts: list[Facts] = []

    def __getattr__(self, name: str) -> Any:
        ask = getattr(self._evaluator, name)

        def asked(facts: Facts, *more: Any) -> Any:
            if not more:  # bounds are asked for with more than facts
                self.facts.append(facts)
            return ask(facts, *more)

        return asked


def watched(run: Execution, monkeypatch: pytest.MonkeyPatch) -> list[Facts]:
    asked = Asked(run.edition.evaluator)
    monkeypatch.setattr(run.edition, "evaluator", asked)
    return asked.facts


def told(facts: Facts, *names: str) -> tuple[Any, ...]:
    return (type(facts), *(getattr(facts, name) for name in names))


def test_the_course_of_a_step(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure tells of the attempt that failed; time runs from admission, and from the beginning of the step."""
    clock = PinnedClock(NOON)
    run = engine(RULES, ledger=ledger, clock=clock).execution("draft", customer="acme", plan="base")
    facts = watched(run, monkeypatch)
    clock.sleep(1 * SECOND)
    with run:
        for attempt in run.step("write", **ASKS):
            with attempt:
                clock.sleep(2 * SECOND)
                if attempt.number < 3:
                    raise Broken
                attempt.meter.add(7)
                attempt.settle(input_tokens=50, output_tokens=25)
    names = ("attempt", "failures", "route", "elapsed_micros", "step_elapsed_micros")
    assert [told(each, *names) for each in facts[:6]] == [
        (AttemptFacts, 1, 0, "mini", 1 * SECOND, 0),
        (FailureFacts, 1, 1, "mini", 3 * SECOND, 2 * SECOND),
        (AttemptFacts, 2, 1, "mini", 3 * SECOND, 2 * SECOND),
        (FailureFacts, 2, 2, "mini", 5 * SECOND, 4 * SECOND),
        (AttemptFacts, 3, 2, "big", 5 * SECOND, 4 * SECOND),
        (ProgressFacts, 3, 2, "big", 7 * SECOND, 6 * SECOND),
    ]
    for each in facts[:6]:
        assert told(each, "customer", "plan", "outcome", "lane", "step", "input_tokens")[1:] == (
            *("acme", "base", "draft", "short", "write"),
            100,
        )
    failures = [each for each in facts if isinstance(each, FailureFacts)]
    assert [told(each, "error", "visited", "retries")[1:] for each in failures] == [
        ("server_error", ("mini",), {}),
        ("server_error", ("mini",), {"server_error": 1}),
    ]
    (progress,) = (each for each in facts if isinstance(each, ProgressFacts))
    assert told(progress, "output_tokens", "output_cap", "attempt_elapsed_micros", "estimate_nanos")[1:] == (
        *(7, 100, 2 * SECOND),
        10 * WORST,
    )


def test_counters_as_they_are_at_each_point(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed is settled before the policy is asked; what is running is not held against itself."""
    run = engine(RULES, ledger=ledger).execution("draft", customer="acme")
    facts = watched(run, monkeypatch)
    other = next(iter(run.step("beside", **ASKS)))
    with run:
        for attempt in run.step("write", **ASKS):
            with attempt:
                if attempt.number == 1:
                    raise Broken
                attempt.meter.add(7)
        other.succeed()
    expected = {  # of all attempts but that which is asked about: settled, reserved
        "spent per outcome": [(0, 0), (0, 30), (30, 30), (30, 30), (30, 30)],
        "spent per customer per day": [(0, 0), (0, 30), (30, 30), (30, 30), (30, 30)],
    }
    for meter, readings in expected.items():
        counters = [each.meters for each in facts if not isinstance(each, SettleFacts)]
        seen = [{str(known): reading for known, reading in held.items()}[meter] for held in counters]
        assert seen == [Reading(settled * CENT, reserved * CENT) for settled, reserved in readings]


def test_a_refusal_tells_of_the_attempt_that_was_not_made(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {"outcome": "fallback next on any", "mini": "ceiling $0.01 per attempt"}
    run = engine(rules, ledger=ledger).execution("draft", customer="acme")
    facts = watched(run, monkeypatch)
    with run:
        for attempt in run.step("write", **ASKS):
            with attempt:
                pass
    assert [told(each, "attempt", "failures", "route") for each in facts[:3]] == [
        (AttemptFacts, 1, 0, "mini"),
        (FailureFacts, 1, 0, "mini"),
        (AttemptFacts, 1, 0, "big"),
    ]


@pytest.mark.parametrize(
    "condition",
    ["attempt < 2", "failures < 2", "attempts < 2", "elapsed < 4s", "spent < $0.60", "spent per day < $0.60"],
)
def test_a_retry_of_the_first_failure_alone(condition: str) -> None:
    """By whichever of them the first is told from the second."""
    made = engine({"outcome": f"retry 3 on server_error when {condition}  fallback big on server_error"})
    went = []
    with made.execution("draft", customer="acme") as run:
        for attempt in run.step("write", **ASKS):
            with attempt:
                went.append(attempt.route)
                made.clock.sleep(2 * SECOND)
                if attempt.route == "mini":
                    raise Broken
    assert went == ["mini", "mini", "big"]


def test_a_call_over_midnight_is_held_against_the_day_it_began(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new day owes it nothing: its reservation is not there, and is not taken off there."""
    clock = PinnedClock(NOON + 12 * 3600 * SECOND - SECOND)
    run = engine(RULES, ledger=ledger, clock=clock).execution("draft", customer="acme")
    facts = watched(run, monkeypatch)
    with run:
        for attempt in run.step("write", **ASKS):
            with attempt:
                attempt.meter.add(7)
                clock.sleep(2 * SECOND)
                attempt.meter.add(7)
    seen = [
        {str(meter): reading for meter, reading in each.meters.items()}
        for each in facts
        if isinstance(each, ProgressFacts)
    ]
    assert [each["spent per customer per day"] for each in seen] == [Reading(0, 0), Reading(0, 0)]
    assert [each["spent per outcome"] for each in seen] == [Reading(0, 0), Reading(0, 0)]


def test_no_time_has_passed_on_a_clock_that_steps_back(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = PinnedClock(NOON)
    run = engine(RULES, ledger=ledger, clock=clock).execution("draft", customer="acme")
    facts = watched(run, monkeypatch)
    with run:
        for attempt in run.step("write", **ASKS):
            with attempt:
                clock.set(NOON - 3600 * SECOND)
                attempt.meter.add(7)
                raise_once(attempt)
    times = [told(each, "elapsed_micros", "step_elapsed_micros")[1:] for each in facts if type(each) is not SettleFacts]
    assert times == [(0, 0)] * len(times)
    assert len(times) == 5
    assert {each.attempt_elapsed_micros for each in facts if isinstance(each, ProgressFacts)} == {0}


def raise_once(attempt: Attempt) -> None:
    if attempt.number == 1:
        raise Broken


def test_while_the_store_is_silent_a_call_goes_by_what_was_read_before_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own reservation is not in that: nothing is taken off."""
    faulty: Any = Faulty(ledger)
    run = engine(RULES, ledger=faulty).execution("draft", customer="acme")
    facts = watched(run, monkeypatch)
    with run:
        for attempt in run.step("write", **ASKS):
            with attempt:
                faulty.silent = True
                attempt.meter.add(7)
                faulty.silent = False
    asked, progress = facts[:2]
    assert isinstance(asked, AttemptFacts)
    assert isinstance(progress, ProgressFacts)
    assert progress.meters == asked.meters
    assert set(progress.meters.values()) == {Reading(0, 0)}


@pytest.mark.parametrize(
    ("condition", "limits"),
    [
        ("attempt >= 2", [70, 50]),
        ("attempt < 2", [50, 70]),
        ("failures >= 1", [70, 50]),
        ("spent >= $0.20", [70, 50]),
        ("attempts per customer per day >= 1", [70, 50]),
        ("elapsed >= 1s", [70, 50]),
        ('customer is "acme"', [50, 50]),
        ("price > $1", [50, 50]),
        ("price > $1 and attempt >= 2", [70, 50]),
        ('step is not "write"', [70, 70]),
    ],
)
@pytest.mark.parametrize("beside", ["", "ceiling $70 per day  "])
def test_an_attempt_is_held_under_the_ceilings_that_apply_to_it(condition: str, limits: list[int], beside: str) -> None:
    """Where another one comes first, these are what holds. They are asked for again where a condition may change."""
    made = engine({"file": f"{beside}ceiling $50 per day when {condition}", "outcome": "retry 1 on server_error"})
    held = []
    with made.execution("draft", customer="acme") as run:
        for attempt in run.step("write", **ASKS):
            with attempt:
                (charge,) = (c for c in attempt.hold.charges if str(c.counter.meter) == "spent per day")
                held.append(charge.limit)
                made.clock.sleep(2 * SECOND)
                if attempt.number == 1:
                    raise Broken
    assert held == [limit * 100 * CENT if beside or limit == 50 else None for limit in limits]


def test_the_counters_of_an_attempt_are_those_of_its_minute() -> None:
    """A step that goes on from one window into the next."""
    clock = PinnedClock(NOON - 1)
    made = engine({"file": "ceiling $50 per hour", "outcome": "retry 1 on server_error"}, clock=clock)
    windows = []
    with made.execution("draft", customer="acme") as run:
        for attempt in run.step("write", **ASKS):
            with attempt:
                windows += [c.counter.window for c in attempt.hold.charges if str(c.counter.meter) == "spent per hour"]
                clock.sleep(1)
                if attempt.number == 1:
                    raise Broken
    assert windows == ["2026-11-22T11:00+00:00", "2026-11-22T12:00+00:00"]
