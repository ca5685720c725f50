"""Files that cannot be used: locked, read-only, full, damaged, foreign, newer. A clear error, and nothing is spent."""

import gc
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from policy_engine.evaluation.facts import Grant, Reading
from policy_engine.ledger.protocol import MOST, Charge, ExecutionRecord, Hold, LedgerError, LedgerUnavailable
from policy_engine.ledger.sqlite import SqliteLedger
from policy_engine.ledger.verification import differences
from tests.ledger.conformance import COUNTERS

DAY = COUNTERS[0]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger with one open hold of 5."""
    found = tmp_path / "ledger.db"
    with opened(found) as ledger:
        ledger.reserve([Hold("there", (Charge(DAY, 5, 100),))], 0)
    return found


@contextmanager
def opened(path: Path, **options: float) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger(path, **options)  # type: ignore[arg-type]  # only numbers are given here
    try:
        yield ledger
    finally:
        ledger.close()


def untouched(path: Path) -> None:
    """Nothing was spent, and everything goes on."""
    with opened(path) as ledger:
        assert ledger.readings([DAY])[DAY] == Reading(0, 5)
        assert ledger.settle("there", {"spent": 1}) == ()
        assert ledger.reserve([Hold("new", (Charge(DAY, 1),))], 0) == ()
        assert ledger.readings([DAY])[DAY] == Reading(1, 1)
        with ledger.book() as book:
            assert (list(differences(book)), list(book.damage())) == ([], [])


def broken(how: str, path: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.ledger.breaking", how, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


# ---------------------------------------------------------------- locked


@pytest.mark.slow
def test_locked_by_another_process(path: Path) -> None:
    command = [sys.executable, "-m", "tests.ledger.breaking", "lock", str(path)]
    other = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdin is not None
    assert other.stdout is not None
    assert other.stdout.readline() == b"locked\n"
    with opened(path, wait_seconds=0.2) as ledger:
        begun = time.monotonic()
        with pytest.raises(LedgerUnavailable, match=r"locked by another writer, for 0.2 s") as refused:
            ledger.reserve([Hold("new", (Charge(DAY, 1),))], 0)
        assert 0.2 <= time.monotonic() - begun < 2
        assert (refused.value.code, refused.value.where) == ("S101", str(path))
        with pytest.raises(LedgerUnavailable):
            ledger.settle("there")
        assert ledger.readings([DAY])[DAY] == Reading(0, 5)  # whoever only reads is not kept waiting
        other.stdin.close()
        assert other.wait(10) == 0
        other.stdout.close()
        assert ledger.reserve([Hold("late", (Charge(DAY, 0),))], 0) == ()
    untouched(path)


def test_a_lock_that_is_let_go_in_time_is_waited_for(path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with opened(path, wait_seconds=30) as ledger:
        from threading import Timer

        timer = Timer(0.2, lambda: other.execute("ROLLBACK"))
        timer.start()
        assert ledger.reserve([Hold("new", (Charge(DAY, 0),))], 0) == ()
        timer.join()
    other.close()


# ---------------------------------------------------------------- read-only, full


@pytest.mark.slow
def test_read_only() -> None:
    with TemporaryDirectory() as directory:  # pytest's own directories are closed to others altogether
        folder, path = Path(directory), Path(directory) / "ledger.db"
        folder.chmod(0o755)
        with opened(path) as ledger:
            ledger.reserve([Hold("there", (Charge(DAY, 5, 100),))], 0)
            path.chmod(0o444)
            folder.chmod(0o555)
            said = broken("nobody", path)
        path.chmod(0o644)
        folder.chmod(0o755)
        assert len(said) == 2
        for line in said:
            assert line.startswith(f"S103 {path}: it cannot be written (S103) (give the user")
        untouched(path)


@pytest.mark.slow
def test_a_file_that_may_not_grow(path: Path) -> None:
    """As with a full disk or a used up quota."""
    said = broken("small", path)
    assert len(said) == 2
    for line in said:
        assert line.startswith(
            f"S108 {path}: the file cannot be read or written (S108) (see that the disk works, has room"
        )
    untouched(path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of half a megabyte, where one can be had."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if (
        os.getuid() != 0
        or not shutil.which("mount")
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("a file system can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "ledger.db"
    with opened(path) as ledger:
        ledger.reserve([Hold("there", (Charge(DAY, 5, 100),))], 0)
        taken, refused = 0, None
        while refused is None:
            try:
                ledger.reserve([Hold(f"h{taken}", (Charge(DAY, 1),), owner="x" * 5000)], 0)
                taken += 1
            except LedgerUnavailable as error:
                refused = error
        assert refused.code == "S102"
        assert str(refused) == f"{path}: the disk is full, so nothing was written (S102)"
        assert refused.__notes__ == [refused.hint]
        assert taken > 10
        assert ledger.readings([DAY])[DAY] == Reading(0, 5 + taken)
        with ledger.book() as book:
            assert list(differences(book)) == []


def test_a_disk_that_was_full_before(small_disk: Path) -> None:
    """SQLite finds no room for what it keeps beside the file; who only looks is shown a copy."""
    path, rest = small_disk / "ledger.db", small_disk / "rest"
    with opened(path) as ledger:
        ledger.reserve([Hold("there", (Charge(DAY, 5, 100),))], 0)
    with suppress(OSError), rest.open("wb", buffering=0) as file:
        while file.write(b"x" * 1024):
            pass
    with pytest.raises(LedgerUnavailable) as refused:
        SqliteLedger(path)
    assert refused.value.code == "S102"
    command = [sys.executable, "-m", "policy_engine.cli", "ledger", "verify", str(path)]
    looked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert looked.stdout == f"{path}: 1 balance and 0 grants against 1 hold: everything adds up\n"
    rest.unlink()
    untouched(path)


def test_a_file_with_no_page_left(path: Path) -> None:
    """The same error by SQLite's own measure, on every machine."""
    with opened(path) as ledger:
        (connection,) = ledger._store._idle
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(LedgerUnavailable) as refused:
            ledger.reserve([Hold("new", (Charge(DAY, 1),), owner="x" * 20_000)], 0)
        assert refused.value.code == "S102"
        assert refused.value.hint == "free some space; what was held stays held"
    untouched(path)


# ---------------------------------------------------------------- damaged, foreign, newer, absent


def test_no_ledger_at_all(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database at all, but long enough to be looked at as one\n" * 20, encoding="utf-8")
    with pytest.raises(LedgerUnavailable, match="damaged, or no ledger") as refused:
        SqliteLedger(path)
    assert refused.value.code == "S104"
    assert path.read_text(encoding="utf-8").startswith("not a database")


def test_a_damaged_file(path: Path) -> None:
    """Its pages are overwritten from the second on. What reads says nothing, what writes says why."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))
    with opened(path) as ledger:
        with pytest.raises(LedgerUnavailable, match="the file is damaged") as refused:
            ledger.reserve([Hold("new", (Charge(DAY, 1),))], 0)
        assert refused.value.code == "S104"
        assert refused.value.hint is not None
        with pytest.raises(LedgerUnavailable):
            ledger.settle("there")
        assert ledger.readings([DAY]) == {DAY: None}
        assert ledger.grants("acme", "draft", 0) is None


def test_the_database_of_something_else(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE users (name TEXT)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(LedgerUnavailable, match="something else") as refused:
        SqliteLedger(path)
    assert refused.value.code == "S107"
    assert path.read_bytes() == before


def test_a_newer_version(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(LedgerUnavailable, match="version 99, and this program knows") as refused:
        SqliteLedger(path)
    assert refused.value.code == "S106"


@pytest.mark.parametrize(("name", "create"), [("absent.db", False), ("absent/ledger.db", True)])
def test_a_file_that_is_not_there(name: str, create: bool, tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable) as refused:
        SqliteLedger(tmp_path / name, create=create)
    assert refused.value.code == "S105"
    assert list(tmp_path.iterdir()) == []


def test_a_closed_ledger(path: Path) -> None:
    ledger = SqliteLedger(path)
    ledger.close()
    ledger.close()
    with pytest.raises(LedgerError, match="is closed"):
        ledger.settle("there")
    untouched(path)


def test_a_ledger_that_is_left_or_forgotten_is_closed(path: Path) -> None:
    """SQLite removes the file beside it when the last connection is closed."""
    beside = Path(f"{path}-wal")
    with SqliteLedger(path) as ledger:
        ledger.renew(["there"], None)
        assert beside.exists()
    assert not beside.exists()
    with pytest.raises(LedgerError, match="is closed"):
        ledger.settle("there")
    forgotten = SqliteLedger(path)
    forgotten.renew(["there"], None)
    assert beside.exists()
    del forgotten
    gc.collect()
    assert not beside.exists()


def test_a_way_to_write_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`SOMETIMES` is no way to write; there are EXTRA, FULL, NORMAL, OFF"):
        SqliteLedger(tmp_path / "ledger.db", synchronous="SOMETIMES")


# ---------------------------------------------------------------- what does not fit


def test_numbers_and_texts_that_do_not_fit(path: Path) -> None:
    with opened(path) as ledger:
        for ask in (
            lambda: ledger.reserve([Hold("new", (Charge(DAY, MOST - 4),))], 0),  # with the 5 there, one too many
            lambda: ledger.settle("there", {"spent": MOST + 1}),
            lambda: ledger.reserve([Hold("new", (Charge(DAY, 1),))], 2**70),
            lambda: ledger.reserve([Hold("\ud800", (Charge(DAY, 1),))], 0),
            lambda: ledger.execution("\ud800", "draft", "key"),
            lambda: ledger.add_grant("a", "b", Grant(id="g", kind="pack", left=2**63, price_nanos=0)),
            lambda: ledger.begin(ExecutionRecord(id="e", customer="a", outcome="b", key="c", spent_nanos=2**63), [], 0),
        ):
            with pytest.raises(LedgerError):
                ask()
    untouched(path)


@pytest.mark.parametrize(
    ("hold", "now"),
    [
        (Hold("new", (Charge(DAY, 1),)), 0.5),
        (Hold("new", (Charge(DAY, 1),), expires_micros=1.5), 0),  # type: ignore[arg-type]  # that is the mistake
        (Hold("new", (Charge(DAY, 1, 100.5),)), 0),  # type: ignore[arg-type]  # as well
        (Hold(None, (Charge(DAY, 1),)), 0),  # type: ignore[arg-type]  # as well
    ],
)
def test_what_no_column_can_keep(hold: Hold, now: int, path: Path) -> None:
    """The caller's mistake is not said to be the file's."""
    with opened(path) as ledger:
        with pytest.raises(LedgerError, match="what was given cannot be kept") as refused:
            ledger.reserve([hold], now)
        assert not isinstance(refused.value, LedgerUnavailable)
    untouched(path)


def test_the_largest_amount_fits(path: Path) -> None:
    with opened(path) as ledger:
        assert ledger.reserve([Hold("new", (Charge(DAY, MOST - 5),))], 0) == ()
        assert ledger.readings([DAY])[DAY] == Reading(0, MOST)
        with pytest.raises(LedgerError, match="would pass"):
            ledger.settle("there", {"spent": 6})
        assert ledger.settle("new", {"spent": MOST - 5}) == ()
        assert ledger.readings([DAY])[DAY] == Reading(MOST - 5, 5)
