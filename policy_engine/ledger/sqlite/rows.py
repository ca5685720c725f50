"""Rows of the tables as the records of the protocol, and back."""

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from policy_engine.evaluation.facts import Grant
from policy_engine.language.checked import BlockId, Meter, Scope
from policy_engine.ledger.protocol import Balance, Charge, Counter, Document, Entry, ExecutionRecord, Hold, Lot
from policy_engine.ledger.sqlite.schema import NEVER

RECORD = ExecutionRecord.__struct_fields__
RECORD_COLUMNS = ", ".join(RECORD)
GRANT_COLUMNS = "id, kind, units, price_nanos, priority, expires_micros, effective_micros, created_micros"
HOLD_COLUMNS = "number, id, unit, owner, expires_micros, execution, policy_digest, price_digest, state, at_micros"
CHARGE_COLUMNS = "hold, meter, key, window, amount, bound, rule, incurred"

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
    """Implements `Book` over a connection that sees one moment."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._meters = meters_in(connection)

    def executions(self) -> Iterator[ExecutionRecord]:
        yield from map(record_of, self._rows(f"SELECT {RECORD_COLUMNS} FROM executions ORDER BY number"))

    def entries(self) -> Iterator[Entry]:
        charges = self._rows(f"SELECT {CHARGE_COLUMNS} FROM charges ORDER BY hold, place")
        waiting = next(charges, None)
        for row in self._rows(f"SELECT {HOLD_COLUMNS} FROM holds ORDER BY number"):
            own = []
            while waiting is not None and waiting[0] <= row[0]:
                if waiting[0] == row[0]:
                    own.append(waiting)
                waiting = next(charges, None)
            yield entry_of(row, own, self._meters)

    def balances(self) -> Iterator[Balance]:
        for meter, key, window, *amounts in self._rows(
            "SELECT meter, key, window, settled, reserved, carried FROM counters"
        ):
            yield Balance(Counter(self._meters[meter], key, window), *amounts)

    def lots(self) -> Iterator[Lot]:
        for row in self._rows(
            f"SELECT customer, outcome, held, consumed, carried, {GRANT_COLUMNS} FROM grants ORDER BY number"
        ):
            customer, outcome, held, consumed, carried, *grant = row
            yield Lot(customer, outcome, grant_of(tuple(grant), grant[2]), held, consumed, carried)

    def documents(self) -> Iterator[Document]:
        for row in self._rows("SELECT kind, digest, text FROM documents"):
            yield Document(*row)

    def damage(self) -> Iterator[str]:
        """What SQLite itself finds wrong with the file, in its words."""
        for (said,) in self._rows("PRAGMA integrity_check"):
            if said != "ok":
                yield said

    def _rows(self, statement: str) -> Iterator[tuple[Any, ...]]:
        return iter(self._connection.execute(statement))
