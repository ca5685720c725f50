"""What a ledger holds as flat rows: for tables, JSON lines and Parquet.

Amounts are exact decimals: currency units where money is counted (`0.035`), else whole numbers. Times are UTC; what the
calendar does not reach stands at its end.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal
from types import MappingProxyType
from typing import Any

from policy_engine.ledger.protocol import Book, Counter
from policy_engine.ledger.windows import moment

MONEY = ("spent", "overage")
"""The quantities that are money."""

NANO_PLACES = 9

_EXACTLY = Context(prec=60)
"""Whatever precision a caller has asked of his own arithmetic."""

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

Row = dict[str, Any]


def amount_of(quantity: str, amount: int) -> Decimal:
    """Nano units of money as currency units, everything else as it is."""
    return money(amount) if quantity in MONEY else Decimal(amount)


def money(nanos: int) -> Decimal:
    """Currency units, exactly, without zeros at the end."""
    return _EXACTLY.normalize(_EXACTLY.scaleb(nanos, -NANO_PLACES))


def entries(book: Book) -> Iterator[Row]:
    """A row for each charge of each hold; a hold without charges has one of its own."""
    for entry in book.entries():
        hold = entry.hold
        common: Row = {
            "hold": hold.id,
            "execution": hold.execution or None,
            "state": entry.state,
            "at": _time(entry.at_micros),
            "expires": _moment(hold.expires_micros),
            "owner": hold.owner or None,
            "grant": hold.grant,
        }
        digests = {"policy_digest": hold.policy_digest or None, "price_digest": hold.price_digest or None}
        for place, charge in enumerate(hold.charges):
            quantity = charge.counter.meter.quantity
            incurred = entry.incurred[place] if place < len(entry.incurred) else None
            yield {
                **common,
                **_place(charge.counter),
                "amount": amount_of(quantity, charge.amount),
                "limit": None if charge.limit is None else amount_of(quantity, charge.limit),
                "incurred": None if incurred is None else amount_of(quantity, incurred),
                "over": incurred is not None and incurred > charge.amount,
                "rule": charge.rule or None,
                **digests,
            }
        if not hold.charges:
            nothing: Row = dict.fromkeys(("counter", "key", "window", "amount", "limit", "incurred"))
            yield {**common, **nothing, "over": False, "rule": None, **digests}


def executions(book: Book) -> Iterator[Row]:
    """A row for each execution."""
    for record in book.executions():
        yield {
            "execution": record.id,
            "customer": record.customer,
            "outcome": record.outcome,
            "key": record.key,
            "plan": record.plan,
            "lane": record.lane or None,
            "state": record.state,
            "draws_on": record.draw_kind or None,
            "grant": record.draw_grant,
            "price": money(record.price_nanos),
            "spent": money(record.spent_nanos),
            "handoff": money(record.handoff_nanos),
            "revenue": money(record.revenue_nanos),
            "attempts": record.attempts,
            "admitted": _time(record.admitted_micros),
            "delivered": _moment(record.delivered_micros),
            "owner": record.owner or None,
            "lease": _moment(record.lease_micros),
            "version": record.version,
            "facts": record.given,
            "decision": record.decision,
            "policy_digest": record.policy_digest or None,
            "price_digest": record.price_digest or None,
        }


def counters(book: Book, *, own: bool = True) -> Iterator[Row]:
    """A row for each counter; without `own`, for none of those of single executions."""
    for balance in book.balances():
        if balance.counter.meter.scope.execution and not own:
            continue
        quantity = balance.counter.meter.quantity
        yield {
            **_place(balance.counter),
            "settled": amount_of(quantity, balance.settled),
            "reserved": amount_of(quantity, balance.reserved),
            "carried": amount_of(quantity, balance.carried),
        }


def grants(book: Book) -> Iterator[Row]:
    """A row for each grant."""
    for lot in book.lots():
        grant = lot.grant
        yield {
            "grant": grant.id,
            "customer": lot.customer,
            "outcome": lot.outcome,
            "kind": grant.kind,
            "units": grant.left,
            "held": lot.held,
            "consumed": lot.consumed,
            "carried": lot.carried,
            "left": grant.left - lot.held - lot.consumed,
            "price": money(grant.price_nanos),
            "priority": grant.priority,
            "effective": _time(grant.effective_micros),
            "expires": _moment(grant.expires_micros),
        }


_PLACE = ("counter", "key", "window")
_DIGESTS = ("policy_digest", "price_digest")
COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "entries": (
            *("hold", "execution", "state", "at", "expires", "owner", "grant", *_PLACE),
            *("amount", "limit", "incurred", "over", "rule", *_DIGESTS),
        ),
        "executions": (
            *(
                "execution",
                "customer",
                "outcome",
                "key",
                "plan",
                "lane",
                "state",
                "draws_on",
                "grant",
                "price",
                "spent",
            ),
            *(
                "handoff",
                "revenue",
                "attempts",
                "admitted",
                "delivered",
                "owner",
                "lease",
                "version",
                "facts",
                "decision",
            ),
            *_DIGESTS,
        ),
        "counters": (*_PLACE, "settled", "reserved", "carried"),
        "grants": (
            *("grant", "customer", "outcome", "kind", "units", "held", "consumed", "carried", "left", "price"),
            *("priority", "effective", "expires"),
        ),
    }
)
"""The columns of each list, also of one that has no row."""

LISTS: Mapping[str, Callable[[Book], Iterator[Row]]] = MappingProxyType(
    {"entries": entries, "executions": executions, "counters": counters, "grants": grants}
)
"""Every list by its name."""


def _place(counter: Counter) -> Row:
    return {"counter": str(counter.meter), "key": counter.key or None, "window": counter.window or None}


def _time(micros: int) -> datetime:
    """The moment; the calendar's first or last one where it has no such day."""
    try:
        return moment(micros)
    except OverflowError:
        return FIRST if micros < 0 else LAST


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else _time(micros)
