"""Every balance, worked out anew from the entries; and what no row of a ledger can say."""

import json
from collections.abc import Iterator
from hashlib import sha256

from msgspec import Struct

from policy_engine.language.checker.policy_set import digest
from policy_engine.language.source import Source
from policy_engine.ledger.protocol import (
    DELIVERED,
    FINAL,
    HELD,
    LAPSED,
    RELEASED,
    REVERSED,
    SETTLED,
    Book,
    Counter,
    Document,
    Entry,
    ExecutionRecord,
)

RUNNING = "running"
"""The state of an execution that has neither delivered nor ended."""

DIGEST_LENGTH = 64
"""Digits of a SHA-256: what is shorter is not a digest, and vouches for nothing."""


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
            for charge, amount in zip(charges, entry.incurred, strict=False):  # see `contradictions`
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


def contradictions(book: Book) -> Iterator[str]:
    """What rows say that cannot be, in words: nothing that a ledger writes itself."""
    for entry in book.entries():
        yield from (f"hold `{entry.hold.id}` {said}" for said in _impossible(entry))
    for record in book.executions():
        yield from (f"execution `{record.id}` {said}" for said in _never(record))
    for lot in book.lots():
        if lot.held + lot.consumed > lot.grant.left:
            yield f"grant `{lot.grant.id}` has {lot.grant.left} units, and {lot.held + lot.consumed} are taken"
    for document in book.documents():
        if len(document.digest) == DIGEST_LENGTH and _digest(document) != document.digest:
            yield f"the text kept as {document.kind} {document.digest[:12]} is another one by now"


def _impossible(entry: Entry) -> Iterator[str]:
    charges = entry.hold.charges
    if entry.state not in (HELD, SETTLED, RELEASED, LAPSED, REVERSED):
        yield f"is `{entry.state}`, which is no state"
    elif len(entry.incurred) != (len(charges) if entry.state in (SETTLED, LAPSED) else 0):
        came_to = f"{len(entry.incurred)} of {len(charges)} charges say what they came to"
        yield f"is {entry.state}, and {came_to}"
    if any(amount < 0 for amount in (*entry.incurred, *(charge.amount for charge in charges))):
        yield "has an amount below zero"


def _never(record: ExecutionRecord) -> Iterator[str]:
    if record.state not in (RUNNING, DELIVERED, *FINAL):
        yield f"is `{record.state}`, which is no state"
    if min(record.spent_nanos, record.handoff_nanos, record.attempts, record.version) < 0:
        yield "has an amount below zero"


def _digest(document: Document) -> str:
    """What the text of a document comes to, by its kind."""
    if document.kind == "prices":
        return sha256(document.text.encode()).hexdigest()
    if document.kind == "policy":
        try:
            return digest(Source(name, text) for name, text in json.loads(document.text))
        except (ValueError, TypeError):
            return ""
    return document.digest
