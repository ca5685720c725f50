"""Time, as the runtime sees it: microseconds since the epoch, and waiting."""

import time
from typing import Protocol


class Clock(Protocol):
    """What the runtime asks of time."""

    def now_micros(self) -> int: ...

    def sleep(self, micros: int) -> None: ...


class SystemClock:
    """The machine's clock."""

    def now_micros(self) -> int:
        return time.time_ns() // 1000

    def sleep(self, micros: int) -> None:
        time.sleep(micros / 10**6)


class PinnedClock:
    """A clock that stands still until it is moved; sleeping moves it. For tests and replays."""

    def __init__(self, now_micros: int = 0) -> None:
        self._now_micros = now_micros

    def now_micros(self) -> int:
        return self._now_micros

    def sleep(self, micros: int) -> None:
        self._now_micros += micros

    def set(self, now_micros: int) -> None:
        """Put the clock to a moment, earlier or later."""
        self._now_micros = now_micros
