"""What a ledger promises: the only mutable state there is.

Counters hold what was incurred and what is reserved; grants hold units; a hold is the
worst case of something that has begun. Every store keeps the same promises, tested by
one conformance suite:

- `hold` is atomic and all-or-nothing over every charge and unit of every hold it is given;
- a hold ends once: settled or released; doing either again changes nothing;
- a hold whose time has passed is settled at its full amount by `lapse`; a `settle` that
  arrives later corrects it and never charges twice;
- an actual above the reserved amount is booked in full and reported.

Amounts are integers: nano currency units for `spent` and `overage`, else counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from policy_engine.evaluation.facts import Grant, Reading
from policy_engine.language.checked import Meter


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter of a meter: for which key (customer, execution, …) and in which window."""

    meter: Meter
    key: str = ""
    window: str = ""


@dataclass(frozen=True, slots=True)
class Charge:
    """So much to be held on a counter; refused where incurred + reserved + amount would pass `limit`."""

    counter: Counter
    amount: int
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """What begins: its charges, perhaps one unit of a grant. `id` is the caller's and unique.

    `expires_micros` is when an owner that has vanished is given up; None: never.
    """

    id: str
    charges: tuple[Charge, ...] = ()
    grant: str | None = None
    owner: str = ""
    expires_micros: int | None = None


@dataclass(frozen=True, slots=True)
class Crossed:
    """Why a hold was refused: the charge that did not fit and what was used; no charge for a unit that is gone."""

    charge: Charge | None
    used: int


class Ledger(Protocol):
    """A store of counters, grants and holds. Raises `LedgerError` for what cannot be (an unknown hold, a reused id)."""

    def readings(self, counters: Iterable[Counter]) -> Mapping[Counter, Reading | None]:
        """What the counters hold; `None` where the store does not answer. A counter never charged reads zero."""
        ...

    def grants(self, customer: str, outcome: str, now_micros: int) -> tuple[Grant, ...] | None:
        """The customer's grants for an outcome in effect now, spent ones included; None if the store is silent."""
        ...

    def add_grant(self, customer: str, outcome: str, grant: Grant) -> bool:
        """Add a lot of units, `left` of them. The same id again changes nothing and answers False."""
        ...

    def hold(self, holds: Sequence[Hold]) -> tuple[Crossed, ...]:
        """Hold everything or nothing; an empty answer means held."""
        ...

    def settle(self, hold_id: str, actual: Mapping[str, int] | None = None) -> tuple[str, ...]:
        """Replace a hold by what was incurred, by quantity (left out: the reserved amount); its unit is consumed.

        Answers the quantities that were more than reserved.
        """
        ...

    def release(self, hold_id: str) -> None:
        """Cancel a hold: its amounts and its unit are free again."""
        ...

    def reverse(self, hold_id: str) -> None:
        """Undo a settled hold: its amounts are taken back, its unit is restored."""
        ...

    def lapse(self, now_micros: int) -> tuple[str, ...]:
        """Settle, at the full amount, every hold whose time has passed; answers their ids."""
        ...


class LedgerError(Exception):
    """A request that no ledger can carry out: an unknown hold, an id used twice. Nothing was changed."""
