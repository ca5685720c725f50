"""Asking the ledger from a task without holding up its loop.

A ledger that may wait (for a disk, for other writers) is asked in a thread, while other tasks go on. A task that is
cancelled meanwhile is cancelled as soon as the answer is there: nothing is left half done, and nothing goes on behind
the caller's back.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

from policy_engine.runtime.clock import Clock

T = TypeVar("T")


class Aside:
    """The threads in which one engine's ledger is asked; they are made when they are needed, anew after a fork."""

    def __init__(self, *, waits: bool) -> None:
        self._waits = waits
        self._pool: ThreadPoolExecutor | None = None
        self._process = 0

    async def carry_out(self, call: Callable[[], T], *, undo: Callable[[T], object] | None = None) -> T:
        """Carry out a call, in a copy of the task's context. If the task was cancelled meanwhile, `undo` its result."""
        if not self._waits or not _in_a_loop():
            return call()
        found, cancelled = await self._finish(call)
        if cancelled is None:
            return found.result()
        if found.exception() is None and undo is not None:
            result = found.result()
            await self._finish(lambda: undo(result))
        raise cancelled

    async def follow(self, waits: Iterator[int], clock: Clock) -> None:
        """Go through an iterator that asks the ledger, and wait so many microseconds wherever it says so."""
        while (micros := await self.carry_out(lambda: next(waits, None))) is not None:
            await clock.wait(micros)

    async def _finish(self, call: Callable[[], T]) -> "tuple[asyncio.Future[T], asyncio.CancelledError | None]":
        """The call when it is done, and the first cancellation that came before."""
        found = asyncio.get_running_loop().run_in_executor(self._threads(), copy_context().run, call)
        cancelled: asyncio.CancelledError | None = None
        while not found.done():
            try:
                await asyncio.wait([found])
            except asyncio.CancelledError as error:
                cancelled = cancelled or error
        return found, cancelled

    def _threads(self) -> ThreadPoolExecutor:
        pool = self._pool
        if pool is None or self._process != os.getpid():
            # Two loops may make one each: the one that is forgotten ends by itself.
            pool = self._pool = ThreadPoolExecutor(thread_name_prefix="policy_engine ledger")
            self._process = os.getpid()
        return pool

    def close(self) -> None:
        """Let the threads end with what they are doing; whoever asks after this gets new ones."""
        pool, self._pool = self._pool, None
        if pool is not None and self._process == os.getpid():
            pool.shutdown(wait=False)


def _in_a_loop() -> bool:
    """Whether there is a loop to be held up: not so where a coroutine is driven by hand, or by another library."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
