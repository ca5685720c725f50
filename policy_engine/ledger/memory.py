"""The ledger of one process: dictionaries behind one lock. Gone when the process ends."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from heapq import heappop, heappush
from threading import Lock

from msgspec import Struct
from msgspec.structs import replace

from policy_engine.evaluation.facts import Grant, Reading
from policy_engine.ledger.protocol import (
    FINAL,
    HELD,
    LAPSED,
    LAPSED_AT_ONCE,
    MOST,
    RELEASED,
    REVERSED,
    SETTLED,
    Balance,
    Begun,
    Charge,
    Counter,
    Crossed,
    Document,
    Entry,
    ExecutionRecord,
    Hold,
    LedgerError,
    Lot,
    Pruned,
    execution_exists,
    hold_exists,
    no_execution,
    no_grant,
    no_hold,
    no_room,
    require_actual,
    require_amounts,
)


class _Amounts(Struct, gc=False):
    settled: int = 0
    reserved: int = 0
    carried: int = 0


class _Units(Struct, gc=False):
    customer: str
    outcome: str
    grant: Grant
    held: int = 0
    consumed: int = 0
    carried: int = 0

    @property
    def left(self) -> int:
        return self.grant.left - self.held - self.consumed


class _Kept(Struct, gc=False):
    """An entry that may still change."""

    hold: Hold
    at_micros: int
    expires_micros: int | None
    state: str = HELD
    incurred: tuple[int, ...] = ()


class MemoryLedger:
    """Implements `Ledger`. Every method is atomic and may be called from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counters: dict[Counter, _Amounts] = {}
        self._units: dict[str, _Units] = {}
        self._lots: dict[tuple[str, str], list[str]] = {}
        self._entries: dict[str, _Kept] = {}
        self._due: list[tuple[int, str]] = []  # a heap; a renewed hold stands in it more than once
        self._of: dict[str, list[str]] = {}  # holds by execution
        self._records: dict[str, ExecutionRecord] = {}
        self._keys: dict[tuple[str, str, str], str] = {}
        self._documents: dict[tuple[str, str], str] = {}

    # ------------------------------------------------------------ what is left

    def readings(self, counters: Iterable[Counter]) -> Mapping[Counter, Reading | None]:
        with self._lock:
            held = self._counters
            found: dict[Counter, Reading | None] = {}
            for counter in counters:
                amounts = held.get(counter)
                found[counter] = _ZERO if amounts is None else Reading(amounts.settled, amounts.reserved)
            return found

    def grants(self, customer: str, outcome: str, now_micros: int) -> tuple[Grant, ...] | None:
        with self._lock:
            lots = [self._units[lot] for lot in self._lots.get((customer, outcome), ())]
            return tuple(
                replace(units.grant, left=units.left)
                for units in lots
                if units.grant.effective_micros <= now_micros
                and (units.grant.expires_micros is None or now_micros < units.grant.expires_micros)
            )

    def add_grant(self, customer: str, outcome: str, grant: Grant) -> bool:
        with self._lock:
            if grant.id in self._units:
                return False
            self._units[grant.id] = _Units(customer, outcome, grant)
            self._lots.setdefault((customer, outcome), []).append(grant.id)
            return True

    # ------------------------------------------------------------ holds

    def reserve(self, holds: Sequence[Hold], now_micros: int) -> tuple[Crossed, ...]:
        with self._lock:
            self._require_possible(holds)
            self._lapse(now_micros, LAPSED_AT_ONCE)
            return self._take(holds, now_micros)

    def settle(self, hold_id: str, actual: Mapping[str, int] | None = None) -> tuple[str, ...]:
        with self._lock:
            return self._settle(hold_id, actual)

    def release(self, hold_id: str) -> None:
        with self._lock:
            self._release(hold_id)

    def reverse(self, hold_id: str) -> None:
        with self._lock:
            self._reverse(hold_id)

    def renew(self, hold_ids: Sequence[str], expires_micros: int | None) -> tuple[str, ...]:
        with self._lock:
            return self._renew(hold_ids, expires_micros)

    def lapse(self, now_micros: int) -> tuple[str, ...]:
        with self._lock:
            return self._lapse(now_micros, None)

    # ------------------------------------------------------------ executions

    def begin(self, record: ExecutionRecord, holds: Sequence[Hold], now_micros: int) -> Begun:
        with self._lock:
            known = self._keys.get((record.customer, record.outcome, record.key))
            if known is not None:
                return Begun(self._records[known])
            if record.id in self._records:
                raise execution_exists(record.id)
            self._require_possible(holds)
            self._lapse(now_micros, LAPSED_AT_ONCE)
            crossed = self._take(holds, now_micros)
            if crossed:
                return Begun(None, crossed=crossed)
            self._records[record.id] = record
            self._keys[record.customer, record.outcome, record.key] = record.id
            return Begun(record, new=True)

    def execution(self, customer: str, outcome: str, key: str) -> ExecutionRecord | None:
        with self._lock:
            known = self._keys.get((customer, outcome, key))
            return None if known is None else self._records[known]

    def change(
        self,
        record: ExecutionRecord,
        *,
        settle: Sequence[str] = (),
        release: Sequence[str] = (),
        reverse: Sequence[str] = (),
        renew: Sequence[str] = (),
        expires_micros: int | None = None,
    ) -> bool:
        with self._lock:
            stored = self._records.get(record.id)
            if stored is None:
                raise no_execution(record.id)
            if stored.version != record.version:
                return False
            for hold_id in (*settle, *release, *reverse, *renew):
                self._entry(hold_id)  # all of them first: nothing is changed if one is unknown
            for hold_id in settle:
                self._settle(hold_id, None)
            for hold_id in release:
                self._release(hold_id)
            for hold_id in reverse:
                self._reverse(hold_id)
            self._renew(renew, expires_micros)
            self._records[record.id] = replace(record, version=record.version + 1)
            return True

    def entries(self, execution: str) -> tuple[Entry, ...]:
        with self._lock:
            return tuple(_entry(self._entries[hold_id]) for hold_id in self._of.get(execution, ()))

    # ------------------------------------------------------------ the record of it all

    def keep(self, kind: str, digest: str, text: str) -> None:
        with self._lock:
            self._documents.setdefault((kind, digest), text)

    def kept(self, kind: str, digest: str) -> str | None:
        with self._lock:
            return self._documents.get((kind, digest))

    @contextmanager
    def book(self) -> Iterator["_Copy"]:
        with self._lock:
            copy = _Copy(
                list(self._records.values()),
                [_entry(kept) for kept in self._entries.values()],
                [Balance(c, a.settled, a.reserved, a.carried) for c, a in self._counters.items()],
                [Lot(u.customer, u.outcome, u.grant, u.held, u.consumed, u.carried) for u in self._units.values()],
                [Document(kind, digest, text) for (kind, digest), text in self._documents.items()],
            )
        yield copy

    def prune(self, before_micros: int) -> Pruned:
        with self._lock:
            ended = [record for record in self._records.values() if self._is_over(record, before_micros)]
            gone = {record.id for record in ended}
            entries = [
                kept
                for kept in self._entries.values()
                if kept.hold.execution in gone
                or (kept.hold.execution not in self._records and kept.state != HELD and kept.at_micros < before_micros)
            ]
            own: set[Counter] = set()
            for kept in entries:
                own |= self._forget(kept, gone)
            for counter in own:
                del self._counters[counter]
            for record in ended:
                del self._records[record.id]
                del self._keys[record.customer, record.outcome, record.key]
            return Pruned(len(ended), len(entries), len(own))

    def close(self) -> None:
        pass

    # ------------------------------------------------------------ under the lock

    def _entry(self, hold_id: str) -> _Kept:
        kept = self._entries.get(hold_id)
        if kept is None:
            raise no_hold(hold_id)
        return kept

    def _require_possible(self, holds: Sequence[Hold]) -> None:
        require_amounts(holds)
        asked: set[str] = set()
        for hold in holds:
            if hold.id in self._entries or hold.id in asked:
                raise hold_exists(hold.id)
            if hold.grant is not None and hold.grant not in self._units:
                raise no_grant(hold.grant)
            asked.add(hold.id)

    def _take(self, holds: Sequence[Hold], now_micros: int) -> tuple[Crossed, ...]:
        """Everything at once, so that the charges of one request see each other; given back if any is refused."""
        counters = self._counters
        taken: list[Charge] = []
        made: list[Counter] = []
        units: list[_Units] = []
        crossed: list[Crossed] = []
        too_much: LedgerError | None = None
        for hold in holds:
            for charge in hold.charges:
                amounts = counters.get(charge.counter)
                if amounts is None:
                    amounts = counters[charge.counter] = _Amounts()
                    made.append(charge.counter)
                used = amounts.settled + amounts.reserved
                if used + charge.amount > MOST:
                    too_much = no_room(charge.counter)
                    continue
                if charge.limit is not None and used + charge.amount > charge.limit:
                    crossed.append(Crossed(charge, used))
                amounts.reserved += charge.amount
                taken.append(charge)
            if hold.grant is not None:
                lot = self._units[hold.grant]
                if lot.left < 1:
                    crossed.append(Crossed(None, lot.held + lot.consumed))
                lot.held += 1
                units.append(lot)
        if crossed or too_much:
            for charge in taken:
                counters[charge.counter].reserved -= charge.amount
            for counter in made:
                del counters[counter]
            for lot in units:
                lot.held -= 1
            if too_much:
                raise too_much
            return tuple(crossed)
        for hold in holds:
            expires = hold.expires_micros
            self._entries[hold.id] = _Kept(hold, now_micros, expires)
            if hold.execution:
                self._of.setdefault(hold.execution, []).append(hold.id)
            if expires is not None:
                heappush(self._due, (expires, hold.id))
        return ()

    def _settle(self, hold_id: str, actual: Mapping[str, int] | None) -> tuple[str, ...]:
        kept = self._entry(hold_id)
        if kept.state not in (HELD, LAPSED):
            return ()
        charges = kept.hold.charges
        if not actual:
            incurred = tuple([charge.amount for charge in charges])
        else:
            require_actual(hold_id, actual)
            incurred = tuple([actual.get(charge.counter.meter.quantity, charge.amount) for charge in charges])
        self._incur(kept, incurred, SETTLED)
        if not actual:
            return ()
        over = [
            charge.counter.meter.quantity
            for charge, amount in zip(charges, incurred, strict=True)
            if amount > charge.amount
        ]
        return tuple(dict.fromkeys(over)) if over else ()

    def _incur(self, kept: _Kept, incurred: tuple[int, ...], state: str) -> None:
        """Book what a hold has come to in place of what it held, or of what it lapsed at."""
        counters, charges = self._counters, kept.hold.charges
        if kept.state == HELD:
            # Only more than was reserved can fail to fit, as what is reserved has its room.
            for charge, amount in zip(charges, incurred, strict=True):
                amounts = counters[charge.counter]
                if amounts.settled + amounts.reserved - charge.amount + amount > MOST:
                    raise no_room(charge.counter)
            for charge, amount in zip(charges, incurred, strict=True):
                amounts = counters[charge.counter]
                amounts.reserved -= charge.amount
                amounts.settled += amount
            if kept.hold.grant is not None:
                lot = self._units[kept.hold.grant]
                lot.held -= 1
                lot.consumed += 1
        else:
            for charge, before, amount in zip(charges, kept.incurred, incurred, strict=True):
                amounts = counters[charge.counter]
                if amounts.settled + amounts.reserved - before + amount > MOST:
                    raise no_room(charge.counter)
            for charge, before, amount in zip(charges, kept.incurred, incurred, strict=True):
                counters[charge.counter].settled += amount - before
        kept.incurred = incurred
        kept.state = state

    def _release(self, hold_id: str) -> None:
        kept = self._entry(hold_id)
        if kept.state == LAPSED:
            self._take_back(kept, RELEASED)
        elif kept.state == HELD:
            for charge in kept.hold.charges:
                self._counters[charge.counter].reserved -= charge.amount
            if kept.hold.grant is not None:
                self._units[kept.hold.grant].held -= 1
            kept.state = RELEASED

    def _reverse(self, hold_id: str) -> None:
        kept = self._entry(hold_id)
        if kept.state in (SETTLED, LAPSED):
            self._take_back(kept, REVERSED)

    def _take_back(self, kept: _Kept, state: str) -> None:
        for charge, amount in zip(kept.hold.charges, kept.incurred, strict=True):
            self._counters[charge.counter].settled -= amount
        if kept.hold.grant is not None:
            self._units[kept.hold.grant].consumed -= 1
        kept.incurred = ()
        kept.state = state

    def _renew(self, hold_ids: Sequence[str], expires_micros: int | None) -> tuple[str, ...]:
        found = [self._entry(hold_id) for hold_id in hold_ids]
        for kept in found:
            if kept.state == HELD:
                kept.expires_micros = expires_micros
                if expires_micros is not None:
                    heappush(self._due, (expires_micros, kept.hold.id))
        return tuple(kept.hold.id for kept in found if kept.state != HELD)

    def _lapse(self, now_micros: int, most: int | None) -> tuple[str, ...]:
        due = self._due
        lapsed: list[str] = []
        while due and due[0][0] <= now_micros and (most is None or len(lapsed) < most):
            at, hold_id = heappop(due)
            kept = self._entries.get(hold_id)  # None: ended and pruned
            if kept is not None and kept.state == HELD and kept.expires_micros == at:
                self._incur(kept, tuple([charge.amount for charge in kept.hold.charges]), LAPSED)
                lapsed.append(hold_id)
        return tuple(lapsed)

    def _is_over(self, record: ExecutionRecord, before_micros: int) -> bool:
        if record.state not in FINAL or max(record.admitted_micros, record.delivered_micros or 0) >= before_micros:
            return False
        entries = [self._entries[hold_id] for hold_id in self._of.get(record.id, ())]
        return all(kept.state != HELD and kept.at_micros < before_micros for kept in entries)

    def _forget(self, kept: _Kept, executions: set[str]) -> set[Counter]:
        """Remove an entry and carry what it came to. Answers the counters that go with its execution."""
        hold, own = kept.hold, set()
        del self._entries[hold.id]
        if hold.execution:
            ids = self._of[hold.execution]
            ids.remove(hold.id)
            if not ids:
                del self._of[hold.execution]
        for place, charge in enumerate(hold.charges):
            if charge.counter.meter.scope.execution and hold.execution in executions:
                own.add(charge.counter)
            elif kept.incurred:
                self._counters[charge.counter].carried += kept.incurred[place]
        if hold.grant is not None and kept.state in (SETTLED, LAPSED):
            self._units[hold.grant].carried += 1
        return own


_ZERO = Reading()


class _Copy:
    """Implements `Book`."""

    def __init__(
        self,
        records: list[ExecutionRecord],
        entries: list[Entry],
        balances: list[Balance],
        lots: list[Lot],
        documents: list[Document],
    ) -> None:
        self._records, self._entries, self._balances = records, entries, balances
        self._lots, self._documents = lots, documents

    def executions(self) -> Iterator[ExecutionRecord]:
        return iter(self._records)

    def entries(self) -> Iterator[Entry]:
        return iter(self._entries)

    def balances(self) -> Iterator[Balance]:
        return iter(self._balances)

    def lots(self) -> Iterator[Lot]:
        return iter(self._lots)

    def documents(self) -> Iterator[Document]:
        return iter(self._documents)


def _entry(kept: _Kept) -> Entry:
    hold = kept.hold
    if hold.expires_micros != kept.expires_micros:
        hold = replace(hold, expires_micros=kept.expires_micros)
    return Entry(hold, kept.state, kept.at_micros, kept.incurred)
