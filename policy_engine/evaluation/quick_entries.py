"""Entries that the boundary's short way reads with functions: counters, grants, lists of names, counts by name.

They take the common types alone and throw `Unusual` at the rest, wrong or not.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec import UNSET

from policy_engine.evaluation.entries import GRANT_KINDS, MAX_COUNT
from policy_engine.evaluation.facts import Grant, Reading
from policy_engine.language.checked import ATTEMPTS, SPENT, TOKENS, Meter
from policy_engine.language.units import MAX_MONEY_NANOS, MAX_SIGNIFICANT_DIGITS, NANOS

EXACT: Final = 10**MAX_SIGNIFICANT_DIGITS
"""Below it, a float of n billionths or millionths prints as just that: decimals of 15 digits survive a float."""

MOST_MONEY: Final = MAX_MONEY_NANOS // NANOS
_MONEY_METERS = ("spent", "overage")


class Unusual(LookupError):
    """Thrown where a mapping is not for the short way."""


def counted(value: Any, scale: int) -> Reading:
    """A counter given as a number or as `settled` and `reserved`. `scale` is 0 for one that counts no money."""
    if value.__class__ is Reading:
        if (value.settled | value.reserved) < 0:
            raise Unusual
        return value  # its class was looked at
    if value.__class__ is dict:
        settled, reserved = value.get("settled", 0), value.get("reserved", 0)
        if len(value) != ("settled" in value) + ("reserved" in value):
            raise Unusual
        return Reading(_units(settled, scale), _units(reserved, scale))
    return Reading(_units(value, scale), 0)


def written(known: Mapping[str, Meter]) -> Callable[[Any], dict[Meter, Reading | None]]:
    """Reads counters by their written form or the meter, with any value that is quickly read."""
    meters: dict[Any, Meter] = {**known, **{meter: meter for meter in known.values()}}

    def read(values: Any) -> dict[Meter, Reading | None]:
        if values is None:
            return {}
        if values.__class__ is not dict:
            raise Unusual
        found: dict[Meter, Reading | None] = {}
        for key, value in values.items():
            meter = meters[key]
            scale = NANOS if meter.quantity in _MONEY_METERS else 0
            found[meter] = None if value is None else counted(value, scale)
        return found

    return read


def money(value: Any) -> int:
    """Nano units of an amount in currency units, not below zero."""
    return _units(value, NANOS)


def count(value: Any) -> int:
    if value.__class__ is not int or not 0 <= value <= MAX_COUNT:
        raise Unusual
    return value  # its class was looked at


def _units(value: Any, scale: int) -> int:
    if value.__class__ is int and value >= 0:
        if not scale:
            return value  # its class was looked at
        if value <= MOST_MONEY:
            return value * scale
    elif value.__class__ is float and scale and 0 <= value < EXACT // scale:
        whole = int(value * scale + 0.5)
        if whole / scale == value:
            return whole
    raise Unusual


_GRANT_ENTRIES = frozenset({"id", "kind", "left", "price", "priority", "expires", "effective", "created"})
_KINDS = {kind: kind for kind in GRANT_KINDS}


def grants(moment: Callable[[Any], int]) -> Callable[[Any], tuple[Grant, ...]]:
    """Reads lists of grants; `moment` reads a time."""

    def grant(value: Any) -> Grant:
        if value.__class__ is not dict or not value.keys() <= _GRANT_ENTRIES:
            raise Unusual
        id_, priority, expires = value["id"], value.get("priority", 0), value.get("expires")
        if id_.__class__ is not str or not id_ or priority.__class__ is not int:
            raise Unusual
        return Grant(
            id=id_,
            kind=_KINDS[value.get("kind", "allowance")],
            left=count(value["left"]),
            price_nanos=money(value["price"]),
            priority=priority,
            expires_micros=None if expires is None else moment(expires),
            effective_micros=moment(value["effective"]) if "effective" in value else 0,
            created_micros=moment(value["created"]) if "created" in value else 0,
        )

    def read(values: Any) -> tuple[Grant, ...]:
        if values.__class__ is not list:
            raise Unusual
        try:
            return tuple(map(grant, values))
        except (ValueError, OverflowError):  # what a time may raise
            raise Unusual from None

    return read


def names(declared: Iterable[str]) -> Callable[[Any], tuple[str, ...]]:
    """Reads a list of declared names."""
    known = {name: name for name in declared}

    def read(values: Any) -> tuple[str, ...]:
        if values.__class__ is not list:
            raise Unusual
        return tuple([known[value] for value in values])

    return read


def counts(declared: Iterable[str]) -> Callable[[Any], dict[str, int]]:
    """Reads counts by declared names."""
    known = {name: name for name in declared}

    def read(values: Any) -> dict[str, int]:
        if values.__class__ is not dict:
            raise Unusual
        return {known[name]: count(value) for name, value in values.items()}

    return read


def with_own(entries: Any, meters: dict[Meter, Reading | None]) -> dict[Meter, Reading | None]:
    """The counters with those of one execution that stand by themselves."""
    found = dict(meters)  # what is here may be the caller's
    for value, meter in ((entries.spent, SPENT), (entries.attempts, ATTEMPTS), (entries.tokens, TOKENS)):
        if value is not UNSET and value is not None:
            found[meter] = counted(value, NANOS if meter is SPENT else 0)
    if entries.reserved is not UNSET and entries.reserved is not None:
        held, spent = counted(entries.reserved, NANOS), found.get(SPENT)
        if spent is None:
            raise Unusual
        found[SPENT] = Reading(spent.settled, spent.reserved + held.settled)
    return found


def spent_in_escrow(entries: Any) -> Reading | None:
    value = entries.escrow
    return None if value is UNSET or value is None else counted(value, NANOS)
