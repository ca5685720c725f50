"""One execution: a promised deliverable, from admission to its end."""

from decimal import Decimal
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Self

from msgspec import Struct
from msgspec.structs import replace

from policy_engine.evaluation.decision import AdmitDecision, Alert, Decision, SettleDecision
from policy_engine.evaluation.facts import Facts, Given, SettleFacts
from policy_engine.language.checked import Route
from policy_engine.ledger.protocol import ExecutionRecord, LedgerError, LedgerUnavailable
from policy_engine.runtime import checking
from policy_engine.runtime.counting import Place
from policy_engine.runtime.edition import Edition
from policy_engine.runtime.errors import NotRunning
from policy_engine.runtime.mapping import ErrorMap, Errors
from policy_engine.runtime.observing import log
from policy_engine.runtime.recording import Ends, Recording
from policy_engine.runtime.standing import Standing
from policy_engine.runtime.step import Step
from policy_engine.runtime.tally import Tally
from policy_engine.runtime.usage import nanos

if TYPE_CHECKING:
    from policy_engine.runtime.engine import Engine

RUNNING = "running"
_BY_ITS_OWNER = ("deliver", "abort", "hand_off")


class Result(Struct, frozen=True):
    """What an execution came to, in nano units of its currency. `state` is that of `Execution`."""

    state: str
    attempts: int
    spent_nanos: int
    handoff_nanos: int
    revenue_nanos: int


class Execution(Tally):
    """One promised deliverable. `state` is `running` until it is delivered, handed off or aborted.

    A context manager, sync or async: leaving it without `deliver` is an abort. Several threads or tasks may work on
    steps of it side by side; all of them draw on what is left.

    `id` is unique in the ledger, `key` the caller's (the id, if none was given). `spent_nanos` is what its attempts
    have cost, `handoff_nanos` what a handoff cost, `revenue_nanos` what it brought in so far. `admission` is the
    decision that let it start, `decisions` all that were made here, in order, `decision` the last of them; `resumed`
    says that another process began it.
    """

    def __init__(
        self,
        engine: "Engine",
        edition: Edition,
        record: ExecutionRecord,
        given: Given,
        admission: AdmitDecision,
        *,
        errors: ErrorMap,
        resumed: bool = False,
    ) -> None:
        # Whoever takes it over numbers its holds anew, under the version it took: the last owner may still tell of some
        # that the ledger does not know.
        super().__init__(f"{record.id}/{record.version}." if resumed else f"{record.id}/")
        self.engine = engine
        self.edition = edition
        self._recording = Recording(engine.ledger, record)
        self.given = given
        self.admission = admission
        self.errors = errors
        self.resumed = resumed
        self.began_here = False
        self.left_by: BaseException | None = None
        """What the caller leaves it by, while observers are told."""
        self.id = record.id
        self.key = record.key
        self.lane = record.lane
        self.price_nanos = record.price_nanos
        self.admitted_micros = record.admitted_micros
        self.state = record.state
        self.attempts = record.attempts
        self.spent_nanos = record.spent_nanos
        self.handoff_nanos = record.handoff_nanos
        self.revenue_nanos = record.revenue_nanos
        self.decisions: list[Decision] = [admission]
        self.place = Place(
            execution=record.id,
            customer=record.customer,
            plan=record.plan,
            workflow=edition.checked.outcomes[record.outcome].workflow,
            outcome=record.outcome,
            lane=record.lane,
        )
        self.standings: dict[tuple[str, str], Standing] = {}
        """By step and route."""
        self._steps: list[Step] = []
        self._elsewhere = ""
        """Whose it is, if it is not to be worked on here."""
        self._lost = False
        self._ended_here = False

    def __repr__(self) -> str:
        return f"<Execution {self.place.outcome} `{self.key}` of {self.place.customer}: {self.state}>"

    @property
    def record(self) -> ExecutionRecord:
        """As the ledger has it."""
        return self._recording.record

    @property
    def decision(self) -> Decision:
        return self.decisions[-1]

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """Every alert that was crossed, in order."""
        return tuple(alert for decision in self.decisions for alert in decision.alerts)

    @property
    def result(self) -> Result | None:
        """What it came to; None while it is running. The same key once more finds this here at once."""
        if self.state == RUNNING:
            return None
        return Result(self.state, self.attempts, self.spent_nanos, self.handoff_nanos, self.revenue_nanos)

    def step(
        self,
        name: str,
        *,
        input_tokens: int | None = None,
        max_output_tokens: int | None = None,
        min_output_tokens: int | None = None,
        estimate: Decimal | int | float | str | None = None,
        errors: Errors | None = None,
    ) -> Step:
        """Begin one unit of work, at the lane's first route: an iterator of attempts, sync or async.

        `input_tokens` and `max_output_tokens` are what a call will use at most; the cap may be shrunk to what is left,
        not below `min_output_tokens` (left out: not at all). `estimate` states the worst case as an amount of money
        instead. `errors` maps exceptions to error classes before the engine's mapping does. Raises `NotRunning` once
        the execution has ended, `FactError` for what is no number of tokens.
        """
        self.require_running()
        checking.text("step", name)
        checking.tokens("input_tokens", input_tokens)
        checking.tokens("max_output_tokens", max_output_tokens)
        checking.tokens("min_output_tokens", min_output_tokens)
        step = Step(
            self,
            name,
            input_tokens=input_tokens,
            max_output_tokens=max_output_tokens,
            min_output_tokens=min_output_tokens,
            estimate_nanos=None if estimate is None else nanos(estimate, self.edition.currency),
            errors=ErrorMap(errors, self.edition.checked.error_classes, self.errors) if errors else self.errors,
        )
        with self.lock:
            self._steps.append(step)
        return step

    # ------------------------------------------------------------ its end

    def deliver(self) -> SettleDecision:
        """The deliverable is with the customer; the acceptance window, if any, opens."""
        return self._settle("deliver")

    def accept(self) -> SettleDecision:
        """The customer accepts; the unit is consumed."""
        return self._settle("accept")

    def reject(self) -> SettleDecision:
        """The customer refuses the deliverable; the unit is given back."""
        return self._settle("reject")

    def reverse(self) -> SettleDecision:
        """An acceptance is taken back inside its window; unit and revenue are given back."""
        return self._settle("reverse")

    def lapse(self) -> SettleDecision:
        """The acceptance window has ended in silence; what that means is the outcome's rule."""
        return self._settle("lapse")

    def abort(self) -> SettleDecision:
        """Work ends without a deliverable; the unit is given back, what was spent stays spent."""
        return self._settle("abort")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave(error)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, GeneratorExit):  # whoever closes a coroutine lets it await nothing more
            self.leave(error)
        else:
            await self.engine.threads.carry_out(lambda: self.leave(error))

    def leave(self, error: BaseException | None = None) -> None:
        """Settle what is open, abort what is still running, let go of the lease. `error` is what the caller left by."""
        try:
            for step in self._steps:
                step.leave()
            if self.is_running:
                self.try_settle("abort")  # not if somebody else goes on with it
            elif self._ended_here and not self._lost:
                self._amend()
        except LedgerError:
            if error is None:
                raise
            log.exception("the execution `%s` could not be ended in the ledger", self.key)
        finally:
            self.engine.leases.let_go(self)
            if self.began_here:
                self.began_here, self.left_by = False, error
                self.engine.observers.tell("ended", self)
                self.left_by = None

    # ------------------------------------------------------------ for steps

    def require_running(self) -> None:
        """Raise `NotRunning` once the execution has ended, or is somebody else's."""
        if self._elsewhere:
            raise NotRunning(f"the execution `{self.key}` {self._elsewhere}")
        if self.state != RUNNING:
            said = f"the execution `{self.key}` is {self.state.replace('_', ' ')}"
            raise NotRunning(f"{said}: see its `result`; more work is another execution, with another key")

    @property
    def is_running(self) -> bool:
        """Whether it goes on, here."""
        return self.state == RUNNING and not self._elsewhere

    def lose(self, why: str = "was taken over: its lease had ended") -> None:
        """It is somebody else's now: what it has open is settled, and nothing more is begun or ended here."""
        self._lost, self._elsewhere = True, why

    def look(self) -> None:
        """It was found, not begun here: while it runs, it is whoever's who works on it."""
        if self.state == RUNNING:
            self._elsewhere = "is worked on elsewhere: here it can only be looked at"

    def forked(self) -> None:
        """In a process that was forked off: the parent goes on with it, and settles what is open."""
        self.lock = RLock()  # a thread that held it is not here
        self.began_here = False
        self.lose("goes on in the process that began it")
        for step in self._steps:
            step.forked()

    def say(self, decision: Decision, facts: Facts, step: Step | None) -> None:
        """Note a decision, and tell who listens."""
        self.decisions.append(decision)
        if self.engine.observers.all:
            self.engine.observers.tell("decided", decision, facts, self, step)

    def hand_off(self, route: Route) -> bool:
        """End in a handoff, at its flat cost; False if it has ended, or is somebody else's by now."""
        with self.lock:
            before = self.handoff_nanos
            self.handoff_nanos += route.cost_nanos or 0
            decision = self.try_settle("hand_off")
            done = decision is not None and decision.permits
            if not done:
                self.handoff_nanos = before
            return done

    # ------------------------------------------------------------ its record

    def renew(self, now_micros: int, expires_micros: int) -> None:
        """Keep the lease, and all that is held, until a later time. Raises `LedgerUnavailable`."""
        with self.lock:
            if not self.is_running or self.engine.escrow.owes:
                return
            holds = [*self._admitted_by, *self.open_holds()]
            changed = replace(self.record, lease_micros=expires_micros)
            if not self._recording.put(changed, {"renew": holds, "expires_micros": expires_micros}):
                self.lose()

    @property
    def _admitted_by(self) -> tuple[str, str]:
        return f"{self.id}/unit", f"{self.id}/entry"

    def try_settle(self, event: str) -> SettleDecision | None:
        """Settle an event; None if the record has changed since it was read, so that this is somebody else's."""
        try:
            return self._settle(event)
        except NotRunning:
            if self._lost:
                return None
            raise

    def _settle(self, event: str) -> SettleDecision:
        with self.lock:
            if self._lost or event in _BY_ITS_OWNER:
                self._require_ours()
            now = self.engine.clock.now_micros()
            delivered = self.record.delivered_micros
            facts = SettleFacts(
                outcome=self.place.outcome,
                state=self.state,
                event=event,
                price_nanos=self.price_nanos,
                since_delivery_micros=max(0, now - (delivered or 0)),
            )
            decision = self.edition.evaluator.settle(facts)
            if decision.permits:
                self._record(event, decision, now)
            self.say(decision, facts, None)
            return decision

    def _record(self, event: str, decision: SettleDecision, now: int) -> None:
        """Keep what the event came to, with what becomes of unit and entry."""
        unit, entry = self._admitted_by
        ends: dict[str, list[str]] = {"settle": [], "release": [], "reverse": [], "renew": []}
        if decision.unit == "consumed":
            ends["settle"].append(unit)
        elif decision.unit == "restored":
            ends["reverse" if self.state == "accepted" else "release"].append(unit)
        elif decision.effect == "delivered":
            ends["renew"].append(unit)  # held until it is accepted, however long nobody is there
        if self.state == RUNNING:
            # A count of a limit is given back only if no attempt was ever made.
            ends["settle" if self.attempts else "release"].append(entry)
        changed = replace(
            self.record,
            state=decision.effect,
            delivered_micros=now if event == "deliver" else self.record.delivered_micros,
            attempts=self.attempts,
            spent_nanos=self.spent_nanos,
            handoff_nanos=self.handoff_nanos,
            revenue_nanos=self.revenue_nanos + decision.revenue_nanos,
            lease_micros=None,
        )
        self._change(changed, ends)
        self._ended_here = self._ended_here or self.state == RUNNING
        self.state = changed.state
        self.revenue_nanos = changed.revenue_nanos

    def _amend(self) -> None:
        """Put what it came to into its record, if it ended while attempts were open."""
        attempts, spent = self.attempts, self.spent_nanos
        if (attempts, spent) != (self.record.attempts, self.record.spent_nanos):
            self.engine.now_or_later(lambda: self._recording.amend(attempts=attempts, spent_nanos=spent))

    def _require_ours(self) -> None:
        if self._elsewhere:
            self.require_running()

    def _change(self, changed: ExecutionRecord, ends: Ends) -> None:
        done = False
        try:
            self.engine.require_told()
            if not self._lost:
                done = self._recording.put(changed, ends)
        except LedgerUnavailable as silence:
            if self.state != RUNNING:
                raise  # a later event, which the caller can tell again
            self.engine.observers.tell("store_failed", silence)
            self._recording.expect(changed)
            self.engine.escrow.owe(lambda: self._put_late(changed, ends))
            return
        if not done:
            self.lose()
            self.require_running()

    def _put_late(self, changed: ExecutionRecord, ends: Ends) -> None:
        if not self._recording.put(changed, ends):
            log.error("the execution `%s` was taken over before its end could be kept", self.key)
