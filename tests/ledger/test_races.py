"""Threads and processes that race for the last of something; workers that are killed."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from policy_engine.evaluation.facts import Grant, Reading
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.protocol import Begun, Charge, ExecutionRecord, Hold, Ledger
from policy_engine.ledger.sqlite import SqliteLedger
from policy_engine.ledger.verification import differences
from tests.ledger import racing
from tests.ledger.conformance import COUNTERS
from tests.locks import Guarded, Taken

DAY, TOKENS = COUNTERS[0], COUNTERS[2]


def race(threads: int, work: Callable[[int], int]) -> int:
    """Run the same work on so many threads at once; the sum of what they answer."""
    start = Barrier(threads)

    def run(number: int) -> int:
        start.wait()
        return work(number)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(run, range(threads)))


def sound(ledger: Ledger) -> None:
    with ledger.book() as book:
        assert list(differences(book)) == []


# ---------------------------------------------------------------- threads


@pytest.mark.parametrize("threads", [2, 8, 20, 64])
def test_two_of_twenty_runs_go(threads: int, ledger: Ledger) -> None:
    """Runs of $0.035 under a shared $0.10, here in tenths of a cent: two go, $0.07 is spent."""
    runs = {number: range(number, racing.RUNS, threads) for number in range(threads)}
    went = race(threads, lambda number: sum(racing.run(ledger, str(turn)) for turn in runs[number]))
    assert went == 2
    assert ledger.readings([DAY])[DAY] == Reading(70, 0)
    sound(ledger)


@pytest.mark.parametrize("settles", [True, False])
def test_threads_never_pass_a_limit_together(settles: bool, ledger: Ledger) -> None:
    def work(number: int) -> int:
        taken = 0
        for turn in range(30):
            name = f"{number}/{turn}"
            if not ledger.reserve([Hold(name, (Charge(DAY, 7, 1000), Charge(TOKENS, 1)))], 0):
                taken += 1
                if settles:
                    ledger.settle(name)
        return taken

    assert race(8, work) == 1000 // 7
    reading = ledger.readings([DAY])[DAY]
    assert reading is not None
    assert reading.used == 1000 // 7 * 7
    sound(ledger)


def test_threads_take_each_unit_once(ledger: Ledger) -> None:
    ledger.add_grant("acme", "draft", Grant(id="g", kind="pack", left=50, price_nanos=0))
    taken = race(8, lambda n: sum(not ledger.reserve([Hold(f"{n}/{turn}", grant="g")], 0) for turn in range(20)))
    assert taken == 50
    sound(ledger)


def test_one_hold_settled_by_many_threads_is_charged_once(ledger: Ledger) -> None:
    ledger.reserve([Hold("h", (Charge(DAY, 5),))], 0)
    race(8, lambda number: len(ledger.settle("h", {"spent": 3 + number % 2})))
    assert ledger.readings([DAY])[DAY] in (Reading(3, 0), Reading(4, 0))
    sound(ledger)


def test_one_of_many_begins_the_execution(ledger: Ledger) -> None:
    """The others are answered the one that did."""
    begun: list[Begun] = []

    def work(number: int) -> int:
        record = ExecutionRecord(id=f"e{number}", customer="acme", outcome="draft", key="ticket")
        begun.append(ledger.begin(record, [Hold(f"e{number}/entry", (Charge(DAY, 1),))], 0))
        return begun[-1].new

    assert race(16, work) == 1
    (winner,) = [answer.record for answer in begun if answer.new]
    assert all(answer.record == winner for answer in begun)
    assert ledger.readings([DAY])[DAY] == Reading(0, 1)


def test_one_of_many_takes_an_execution_over(ledger: Ledger) -> None:
    record = ExecutionRecord(id="e", customer="acme", outcome="draft", key="ticket", owner="gone")
    ledger.begin(record, [Hold("unit", (Charge(DAY, 1),))], 0)
    assert race(16, lambda number: ledger.change(record, settle=["unit"])) == 1
    assert ledger.readings([DAY])[DAY] == Reading(1, 0)


# ---------------------------------------------------------------- the one lock of the memory ledger

RECORD = ExecutionRecord(id="e", customer="acme", outcome="draft", key="ticket")
UNDER_THE_LOCK: dict[str, tuple[Any, ...]] = {
    "readings": ([DAY],),
    "grants": ("acme", "draft", 0),
    "add_grant": ("acme", "draft", Grant(id="g", kind="pack", left=1, price_nanos=0)),
    "reserve": ([Hold("h")], 0),
    "settle": ("h",),
    "release": ("h",),
    "reverse": ("h",),
    "renew": (["h"], 1),
    "lapse": (0,),
    "begin": (RECORD, [], 0),
    "execution": ("acme", "draft", "ticket"),
    "change": (RECORD,),
    "delivered": (),
    "entries": ("e",),
    "keep": ("policy", "digest", "text"),
    "kept": ("policy", "digest"),
    "book": (),
    "prune": (0,),
}


@pytest.mark.parametrize(
    "method", [name for name, found in vars(Ledger).items() if name[0] != "_" and name != "close" and callable(found)]
)
def test_the_memory_ledger_does_everything_under_its_lock(method: str) -> None:
    """Nobody has to win a race for it: who comes past the lock does not end at it."""
    ledger: Any = MemoryLedger()
    ledger._lock = Guarded()
    with pytest.raises(Taken):  # noqa: PT012 - the second is for the one that is a context manager
        answer = getattr(ledger, method)(*UNDER_THE_LOCK[method])
        answer.__enter__()


# ---------------------------------------------------------------- processes


def program(module: str, *words: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"tests.ledger.{module}", *map(str, words)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "threads"), [(2, 1), (4, 4), (8, 1), (8, 8)])
def test_processes_never_pass_a_ceiling_together(processes: int, threads: int, tmp_path: Path) -> None:
    assert program("racing", "race", tmp_path / "ledger.db", processes, threads).split() == ["2"]
    ledger = SqliteLedger(tmp_path / "ledger.db", create=False)
    assert ledger.readings([DAY])[DAY] == Reading(70, 0)
    sound(ledger)
    ledger.close()


@pytest.mark.slow
def test_a_ledger_may_be_open_where_a_process_forks(tmp_path: Path) -> None:
    program("racing", "fork", tmp_path / "ledger.db")


@pytest.mark.slow
def test_threads_fork_at_once(tmp_path: Path) -> None:
    """They used to wait for each other for ever."""
    program("racing", "forks", tmp_path / "ledger.db", 4)


@pytest.mark.slow
def test_a_child_does_not_wait_for_its_parents_threads() -> None:
    program("racing", "memory")


@pytest.mark.slow
def test_workers_that_are_killed_lose_nothing_and_leak_nothing() -> None:
    """Sixty of them; thousands in `make soak`. See `killing.look` for what is held against the ledger."""
    said = program("killing", "--kills", 60, "--seed", 7)
    assert said.startswith("60 kills"), said
