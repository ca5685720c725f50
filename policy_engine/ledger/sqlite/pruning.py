"""Forgetting what ended long ago, a batch of it per transaction, while others go on writing."""

import json
from collections.abc import Sequence
from functools import partial
from sqlite3 import Connection
from typing import TypeVar

from policy_engine.ledger.protocol import FINAL, HELD, LAPSED, SETTLED, Pruned
from policy_engine.ledger.sqlite.store import Store

T = TypeVar("T")

BATCH = 500

_OVER = f"""
    state IN ({", ".join(f"'{state}'" for state in FINAL)})
    AND max(admitted_micros, ifnull(delivered_micros, 0)) < :before
    AND NOT EXISTS (
        SELECT 1 FROM holds
        WHERE execution = executions.id AND execution <> '' AND (state = '{HELD}' OR at_micros >= :before)
    )"""
_EXECUTIONS = f"SELECT id FROM executions WHERE {_OVER}"
_STILL = f"{_EXECUTIONS} AND id IN (SELECT value FROM json_each(:some))"
_LOOSE = f"""
    state <> '{HELD}' AND at_micros < :before
    AND NOT EXISTS (SELECT 1 FROM executions WHERE executions.id = holds.execution)"""
_HOLDS = f"SELECT number FROM holds WHERE {_LOOSE}"
_STILL_LOOSE = f"{_HOLDS} AND number IN (SELECT value FROM json_each(:some))"
_CARRY = """
    UPDATE counters SET carried = carried + gone.incurred
    FROM (
        SELECT meter, key, window, sum(incurred) AS incurred FROM charges
        WHERE hold IN (SELECT value FROM json_each(:holds)) AND incurred IS NOT NULL
        GROUP BY meter, key, window
    ) AS gone
    WHERE counters.meter = gone.meter AND counters.key = gone.key AND counters.window = gone.window"""
_CARRY_UNITS = f"""
    UPDATE grants SET carried = carried + gone.units
    FROM (
        SELECT unit, count(*) AS units FROM holds
        WHERE number IN (SELECT value FROM json_each(:holds)) AND state IN ('{SETTLED}', '{LAPSED}')
        GROUP BY unit
    ) AS gone
    WHERE grants.id = gone.unit"""
_OWN_COUNTERS = """
    SELECT DISTINCT meter, charges.key, charges.window FROM charges JOIN meters ON meters.id = meter
    WHERE hold IN (SELECT value FROM json_each(:holds)) AND meters.execution <> ''"""
_REMOVE_COUNTER = "DELETE FROM counters WHERE meter = ? AND key = ? AND window = ?"


def prune(store: Store, before_micros: int) -> Pruned:
    """See `Ledger.prune`."""
    before = {"before": before_micros}
    found = store.read(lambda connection: [row[0] for row in connection.execute(_EXECUTIONS, before)])
    executions = entries = counters = 0
    for some in _batches(found):
        done = store.write(partial(_forget_executions, before_micros, some))
        executions, entries, counters = executions + done[0], entries + done[1], counters + done[2]
    loose = store.read(lambda connection: [row[0] for row in connection.execute(_HOLDS, before)])
    for some in _batches(loose):
        entries += store.write(partial(_forget_loose, before_micros, some))
    return Pruned(executions, entries, counters)


def _forget_executions(before_micros: int, ids: Sequence[str], connection: Connection) -> tuple[int, int, int]:
    """Of these, what is still over: it may have been reversed or begun anew since it was found."""
    asked = {"before": before_micros, "some": json.dumps(ids)}
    ended = [row[0] for row in connection.execute(_STILL, asked)]
    some = json.dumps(ended)
    numbers = [
        row[0]
        for row in connection.execute(
            "SELECT number FROM holds WHERE execution <> '' AND execution IN (SELECT value FROM json_each(?))", (some,)
        )
    ]
    own = connection.execute(_OWN_COUNTERS, {"holds": json.dumps(numbers)}).fetchall()
    connection.executemany(_REMOVE_COUNTER, own)
    _forget(connection, numbers)
    connection.execute("DELETE FROM executions WHERE id IN (SELECT value FROM json_each(?))", (some,))
    return len(ended), len(numbers), len(own)


def _forget_loose(before_micros: int, numbers: Sequence[int], connection: Connection) -> int:
    asked = {"before": before_micros, "some": json.dumps(numbers)}
    still = [row[0] for row in connection.execute(_STILL_LOOSE, asked)]
    _forget(connection, still)
    return len(still)


def _forget(connection: Connection, numbers: Sequence[int]) -> None:
    """Remove holds and carry what they came to."""
    holds = {"holds": json.dumps(numbers)}
    connection.execute(_CARRY, holds)
    connection.execute(_CARRY_UNITS, holds)
    connection.execute("DELETE FROM charges WHERE hold IN (SELECT value FROM json_each(:holds))", holds)
    connection.execute("DELETE FROM holds WHERE number IN (SELECT value FROM json_each(:holds))", holds)


def _batches(found: Sequence[T]) -> list[Sequence[T]]:
    return [found[start : start + BATCH] for start in range(0, len(found), BATCH)]
