"""A copy of a ledger for those who may read its file and not write: SQLite itself writes beside what it reads."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from policy_engine.ledger.sqlite import failures, place

TRIES = 5
"""How often it is copied until nobody wrote meanwhile."""

_Seen = list[tuple[int, int, int] | None]


@contextmanager
def copied(path: str) -> Iterator[str]:
    """The file as it was at one moment, in a directory that goes with the block.

    Raises `LedgerUnavailable` for one that is written all the time, `OSError` for one that cannot be read.
    """
    with TemporaryDirectory() as directory:
        copy = Path(directory) / "ledger.db"
        parts = {Path(path): copy, place.log_of(Path(path)): Path(f"{copy}-wal")}
        for _ in range(TRIES):
            before = _seen(parts)
            for part, target in parts.items():
                target.unlink(missing_ok=True)
                if part.exists():
                    shutil.copyfile(part, target)
            if _seen(parts) == before:
                break
        else:
            raise failures.written_meanwhile(path)
        yield str(copy)


def _seen(parts: dict[Path, Path]) -> _Seen:
    found: _Seen = []
    for part in parts:
        try:
            about = part.stat()
        except FileNotFoundError:
            found.append(None)
        else:
            found.append((about.st_ino, about.st_size, about.st_mtime_ns))
    return found
