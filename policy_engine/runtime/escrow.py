"""What is done while the store is silent, and told to it when it answers again.

Under `on store failure allow within $X` attempts go on against an amount kept in this process, the escrow. Everything
that the ledger has missed (what was begun, reserved, settled, changed) waits in order and is handed in later, in full.
If the process ends before that, it is lost: the ledger then knows of it what it knew before.
"""

from collections import deque
from collections.abc import Callable
from threading import RLock
from time import monotonic

from policy_engine.evaluation.facts import Reading
from policy_engine.ledger.protocol import LedgerError, LedgerUnavailable
from policy_engine.runtime.observing import log

LONG = 0.25
"""Seconds: a store that says at once that it does not answer may be asked again at once."""


class Escrow:
    """Money that may be spent without the ledger, and what it has to be told. Thread-safe.

    `when_told` is called when it was told everything; it must not wait for anybody.
    """

    def __init__(self) -> None:
        self._lock = RLock()
        self._held: dict[str, int] = {}
        self._settled: dict[str, int] = {}
        self._owed: deque[Callable[[], object]] = deque()
        self._again = 0.0
        self.when_told: Callable[[], object] = lambda: None

    def reading(self) -> Reading:
        """What was spent from escrow and is not in the ledger yet, and what is reserved there."""
        with self._lock:
            return Reading(sum(self._settled.values()), sum(self._held.values()))

    def hold(self, hold_id: str, nanos: int, most: int | None) -> bool:
        """Reserve an amount; False if it does not fit. `most` None: whatever it takes."""
        with self._lock:
            if most is not None and self.reading().used + nanos > most:
                return False
            self._held[hold_id] = nanos
            return True

    def settle(self, hold_id: str, nanos: int) -> None:
        """Replace a reserved amount by what it came to, if it is held here."""
        with self._lock:
            if self._held.pop(hold_id, None) is not None:
                self._settled[hold_id] = nanos

    def forget(self, hold_id: str) -> None:
        """The ledger knows of it now."""
        with self._lock:
            self._held.pop(hold_id, None)
            self._settled.pop(hold_id, None)

    def owe(self, call: Callable[[], object]) -> None:
        """Something to tell the ledger when it answers."""
        with self._lock:
            self._owed.append(call)

    def forked(self) -> None:
        """In a process that was forked off: what was done is its parent's to tell, and its amount is its own."""
        self._lock = RLock()  # a thread that held it is not here
        self._held, self._settled, self._owed = {}, {}, deque()
        self._again = 0.0

    @property
    def owes(self) -> int:
        """How much the ledger has yet to be told."""
        return len(self._owed)

    @property
    def rests(self) -> bool:
        """Whether the ledger was waited for in vain just now, so that it is better not asked again."""
        return monotonic() < self._again

    def waited(self, seconds: float) -> None:
        """It did not answer for so long."""
        if seconds > LONG:
            self._again = monotonic() + seconds

    def reconcile(self, *, at_once: bool = False) -> bool:
        """Tell the ledger, in order, what it missed; False if it is silent still.

        Where it was waited for in vain, it is not asked again before as long has passed, unless `at_once`: whoever
        works meanwhile would wait as well, one after the other.
        """
        if not self._owed:
            return True
        if not at_once and self.rests:
            return False
        with self._lock:
            while self._owed:
                if not at_once and self.rests:
                    return False  # somebody else has just waited
                began = monotonic()
                try:
                    self._owed[0]()
                except LedgerUnavailable:
                    self.waited(monotonic() - began)
                    return False
                except LedgerError:
                    log.exception("the ledger cannot book what was done while it was silent")
                self._owed.popleft()
            self.when_told()
        return True
