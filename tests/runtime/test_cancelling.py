"""Tasks that are cancelled: whatever they were doing, the money is where it belongs."""

import asyncio
from typing import Any

import pytest

from policy_engine.ledger.protocol import Ledger
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.execution import Execution
from tests.runtime.desk import ASKS, CENT, NOON, SECOND, Odd, engine, ledger, spent

__all__ = ["ledger"]  # a fixture

WORST = 30 * CENT
RETRY = {"mini": "retry 3 on timeout backoff 2s..8s"}


class Patience(PinnedClock):
    """A clock on which the first waiting never ends."""

    def __init__(self) -> None:
        super().__init__(NOON)
        self.waited: list[int] = []

    async def wait(self, micros: int) -> None:
        self.waited.append(micros)
        if len(self.waited) == 1:
            await asyncio.Event().wait()
        await super().wait(micros)


async def failing(run: Execution, step: Any) -> None:
    async for attempt in step:
        async with attempt:
            raise TimeoutError("slow")


def test_who_is_cancelled_while_a_retry_waits_holds_nothing(ledger: Ledger) -> None:
    made = engine(RETRY, ledger=ledger, clock=Patience())

    async def work() -> Execution:
        async with made.execution("draft", customer="acme") as run:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await failing(run, run.step("write", **ASKS))
            assert spent(ledger) == (WORST, 0)
            assert run.attempts == 1
        return run

    assert asyncio.run(work()).state == "aborted"
    assert spent(ledger) == (WORST, 0)


def test_who_goes_on_with_a_step_whose_waiting_was_cancelled_waits_first(ledger: Ledger) -> None:
    clock = Patience()
    made = engine(RETRY, ledger=ledger, clock=clock)

    async def work() -> None:
        async with made.execution("draft", customer="acme") as run:
            step = run.step("write", **ASKS)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await failing(run, step)
            async for attempt in step:
                async with attempt:
                    attempt.settle(input_tokens=10, output_tokens=10)
            run.deliver()

    asyncio.run(work())
    assert clock.waited == [2 * SECOND, 2 * SECOND]
    assert spent(ledger) == (WORST + 3 * CENT, 0)


def test_one_that_fails_in_a_group_ends_all_of_them(ledger: Ledger) -> None:
    """What the others had begun may have been billed."""
    made = engine({"outcome": "fallback next on any"}, ledger=ledger)

    async def call(run: Execution, number: int) -> None:
        async for attempt in run.step(f"write {number}", **ASKS):
            async with attempt:
                await asyncio.sleep(0.01)
                if number == 0:
                    raise Odd
                await asyncio.sleep(60)

    async def work(run: Execution) -> None:
        async with run, asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(call(run, number))

    run = made.execution("draft", customer="acme")
    with pytest.raises(ExceptionGroup, match="unhandled errors") as raised:
        asyncio.run(work(run))
    assert isinstance(raised.value.exceptions[0], Odd)
    assert (run.state, run.attempts, run.spent_nanos) == ("aborted", 8, 8 * WORST)
    assert spent(ledger) == (8 * WORST, 0)


def test_a_coroutine_that_is_closed_awaits_nothing_more(ledger: Ledger) -> None:
    """Not even a ledger that waits: what is open is settled, the execution ends, and nobody has to await it."""
    made = engine(ledger=ledger)

    async def work(run: Execution) -> None:
        attempt = run.step("write", **ASKS).ask(**ASKS)
        assert attempt is not None
        async with run, attempt:
            attempt.settle(cost=0)
            await asyncio.sleep(60)

    async def main() -> Execution:
        run = made.execution("draft", customer="acme")
        working = work(run)
        working.send(None)
        working.close()
        return run

    run = asyncio.run(main())
    assert (run.state, run.attempts, spent(ledger)) == ("aborted", 1, (0, 0))
