"""How an attempt ends: once, at an amount that can be booked, and with what its step may go by."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from time import sleep
from typing import Any

import pytest

from policy_engine.evaluation.decision import Decision
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.protocol import Ledger
from policy_engine.runtime.attempt import Attempt
from policy_engine.runtime.errors import HandedOff, NotRunning
from policy_engine.runtime.execution import Execution
from policy_engine.runtime.mapping import Failure
from policy_engine.runtime.observing import Observer
from policy_engine.runtime.step import Step
from policy_engine.runtime.usage import UsageError
from tests.runtime.desk import ASKS, CENT, SECOND, Odd, engine, ledger, spent

__all__ = ["ledger"]  # a fixture

WORST = 30 * CENT


# ---------------------------------------------------------------- what its step may go by


def _timeout(attempt: Attempt) -> None:
    raise TimeoutError


def _certainly_not_billed(attempt: Attempt) -> None:
    raise Odd


def _told(attempt: Attempt) -> None:
    attempt.settle(input_tokens=40, output_tokens=10)
    raise TimeoutError


@pytest.mark.parametrize(
    ("rule", "fails", "route"),
    [
        ("fallback big when input_tokens > 50", _timeout, "big"),
        ("fallback big when input_tokens > 50", _certainly_not_billed, "big"),  # it was sent, and turned away
        ("fallback big when input_tokens <= 50", _timeout, None),
        ("fallback big when input_tokens <= 50", _certainly_not_billed, None),
        ("fallback big when input_tokens <= 50", _told, "big"),
        ("fallback big when input_tokens > 50", _told, None),
    ],
)
def test_a_fallback_knows_what_was_sent(rule: str, fails: Callable[[Attempt], None], route: str | None) -> None:
    made = engine({"outcome": rule}, errors={Odd: Failure("timeout", billed=False)})
    went = []

    def work(run: Execution) -> None:
        with run:
            for attempt in run.step("write", **ASKS):
                with attempt:
                    went.append(attempt.route)
                    fails(attempt)

    with pytest.raises((TimeoutError, Odd)):
        work(made.execution("draft", customer="acme"))
    assert went == (["mini"] if route is None else ["mini", route])


# ---------------------------------------------------------------- amounts


@pytest.mark.parametrize(
    "actual",
    [
        {"input_tokens": -5, "output_tokens": 1},
        {"input_tokens": 1, "output_tokens": 10**30},
        {"cost_nanos": -1},
        {"cost_nanos": 2**63},
    ],
    ids=str,
)
@pytest.mark.parametrize("word", ["succeed", "fail"])
def test_what_cannot_be_booked_is_told_and_the_reserved_amount_charged(
    ledger: Ledger, actual: dict[str, Any], word: str
) -> None:
    with engine(ledger=ledger).execution("draft", customer="acme") as run:
        for attempt in run.step("write", **ASKS):
            with attempt, pytest.raises(UsageError):
                attempt.succeed(**actual) if word == "succeed" else attempt.fail("timeout", **actual)
        run.deliver()
    assert run.spent_nanos == WORST
    assert spent(ledger) == (WORST, 0)


def test_a_count_beyond_counting_charges_the_reserved_amount(ledger: Ledger) -> None:
    """It adds up to more than fits; else the hold would stay for good, and the execution could not be ended."""
    made = engine(ledger=ledger, mode="shadow")
    with made.execution("draft", customer="acme") as run:
        for attempt in run.step("write", **ASKS):
            with attempt:
                for _ in range(10):
                    attempt.meter.add(10**12)
        run.deliver()
    assert run.spent_nanos == WORST
    assert spent(ledger) == (WORST, 0)


# ---------------------------------------------------------------- once


def test_of_many_threads_one_ends_it() -> None:
    made = engine(ledger=MemoryLedger())
    for _ in range(50):
        with made.execution("draft", customer="acme") as run:
            attempt = next(run.step("write", **ASKS))
            together = Barrier(4)

            def end(attempt: Attempt = attempt, together: Barrier = together) -> int:
                together.wait()
                try:
                    attempt.succeed(input_tokens=10, output_tokens=10)
                except NotRunning:
                    return 0
                return 1

            with ThreadPoolExecutor(4) as pool:
                ended = [pool.submit(end) for _ in range(4)]
            assert sum(one.result() for one in ended) == 1
        assert run.spent_nanos == 3 * CENT


# ---------------------------------------------------------------- whatever comes in between


@dataclass(frozen=True)
class Frozen(Exception):
    """As some write their errors: it takes no note."""

    code: int = 7


@pytest.mark.parametrize("rules", [{}, {"mini": "retry 2 on timeout"}])
def test_an_error_that_takes_no_note_is_raised_all_the_same(ledger: Ledger, rules: dict[str, str]) -> None:
    made = engine(rules, ledger=ledger, errors={Frozen: "timeout"})
    with pytest.raises(Frozen), made.execution("draft", customer="acme") as run:  # noqa: PT012 - as it is written
        for attempt in run.step("write", **ASKS):
            with attempt:
                raise Frozen
    assert run.state == "aborted"


@pytest.mark.parametrize("at", ["decided", "attempt_began"])
def test_an_interrupt_right_after_the_reservation_leaves_nothing_held(ledger: Ledger, at: str) -> None:
    """Control-C may come anywhere; here it comes while an observer is told."""

    class Interrupting(Observer):
        def decided(self, decision: Decision, facts: Any, run: Any, step: Any) -> None:
            if at == "decided" and decision.effect == "go":
                raise KeyboardInterrupt

        def attempt_began(self, attempt: Attempt) -> None:
            if at == "attempt_began":
                raise KeyboardInterrupt

    made = engine(ledger=ledger, observers=[Interrupting()])
    with pytest.raises(KeyboardInterrupt), made.execution("draft", customer="acme") as run:
        next(run.step("write", **ASKS))
    assert spent(ledger) == (run.spent_nanos, 0)


def test_a_clock_that_steps_back_gives_no_call_more_time(ledger: Ledger) -> None:
    made = engine({"outcome": "ceiling 10s per outcome"}, ledger=ledger)
    with made.execution("draft", customer="acme") as run:
        attempt = next(run.step("write", **ASKS))
        made.clock.sleep(-3600 * SECOND)
        assert attempt.timeout_seconds == 10


# ---------------------------------------------------------------- steps side by side


class Unhurried(MemoryLedger):
    """So slow that whoever comes at the same time is there before it answers."""

    def reserve(self, holds: Any, now_micros: int) -> Any:
        sleep(0.02)
        return super().reserve(holds, now_micros)


def test_an_execution_that_is_handed_off_takes_one_place_at_the_desk() -> None:
    """All its steps fail at once; one of them hands it off, the others find it ended."""
    ledger = Unhurried()
    made = engine({"lanes": "standard", "outcome": "fallback tier2 on any", "tier2": "limit 5 per day"}, ledger=ledger)
    together = Barrier(3)

    def fail(run: Execution, step: str) -> str:
        try:
            for attempt in run.step(step, **ASKS):
                with attempt:
                    together.wait()
                    raise TimeoutError
        except (HandedOff, TimeoutError) as end:
            return type(end).__name__
        return ""

    with made.execution("draft", customer="acme") as run, ThreadPoolExecutor(3) as pool:
        ends = sorted(pool.map(fail, [run] * 3, "abc"))
    assert (run.state, ends) == ("handed_off", ["HandedOff", "TimeoutError", "TimeoutError"])
    with ledger.book() as book:
        assert [(b.settled, b.reserved) for b in book.balances() if b.counter.meter.quantity == "count"] == [(1, 0)]


def test_a_step_is_asked_by_one_thread_at_a_time() -> None:
    """Two attempts of one step at once: the first would be forgotten, and held until its lease ends."""
    made = engine(ledger=Unhurried())
    together = Barrier(3)

    def ask(step: Step) -> str:
        together.wait()
        try:
            next(step)
        except NotRunning as error:
            return str(error)
        return ""

    with made.execution("draft", customer="acme") as run, ThreadPoolExecutor(3) as pool:
        told = sorted(pool.map(ask, [run.step("write", **ASKS)] * 3))
        assert run.attempts == 1
    assert told[0] == ""
    assert all("`write` is" in message for message in told[1:])
    assert spent(made.ledger) == (WORST, 0)
