"""The call in the user's code: reserved before, settled after, whatever happens inside. Sync and async alike."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from policy_engine.ledger.protocol import Ledger
from policy_engine.runtime.attempt import Attempt
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Cut, Denied, HandedOff, InProgress, NotRunning, Stopped
from policy_engine.runtime.execution import Execution
from policy_engine.runtime.mapping import Errors, Failure
from policy_engine.runtime.observing import Observer
from policy_engine.runtime.usage import UsageError
from tests.runtime.desk import ASKS, CENT, NOON, SECOND, Broken, Odd, RateLimited, engine, ledger, spent, units

__all__ = ["ledger"]  # a fixture

Call = Callable[[Attempt], object]


def work(engine: Engine, call: Call, *, errors: Errors | None = None, key: str | None = None) -> Execution:
    """One execution of one step, as the issue writes it."""
    with engine.execution("draft", customer="acme", key=key) as run:
        run_of.append(run)
        for attempt in run.step("draft", **ASKS, errors=errors):
            with attempt:
                call(attempt)
        run.deliver()
    return run


def work_async(engine: Engine, call: Call, *, errors: Errors | None = None, key: str | None = None) -> Execution:
    """The same with `async`."""

    async def main() -> Execution:
        async with engine.execution("draft", customer="acme", key=key) as run:
            run_of.append(run)
            async for attempt in run.step("draft", **ASKS, errors=errors):
                async with attempt:
                    call(attempt)
                    await asyncio.sleep(0)
            run.deliver()
        return run

    return asyncio.run(main())


run_of: list[Execution] = []
"""The executions of a test, also of one that raised."""


@pytest.fixture(params=[work, work_async], ids=["sync", "async"], autouse=True)
def do(request: pytest.FixtureRequest) -> Callable[..., Execution]:
    run_of.clear()
    found: Callable[..., Execution] = request.param
    return found


def failing(*errors: BaseException | None) -> Call:
    """A client that raises these, one after the other, and then answers."""
    coming = list(errors)

    def call(attempt: Attempt) -> None:
        error = coming.pop(0) if coming else None
        if error is not None:
            raise error
        attempt.settle(input_tokens=50, output_tokens=25)

    return call


MINI = 50 * 10**6 + 25 * 2 * 10**6  # nanos of 50 + 25 tokens on `mini`: $0.10
WORST = 30 * CENT
WORST_BIG = 300 * CENT


def test_a_call_is_settled_at_what_it_used(do: Callable[..., Execution], ledger: Ledger) -> None:
    seen: list[tuple[int, int]] = []

    def call(attempt: Attempt) -> None:
        seen.append(spent(ledger))
        assert (attempt.model, attempt.provider, attempt.route) == ("gpt-4o-mini", "openai", "mini")
        assert attempt.max_output_tokens == 100
        attempt.settle(input_tokens=50, output_tokens=25)

    run = do(engine(ledger=ledger), call)
    assert seen == [(0, WORST)]
    assert spent(ledger) == (MINI, 0)
    assert run.result is not None
    assert (run.result.state, run.result.spent_nanos, run.result.attempts) == ("accepted", MINI, 1)
    assert run.revenue_nanos == 200 * CENT


RETRY = {"outcome": "retry 2 on rate_limit, server_error  fallback next on any"}


@pytest.mark.parametrize(
    ("errors", "routes", "charged"),
    [
        ([RateLimited()], ["mini", "mini"], MINI),  # turned away: certainly not billed
        ([Broken()], ["mini", "mini"], WORST + MINI),  # it may have been billed
        ([Broken(), RateLimited()], ["mini", "mini", "mini"], WORST + MINI),
        ([TimeoutError()], ["mini", "big"], WORST + 10 * MINI),  # no retry of it: the next route
        ([Broken(), Broken(), Broken()], ["mini", "mini", "mini", "big"], 3 * WORST + 10 * MINI),
        ([ConnectionRefusedError()], ["mini", "big"], 10 * MINI),
    ],
    ids=["429", "500", "500 429", "timeout", "retries spent", "refused"],
)
def test_a_mapped_error_is_absorbed_where_another_attempt_follows(
    do: Callable[..., Execution], ledger: Ledger, errors: list[Exception], routes: list[str], charged: int
) -> None:
    went: list[str] = []
    answer = failing(*errors)

    def call(attempt: Attempt) -> None:
        went.append(attempt.route)
        answer(attempt)

    run = do(engine(RETRY, ledger=ledger), call)
    assert went == routes
    assert spent(ledger) == (charged, 0)
    assert run.state == "accepted"


@pytest.mark.parametrize(("kind", "charged"), [(Broken, WORST), (TimeoutError, WORST), (RateLimited, 0)])
def test_on_stop_the_original_is_raised_with_the_decision(
    do: Callable[..., Execution], ledger: Ledger, kind: type[Exception], charged: int
) -> None:
    error = kind("as it came")
    with pytest.raises(kind) as raised:
        do(engine(ledger=ledger), failing(error))
    assert raised.value is error
    assert error.__notes__ == ["policy: stop"]
    (run,) = run_of
    assert run.state == "aborted"
    assert [said.effect for said in run.decisions] == ["allow", "go", "stop", "aborted"]
    assert spent(ledger) == (charged, 0)


def test_the_decision_that_stopped_is_on_the_execution() -> None:
    with engine().execution("draft", customer="acme") as run:
        with pytest.raises(Broken):  # noqa: PT012 - the loop is what raises
            for attempt in run.step("draft", **ASKS):
                with attempt:
                    raise Broken
        assert (run.decision.point, run.decision.effect) == ("failure", "stop")


@pytest.mark.parametrize("error", [Odd("?"), KeyError("reply"), KeyboardInterrupt(), asyncio.CancelledError()])
def test_an_unmapped_error_propagates_and_is_charged(
    do: Callable[..., Execution], ledger: Ledger, error: BaseException
) -> None:
    """Whatever may follow by the policy: it is not asked."""
    with pytest.raises(type(error)):
        do(engine(RETRY, ledger=ledger), failing(error))
    (run,) = run_of
    assert "stop" not in [said.effect for said in run.decisions]
    assert spent(ledger) == (WORST, 0)
    assert run.state == "aborted"
    assert not hasattr(error, "__notes__")


def test_what_was_said_before_an_error_is_what_is_charged(do: Callable[..., Execution], ledger: Ledger) -> None:
    def call(attempt: Attempt) -> None:
        attempt.settle(input_tokens=50, output_tokens=25)
        raise Odd

    with pytest.raises(Odd):
        do(engine(ledger=ledger), call)
    assert spent(ledger) == (MINI, 0)


@pytest.mark.parametrize(
    ("mapping", "routes"),
    [
        ({Odd: "timeout"}, ["mini", "big"]),
        ({Odd: Failure("rate_limit", billed=False)}, ["mini", "mini"]),
        ({Exception: "rate_limit"}, ["mini", "mini"]),
    ],
    ids=["class", "failure", "base"],
)
def test_errors_are_mapped_by_the_caller(
    do: Callable[..., Execution], ledger: Ledger, mapping: Errors, routes: list[str]
) -> None:
    for options, errors in (({"errors": mapping}, None), ({}, mapping)):
        went: list[str] = []
        answer = failing(Odd())

        def call(attempt: Attempt, went: list[str] = went, answer: Call = answer) -> None:
            went.append(attempt.route)
            answer(attempt)

        do(engine(RETRY, ledger=ledger, **options), call, errors=errors)
        assert went == routes


def test_the_innermost_mapping_of_an_error_counts() -> None:
    """Of the step, else of the execution, else of the engine."""
    rules = {"outcome": "fallback big on timeout  retry 1 on rate_limit"}
    made = engine(rules, errors={Odd: "server_error", KeyError: "timeout"})
    went = []
    with made.execution("draft", customer="acme", errors={Odd: "rate_limit", OSError: None}) as run:
        for attempt in run.step("draft", **ASKS):
            with attempt:
                went.append(attempt.route)
                if len(went) < 3:
                    raise Odd if len(went) == 1 else KeyError
        for attempt in run.step("again", **ASKS, errors={Odd: "timeout"}):
            with attempt:
                went.append(attempt.route)
                if len(went) < 5:
                    raise Odd
        with pytest.raises(ConnectionError) as raised:  # noqa: PT012 - the loop is what raises
            for attempt in run.step("last", **ASKS):
                with attempt:
                    raise ConnectionError
    assert went == ["mini", "mini", "big", "mini", "big"]
    assert not hasattr(raised.value, "__notes__")


@pytest.mark.parametrize(
    ("errors", "said"),
    [({Odd: "rate_limits"}, "did you mean `rate_limit`"), ({int: "timeout"}, "`int` is no subclass")],
)
def test_a_wrong_mapping_is_told_at_once(errors: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        engine(errors=errors)


def test_a_mapping_to_none_takes_an_error_out(do: Callable[..., Execution]) -> None:
    with pytest.raises(TimeoutError) as raised:
        do(engine(RETRY, errors={TimeoutError: None}), failing(TimeoutError()))
    assert not hasattr(raised.value, "__notes__")


# ---------------------------------------------------------------- refusals and handoffs


HAND_OFF = {"lanes": "standard", "outcome": "fallback next on any"}


def test_a_handoff_is_never_yielded(do: Callable[..., Execution], ledger: Ledger) -> None:
    errors = [Broken("first"), Broken("second")]
    with pytest.raises(HandedOff) as raised:
        do(engine(HAND_OFF, ledger=ledger, errors={Exception: "server_error"}), failing(*errors))
    assert (raised.value.target, raised.value.route, raised.value.cost_nanos) == ("tier 2", "tier2", 250 * CENT)
    assert raised.value.__cause__ is errors[1]
    (run,) = run_of
    assert (run.state, run.handoff_nanos, run.attempts) == ("handed_off", 250 * CENT, 2)
    assert spent(ledger) == (WORST + WORST_BIG, 0)


def test_a_refusal_at_once_may_hand_off(do: Callable[..., Execution]) -> None:
    rules = HAND_OFF | {"file": "ceiling $0.10 per outcome"}
    with pytest.raises(HandedOff) as raised:
        do(engine(rules), failing())
    assert raised.value.__cause__ is None


def test_a_refusal_without_a_way_out_stops(do: Callable[..., Execution], ledger: Ledger) -> None:
    with pytest.raises(Stopped, match=r"over the ceiling; because `ceiling \$0.10 per outcome`"):
        do(engine({"file": "ceiling $0.10 per outcome"}, ledger=ledger), failing())
    (run,) = run_of
    assert (run.state, run.attempts) == ("aborted", 0)
    assert spent(ledger) == (0, 0)


def test_the_original_is_raised_if_the_next_attempt_is_refused(do: Callable[..., Execution], ledger: Ledger) -> None:
    """The retry would have followed, had it fitted."""
    rules = RETRY | {"file": "ceiling $0.50 per outcome"}
    with pytest.raises(Broken) as raised:
        do(engine(rules, ledger=ledger), failing(Broken()))
    assert raised.value.__notes__ == ["policy: stop"]
    assert spent(ledger) == (WORST, 0)


def test_denied_spends_nothing(do: Callable[..., Execution], ledger: Ledger) -> None:
    with pytest.raises(Denied):
        do(engine({"outcome": "allow when plan is base"}, ledger=ledger), failing())
    assert spent(ledger) == (0, 0)


@pytest.mark.parametrize("kind", [Denied, HandedOff, Stopped, Cut, InProgress])
def test_what_is_terminal_is_no_error_of_a_client(kind: type[Exception]) -> None:
    assert kind.__mro__[1:] == (kind.__mro__[1], Exception, BaseException, object)
    for retryable in (OSError, TimeoutError, ConnectionError, RuntimeError):
        assert not issubclass(kind, retryable)


def test_a_terminal_error_is_not_absorbed_by_an_attempt_around_it(do: Callable[..., Execution]) -> None:
    """Even if the caller maps every exception."""
    inner = engine({"outcome": "allow when plan is base"})

    def call(attempt: Attempt) -> None:
        inner.execution("draft", customer="acme")

    with pytest.raises(Denied):
        do(engine(RETRY, errors={Exception: "rate_limit"}), call)
    assert len(run_of[0].decisions) == 3


# ---------------------------------------------------------------- waiting


def test_a_retry_waits(do: Callable[..., Execution]) -> None:
    made = engine({"outcome": "retry 2 on rate_limit backoff 250ms..4s"})
    do(made, failing(RateLimited(), RateLimited()))
    assert made.clock.now_micros() == NOON + 750_000


def test_an_execution_that_ends_while_a_step_waits_raises_the_original(ledger: Ledger) -> None:
    class Ending(PinnedClock):
        def sleep(self, micros: int) -> None:
            super().sleep(micros)
            run.deliver()

    made = engine({"outcome": "retry 2 on server_error backoff 1s"}, ledger=ledger, clock=Ending(NOON))
    run = made.execution("draft", customer="acme")
    with run, pytest.raises(Broken):  # noqa: PT012 - the loop is what raises
        for attempt in run.step("draft", **ASKS):
            with attempt:
                raise Broken
    assert run.state == "accepted"
    assert spent(ledger) == (WORST, 0)


def test_a_deadline_is_a_time_and_a_timeout(do: Callable[..., Execution]) -> None:
    made = engine({"outcome": "ceiling 90s per outcome"})

    def call(attempt: Attempt) -> None:
        made.clock.sleep(30 * SECOND)
        assert attempt.deadline is not None
        assert attempt.deadline.isoformat() == "2026-11-22T12:01:30+00:00"
        assert attempt.timeout_seconds == 60.0

    do(made, call)


# ---------------------------------------------------------------- endings


def test_leaving_without_deliver_is_an_abort(ledger: Ledger) -> None:
    with engine(ledger=ledger).execution("draft", customer="acme", plan="base") as run:
        assert units(ledger) == [(1, 0)]
    assert run.state == "aborted"
    assert units(ledger) == [(0, 0)]
    with pytest.raises(NotRunning, match="is aborted"):
        run.step("draft")


def test_an_attempt_that_nobody_left_is_charged(ledger: Ledger) -> None:
    with engine(ledger=ledger).execution("draft", customer="acme") as run:
        for _ in run.step("draft", **ASKS):
            break
    assert spent(ledger) == (WORST, 0)


def test_an_attempt_has_to_be_left_before_the_next() -> None:
    with engine().execution("draft", customer="acme") as run, pytest.raises(NotRunning, match="use it in a `with`"):
        for _ in run.step("draft", **ASKS):
            pass


def test_an_attempt_that_was_never_handed_out_costs_nothing(ledger: Ledger) -> None:
    """The caller leaves between a failure that was absorbed and the attempt that follows."""
    with engine(RETRY, ledger=ledger).execution("draft", customer="acme") as run:
        for attempt in run.step("draft", **ASKS):
            with attempt:
                raise RateLimited
            break
        assert spent(ledger) == (0, WORST)
    assert spent(ledger) == (0, 0)
    assert run.attempts == 1


def test_an_attempt_may_fail_by_word(ledger: Ledger) -> None:
    """A reply that came and is no good."""
    went = []
    with engine({"outcome": "fallback next on invalid_output"}, ledger=ledger).execution("draft", customer="a") as run:
        for attempt in run.step("draft", **ASKS):
            with attempt:
                went.append(attempt.route)
                attempt.settle(input_tokens=50, output_tokens=25)
                if attempt.route == "mini":
                    attempt.fail("invalid_output")
        run.deliver()
    assert went == ["mini", "big"]
    assert spent(ledger) == (MINI + 10 * MINI, 0)


def test_a_failure_by_word_without_a_way_out_stops() -> None:
    run = engine().execution("draft", customer="acme")
    with pytest.raises(Stopped), run:  # noqa: PT012 - the loop is what raises
        for attempt in run.step("draft", **ASKS):
            with attempt:
                attempt.fail("invalid_output")


@pytest.mark.parametrize("usage", [object(), {"total": 3}, {"input_tokens": "many"}, 7, SimpleNamespace(usage=None)])
def test_a_usage_of_no_known_shape_is_told_and_the_reserved_amount_charged(
    do: Callable[..., Execution], ledger: Ledger, usage: object
) -> None:
    with pytest.raises(UsageError):
        do(engine(ledger=ledger), lambda attempt: attempt.settle(usage))
    assert spent(ledger) == (WORST, 0)


def test_more_than_reserved_is_booked_in_full_and_flagged(do: Callable[..., Execution], ledger: Ledger) -> None:
    seen: list[Attempt] = []

    def call(attempt: Attempt) -> None:
        seen.append(attempt)
        attempt.settle(cost="$0.70")

    do(engine(ledger=ledger), call)
    assert seen[0].over == ("spent",)
    assert spent(ledger) == (70 * CENT, 0)


def test_a_step_may_state_its_estimate(ledger: Ledger) -> None:
    with engine(ledger=ledger).execution("draft", customer="acme") as run:
        for attempt in run.step("draft", estimate="0.05"):
            with attempt:
                assert spent(ledger) == (0, 5 * CENT)
    assert spent(ledger) == (5 * CENT, 0)


def test_a_cap_is_shrunk_to_what_is_left(ledger: Ledger) -> None:
    made = engine({"file": "ceiling $0.25 per outcome"}, ledger=ledger)
    with made.execution("draft", customer="acme") as run:
        for attempt in run.step("draft", **ASKS, min_output_tokens=10):
            with attempt:
                assert attempt.max_output_tokens == 75
        run.deliver()


# ---------------------------------------------------------------- observers


class Listening:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *about: self.heard.append(name if name != "decided" else about[0].effect)


def test_observers_hear_everything_in_order(do: Callable[..., Execution]) -> None:
    listening: Any = Listening()
    do(engine(RETRY, observers=[listening]), failing(Broken()))
    once = ["attempt_began", "attempt_entered", "attempt_left", "attempt_ended"]
    assert listening.heard == ["allow", "began", "go", *once, "retry", "go", *once, "accepted", "ended"]


def test_an_observer_that_fails_stops_nothing(do: Callable[..., Execution]) -> None:
    failed: list[str] = []

    def failing_at(name: str) -> Callable[..., None]:
        def fail(*about: object) -> None:
            failed.append(name)
            raise RuntimeError(name)

        return fail

    names = [name for name in vars(Observer) if not name.startswith("_")]
    observer = type("Failing", (Observer,), {name: failing_at(name) for name in names})()
    assert do(engine(observers=[observer]), failing()).state == "accepted"
    assert {*failed, "store_failed", "attempt_released", "forked"} == set(names)
