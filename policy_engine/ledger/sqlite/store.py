"""Connections to one file: short transactions, bounded waits, safe at forks.

A connection is used by one thread at a time and goes back to a pool. Of one process, one thread writes at a time and
the others stand in line; other processes are waited for by asking again. Before the process forks, every connection is
closed, as SQLite's locks must not be carried over; parent and child open new ones.

The file stays the one that was opened first, wherever the process goes (`chdir`): one that was removed or replaced is
used no more, or two would count side by side.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from random import random
from threading import Condition, Lock
from typing import TypeVar
from weakref import WeakSet, finalize

from policy_engine.ledger.protocol import LedgerError
from policy_engine.ledger.sqlite import failures, place, schema

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

SYNCHRONOUS = ("EXTRA", "FULL", "NORMAL", "OFF")
FIRST_WAIT, LONGEST_WAIT = 0.0002, 0.01
"""Seconds between two tries while another process writes: doubled each time, more or less by chance."""
CACHE_KIB = 16_000
LONGEST_LOG = 32 * 2**20
"""Bytes of the file beside the ledger from which on it is begun anew, even if somebody is always reading."""
WRITES_BETWEEN_LOOKS = 100
READERS_LEAVE_WITHIN = 0.1
"""Seconds that everybody waits for those who read what the log holds. Requests are shorter; an export is not."""


class Store:
    """One file. Raises `LedgerUnavailable` for a file that cannot be used, also when it is made."""

    def __init__(self, path: str, *, synchronous: str, wait_seconds: float, create: bool) -> None:
        self.path = path
        self._file = place.file_of(path)
        self._identity: tuple[int, int] | None = None
        self._synchronous = synchronous
        self._wait_seconds = wait_seconds
        self._gate = Condition(Lock())
        self._idle: list[sqlite3.Connection] = []
        self._busy = 0
        self._forking = False
        self._closed = False
        self._writing = Lock()
        self._written = 0
        if sqlite3.sqlite_version_info < schema.LEAST_SQLITE:
            raise failures.old_library(path, ".".join(map(str, schema.LEAST_SQLITE)))
        place.require(self._file, path, create=create)
        with _FORK:
            _STORES.add(self)
        finalize(self, _close, self._idle)  # whoever forgets to close it leaves no connection behind
        try:
            self._prepare("rwc" if create else "rw")
        except BaseException:
            self.close()
            raise

    def _prepare(self, mode: str) -> None:
        """Make the file if it is to be made, and bring it up to date."""
        with self._gate:
            self._idle.append(self._open(mode))
        found = self.read(lambda connection: (schema.version_of(connection, self.path), _journal(connection)))
        if found[1] != "wal":  # a new file, or a copy that `VACUUM INTO` made
            self._attempt(_use_wal)
        if found[0] != schema.VERSION:
            self.write(lambda connection: schema.migrate(connection, self.path))
        self._identity = place.identity(self._file)

    def write(self, work: Work[T]) -> T:
        """Carry out `work` in one transaction; whatever it raises undoes it. It may be called more than once."""
        deadline = time.monotonic() + self._wait_seconds
        if not self._writing.acquire(timeout=self._wait_seconds):
            raise failures.locked(self.path, self._wait_seconds)
        try:
            found = self._attempt(lambda connection: _in_transaction(connection, work), deadline)
            self._written += 1
            if self._written % WRITES_BETWEEN_LOOKS == 0:
                self._shorten_log()
            return found
        finally:
            self._writing.release()

    def _shorten_log(self) -> None:
        """SQLite begins the log anew when nobody reads it; where somebody always does, it would grow for ever."""
        with suppress(OSError, LedgerError):  # what was written is written, whatever happens here
            if place.log_of(self._file).stat().st_size > LONGEST_LOG:
                self._attempt(_begin_log_anew)

    def read(self, work: Work[T]) -> T:
        """Carry out `work` on what the file holds at this moment."""
        return self._attempt(lambda connection: _reading(connection, work))

    @contextmanager
    def moment(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees the file as it is now, until it is left."""
        connection = self._take()
        try:
            self._patiently(_begin_moment, connection)
            yield connection
        except sqlite3.Error as error:
            raise self._in_our_words(error) from error
        finally:
            with suppress(sqlite3.Error):
                connection.rollback()
            self._give_back(connection)

    def close(self) -> None:
        with self._gate:
            self._closed = True
            _close(self._idle)

    # ------------------------------------------------------------ connections

    def _attempt(self, work: Work[T], deadline: float | None = None) -> T:
        connection = self._take()
        sound = False
        try:
            found = self._patiently(work, connection, deadline)
            sound = True
            return found
        except LedgerError:
            sound = True
            raise
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._in_our_words(error) from error
        except OverflowError as error:
            raise LedgerError("a number has more than 64 bits") from error
        except UnicodeEncodeError as error:
            raise LedgerError(f"`{error.object!a}` is no text that can be kept") from error
        finally:
            self._give_back(connection, sound=sound)

    def _patiently(self, work: Work[T], connection: sqlite3.Connection, deadline: float | None = None) -> T:
        """Try again while others are in the way."""
        wait, end = FIRST_WAIT, deadline
        while True:
            try:
                return work(connection)
            except sqlite3.Error as error:
                if not failures.is_busy(error):
                    raise
                now = time.monotonic()
                end = now + self._wait_seconds if end is None else end
                if now >= end:
                    raise
                time.sleep(min(end - now, wait * (0.5 + random())))  # noqa: S311 - no secret, two processes out of step
                wait = min(2 * wait, LONGEST_WAIT)

    def _take(self) -> sqlite3.Connection:
        with self._gate:
            while self._forking:
                self._gate.wait()
            if self._closed:
                raise LedgerError(f"the ledger `{self.path}` is closed")
            if self._identity is not None and self._identity != place.identity(self._file):
                raise failures.replaced(self.path)
            self._busy += 1
            if self._idle:
                return self._idle.pop()
        try:
            return self._open()
        except BaseException:
            with self._gate:
                self._busy -= 1
                self._gate.notify_all()
            raise

    def _open(self, mode: str = "rw") -> sqlite3.Connection:
        """A new connection; only with the mode `rwc` it makes a file where none is."""
        try:
            where = f"{self._file.as_uri()}?mode={mode}"
            connection = sqlite3.connect(
                where, uri=True, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=256
            )
        except sqlite3.Error as error:
            raise self._in_our_words(error) from error
        try:
            self._patiently(self._set_up, connection)
        except BaseException as error:
            _close([connection])
            raise self._in_our_words(error) from error
        return connection

    def _set_up(self, connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")

    def _give_back(self, connection: sqlite3.Connection, *, sound: bool = True) -> None:
        with self._gate:
            self._busy = max(0, self._busy - 1)
            if sound and not self._closed:
                self._idle.append(connection)
            else:
                _close([connection])
            self._gate.notify_all()

    def _in_our_words(self, error: BaseException) -> BaseException:
        return failures.told(error, self.path, self._wait_seconds)

    # ------------------------------------------------------------ forks

    def before_fork(self) -> None:
        """Wait for what is going on, close everything, and let nobody begin until the fork is done."""
        self._gate.acquire()
        self._forking = True  # whoever comes now stands back, or busy threads would never let us in
        end = time.monotonic() + self._wait_seconds
        while self._busy and self._gate.wait(max(0.0, end - time.monotonic())):
            pass
        _close(self._idle)

    def after_fork(self, *, in_child: bool) -> None:
        if not self._forking:
            return  # whoever was to fork was interrupted before
        if in_child:
            self._busy = 0  # the threads that were at work are not here
            self._writing = Lock()
        self._forking = False
        self._gate.notify_all()
        self._gate.release()


_FORK = Lock()
"""Held while the process forks, so that two threads do so one after the other."""
_STORES: WeakSet[Store] = WeakSet()
_FORKING: list[Store] = []


def _before_fork() -> None:
    _FORK.acquire()
    _FORKING[:] = list(_STORES)
    for store in _FORKING:
        store.before_fork()


def _after_fork(*, in_child: bool) -> None:
    try:
        for store in _FORKING:
            store.after_fork(in_child=in_child)
    finally:
        _FORKING.clear()
        _FORK.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=lambda: _after_fork(in_child=False),
        after_in_child=lambda: _after_fork(in_child=True),
    )


def _close(connections: list[sqlite3.Connection]) -> None:
    while connections:
        with suppress(sqlite3.Error):
            connections.pop().close()


def _journal(connection: sqlite3.Connection) -> str:
    return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def _use_wal(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")


def _begin_log_anew(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(READERS_LEAVE_WITHIN * 1000)}")
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute("PRAGMA busy_timeout = 0")


def _in_transaction(connection: sqlite3.Connection, work: Work[T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = work(connection)
        connection.execute("COMMIT")
    except BaseException:
        _undo(connection)
        raise
    return found


def _reading(connection: sqlite3.Connection, work: Work[T]) -> T:
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        _undo(connection)


def _begin_moment(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    try:
        connection.execute("SELECT 1 FROM documents").fetchone()  # the first look is what fixes the moment
    except BaseException:
        _undo(connection)
        raise


def _undo(connection: sqlite3.Connection) -> None:
    """SQLite has undone some failures itself."""
    if connection.in_transaction:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
