"""What the attempts of one execution hold, and what they have come to: as far as it is known here."""

from collections.abc import Iterable, Sequence
from threading import RLock

from policy_engine.language.checked import SPENT
from policy_engine.ledger.protocol import RELEASED, Charge, Entry


class Tally:
    """`attempts` counts those made or open, `spent_nanos` is what those that ended have cost. Thread-safe."""

    def __init__(self, holds: str) -> None:
        """`holds` is what the ids of all its holds begin with."""
        self.attempts = 0
        self.spent_nanos = 0
        self.lock = RLock()
        """Whoever ends an attempt, or changes what stands here, has it."""
        self._holds = holds
        self._numbered = 0
        self._held: dict[str, tuple[Sequence[Charge], tuple[int, ...] | None]] = {}

    def next_hold(self) -> str:
        """The id of the next attempt's hold."""
        with self.lock:
            self._numbered += 1
            return f"{self._holds}{self._numbered}"

    def reserved(self, hold_id: str, charges: Sequence[Charge]) -> None:
        """An attempt holds something."""
        with self.lock:
            self._held[hold_id] = (charges, None)
            self.attempts += 1

    def incurred(self, hold_id: str, actual: dict[str, int], cost_nanos: int) -> None:
        """It was settled: what it came to by quantity, the reserved amount where that is left out."""
        with self.lock:
            charges, _ = self._held[hold_id]
            came_to = tuple([actual.get(charge.counter.meter.quantity, charge.amount) for charge in charges])
            self._held[hold_id] = (charges, came_to)
            self.spent_nanos += cost_nanos

    def released(self, hold_id: str) -> None:
        """An attempt that was never made."""
        with self.lock:
            del self._held[hold_id]
            self.attempts -= 1

    def own_charges(self) -> list[tuple[Charge, int | None]]:
        """Every charge of its attempts, with what it came to."""
        with self.lock:
            return [
                (charge, None if came_to is None else came_to[place])
                for charges, came_to in self._held.values()
                for place, charge in enumerate(charges)
            ]

    def remember(self, entries: Iterable[Entry]) -> None:
        """Take what the ledger knows of its attempts, after it was read from its record."""
        self.attempts, self.spent_nanos = 0, 0
        for entry in entries:
            is_attempt = entry.hold.id[-1:].isdigit()  # else it is the unit, the entry or a handoff
            if not is_attempt or entry.state == RELEASED:
                continue
            # What is held still is nobody's any more, and will come to its whole amount.
            came_to = entry.incurred or tuple([charge.amount for charge in entry.hold.charges])
            self._held[entry.hold.id] = (entry.hold.charges, came_to)
            self.attempts += 1
            self.spent_nanos += sum(
                amount
                for charge, amount in zip(entry.hold.charges, came_to, strict=True)
                if charge.counter.meter == SPENT
            )

    def open_holds(self) -> list[str]:
        """The ids of what is held still."""
        with self.lock:
            return [hold_id for hold_id, (_, came_to) in self._held.items() if came_to is None]
