"""One execution, its steps and their attempts: every spend reserved before, settled after."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from policy_engine.evaluation.decision import (
    AdmitDecision,
    AttemptDecision,
    FailureDecision,
    Head,
    ProgressDecision,
    SettleDecision,
)
from policy_engine.evaluation.facts import AttemptFacts, FailureFacts, Given, ProgressFacts, Reading, SettleFacts
from policy_engine.evaluation.meters import meters_of
from policy_engine.language.checked import ATTEMPTS, SPENT, Meter, Route
from policy_engine.ledger.protocol import Hold
from policy_engine.runtime.counting import Place, charges, readings
from policy_engine.runtime.errors import NotRunning

if TYPE_CHECKING:
    from policy_engine.runtime.engine import Engine

RACES = 16
"""How often a request that another one overtook is asked again before it counts as refused."""


class Execution:
    """One promised deliverable. `state` is `running` until it is delivered, handed off or aborted.

    `spent_nanos` is what its attempts have cost, `handoff_nanos` what a handoff cost, `revenue_nanos` what it
    brought in so far.
    """

    def __init__(self, engine: "Engine", place: Place, given: Given, decision: AdmitDecision, now: int) -> None:
        assert decision.draw is not None  # noqa: S101 - made from an allow
        self.engine = engine
        self.place = place
        self.given = given
        self.decision = decision
        self.lane = place.lane
        self.price_nanos = decision.draw.price_nanos
        self.admitted_micros = now
        self.state = "running"
        self.attempts = 0
        self.spent_nanos = 0
        self.handoff_nanos = 0
        self.revenue_nanos = 0
        self._delivered_micros = 0
        self._consumed = False

    @property
    def key(self) -> str:
        return self.place.execution

    def step(self, name: str) -> "Step":
        """Begin one unit of work, at the lane's first route."""
        self.require_running()
        return Step(self, name)

    def deliver(self) -> SettleDecision:
        """The deliverable is with the customer; the acceptance window, if any, opens."""
        now = self.engine.clock.now_micros()
        decision = self._settle("deliver")
        if decision.permits:  # delivering once more does not open the window again
            self._delivered_micros = now
        return decision

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

    # ------------------------------------------------------------ for steps

    def require_running(self) -> None:
        """Raise `NotRunning` once the execution has ended."""
        if self.state != "running":
            raise NotRunning(f"the execution `{self.key}` is {self.state}")

    def hand_off(self, route: Route) -> None:
        """End in a handoff, at its flat cost."""
        self.handoff_nanos += route.cost_nanos or 0
        self._settle("hand_off")

    def _settle(self, event: str) -> SettleDecision:
        engine = self.engine
        decision = engine.policy.evaluator.settle(
            SettleFacts(
                outcome=self.place.outcome,
                state=self.state,
                event=event,
                price_nanos=self.price_nanos,
                since_delivery_micros=max(0, engine.clock.now_micros() - self._delivered_micros),
            )
        )
        if not decision.permits:
            return decision
        if decision.unit == "consumed":
            engine.ledger.settle(f"{self.key}/unit")
            self._consumed = True
        elif decision.unit == "restored" and self._consumed:
            engine.ledger.reverse(f"{self.key}/unit")
        elif decision.unit == "restored":
            engine.ledger.release(f"{self.key}/unit")
        if self.state == "running":
            # A count of a limit is given back only if no attempt was ever made.
            end = engine.ledger.settle if self.attempts else engine.ledger.release
            end(f"{self.key}/entry")
        self.state = decision.effect
        self.revenue_nanos += decision.revenue_nanos
        return decision


class Step:
    """One unit of work. `ended` is None while it goes on, then `succeeded`, `stopped` or `handed_off`.

    `route` is where the next attempt goes; `decisions` is everything the policy said, in order.
    """

    def __init__(self, execution: Execution, name: str) -> None:
        self.execution = execution
        self.name = name
        self.route = execution.engine.checked.lanes[execution.lane].path[0]
        self.ended: str | None = None
        self.decisions: list[AttemptDecision | FailureDecision] = []
        self.attempts = 0
        self.failures = 0
        self.visited: list[str] = [self.route]
        self.retries: dict[str, int] = {}
        self._delay_micros = 0
        self._began_micros = execution.engine.clock.now_micros()
        self.open: Attempt | None = None

    def attempt(
        self,
        *,
        input_tokens: int | None = None,
        max_output_tokens: int | None = None,
        min_output_tokens: int | None = None,
        estimate_nanos: int | None = None,
    ) -> "Attempt | None":
        """Reserve the next attempt, after the delay a retry asks for; None once the step has ended.

        A refusal is a failure of class `over_ceiling`: the step goes where its fallbacks say and asks again there.
        `estimate_nanos` states the worst case instead of the route's price.
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
    ) -> "Attempt | None":
        """Ask once, on the present route; None if that was refused and the step has moved on or ended."""
        engine = self.execution.engine
        self.execution.require_running()
        if self.open is not None or self.ended is not None:
            state = self.ended or "waiting for its attempt to be settled"
            raise NotRunning(f"the step `{self.name}` is {state}")
        if self._delay_micros:
            engine.clock.sleep(self._delay_micros)
            self._delay_micros = 0
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
            decision = engine.policy.evaluator.attempt(facts)
            if decision.effect != "go":
                break
            hold = self._hold(facts, decision, place, now)
            if not engine.ledger.reserve([hold], now):
                self.decisions.append(decision)
                self.attempts += 1
                self.execution.attempts += 1
                self.open = Attempt(self, hold, decision, facts, now)
                return self.open
        self.decisions.append(decision)
        self.fail("over_ceiling", input_tokens=input_tokens)
        return None

    def fail(self, error: str, *, input_tokens: int | None = None) -> FailureDecision:
        """Ask where the step goes after a failure, and go there. Once the execution has ended, nowhere."""
        engine, execution = self.execution.engine, self.execution
        nowhere = FailureDecision(Head("stop", None, execution.decision.currency, execution.decision.digests))
        decision = nowhere
        for _ in range(RACES if execution.state == "running" else 0):
            now = engine.clock.now_micros()
            place = self._place()
            facts = FailureFacts(
                **self._facts(now, place),
                input_tokens=input_tokens,
                error=error,
                visited=tuple(self.visited),
                retries=self.retries,
            )
            decision = engine.policy.evaluator.failure(facts)
            if decision.effect != "hand_off" or self._count_handoff(facts, decision, place, now):
                break
            decision = nowhere  # if another execution takes the last one every time
        self.decisions.append(decision)
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
            execution.hand_off(engine.checked.routes[decision.route])
        else:
            self.ended = "stopped"
        return decision

    def progress(self, attempt: "Attempt", output_tokens: int) -> ProgressDecision:
        """May the open attempt go on? Its own reservation is not held against it."""
        engine, asked = self.execution.engine, attempt.asked
        now = engine.clock.now_micros()
        place = self._place()
        facts = self._facts(now, place) | {"attempt": self.attempts, "input_tokens": asked.input_tokens}
        meters = dict(facts["meters"])
        for charge in attempt.hold.charges:
            meter = charge.counter.meter
            held = meters.get(meter)
            if held is not None and place.counter(meter, now, engine.zone) == charge.counter:
                meters[meter] = Reading(held.settled, held.reserved - charge.amount)
        return engine.policy.evaluator.progress(
            ProgressFacts(
                **facts | {"meters": meters},
                output_tokens=output_tokens,
                output_cap=attempt.max_output_tokens,
                attempt_elapsed_micros=max(0, now - attempt.began_micros),
                estimate_nanos=attempt.estimate_nanos,
            )
        )

    def go(self, route: str) -> None:
        """Begin on another route than the lane's first. For recorded work."""
        self.route = route
        self.visited = [route]

    def spend_retries(self) -> None:
        """Count every retry on this route as made, so that the next failure moves on. For recorded work."""
        self.retries = dict.fromkeys(self.execution.engine.checked.error_classes, 1_000)

    # ------------------------------------------------------------ facts

    def _place(self) -> Place:
        return self.execution.place.at(route=self.route, step=self.name)

    def _facts(self, now: int, place: Place) -> dict[str, Any]:
        execution, engine = self.execution, self.execution.engine
        blocks = (
            *engine.checked.around(place.outcome, place.plan),
            engine.checked.lanes[place.lane].rules,
            *(engine.checked.routes[route].rules for route in engine.checked.routes),
        )
        meters = {SPENT: None, ATTEMPTS: None, **dict.fromkeys(meters_of(rule for rules in blocks for rule in rules))}
        return {
            "customer": place.customer,
            "outcome": place.outcome,
            "plan": place.plan,
            "given": execution.given,
            "meters": readings(engine.ledger, meters, place, now, engine.zone),
            "lane": place.lane,
            "route": self.route,
            "step": self.name,
            "price_nanos": execution.price_nanos,
            "attempt": self.attempts + 1,
            "failures": self.failures,
            "elapsed_micros": max(0, now - execution.admitted_micros),
            "step_elapsed_micros": max(0, now - self._began_micros),
        }

    def _hold(self, facts: AttemptFacts, decision: AttemptDecision, place: Place, now: int) -> Hold:
        engine = self.execution.engine
        assert decision.reserved_nanos is not None  # noqa: S101 - a go reserves an amount
        amounts = {"spent": decision.reserved_nanos, "attempts": 1, "tokens": decision.reserved_tokens or 0}
        bounds = engine.policy.evaluator.attempt_bounds(facts, decision.reserved_nanos)
        held = charges(engine.meters, amounts, bounds, place, now, engine.zone)
        return Hold(id=f"{self.execution.key}/{self.execution.attempts + 1}", charges=tuple(held))

    def _count_handoff(self, facts: FailureFacts, decision: FailureDecision, place: Place, now: int) -> bool:
        """Take one count of the handoff's limits; False if another execution took the last one."""
        engine = self.execution.engine
        assert decision.route is not None  # noqa: S101 - a handoff names its route
        there = place.at(route=decision.route)
        meters: tuple[Meter, ...] = tuple(m for m in engine.meters if m.block.kind == "route")
        bounds = engine.policy.evaluator.handoff_bounds(facts, decision.route)
        held = tuple(charges(meters, {"count": 1}, bounds, there, now, engine.zone))
        hold = Hold(id=f"{self.execution.key}/handoff", charges=held)
        if engine.ledger.reserve([hold], now):
            return False
        engine.ledger.settle(hold.id)
        return True


class Attempt:
    """One reserved try. End it with `succeed` or `fail`; until then its worst case is held."""

    def __init__(
        self, step: Step, hold: Hold, decision: AttemptDecision, asked: AttemptFacts, began_micros: int
    ) -> None:
        self._step = step
        self.hold = hold
        self.decision = decision
        self.asked = asked
        self.began_micros = began_micros
        self.route = step.route
        self.max_output_tokens = decision.output_cap

    @property
    def model(self) -> str:
        """The text after `model` or `tool` in the policy."""
        return self._step.execution.engine.checked.routes[self.route].reference

    @property
    def estimate_nanos(self) -> int | None:
        """The most it was asked to cost, before any shrinking."""
        asked, route = self.asked, self._step.execution.engine.checked.routes[self.route]
        if asked.estimate_nanos is not None or route.cost_nanos is not None:
            return route.cost_nanos if asked.estimate_nanos is None else asked.estimate_nanos
        if route.rates is None or asked.input_tokens is None or asked.max_output_tokens is None:
            return None
        return route.rates.cost_nanos(asked.input_tokens, asked.max_output_tokens)

    def progress(self, output_tokens: int) -> ProgressDecision:
        """May it go on, with so many output tokens streamed? After a cut, end it with `fail("over_ceiling", …)`."""
        if self._step.open is not self:
            raise NotRunning("this attempt has ended")
        return self._step.progress(self, output_tokens)

    def succeed(self, **actual: int) -> tuple[str, ...]:
        """Settle at the actual cost; the step ends. Answers the quantities that were more than reserved.

        `actual`: `cost_nanos`, or `input_tokens` and `output_tokens`; with neither, the reserved amount is charged.
        """
        over = self._settle(actual)
        self._step.ended = "succeeded"
        return over

    def fail(self, error: str, **actual: int) -> FailureDecision:
        """Settle what the failed try cost, as `succeed` does, and ask where the step goes now."""
        self._settle(actual)
        self._step.failures += 1
        return self._step.fail(error, input_tokens=actual.get("input_tokens"))

    def _settle(self, actual: Mapping[str, int]) -> tuple[str, ...]:
        step, engine = self._step, self._step.execution.engine
        if step.open is not self:
            raise NotRunning("this attempt has ended")
        step.open = None
        amounts: dict[str, int] = {}
        sent, received = actual.get("input_tokens"), actual.get("output_tokens")
        if sent is not None and received is not None:
            amounts["tokens"] = sent + received
        cost = actual.get("cost_nanos")
        if cost is None:
            cost = self._cost(sent, received)
        amounts["spent"] = cost
        over = engine.ledger.settle(self.hold.id, amounts)
        step.execution.spent_nanos += cost
        return over

    def _cost(self, sent: int | None, received: int | None) -> int:
        route = self._step.execution.engine.checked.routes[self.route]
        if route.cost_nanos is not None:
            return route.cost_nanos
        if route.rates is not None and sent is not None and received is not None:
            return route.rates.cost_nanos(sent, received)
        assert self.decision.reserved_nanos is not None  # noqa: S101 - a go reserves an amount
        return self.decision.reserved_nanos
