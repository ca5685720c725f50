"""The ledger in a file: the conformance machine, the file closed and opened in between; what requests cost."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pytest
from hypothesis import settings
from hypothesis.stateful import rule
from msgspec.structs import replace

from policy_engine.evaluation.facts import Grant
from policy_engine.ledger.protocol import Charge, Counter, ExecutionRecord, Hold
from policy_engine.ledger.sqlite import SqliteLedger, store
from tests.generators.settings import examples
from tests.ledger.conformance import COUNTERS, OWN, LedgerMachine


class SqliteMachine(LedgerMachine):
    def make(self) -> SqliteLedger:
        self.directory = TemporaryDirectory()
        self.path = Path(self.directory.name) / "ledger.db"
        return SqliteLedger(self.path, synchronous="OFF")

    @rule()
    def open_again(self) -> None:
        self.ledger.close()
        self.ledger = SqliteLedger(self.path, synchronous="OFF", create=False)

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "directory"):
            self.directory.cleanup()


TestSqlite = SqliteMachine.TestCase
TestSqlite.settings = settings(examples(40), stateful_step_count=40)


DAY, MONTH = COUNTERS[0], COUNTERS[4]


def work(ledger: SqliteLedger, ask: Callable[[], object]) -> int:
    """The steps of SQLite's machine that a request takes: what it costs, whatever else the computer does."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    for connection in ledger._store._idle:
        connection.set_progress_handler(step, 1)
    ask()
    for connection in ledger._store._idle:
        connection.set_progress_handler(None, 0)
    return steps


def costs(path: Path, number: int, *, settled: bool) -> list[int]:
    """Of every kind of request, beside so many holds and executions."""
    ledger = SqliteLedger(path, synchronous="OFF")
    ledger.add_grant("acme", "draft", Grant(id="pack", kind="pack", left=10**6, price_nanos=1))
    holds = [
        Hold(f"{n}", (Charge(DAY, 1), Charge(Counter(OWN, f"e{n}"), 1)), None, "w", 10**12 + n, f"e{n}")
        for n in range(number)
    ]
    ledger.reserve(holds, 0)
    for n in range(number):
        ledger.begin(ExecutionRecord(id=f"e{n}", customer="acme", outcome="draft", key=f"k{n}"), [], 0)
        if settled:
            ledger.settle(f"{n}")
    record = ExecutionRecord(id="new", customer="acme", outcome="draft", key="new")
    charges = (Charge(DAY, 1, 10**9), Charge(MONTH, 1), Charge(Counter(OWN, "new"), 1))
    found = [
        work(ledger, lambda: ledger.begin(record, [Hold("unit", charges, "pack", "w", 10**12, "new")], 5)),
        work(ledger, lambda: ledger.reserve([Hold("one", charges, None, "w", 10**12, "new")], 5)),
        work(ledger, lambda: ledger.settle("one", {"spent": 1})),
        work(ledger, lambda: ledger.lapse(5)),
        work(ledger, lambda: ledger.renew(["unit"], 10**13)),
        work(ledger, lambda: ledger.change(replace(record, state="accepted"), settle=["unit"])),
        work(ledger, lambda: ledger.entries("new")),
        work(ledger, ledger.delivered),
        work(ledger, lambda: ledger.readings([DAY, MONTH])),
        work(ledger, lambda: ledger.grants("acme", "draft", 5)),
        work(ledger, lambda: ledger.execution("acme", "draft", "k3")),
    ]
    ledger.close()
    return found


@pytest.mark.parametrize("settled", [False, True])
def test_no_request_costs_more_beside_many_others(settled: bool, tmp_path: Path) -> None:
    few = costs(tmp_path / "few.db", 10, settled=settled)
    many = costs(tmp_path / "many.db", 2_000, settled=settled)
    assert all(steps > 5 for steps in few)
    assert all(more <= 1.2 * less for less, more in zip(few, many, strict=True)), (few, many)


# ---------------------------------------------------------------- the log beside the file


@pytest.mark.parametrize("linked", [False, True])
def test_the_log_is_begun_anew_though_somebody_reads_now_and_then(
    linked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight busy processes once made half a gigabyte of it in 25 seconds; SQLite waits for a moment without readers."""
    monkeypatch.setattr(store, "LONGEST_LOG", 100_000)
    monkeypatch.setattr(store, "WRITES_BETWEEN_LOOKS", 20)
    path, log = tmp_path / "ledger.db", tmp_path / "ledger.db-wal"
    SqliteLedger(path, synchronous="OFF").close()
    if linked:
        (tmp_path / "link").mkdir()
        (tmp_path / "link" / "l.db").symlink_to(path)
    with SqliteLedger(tmp_path / "link" / "l.db" if linked else path, synchronous="OFF") as ledger:
        with ledger.book() as book:
            for n in range(60):
                assert ledger.reserve([Hold(f"{n}", (Charge(DAY, 1, 10**6),))], 0) == ()  # who only reads stops nobody
            assert log.stat().st_size > 200_000
            assert list(book.entries()) == []
        sizes = []
        for n in range(60, 100):
            assert ledger.reserve([Hold(f"{n}", (Charge(DAY, 1, 10**6),))], 0) == ()
            sizes.append(log.stat().st_size)
        assert min(sizes) == 0
        reading = ledger.readings([DAY])[DAY]
        assert reading is not None
        assert reading.reserved == 100


# ---------------------------------------------------------------- connections


def test_every_connection_in_use_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who forks waits for all of them, and for none that was given back or never opened."""
    ledger = SqliteLedger(tmp_path / "ledger.db", synchronous="OFF")
    store = ledger._store
    with ledger.book():
        with ledger.book():
            assert store._busy == 2
        assert store._busy == 1
    assert (store._busy, len(store._idle)) == (0, 2)
    with ledger.book(), ledger.book(), monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ledger.kept("policy", "p")
        assert store._busy == 2
    ledger.close()


def test_a_connection_that_failed_is_not_used_again(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db", synchronous="OFF")
    store = ledger._store
    (before,) = store._idle

    def fail(connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("something is the matter with it")

    with pytest.raises(Exception, match="something is the matter"):
        store.read(fail)
    assert before not in store._idle
    assert ledger.kept("policy", "p") is None
    assert store._busy == 0
    ledger.close()


def test_who_forks_waits_until_all_is_given_back(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db", synchronous="OFF", wait_seconds=60)
    store = ledger._store
    forking = Thread(target=store.before_fork)
    with ledger.book(), ledger.book():
        forking.start()
        forking.join(0.05)
        assert forking.is_alive()
    forking.join(30)
    assert not forking.is_alive()
    assert store._idle == []
    store.after_fork(in_child=False)
    assert ledger.kept("policy", "p") is None
    ledger.close()
