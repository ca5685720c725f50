"""Executions and attempts as OpenTelemetry spans and metrics.

    engine = Engine(policy, ledger="ledger.db", observers=[OpenTelemetry()])

Only the API is needed (extra `otel`): without an SDK that the application sets up, all of it does nothing. Without the
observer nothing of this is imported.

The names are those of the GenAI semantic conventions, version 1.41 (`gen_ai.execute_tool.duration` is younger); they
are still in development there. What the conventions do not know begins with `policy_engine.`. No prompt and no answer
is recorded. Amounts are in units of the policy's currency, as floats: the ledger has the exact ones.

Spans: one per execution (`invoke_workflow OUTCOME`, child of what was current when it began, or for one that was denied
a span of no length) and one per attempt (`chat MODEL` or `execute_tool TOOL`) below it, which is current while its call
is made: what instruments the client puts its spans below it. Every decision is an event of the execution's span. The
metrics are those that `__init__` makes.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, finalize

from policy_engine.evaluation.decision import Decision, SettleDecision
from policy_engine.evaluation.facts import AdmitFacts, Facts
from policy_engine.language.units import NANOS
from policy_engine.runtime.observing import Observer
from policy_engine.telemetry import labels as say
from policy_engine.telemetry.labels import Labels

try:
    from opentelemetry import context, metrics, trace
    from opentelemetry.context import Context
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("opentelemetry"):
        raise
    raise ImportError(
        "`policy_engine.telemetry.otel` needs the extra `otel`: pip install 'policy_engine[otel]'"
    ) from error

from policy_engine.telemetry.budgets import Budgets

if TYPE_CHECKING:
    from policy_engine.runtime.attempt import Attempt
    from policy_engine.runtime.execution import Execution
    from policy_engine.runtime.step import Step

NAME = "policy_engine"
RUNNING = "running"
TOKEN_BUCKETS = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864]
SECOND_BUCKETS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]


class OpenTelemetry(Observer):
    """Tells spans and metrics of what an engine does. One may serve several engines.

    The providers are the application's global ones if none is given. `customers` puts the customer's name on metrics
    too, where it makes one series per customer (it is on spans in any case).

    Metrics: `policy_engine.executions` by how they ended, `policy_engine.spend`, `policy_engine.revenue`,
    `policy_engine.refusals` by reason and rule, `policy_engine.attempts` by error class,
    `policy_engine.over_estimates`, `policy_engine.store_failures`; `policy_engine.budget.remaining` of every money
    ceiling over a window, asked of the ledger when metrics are read (those per customer only with `customers`); and of
    the conventions `gen_ai.client.token.usage`, `gen_ai.client.operation.duration` and `gen_ai.execute_tool.duration`.
    """

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        meter_provider: MeterProvider | None = None,
        customers: bool = False,
    ) -> None:
        self._customers = customers
        self._tracer = trace.get_tracer(NAME, tracer_provider=tracer_provider)
        # By the object: one that was taken over has the same id here and there, in the same process perhaps.
        self._runs: WeakKeyDictionary[Execution, _Open] = WeakKeyDictionary()
        self._gone: deque[_Open] = deque()
        self._budgets = Budgets(customers=customers)
        meter = metrics.get_meter(NAME, meter_provider=meter_provider)
        self._executions = meter.create_counter(
            "policy_engine.executions", "{execution}", "Executions that ended, by state"
        )
        self._spend = meter.create_counter("policy_engine.spend", "{currency}", "Settled cost, handoffs included")
        self._revenue = meter.create_up_down_counter("policy_engine.revenue", "{currency}", "Revenue recognised here")
        self._refusals = meter.create_counter("policy_engine.refusals", "{decision}", "Denials, refusals and cuts")
        self._tries = meter.create_counter("policy_engine.attempts", "{attempt}", "Attempts, by error class")
        self._over = meter.create_counter("policy_engine.over_estimates", "{attempt}", "Attempts above what was held")
        self._silences = meter.create_counter(
            "policy_engine.store_failures", "{failure}", "Times the ledger was silent"
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Number of input and output tokens used",
            explicit_bucket_boundaries_advisory=TOKEN_BUCKETS,
        )
        self._seconds, self._tool_seconds = (
            meter.create_histogram(name, "s", said, explicit_bucket_boundaries_advisory=SECOND_BUCKETS)
            for name, said in (
                ("gen_ai.client.operation.duration", "GenAI operation duration"),
                ("gen_ai.execute_tool.duration", "Tool execution duration"),
            )
        )
        meter.create_observable_gauge(
            "policy_engine.budget.remaining", [self._observe], "{currency}", "What a money ceiling has left"
        )

    # ------------------------------------------------------------ executions

    def began(self, run: "Execution") -> None:
        self._opened(run)

    def decided(self, decision: Decision, facts: Facts, run: "Execution | None", step: "Step | None") -> None:
        del step  # its name is among the facts
        if decision.effect in ("deny", "refuse", "cut"):
            refused = {**say.of_place(facts), **say.why(decision)}
            refused["policy_engine.mode"] = run.engine.mode if run is not None else "enforce"
            self._refusals.add(1, self._metric(refused, getattr(facts, "customer", None)))
        if run is None:
            if isinstance(facts, AdmitFacts):
                self._denied(decision, facts)
            return
        if isinstance(decision, SettleDecision) and decision.permits and decision.revenue_nanos:
            self._revenue.add(decision.revenue_nanos / NANOS, self._metric(say.of_run(run), run.place.customer))
        opened = self._opened(run) if decision.point == "admit" else self._runs.get(run)
        if opened is None:
            return  # what a customer says later belongs to no span that is still open
        if isinstance(decision, SettleDecision) and decision.permits:
            opened.state = decision.effect
        if opened.span.is_recording():
            opened.span.add_event(f"policy_engine.{decision.point}", say.of_decision(decision, facts))

    def ended(self, run: "Execution") -> None:
        opened = self._runs.pop(run, None)
        if opened is None:
            return
        if opened.finalizer is not None:
            opened.finalizer.detach()
        if run.handoff_nanos:
            handed_off: Labels = {**say.of_run(run), "policy_engine.lane": run.lane, "policy_engine.kind": "handoff"}
            self._spend.add(run.handoff_nanos / NANOS, self._metric(handed_off, run.place.customer))
        opened.state = "lost" if run.state == RUNNING else run.state  # another process has it, or nobody could keep it
        opened.span.set_attributes(say.of_end(run))
        if run.left_by is not None and not isinstance(run.left_by, GeneratorExit):
            _note_exception(opened.span, run.left_by)
        if opened.state in ("aborted", "lost"):
            kind = opened.state if run.left_by is None else say.error_type(run.left_by)
            opened.span.set_attribute("error.type", kind)
            opened.span.set_status(Status(StatusCode.ERROR, say.why_left(run.left_by)))
        self._close(opened)

    def store_failed(self, error: Exception) -> None:
        self._silences.add(1, {"error.type": type(error).__name__})

    def forked(self) -> None:
        for opened in self._runs.values():
            if opened.finalizer is not None:
                opened.finalizer.detach()
        self._runs, self._gone = WeakKeyDictionary(), deque()
        self._budgets.forked()

    # ------------------------------------------------------------ attempts

    def attempt_began(self, attempt: "Attempt") -> None:
        opened = self._opened(attempt.step.execution)
        said, name = say.operation(attempt)
        span = self._tracer.start_span(
            name,
            context=trace.set_span_in_context(opened.span),
            kind=SpanKind.INTERNAL if say.is_tool(attempt) else SpanKind.CLIENT,
            attributes={**said, **say.of_request(attempt)},
        )
        opened.calls[attempt.hold.id] = _Call(span)
        self._budgets.note(attempt)

    def attempt_entered(self, attempt: "Attempt") -> None:
        call = self._call(attempt)
        if call is not None and call.around is None:
            call.around = context.get_current()
            context.attach(trace.set_span_in_context(call.span))

    def attempt_left(self, attempt: "Attempt") -> None:
        call = self._call(attempt)
        if call is None or call.around is None:
            return
        around, call.around = call.around, None
        # By its value and not by a token: who leaves it may be another task or thread than who entered it, and there
        # the span was never current.
        if trace.get_current_span() is call.span:
            context.attach(around)

    def attempt_ended(self, attempt: "Attempt") -> None:
        run = attempt.step.execution
        said, _ = say.operation(attempt)
        error = None if isinstance(attempt.left_by, GeneratorExit) else attempt.left_by
        kind = attempt.error or (None if error is None else say.error_type(error))
        failed: Labels = {} if kind is None else {"error.type": kind}
        where: Labels = {"policy_engine.route": attempt.route, "policy_engine.lane": run.lane, **say.of_run(run)}
        customer = run.place.customer
        spent: Labels = {**where, "policy_engine.kind": "attempt"}
        self._spend.add(attempt.cost_nanos / NANOS, self._metric(spent, customer))
        self._tries.add(1, self._metric({**where, **failed}, customer))
        if attempt.over:
            self._over.add(1, self._metric({**where, **failed}, customer))
        seconds = max(0, run.engine.clock.now_micros() - attempt.began_micros) / 10**6
        if say.is_tool(attempt):
            self._tool_seconds.record(seconds, {**said, **failed})
        else:
            self._seconds.record(seconds, {**said, **failed})
            for name, tokens in (("input", attempt.usage.input_tokens), ("output", attempt.usage.output_tokens)):
                if tokens is not None:
                    self._tokens.record(tokens, {**said, "gen_ai.token.type": name})
        call = self._taken(attempt)
        if call is None:
            return
        call.span.set_attributes({**say.of_usage(attempt), **failed})
        if attempt.over:
            call.span.set_attribute("policy_engine.over_estimate", list(attempt.over))
        if error is not None:
            _note_exception(call.span, error)
        if kind is not None:
            call.span.set_status(Status(StatusCode.ERROR, kind))
        call.span.end()

    def attempt_released(self, attempt: "Attempt") -> None:
        call = self._taken(attempt)
        if call is not None:
            call.span.set_attribute("policy_engine.released", True)
            call.span.end()

    # ------------------------------------------------------------ spans and labels

    def _opened(self, run: "Execution") -> "_Open":
        """The execution's span; begun here, as its first decision comes before it is said to have begun."""
        found = self._runs.get(run)
        if found is None:
            self._close_those_gone()
            span = self._tracer.start_span(f"invoke_workflow {run.place.outcome}", attributes=say.of_execution(run))
            found = self._runs[run] = _Open(span, self._metric(say.of_run(run), run.place.customer))
            found.finalizer = finalize(run, self._gone.append, found)
            found.finalizer.atexit = False
        return found

    def _denied(self, decision: Decision, facts: AdmitFacts) -> None:
        span = self._tracer.start_span(f"invoke_workflow {facts.outcome}", attributes=say.of_denial(decision, facts))
        if span.is_recording():
            span.set_attributes(say.of_decision(decision, facts))
            span.set_status(Status(StatusCode.ERROR, str(decision)))
        span.end()

    def _close(self, opened: "_Open") -> None:
        self._executions.add(1, {**opened.labels, "policy_engine.state": opened.state})
        for call in opened.calls.values():
            call.span.end()
        opened.span.set_attribute("policy_engine.state", opened.state)
        opened.span.end()

    def _close_those_gone(self) -> None:
        """End the spans of executions that were never left and are referred to by nobody.

        Not where the garbage collector finds them: that may be anywhere, in the midst of an exporter too.
        """
        while self._gone:
            opened = self._gone.popleft()
            if opened.state == RUNNING:
                opened.state = "abandoned"
                opened.span.set_attribute("error.type", opened.state)
                opened.span.set_status(Status(StatusCode.ERROR, "never left, and nobody refers to it any more"))
            self._close(opened)

    def _call(self, attempt: "Attempt") -> "_Call | None":
        opened = self._runs.get(attempt.step.execution)
        return None if opened is None else opened.calls.get(attempt.hold.id)

    def _taken(self, attempt: "Attempt") -> "_Call | None":
        opened = self._runs.get(attempt.step.execution)
        return None if opened is None else opened.calls.pop(attempt.hold.id, None)

    def _observe(self, options: CallbackOptions) -> list[Observation]:
        del options
        self._close_those_gone()
        return [Observation(amount, labels) for amount, labels in self._budgets.left()]

    def _metric(self, labels: Labels, customer: str | None) -> Labels:
        if self._customers and customer is not None:
            return {**labels, "policy_engine.customer": customer}
        return labels


@dataclass(slots=True)
class _Call:
    """An attempt that goes on: its span, and what was current before that was made current."""

    span: Span
    around: Context | None = None


@dataclass(slots=True)
class _Open:
    """An execution that goes on: its span, its labels, its attempts by their holds, and who says that it is gone."""

    span: Span
    labels: Labels
    state: str = RUNNING
    finalizer: "finalize[..., Execution] | None" = None
    calls: dict[str, _Call] = field(default_factory=dict)


def _note_exception(span: Span, error: BaseException) -> None:
    if span.is_recording():
        span.add_event("exception", say.of_exception(error))
