"""The ledger of one process: dictionaries behind one lock. Gone when the process ends."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from msgspec.structs import replace

from policy_engine.evaluation.facts import Grant, Reading
from policy_engine.ledger.protocol import Counter, Crossed, Hold, LedgerError

_HELD, _SETTLED, _RELEASED, _LAPSED, _REVERSED = "held", "settled", "released", "lapsed", "reversed"


@dataclass(slots=True)
class _Amounts:
    settled: int = 0
    reserved: int = 0


@dataclass(slots=True)
class _Units:
    grant: Grant
    held: int = 0
    consumed: int = 0

    @property
    def left(self) -> int:
        return self.grant.left - self.held - self.consumed


@dataclass(slots=True)
class _Entry:
    hold: Hold
    state: str
    incurred: tuple[int, ...] = ()  # per charge, once settled


class MemoryLedger:
    """Implements `Ledger`. Every method is atomic and may be called from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counters: dict[Counter, _Amounts] = {}
        self._units: dict[str, _Units] = {}
        self._lots: dict[tuple[str, str], list[str]] = {}
        self._entries: dict[str, _Entry] = {}

    def readings(self, counters: Iterable[Counter]) -> Mapping[Counter, Reading | None]:
        with self._lock:
            return {counter: self._reading(counter) for counter in counters}

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
            self._units[grant.id] = _Units(grant)
            self._lots.setdefault((customer, outcome), []).append(grant.id)
            return True

    def hold(self, holds: Sequence[Hold]) -> tuple[Crossed, ...]:
        with self._lock:
            asked: set[str] = set()
            for hold in holds:
                if hold.id in self._entries or hold.id in asked:
                    raise LedgerError(f"the hold `{hold.id}` exists")
                if hold.grant is not None and hold.grant not in self._units:
                    raise LedgerError(f"there is no grant `{hold.grant}`")
                asked.add(hold.id)
            done: list[Hold] = []
            crossed: list[Crossed] = []
            for hold in holds:
                crossed += self._check(hold)
                # Taken at once, so that two holds of one request see each other; given back below if any is refused.
                self._reserve(hold, 1)
                done.append(hold)
            if crossed:
                for hold in done:
                    self._reserve(hold, -1)
                return tuple(crossed)
            for hold in holds:
                self._entries[hold.id] = _Entry(hold, _HELD)
            return ()

    def settle(self, hold_id: str, actual: Mapping[str, int] | None = None) -> tuple[str, ...]:
        with self._lock:
            entry = self._entry(hold_id)
            if entry.state not in (_HELD, _LAPSED):
                return ()
            if entry.state == _HELD:
                self._reserve(entry.hold, -1)
                self._consume(entry.hold, 1)
            else:
                self._book(entry, -1)
            entry.incurred = tuple(
                (actual or {}).get(charge.counter.meter.quantity, charge.amount) for charge in entry.hold.charges
            )
            self._book(entry, 1)
            entry.state = _SETTLED
            over = [
                charge.counter.meter.quantity
                for charge, amount in zip(entry.hold.charges, entry.incurred, strict=True)
                if amount > charge.amount
            ]
            return tuple(dict.fromkeys(over))

    def release(self, hold_id: str) -> None:
        with self._lock:
            entry = self._entry(hold_id)
            if entry.state == _HELD:
                self._reserve(entry.hold, -1)
                entry.state = _RELEASED

    def reverse(self, hold_id: str) -> None:
        with self._lock:
            entry = self._entry(hold_id)
            if entry.state in (_SETTLED, _LAPSED):
                self._book(entry, -1)
                self._consume(entry.hold, -1)
                entry.state = _REVERSED

    def lapse(self, now_micros: int) -> tuple[str, ...]:
        with self._lock:
            lapsed = [
                entry
                for entry in self._entries.values()
                if entry.state == _HELD
                and entry.hold.expires_micros is not None
                and entry.hold.expires_micros <= now_micros
            ]
            for entry in lapsed:
                self._reserve(entry.hold, -1)
                self._consume(entry.hold, 1)
                entry.incurred = tuple(charge.amount for charge in entry.hold.charges)
                self._book(entry, 1)
                entry.state = _LAPSED
            return tuple(entry.hold.id for entry in lapsed)

    # ------------------------------------------------------------ under the lock

    def _reading(self, counter: Counter) -> Reading:
        amounts = self._counters.get(counter)
        return Reading(amounts.settled, amounts.reserved) if amounts is not None else Reading()

    def _entry(self, hold_id: str) -> _Entry:
        try:
            return self._entries[hold_id]
        except KeyError:
            raise LedgerError(f"there is no hold `{hold_id}`") from None

    def _check(self, hold: Hold) -> list[Crossed]:
        crossed = []
        for charge in hold.charges:
            used = self._reading(charge.counter).used
            if charge.limit is not None and used + charge.amount > charge.limit:
                crossed.append(Crossed(charge, used))
        if hold.grant is not None:
            units = self._units[hold.grant]
            if units.left < 1:
                crossed.append(Crossed(None, units.held + units.consumed))
        return crossed

    def _reserve(self, hold: Hold, sign: int) -> None:
        for charge in hold.charges:
            self._counters.setdefault(charge.counter, _Amounts()).reserved += sign * charge.amount
        if hold.grant is not None:
            self._units[hold.grant].held += sign

    def _consume(self, hold: Hold, sign: int) -> None:
        if hold.grant is not None:
            self._units[hold.grant].consumed += sign

    def _book(self, entry: _Entry, sign: int) -> None:
        for charge, amount in zip(entry.hold.charges, entry.incurred, strict=True):
            self._counters.setdefault(charge.counter, _Amounts()).settled += sign * amount
