"""Leases: who works on an execution says so again and again; who has vanished is given up at the end of the last one.

One daemon thread per engine renews, every third of a lease, what this process works on: the record and all of its
holds. It starts with the first execution that has a lease and ends when there is none left. An execution that nobody
refers to any more is not renewed. On any clock but the machine's there is no thread: whoever moves time calls `renew`.

A process that is forked off works on nothing: what its parent has begun stays the parent's.
"""

import os
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING
from weakref import WeakSet, ref

from policy_engine.ledger.protocol import LedgerUnavailable
from policy_engine.runtime.clock import SystemClock
from policy_engine.runtime.observing import log

if TYPE_CHECKING:
    from policy_engine.runtime.engine import Engine
    from policy_engine.runtime.execution import Execution

AGAIN = 1.0
"""Seconds after which a ledger that was silent is asked again: what ended meanwhile may be taken when it answers."""


class Leases:
    """The executions of one engine that are under way here."""

    def __init__(self, engine: "Engine", lease_micros: int | None) -> None:
        self.lease_micros = lease_micros
        self._engine = ref(engine)
        self._by_itself = isinstance(engine.clock, SystemClock)
        self._runs: WeakSet[Execution] = WeakSet()
        self._lock = Lock()
        self._thread: Thread | None = None
        self._bell: Event | None = None
        """Rung to let the thread renew now; another one, or none, in its place sends it away."""
        engine.escrow.when_told = self.hurry
        _EVERYONES.add(self)

    def until(self, now_micros: int) -> int | None:
        """When a lease that begins now ends; None: never."""
        return None if self.lease_micros is None else now_micros + self.lease_micros

    def keep(self, run: "Execution") -> None:
        """Renew it until `let_go`."""
        with self._lock:
            self._runs.add(run)
            if self.lease_micros is None or not self._by_itself:
                return
            if self._thread is None or not self._thread.is_alive():  # also after a fork
                self._bell = Event()
                self._thread = Thread(
                    target=self._renew_on, args=(self._bell,), name="policy_engine leases", daemon=True
                )
                self._thread.start()

    def let_go(self, run: "Execution") -> bool:
        """Whether it was kept until now."""
        with self._lock:
            kept = run in self._runs
            self._runs.discard(run)
            return kept

    def close(self) -> None:
        """Renew nothing any more."""
        with self._lock:
            self._runs.clear()
            bell, self._bell = self._bell, None
            self._thread = None  # whoever comes later gets one of his own
        if bell is not None:
            bell.set()

    def hurry(self) -> None:
        """Renew as soon as can be: the ledger was silent, and leases may have ended meanwhile."""
        bell = self._bell
        if bell is not None:
            bell.set()

    def renew(self) -> bool:
        """Renew everything once, now. Answers whether the ledger answered."""
        engine = self._engine()
        if engine is None or self.lease_micros is None:
            return True
        engine.reconcile()
        with self._lock:
            runs = list(self._runs)
        for run in runs:
            now = engine.clock.now_micros()
            try:
                run.renew(now, now + self.lease_micros)
            except LedgerUnavailable as silence:
                engine.observers.tell("store_failed", silence)
                return False
            except Exception:  # whatever is the matter with one, the others are renewed
                log.exception("the lease of the execution `%s` cannot be renewed", run.key)
        return not engine.escrow.owes

    def forked(self) -> None:
        """In a process that was forked off: the executions, and what the ledger is owed, are the parent's."""
        runs = list(self._runs)
        self._runs, self._lock, self._thread, self._bell = WeakSet(), Lock(), None, None
        for run in runs:
            run.forked()
        engine = self._engine()
        if engine is not None:
            engine.escrow.forked()
            engine.editions.forked()
            engine.observers.tell("forked")

    def _renew_on(self, bell: Event) -> None:
        assert self.lease_micros is not None  # noqa: S101 - else there is no thread
        third = self.lease_micros / 3 / 10**6
        idle, answered = 0, True
        while True:
            bell.wait(third if answered else min(third, AGAIN))
            if self._bell is not bell:
                return
            bell.clear()
            engine = self._engine()
            if engine is None:
                return
            owes = engine.escrow.owes
            del engine  # so that it can go while this thread waits
            try:
                answered = self.renew()
            except Exception:  # the next one may succeed, and nobody else would try
                log.exception("the leases cannot be renewed")
            with self._lock:
                idle = 0 if self._runs or owes else idle + 1
                if idle > 3 and self._bell is bell:
                    self._thread = self._bell = None
                    return


_EVERYONES: WeakSet[Leases] = WeakSet()


def _in_child() -> None:
    for leases in list(_EVERYONES):
        leases.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
