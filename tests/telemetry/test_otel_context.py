"""What an attempt's span is current for, and that it ends however the attempt does."""

import asyncio
import gc
import os
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from threading import Thread
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from policy_engine.runtime.errors import Cut, Denied, HandedOff, Stopped
from tests.runtime.test_forks import in_a_child
from tests.telemetry.seeing import ASKS, Seen

pytestmark = pytest.mark.usefixtures("nothing_fails")

SAID = "what the model said"
FAR = {"outcome": "retry 3 on timeout", "premium": "forbid"}


def call(seen: Seen, error: BaseException | None = None) -> None:
    """A client that is instrumented."""
    with seen.tracer.start_as_current_span("POST"):
        if error is not None:
            raise error


def nothing_is_current() -> bool:
    return trace.get_current_span() is trace.INVALID_SPAN


def parents(seen: Seen, name: str) -> set[int]:
    return {span.parent.span_id for span in seen.named(name)}


def ids(seen: Seen, name: str) -> set[int]:
    return {span.context.span_id for span in seen.named(name)}


def test_the_call_is_below_its_attempt() -> None:
    seen = Seen(FAR)
    with seen.engine.execution("draft", customer="acme") as run:
        for attempt in run.step("main", **ASKS):
            assert nothing_is_current()
            with attempt:
                call(seen, TimeoutError() if attempt.number < 3 else None)
        assert nothing_is_current()
    assert len(ids(seen, "chat")) == 3
    assert parents(seen, "POST") == ids(seen, "chat")
    assert parents(seen, "chat") == ids(seen, "invoke_workflow")


def test_side_by_side_in_tasks() -> None:
    seen = Seen(FAR)

    async def work(name: str) -> None:
        async with seen.engine.execution("draft", customer=name) as run:
            async for attempt in run.step("main", **ASKS):
                async with attempt:
                    await asyncio.sleep(0)
                    call(seen, TimeoutError() if attempt.number < 3 else None)
            assert nothing_is_current()
            run.deliver()

    async def all_of_it() -> None:
        await asyncio.gather(*(work(f"c{number}") for number in range(5)))

    asyncio.run(all_of_it())
    assert len(ids(seen, "chat")) == 15
    assert parents(seen, "POST") == ids(seen, "chat")


def test_side_by_side_in_threads() -> None:
    seen = Seen(FAR)

    def work(number: int) -> bool:
        with seen.engine.execution("draft", customer=f"c{number}") as run:
            for attempt in run.step("main", **ASKS):
                with attempt:
                    call(seen, TimeoutError() if attempt.number < 3 else None)
            run.deliver()
        return nothing_is_current()

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(12)))
    assert len(ids(seen, "chat")) == 36
    assert parents(seen, "POST") == ids(seen, "chat")


def test_what_was_current_before_is_so_again() -> None:
    seen = Seen(FAR)
    with seen.tracer.start_as_current_span("request") as request:
        with seen.engine.execution("draft", customer="acme") as run:
            for attempt in run.step("main", **ASKS):
                with attempt, suppress(ZeroDivisionError):
                    call(seen, ZeroDivisionError())
        assert trace.get_current_span() is request


@pytest.mark.parametrize("elsewhere", ["thread", "context"])
def test_left_elsewhere_than_entered(elsewhere: str) -> None:
    """Nothing is complained of, and where it is left another span stays current."""
    seen = Seen(FAR)
    run = seen.engine.execution("draft", customer="acme")
    attempt = next(run.step("main", **ASKS))

    def leave() -> None:
        attempt.__exit__(None, None, None)
        assert trace.get_current_span() is not request

    with seen.tracer.start_as_current_span("request") as request:
        copy_context().run(attempt.__enter__)
        assert trace.get_current_span() is request
        if elsewhere == "thread":
            thread = Thread(target=leave)
            thread.start()
            thread.join()
        else:
            attempt.__exit__(None, None, None)
        assert trace.get_current_span() is request
    run.leave()
    assert len(ids(seen, "chat")) == 1


def test_executions_inside_an_attempt_are_below_it() -> None:
    seen = Seen(FAR)
    with seen.engine.execution("draft", customer="acme") as run:
        for attempt in run.step("main", **ASKS):
            with attempt, seen.engine.execution("note", customer="acme"):
                pass
    (note,) = seen.named("invoke_workflow note")
    assert {note.parent.span_id} == ids(seen, "chat")


# ---------------------------------------------------------------- how it ends


def unmapped(seen: Seen) -> None:
    with seen.engine.execution("draft", customer="acme") as run:
        for attempt in run.step("main", **ASKS):
            with attempt:
                raise KeyError(SAID)


def mapped(seen: Seen) -> None:
    with seen.engine.execution("draft", customer="acme") as run:
        for attempt in run.step("main", **ASKS):
            with attempt:
                raise TimeoutError(SAID)


def cancelled(seen: Seen) -> None:
    async def work() -> None:
        async with seen.engine.execution("draft", customer="acme") as run:
            async for attempt in run.step("main", **ASKS):
                async with attempt:
                    await asyncio.sleep(60)

    async def cut_short() -> None:
        async with asyncio.timeout(0.01):
            await work()

    asyncio.run(cut_short())


def cut(seen: Seen) -> None:
    with seen.engine.execution("draft", customer="acme") as run:
        for attempt in run.step("main", **ASKS):
            with attempt:
                for _ in attempt.meter([60, 60, 60]):
                    pass


def closed(seen: Seen) -> None:
    def streamed() -> Generator[int, None, None]:
        with seen.engine.execution("draft", customer="acme") as run:
            for attempt in run.step("main", **ASKS):
                with attempt:
                    yield from attempt.meter([1, 1])

    stream = streamed()
    next(stream)
    stream.close()  # the customer has gone


@pytest.mark.parametrize(
    ("ends", "raised", "attempt_type", "execution_type", "noted"),
    [
        (unmapped, KeyError, "KeyError", "KeyError", True),
        (mapped, TimeoutError, "timeout", "TimeoutError", True),
        (cancelled, TimeoutError, "asyncio.exceptions.CancelledError", "asyncio.exceptions.CancelledError", True),
        (cut, Cut, "over_ceiling", "policy_engine.runtime.errors.Cut", True),
        (closed, None, None, "GeneratorExit", False),
    ],
)
def test_status_and_exception(
    ends: Callable[[Seen], None],
    raised: type[BaseException] | None,
    attempt_type: str | None,
    execution_type: str,
    noted: bool,
) -> None:
    seen = Seen({"premium": "forbid"})
    with suppress(*([raised] if raised else [])):
        ends(seen)
        assert raised is None
    (made,), (whole,) = seen.named("chat"), seen.named("invoke_workflow")
    wrong = StatusCode.ERROR if attempt_type else StatusCode.UNSET
    assert (made.status.status_code, made.attributes.get("error.type")) == (wrong, attempt_type)
    assert whole.status.status_code is StatusCode.ERROR
    assert (whole.attributes["error.type"], whole.attributes["policy_engine.state"]) == (execution_type, "aborted")
    for span in (made, whole):
        events = [event for event in span.events if event.name == "exception"]
        assert len(events) == noted
        assert all(event.attributes["exception.type"] for event in events)
        assert SAID not in span.to_json()  # a message may hold a prompt or an answer
        if noted and raised is not Cut:
            assert __file__ in events[0].attributes["exception.stacktrace"]
    (tried,) = seen.points("policy_engine.attempts")
    assert tried.attributes.get("error.type") == attempt_type
    assert nothing_is_current()


def test_a_stop_says_why() -> None:
    seen = Seen({"outcome": "ceiling $0.10 per outcome as cap", "premium": "forbid"})
    with suppress(Stopped), seen.engine.execution("draft", customer="acme") as run:
        next(run.step("main", **ASKS))
    (whole,) = seen.named("invoke_workflow")
    assert whole.attributes["error.type"] == "policy_engine.runtime.errors.Stopped"
    assert "`cap` (limit $0.10, used $0, asked $0.30)" in whole.status.description
    assert seen.named("chat") == []


def test_a_handoff_is_no_error() -> None:
    seen = Seen({"outcome": "fallback human", "premium": "forbid"})
    with suppress(HandedOff), seen.engine.execution("draft", customer="acme") as run:
        for attempt in run.step("main", **ASKS):
            with attempt:
                raise TimeoutError
    (whole,) = seen.named("invoke_workflow")
    assert (whole.attributes["policy_engine.state"], whole.status.status_code) == ("handed_off", StatusCode.UNSET)


def test_a_denial_has_a_type() -> None:
    seen = Seen()
    with suppress(Denied):
        seen.engine.execution("draft", customer="acme", plan="other")
    (denied,) = seen.named("invoke_workflow draft")
    assert denied.attributes["error.type"] == "not_in_plan"
    assert denied.attributes["policy_engine.policy_digest"] == seen.engine.policy.digest


def test_given_back_ends_at_once() -> None:
    seen = Seen()
    with seen.engine.execution("draft", customer="acme") as run:
        attempt = run.step("main").attempt(**ASKS)
        assert attempt is not None
        attempt.release()
        (span,) = seen.named("chat")
        assert span.attributes["policy_engine.released"] is True


def test_an_execution_that_is_never_left_ends_all_the_same() -> None:
    seen = Seen()

    def forgotten() -> None:
        next(seen.engine.execution("draft", customer="acme").step("main", **ASKS))

    forgotten()
    gc.collect()
    assert seen.named("invoke_workflow") == []  # the collector may run anywhere: nothing is exported from there
    assert seen.total("policy_engine.executions", state="abandoned") == 1
    (whole,) = seen.named("invoke_workflow")
    assert (whole.status.status_code, whole.attributes["error.type"]) == (StatusCode.ERROR, "abandoned")
    assert len(seen.named("chat")) == 1
    assert not seen.observer._runs


def test_what_is_delivered_and_not_left_was_delivered() -> None:
    seen = Seen()
    seen.engine.execution("draft", customer="acme").deliver()
    gc.collect()
    assert seen.total("policy_engine.executions", state="accepted") == 1


def test_the_engine_may_be_closed_before_its_executions_end() -> None:
    seen = Seen()
    with seen.engine.execution("draft", customer="acme") as run:
        seen.engine.close()
        run.deliver()
    assert seen.total("policy_engine.executions", state="accepted") == 1


def test_who_lost_an_execution_says_so() -> None:
    seen = Seen()
    options: dict[str, Any] = {"customer": "acme", "key": "k"}
    seen.engine.leases.lease_micros = 1
    with seen.engine.execution("draft", **options) as run:
        seen.clock.sleep(10)
        with seen.engine.execution("draft", **options) as again:
            assert again.resumed
            with suppress(Exception):
                run.deliver()
            again.deliver()
    assert seen.total("policy_engine.executions", state="lost") == 1
    assert seen.total("policy_engine.executions", state="accepted") == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_ends_no_span_of_its_parents() -> None:
    seen = Seen()
    with seen.engine.execution("draft", customer="acme") as run:

        def child() -> None:
            run.leave()
            assert not seen.observer._runs
            gc.collect()
            assert seen.points("policy_engine.executions") == []
            assert seen.named("invoke_workflow") == []

        in_a_child(child)
        run.deliver()
    assert seen.total("policy_engine.executions", state="accepted") == 1
