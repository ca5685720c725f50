"""The ledger of one process: dictionaries behind one lock. Gone when the process ends."""

import os
from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any
from weakref import WeakSet

from msgspec.structs import replace

from policy_engine.evaluation.facts import Grant, Reading
from policy_engine.ledger.accounts import Accounts, Kept, Units
from policy_engine.ledger.protocol import (
    DELIVERED,
    FINAL,
    HELD,
    LAPSED_AT_ONCE,
    MOST,
    Balance,
    Begun,
    Counter,
    Crossed,
    Document,
    Entry,
    ExecutionRecord,
    Hold,
    Lot,
    Pruned,
    execution_exists,
    no_execution,
    require_units,
)

_ZERO = Reading()

_FORK = Lock()
_LOCKS: WeakSet[Any] = WeakSet()
_HELD: list[Any] = []


def _before_fork() -> None:
    """A child must not inherit a lock whose holder is not there, nor what is half done."""
    _FORK.acquire()
    _HELD[:] = list(_LOCKS)
    for lock in _HELD:
        lock.acquire()


def _after_fork() -> None:
    for lock in _HELD:
        lock.release()
    _HELD.clear()
    _FORK.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


class MemoryLedger:
    """Implements `Ledger`. Every method is atomic and may be called from any thread."""

    waits = False

    def __init__(self) -> None:
        self._lock = Lock()
        with _FORK:
            _LOCKS.add(self._lock)
        self._accounts = Accounts()
        self._counters = self._accounts.counters
        self._units = self._accounts.units
        self._lots: dict[tuple[str, str], list[tuple[int, str]]] = {}  # by expiry
        self._records: dict[str, ExecutionRecord] = {}
        self._keys: dict[tuple[str, str, str], str] = {}
        self._delivered: dict[str, None] = {}  # ids, in the order of delivery
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
            lots = self._lots.get((customer, outcome), [])
            first = bisect_right(lots, now_micros, key=lambda lot: lot[0])  # those before have expired
            found = [self._units[lot] for _, lot in lots[first:]]
            return tuple([_left(units) for units in found if units.grant.effective_micros <= now_micros])

    def add_grant(self, customer: str, outcome: str, grant: Grant) -> bool:
        require_units(grant)
        with self._lock:
            if grant.id in self._units:
                return False
            self._units[grant.id] = Units(customer, outcome, grant)
            expires = MOST if grant.expires_micros is None else grant.expires_micros
            insort(self._lots.setdefault((customer, outcome), []), (expires, grant.id))
            return True

    # ------------------------------------------------------------ holds

    def reserve(self, holds: Sequence[Hold], now_micros: int) -> tuple[Crossed, ...]:
        with self._lock:
            return self._reserve(holds, now_micros)

    def settle(self, hold_id: str, actual: Mapping[str, int] | None = None) -> tuple[str, ...]:
        with self._lock:
            return self._accounts.settle(hold_id, actual)

    def release(self, hold_id: str) -> None:
        with self._lock:
            self._accounts.release(hold_id)

    def reverse(self, hold_id: str) -> None:
        with self._lock:
            self._accounts.reverse(hold_id)

    def renew(self, hold_ids: Sequence[str], expires_micros: int | None) -> tuple[str, ...]:
        with self._lock:
            return self._accounts.renew(hold_ids, expires_micros)

    def lapse(self, now_micros: int) -> tuple[str, ...]:
        with self._lock:
            return self._accounts.lapse(now_micros, None)

    # ------------------------------------------------------------ executions

    def begin(self, record: ExecutionRecord, holds: Sequence[Hold], now_micros: int) -> Begun:
        with self._lock:
            known = self._keys.get((record.customer, record.outcome, record.key))
            if known is not None:
                return Begun(self._records[known])
            if record.id in self._records:
                raise execution_exists(record.id)
            crossed = self._reserve(holds, now_micros)
            if crossed:
                return Begun(None, crossed=crossed)
            self._put(record)
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
            accounts = self._accounts
            for hold_id in (*settle, *release, *reverse, *renew):
                accounts.entry(hold_id)  # all of them first: nothing is changed if one is unknown
            for hold_id in settle:
                accounts.settle(hold_id, None)
            for hold_id in release:
                accounts.release(hold_id)
            for hold_id in reverse:
                accounts.reverse(hold_id)
            accounts.renew(renew, expires_micros)
            kept = {name: getattr(stored, name) for name in ("customer", "outcome", "key")}
            self._put(replace(record, version=record.version + 1, **kept))
            return True

    def delivered(self) -> tuple[ExecutionRecord, ...]:
        with self._lock:
            return tuple([self._records[execution] for execution in self._delivered])

    def entries(self, execution: str) -> tuple[Entry, ...]:
        with self._lock:
            accounts = self._accounts
            return tuple([_entry(accounts.entries[hold_id]) for hold_id in accounts.of.get(execution, ())])

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
                [_entry(kept) for kept in self._accounts.entries.values()],
                [Balance(c, a.settled, a.reserved, a.carried) for c, a in self._counters.items()],
                [Lot(u.customer, u.outcome, u.grant, u.held, u.consumed, u.carried) for u in self._units.values()],
                [Document(kind, digest, text) for (kind, digest), text in self._documents.items()],
            )
        yield copy

    def prune(self, before_micros: int) -> Pruned:
        with self._lock:
            accounts = self._accounts
            ended = [record for record in self._records.values() if self._is_over(record, before_micros)]
            gone = {record.id for record in ended}
            entries = [
                kept
                for kept in accounts.entries.values()
                if kept.hold.execution in gone
                or (kept.hold.execution not in self._records and kept.state != HELD and kept.at_micros < before_micros)
            ]
            own: set[Counter] = set()
            for kept in entries:
                own |= accounts.forget(kept, gone)
            for counter in own:
                del self._counters[counter]
            for record in ended:
                del self._records[record.id]
                del self._keys[record.customer, record.outcome, record.key]
            return Pruned(len(ended), len(entries), len(own))

    def close(self) -> None:
        pass

    # ------------------------------------------------------------ under the lock

    def _reserve(self, holds: Sequence[Hold], now_micros: int) -> tuple[Crossed, ...]:
        accounts = self._accounts
        accounts.require_possible(holds)
        if accounts.due and accounts.due[0][0] <= now_micros:
            accounts.lapse(now_micros, LAPSED_AT_ONCE)
        return accounts.take(holds, now_micros)

    def _put(self, record: ExecutionRecord) -> None:
        self._records[record.id] = record
        if record.state == DELIVERED:
            self._delivered[record.id] = None
        else:
            self._delivered.pop(record.id, None)

    def _is_over(self, record: ExecutionRecord, before_micros: int) -> bool:
        if record.state not in FINAL or max(record.admitted_micros, record.delivered_micros or 0) >= before_micros:
            return False
        entries = [self._accounts.entries[hold_id] for hold_id in self._accounts.of.get(record.id, ())]
        return all(kept.state != HELD and kept.at_micros < before_micros for kept in entries)


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


def _left(units: Units) -> Grant:
    return replace(units.grant, left=units.left)


def _entry(kept: Kept) -> Entry:
    hold = kept.hold
    if hold.expires_micros != kept.expires_micros:
        hold = replace(hold, expires_micros=kept.expires_micros)
    return Entry(hold, kept.state, kept.at_micros, kept.incurred)
