"""Workers that are killed at any moment, and what the ledger holds afterwards.

    python -m tests.ledger.killing [--kills N] [--workers N] [--seed N]

A worker works off tickets: it begins an execution by the ticket's key or takes over one whose owner is gone, reserves
attempts under a shared ceiling, settles them and delivers. What a method has answered it writes down in a file of its
own, so that what the ledger must still know is known. Workers are ended with SIGKILL, and others take their place.
"""

import argparse
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec.structs import replace

from policy_engine.evaluation.facts import Grant
from policy_engine.ledger.protocol import HELD, LAPSED, SETTLED, Charge, Counter, ExecutionRecord, Hold
from policy_engine.ledger.sqlite import SqliteLedger
from policy_engine.ledger.verification import contradictions, differences
from tests.ledger.conformance import COUNT, OWN, SPENT

ADMITTED = Counter(COUNT, "", "2026-11")
CEILING, AMOUNT = 1_000, 35
"""Of every window, and of every attempt: what a window allows is soon used up."""
WINDOW_MICROS = 1_000_000
TICKETS = 60
UNITS = 10**6
TTL_MICROS = 1_000_000
LONGEST_LIFE = 1.0


def now_micros() -> int:
    return time.time_ns() // 1000


def spent_in(micros: int) -> Counter:
    return Counter(SPENT, "", str(micros // WINDOW_MICROS))


class Worker:
    def __init__(self, path: Path, notes: Path, name: str) -> None:
        self.ledger = SqliteLedger(path, wait_seconds=60)
        self.notes = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.name = name
        self.chance = random.Random(name)

    def note(self, *words: object) -> None:
        """One write: whole or not at all, and kept when the process is killed."""
        os.write(self.notes, (" ".join(map(str, words)) + "\n").encode())

    def work(self) -> None:
        while True:
            window = now_micros() // WINDOW_MICROS - self.chance.randrange(3)  # older tickets may have lost their owner
            self.ticket(f"{window}/{self.chance.randrange(TICKETS)}")
            if self.chance.random() < 0.05:
                self.ledger.lapse(now_micros())

    def ticket(self, key: str) -> None:
        now = now_micros()
        execution = f"{now:020}-{self.name}"
        record = ExecutionRecord(
            id=execution,
            customer="acme",
            outcome="draft",
            key=key,
            draw_grant="pack",
            admitted_micros=now,
            owner=self.name,
            lease_micros=now + TTL_MICROS,
        )
        entry = self.hold(record, "entry", Charge(ADMITTED, 1))
        unit = replace(self.hold(record, "unit"), grant="pack")
        begun = self.ledger.begin(record, [entry, unit], now)
        if begun.record is None:
            return
        record = begun.record
        if begun.new:
            self.note("begun", key, record.id)
        elif record.state != "running" or (record.lease_micros or 0) > now:
            return
        else:
            taken = replace(record, owner=self.name, lease_micros=now + TTL_MICROS)
            if not self.ledger.change(taken, renew=[f"{record.id}/unit"], expires_micros=now + TTL_MICROS):
                return
            record = replace(taken, version=taken.version + 1)
        self.attempts(record)

    def attempts(self, record: ExecutionRecord) -> None:
        made = len(self.ledger.entries(record.id)) - 2
        for number in range(made, made + self.chance.randrange(1, 3)):
            now = now_micros()
            charges = (Charge(spent_in(now), AMOUNT, CEILING, "a.policy:1:1"), Charge(Counter(OWN, record.id), AMOUNT))
            hold = self.hold(record, str(number), *charges)
            if self.ledger.reserve([hold], now):
                self.ledger.change(replace(record, state="aborted"), release=[f"{record.id}/unit"])
                return
            if self.chance.random() < 0.3:
                time.sleep(self.chance.random() / 100)
            came_to = self.chance.randrange(AMOUNT + 1)
            self.ledger.settle(hold.id, {"spent": came_to})
            self.note("settled", hold.id, came_to)
        ends = [f"{record.id}/unit", f"{record.id}/entry"]
        if self.ledger.change(replace(record, state="accepted"), settle=ends):
            self.note("accepted", record.id)

    def hold(self, record: ExecutionRecord, name: str, *charges: Charge) -> Hold:
        expires = now_micros() + TTL_MICROS
        return Hold(f"{record.id}/{name}", charges, None, self.name, expires, record.id, "p", "q")


def start(path: Path, notes: Path, name: str) -> int:
    """A worker in a process of its own; answers its number."""
    if process := os.fork():
        return process
    try:
        Worker(path, notes, name).work()
    except BaseException as error:
        os.write(2, f"worker {name}: {error!r}\n".encode())
        (notes.parent / "failed").write_text(repr(error), encoding="utf-8")
    os._exit(1)


def run(kills: int, workers: int, seed: int, say: bool) -> str:
    """Kill so many workers; answers what was found, or raises `AssertionError`."""
    chance = random.Random(seed)
    with TemporaryDirectory() as directory:
        path, notes = Path(directory) / "ledger.db", Path(directory) / "notes"
        with opened(path) as ledger:
            ledger.add_grant("acme", "draft", Grant(id="pack", kind="pack", left=UNITS, price_nanos=1))
        living = [start(path, notes, f"{seed}.{number}") for number in range(workers)]
        try:
            for kill in range(kills):
                time.sleep(chance.random() * LONGEST_LIFE / workers)
                end(living.pop(chance.randrange(workers)))
                living.append(start(path, notes, f"{seed}.{workers + kill}"))
                failed = notes.parent / "failed"
                assert not failed.exists(), failed.read_text(encoding="utf-8")
                if say and kill % 100 == 99:
                    print(f"{kill + 1} kills: {look(path, notes, still_running=True)}", flush=True)
        finally:
            for process in living:
                end(process)
        return look(path, notes, still_running=False)


def end(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


@contextmanager
def opened(path: Path) -> Iterator[SqliteLedger]:
    """Closed again, so that nothing is open where the process forks."""
    ledger = SqliteLedger(path, wait_seconds=60)
    try:
        yield ledger
    finally:
        ledger.close()


def look(path: Path, notes: Path, *, still_running: bool) -> str:
    """Hold the ledger against the notes."""
    told = [line.split() for line in notes.read_text(encoding="utf-8").splitlines()]
    with opened(path) as ledger:
        if not still_running:
            ledger.lapse(now_micros() + TTL_MICROS)
        with ledger.book() as book:
            assert list(book.damage()) == []
            assert list(differences(book)) == []
            assert list(contradictions(book)) == []
            entries = {entry.hold.id: entry for entry in book.entries()}
            records = {record.id: record for record in book.executions()}
            balances = {balance.counter: balance for balance in book.balances()}
            (lot,) = book.lots()
    assert len({record.key for record in records.values()}) == len(records), "two executions by one key"
    for what, *words in told:
        if what == "settled":
            entry = entries[words[0]]
            assert (entry.state, entry.incurred) == (SETTLED, (int(words[1]),) * 2), f"lost or charged twice: {words}"
        elif what == "begun":
            assert words[-1] in records, f"forgotten: {words}"
        else:
            assert records[words[0]].state == "accepted", f"taken back: {words}"
            assert entries[f"{words[0]}/unit"].state == SETTLED
    windows = [balance for counter, balance in balances.items() if counter.meter is SPENT]
    assert all(balance.settled + balance.reserved <= CEILING for balance in windows), "a ceiling was passed"
    assert lot.held + lot.consumed <= UNITS
    left = sum(entry.state == HELD for entry in entries.values())
    lapsed = sum(entry.state == LAPSED for entry in entries.values())
    if not still_running:
        assert left == 0, f"{left} holds are leaked"
    over = sum(record.version > 1 for record in records.values())
    return (
        f"{len(records)} executions ({over} taken over), {len(entries)} holds ({lapsed} lapsed, {left} held), "
        f"{len(windows)} windows, {len(told)} answers kept"
    )


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--kills", type=int, default=60)
    options.add_argument("--workers", type=int, default=4)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    started = time.monotonic()
    found = run(chosen.kills, chosen.workers, chosen.seed, say=chosen.kills > 100)
    print(f"{chosen.kills} kills in {time.monotonic() - started:.1f} s: {found}")
    sys.exit(0)


if __name__ == "__main__":
    main()
