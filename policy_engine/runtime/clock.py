"""Time, as the runtime sees it: microseconds since the epoch, and waiting."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the runtime asks of time."""

    def now_micros(self) -> int: ...

    def sleep(self, micros: int) -> None: ...

    async def wait(self, micros: int) -> None:
        """Sleep, while other tasks go on."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_micros(self) -> int:
        return time.time_ns() // 1000

    def sleep(self, micros: int) -> None:
        time.sleep(micros / 10**6)

    async def wait(self, micros: int) -> None:
        await asyncio.sleep(micros / 10**6)


class PinnedClock:
    """A clock that stands still until it is moved; sleeping moves it. For tests and replays."""

    def __init__(self, now_micros: int = 0) -> None:
        self._now_micros = now_micros

    def now_micros(self) -> int:
        return self._now_micros

    def sleep(self, micros: int) -> None:
        self._now_micros += micros

    async def wait(self, micros: int) -> None:
        await asyncio.sleep(0)
        self.sleep(micros)

    def set(self, now_micros: int) -> None:
        """Put the clock to a moment, earlier or later."""
        self._now_micros = now_micros
