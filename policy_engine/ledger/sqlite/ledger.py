"""The ledger in one SQLite file: every method one transaction."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike, fspath
from sqlite3 import Connection

from policy_engine.evaluation.facts import Grant, Reading
from policy_engine.language.checked import Meter
from policy_engine.ledger.protocol import (
    DELIVERED,
    Begun,
    Counter,
    Crossed,
    Entry,
    ExecutionRecord,
    Hold,
    LedgerUnavailable,
    Pruned,
    execution_exists,
    no_execution,
    require_actual,
    require_amounts,
    require_units,
)
from policy_engine.ledger.sqlite import holding, pruning
from policy_engine.ledger.sqlite.rows import (
    CHARGE_COLUMNS,
    GRANT_COLUMNS,
    HOLD_COLUMNS,
    RECORD,
    RECORD_COLUMNS,
    SqliteBook,
    entry_of,
    grant_of,
    meter_key,
    meters_in,
    record_of,
    record_row,
    until,
)
from policy_engine.ledger.sqlite.store import SYNCHRONOUS, Store

_log = logging.getLogger(__name__)

_READ = "SELECT settled, reserved FROM counters WHERE meter = ? AND key = ? AND window = ?"
_METER = (
    "SELECT id FROM meters WHERE quantity = ? AND block_kind = ? AND block_name = ?"
    " AND execution = ? AND key = ? AND window = ?"
)
_GRANTS = (
    f"SELECT held, consumed, {GRANT_COLUMNS} FROM grants"
    " WHERE customer = ? AND outcome = ? AND expires_micros > ? AND effective_micros <= ?"
)
_BY_KEY = f"SELECT {RECORD_COLUMNS} FROM executions WHERE customer = ? AND outcome = ? AND key = ?"
_DELIVERED = f"SELECT {RECORD_COLUMNS} FROM executions WHERE state = '{DELIVERED}' ORDER BY delivered_micros"
_BEGIN = f"INSERT INTO executions ({RECORD_COLUMNS}) VALUES ({', '.join('?' * len(RECORD))})"
_MAY_CHANGE = tuple(name for name in RECORD if name not in ("id", "customer", "outcome", "key", "version"))
_CHANGE = (
    f"UPDATE executions SET {', '.join(f'{name} = ?' for name in _MAY_CHANGE)}, version = version + 1"
    " WHERE id = ? AND version = ?"
)

LONGEST_WAIT_SECONDS = 86_400


class SqliteLedger:
    """Implements `Ledger`. May be used from any thread, and by several processes of one machine at once.

    `synchronous` is SQLite's: with `FULL`, what a method has answered survives a loss of power; with `NORMAL` it
    survives the end of the process, and a loss of power can take the last transactions. A request waits
    `wait_seconds` for other writers. Without `create`, a file that is not there is an error. As a context manager it
    closes itself.

    Raises `LedgerUnavailable` for a file that cannot be used.
    """

    waits = True

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        synchronous: str = "FULL",
        wait_seconds: float = 5.0,
        create: bool = True,
    ) -> None:
        if synchronous not in SYNCHRONOUS:
            raise ValueError(f"`{synchronous}` is no way to write; there are {', '.join(SYNCHRONOUS)}")
        if not 0 <= wait_seconds <= LONGEST_WAIT_SECONDS:
            raise ValueError(f"`wait_seconds` is 0 to {LONGEST_WAIT_SECONDS:,}, not {wait_seconds}")
        self._meters: dict[Meter, int] = {}
        self._store = Store(fspath(path), synchronous=synchronous, wait_seconds=wait_seconds, create=create)

    @property
    def path(self) -> str:
        return self._store.path

    def __enter__(self) -> "SqliteLedger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------ what is left

    def readings(self, counters: Iterable[Counter]) -> Mapping[Counter, Reading | None]:
        wanted = tuple(counters)

        def read(connection: Connection) -> Mapping[Counter, Reading | None]:
            found: dict[Counter, Reading | None] = {}
            for counter in wanted:
                meter = self._meters.get(counter.meter)
                if meter is None:
                    row = connection.execute(_METER, meter_key(counter.meter)).fetchone()
                    meter = row[0] if row is not None else -1
                row = connection.execute(_READ, (meter, counter.key, counter.window)).fetchone()
                found[counter] = Reading() if row is None else Reading(*row)
            return found

        try:
            return self._store.read(read)
        except LedgerUnavailable as error:
            _log.warning("the ledger does not answer: %s", error)
            return dict.fromkeys(wanted)

    def grants(self, customer: str, outcome: str, now_micros: int) -> tuple[Grant, ...] | None:
        def read(connection: Connection) -> tuple[Grant, ...]:
            rows = connection.execute(_GRANTS, (customer, outcome, now_micros, now_micros))
            return tuple([grant_of(row[2:], row[4] - row[0] - row[1]) for row in rows])

        try:
            return self._store.read(read)
        except LedgerUnavailable as error:
            _log.warning("the ledger does not answer: %s", error)
            return None

    def add_grant(self, customer: str, outcome: str, grant: Grant) -> bool:
        require_units(grant)
        known = "SELECT 1 FROM grants WHERE id = ?"
        if self._store.read(lambda connection: connection.execute(known, (grant.id,)).fetchone()):
            return False  # allowances are asked for again and again
        columns = f"customer, outcome, {GRANT_COLUMNS}"
        statement = f"INSERT INTO grants ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
        row = (
            *(customer, outcome, grant.id, grant.kind, grant.left, grant.price_nanos, grant.priority),
            *(until(grant.expires_micros), grant.effective_micros, grant.created_micros),
        )
        return self._store.write(lambda connection: connection.execute(statement, row).rowcount) == 1

    # ------------------------------------------------------------ holds

    def reserve(self, holds: Sequence[Hold], now_micros: int) -> tuple[Crossed, ...]:
        self._prepare(holds)
        return self._store.write(lambda connection: self._take(connection, holds, now_micros))

    def settle(self, hold_id: str, actual: Mapping[str, int] | None = None) -> tuple[str, ...]:
        if actual:
            require_actual(hold_id, actual)
        return self._store.write(lambda connection: holding.settle(connection, hold_id, actual))

    def release(self, hold_id: str) -> None:
        self._store.write(lambda connection: holding.release(connection, hold_id))

    def reverse(self, hold_id: str) -> None:
        self._store.write(lambda connection: holding.reverse(connection, hold_id))

    def renew(self, hold_ids: Sequence[str], expires_micros: int | None) -> tuple[str, ...]:
        return self._store.write(lambda connection: holding.renew(connection, hold_ids, expires_micros))

    def lapse(self, now_micros: int) -> tuple[str, ...]:
        lapsed: list[str] = []
        while some := self._store.write(lambda connection: holding.lapse(connection, now_micros, holding.BATCH)):
            lapsed += some
        return tuple(lapsed)

    # ------------------------------------------------------------ executions

    def begin(self, record: ExecutionRecord, holds: Sequence[Hold], now_micros: int) -> Begun:
        self._prepare(holds)
        key = (record.customer, record.outcome, record.key)

        def begin(connection: Connection) -> Begun:
            row = connection.execute(_BY_KEY, key).fetchone()
            if row is not None:
                return Begun(record_of(row))
            if connection.execute("SELECT 1 FROM executions WHERE id = ?", (record.id,)).fetchone():
                raise execution_exists(record.id)
            crossed = self._take(connection, holds, now_micros)
            if crossed:
                return Begun(None, crossed=crossed)
            connection.execute(_BEGIN, record_row(record))
            return Begun(record, new=True)

        return self._store.write(begin)

    def execution(self, customer: str, outcome: str, key: str) -> ExecutionRecord | None:
        row = self._store.read(lambda connection: connection.execute(_BY_KEY, (customer, outcome, key)).fetchone())
        return None if row is None else record_of(row)

    def change(
        self,
        record: ExecutionRecord,
        *,
        settle: Sequence[str] = (),
        release: Sequence[str] = (),
        reverse: Sequence[str] = (),
        renew: Sequence[str] = (),
        expires_micros: int | None = None,
    ) -> bool:
        row = (*[getattr(record, name) for name in _MAY_CHANGE], record.id, record.version)

        def change(connection: Connection) -> bool:
            if connection.execute(_CHANGE, row).rowcount != 1:
                if not connection.execute("SELECT 1 FROM executions WHERE id = ?", (record.id,)).fetchone():
                    raise no_execution(record.id)
                return False
            for hold_id in settle:
                holding.settle(connection, hold_id, None)
            for hold_id in release:
                holding.release(connection, hold_id)
            for hold_id in reverse:
                holding.reverse(connection, hold_id)
            if renew:
                holding.renew(connection, renew, expires_micros)
            return True

        return self._store.write(change)

    def delivered(self) -> tuple[ExecutionRecord, ...]:
        return self._store.read(lambda connection: tuple(map(record_of, connection.execute(_DELIVERED).fetchall())))

    def entries(self, execution: str) -> tuple[Entry, ...]:
        def read(connection: Connection) -> tuple[Entry, ...]:
            meters = meters_in(connection)
            holds = f"SELECT {HOLD_COLUMNS} FROM holds WHERE execution = ? AND execution <> '' ORDER BY number"
            charges = f"SELECT {CHARGE_COLUMNS} FROM charges WHERE hold = ? ORDER BY place"
            return tuple(
                entry_of(row, connection.execute(charges, row[:1]), meters)
                for row in connection.execute(holds, (execution,)).fetchall()
            )

        return self._store.read(read)

    # ------------------------------------------------------------ the record of it all

    def keep(self, kind: str, digest: str, text: str) -> None:
        if self.kept(kind, digest) is None:
            statement = "INSERT INTO documents (kind, digest, text) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
            self._store.write(lambda connection: connection.execute(statement, (kind, digest, text)))

    def kept(self, kind: str, digest: str) -> str | None:
        statement = "SELECT text FROM documents WHERE kind = ? AND digest = ?"
        row = self._store.read(lambda connection: connection.execute(statement, (kind, digest)).fetchone())
        return None if row is None else str(row[0])

    @contextmanager
    def book(self) -> Iterator[SqliteBook]:
        with self._store.moment() as connection:
            yield SqliteBook(connection, self.path)

    def prune(self, before_micros: int) -> Pruned:
        return pruning.prune(self._store, before_micros)

    def close(self) -> None:
        self._store.close()

    # ------------------------------------------------------------ inside

    def _take(self, connection: Connection, holds: Sequence[Hold], now_micros: int) -> tuple[Crossed, ...]:
        return holding.take(connection, holds, now_micros, self._meters)

    def _prepare(self, holds: Sequence[Hold]) -> None:
        """Refuse what no ledger can hold, and see that every meter has its number."""
        require_amounts(holds)
        known = self._meters
        new = {charge.counter.meter for hold in holds for charge in hold.charges if charge.counter.meter not in known}
        if new:
            known.update(self._store.write(lambda connection: _numbers(connection, new)))


def _numbers(connection: Connection, meters: Iterable[Meter]) -> dict[Meter, int]:
    keys = {meter: meter_key(meter) for meter in meters}
    connection.executemany(
        "INSERT INTO meters (quantity, block_kind, block_name, execution, key, window) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO NOTHING",
        keys.values(),
    )
    return {meter: connection.execute(_METER, key).fetchone()[0] for meter, key in keys.items()}
