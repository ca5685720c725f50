"""Where a ledger is: its file, whether that is still the same one, and what SQLite keeps beside it."""

import os
from pathlib import Path

from policy_engine.ledger.protocol import LedgerUnavailable
from policy_engine.ledger.sqlite import failures


def file_of(path: str) -> Path:
    """The file of this name, wherever the process goes later. Raises `LedgerUnavailable` for what names none."""
    if not _may_name_one(path):
        raise failures.no_file(path)
    return Path(path).absolute()


def require(file: Path, path: str, *, create: bool) -> None:
    """Raise `LedgerUnavailable` where no ledger can be; without `create` also where none is."""
    hint = "name the file that the engine was given"
    if file.is_dir():
        raise LedgerUnavailable("it is a directory", code=failures.UNOPENED, where=path, hint="name a file")
    if create:
        return
    if not file.is_file():
        raise LedgerUnavailable("there is no such file", code=failures.UNOPENED, where=path, hint=hint)
    if file.stat().st_size == 0 and not _has_log(file):
        raise LedgerUnavailable("the file is empty, no ledger", code=failures.DAMAGED, where=path, hint=hint)


def identity(file: Path) -> tuple[int, int] | None:
    """Which file this is; None if there is none any more."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def log_of(file: Path) -> Path:
    """Where SQLite keeps the latest transactions: beside the file itself, not beside a link to it."""
    found = file.resolve()
    return found.with_name(f"{found.name}-wal")


def _may_name_one(path: str) -> bool:
    """Whether this could be the name of a file: SQLite takes some for other things, or for the part before a zero."""
    try:
        return path not in ("", ":memory:") and b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def _has_log(file: Path) -> bool:
    """Whether a new file's first transactions still stand beside it."""
    beside = log_of(file)
    return beside.is_file() and beside.stat().st_size > 0
