"""What callers give, checked before a policy or a ledger is asked. Where it is wrong, nothing has happened."""

from collections.abc import Collection, Iterable, Mapping
from inspect import isclass
from os import PathLike
from typing import TYPE_CHECKING, Any

from policy_engine.evaluation.entries import MAX_COUNT, no_such, shown
from policy_engine.evaluation.facts import FactError
from policy_engine.prices.table import PriceTable

if TYPE_CHECKING:
    from policy_engine.runtime.clock import Clock
    from policy_engine.runtime.observing import Observer

SHORTEST_LEASE, LONGEST_LEASE = 0.01, 10**9
"""Seconds: what is shorter ends before it can be renewed."""

ENTRIES = ("outcome", "customer", "plan", "lane", "key")
"""What `Engine.execution` takes beside the facts."""


def text(entry: str, value: object) -> None:
    """Raise `FactError` for what cannot name a customer, a key, a step: an empty one would be one for all of them."""
    if value == "":
        raise FactError(entry, f"`{entry}` is empty")
    if not isinstance(value, str):
        raise FactError(entry, f"`{entry}`: {shown(value)} is not a text")


def tokens(entry: str, value: object) -> None:
    """Raise `FactError` for what is no number of tokens; None is one that nobody knows."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int):
        raise FactError(entry, f"`{entry}`: {shown(value)} is not a whole number")
    if not 0 <= value <= MAX_COUNT:
        raise FactError(entry, f"`{entry}`: {value} is out of range; it is 0 to {MAX_COUNT}")


def facts(values: object, declared: Mapping[str, Any]) -> None:
    """Raise `FactError` for what are no facts, and for what is given beside them."""
    if not isinstance(values, Mapping):
        raise FactError("facts", f"`facts`: {shown(values)} is no mapping of names to values")
    for name in ENTRIES:
        if name in values and name not in declared:
            raise FactError(name, f"`{name}` is given beside the facts: execution(…, {name}=…)")


def known(kind: str, name: object, declared: Collection[str]) -> None:
    """Raise `FactError` for a name that the policy does not declare."""
    if not isinstance(name, str) or name not in declared:
        raise FactError(kind, no_such(name, declared, kind))


def policy(given: object, prices: object) -> None:
    """Raise `TypeError` for what `load` cannot take."""
    if not isinstance(given, Iterable | PathLike) or isinstance(given, Mapping | bytes):
        raise TypeError(f"a policy is a path, a text or a list of paths, not {shown(given)}")
    if prices is not None and not isinstance(prices, PriceTable):
        raise TypeError(f"prices are a table, such as `PriceTable.read(path)`, not {shown(prices)}")


def ledger(given: object) -> None:
    """Raise `TypeError` for what is no ledger."""
    if isclass(given):
        raise TypeError(f"a ledger is an object, not a class: {given.__name__}(…)")
    if not callable(getattr(given, "reserve", None)):
        raise TypeError(f"a ledger or the path of an SQLite file is needed, not {shown(given)}")


def clock(given: "Clock") -> None:
    """Raise `TypeError` for what is no clock, or counts in something else than microseconds."""
    for name in ("now_micros", "sleep", "wait"):
        if isclass(given) or not callable(getattr(given, name, None)):
            raise TypeError(f"a clock is an object with `now_micros`, `sleep` and `wait`, not {shown(given)}")
    now: object = given.now_micros()
    if type(now) is not int:
        raise TypeError(f"a clock answers whole microseconds since the epoch, not {shown(now)}")


def lease(seconds: object) -> None:
    """Raise `ValueError` for a lease that would have ended when it begins."""
    if seconds is not None and (not isinstance(seconds, int | float) or not seconds > 0):
        raise ValueError(f"`lease_seconds`: {shown(seconds)} is no number of seconds above 0")
    if seconds is not None and not SHORTEST_LEASE <= seconds <= LONGEST_LEASE:
        longest = f"{LONGEST_LEASE:,}"
        raise ValueError(f"`lease_seconds`: {seconds} is not from {SHORTEST_LEASE} to {longest}; None is for ever")


def observers(given: object, kind: type["Observer"]) -> tuple[Any, ...]:
    """All of them. Raises `TypeError` for whoever could not be told, which would show in a log and nowhere else."""
    if not isinstance(given, Iterable):
        raise TypeError(f"observers are a list of them, not {shown(given)}")
    found = tuple(given)
    for one in found:
        if isclass(one):
            raise TypeError(f"an observer is an object, not a class: {one.__name__}(…)")
        deaf = [name for name in vars(kind) if not name.startswith("_") and not callable(getattr(one, name, None))]
        if deaf:
            raise TypeError(f"an observer has the methods of `Observer`; {shown(one)} has no `{deaf[0]}`")
    return found
