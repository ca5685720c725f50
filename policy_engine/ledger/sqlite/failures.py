"""What can be wrong with the file, in our words: a code, the path, and one thing to do."""

import shutil
import sqlite3
from pathlib import Path

from policy_engine.ledger.protocol import LedgerError, LedgerUnavailable

LOCKED, FULL, READONLY, DAMAGED, UNOPENED, NEWER, FOREIGN, FAILED, OLD = (f"S1{n:02}" for n in range(1, 10))
"""The codes, stable and never reused."""

ROOM = 64 * 1024
"""Bytes that the smallest file beside a ledger needs, and some more."""

_PRIMARY = 0xFF  # an extended result code has its primary one in the lowest byte

_UNFIT = (sqlite3.SQLITE_CONSTRAINT_NOTNULL, sqlite3.SQLITE_CONSTRAINT | 12 << 8)  # the latter: a type no column has

_SAID = {
    sqlite3.SQLITE_FULL: (
        FULL,
        "the disk is full, so nothing was written",
        "free some space; what was held stays held",
    ),
    sqlite3.SQLITE_READONLY: (
        READONLY,
        "it cannot be written",
        "give the user who runs this write access to the file and its directory",
    ),
    sqlite3.SQLITE_PERM: (READONLY, "it cannot be written", "give the user who runs this write access to the file"),
    sqlite3.SQLITE_CORRUPT: (
        DAMAGED,
        "the file is damaged",
        "keep a copy, then restore a backup, or save what can be read with sqlite3's `.recover`",
    ),
    sqlite3.SQLITE_NOTADB: (DAMAGED, "the file is damaged, or no ledger", "name another file, or restore a backup"),
    sqlite3.SQLITE_CANTOPEN: (UNOPENED, "it cannot be opened", "see that its directory is there and can be written"),
    sqlite3.SQLITE_IOERR: (
        FAILED,
        "the file cannot be read or written",
        "see that the disk works, has room, and allows files of this size",
    ),
}


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection is in the way, so that asking again may help."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)


def told(error: BaseException, path: str, waited: float) -> BaseException:
    """The error for a caller. What is no error of the file is left as it is."""
    if isinstance(error, UnicodeDecodeError):
        return damaged(path)  # what SQLite says of a damaged file may have bytes of it
    if not isinstance(error, sqlite3.Error) or isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
        return error
    if is_busy(error):
        return locked(path, waited)
    if _code(error) == sqlite3.SQLITE_TOOBIG:
        return LedgerError("a text is too long to be kept")
    if getattr(error, "sqlite_errorcode", 0) in _UNFIT:
        return LedgerError(f"what was given cannot be kept: {error}")
    kind = _code(error)
    if kind == sqlite3.SQLITE_IOERR and _is_full(path):
        kind = sqlite3.SQLITE_FULL
    said = _SAID.get(kind)
    if said is None:
        return damaged(path, f": {error}")  # a table or a row that is not as it was made
    code, message, hint = said
    return LedgerUnavailable(message, code=code, where=path, hint=hint)


def damaged(path: str, how: str = "") -> LedgerUnavailable:
    code, message, hint = _SAID[sqlite3.SQLITE_CORRUPT]
    return LedgerUnavailable(message + how, code=code, where=path, hint=hint)


def locked(path: str, waited: float) -> LedgerUnavailable:
    """Others had the file for as long as we may wait."""
    return LedgerUnavailable(
        f"it is locked by another writer, for {waited:g} s now",
        code=LOCKED,
        where=path,
        hint="end the program that keeps it open in a transaction, or wait longer (`wait_seconds`)",
    )


def newer(path: str, version: int, known: int) -> LedgerUnavailable:
    return LedgerUnavailable(
        f"its schema is version {version}, and this program knows versions up to {known}",
        code=NEWER,
        where=path,
        hint="use the newer version of policy_engine that wrote it",
    )


def foreign(path: str) -> LedgerUnavailable:
    return LedgerUnavailable(
        "it is a database of something else, no ledger", code=FOREIGN, where=path, hint="name another file"
    )


def no_file(path: str) -> LedgerUnavailable:
    hint = "name a file; what is counted in memory alone is a MemoryLedger"
    return LedgerUnavailable(f"{path!a} names no file", code=UNOPENED, hint=hint)


def replaced(path: str) -> LedgerUnavailable:
    return LedgerUnavailable(
        "the file that was open here was removed or replaced",
        code=UNOPENED,
        where=path,
        hint="start every program that uses it anew, so that all of them count in one file",
    )


def written_meanwhile(path: str) -> LedgerUnavailable:
    return LedgerUnavailable(
        "it cannot be written here, and was written by others each time it was copied",
        code=READONLY,
        where=path,
        hint="ask again, as a user who may write the file and its directory",
    )


def old_library(path: str, least: str) -> LedgerUnavailable:
    return LedgerUnavailable(
        f"this Python has SQLite {sqlite3.sqlite_version}, and a ledger needs {least}",
        code=OLD,
        where=path,
        hint="use a Python that was built with a newer SQLite",
    )


def _is_full(path: str) -> bool:
    """SQLite does not tell a full disk from a broken one while it makes the files beside a ledger."""
    try:
        return shutil.disk_usage(Path(path).absolute().parent).free < ROOM
    except OSError:
        return False


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY
