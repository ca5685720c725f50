"""What a ledger promises: the only mutable state there is.

Counters hold what was incurred and what is reserved; grants hold units; a hold is the worst case of something that
has begun; an execution is a record with a key of its own. Every store keeps the same promises, tested by one
conformance suite:

- `reserve` is atomic and all-or-nothing over every charge and unit of every hold it is given; `begin` and `change`
  are so together with their execution's record;
- a hold ends once: settled or released; doing either again changes nothing;
- a hold whose time has passed is settled at its full amount: by `lapse`, and by the next `reserve` or `begin`, which
  take a few of those that are due with them. That frees nothing and refuses nobody: what was reserved is now
  incurred. A `settle` or `release` that arrives later corrects it and never charges twice;
- an actual above the reserved amount is booked in full, reported by `settle`, and seen on the entry for good (`over`);
- a customer has one execution of an outcome by one key: `begin` answers the one that is there and holds nothing;
- `change` replaces a record only if nobody else has since it was read (`version`), and ends its holds with it;
- amounts and balances are whole numbers of no more than 64 bits: nano currency units for `spent` and `overage`, else
  counts. What would not fit is refused before anything is written.

Times are microseconds since the epoch, given by the caller. A clock that steps back delays the end of holds, one that
steps forward hastens it; neither loses a charge nor makes one twice.

Ids of holds and executions are the caller's and unique in a ledger. Those that grow with time (in the order of text)
keep a store on disk compact; nothing else depends on it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from msgspec import Struct

from policy_engine.evaluation.facts import Grant, Reading
from policy_engine.language.checked import Meter

HELD, SETTLED, RELEASED, LAPSED, REVERSED = "held", "settled", "released", "lapsed", "reversed"
"""The states of a hold. `settled` and `lapsed` have incurred something; `lapsed` may still be corrected."""

FINAL = ("accepted", "rejected", "expired", "reversed", "aborted", "handed_off")
"""The states of an execution that has ended. `accepted` may still become `reversed` inside its window."""

DELIVERED = "delivered"
"""The state of an execution that waits for its acceptance."""

MOST = 2**63 - 1
"""The largest amount, and the largest balance."""

LAPSED_AT_ONCE = 64
"""How many holds that are due one `reserve` or `begin` ends on its way."""


class Counter(Struct, frozen=True, gc=False):
    """One counter of a meter: for which key (customer, execution, …) and in which window."""

    meter: Meter
    key: str = ""
    window: str = ""


class Charge(Struct, frozen=True, gc=False):
    """So much to be held on a counter; refused where incurred + reserved + amount would pass `limit`.

    `rule` is the place of the rule that set the limit (`file:line:column`), empty where nothing bounds it. A limit
    above `MOST` may be kept as that.
    """

    counter: Counter
    amount: int
    limit: int | None = None
    rule: str = ""


class Hold(Struct, frozen=True, gc=False):
    """What begins: its charges, perhaps one unit of a grant.

    `expires_micros` is when an owner that has vanished is given up; None: never. `execution` is the id of the
    execution it belongs to; the digests are those of the policy and prices that decided.
    """

    id: str
    charges: tuple[Charge, ...] = ()
    grant: str | None = None
    owner: str = ""
    expires_micros: int | None = None
    execution: str = ""
    policy_digest: str = ""
    price_digest: str = ""


class Crossed(Struct, frozen=True, gc=False):
    """Why a hold was refused: the charge that did not fit and what was used; no charge for a unit that is gone."""

    charge: Charge | None
    used: int


class ExecutionRecord(Struct, frozen=True, kw_only=True, gc=False):
    """One execution as it is kept. The ledger reads `id`, `customer`, `outcome`, `key`, `state`, `version` and times.

    `given` and `decision` are JSON texts. `owner` works on it until `lease_micros`; later another may take it over.
    Who has no key of his own gives the id as one. `version` counts the changes.
    """

    id: str
    customer: str
    outcome: str
    key: str
    plan: str | None = None
    lane: str = ""
    draw_kind: str = ""
    draw_grant: str | None = None
    price_nanos: int = 0
    given: str = "{}"
    policy_digest: str = ""
    price_digest: str = ""
    state: str = "running"
    admitted_micros: int = 0
    delivered_micros: int | None = None
    attempts: int = 0
    spent_nanos: int = 0
    handoff_nanos: int = 0
    revenue_nanos: int = 0
    owner: str = ""
    lease_micros: int | None = None
    version: int = 0
    decision: str = "{}"


class Begun(Struct, frozen=True, gc=False):
    """What `begin` came to: a new execution, the one that has the key already, or none because of `crossed`."""

    record: ExecutionRecord | None
    new: bool = False
    crossed: tuple[Crossed, ...] = ()


class Entry(Struct, frozen=True, gc=False):
    """A hold and what became of it. `incurred` is by charge, once it has ended; `hold.expires_micros` as renewed."""

    hold: Hold
    state: str
    at_micros: int
    incurred: tuple[int, ...] = ()

    @property
    def over(self) -> bool:
        """Whether more was incurred than reserved."""
        return any(map(int.__gt__, self.incurred, (charge.amount for charge in self.hold.charges)))


class Balance(Struct, frozen=True, gc=False):
    """What a counter holds. `carried` is the part of `settled` whose entries were pruned."""

    counter: Counter
    settled: int
    reserved: int
    carried: int = 0


class Lot(Struct, frozen=True, gc=False):
    """A grant as it was given (`grant.left` units), and what became of its units; `carried` as in `Balance`."""

    customer: str
    outcome: str
    grant: Grant
    held: int = 0
    consumed: int = 0
    carried: int = 0


class Document(Struct, frozen=True, gc=False):
    """A policy set or a price table, kept once under its digest."""

    kind: str
    digest: str
    text: str


class Pruned(Struct, frozen=True, gc=False):
    """How much was removed."""

    executions: int
    entries: int
    counters: int


class Book(Protocol):
    """Everything a ledger holds at one moment, whatever happens to it meanwhile."""

    def executions(self) -> Iterator[ExecutionRecord]: ...

    def entries(self) -> Iterator[Entry]: ...

    def balances(self) -> Iterator[Balance]: ...

    def lots(self) -> Iterator[Lot]: ...

    def documents(self) -> Iterator[Document]: ...


class Ledger(Protocol):
    """A store of counters, grants, holds and executions. May be used from any thread.

    Raises `LedgerError` for what cannot be (an unknown hold, a reused id), `LedgerUnavailable` if the store did not
    answer in the time it has.

    `waits` says whether a method may wait, for a disk or for others: a task asks such a ledger in a thread.
    """

    @property
    def waits(self) -> bool: ...

    # ------------------------------------------------------------ what is left

    def readings(self, counters: Iterable[Counter]) -> Mapping[Counter, Reading | None]:
        """What the counters hold; `None` where the store does not answer. A counter never charged reads zero."""
        ...

    def grants(self, customer: str, outcome: str, now_micros: int) -> tuple[Grant, ...] | None:
        """The customer's grants for an outcome in effect now, spent ones included; None if the store is silent."""
        ...

    def add_grant(self, customer: str, outcome: str, grant: Grant) -> bool:
        """Add a lot of units, `left` of them. The same id again changes nothing and answers False."""
        ...

    # ------------------------------------------------------------ holds

    def reserve(self, holds: Sequence[Hold], now_micros: int) -> tuple[Crossed, ...]:
        """Hold everything or nothing; an empty answer means held."""
        ...

    def settle(self, hold_id: str, actual: Mapping[str, int] | None = None) -> tuple[str, ...]:
        """Replace a hold by what was incurred, by quantity (left out: the reserved amount); its unit is consumed.

        Answers the quantities that were more than reserved.
        """
        ...

    def release(self, hold_id: str) -> None:
        """Cancel a hold, also one that has lapsed: its amounts and its unit are free again."""
        ...

    def reverse(self, hold_id: str) -> None:
        """Undo a settled hold: its amounts are taken back, its unit is restored."""
        ...

    def renew(self, hold_ids: Sequence[str], expires_micros: int | None) -> tuple[str, ...]:
        """Give holds until a later time, or for ever (None). Answers those that are held no more."""
        ...

    def lapse(self, now_micros: int) -> tuple[str, ...]:
        """Settle, at the full amount, every hold whose time has passed; answers their ids."""
        ...

    # ------------------------------------------------------------ executions

    def begin(self, record: ExecutionRecord, holds: Sequence[Hold], now_micros: int) -> Begun:
        """Keep a new execution and hold what its admission takes; or answer the one that has the key, holding nothing.

        The record is kept as it is given.
        """
        ...

    def execution(self, customer: str, outcome: str, key: str) -> ExecutionRecord | None:
        """The execution that has this key."""
        ...

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
        """Keep a record in place of the one with its id and version, under the next version; False if that one is gone.

        In the same step the named holds are settled at their reserved amounts, released, reversed, or given until
        `expires_micros`, as by the methods of these names. If it answers False, nothing at all was done.
        """
        ...

    def delivered(self) -> tuple[ExecutionRecord, ...]:
        """Every execution that is delivered, and neither accepted, rejected nor expired so far."""
        ...

    def entries(self, execution: str) -> tuple[Entry, ...]:
        """Every hold of an execution, by its id, in the order they were made."""
        ...

    # ------------------------------------------------------------ the record of it all

    def keep(self, kind: str, digest: str, text: str) -> None:
        """Keep a document once; what is kept under this kind and digest already stays.

        Kinds are `policy` and `prices`; `currency` is kept under the policy's digest.
        """
        ...

    def kept(self, kind: str, digest: str) -> str | None:
        """The text that was kept."""
        ...

    def book(self) -> AbstractContextManager[Book]:
        """Everything, to be read: for export and verification."""
        ...

    def prune(self, before_micros: int) -> Pruned:
        """Forget what ended and began before a time: executions (and so their keys), their holds and own counters.

        Balances of windows and grants stay; what their removed entries came to is carried. A pruned hold is unknown.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections. Closing again does nothing."""
        ...


class LedgerError(Exception):
    """A request that no ledger can carry out: an unknown hold, an id used twice. Nothing was changed."""


UNTOLD = "S100"
"""The code of a silence that no store has told: the runtime knows of it otherwise."""


class LedgerUnavailable(LedgerError):
    """The store did not answer in its time, or cannot. A hold that was made nevertheless ends at its expiry.

    `code` is stable, `where` names the store (a path), `hint` is the one thing to do; a traceback shows it as a note.
    """

    def __init__(self, message: str, *, code: str = UNTOLD, where: str = "", hint: str | None = None) -> None:
        said = message if code == UNTOLD else f"{message} ({code})"
        super().__init__(f"{where}: {said}" if where else said)
        if hint is not None:
            self.add_note(hint)
        self.message = message
        self.code = code
        self.where = where
        self.hint = hint


def require_amounts(holds: Iterable[Hold]) -> None:
    """Raise `LedgerError` for an amount that is no whole number from 0 to `MOST`."""
    for hold in holds:
        for charge in hold.charges:
            if type(charge.amount) is not int or not 0 <= charge.amount <= MOST:
                raise unfit(hold.id, charge.amount)


def require_actual(hold_id: str, actual: Mapping[str, int]) -> None:
    """The same for what was incurred."""
    for amount in actual.values():
        if type(amount) is not int or not 0 <= amount <= MOST:
            raise unfit(hold_id, amount)


def require_units(grant: Grant) -> None:
    """The same for the units of a grant."""
    if type(grant.left) is not int or not 0 <= grant.left <= MOST:
        raise LedgerError(f"`{grant.left}` units of the grant `{grant.id}` are no whole number from 0 to {MOST}")


def unfit(hold_id: str, amount: object) -> LedgerError:
    """An amount that cannot be booked."""
    return LedgerError(f"`{amount}` of the hold `{hold_id}` is no whole number from 0 to {MOST}")


def no_room(counter: Counter) -> LedgerError:
    """A balance that would not fit."""
    return LedgerError(f"the counter `{counter.meter}` would pass {MOST}")


def no_hold(hold_id: str) -> LedgerError:
    return LedgerError(f"there is no hold `{hold_id}`")


def hold_exists(hold_id: str) -> LedgerError:
    return LedgerError(f"the hold `{hold_id}` exists")


def no_grant(grant: str) -> LedgerError:
    return LedgerError(f"there is no grant `{grant}`")


def no_execution(execution: str) -> LedgerError:
    return LedgerError(f"there is no execution `{execution}`")


def execution_exists(execution: str) -> LedgerError:
    return LedgerError(f"the execution `{execution}` exists")
