"""Every balance, worked out anew from the entries."""

from collections.abc import Iterator

from msgspec import Struct

from policy_engine.ledger.protocol import HELD, LAPSED, SETTLED, Book, Counter


class Difference(Struct, frozen=True):
    """A balance that is not the sum of its entries. `what` is `settled`, `reserved`, `held` or `consumed`.

    `counter` or `grant` says which one; `stored` is what the ledger holds, `computed` what the entries come to.
    """

    what: str
    stored: int
    computed: int
    counter: Counter | None = None
    grant: str | None = None


def differences(book: Book) -> Iterator[Difference]:
    """What does not add up, in no particular order; nothing, if the ledger is sound."""
    settled: dict[Counter, int] = {}
    reserved: dict[Counter, int] = {}
    held: dict[str, int] = {}
    consumed: dict[str, int] = {}
    for entry in book.entries():
        charges, unit = entry.hold.charges, entry.hold.grant
        if entry.state == HELD:
            for charge in charges:
                reserved[charge.counter] = reserved.get(charge.counter, 0) + charge.amount
            if unit is not None:
                held[unit] = held.get(unit, 0) + 1
        elif entry.state in (SETTLED, LAPSED):
            for charge, amount in zip(charges, entry.incurred, strict=True):
                settled[charge.counter] = settled.get(charge.counter, 0) + amount
            if unit is not None:
                consumed[unit] = consumed.get(unit, 0) + 1
    for balance in book.balances():
        counter = balance.counter
        for what, stored, computed in (
            ("settled", balance.settled, balance.carried + settled.pop(counter, 0)),
            ("reserved", balance.reserved, reserved.pop(counter, 0)),
        ):
            if stored != computed:
                yield Difference(what, stored, computed, counter=counter)
    for lot in book.lots():
        for what, stored, computed in (
            ("held", lot.held, held.pop(lot.grant.id, 0)),
            ("consumed", lot.consumed, lot.carried + consumed.pop(lot.grant.id, 0)),
        ):
            if stored != computed:
                yield Difference(what, stored, computed, grant=lot.grant.id)
    # What is left has entries and no balance.
    for what, amounts in (("settled", settled), ("reserved", reserved)):
        yield from (Difference(what, 0, amount, counter=counter) for counter, amount in amounts.items() if amount)
    for what, units in (("held", held), ("consumed", consumed)):
        yield from (Difference(what, 0, amount, grant=grant) for grant, amount in units.items() if amount)
