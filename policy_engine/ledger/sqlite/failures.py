"""What can be wrong with the file, in our words: a code, the path, and one thing to do."""

import sqlite3

from policy_engine.ledger.protocol import LedgerUnavailable

LOCKED, FULL, READONLY, DAMAGED, UNOPENED, NEWER, FOREIGN, FAILED, OLD = (f"S1{n:02}" for n in range(1, 10))
"""The codes, stable and never reused."""

_PRIMARY = 0xFF  # an extended result code has its primary one in the lowest byte

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


def unavailable(error: sqlite3.Error, path: str, waited: float) -> LedgerUnavailable | None:
    """The error for a caller; None if it is not the file's."""
    if is_busy(error):
        return locked(path, waited)
    said = _SAID.get(_code(error))
    if said is None:
        return None
    code, message, hint = said
    return LedgerUnavailable(message, code=code, where=path, hint=hint)


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


def absent(path: str) -> LedgerUnavailable:
    return LedgerUnavailable(
        "there is no such file", code=UNOPENED, where=path, hint="name the file that the engine was given"
    )


def old_library(path: str, least: str) -> LedgerUnavailable:
    return LedgerUnavailable(
        f"this Python has SQLite {sqlite3.sqlite_version}, and a ledger needs {least}",
        code=OLD,
        where=path,
        hint="use a Python that was built with a newer SQLite",
    )


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY
