"""A ledger that waits is asked in a thread: other tasks go on, and a cancelled one leaves nothing half done."""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.sqlite import SqliteLedger
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Denied
from tests.runtime.desk import ASKS, CENT, RateLimited, engine, spent

WAITED_FOR = ["reserve", "settle", "change"]


class Slow:
    """A ledger in memory that stops in one method until it is let go, as one on a disk may."""

    waits = True

    def __init__(self, method: str = "") -> None:
        self._ledger = MemoryLedger()
        self.method = method
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.threads: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ledger, name)

        def call(*args: Any, **values: Any) -> Any:
            self.threads.add(threading.current_thread().name)
            if name == self.method:
                self.asked.set()
                assert self.go_on.wait(20), "nobody let it go on: the loop stands still"
            return found(*args, **values)

        return call if callable(found) else found


async def work(made: Engine, *, error: Exception | None = None) -> str:
    async with made.execution("draft", customer="acme") as run:
        async for attempt in run.step("main", **ASKS):
            async with attempt:
                await asyncio.sleep(0)
                if error is not None:
                    raise error
                attempt.settle(cost="0.10")
        await made.aside(run.deliver)
    return run.state


async def until(event: threading.Event) -> None:
    """Wait for what happens in a thread, with a loop that goes on."""
    for _ in range(4000):
        if event.is_set():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never happened")


@pytest.mark.parametrize("method", WAITED_FOR)
def test_other_tasks_go_on_while_the_ledger_is_asked(method: str) -> None:
    ledger: Any = Slow(method)
    made = engine(ledger=ledger)

    async def main() -> str:
        working = asyncio.create_task(work(made))
        await until(ledger.asked)  # with the ledger asked on the loop nothing would come back here
        ledger.go_on.set()
        return await working

    assert asyncio.run(main()) == "accepted"
    assert spent(ledger) == (10 * CENT, 0)


def test_an_execution_may_be_asked_for_aside() -> None:
    ledger: Any = Slow("begin")
    made = engine(ledger=ledger)

    async def main() -> str:
        async def one() -> str:
            async with await made.aside(made.execution, "draft", customer="acme") as run:
                await made.aside(run.deliver)
            return run.state

        working = asyncio.create_task(one())
        await until(ledger.asked)
        ledger.go_on.set()
        return await working

    assert asyncio.run(main()) == "accepted"


def test_a_denial_comes_through() -> None:
    made = engine({"outcome": "forbid when plan is base"}, ledger=Slow())

    async def main() -> None:
        await made.aside(made.execution, "draft", customer="acme", plan="base")

    with pytest.raises(Denied):
        asyncio.run(main())


@pytest.mark.parametrize(
    ("method", "came_to"),
    [
        ("begin", (0, 0)),  # admitted, and given up at once
        ("reserve", (0, 0)),  # the attempt was never handed out
        ("settle", (10 * CENT, 0)),
        ("change", (10 * CENT, 0)),
    ],
)
def test_a_cancelled_task_leaves_nothing_half_done(method: str, came_to: tuple[int, int]) -> None:
    ledger: Any = Slow(method)
    made = engine({"outcome": "limit 1 per customer per day"}, ledger=ledger)

    async def one() -> None:
        async with await made.aside(made.execution, "draft", customer="acme", key="k") as run:
            async for attempt in run.step("main", **ASKS):
                async with attempt:
                    attempt.settle(cost="0.10")
            await made.aside(run.deliver)

    async def main() -> None:
        working = asyncio.create_task(one())
        await until(ledger.asked)
        for _ in range(3):  # once more while it is waited for
            working.cancel()
            await asyncio.sleep(0.01)
        assert not working.done()
        ledger.go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await working

    asyncio.run(main())
    assert spent(ledger) == came_to
    with ledger.book() as book:
        assert [entry.hold.id for entry in book.entries() if entry.state == "held"] == []
    record = ledger.execution("acme", "draft", "k")
    assert record.state == ("accepted" if method == "change" else "aborted")
    assert record.lease_micros is None


def test_a_timeout_of_the_caller_is_one_of_the_caller() -> None:
    ledger: Any = Slow("reserve")
    made = engine({"mini": "retry 2 on timeout"}, ledger=ledger)

    async def main() -> None:
        threading.Timer(0.2, ledger.go_on.set).start()
        async with asyncio.timeout(0.05):
            await work(made)

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    assert spent(ledger) == (0, 0)


def test_a_coroutine_that_is_closed_settles_where_it_is() -> None:
    """Closing lets nothing be awaited: there is no loop any more, perhaps."""
    ledger: Any = Slow()
    made = engine(ledger=ledger)

    async def one() -> None:
        async with made.execution("draft", customer="acme", key="k") as run:
            attempt = run.step("main").attempt(**ASKS)
            assert attempt is not None
            async with attempt:
                attempt.settle(cost="0.10")
                await asyncio.sleep(0)

    coroutine = one()
    coroutine.send(None)
    coroutine.close()
    assert spent(ledger) == (10 * CENT, 0)
    assert ledger.execution("acme", "draft", "k").state == "aborted"


def test_a_generator_that_is_closed_settles_where_it_is() -> None:
    ledger: Any = Slow()
    made = engine(ledger=ledger)

    async def words() -> AsyncGenerator[str, None]:
        async with made.execution("draft", customer="acme", key="k") as run:
            async for attempt in run.step("main", **ASKS):
                async with attempt:
                    attempt.settle(cost="0.10")
                    yield "word"

    async def main() -> None:
        generator = words()
        assert await anext(generator) == "word"
        await generator.aclose()

    asyncio.run(main())
    assert spent(ledger) == (10 * CENT, 0)
    assert ledger.execution("acme", "draft", "k").state == "aborted"


def test_delays_and_errors_are_as_on_the_loop() -> None:
    ledger: Any = Slow()
    made = engine({"mini": "retry 2 on rate_limit backoff 1s", "outcome": "fallback stop on any"}, ledger=ledger)
    with pytest.raises(RateLimited) as raised:
        asyncio.run(work(made, error=RateLimited()))
    assert "policy: stop" in "".join(raised.value.__notes__)
    assert made.clock.now_micros() - engine().clock.now_micros() == 2 * 10**6


def test_memory_is_asked_on_the_loop() -> None:
    ledger: Any = Slow()
    ledger.waits = False
    asyncio.run(work(engine(ledger=ledger)))
    assert ledger.threads == {threading.main_thread().name}


def test_observers_hear_in_the_context_of_the_task() -> None:
    ledger: Any = Slow()
    request: ContextVar[str] = ContextVar("request")
    heard: list[str] = []

    class Listening:
        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *_: heard.append(request.get())

    made = engine(ledger=ledger, observers=[Listening()])

    async def one(name: str) -> None:
        request.set(name)
        await work(made)

    async def main() -> None:
        await asyncio.gather(one("a"), one("b"))

    asyncio.run(main())
    assert set(heard) == {"a", "b"}
    assert heard.count("a") == heard.count("b") > 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_process_has_threads_of_its_own(tmp_path: Path) -> None:
    with SqliteLedger(tmp_path / "ledger.db") as ledger:
        made = engine(ledger=ledger)
        assert asyncio.run(work(made)) == "accepted"
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if asyncio.run(asyncio.wait_for(work(made), 20)) == "accepted" else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert asyncio.run(work(made)) == "accepted"
        assert spent(ledger) == (30 * CENT, 0)
        made.close()
