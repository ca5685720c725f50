"""Recorded work through a policy: what would have been done, spent and kept.

Every recorded attempt is asked at its own time, reserved at its recorded cost and
settled at it. An attempt that the policy would not have made is avoided; one that it
would have made but nobody recorded is never invented: such an execution is counted as
diverged and ends there. Beside it runs the recording itself, billed by the same plans
without any guardrail, so that both sides are measured in the same money.
"""

from collections.abc import Callable
from dataclasses import replace

from policy_engine.evaluation.decision import AttemptDecision, Decision
from policy_engine.evaluation.facts import FactError
from policy_engine.insight.report import OutcomeRow, ReplayResult, RuleCount
from policy_engine.insight.trace import BadRow, Recorded, RecordedExecution, Trace
from policy_engine.language.checked import CheckedPolicy, Rules
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.policy import Policy
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Denied
from policy_engine.runtime.execution import Execution
from policy_engine.runtime.step import Step


def replay(policy: Policy, trace: Trace, *, progress: Callable[[int], None] | None = None) -> ReplayResult:
    """Run a trace through a policy. `progress` is told how many attempts were looked at, now and then.

    Executions that lack a fact the policy needs are left out and listed in `bad`.
    """
    checked = policy.checked
    clock = _RecordedTime()
    result = ReplayResult(
        currency=checked.currency,
        policy_digest=policy.digest,
        price_digest=policy.prices.digest,
        rows=trace.rows,
        bad=list(trace.bad),
        outcomes={name: OutcomeRow(name, outcome.title) for name, outcome in sorted(checked.outcomes.items())},
    )
    guarded = Engine(policy, ledger=MemoryLedger(), clock=clock)
    billed = Engine(Policy(without_guardrails(checked), policy.prices), ledger=MemoryLedger(), clock=clock)
    runs = [_Run(recorded, guarded, billed, result) for recorded in trace.executions.values() if recorded.attempts]
    events = [(attempt.time_micros, attempt.line, run, n) for run in runs for n, attempt in enumerate(run.record)]
    events.sort(key=lambda event: event[:2])
    for done, (time, _, run, number) in enumerate(events, 1):
        clock.set(time)
        run.take(number)
        if progress is not None and done % 256 == 0:
            progress(done)
    if progress is not None:
        progress(len(events))
    for run in runs:
        run.close()
    return result


def without_guardrails(checked: CheckedPolicy) -> CheckedPolicy:
    """The same prices, plans and outcomes with no rule left: what the recording is billed by."""
    none = Rules()
    return replace(
        checked,
        rules=none,
        routes={name: replace(route, rules=none) for name, route in checked.routes.items()},
        lanes={name: replace(lane, rules=none) for name, lane in checked.lanes.items()},
        plans={name: replace(plan, rules=none) for name, plan in checked.plans.items()},
        workflows={name: replace(workflow, rules=none) for name, workflow in checked.workflows.items()},
        outcomes={name: replace(outcome, rules=none) for name, outcome in checked.outcomes.items()},
    )


class _RecordedTime(PinnedClock):
    """Recorded attempts stand at their own times: a retry's delay does not move them."""

    def sleep(self, micros: int) -> None:
        pass


class _Run:
    """One recorded execution on its way through the policy, attempt by attempt."""

    def __init__(self, recorded: RecordedExecution, guarded: Engine, billed: Engine, result: ReplayResult) -> None:
        self.record = recorded.attempts
        self._recorded = recorded
        self._guarded = guarded
        self._result = result
        self._row = result.outcomes[recorded.outcome]
        self._steps: dict[str, Step] = {}
        self._run: Execution | None = None
        self._over = False
        self._bill = _Bill(recorded, billed)

    # ------------------------------------------------------------ one attempt

    def take(self, number: int) -> None:
        """Look at the next recorded attempt, at its time."""
        if number == 0 and not self._begin():
            return
        if self._bill.left_out:
            return
        attempt = self.record[number]
        self._bill.take(attempt, last=number + 1 == len(self.record))
        if self._is_handoff(attempt):
            self._row.recorded_handoffs += 1
            self._row.cost_recorded_nanos += attempt.cost_nanos
            if not self._over:
                self._diverge()  # the recording gave up where the policy would have gone on
            return
        self._row.attempts_recorded += 1
        self._row.accepted_attempts += attempt.accepted is True
        self._row.cost_recorded_nanos += attempt.cost_nanos
        if self._over or not self._make(attempt, number):
            self._row.attempts_avoided += 1
            self._row.cost_avoided_nanos += attempt.cost_nanos
        if number + 1 == len(self.record) and not self._over:
            self._finish()

    def _begin(self) -> bool:
        """Admission. False if the execution cannot be looked at: a fact it needs is missing."""
        recorded = self._recorded
        try:
            self._run = self._guarded.execution(
                recorded.outcome,
                customer=recorded.customer,
                plan=recorded.plan,
                facts=recorded.given,
                key=recorded.key,
            )
        except FactError as error:
            self._result.bad.append(BadRow(self.record[0].line, f"the execution `{recorded.key}`: {error}"))
            self._bill.left_out = True
            return False
        except Denied as denial:
            self._over = True
            self._row.executions += 1
            reason = denial.decision.reason or "denied"
            self._result.denied[reason] = self._result.denied.get(reason, 0) + 1
            self._count_rules(denial.decision)
        else:
            self._row.executions += 1
            self._row.admitted += 1
            lane = self._run.lane
            self._row.lanes[lane] = self._row.lanes.get(lane, 0) + 1
        self._bill.begin()
        return True

    def _make(self, attempt: Recorded, number: int) -> bool:
        """Whether the policy makes this attempt; if so, make it."""
        assert self._run is not None  # noqa: S101 - an execution that is not over was admitted
        step = self._steps.get(attempt.step)
        if step is None or step.ended == "succeeded":
            step = self._steps[attempt.step] = self._run.step(attempt.step or "main")
        if not self._stand_on(step, attempt, number):
            return False
        said = len(step.decisions)
        made = step.ask(
            estimate_nanos=attempt.cost_nanos,
            input_tokens=attempt.input_tokens,
            max_output_tokens=attempt.output_tokens,
        )
        for decision in step.decisions[said:]:
            if isinstance(decision, AttemptDecision) and decision.effect == "refuse":
                self._row.attempts_refused += 1
                self._count_rules(decision)
        if made is None:
            self._after_failure(step)
            return False
        self._row.attempts_made += 1
        if attempt.error is None and attempt.accepted is not False:
            made.succeed(cost_nanos=attempt.cost_nanos)
            if attempt.accepted:
                self._run.deliver()
                self._run.accept()
                self._over = True
        else:
            made.fail(attempt.error or "rejected", cost_nanos=attempt.cost_nanos)
            self._after_failure(step)
        return True

    def _stand_on(self, step: Step, attempt: Recorded, number: int) -> bool:
        """Whether the policy is where this attempt was recorded, or follows it there; if not, it is avoided."""
        for _ in range(len(self._guarded.checked.routes) + 1):
            if not attempt.routes or step.route in attempt.routes:
                return True
            if self._recorded_later(step, number):
                return False  # the policy has moved on already and meets the recording there
            if not step.attempts and step.route == self._guarded.checked.lanes[step.execution.lane].path[0]:
                lane = self._guarded.checked.lanes[step.execution.lane]
                inside = [route for route in attempt.routes if route in lane.path]
                if inside:
                    step.go(inside[0])  # the recording chose another route of the lane to begin with
                    return True
                break
            last = self.record_error(step)
            if last is None:
                break
            # The policy would retry here and the recording did not: nothing is invented, its retries count as spent.
            step.spend_retries()
            step.fail(last)
            if self._after_failure(step):
                return False
        self._diverge()
        return False

    def record_error(self, step: Step) -> str | None:
        """The error of the failure that sent the step into a retry on its present route; None if it was not one."""
        last = step.decisions[-1] if step.decisions else None
        if last is None or last.effect != "retry":
            return None
        return next(reversed(step.retries), None)

    def _recorded_later(self, step: Step, number: int) -> bool:
        name = self.record[number].step
        return any(a.step == name and step.route in a.routes for a in self.record[number + 1 :])

    def _is_handoff(self, attempt: Recorded) -> bool:
        routes = self._guarded.checked.routes
        return bool(attempt.routes) and all(routes[route].kind == "handoff" for route in attempt.routes)

    # ------------------------------------------------------------ endings

    def _after_failure(self, step: Step) -> bool:
        """Whether the failure ended the execution."""
        assert self._run is not None  # noqa: S101 - a step has an execution
        if step.ended == "handed_off":
            self._over = True
            self._row.handed_off += 1
        elif step.ended == "stopped":
            self._run.abort()
            self._over = True
        return self._over

    def _diverge(self) -> None:
        assert self._run is not None  # noqa: S101 - an execution that is not over was admitted
        self._row.diverged += 1
        self._run.abort()
        self._over = True

    def _finish(self) -> None:
        """The recording ends: what succeeded is delivered, what did not ends without a deliverable."""
        assert self._run is not None  # noqa: S101 - an execution that is not over was admitted
        if self._steps and all(step.ended == "succeeded" for step in self._steps.values()):
            self._run.deliver()
        else:
            self._run.abort()
        self._over = True

    def close(self) -> None:
        """At the end of the trace: silence to the end of a window is what the policy says it is."""
        if self._bill.left_out:
            return
        row, run = self._row, self._run
        self._bill.close()
        row.revenue_recorded_nanos += self._bill.revenue_nanos
        recorded = self._bill.accepted
        row.accepted_recorded += recorded
        row.maturing_recorded += self._bill.maturing
        if run is None:
            row.accepted_lost += recorded
            return
        if run.state == "delivered":
            run.lapse()
        row.maturing += run.state == "delivered"
        kept = run.state == "accepted"
        row.accepted += kept
        row.accepted_kept += kept and recorded
        row.accepted_lost += recorded and not kept
        row.cost_nanos += run.spent_nanos
        row.handoff_nanos += run.handoff_nanos
        row.revenue_nanos += run.revenue_nanos

    def _count_rules(self, decision: Decision) -> None:
        for ruling in decision.rulings:
            counted = self._result.rules.setdefault(ruling.rule, RuleCount(ruling.rule))
            if isinstance(decision, AttemptDecision):
                counted.attempts += 1
            else:
                counted.admissions += 1


class _Bill:
    """The recording as it happened, drawing on the same plans: what it brought in without guardrails."""

    def __init__(self, recorded: RecordedExecution, engine: Engine) -> None:
        self._recorded = recorded
        self._engine = engine
        self._run: Execution | None = None
        self._delivered = False
        self.left_out = False
        self.accepted = False
        self.maturing = False
        self.revenue_nanos = 0

    def begin(self) -> None:
        recorded = self._recorded
        try:
            self._run = self._engine.execution(
                recorded.outcome,
                customer=recorded.customer,
                plan=recorded.plan,
                facts=recorded.given,
                key=recorded.key,
            )
        except Denied:
            self._run = None  # delivered all the same, but nobody pays for it

    def take(self, attempt: Recorded, *, last: bool) -> None:
        silent = attempt.error is None and attempt.accepted is None
        if not self._delivered and (attempt.accepted is True or (last and silent)):
            self._delivered = True
            self.accepted = attempt.accepted is True
            if self._run is not None:
                self._run.deliver()
                if self.accepted:
                    self._run.accept()
            else:
                self.accepted = True
        if last and not self._delivered and self._run is not None:
            self._run.abort()

    def close(self) -> None:
        if self._run is None:
            return
        if self._run.state == "delivered":
            self._run.lapse()
        self.accepted = self._run.state == "accepted"
        self.maturing = self._run.state == "delivered"
        self.revenue_nanos = self._run.revenue_nanos
