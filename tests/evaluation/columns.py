"""Facts records as the columns of `decide_many`."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from policy_engine.evaluation.facts import MISSING, FailureFacts, SettleFacts
from policy_engine.evaluation.meters import every_meter
from policy_engine.language.checked import CheckedPolicy
from policy_engine.language.vocabulary import Unit

_APART = ("given", "meters", "escrow", "retries")
_TYPES: dict[Unit, Any] = {Unit.ENUM: pl.String, Unit.TEXT: pl.String, Unit.BOOLEAN: pl.Boolean}
_TYPES |= {Unit.NUMBER: pl.Float64, Unit.PERCENT: pl.Float64}


def table(policy: CheckedPolicy, records: Sequence[Any]) -> pl.DataFrame:
    """One row per record, money in nano units, time in microseconds; what is missing is null."""
    fields = [name for name in type(records[0]).__struct_fields__ if name not in _APART]
    found = [_series(name, [getattr(record, name) for record in records]) for name in fields]
    if isinstance(records[0], SettleFacts):
        return pl.DataFrame(found)
    for fact in policy.facts.values():
        values = [getattr(record.given, fact.name) for record in records]
        values = [None if value is MISSING else value for value in values]
        found.append(pl.Series(fact.name, values, dtype=_TYPES.get(fact.unit, pl.Int64)))
    for meter in every_meter(policy):
        readings = [record.meters.get(meter) for record in records]
        settled = [None if reading is None else reading.settled for reading in readings]
        reserved = [None if reading is None else reading.reserved for reading in readings]
        found += [
            pl.Series(str(meter), settled, dtype=pl.Int64),
            pl.Series(f"{meter} reserved", reserved, dtype=pl.Int64),
        ]
    escrow = [None if record.escrow is None else record.escrow.used for record in records]
    found.append(pl.Series("escrow_nanos", escrow, dtype=pl.Int64))
    if isinstance(records[0], FailureFacts):
        classes = sorted({error for record in records for error in record.retries})
        if classes:
            dtype = pl.Struct(dict.fromkeys(classes, pl.Int64))
            found.append(pl.Series("retries", [dict(record.retries) for record in records], dtype=dtype))
    return pl.DataFrame(found)


def _series(name: str, values: list[Any]) -> pl.Series:
    if name == "visited":
        return pl.Series(name, [list(routes) for routes in values], dtype=pl.List(pl.String))
    texts = ("customer", "outcome", "plan", "lane", "route", "step", "error", "state", "event")
    return pl.Series(name, values, dtype=pl.String if name in texts else pl.Int64)
