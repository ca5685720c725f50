"""The types of a reader's entries, as msgspec knows them: the common forms, within their ranges."""

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import ceil, floor
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, defstruct

from policy_engine.evaluation.quick_entries import EXACT, MOST_MONEY
from policy_engine.language.checked import Fact
from policy_engine.language.units import NANOS
from policy_engine.language.vocabulary import Unit

MICROS: Final = 10**6
COMMON: Final = 2**62
"""Whole numbers from here on are unusual: msgspec knows limits of 64 bits."""

NOTHING: Any = Annotated[str, Meta(min_length=1, max_length=0)]
"""What no value is of: one of no names, or what is left to the long way."""


def entries_type(described: Mapping[str, tuple[str, Any, Any]]) -> type:
    """A record of entries, from the field to the entry, its type and its default."""
    return defstruct(
        "Entries",
        [(field, type_, default) for field, (_, type_, default) in described.items()],
        rename={field: entry for field, (entry, *_) in described.items()},
        forbid_unknown_fields=True,
        kw_only=True,
        gc=False,
    )


def one_of(names: Iterable[str]) -> Any:
    listed = tuple(names)
    return Literal[listed] if listed else NOTHING


def money(least: int) -> Any:
    return _amount(NANOS, least, MOST_MONEY)


def duration() -> Any:
    return _amount(MICROS, 0, (COMMON - 1) // MICROS)


def _amount(scale: int, least: int, most: int) -> Any:
    """In whole units, or with so few digits that a float holds them all."""
    return Annotated[int, Meta(ge=least, le=most)] | Annotated[float, Meta(ge=0.0, le=float(EXACT // scale - 1))]


def type_of(fact: Fact) -> Any:
    if fact.unit is Unit.ENUM:
        return one_of(fact.values)
    if fact.unit in (Unit.MONEY, Unit.DURATION):
        return money(-MOST_MONEY) if fact.unit is Unit.MONEY else duration()
    if fact.unit in (Unit.NUMBER, Unit.PERCENT):
        low, high = _as_float(fact.low, 1.0 - EXACT), _as_float(fact.high, EXACT - 1.0)
        return NOTHING if low is None or high is None else Annotated[float, Meta(ge=low, le=high)]
    if fact.unit is Unit.INTEGER:
        least = -COMMON if fact.low is None else ceil(fact.low)
        most = COMMON if fact.high is None else floor(fact.high)
        common = -COMMON <= least <= most <= COMMON
        return Annotated[int, Meta(ge=least, le=most)] if common else NOTHING
    return {Unit.BOOLEAN: bool, Unit.TEXT: str}[fact.unit]


def _as_float(bound: Fraction | None, without: float) -> float | None:
    """The bound as a float that prints as it does, so that comparing floats compares what is written."""
    if bound is None:
        return without
    size = float(bound)
    return size if Fraction(repr(size)) == bound and abs(size) < EXACT else None
