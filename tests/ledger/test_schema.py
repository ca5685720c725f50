"""Files of older versions: kept as SQL text, opened by this one, and used on."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from policy_engine.evaluation.facts import Reading
from policy_engine.ledger.protocol import LedgerUnavailable, Pruned
from policy_engine.ledger.sqlite import SqliteLedger
from policy_engine.ledger.sqlite.schema import VERSION
from policy_engine.ledger.verification import differences
from tests.ledger.conformance import COUNTERS, OWN_COUNTERS

HERE = Path(__file__).parent
LATER = 1_800_000_000_000_000


def written_by(version: int, path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript((HERE / f"schema_{version}.sql").read_text(encoding="utf-8"))
    connection.close()


@pytest.mark.parametrize("version", range(1, VERSION))
def test_an_older_file_is_brought_up_to_date_and_used_on(version: int, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    written_by(version, path)
    ledger = SqliteLedger(path, create=False)
    assert ledger.readings([COUNTERS[0], OWN_COUNTERS[0]]) == {
        COUNTERS[0]: Reading(20_000_000, 35_000_000),
        OWN_COUNTERS[0]: Reading(20_000_000, 35_000_000),
    }
    record = ledger.execution("acme", "draft", "ticket 1")
    assert record is not None
    assert (record.id, record.given, record.version) == ("e1", '{"risk": "high"}', 0)
    assert [entry.state for entry in ledger.entries("e1")] == ["held", "held", "settled", "held"]
    assert ledger.kept("policy", "p1") == "currency USD\n"
    assert ledger.settle("e1/2", {"spent": 30_000_000}) == ()
    with ledger.book() as book:
        assert list(differences(book)) == []
    ledger.close()
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    connection.close()


def test_what_a_newer_version_brings_works_on_old_rows(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    written_by(1, path)
    ledger = SqliteLedger(path)
    record = ledger.execution("acme", "draft", "ticket 1")
    assert record is not None
    from msgspec.structs import replace

    assert ledger.change(replace(record, state="accepted"), settle=["e1/unit", "e1/entry", "e1/2"])
    assert ledger.prune(LATER) == Pruned(executions=1, entries=4, counters=1)
    assert ledger.readings([COUNTERS[0]])[COUNTERS[0]] == Reading(55_000_000, 0)
    with ledger.book() as book:
        assert list(differences(book)) == []
    ledger.close()


def test_a_migration_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.db"
    written_by(1, path)
    from policy_engine.ledger.sqlite import schema

    broken = (*schema.MIGRATIONS[:-1], (*schema.MIGRATIONS[-1], "CREATE TABLE counters (again INTEGER)"))
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", broken)
        with pytest.raises(LedgerUnavailable, match="table counters already exists"):
            SqliteLedger(path)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    assert "carried" not in connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'counters'").fetchone()[0]
    connection.close()
    SqliteLedger(path).close()


def test_several_open_a_new_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with ThreadPoolExecutor(16) as pool:
        for ledger in pool.map(lambda _: SqliteLedger(path, wait_seconds=60), range(16)):
            assert ledger.readings([COUNTERS[0]])[COUNTERS[0]] == Reading()
            ledger.close()


def test_an_old_and_a_new_file_have_the_same_tables(tmp_path: Path) -> None:
    def tables(path: Path) -> list[tuple[str, str]]:
        connection = sqlite3.connect(path)
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1")]
        found = [(name, str([row[1:] for row in connection.execute(f"PRAGMA table_xinfo({name})")])) for name in names]
        connection.close()
        return found

    written_by(1, tmp_path / "old.db")
    for name in ("old.db", "new.db"):
        SqliteLedger(tmp_path / name).close()
    assert tables(tmp_path / "old.db") == tables(tmp_path / "new.db")


def test_a_file_that_another_makes_meanwhile_is_no_foreign_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version, application and tables are looked at in one moment."""
    path = tmp_path / "ledger.db"
    looks: list[str] = []

    class Between(sqlite3.Connection):
        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            if sql == "SELECT count(*) FROM sqlite_schema" and not looks:
                looks.append(sql)
                with suppress(LedgerUnavailable):
                    SqliteLedger(path, wait_seconds=0.05).close()
            return super().execute(sql, parameters)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **named: connect(*a, **named, factory=Between))
    ledger = SqliteLedger(path)
    assert looks
    assert ledger.readings([COUNTERS[0]]) == {COUNTERS[0]: Reading()}
    ledger.close()
