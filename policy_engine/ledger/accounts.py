"""Counters, units and holds in dictionaries: what every method of the memory ledger comes down to.

Nothing here is locked; the ledger calls it under its lock.
"""

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush

from msgspec import Struct

from policy_engine.evaluation.facts import Grant
from policy_engine.ledger.protocol import (
    HELD,
    LAPSED,
    MOST,
    RELEASED,
    REVERSED,
    SETTLED,
    Counter,
    Crossed,
    Hold,
    LedgerError,
    hold_exists,
    no_grant,
    no_hold,
    no_room,
    require_actual,
    unfit,
)


class Amounts(Struct, gc=False):
    """What a counter holds; `carried` is the part of `settled` whose entries were pruned."""

    settled: int = 0
    reserved: int = 0
    carried: int = 0


class Units(Struct, gc=False):
    """A grant, and what became of its units."""

    customer: str
    outcome: str
    grant: Grant
    held: int = 0
    consumed: int = 0
    carried: int = 0

    @property
    def left(self) -> int:
        return self.grant.left - self.held - self.consumed


class Kept(Struct, gc=False):
    """An entry that may still change; `amounts` are those of the counters it is on, by charge."""

    hold: Hold
    at_micros: int
    expires_micros: int | None
    amounts: tuple[Amounts, ...]
    state: str = HELD
    incurred: tuple[int, ...] = ()


class Accounts:
    """All of them. Raises `LedgerError` for what cannot be, before anything is changed."""

    def __init__(self) -> None:
        self.counters: dict[Counter, Amounts] = {}
        self.units: dict[str, Units] = {}
        self.entries: dict[str, Kept] = {}
        self.of: dict[str, list[str]] = {}  # holds by execution
        self.due: list[tuple[int, str]] = []  # a heap; a renewed hold stands in it more than once

    def entry(self, hold_id: str) -> Kept:
        """The entry of a hold."""
        kept = self.entries.get(hold_id)
        if kept is None:
            raise no_hold(hold_id)
        return kept

    # ------------------------------------------------------------ reserve

    def require_possible(self, holds: Sequence[Hold]) -> None:
        """Refuse reused ids and grants that are not there."""
        asked: set[str] = set()
        for hold in holds:
            if hold.id in self.entries or hold.id in asked:
                raise hold_exists(hold.id)
            if hold.grant is not None and hold.grant not in self.units:
                raise no_grant(hold.grant)
            if len(holds) > 1:
                asked.add(hold.id)

    def take(self, holds: Sequence[Hold], now_micros: int) -> tuple[Crossed, ...]:
        """Everything at once, so that the charges of one request see each other; given back if any is refused."""
        counters = self.counters
        taken: list[Amounts] = []
        made: list[Counter] = []
        units: list[Units] = []
        crossed: list[Crossed] = []
        impossible: LedgerError | None = None
        for hold in holds:
            for charge in hold.charges:
                counter, amount, limit = charge.counter, charge.amount, charge.limit
                amounts = counters.get(counter)
                if amounts is None:
                    amounts = counters[counter] = Amounts()
                    made.append(counter)
                if type(amount) is not int or amount < 0:
                    impossible, amount = unfit(hold.id, amount), 0
                after = amounts.settled + amounts.reserved + amount
                if limit is not None and after > limit:
                    crossed.append(Crossed(charge, after - amount))
                if after > MOST:
                    impossible = no_room(counter)
                amounts.reserved += amount
                taken.append(amounts)
            if hold.grant is not None:
                lot = self.units[hold.grant]
                if lot.left < 1:
                    crossed.append(Crossed(None, lot.held + lot.consumed))
                lot.held += 1
                units.append(lot)
        if crossed or impossible:
            self._undo(holds, taken, made, units)
            if impossible:
                raise impossible
            return tuple(crossed)
        first = 0
        for hold in holds:
            expires, end = hold.expires_micros, first + len(hold.charges)
            self.entries[hold.id] = Kept(hold, now_micros, expires, tuple(taken[first:end]))
            if hold.execution:
                self.of.setdefault(hold.execution, []).append(hold.id)
            if expires is not None:
                heappush(self.due, (expires, hold.id))
            first = end
        return ()

    def _undo(
        self, holds: Sequence[Hold], taken: Sequence[Amounts], made: Sequence[Counter], units: Sequence[Units]
    ) -> None:
        asked = [charge.amount for hold in holds for charge in hold.charges]
        for amounts, amount in zip(taken, asked, strict=True):
            if type(amount) is int and amount >= 0:
                amounts.reserved -= amount
        for counter in made:
            del self.counters[counter]
        for lot in units:
            lot.held -= 1

    # ------------------------------------------------------------ end

    def settle(self, hold_id: str, actual: Mapping[str, int] | None) -> tuple[str, ...]:
        """Book what it came to; answers the quantities that were more than reserved."""
        kept = self.entry(hold_id)
        if kept.state not in (HELD, LAPSED):
            return ()
        charges = kept.hold.charges
        if not actual:
            self._incur(kept, tuple([charge.amount for charge in charges]), SETTLED)
            return ()
        require_actual(hold_id, actual)
        incurred = tuple([actual.get(charge.counter.meter.quantity, charge.amount) for charge in charges])
        over = self._incur(kept, incurred, SETTLED)
        return tuple(dict.fromkeys(charges[place].counter.meter.quantity for place in over)) if over else ()

    def release(self, hold_id: str) -> None:
        """Give everything back, what lapsed too."""
        kept = self.entry(hold_id)
        if kept.state == LAPSED:
            self._take_back(kept, RELEASED)
        elif kept.state == HELD:
            for amounts, charge in zip(kept.amounts, kept.hold.charges, strict=True):
                amounts.reserved -= charge.amount
            if kept.hold.grant is not None:
                self.units[kept.hold.grant].held -= 1
            kept.state = RELEASED

    def reverse(self, hold_id: str) -> None:
        """Undo what was settled."""
        kept = self.entry(hold_id)
        if kept.state in (SETTLED, LAPSED):
            self._take_back(kept, REVERSED)

    def renew(self, hold_ids: Sequence[str], expires_micros: int | None) -> tuple[str, ...]:
        """Give them until then; answers those that have ended."""
        found = [self.entry(hold_id) for hold_id in hold_ids]
        for kept in found:
            if kept.state == HELD:
                kept.expires_micros = expires_micros
                if expires_micros is not None:
                    heappush(self.due, (expires_micros, kept.hold.id))
        return tuple(kept.hold.id for kept in found if kept.state != HELD)

    def lapse(self, now_micros: int, most: int | None) -> tuple[str, ...]:
        """Settle those that are due at the reserved amounts, the longest overdue first."""
        due = self.due
        lapsed: list[str] = []
        while due and due[0][0] <= now_micros and (most is None or len(lapsed) < most):
            at, hold_id = heappop(due)
            kept = self.entries.get(hold_id)  # None: ended and pruned
            if kept is not None and kept.state == HELD and kept.expires_micros == at:
                self._incur(kept, tuple([charge.amount for charge in kept.hold.charges]), LAPSED)
                lapsed.append(hold_id)
        return tuple(lapsed)

    def _incur(self, kept: Kept, incurred: tuple[int, ...], state: str) -> list[int]:
        """Book what a hold has come to in place of what it held, or of what it lapsed at: that is the same amount.

        Answers the places of the charges that came to more than was reserved.
        """
        hold = kept.hold
        held = kept.state == HELD
        over = []
        for place, charge in enumerate(hold.charges):
            amount = incurred[place]
            if amount > charge.amount:
                over.append(place)
                amounts = kept.amounts[place]
                if amounts.settled + amounts.reserved - charge.amount + amount > MOST:
                    raise no_room(charge.counter)
        for place, amounts in enumerate(kept.amounts):
            reserved = hold.charges[place].amount
            if held:
                amounts.reserved -= reserved
                amounts.settled += incurred[place]
            else:
                amounts.settled += incurred[place] - reserved
        if held and hold.grant is not None:
            lot = self.units[hold.grant]
            lot.held -= 1
            lot.consumed += 1
        kept.incurred = incurred
        kept.state = state
        return over

    def _take_back(self, kept: Kept, state: str) -> None:
        for amounts, amount in zip(kept.amounts, kept.incurred, strict=True):
            amounts.settled -= amount
        if kept.hold.grant is not None:
            self.units[kept.hold.grant].consumed -= 1
        kept.incurred = ()
        kept.state = state

    # ------------------------------------------------------------ forget

    def forget(self, kept: Kept, executions: set[str]) -> set[Counter]:
        """Remove an entry and carry what it came to. Answers the counters that go with its execution, if that does."""
        hold = kept.hold
        own: set[Counter] = set()
        del self.entries[hold.id]
        if hold.execution:
            others = self.of[hold.execution]
            others.remove(hold.id)
            if not others:
                del self.of[hold.execution]
        for place, charge in enumerate(hold.charges):
            if charge.counter.meter.scope.execution and hold.execution in executions:
                own.add(charge.counter)
            elif kept.incurred:
                kept.amounts[place].carried += kept.incurred[place]
        if hold.grant is not None and kept.state in (SETTLED, LAPSED):
            self.units[hold.grant].carried += 1
        return own
