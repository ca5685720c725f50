"""Rows of the tables as the records of the protocol, and back."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from policy_engine.evaluation.facts import Grant
from policy_engine.language.checked import BlockId, Meter, Scope
from policy_engine.ledger.protocol import Balance, Charge, Counter, Document, Entry, ExecutionRecord, Hold, Lot
from policy_engine.ledger.sqlite import failures
from policy_engine.ledger.sqlite.schema import NEVER

T = TypeVar("T")

RECORD = ExecutionRecord.__struct_fields__
RECORD_COLUMNS = ", ".join(RECORD)
GRANT_COLUMNS = "id, kind, units, price_nanos, priority, expires_micros, effective_micros, created_micros"
HOLD_COLUMNS = "number, id, unit, owner, expires_micros, execution, policy_digest, price_digest, state, at_micros"
CHARGE_COLUMNS = "hold, meter, key, window, amount, bound, rule, incurred"

ORPHANS = {
    "charges belong to no hold": "SELECT count(*) FROM charges WHERE hold NOT IN (SELECT number FROM holds)",
    "charges are on a meter that is not there": (
        "SELECT count(*) FROM charges WHERE meter NOT IN (SELECT id FROM meters)"
    ),
    "counters are of a meter that is not there": (
        "SELECT count(*) FROM counters WHERE meter NOT IN (SELECT id FROM meters)"
    ),
}
"""How many rows belong to nothing, by what is said of them."""

MeterKey = tuple[str, str, str, str, str, str]


def meter_key(meter: Meter) -> MeterKey:
    """A meter as its row."""
    block, scope = meter.block, meter.scope
    return (meter.quantity, block.kind, block.name, scope.execution or "", scope.key or "", scope.window or "")


def meter_of(row: MeterKey) -> Meter:
    quantity, kind, name, execution, key, window = row
    return Meter(quantity, BlockId(kind, name), Scope(execution or None, key or None, window or None))


def until(expires_micros: int | None) -> int:
    return NEVER if expires_micros is None else expires_micros


def record_row(record: ExecutionRecord) -> tuple[Any, ...]:
    return tuple([getattr(record, name) for name in RECORD])


def record_of(row: tuple[Any, ...]) -> ExecutionRecord:
    return ExecutionRecord(**dict(zip(RECORD, row, strict=True)))


def grant_of(row: tuple[Any, ...], left: int) -> Grant:
    """A grant from its columns, with so many units left."""
    id_, kind, _, price, priority, expires, effective, created = row
    return Grant(
        id=id_,
        kind=kind,
        left=left,
        price_nanos=price,
        priority=priority,
        expires_micros=None if expires == NEVER else expires,
        effective_micros=effective,
        created_micros=created,
    )


def entry_of(row: tuple[Any, ...], charges: Iterable[tuple[Any, ...]], meters: dict[int, Meter]) -> Entry:
    """A hold from its columns and those of its charges."""
    _, id_, unit, owner, expires, execution, policy, prices, state, at = row
    made = []
    incurred = []
    for _, meter, key, window, amount, bound, rule, came_to in charges:
        made.append(Charge(Counter(meters[meter], key, window), amount, bound, rule))
        if came_to is not None:
            incurred.append(came_to)
    hold = Hold(id_, tuple(made), unit, owner, None if expires == NEVER else expires, execution, policy, prices)
    return Entry(hold, state, at, tuple(incurred))


def meters_in(connection: sqlite3.Connection) -> dict[int, Meter]:
    rows = connection.execute("SELECT id, quantity, block_kind, block_name, execution, key, window FROM meters")
    return {row[0]: meter_of(row[1:]) for row in rows}


class SqliteBook:
    """Implements `Book` over a connection that sees one moment. Raises `LedgerUnavailable` for rows that cannot be."""

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        self._connection = connection
        self._path = path
        self._meters = self._sound(lambda: meters_in(connection))

    def executions(self) -> Iterator[ExecutionRecord]:
        rows = self._rows(f"SELECT {RECORD_COLUMNS} FROM executions ORDER BY number")
        return self._each(map(record_of, rows))

    def entries(self) -> Iterator[Entry]:
        return self._each(self._entries())

    def balances(self) -> Iterator[Balance]:
        rows = self._rows("SELECT meter, key, window, settled, reserved, carried FROM counters")
        return self._each(Balance(Counter(self._meters[row[0]], *row[1:3]), *row[3:]) for row in rows)

    def lots(self) -> Iterator[Lot]:
        columns = f"customer, outcome, held, consumed, carried, {GRANT_COLUMNS}"
        rows = self._rows(f"SELECT {columns} FROM grants ORDER BY number")
        return self._each(Lot(row[0], row[1], grant_of(row[5:], row[7]), *row[2:5]) for row in rows)

    def documents(self) -> Iterator[Document]:
        return self._each(Document(*row) for row in self._rows("SELECT kind, digest, text FROM documents"))

    def damage(self) -> Iterator[str]:
        """What SQLite itself finds wrong with the file, in its words; and rows that belong to nothing."""
        for (said,) in self._rows("PRAGMA integrity_check"):
            if said != "ok":
                yield said
        for what, statement in ORPHANS.items():
            ((number,),) = self._rows(statement)
            if number:
                yield f"{number} {what}"

    def _entries(self) -> Iterator[Entry]:
        charges = self._rows(f"SELECT {CHARGE_COLUMNS} FROM charges ORDER BY hold, place")
        waiting = next(charges, None)
        for row in self._rows(f"SELECT {HOLD_COLUMNS} FROM holds ORDER BY number"):
            own = []
            while waiting is not None and waiting[0] <= row[0]:
                if waiting[0] == row[0]:
                    own.append(waiting)
                waiting = next(charges, None)
            yield entry_of(row, own, self._meters)

    def _rows(self, statement: str) -> Iterator[tuple[Any, ...]]:
        return iter(self._connection.execute(statement))

    def _each(self, made: Iterator[T]) -> Iterator[T]:
        """What is made of rows; where it cannot be made, the file is damaged."""
        nothing: Any = object()
        while (found := self._sound(lambda: next(made, nothing))) is not nothing:
            yield found

    def _sound(self, make: Callable[[], T]) -> T:
        try:
            return make()
        except (KeyError, TypeError, ValueError) as error:
            raise failures.damaged(self._path) from error
