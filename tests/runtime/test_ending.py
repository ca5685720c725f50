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
from tests.runtime.desk import ASKS, CENT, NOON, SECOND, Odd, engine, ledger, spent

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


# ---------------------------------------------------------------- attempts that are asked for one by one


def test_one_by_one_a_retry_waits_as_long_once(ledger: Ledger) -> None:
    made = engine({"outcome": "retry 2 on timeout backoff 4s"}, ledger=ledger)
    with made.execution("draft", customer="acme") as run:
        step = run.step("write")
        times = []
        for _ in range(3):
            attempt = step.attempt(**ASKS)
            assert attempt is not None
            times.append((made.clock.now_micros() - NOON, attempt.number))
            if len(times) < 3:
                attempt.fail("timeout")
            else:
                attempt.release()
        assert step.attempt(**ASKS) is not None
    assert times == [(0, 1), (4 * SECOND, 2), (8 * SECOND, 3)]
    assert made.clock.now_micros() == NOON + 8 * SECOND


def test_a_delay_is_that_of_one_retry_alone() -> None:
    """The next route is asked at once."""
    made = engine({"outcome": "retry 1 on timeout backoff 4s  fallback next on any"})
    times = []
    with made.execution("draft", customer="acme") as run:
        for attempt in run.step("write", **ASKS):
            with attempt:
                times.append((made.clock.now_micros() - NOON, attempt.route))
                if attempt.route == "mini":
                    raise TimeoutError
    assert times == [(0, "mini"), (4 * SECOND, "mini"), (4 * SECOND, "big")]


def test_one_by_one_a_cap_is_shrunk_no_further_than_is_allowed() -> None:
    made = engine({"file": "ceiling $0.25 per outcome"})
    with made.execution("draft", customer="acme") as run:
        attempt = run.step("write").attempt(**ASKS, min_output_tokens=10)
        assert attempt is not None
        assert attempt.max_output_tokens == 75
        attempt.release()
        assert run.step("write").attempt(**ASKS, min_output_tokens=76) is None


def test_what_was_given_back_was_no_attempt(ledger: Ledger) -> None:
    """The next one has its number; neither the execution nor a limit knows of it."""
    with engine({"outcome": "limit 5 per day"}, ledger=ledger).execution("draft", customer="acme") as run:
        step = run.step("write", **ASKS)
        for _ in range(2):
            attempt = step.ask(**ASKS)
            assert attempt is not None
            assert (attempt.number, step.attempts, run.attempts) == (1, 1, 1)
            attempt.release()
            assert (step.attempts, step.failures, run.attempts) == (0, 0, 0)
    with ledger.book() as book:
        assert {(b.settled, b.reserved) for b in book.balances()} == {(0, 0)}


def test_an_execution_that_ends_hands_out_no_attempt_that_was_waiting(ledger: Ledger) -> None:
    """It was reserved as the first one failed; the execution is delivered before it is asked for."""
    with engine({"outcome": "retry 1 on timeout"}, ledger=ledger).execution("draft", customer="acme") as run:
        step = run.step("write", **ASKS)
        with next(step):
            raise TimeoutError
        run.deliver()
        with pytest.raises(NotRunning, match="is accepted"):
            next(step)
    assert spent(ledger) == (WORST, 0)
    assert (run.attempts, run.state) == (1, "accepted")


def test_a_step_of_an_execution_that_was_left_says_how_it_ended() -> None:
    with engine().execution("draft", customer="acme") as run:
        begun, waiting = run.step("begun", **ASKS), run.step("waiting", **ASKS)
        next(begun)
    for step in (begun, waiting):
        with pytest.raises(NotRunning, match="is aborted: see its `result`"):
            next(step)
        with pytest.raises(NotRunning, match="is aborted: see its `result`"):
            step.ask(**ASKS)


@pytest.mark.parametrize(("end", "cost"), [(Attempt.release, 0), (Attempt.leave, WORST)])
def test_a_step_whose_call_is_not_needed_is_over(ledger: Ledger, end: Callable[[Attempt], None], cost: int) -> None:
    """It has not failed, so there is nothing to do again: else the loop would go on for ever."""
    with engine({"outcome": "fallback next on any"}, ledger=ledger).execution("draft", customer="acme") as run:
        for number, attempt in enumerate(run.step("write", **ASKS)):
            assert number == 0
            with attempt:
                end(attempt)
        run.deliver()
    assert run.spent_nanos == cost
    assert spent(ledger) == (cost, 0)
