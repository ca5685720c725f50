"""What a ledger costs beside the least that does the same work, and how that grows.

python -m benchmarks.ledgers [EXECUTIONS]
"""

import gc
import os
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from benchmarks.timing import Rounds, Run, interleaved, nanos, ratio, surroundings, table, verdict
from policy_engine.evaluation.facts import Grant
from policy_engine.language.checked import ATTEMPTS, FILE_LEVEL, SPENT, TOKENS, BlockId, Meter, Scope
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.protocol import Charge, Counter, ExecutionRecord, Hold, Ledger
from policy_engine.ledger.sqlite import SqliteLedger
from policy_engine.runtime.engine import Engine

MANY = 1_000_000
CALLS = 200
LARGE = 10**15
PAGE = 4096
DAY = "2026-11-22"
EVERY_DAY = Meter("spent", FILE_LEVEL, Scope(window="day"))
BY_CUSTOMER = Meter("spent", BlockId("workflow", "support"), Scope(key="customer", window="day"))
SHARED = (Counter(EVERY_DAY, "", DAY), Counter(BY_CUSTOMER, "acme", DAY))
OWN = (SPENT, ATTEMPTS, TOKENS)
AMOUNTS = {"spent": 35_000_000, "attempts": 1, "tokens": 900}
CAME_TO = {"spent": 20_000_000, "tokens": 700}
RULE = "support.policy:29:1"
DIGEST = "5" * 64

NUMBERS = "WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n + 1 < :number)"
ID = "printf('e%09d', n)"
USED = "SELECT settled + reserved FROM counters WHERE meter = ? AND key = ? AND window = ?"

_NUMBERS = count(1)


def nothing() -> None:
    """The call that is guarded."""


# ---------------------------------------------------------------- subjects


def attempt(ledger: Ledger, execution: str, number: int) -> None:
    """Five ceilings, as an engine would ask: two shared, three of the execution."""
    id = f"{execution}/{number:09}"
    charges = (
        *[Charge(counter, AMOUNTS["spent"], LARGE, RULE) for counter in SHARED],
        *[Charge(Counter(meter, execution), AMOUNTS[meter.quantity], LARGE, RULE) for meter in OWN],
    )
    crossed = ledger.reserve([Hold(id, charges, None, "worker", LARGE, execution, DIGEST, DIGEST)], number)
    assert not crossed  # noqa: S101 - what is refused would be measured as fast
    nothing()
    ledger.settle(id, CAME_TO)


def attempts(ledger: Ledger, calls: int = CALLS) -> Run:
    def run() -> None:
        execution = f"run {next(_NUMBERS):09}"
        for number in range(calls):
            attempt(ledger, execution, number)

    return run


POLICY = """
currency USD
route mini { model "openai:gpt-4o-mini"  rates $1 in, $4 out per 1M tokens }
lane standard { mini }
ceiling $900M per day
workflow support {
  ceiling $900M per customer per day
  outcome draft {
    price $900M  lanes standard
    ceiling $900M per outcome  ceiling 900M attempts per outcome  ceiling 900M tokens per outcome
  }
}
"""


def through_an_engine() -> Run:
    """The same five ceilings of a policy, in the caller's code: a step, its attempt, a usage."""
    run = Engine(POLICY, ledger=MemoryLedger()).execution("draft", customer="acme")

    def calls() -> None:
        for _ in range(CALLS):
            for made in run.step("draft", input_tokens=500, max_output_tokens=400):
                with made:
                    nothing()
                    made.settle(input_tokens=500, output_tokens=200)

    return calls


class Counters:
    """The same five ceilings by hand: a lock, and two dictionaries."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.settled: dict[object, int] = {}
        self.reserved: dict[object, int] = {}

    def reserve(self, asked: Sequence[tuple[object, int, int]]) -> bool:
        with self.lock:
            for key, amount, limit in asked:
                if self.settled.get(key, 0) + self.reserved.get(key, 0) + amount > limit:
                    return False
            for key, amount, _ in asked:
                self.reserved[key] = self.reserved.get(key, 0) + amount
            return True

    def settle(self, asked: Sequence[tuple[object, int, int]], came_to: Sequence[int]) -> None:
        with self.lock:
            for (key, amount, _), actual in zip(asked, came_to, strict=True):
                self.reserved[key] -= amount
                self.settled[key] = self.settled.get(key, 0) + actual


def by_hand() -> Run:
    counters = Counters()

    def run() -> None:
        execution = f"run {next(_NUMBERS):09}"
        for _ in range(CALLS):
            asked = (
                (("spent", DAY), AMOUNTS["spent"], LARGE),
                (("spent", "support", "acme", DAY), AMOUNTS["spent"], LARGE),
                *[((quantity, execution), AMOUNTS[quantity], LARGE) for quantity in AMOUNTS],
            )
            if counters.reserve(asked):
                nothing()
                spent, tokens = CAME_TO["spent"], CAME_TO["tokens"]
                counters.settle(asked, (spent, spent, spent, 1, tokens))

    return run


class Statements:
    """Two transactions on the ledger's own tables that read and write the same rows by the same keys, and no more."""

    def __init__(self, path: Path, synchronous: str) -> None:
        SqliteLedger(path).close()
        self.connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        self.connection.execute(f"PRAGMA synchronous = {synchronous}")
        self.connection.execute("PRAGMA cache_size = -16000")

    def reserve(self, id: str, execution: str, places: Sequence[tuple[int, str, str]], now: int) -> None:
        do = self.connection.execute
        do("BEGIN IMMEDIATE")
        do("SELECT number FROM holds WHERE state = 'held' AND expires_micros <= ? LIMIT 64", (now,)).fetchall()
        for place, (_, amount) in zip(places, self.amounts, strict=True):
            row = do(USED, place).fetchone()
            if row is not None and row[0] + amount > LARGE:
                do("ROLLBACK")
                return
        number = do(
            "INSERT INTO holds (id, state, unit, owner, at_micros, expires_micros, execution, policy_digest,"
            " price_digest) VALUES (?, 'held', NULL, 'worker', ?, ?, ?, ?, ?)",
            (id, now, LARGE, execution, DIGEST, DIGEST),
        ).lastrowid
        self.connection.executemany(
            "INSERT INTO charges (hold, place, meter, key, window, amount, bound, rule)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (number, n, *place, amount, LARGE, RULE)
                for n, (place, (_, amount)) in enumerate(zip(places, self.amounts, strict=True))
            ],
        )
        self.connection.executemany(
            "INSERT INTO counters (meter, key, window, reserved) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET reserved = reserved + excluded.reserved",
            [(*place, amount) for place, (_, amount) in zip(places, self.amounts, strict=True)],
        )
        do("COMMIT")

    def settle(self, id: str) -> None:
        do = self.connection.execute
        do("BEGIN IMMEDIATE")
        number, state = do("SELECT number, state FROM holds WHERE id = ?", (id,)).fetchone()
        if state == "held":
            rows = do("SELECT place, meter, key, window, amount FROM charges WHERE hold = ? ORDER BY place", (number,))
            held = rows.fetchall()
            came_to = [CAME_TO.get(quantity, row[4]) for row, (quantity, _) in zip(held, self.amounts, strict=True)]
            self.connection.executemany(
                "UPDATE counters SET reserved = reserved - ?, settled = settled + ?"
                " WHERE meter = ? AND key = ? AND window = ?",
                [(row[4], actual, *row[1:4]) for row, actual in zip(held, came_to, strict=True)],
            )
            self.connection.executemany(
                "UPDATE charges SET incurred = ? WHERE hold = ? AND place = ?",
                [(actual, number, row[0]) for row, actual in zip(held, came_to, strict=True)],
            )
            do("UPDATE holds SET state = 'settled' WHERE number = ?", (number,))
        do("COMMIT")

    amounts = tuple((quantity, AMOUNTS[quantity]) for quantity in ("spent", "spent", "spent", "attempts", "tokens"))


def statements(path: Path, synchronous: str, calls: int) -> Run:
    made = Statements(path, synchronous)

    def run() -> None:
        execution = f"run {next(_NUMBERS):09}"
        places = ((1, "", DAY), (2, "acme", DAY), (3, execution, ""), (4, execution, ""), (5, execution, ""))
        for number in range(calls):
            id = f"{execution}/{number:09}"
            made.reserve(id, execution, places, number)
            nothing()
            made.settle(id)

    return run


# ---------------------------------------------------------------- many


def record(number: int, state: str) -> ExecutionRecord:
    return ExecutionRecord(
        id=f"e{number:09}",
        customer=f"customer {number % 1000}",
        outcome="draft",
        key=f"ticket {number}",
        plan="growth",
        lane="standard",
        policy_digest=DIGEST,
        price_digest=DIGEST,
        state=state,
        owner="worker",
    )


def open_executions(ledger: Ledger, number: int) -> None:
    """So many that have begun, each with its unit, its entry, and one attempt that runs."""
    ledger.add_grant("acme", "draft", Grant(id="g", kind="pack", left=10**9, price_nanos=1))
    for n in range(number):
        made = record(n, "running")
        common = ("worker", LARGE + n, made.id, DIGEST, DIGEST)
        unit, entry = Hold(f"{made.id}/unit", (), "g", *common), Hold(f"{made.id}/entry", (), None, *common)
        ledger.begin(made, [unit, entry], n)
        own = [Charge(Counter(meter, made.id), AMOUNTS[meter.quantity], LARGE, RULE) for meter in OWN]
        charges = (*[Charge(counter, AMOUNTS["spent"], LARGE, RULE) for counter in SHARED], *own)
        ledger.reserve([Hold(f"{made.id}/000000001", charges, None, *common)], n)


def filled(path: Path, number: int, *, ended: bool) -> SqliteLedger:
    """The same in a file, written by the table; ended ones were settled, and their executions accepted."""
    ledger = SqliteLedger(path, synchronous="OFF")
    attempt(ledger, "first", 0)  # every meter has its number
    connection = sqlite3.connect(path, isolation_level=None)
    meters = dict(connection.execute("SELECT quantity, id FROM meters WHERE execution <> ''").fetchall())
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -400000")
    state = "settled" if ended else "held"
    connection.execute("BEGIN")
    given = {"number": number, "state": state, "digest": DIGEST, "rule": RULE, "large": LARGE, "ended": ended}
    for place, name in enumerate(("unit", "entry", "000000001")):
        connection.execute(
            f"{NUMBERS} INSERT INTO holds SELECT 100 + 3 * n + :place, {ID} || '/' || :name, :state, NULL, 'worker', n,"
            f" :large + n, {ID}, :digest, :digest FROM n",
            {**given, "place": place, "name": name},
        )
    for place, (quantity, meter) in enumerate(meters.items()):
        amount = {"place": place, "meter": meter, "amount": AMOUNTS[quantity]}
        connection.execute(
            f"{NUMBERS} INSERT INTO counters SELECT :meter, {ID}, '', :amount * :ended, :amount * NOT :ended, 0 FROM n",
            {**given, **amount},
        )
        connection.execute(
            f"{NUMBERS} INSERT INTO charges SELECT 102 + 3 * n, :place, :meter, {ID}, '', :amount, :large, :rule,"
            " iif(:ended, :amount, NULL) FROM n",
            {**given, **amount},
        )
    made = record(0, "accepted" if ended else "running")
    columns = ("id", "customer", "outcome", "key")
    rest = [name for name in made.__struct_fields__ if name not in columns]
    connection.execute(
        f"{NUMBERS} INSERT INTO executions ({', '.join((*columns, *rest))})"
        f" SELECT {ID}, 'customer ' || (n % 1000), 'draft', 'ticket ' || n,"
        f" {', '.join(f':{name}' for name in rest)} FROM n",
        {"number": number, **{name: getattr(made, name) for name in rest}},
    )
    connection.execute("COMMIT")
    connection.close()
    with path.open("rb") as file:
        os.fsync(file.fileno())  # what filling has left to be written is not the ledger's to wait for
    return ledger


def resident() -> int:
    """Bytes of memory this process has."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE


# ---------------------------------------------------------------- tables


def row(
    name: str, times: Rounds, subject: str, yardstick: str, *, most: float | None = None, least: float | None = None
) -> list[str]:
    """`least` is a promise on speed: yardstick / subject."""
    found = ratio(times, subject, yardstick) if most is not None else ratio(times, yardstick, subject)
    goal = f"≤ {most}" if most is not None else f"≥ {least}"
    return [name, nanos(times[yardstick]), nanos(times[subject]), f"{found:.2f}", goal, verdict(found, most, least)]


def rows_of_memory() -> Iterator[list[str]]:
    times = interleaved({"ledger": attempts(MemoryLedger()), "engine": through_an_engine(), "hand": by_hand()}, CALLS)
    yield row("memory: a lock and two dictionaries by hand", times, "ledger", "hand", most=10)
    yield row("memory, facts and decision of an engine included: the same", times, "engine", "hand", most=10)


def rows_of_sqlite(folder: Path) -> Iterator[list[str]]:
    for synchronous, calls, clock in (
        ("FULL", 20, time.perf_counter_ns),
        ("NORMAL", 50, time.perf_counter_ns),
        ("OFF", 50, time.thread_time_ns),
    ):
        ledger = SqliteLedger(folder / f"ours {synchronous}.db", synchronous=synchronous)
        subjects = {
            "ledger": attempts(ledger, calls),
            "hand": statements(folder / f"hand {synchronous}.db", synchronous, calls),
        }
        times = interleaved(subjects, calls, clock=clock)
        yield row(f"SQLite, `{synchronous}`: two transactions by hand (speed)", times, "ledger", "hand", least=0.7)
        ledger.close()


def rows_of_growth(folder: Path, many: int) -> Iterator[list[str]]:
    few, full = MemoryLedger(), MemoryLedger()
    open_executions(few, 10)
    gc.collect()
    before = resident()
    open_executions(full, many)
    gc.collect()
    bytes_each = (resident() - before) / many
    times = interleaved({"many": attempts(full), "few": attempts(few)}, CALLS)
    yield row(f"memory: 10 and {many:,} open executions", times, "many", "few", most=1.5)
    yield ["memory: bytes per open execution with one attempt", "", f"{bytes_each:,.0f}", "", "", "–"]
    del few, full
    gc.collect()
    for name, ended in (("open", False), ("ended", True)):
        small = filled(folder / f"small {name}.db", 10, ended=ended)
        path = folder / f"large {name}.db"
        large = filled(path, many, ended=ended)
        for synchronous, clock in (("OFF", time.thread_time_ns), ("FULL", time.perf_counter_ns)):
            for ledger in (small, large):
                ledger.close()
            small, large = (
                SqliteLedger(folder / f"{size} {name}.db", synchronous=synchronous) for size in ("small", "large")
            )
            times = interleaved({"many": attempts(large, 20), "few": attempts(small, 20)}, 20, clock=clock)
            yield row(f"SQLite, `{synchronous}`: 10 and {many:,} {name} executions", times, "many", "few", most=1.5)
        small.close()
        large.close()
        yield [
            f"SQLite: bytes per {name} execution with one attempt",
            "",
            f"{path.stat().st_size / many:,.0f}",
            "",
            "",
            "–",
        ]
        path.unlink()


def main() -> None:
    many = int(sys.argv[1]) if len(sys.argv) > 1 else MANY
    print(f"{surroundings('policy_engine', 'msgspec')}; SQLite {sqlite3.sqlite_version}\n")
    heads = [
        "one attempt: reserve under five ceilings, an empty call, settle",
        "yardstick",
        "ledger",
        "ratio",
        "goal",
        "",
    ]
    with TemporaryDirectory() as folder:
        rows = [*rows_of_memory(), *rows_of_sqlite(Path(folder))]
        print(table(heads, rows), end="\n\n")
        print(table(["from few to many", "few", "many", *heads[3:]], list(rows_of_growth(Path(folder), many))))


if __name__ == "__main__":
    main()
