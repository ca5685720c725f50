"""Holds and their ends, statement by statement; always inside a transaction that the caller has begun."""

from collections.abc import Mapping, Sequence
from sqlite3 import SQLITE_CONSTRAINT_UNIQUE, Connection, IntegrityError

from policy_engine.language.checked import Meter
from policy_engine.ledger.protocol import (
    HELD,
    LAPSED,
    LAPSED_AT_ONCE,
    MOST,
    RELEASED,
    REVERSED,
    SETTLED,
    Crossed,
    Hold,
    LedgerError,
    hold_exists,
    no_grant,
    no_hold,
)
from policy_engine.ledger.sqlite.rows import until
from policy_engine.ledger.sqlite.schema import NEVER

BATCH = 500
"""Holds that one transaction lapses, so that others are not kept waiting."""

_AT = "meter = ? AND key = ? AND window = ?"
_USED = f"SELECT settled + reserved FROM counters WHERE {_AT}"
_ADD = (
    "INSERT INTO counters (meter, key, window, reserved) VALUES (?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET reserved = reserved + excluded.reserved"
)
_MOVE = f"UPDATE counters SET reserved = reserved - ?, settled = settled + ? WHERE {_AT}"
_HOLD = (
    "INSERT INTO holds (id, state, unit, owner, at_micros, expires_micros, execution, policy_digest, price_digest)"
    f" VALUES (?, '{HELD}', ?, ?, ?, ?, ?, ?, ?)"
)
_CHARGE = "INSERT INTO charges (hold, place, meter, key, window, amount, bound, rule) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_FIND = "SELECT number, state, unit FROM holds WHERE id = ?"
_CHARGES = (
    "SELECT place, meter, charges.key, charges.window, amount, incurred, quantity"
    " FROM charges JOIN meters ON meters.id = meter WHERE hold = ? ORDER BY place"
)
_INCUR = "UPDATE charges SET incurred = ? WHERE hold = ? AND place = ?"
_END = "UPDATE holds SET state = ? WHERE number = ?"
_UNIT = "UPDATE grants SET held = held + ?, consumed = consumed + ? WHERE id = ?"
_DUE = (
    f"SELECT number, unit, id FROM holds WHERE state = '{HELD}' AND expires_micros <= ? ORDER BY expires_micros LIMIT ?"
)

Place = tuple[int, str, str]
Row = tuple[int, int, str, str, int, int | None, str]


def take(
    connection: Connection, holds: Sequence[Hold], now_micros: int, meters: Mapping[Meter, int]
) -> tuple[Crossed, ...]:
    """Reserve everything or nothing; the charges of one request see each other."""
    lapse(connection, now_micros, LAPSED_AT_ONCE)
    crossed: list[Crossed] = []
    too_much: str | None = None
    used: dict[Place, int] = {}
    taken: dict[str, int] = {}
    added: list[tuple[int, str, str, int]] = []
    for hold in holds:
        for charge in hold.charges:
            counter, amount = charge.counter, charge.amount
            place = (meters[counter.meter], counter.key, counter.window)
            before = used.get(place)
            if before is None:
                row = connection.execute(_USED, place).fetchone()
                before = 0 if row is None else row[0]
            used[place] = after = before + amount
            if after > MOST:
                too_much = str(counter.meter)
            elif charge.limit is not None and after > charge.limit:
                crossed.append(Crossed(charge, before))
            added.append((*place, amount))
        if hold.grant is not None:
            _take_unit(connection, hold.grant, taken, crossed)
    if crossed or too_much:
        _require_new(connection, holds)
        if too_much:
            raise LedgerError(f"the counter `{too_much}` would pass {MOST}")
        return tuple(crossed)
    place_of = iter(added)
    for hold in holds:
        number = _insert(connection, hold, now_micros)
        connection.executemany(
            _CHARGE,
            [
                (number, n, *next(place_of)[:3], charge.amount, _bound(charge.limit), charge.rule)
                for n, charge in enumerate(hold.charges)
            ],
        )
    connection.executemany(_ADD, added)
    for grant, units in taken.items():
        connection.execute(_UNIT, (units, 0, grant))
    return ()


def settle(connection: Connection, hold_id: str, actual: Mapping[str, int] | None) -> tuple[str, ...]:
    """Book what it came to, or the reserved amounts; answers the quantities that were more than reserved."""
    number, state, unit = _find(connection, hold_id)
    if state not in (HELD, LAPSED):
        return ()
    rows: list[Row] = connection.execute(_CHARGES, (number,)).fetchall()
    incurred = [row[4] if actual is None else actual.get(row[6], row[4]) for row in rows]
    _incur(connection, number, rows, incurred, held=state == HELD)
    connection.execute(_END, (SETTLED, number))
    if unit is not None and state == HELD:
        connection.execute(_UNIT, (-1, 1, unit))
    over = [row[6] for row, amount in zip(rows, incurred, strict=True) if amount > row[4]]
    return tuple(dict.fromkeys(over))


def release(connection: Connection, hold_id: str) -> None:
    """Give everything back, what lapsed too."""
    number, state, unit = _find(connection, hold_id)
    if state == HELD:
        rows: list[Row] = connection.execute(_CHARGES, (number,)).fetchall()
        connection.executemany(_MOVE, [(row[4], 0, *row[1:4]) for row in rows])
        connection.execute(_END, (RELEASED, number))
        if unit is not None:
            connection.execute(_UNIT, (-1, 0, unit))
    elif state == LAPSED:
        _take_back(connection, number, unit, RELEASED)


def reverse(connection: Connection, hold_id: str) -> None:
    """Undo what was settled."""
    number, state, unit = _find(connection, hold_id)
    if state in (SETTLED, LAPSED):
        _take_back(connection, number, unit, REVERSED)


def renew(connection: Connection, hold_ids: Sequence[str], expires_micros: int | None) -> tuple[str, ...]:
    """Give them until then; answers those that have ended."""
    ended = []
    for hold_id in hold_ids:
        number, state, _ = _find(connection, hold_id)
        if state == HELD:
            connection.execute("UPDATE holds SET expires_micros = ? WHERE number = ?", (until(expires_micros), number))
        else:
            ended.append(hold_id)
    return tuple(ended)


def lapse(connection: Connection, now_micros: int, most: int) -> tuple[str, ...]:
    """Settle those that are due at the reserved amounts, the longest overdue first."""
    due = connection.execute(_DUE, (min(now_micros, NEVER - 1), most)).fetchall()
    for number, unit, _ in due:
        rows: list[Row] = connection.execute(_CHARGES, (number,)).fetchall()
        _incur(connection, number, rows, [row[4] for row in rows], held=True)
        connection.execute(_END, (LAPSED, number))
        if unit is not None:
            connection.execute(_UNIT, (-1, 1, unit))
    return tuple(hold_id for _, _, hold_id in due)


def _find(connection: Connection, hold_id: str) -> tuple[int, str, str | None]:
    found: tuple[int, str, str | None] | None = connection.execute(_FIND, (hold_id,)).fetchone()
    if found is None:
        raise no_hold(hold_id)
    return found


def _take_unit(connection: Connection, grant: str, taken: dict[str, int], crossed: list[Crossed]) -> None:
    row = connection.execute("SELECT units, held + consumed FROM grants WHERE id = ?", (grant,)).fetchone()
    if row is None:
        raise no_grant(grant)
    gone = row[1] + taken.get(grant, 0)
    if row[0] - gone < 1:
        crossed.append(Crossed(None, gone))
    taken[grant] = taken.get(grant, 0) + 1


def _insert(connection: Connection, hold: Hold, now_micros: int) -> int:
    row = (
        *(hold.id, hold.grant, hold.owner, now_micros, until(hold.expires_micros)),
        *(hold.execution, hold.policy_digest, hold.price_digest),
    )
    try:
        return connection.execute(_HOLD, row).lastrowid or 0
    except IntegrityError as error:
        if error.sqlite_errorcode != SQLITE_CONSTRAINT_UNIQUE:
            raise
        raise hold_exists(hold.id) from None


def _bound(limit: int | None) -> int | None:
    """A limit that no balance can reach bounds as much as the largest one there is."""
    return limit if limit is None else min(limit, MOST)


def _require_new(connection: Connection, holds: Sequence[Hold]) -> None:
    """Where nothing is written, the table itself refuses no reused id."""
    asked: set[str] = set()
    for hold in holds:
        if hold.id in asked or connection.execute(_FIND, (hold.id,)).fetchone():
            raise hold_exists(hold.id)
        asked.add(hold.id)


def _incur(connection: Connection, number: int, rows: Sequence[Row], incurred: Sequence[int], *, held: bool) -> None:
    """Book what holds came to in place of what they hold, or of what they lapsed at: that is the same amount."""
    moved = []
    for row, amount in zip(rows, incurred, strict=True):
        reserved = row[4]
        if amount > reserved:  # only more can fail to fit
            (used,) = connection.execute(_USED, row[1:4]).fetchone()
            if used - reserved + amount > MOST:
                raise LedgerError(f"a counter of `{row[6]}` would pass {MOST}")
        moved.append((reserved, amount, *row[1:4]) if held else (0, amount - reserved, *row[1:4]))
    connection.executemany(_MOVE, moved)
    connection.executemany(_INCUR, [(amount, number, row[0]) for row, amount in zip(rows, incurred, strict=True)])


def _take_back(connection: Connection, number: int, unit: str | None, state: str) -> None:
    rows: list[Row] = connection.execute(_CHARGES, (number,)).fetchall()
    connection.executemany(_MOVE, [(0, -(row[5] or 0), *row[1:4]) for row in rows])
    connection.execute("UPDATE charges SET incurred = NULL WHERE hold = ?", (number,))
    connection.execute(_END, (state, number))
    if unit is not None:
        connection.execute(_UNIT, (0, -1, unit))
