"""What `policy ledger export` writes: JSON lines or Parquet, a file whole or not at all."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from errno import EACCES
from pathlib import Path
from secrets import token_hex
from typing import Any

from policy_engine.cli.problems import Problem
from policy_engine.cli.render import Screen
from policy_engine.ledger.protocol import Book

Row = Mapping[str, Any]


def export(screen: Screen, book: Book, what: str, output: str | None, *, parquet: bool, ledger: str) -> None:
    """Write a list of the ledger in the file `ledger`; to standard output without `output`."""
    from policy_engine.ledger.listing import LISTS

    rows = LISTS[what](book)
    if output is None:
        for row in rows:
            screen.raw(_line(row))
        sys.stdout.flush()
        return
    _refuse_the_ledger(output, ledger)
    write = _parquet() if parquet else _json_lines
    with _whole(Path(output)) as fresh:
        write(rows, what, fresh)


def _json_lines(rows: Iterable[Row], _: str, path: str) -> None:
    with Path(path).open("w", encoding="utf-8") as file:
        file.writelines(map(_line, rows))


def _line(row: Row) -> str:
    """One row as JSON: amounts and times are texts, as JSON's numbers are not exact."""
    said = json.dumps(row, default=lambda value: value.isoformat() if hasattr(value, "isoformat") else f"{value:f}")
    return said + "\n"


def _parquet() -> Callable[[Iterable[Any], str, str], object]:
    try:
        from policy_engine.ledger.parquet import write
    except ModuleNotFoundError as error:
        if error.name != "polars":
            raise
        raise Problem("--parquet needs the extra `batch`", hint="pip install 'policy_engine[batch]'") from None
    return write


def _refuse_the_ledger(output: str, ledger: str) -> None:
    """Whoever names the same file twice would lose everything that was counted."""
    for part in ("", "-wal", "-shm"):
        inside = Path(f"{Path(ledger).resolve()}{part}")
        if Path(output).exists() and inside.exists() and inside.samefile(output):
            raise Problem("this is the ledger itself", output, hint="name another file with --output")


@contextmanager
def _whole(target: Path) -> Iterator[str]:
    """A file beside the target, which takes its place once everything is written; a device is written to as it is."""
    try:
        if target.exists() and not target.is_file():
            yield str(target)
        else:
            with _beside(target.resolve()) as fresh:
                yield str(fresh)
    except OSError as error:
        error.filename = str(target)  # as it was given
        raise


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    fresh = target.with_name(f".{target.name}.{token_hex(6)}")
    mode = target.stat().st_mode & 0o7777 if target.exists() else None
    if mode is not None and not os.access(target, os.W_OK):
        raise PermissionError(EACCES, "the file is read-only")  # replacing it would not ask
    try:
        yield fresh
        if mode is not None:
            fresh.chmod(mode)
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)
