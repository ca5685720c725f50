"""One step: where its attempts go, one after the other."""

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from policy_engine.evaluation.decision import AttemptDecision, Digests, FailureDecision, Head, ProgressDecision
from policy_engine.evaluation.facts import AttemptFacts, FailureFacts, ProgressFacts
from policy_engine.runtime import asking
from policy_engine.runtime.attempt import OVER_CEILING, Attempt
from policy_engine.runtime.errors import HandedOff, NotRunning, Stopped
from policy_engine.runtime.mapping import ErrorMap
from policy_engine.runtime.standing import Standing

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
        self._failed: tuple[str, str, AttemptDecision | None] = ("", self.route, None)
        self._asks = {
            "input_tokens": input_tokens,
            "max_output_tokens": max_output_tokens,
            "min_output_tokens": min_output_tokens,
            "estimate_nanos": estimate_nanos,
        }
        self._delay_micros = 0
        self._asking = False
        self._would_cut: tuple[str, str | None, tuple[str, ...]] | None = None
        self.began_micros = execution.engine.clock.now_micros()

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
        engine = self.execution.engine
        await engine.threads.follow(self._find(), engine.clock)
        found = self._found()
        if found is None:
            raise StopAsyncIteration
        return found

    def seek(self) -> Iterator[int]:
        """Ask until there is a next attempt (`pending`) or the step has ended; what it yields is to be waited for."""
        while self.ended is None and self.pending is None:
            if self._delay_micros:
                yield self._delay_micros
                self._delay_micros = 0  # only now: who was cancelled meanwhile has it still before him
            if not self.execution.is_running:  # another step has ended it
                self.ended = "left"
                return
            self.pending = self._ask(**self._asks)

    def _find(self) -> Iterator[int]:
        if self.open is not None and self.open is not self.pending:
            raise NotRunning(f"the step `{self.name}` is waiting for its attempt to be left: use it in a `with`")
        if self.ended is None:
            self.execution.require_running()
            yield from self.seek()

    def _found(self) -> Attempt | None:
        """The attempt to hand out; None after a success. Raises what ended the step before there was one."""
        found, self.pending = self.pending, None
        if self.ended == "left":
            self.execution.require_running()
        if found is not None or self.ended in ("succeeded", "left"):
            return found
        if self.handoff is not None:
            raise self.handoff
        raise self.stopped()

    def stopped(self) -> Stopped:
        """The error of a step that has nowhere to go."""
        refusal = next((said for said in reversed(self.decisions[:-1]) if said.effect == "refuse"), None)
        return Stopped(self.name, self.decisions[-1], refusal, why=self._why())

    def _why(self) -> str:
        """The last failure, in words: what was refused, with what the caller left out, or where it failed with what."""
        error, route, refusal = self._failed
        if refusal is None:
            return f"`{error}` on `{route}`"
        said = f"an attempt on `{route}` was {refusal}"
        if refusal.reason != "estimate_unknown":
            return said
        terms = self.execution.edition.checked.routes[route]
        if terms.rates is None and terms.cost_nanos is None:
            return f"{said}; nothing prices `{route}`: give it `rates`, or lock its price (`policy prices lock`)"
        missing = [f"`{name}`" for name in ("input_tokens", "max_output_tokens") if self._asks[name] is None]
        return f"{said}; the step was not given {' and '.join(missing)}" if missing else said

    def leave(self) -> None:
        """Settle what is open: released if it was never handed out, else charged as what may have been billed."""
        pending, open_, self.pending = self.pending, self.open, None
        with suppress(NotRunning):  # another thread is just ending it
            if pending is not None:
                pending.release()
            elif open_ is not None:
                open_.leave()
        if self.ended is None:
            self.ended = "left"

    def forked(self) -> None:
        """In a process that was forked off: nothing that is open is this process's to settle."""
        if self.open is not None:
            self.open.ended = True
        self.open = self.pending = None
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
        with self.execution.lock:
            self._require_ready()
            if self._asking:
                raise NotRunning(f"the step `{self.name}` is being asked by another thread: give each its own step")
            self._asking = True
        try:
            return self._ask_alone(input_tokens, max_output_tokens, min_output_tokens, estimate_nanos)
        finally:
            self._asking = False

    def _ask_alone(
        self,
        input_tokens: int | None,
        max_output_tokens: int | None,
        min_output_tokens: int | None,
        estimate_nanos: int | None,
    ) -> Attempt | None:
        execution = self.execution
        engine = execution.engine
        hold_id = execution.next_hold()
        for _ in range(RACES):
            now = engine.clock.now_micros()
            facts = AttemptFacts(
                **asking.facts(self, now),
                input_tokens=input_tokens,
                max_output_tokens=max_output_tokens,
                min_output_tokens=min_output_tokens,
                estimate_nanos=estimate_nanos,
            )
            decision = execution.edition.evaluator.attempt(facts)
            if decision.effect != "go" and not self.shadow:
                break
            attempt = asking.attempt(self, hold_id, facts, decision, now)
            held = asking.reserve(attempt, now)
            if held is None:
                decision = asking.refusal(decision, "store_silent")
                break
            if held:  # first of all it is known here: whatever comes now, it is settled when it is left
                self.open = attempt
                self.attempts += 1
                execution.reserved(hold_id, attempt.hold.charges)
                self.decisions.append(decision)
                execution.say(decision, facts, self)
                engine.observers.tell("attempt_began", attempt)
                return attempt
        if decision.effect == "go":
            decision = asking.refusal(decision, OVER_CEILING)
        self.decisions.append(decision)
        execution.say(decision, facts, self)
        self.fail(OVER_CEILING, input_tokens=input_tokens, attempt=self.attempts + 1)
        return None

    def fail(self, error: str, *, input_tokens: int | None = None, attempt: int | None = None) -> FailureDecision:
        """Ask where the step goes after a failure, and go there. Once the execution has ended, nowhere.

        `attempt` is the number of the one that failed or was refused; left out, it is the last that was made.
        """
        last = self.decisions[-1] if self.decisions else None
        refusal = last if isinstance(last, AttemptDecision) and last.effect == "refuse" else None
        self._failed = (error, self.route, refusal)
        execution = self.execution
        engine = execution.engine
        nowhere = FailureDecision(Head("stop", None, execution.edition.currency, Digests(*execution.edition.digests)))
        decision, facts, counted = nowhere, None, None
        for _ in range(RACES if execution.state == "running" else 0):
            now = engine.clock.now_micros()
            facts = FailureFacts(
                **asking.facts(self, now) | {"attempt": self.attempts if attempt is None else attempt},
                input_tokens=input_tokens,
                error=error,
                visited=tuple(self.visited),
                retries=dict(self.retries),
            )
            decision = execution.edition.evaluator.failure(facts)
            if decision.effect != "hand_off":
                break
            counted = asking.hold_handoff(self, facts, decision, now)
            if counted is not None:
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
            route = execution.edition.checked.routes[decision.route]
            self.handoff = HandedOff(
                decision,
                route=route.name,
                target=route.reference,
                cost_nanos=route.cost_nanos or 0,
                why=self._why(),
            )
            done = execution.hand_off(route)
            if counted is not None:
                asking.end_handoff(engine, counted, done=done)
            if done:
                self.ended = "handed_off"
            else:
                self.ended, self.handoff = "left", None
        else:
            self.ended = "stopped"
        return decision

    def progress(self, attempt: Attempt, output_tokens: int) -> ProgressDecision:
        """May the open attempt go on? Its own reservation is not held against it."""
        execution, asked = self.execution, attempt.asked
        engine = execution.engine
        now = engine.clock.now_micros()
        facts = asking.facts(self, now, otherwise=asked.meters)
        facts["meters"] = asking.without(attempt, facts["meters"], now)
        facts |= {"attempt": self.attempts, "input_tokens": asked.input_tokens}
        progress = ProgressFacts(
            **facts,
            output_tokens=output_tokens,
            output_cap=attempt.max_output_tokens,
            attempt_elapsed_micros=max(0, now - attempt.began_micros),
            estimate_nanos=attempt.estimate_nanos,
        )
        decision = execution.edition.evaluator.progress(progress)
        in_shadow = tuple([line[0].rule.place for line in decision.lines if line[0].role == "refuses"])
        if decision.effect != "go" or in_shadow:
            # Where the stream goes on all the same, each further chunk would be cut again: that is said once.
            goes_on = self.shadow or decision.effect == "go"
            would_cut = (attempt.hold.id, decision.reason, in_shadow) if goes_on else None
            if would_cut is None or would_cut != self._would_cut:
                self._would_cut = would_cut
                execution.say(decision, progress, self)
        return decision

    def go(self, route: str) -> None:
        """Begin on another route than the lane's first. For recorded work."""
        self.route = route
        self.visited = [route]

    def spend_retries(self) -> None:
        """Count every retry on this route as made, so that the next failure moves on. For recorded work."""
        self.retries = dict.fromkeys(self.execution.edition.checked.error_classes, 1_000)

    # ------------------------------------------------------------ settling

    def settle(self, attempt: Attempt, amounts: dict[str, int]) -> tuple[str, ...]:
        """Book what an attempt came to. Answers the quantities above what was reserved."""
        execution, hold = self.execution, attempt.hold
        engine = execution.engine
        execution.incurred(hold.id, amounts, amounts["spent"])
        engine.escrow.settle(hold.id, amounts["spent"])
        over = engine.now_or_later(lambda: engine.ledger.settle(hold.id, amounts))
        if over is None:  # told later; the same can be said here
            above = (
                c.counter.meter.quantity for c in hold.charges if amounts.get(c.counter.meter.quantity, 0) > c.amount
            )
            over = tuple(dict.fromkeys(above))
        return over

    def give_back(self, hold_id: str) -> None:
        """An attempt was never made."""
        engine = self.execution.engine
        self.execution.released(hold_id)
        self.attempts -= 1
        engine.escrow.forget(hold_id)
        engine.now_or_later(lambda: engine.ledger.release(hold_id))

    def _require_ready(self) -> None:
        self.execution.require_running()
        if self.open is not None or self.ended is not None:
            state = self.ended or "waiting for its attempt to be settled"
            raise NotRunning(f"the step `{self.name}` is {state}")

    @property
    def standing(self) -> Standing:
        """Where the next attempt goes."""
        known = self.execution.standings
        found = known.get((self.name, self.route))
        if found is None:
            found = known[self.name, self.route] = Standing(self.execution, self.name, self.route)
        return found
