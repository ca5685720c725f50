"""Rates as plain data, and back: how they are written into locks, digests and ledgers.

A rate that is not known stands for another one and is left out, so equal rates have one spelling.
"""

import json
from collections.abc import Mapping
from typing import Any

from policy_engine.language.units import Rates, Tier

RATES = (
    "input_picos",
    "output_picos",
    "cached_read_picos",
    "cached_write_picos",
    "cached_hour_write_picos",
    "dearest_input_picos",
    "dearest_output_picos",
)
"""Every rate, in pico currency units per token."""

Record = dict[str, Any]


class PriceError(ValueError):
    """Prices that cannot be used. `place` is the file or model it is about, `hint` the one thing to do."""

    def __init__(self, message: str, place: str | None = None, hint: str | None = None) -> None:
        said = f"{place}: {message}" if place is not None else message
        super().__init__(f"{said}; {hint}" if hint is not None else said)
        self.message, self.place, self.hint = message, place, hint


def record(rates: Rates) -> Record:
    """The rates as JSON has them."""
    found: Record = {name: value for name in RATES if (value := getattr(rates, name)) is not None}
    if rates.tiers:
        found["tiers"] = [{"above_tokens": tier.above_tokens, **record(tier.rates)} for tier in rates.tiers]
    if rates.batch is not None:
        found["batch"] = record(rates.batch)
    return found


def rates_of(data: Mapping[str, Any]) -> Rates:
    """The rates of a record that `record` made, or a lock was found to have."""
    batch = data.get("batch")
    return Rates(
        **{name: data[name] for name in RATES if data.get(name) is not None},
        tiers=tuple(Tier(tier["above_tokens"], rates_of(tier)) for tier in data.get("tiers", ())),
        batch=None if batch is None else rates_of(batch),
    )


def canonical(data: object) -> str:
    """The one text of some plain data: what digests are taken of."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
