"""The engine: executions through their decision points, over a ledger and a clock."""

import os
import secrets
from asyncio import CancelledError
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from os import PathLike
from types import EllipsisType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, Self, TypeVar

from msgspec.structs import replace

from policy_engine.evaluation.decision import SettleDecision
from policy_engine.evaluation.facts import Given, Grant
from policy_engine.language.checked import CheckedPolicy, Meter
from policy_engine.language.diagnostics import one_of
from policy_engine.ledger.grants import allowance, bought
from policy_engine.ledger.protocol import Charge, Hold, Ledger, LedgerError, LedgerUnavailable
from policy_engine.ledger.sqlite import SqliteLedger, default_path
from policy_engine.policy import LivePolicy, Policy, PolicyPath
from policy_engine.prices.table import PriceTable
from policy_engine.runtime import checking
from policy_engine.runtime.admission import Request, admit, find
from policy_engine.runtime.aside import Aside
from policy_engine.runtime.clock import Clock, SystemClock
from policy_engine.runtime.edition import Edition, Editions
from policy_engine.runtime.escrow import Escrow
from policy_engine.runtime.execution import Execution
from policy_engine.runtime.leases import Leases
from policy_engine.runtime.mapping import ErrorMap, Errors
from policy_engine.runtime.observing import Observer, Observers, log

if TYPE_CHECKING:
    from policy_engine.runtime.watching import Watching

MODES = ("enforce", "shadow")
LEASE_SECONDS = 60.0

Answer = TypeVar("Answer")
Asked = ParamSpec("Asked")


class Engine:
    """Runs executions under a policy. May be used from several threads and tasks.

    `policy` is a `Policy`, a `LivePolicy` (each execution keeps the version it began under), or what `load` takes;
    `prices` is for the last case. `ledger` is where spending is counted: a ledger, or the path of an SQLite file, which
    the engine then closes itself. Left out, it is the file that the environment variable `POLICY_ENGINE_LEDGER` names,
    else `policy_engine.db` in the working directory: what was spent must outlive the process that spent it.

    `mode="shadow"` decides and records, but refuses nothing and cuts nothing: what would have been refused stands in
    `decisions` of the execution. `errors` maps exceptions to error classes, before the built-in mapping.
    `lease_seconds` is how long a vanished owner is waited for; None: for ever. Left out, it is 60 on the machine's
    clock, and None on any other. `observers` are told of everything.
    """

    def __init__(
        self,
        policy: Policy | LivePolicy | PolicyPath | Sequence[PolicyPath],
        *,
        ledger: Ledger | str | PathLike[str] | None = None,
        prices: PriceTable | None = None,
        clock: Clock | None = None,
        mode: Literal["enforce", "shadow"] = "enforce",
        errors: Errors | None = None,
        lease_seconds: float | EllipsisType | None = ...,
        observers: Sequence[Observer] = (),
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"there is no mode `{mode}`; modes are {one_of(MODES)}")
        heard_by = checking.observers(observers, Observer)
        if clock is not None:
            checking.clock(clock)
        if lease_seconds is not ...:
            checking.lease(lease_seconds)
        if ledger is not None and not isinstance(ledger, str | PathLike):
            checking.ledger(ledger)
        if isinstance(policy, Policy | LivePolicy):
            if prices is not None:
                raise ValueError("a policy that is loaded has its prices; give `prices` where it is loaded")
            self._source: Policy | LivePolicy = policy
        else:
            checking.policy(policy, prices)
            self._source = LivePolicy(policy, prices=prices)
            for said in self._source.policy.warnings:
                log.warning("%s", said)
        self.mode = mode
        self._own_ledger: SqliteLedger | None = None
        if ledger is None or isinstance(ledger, str | PathLike):
            ledger = self._own_ledger = SqliteLedger(default_path() if ledger is None else ledger)
            log.info("spending is counted in `%s`", ledger.path)
        self.ledger: Ledger = ledger
        self.threads = Aside(waits=ledger.waits)
        self.clock: Clock = clock if clock is not None else SystemClock()
        self.observers = Observers(heard_by)
        self.escrow = Escrow()
        self.editions = Editions(self.ledger)
        self._given_errors = errors
        self._errors: dict[tuple[str, ...], ErrorMap] = {}
        self.errors_of(self.edition)  # so that a wrong mapping is told at once
        self._token = secrets.token_hex(4)
        self._numbers = count(1)
        if lease_seconds is ...:
            lease_seconds = LEASE_SECONDS if isinstance(self.clock, SystemClock) else None
        self.leases = Leases(self, None if lease_seconds is None else int(lease_seconds * 10**6))

    @property
    def policy(self) -> Policy:
        """The newest version of the policy."""
        return self._source.policy if isinstance(self._source, LivePolicy) else self._source

    @property
    def edition(self) -> Edition:
        """What new executions begin under."""
        return self.editions.of(self.policy)

    @property
    def checked(self) -> CheckedPolicy:
        return self.policy.checked

    @property
    def zone(self) -> str:
        return self.checked.timezone

    @property
    def meters(self) -> tuple[Meter, ...]:
        return self.edition.meters

    @property
    def owner(self) -> str:
        """How this engine, in this process, signs what it holds."""
        return f"{os.getpid():x}.{self._token}"

    # ------------------------------------------------------------ executions

    def execution(
        self,
        outcome: str,
        *,
        customer: str,
        plan: str | None = None,
        facts: Mapping[str, Any] | Given | None = None,
        lane: str | None = None,
        key: str | None = None,
        errors: Errors | None = None,
    ) -> Execution:
        """Start one execution, or raise `Denied`; a context manager, sync or async.

        The same `key` for the same customer and outcome is the same execution: raises `InProgress` while its owner
        lives; once its lease has ended it is taken over, what its last attempts held settled; one that has ended comes
        back with its `result`. Without a key every call is a new one. `lane` asks for that lane or a denial.

        Raises `FactError` for names the policy does not declare, wrong facts, and facts it needs and was not given. An
        execution that is there already is what it was begun as: nothing of this is asked of it again.
        """
        edition = self.edition
        checked = edition.checked
        checking.text("customer", customer)
        if key is not None:
            checking.text("key", key)
        if errors:
            ErrorMap(errors, checked.error_classes)  # a wrong one is told before anything is begun

        def request() -> Request:
            checking.known("outcome", outcome, checked.outcomes)
            if plan is not None:
                checking.known("plan", plan, checked.plans)
            if lane is not None:
                checking.known("lane", lane, checked.lanes)
            given = facts
            if not isinstance(given, Given):
                checking.facts(given or {}, checked.facts)
                given = edition.policy.boundary.given_facts(given or {})
            return Request(outcome=outcome, customer=customer, plan=plan, given=given, lane=lane, key=key)

        run = admit(self, edition, outcome, customer, key, request)
        if errors:
            run.errors = ErrorMap(errors, run.edition.checked.error_classes, run.errors)
        if run.result is None:
            run.began_here = True
            self.leases.keep(run)
            self.observers.tell("began", run)
        return run

    def accept(self, outcome: str, *, customer: str, key: str) -> SettleDecision:
        """The customer accepts what was delivered, perhaps by another process. Raises `NoExecution`.

        The decision says whether it was possible (`permits`); telling it twice changes nothing.
        """
        return self._later("accept", outcome, customer, key)

    def reject(self, outcome: str, *, customer: str, key: str) -> SettleDecision:
        """The customer refuses what was delivered; as `accept`."""
        return self._later("reject", outcome, customer, key)

    def reverse(self, outcome: str, *, customer: str, key: str) -> SettleDecision:
        """An acceptance is taken back inside its window; as `accept`."""
        return self._later("reverse", outcome, customer, key)

    def lapse(self, outcome: str, *, customer: str, key: str) -> SettleDecision:
        """The acceptance window has ended in silence; as `accept`."""
        return self._later("lapse", outcome, customer, key)

    def find(self, outcome: str, *, customer: str, key: str) -> Execution:
        """The execution with this key as the ledger has it, to be looked at. Raises `NoExecution`."""
        return find(self, outcome, customer, key)

    def close_windows(self) -> int:
        """Lapse every delivered execution whose acceptance window has ended; how many these were."""
        lapsed = 0
        for record in self.ledger.delivered():
            try:
                lapsed += self.lapse(record.outcome, customer=record.customer, key=record.key).permits
            except LookupError:  # its policy cannot be read here, or it was pruned meanwhile: the others are closed
                log.exception("the window of the execution `%s` cannot be closed", record.key)
        return lapsed

    def top_up(self, customer: str, pack: str, *, key: str) -> Grant:
        """Give a customer the units of a pack. `key` names the purchase: the same one again gives nothing more."""
        checking.text("customer", customer)
        checking.known("pack", pack, self.checked.packs)
        checking.text("key", key)
        terms = self.checked.packs[pack]
        grant = bought(terms, customer, key, self.clock.now_micros())
        return self._granted(customer, terms.outcome, grant)

    def join(self, customer: str, plan: str) -> tuple[Grant, ...]:
        """A customer joins a plan now: its allowances of this period are the share of the days that are left.

        Without it, or after an execution of the period has begun under the plan, they are whole. Joining again in the
        same period changes nothing. From the next period on they are whole.
        """
        checking.text("customer", customer)
        checking.known("plan", plan, self.checked.plans)
        terms, now = self.checked.plans[plan], self.clock.now_micros()
        shares = {outcome: allowance(self.checked, terms, customer, outcome, now, now) for outcome in terms.includes}
        return tuple(self._granted(customer, outcome, grant) for outcome, grant in shares.items())

    # ------------------------------------------------------------ the engine itself

    async def aside(self, call: Callable[Asked, Answer], *args: Asked.args, **named: Asked.kwargs) -> Answer:
        """Carry out a call that asks the ledger without holding up the loop: `await engine.aside(run.deliver)`.

        For whatever is no coroutine: `execution`, `deliver`, `accept`, `close_windows` … Where the ledger may wait it
        is done in a thread. A task that is cancelled meanwhile is cancelled when it is done; an execution that has
        begun by then is aborted.
        """
        return await self.threads.carry_out(lambda: call(*args, **named), undo=_unwanted)

    def watch(self, *, on_error: Callable[[Exception], None] | None = None) -> "Watching":
        """Reload the policy's files as they change, in a thread of its own, until `stop`.

        A bad edit is given to `on_error`, else logged, and ignored: the last good version stays. Needs the extra
        `watch`. Raises `TypeError` for a policy that is from no file.
        """
        from policy_engine.runtime.watching import Watching

        if not isinstance(self._source, LivePolicy) or not self._source.paths:
            raise TypeError("there is no file to watch: give the engine the path of a policy, or a LivePolicy of one")
        return Watching(self._source, on_error)

    def reconcile(self) -> bool:
        """Tell the ledger what it has missed while it was silent; False if it is so still."""
        return self.escrow.reconcile(at_once=True)

    def close(self) -> None:
        """Stop renewing leases, and tell the ledger what it has missed. A ledger that was given stays open."""
        self.leases.close()
        self.reconcile()
        self.threads.close()
        if self._own_ledger is not None:
            self._own_ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *about: object) -> None:
        self.close()

    # ------------------------------------------------------------ for executions

    def new_id(self, now_micros: int) -> str:
        """An id for an execution: unique, and growing with time."""
        return f"{now_micros:014x}-{self.owner}-{next(self._numbers):x}"

    def errors_of(self, edition: Edition) -> ErrorMap:
        """The engine's error mapping for an edition."""
        classes = edition.checked.error_classes
        found = self._errors.get(classes)
        if found is None:
            found = self._errors[classes] = ErrorMap(self._given_errors, classes)
        return found

    def hold(
        self,
        hold_id: str,
        charges: tuple[Charge, ...],
        execution: str,
        edition: Edition,
        now: int,
        *,
        grant: str | None = None,
    ) -> Hold:
        """A hold in this engine's name."""
        policy, prices = edition.digests
        return Hold(
            hold_id,
            charges,
            grant,
            owner=self.owner,
            expires_micros=self.leases.until(now),
            execution=execution,
            policy_digest=policy,
            price_digest=prices,
        )

    def now_or_later(self, call: Callable[[], Answer]) -> Answer | None:
        """Tell the ledger, or as soon as it answers again; None in that case."""
        if self.escrow.owes and not self.escrow.reconcile():
            self.escrow.owe(call)
            return None
        try:
            return call()
        except LedgerUnavailable as silence:
            self.observers.tell("store_failed", silence)
            self.escrow.owe(call)
            return None

    def require_told(self) -> None:
        """Raise `LedgerUnavailable` while there is something that the ledger does not know."""
        if self.escrow.owes and not self.escrow.reconcile():
            raise LedgerUnavailable("the store has yet to be told what was done while it was silent")

    def owe_hold(self, hold: Hold) -> None:
        """Hold it in the ledger later, whatever the limits: it has begun."""
        free = replace(hold, charges=tuple([replace(charge, limit=None) for charge in hold.charges]))

        def book() -> None:
            now = self.clock.now_micros()
            try:
                self.ledger.reserve([replace(free, expires_micros=self.leases.until(now))], now)
            except LedgerUnavailable:
                raise
            except LedgerError as error:
                # The request that was given up did arrive: it is held already.
                log.info("held already: %s", error)
            self.escrow.forget(hold.id)

        self.escrow.owe(book)

    def _later(self, event: str, outcome: str, customer: str, key: str) -> SettleDecision:
        while True:
            run = find(self, outcome, customer, key)
            decision: SettleDecision | None = run.try_settle(event)
            if decision is not None:
                return decision

    def _granted(self, customer: str, outcome: str, grant: Grant) -> Grant:
        """Give it; answers what the customer has: what was given before, if it was, with what is left of it."""
        if self.ledger.add_grant(customer, outcome, grant):
            return grant
        has = self.ledger.grants(customer, outcome, self.clock.now_micros()) or ()
        return next((one for one in has if one.id == grant.id), grant)


def _unwanted(answer: object) -> None:
    """What a cancelled task has asked for, and nobody will take."""
    if isinstance(answer, Execution):
        answer.leave(CancelledError())
