"""One step: where its attempts go, one after the other."""

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

from policy_engine.evaluation.decision import (
    AttemptDecision,
    Digests,
    FailureDecision,
    Head,
    ProgressDecision,
)
from policy_engine.evaluation.facts import AttemptFacts, FailureFacts, ProgressFacts, Reading
from policy_engine.language.checked import Meter
from policy_engine.ledger.protocol import Hold, LedgerUnavailable
from policy_engine.runtime.attempt import OVER_CEILING, Attempt
from policy_engine.runtime.counting import Place, charges, own_readings, readings
from policy_engine.runtime.errors import HandedOff, NotRunning, Stopped
from policy_engine.runtime.mapping import ErrorMap

if TYPE_CHECKING:
    from policy_engine.runtime.execution import Execution

RACES = 16
"""How often a request that another one overtook is asked again before it counts as refused."""


class Step:
    """One unit of work: iterate over it, sync or async, for its attempts.

    `ended` is None while it goes on, then `succeeded`, `stopped`, `handed_off`, or `left` by an error that is not the
    policy's. `route` is where the next attempt goes; `decisions` is everything the policy said, in order.
    """

    def __init__(
        self,
        execution: "Execution",
        name: str,
        *,
        input_tokens: int | None = None,
        max_output_tokens: int | None = None,
        min_output_tokens: int | None = None,
        estimate_nanos: int | None = None,
        errors: ErrorMap,
    ) -> None:
        self.execution = execution
        self.name = name
        self.errors = errors
        self.shadow = execution.engine.mode == "shadow"
        self.route = execution.edition.checked.lanes[execution.lane].path[0]
        self.ended: str | None = None
        self.decisions: list[AttemptDecision | FailureDecision] = []
        self.attempts = 0
        self.failures = 0
        self.visited: list[str] = [self.route]
        self.retries: dict[str, int] = {}
        self.open: Attempt | None = None
        self.pending: Attempt | None = None
        self.handoff: HandedOff | None = None
        self._asks = {
            "input_tokens": input_tokens,
            "max_output_tokens": max_output_tokens,
            "min_output_tokens": min_output_tokens,
            "estimate_nanos": estimate_nanos,
        }
        self._delay_micros = 0
        self._began_micros = execution.engine.clock.now_micros()

    def __repr__(self) -> str:
        return f"<Step `{self.name}` on {self.route}: {self.ended or 'running'}>"

    # ------------------------------------------------------------ attempt by attempt

    def __iter__(self) -> Iterator[Attempt]:
        return self

    def __next__(self) -> Attempt:
        clock = self.execution.engine.clock
        for micros in self._find():
            clock.sleep(micros)
        found = self._found()
        if found is None:
            raise StopIteration
        return found

    def __aiter__(self) -> AsyncIterator[Attempt]:
        return self

    async def __anext__(self) -> Attempt:
        clock = self.execution.engine.clock
        for micros in self._find():
            await clock.wait(micros)
        found = self._found()
        if found is None:
            raise StopAsyncIteration
        return found

    def seek(self) -> Iterator[int]:
        """Ask until there is a next attempt (`pending`) or the step has ended; what it yields is to be waited for."""
        while self.ended is None and self.pending is None:
            if self._delay_micros:
                delay, self._delay_micros = self._delay_micros, 0
                yield delay
            self.pending = self._ask(**self._asks)

    def _find(self) -> Iterator[int]:
        if self.open is not None and self.open is not self.pending:
            raise NotRunning(f"the step `{self.name}` is waiting for its attempt to be left: use it in a `with`")
        if self.ended is None:
            yield from self.seek()

    def _found(self) -> Attempt | None:
        """The attempt to hand out; None after a success. Raises what ended the step before there was one."""
        found, self.pending = self.pending, None
        if found is not None or self.ended in ("succeeded", "left"):
            return found
        if self.handoff is not None:
            raise self.handoff
        raise self.stopped()

    def stopped(self) -> Stopped:
        """The error of a step that has nowhere to go."""
        refusal = next((said for said in reversed(self.decisions[:-1]) if said.effect == "refuse"), None)
        return Stopped(self.name, self.decisions[-1], refusal)

    def leave(self) -> None:
        """Settle what is open: released if it was never handed out, else charged as what may have been billed."""
        if self.pending is not None:
            self.pending.release()
            self.pending = None
        elif self.open is not None:
            self.open.leave()
        if self.ended is None:
            self.ended = "left"

    # ------------------------------------------------------------ one by one

    def attempt(
        self,
        *,
        input_tokens: int | None = None,
        max_output_tokens: int | None = None,
        min_output_tokens: int | None = None,
        estimate_nanos: int | None = None,
    ) -> Attempt | None:
        """Reserve the next attempt, after the delay a retry asks for; None once the step has ended.

        A refusal is a failure of class `over_ceiling`: the step goes where its fallbacks say and asks again there.
        `estimate_nanos` states the worst case instead of the route's price. For callers who end attempts themselves.
        """
        while self.ended is None:
            attempt = self.ask(
                input_tokens=input_tokens,
                max_output_tokens=max_output_tokens,
                min_output_tokens=min_output_tokens,
                estimate_nanos=estimate_nanos,
            )
            if attempt is not None:
                return attempt
        return None

    def ask(
        self,
        *,
        input_tokens: int | None = None,
        max_output_tokens: int | None = None,
        min_output_tokens: int | None = None,
        estimate_nanos: int | None = None,
    ) -> Attempt | None:
        """Ask once, on the present route; None if that was refused and the step has moved on or ended."""
        self._require_ready()
        if self._delay_micros:
            self.execution.engine.clock.sleep(self._delay_micros)
            self._delay_micros = 0
        return self._ask(input_tokens, max_output_tokens, min_output_tokens, estimate_nanos)

    def _ask(
        self,
        input_tokens: int | None,
        max_output_tokens: int | None,
        min_output_tokens: int | None,
        estimate_nanos: int | None,
    ) -> Attempt | None:
        self._require_ready()
        execution = self.execution
        engine = execution.engine
        hold_id = execution.next_hold()
        for _ in range(RACES):
            now = engine.clock.now_micros()
            place = self._place()
            facts = AttemptFacts(
                **self._facts(now, place),
                input_tokens=input_tokens,
                max_output_tokens=max_output_tokens,
                min_output_tokens=min_output_tokens,
                estimate_nanos=estimate_nanos,
            )
            decision = execution.edition.evaluator.attempt(facts)
            if decision.effect != "go" and not self.shadow:
                break
            attempt = self._attempt(hold_id, facts, decision, place, now)
            held = self._reserve(attempt, now)
            if held is None:
                decision = _silent(decision)
                break
            if held:
                self.decisions.append(decision)
                execution.say(decision, facts, self)
                self.attempts += 1
                self.open = attempt
                execution.reserved(hold_id, attempt.hold.charges)
                engine.observers.tell("attempt_began", attempt)
                return attempt
        if decision.effect == "go":
            decision = _overtaken(decision)
        self.decisions.append(decision)
        execution.say(decision, facts, self)
        self.fail(OVER_CEILING, input_tokens=input_tokens)
        return None

    def fail(self, error: str, *, input_tokens: int | None = None) -> FailureDecision:
        """Ask where the step goes after a failure, and go there. Once the execution has ended, nowhere."""
        execution = self.execution
        engine = execution.engine
        nowhere = FailureDecision(Head("stop", None, execution.edition.currency, Digests(*execution.edition.digests)))
        decision, facts = nowhere, None
        for _ in range(RACES if execution.state == "running" else 0):
            now = engine.clock.now_micros()
            place = self._place()
            facts = FailureFacts(
                **self._facts(now, place),
                input_tokens=input_tokens,
                error=error,
                visited=tuple(self.visited),
                retries=dict(self.retries),
            )
            decision = execution.edition.evaluator.failure(facts)
            if decision.effect != "hand_off" or self._count_handoff(facts, decision, place, now):
                break
            decision = nowhere  # if another execution takes the last one every time
        self.decisions.append(decision)
        if facts is not None:
            execution.say(decision, facts, self)
        if decision.effect == "retry":
            self.retries[error] = self.retries.get(error, 0) + 1
            self._delay_micros = decision.delay_micros or 0
        elif decision.effect == "route":
            assert decision.route is not None  # noqa: S101 - a route decision names one
            self.route = decision.route
            self.visited.append(decision.route)
            self.retries = {}
        elif decision.effect == "hand_off":
            assert decision.route is not None  # noqa: S101 - a handoff names its route
            self.ended = "handed_off"
            route = execution.edition.checked.routes[decision.route]
            self.handoff = HandedOff(
                decision, route=route.name, target=route.reference, cost_nanos=route.cost_nanos or 0
            )
            execution.hand_off(route)
        else:
            self.ended = "stopped"
        return decision

    def progress(self, attempt: Attempt, output_tokens: int) -> ProgressDecision:
        """May the open attempt go on? Its own reservation is not held against it."""
        execution, asked = self.execution, attempt.asked
        engine = execution.engine
        now = engine.clock.now_micros()
        place = self._place()
        facts = self._facts(now, place, otherwise=asked.meters)
        meters = dict(facts["meters"])
        if facts["meters"] is not asked.meters:
            for charge in attempt.hold.charges:
                meter = charge.counter.meter
                held = meters.get(meter)
                if held is not None and place.counter(meter, now, execution.edition.zone) == charge.counter:
                    meters[meter] = Reading(held.settled, held.reserved - charge.amount)
        facts |= {"attempt": self.attempts, "input_tokens": asked.input_tokens, "meters": meters}
        progress = ProgressFacts(
            **facts,
            output_tokens=output_tokens,
            output_cap=attempt.max_output_tokens,
            attempt_elapsed_micros=max(0, now - attempt.began_micros),
            estimate_nanos=attempt.estimate_nanos,
        )
        decision = execution.edition.evaluator.progress(progress)
        if decision.effect != "go":
            execution.say(decision, progress, self)
        return decision

    def go(self, route: str) -> None:
        """Begin on another route than the lane's first. For recorded work."""
        self.route = route
        self.visited = [route]

    def spend_retries(self) -> None:
        """Count every retry on this route as made, so that the next failure moves on. For recorded work."""
        self.retries = dict.fromkeys(self.execution.edition.checked.error_classes, 1_000)

    def estimate_nanos(self, asked: AttemptFacts, route_name: str) -> int | None:
        """The most an attempt may cost as it was asked for; None where nobody can say."""
        route = self.execution.edition.checked.routes[route_name]
        if asked.estimate_nanos is not None or route.cost_nanos is not None:
            return route.cost_nanos if asked.estimate_nanos is None else asked.estimate_nanos
        if route.rates is None or asked.input_tokens is None or asked.max_output_tokens is None:
            return None
        return route.rates.worst_nanos(asked.input_tokens, asked.max_output_tokens)

    # ------------------------------------------------------------ holding and settling

    def settle(self, attempt: Attempt, amounts: dict[str, int], *, in_escrow: bool) -> tuple[str, ...]:
        """Book what an attempt came to, in the ledger or for it. Answers the quantities above what was reserved."""
        execution, hold = self.execution, attempt.hold
        engine = execution.engine
        execution.incurred(hold.id, amounts, amounts["spent"])
        if in_escrow:
            engine.escrow.settle(hold.id, amounts["spent"])
            engine.owe_hold(hold, amounts)
            over: tuple[str, ...] = ()
        else:
            over = engine.now_or_later(lambda: engine.ledger.settle(hold.id, amounts)) or ()
        engine.observers.tell("attempt_ended", attempt)
        return over

    def give_back(self, hold_id: str, *, in_escrow: bool) -> None:
        """An attempt was never made."""
        engine = self.execution.engine
        self.execution.released(hold_id)
        self.attempts -= 1
        if in_escrow:
            engine.escrow.forget(hold_id)
        else:
            engine.now_or_later(lambda: engine.ledger.release(hold_id))

    def _attempt(self, hold_id: str, facts: AttemptFacts, decision: AttemptDecision, place: Place, now: int) -> Attempt:
        if self.shadow:
            # Nothing is refused and nothing cut: what was asked is held, under no bound.
            reserved = self.estimate_nanos(facts, place.route) or 0
            cap = facts.max_output_tokens
            tokens = (facts.input_tokens or 0) + (cap or 0)
        else:
            assert decision.reserved_nanos is not None  # noqa: S101 - a go reserves an amount
            reserved, cap, tokens = decision.reserved_nanos, decision.output_cap, decision.reserved_tokens or 0
        return Attempt(
            self,
            self._hold(hold_id, facts, reserved, tokens, place, now),
            decision,
            facts,
            now,
            reserved_nanos=reserved,
            max_output_tokens=cap,
        )

    def _reserve(self, attempt: Attempt, now: int) -> bool | None:
        """Whether it is held; None if the store is silent and nothing may be spent without it."""
        execution = self.execution
        engine = execution.engine
        try:
            return not engine.ledger.reserve([attempt.hold], now)
        except LedgerUnavailable as silence:
            engine.observers.tell("store_failed", silence)
            most = None if self.shadow else execution.edition.checked.escrow_nanos
            if most is None and not self.shadow:
                return None
            if not engine.escrow.hold(attempt.hold.id, attempt.reserved_nanos, most):
                return None
            attempt.in_escrow = True
            return True

    def _hold(
        self, hold_id: str, facts: AttemptFacts, reserved_nanos: int, tokens: int, place: Place, now: int
    ) -> Hold:
        execution = self.execution
        edition = execution.edition
        amounts = {"spent": reserved_nanos, "attempts": 1, "tokens": tokens}
        bounds = () if self.shadow else edition.evaluator.attempt_bounds(facts, reserved_nanos)
        price = execution.price_nanos
        held = charges(
            edition.meters,
            amounts,
            bounds,
            place,
            now,
            edition.zone,
            rule=lambda meter, limit: edition.rule_of(meter, limit, price),
        )
        return execution.engine.hold(hold_id, tuple(held), execution.id, edition, now)

    def _count_handoff(self, facts: FailureFacts, decision: FailureDecision, place: Place, now: int) -> bool:
        """Take one count of the handoff's limits; False if another execution took the last one."""
        execution = self.execution
        engine, edition = execution.engine, execution.edition
        assert decision.route is not None  # noqa: S101 - a handoff names its route
        there = place.at(route=decision.route)
        bounds = () if self.shadow else edition.evaluator.handoff_bounds(facts, decision.route)
        held = tuple(
            charges(
                edition.handoff_meters,
                {"count": 1},
                bounds,
                there,
                now,
                edition.zone,
                rule=lambda meter, limit: edition.rule_of(meter, limit, 0),
            )
        )
        hold = engine.hold(f"{execution.next_hold()}h", held, execution.id, edition, now)
        try:
            if engine.ledger.reserve([hold], now):
                return False
        except LedgerUnavailable as silence:
            engine.observers.tell("store_failed", silence)
            if any(charge.limit is not None for charge in held):
                return False  # nobody can say whether the desk has room
            engine.owe_hold(hold, {})
            return True
        engine.now_or_later(lambda: engine.ledger.settle(hold.id))
        return True

    # ------------------------------------------------------------ facts

    def _require_ready(self) -> None:
        self.execution.require_running()
        if self.open is not None or self.ended is not None:
            state = self.ended or "waiting for its attempt to be settled"
            raise NotRunning(f"the step `{self.name}` is {state}")

    def _place(self) -> Place:
        return self.execution.place.at(route=self.route, step=self.name)

    def _facts(self, now: int, place: Place, *, otherwise: Any = None) -> dict[str, Any]:
        """`otherwise` are the readings to go by if the store is silent; left out: what is known without it."""
        execution = self.execution
        engine, edition = execution.engine, execution.edition
        wanted: tuple[Meter, ...] = edition.meters_running(place.outcome, place.plan, place.lane)
        escrow = None
        try:
            read = readings(engine.ledger, wanted, place, now, edition.zone)
        except LedgerUnavailable as silence:
            engine.observers.tell("store_failed", silence)
            if otherwise is not None:
                read = otherwise
            else:
                read = own_readings(wanted, execution.own_charges(), place, now, edition.zone)
                escrow = engine.escrow.reading() if edition.checked.escrow_nanos is not None else None
        return {
            "customer": place.customer,
            "outcome": place.outcome,
            "plan": place.plan,
            "given": execution.given,
            "meters": read,
            "escrow": escrow,
            "lane": place.lane,
            "route": self.route,
            "step": self.name,
            "price_nanos": execution.price_nanos,
            "attempt": self.attempts + 1,
            "failures": self.failures,
            "elapsed_micros": max(0, now - execution.admitted_micros),
            "step_elapsed_micros": max(0, now - self._began_micros),
        }


def _silent(decision: AttemptDecision) -> AttemptDecision:
    """A refusal because nothing can be reserved."""
    return AttemptDecision(Head("refuse", "store_silent", decision.currency, decision.digests))


def _overtaken(decision: AttemptDecision) -> AttemptDecision:
    """A refusal in place of a go that others took away again and again."""
    return AttemptDecision(Head("refuse", OVER_CEILING, decision.currency, decision.digests))
