"""Every decision, written down where it can be asked again.

    engine = Engine(policy, ledger="ledger.db", observers=[DecisionLog("decisions.jsonl")])

A line holds all the policy read and all it said (`entries.py`); `policy replay --decisions` asks a policy again and
reports any difference. Decisions are written after the fact: a log that cannot be written loses lines, it stops no
work and spends nothing. What is lost is reported to the logger `policy_engine.runtime`.
"""

import logging
import os
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from threading import Lock
from time import sleep
from typing import TYPE_CHECKING, Self

from policy_engine.evaluation.decision import Decision
from policy_engine.evaluation.facts import Facts
from policy_engine.runtime.clock import Clock, SystemClock
from policy_engine.runtime.observing import Observer, log
from policy_engine.telemetry.entries import Entry, entry_of, line_of

if TYPE_CHECKING:
    from policy_engine.runtime.execution import Execution
    from policy_engine.runtime.step import Step

WRITING_SECONDS = 0.002
"""Far longer than a line takes to be written, once it has begun."""

Sink = Callable[[Entry], object]


class DecisionLog(Observer):
    """Writes every decision to a file, a `logging.Logger` (level INFO, the line is the message) or a function.

    A file is appended to, one line per decision in one write, so that several processes may share it. With `fsync`
    each line is on the disk before work goes on; without, the operating system may lose the last ones in a power
    failure, never when only the process dies. `clock` gives the times.
    """

    def __init__(
        self, to: str | PathLike[str] | logging.Logger | Sink, *, fsync: bool = False, clock: Clock | None = None
    ) -> None:
        self._clock: Clock = clock if clock is not None else SystemClock()
        self._file: AppendedFile | None = None
        if isinstance(to, str | PathLike):
            self._file = AppendedFile(to, fsync=fsync)
            self._write: Sink = self._file.write
        elif fsync:
            raise ValueError("only a file can be synced: give `fsync` with a path")
        elif isinstance(to, logging.Logger):
            self._write = LoggedLines(to).write
        else:
            self._write = to

    def decided(self, decision: Decision, facts: Facts, run: "Execution | None", step: "Step | None") -> None:
        del step  # its name is among the facts
        self._write(
            entry_of(
                decision,
                facts,
                now_micros=self._clock.now_micros(),
                mode=run.engine.mode if run is not None else "enforce",
                customer=run.place.customer if run is not None else None,
                execution=run.key if run is not None else None,
                execution_id=run.id if run is not None else None,
            )
        )

    def forked(self) -> None:
        if self._file is not None:
            self._file.forked()

    def close(self) -> None:
        """Close the file; nothing is written after that."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *about: object) -> None:
        self.close()


class LoggedLines:
    """Lines as messages of a logger. One that does not take them is reported once, as nothing else would show it."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._is_said = False

    def write(self, entry: Entry) -> None:
        if self._logger.isEnabledFor(logging.INFO):
            self._logger.info("%s", line_of(entry))
        elif not self._is_said:
            self._is_said = True
            log.warning(
                "decisions are lost: the logger `%s` takes nothing of level INFO; set its level", self._logger.name
            )


class AppendedFile:
    """Lines at the end of a file, each in one write."""

    def __init__(self, path: str | PathLike[str], *, fsync: bool) -> None:
        self._fsync = fsync
        self._lock = Lock()
        self._file = Path(path).open("ab+", buffering=0)  # noqa: SIM115 - open for as long as the log is

    def write(self, entry: Entry) -> None:
        """Append one line. Raises `OSError` if the disk does not take it, `ValueError` after `close`."""
        line = line_of(entry).encode("ascii") + b"\n"
        with self._lock:
            if self._is_torn():
                line = b"\n" + line  # what this process or another could not finish stays one bad line
            while line:
                written = self._file.write(line)
                if written is None:
                    raise BlockingIOError("a pipe that nobody empties takes no line")
                line = line[written:]
            if self._fsync:
                os.fsync(self._file.fileno())

    def forked(self) -> None:
        """In a process that was forked off: a thread that held the lock is not here."""
        self._lock = Lock()

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def _is_torn(self) -> bool:
        """Whether the last line was never finished; one that another process is writing now is waited for."""
        size = self._torn_at()
        if size is None:
            return False
        sleep(WRITING_SECONDS)
        return self._torn_at() == size

    def _torn_at(self) -> int | None:
        """The size of the file if it does not end in a line break."""
        size = self._file.seek(0, os.SEEK_END) if self._file.seekable() else 0
        if not size:
            return None
        self._file.seek(size - 1)
        return None if self._file.read(1) == b"\n" else size
