"""Which file it is: the one that was opened first, wherever the process goes and whatever becomes of the name."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import pytest

from policy_engine.evaluation.facts import Reading
from policy_engine.ledger.protocol import Charge, Crossed, Hold, LedgerUnavailable
from policy_engine.ledger.sqlite import SqliteLedger
from tests.ledger.conformance import COUNTERS

DAY = COUNTERS[0]
CEILING = 100


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqliteLedger]:
    """60 of 100 are held; it was opened by a name alone, from the directory `here`."""
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    found = SqliteLedger("ledger.db", synchronous="OFF")
    assert take(found, 60, "first") == ()
    yield found
    found.close()


def take(ledger: SqliteLedger, amount: int, name: str) -> tuple[Crossed, ...]:
    return ledger.reserve([Hold(name, (Charge(DAY, amount, CEILING),))], 0)


def unavailable(ask: Callable[[], object]) -> str:
    with pytest.raises(LedgerUnavailable) as refused:
        ask()
    assert refused.value.hint
    return f"{refused.value.code} {refused.value.message}"


# ---------------------------------------------------------------- where the process goes


def test_a_process_that_changes_its_directory_goes_on_in_the_same_file(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Daemons do, and the connections of later threads are opened only then; where a ledger of the same name may be."""
    SqliteLedger("../there/ledger.db").close()
    monkeypatch.chdir("../there")
    with ledger.book():  # what is asked meanwhile needs another connection
        assert take(ledger, 60, "second") != ()
        assert take(ledger, 40, "third") == ()
        assert ledger.readings([DAY])[DAY] == Reading(0, 100)


# ---------------------------------------------------------------- what becomes of the name


def remove(path: Path) -> None:
    path.unlink()


def replace_by_another(path: Path) -> None:
    SqliteLedger(path.with_name("new.db")).close()
    path.with_name("new.db").replace(path)


def replace_by_nothing(path: Path) -> None:
    path.unlink()
    path.touch()


@pytest.mark.parametrize("change", [remove, replace_by_another, replace_by_nothing])
def test_a_file_that_is_removed_or_replaced_is_used_no_more(
    change: Callable[[Path], None], ledger: SqliteLedger
) -> None:
    """Or whoever opens the name next would count from zero beside those that count on: above every ceiling."""
    change(Path("ledger.db"))
    said = "S105 the file that was open here was removed or replaced"
    assert unavailable(lambda: take(ledger, 10, "second")) == said
    assert unavailable(lambda: ledger.settle("first")) == said
    assert unavailable(lambda: ledger.book().__enter__()) == said
    assert ledger.readings([DAY]) == {DAY: None}
    assert ledger.grants("acme", "draft", 0) is None


def test_a_file_that_comes_back_is_used_on(ledger: SqliteLedger) -> None:
    Path("ledger.db").rename("elsewhere.db")
    unavailable(lambda: take(ledger, 10, "second"))
    assert not Path("ledger.db").exists()
    Path("elsewhere.db").rename("ledger.db")
    assert take(ledger, 10, "second") == ()


def test_a_link_that_points_elsewhere_by_now(ledger: SqliteLedger) -> None:
    SqliteLedger("other.db").close()
    Path("link.db").symlink_to("ledger.db")
    with SqliteLedger("link.db") as linked:
        assert take(linked, 50, "too much") != ()
        Path("link.db").unlink()
        Path("link.db").symlink_to("other.db")
        assert unavailable(lambda: take(linked, 50, "too much")).startswith("S105")


# ---------------------------------------------------------------- names


@pytest.mark.parametrize("name", ["file:x?mode=memory&cache=shared", "file:plain.db", "a b#?%41&.db", "ünï.db", "é'\""])
def test_a_name_is_a_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with SqliteLedger(name) as ledger:
        take(ledger, 60, "first")
        with ledger.book():
            assert take(ledger, 60, "second") != ()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.db")
    with SqliteLedger(path) as ledger:
        take(ledger, 60, "first")
    assert [os.fsencode(found.name) for found in tmp_path.iterdir()] == [b"\xff.db"]


@pytest.mark.parametrize("name", ["", ":memory:", "nul\0.db", "\ud800.db"])
def test_a_name_of_no_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite would give every connection an empty database of its own."""
    monkeypatch.chdir(tmp_path)
    assert unavailable(lambda: SqliteLedger(name)) == f"S105 {name!a} names no file"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("create", [True, False])
def test_a_directory(create: bool, tmp_path: Path) -> None:
    assert unavailable(lambda: SqliteLedger(tmp_path, create=create)) == "S105 it is a directory"


def test_an_empty_file_is_a_ledger_only_where_one_may_be_made(tmp_path: Path) -> None:
    """Whoever looks for what was spent must not be told that it was nothing."""
    path = tmp_path / "ledger.db"
    path.touch()
    assert unavailable(lambda: SqliteLedger(path, create=False)) == "S104 the file is empty, no ledger"
    assert path.stat().st_size == 0
    SqliteLedger(path).close()
    SqliteLedger(path, create=False).close()


# ---------------------------------------------------------------- copies


@pytest.mark.parametrize("statement", ["VACUUM INTO 'copy.db'", None])
def test_a_copy_that_sqlite_made_is_read_while_others_write(statement: str | None, ledger: SqliteLedger) -> None:
    """`VACUUM INTO` writes a file that is not in WAL mode, where who writes waits for who reads."""
    connection = sqlite3.connect("ledger.db")
    if statement:
        connection.execute(statement)
    else:
        with sqlite3.connect("copy.db") as copy:
            connection.backup(copy)
        copy.close()
    connection.close()
    with SqliteLedger("copy.db", create=False, wait_seconds=0.5) as copied, copied.book() as book:
        writer = Thread(target=lambda: take(copied, 40, "second"))
        writer.start()
        writer.join()
        assert copied.readings([DAY])[DAY] == Reading(0, 100)
        assert len(list(book.entries())) == 1


# ---------------------------------------------------------------- how long to wait


@pytest.mark.parametrize("seconds", [-1, -0.001, float("nan"), float("inf"), 1e12])
def test_a_wait_that_cannot_be(seconds: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`wait_seconds` is 0 to 86,400, not"):
        SqliteLedger(tmp_path / "ledger.db", wait_seconds=seconds)
