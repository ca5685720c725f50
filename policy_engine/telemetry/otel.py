"""Executions and attempts as OpenTelemetry spans and metrics.

    engine = Engine(policy, ledger="ledger.db", observers=[OpenTelemetry()])

Only the API is needed (extra `otel`): without an SDK that the application sets up, all of it does nothing. Without the
observer nothing of this is imported.

Names that begin with `gen_ai.` are those of the GenAI semantic conventions, version 1.41; they are still in
development there. What the conventions do not know begins with `policy_engine.`. No prompt and no answer is recorded.
Amounts are in units of the policy's currency, as floats: the ledger has the exact ones.

Spans: one per execution (`invoke_workflow OUTCOME`, child of what was current when it began, or for one that was denied
a span of no length) and one per attempt (`chat MODEL` or `execute_tool TOOL`) below it. Every decision is an event of
the execution's span. The metrics are those that `__init__` makes.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING

from policy_engine.evaluation.decision import Decision, SettleDecision
from policy_engine.evaluation.facts import AdmitFacts, Facts
from policy_engine.language.units import NANOS, print_percent
from policy_engine.ledger.protocol import Counter, Ledger, LedgerError, LedgerUnavailable
from policy_engine.runtime.observing import Observer

try:
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
    from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("opentelemetry"):
        raise
    raise ImportError(
        "`policy_engine.telemetry.otel` needs the extra `otel`: pip install 'policy_engine[otel]'"
    ) from error

if TYPE_CHECKING:
    from policy_engine.runtime.attempt import Attempt
    from policy_engine.runtime.execution import Execution
    from policy_engine.runtime.step import Step

NAME = "policy_engine"
TOKEN_BUCKETS = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864]
SECOND_BUCKETS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
REMEMBERED = 1_000
"""Windowed ceilings whose remainder is reported; the least lately used is forgotten."""

Value = str | int | float | bool


class OpenTelemetry(Observer):
    """Tells spans and metrics of what an engine does. One may serve several engines.

    The providers are the application's global ones if none is given. `customers` puts the customer's name on metrics
    too, where it makes one series per customer (it is on spans in any case).

    Metrics: `policy_engine.executions` by how they ended, `policy_engine.spend`, `policy_engine.revenue`,
    `policy_engine.refusals` by reason and rule, `policy_engine.attempts` by error class,
    `policy_engine.over_estimates`, `policy_engine.store_failures`; `policy_engine.budget.remaining` of every money
    ceiling over a window, asked of the ledger when metrics are read (those kept by a key only with `customers`); and of
    the conventions `gen_ai.client.token.usage` and `gen_ai.client.operation.duration`.
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
        self._runs: dict[str, _Open] = {}
        self._budgets = _Budgets(customers=customers)
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
        self._seconds = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "GenAI operation duration",
            explicit_bucket_boundaries_advisory=SECOND_BUCKETS,
        )
        meter.create_observable_gauge(
            "policy_engine.budget.remaining", [self._budgets.observe], "{currency}", "What a money ceiling has left"
        )

    # ------------------------------------------------------------ executions

    def began(self, run: "Execution") -> None:
        self._opened(run)

    def decided(self, decision: Decision, facts: Facts, run: "Execution | None", step: "Step | None") -> None:
        refused = decision.effect in ("deny", "refuse", "cut")
        if refused:
            self._refusals.add(1, self._metric(_place(facts) | _why(decision), getattr(facts, "customer", None)))
        if isinstance(decision, SettleDecision) and decision.permits and decision.revenue_nanos and run is not None:
            labels = self._metric(_of_run(run), run.place.customer)
            self._revenue.add(decision.revenue_nanos / NANOS, labels)
        said = _of_decision(decision)
        if run is not None:
            opened = self._opened(run) if decision.point == "admit" else self._runs.get(run.id)
            if opened is not None:  # what a customer says later belongs to no span that is still open
                opened.span.add_event(f"policy_engine.{decision.point}", said | _place(facts))
        elif isinstance(facts, AdmitFacts):
            span = self._tracer.start_span(f"invoke_workflow {facts.outcome}", attributes=_asked(facts) | said)
            span.set_status(Status(StatusCode.ERROR, str(decision)))
            span.end()

    def ended(self, run: "Execution") -> None:
        opened = self._runs.pop(run.id, None)
        if opened is None:
            return  # looked at again after its end
        for left in opened.attempts.values():
            left.end()  # given back: the call was never made
        span = opened.span
        labels = self._metric({"policy_engine.state": run.state, **_of_run(run)}, run.place.customer)
        self._executions.add(1, labels)
        if run.handoff_nanos:
            self._spend.add(run.handoff_nanos / NANOS, labels | {"policy_engine.kind": "handoff"})
        span.set_attributes(
            {
                "policy_engine.state": run.state,
                "policy_engine.attempts": run.attempts,
                "policy_engine.spent": run.spent_nanos / NANOS,
                "policy_engine.handoff_cost": run.handoff_nanos / NANOS,
                "policy_engine.revenue": run.revenue_nanos / NANOS,
            }
        )
        if run.state == "aborted":
            span.set_status(Status(StatusCode.ERROR, str(run.decision)))
        span.end()

    def store_failed(self, error: Exception) -> None:
        self._silences.add(1, {"error.type": type(error).__name__})

    # ------------------------------------------------------------ attempts

    def attempt_began(self, attempt: "Attempt") -> None:
        run = attempt.step.execution
        opened = self._opened(run)
        kind, name = _operation(attempt)
        span = self._tracer.start_span(
            name,
            context=trace.set_span_in_context(opened.span),
            kind=SpanKind.CLIENT,
            attributes=kind
            | {
                "policy_engine.step": attempt.step.name,
                "policy_engine.route": attempt.route,
                "policy_engine.lane": run.lane,
                "policy_engine.attempt": attempt.number,
                "policy_engine.reserved": attempt.reserved_nanos / NANOS,
                "policy_engine.currency": run.edition.currency,
            },
        )
        if attempt.max_output_tokens is not None:
            span.set_attribute("gen_ai.request.max_tokens", attempt.max_output_tokens)
        opened.attempts[attempt.hold.id] = span
        self._budgets.note(run.engine.ledger, attempt)

    def attempt_ended(self, attempt: "Attempt") -> None:
        run = attempt.step.execution
        used = attempt.usage
        failed: dict[str, Value] = {"error.type": attempt.error} if attempt.error is not None else {}
        kind, _ = _operation(attempt)
        where: dict[str, Value] = {"policy_engine.route": attempt.route, "policy_engine.lane": run.lane, **_of_run(run)}
        labels = self._metric({**where, **failed}, run.place.customer)
        self._spend.add(
            attempt.cost_nanos / NANOS, self._metric(where | {"policy_engine.kind": "attempt"}, run.place.customer)
        )
        self._tries.add(1, labels)
        if attempt.over:
            self._over.add(1, labels)
        for name, tokens in (("input", used.input_tokens), ("output", used.output_tokens)):
            if tokens is not None and "gen_ai.provider.name" in kind:
                self._tokens.record(tokens, kind | {"gen_ai.token.type": name})
        ended = run.engine.clock.now_micros()
        self._seconds.record(max(0, ended - attempt.began_micros) / 10**6, kind | failed)
        opened = self._runs.get(run.id)
        span = opened.attempts.pop(attempt.hold.id, None) if opened is not None else None
        if span is None:
            return
        span.set_attributes({**_of_usage(attempt), **failed, "policy_engine.cost": attempt.cost_nanos / NANOS})
        if attempt.over:
            span.set_attribute("policy_engine.over_estimate", list(attempt.over))
        if attempt.error is not None:
            span.set_status(Status(StatusCode.ERROR, attempt.error))
        span.end()

    # ------------------------------------------------------------ spans and labels

    def _opened(self, run: "Execution") -> "_Open":
        """The execution's span; begun here, as its first decision comes before it is said to have begun."""
        found = self._runs.get(run.id)
        if found is None:
            span = self._tracer.start_span(
                f"invoke_workflow {run.place.outcome}",
                attributes={
                    "gen_ai.operation.name": "invoke_workflow",
                    "gen_ai.workflow.name": run.place.workflow,
                    "policy_engine.execution": run.key,
                    "policy_engine.execution_id": run.id,
                    "policy_engine.customer": run.place.customer,
                    "policy_engine.lane": run.lane,
                    "policy_engine.resumed": run.resumed,
                    "policy_engine.price": run.price_nanos / NANOS,
                    "policy_engine.policy_digest": run.record.policy_digest,
                    "policy_engine.price_digest": run.record.price_digest,
                    **_of_run(run),
                },
            )
            found = self._runs[run.id] = _Open(span)
        return found

    def _metric(self, labels: Mapping[str, Value], customer: str | None) -> dict[str, Value]:
        if self._customers and customer is not None:
            return {**labels, "policy_engine.customer": customer}
        return dict(labels)


@dataclass(slots=True)
class _Open:
    """An execution that goes on: its span, and those of its attempts by their holds."""

    span: Span
    attempts: dict[str, Span] = field(default_factory=dict)


class _Budgets:
    """The money ceilings over windows that attempts have met, and what they have left when somebody looks."""

    def __init__(self, *, customers: bool) -> None:
        self._customers = customers
        self._lock = Lock()
        self._met: OrderedDict[tuple[int, Counter], tuple[Ledger, int, str, str]] = OrderedDict()

    def note(self, ledger: Ledger, attempt: "Attempt") -> None:
        currency = attempt.step.execution.edition.currency
        with self._lock:
            for charge in attempt.hold.charges:
                counter, scope = charge.counter, charge.counter.meter.scope
                if charge.limit is None or counter.meter.quantity != "spent" or scope.execution is not None:
                    continue
                if scope.key is None or self._customers:
                    key = (id(ledger), counter)
                    self._met[key] = (ledger, charge.limit, charge.rule, currency)
                    self._met.move_to_end(key)
            while len(self._met) > REMEMBERED:
                self._met.popitem(last=False)

    def observe(self, options: CallbackOptions) -> Iterable[Observation]:
        del options
        with self._lock:
            met = list(self._met.items())
        return list(_observed(met))


def _observed(met: Iterable[tuple[tuple[int, Counter], tuple[Ledger, int, str, str]]]) -> Iterator[Observation]:
    latest: dict[tuple[object, ...], tuple[Counter, Ledger, int, str, str]] = {}
    for (identity, counter), (ledger, limit, rule, currency) in met:
        # Of one ceiling only the window that was met last: the others are over.
        latest[identity, counter.meter, counter.key] = (counter, ledger, limit, rule, currency)
    for counter, ledger, limit, rule, currency in latest.values():
        try:
            reading = ledger.readings([counter]).get(counter)
        except (LedgerError, LedgerUnavailable):
            continue
        if reading is None:
            continue
        labels: dict[str, Value] = {
            "policy_engine.meter": str(counter.meter),
            "policy_engine.rule": rule,
            "policy_engine.currency": currency,
        }
        if counter.key:
            labels["policy_engine.key"] = counter.key
        yield Observation((limit - reading.used) / NANOS, labels)


def _operation(attempt: "Attempt") -> tuple[dict[str, Value], str]:
    """What the conventions call the call, and the name of its span."""
    route = attempt.step.execution.edition.checked.routes[attempt.route]
    if route.kind == "tool":
        return {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": attempt.reference}, (
            f"execute_tool {attempt.reference}"
        )
    said: dict[str, Value] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": attempt.model}
    said["gen_ai.provider.name"] = attempt.provider or "unknown"
    return said, f"chat {attempt.model}"


def _of_usage(attempt: "Attempt") -> dict[str, Value]:
    used = attempt.usage
    named = {
        "gen_ai.usage.input_tokens": used.input_tokens,
        "gen_ai.usage.output_tokens": used.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": used.cached_read_tokens or None,
        "gen_ai.usage.cache_creation.input_tokens": (used.cached_write_tokens + used.cached_hour_write_tokens) or None,
    }
    return {name: tokens for name, tokens in named.items() if tokens is not None}


def _of_run(run: "Execution") -> dict[str, Value]:
    place = run.place
    said: dict[str, Value] = {
        "policy_engine.outcome": place.outcome,
        "policy_engine.workflow": place.workflow,
        "policy_engine.currency": run.edition.currency,
    }
    return said if place.plan is None else {**said, "policy_engine.plan": place.plan}


def _asked(facts: AdmitFacts) -> dict[str, Value]:
    said: dict[str, Value] = {"gen_ai.operation.name": "invoke_workflow", "policy_engine.customer": facts.customer}
    if facts.plan is not None:
        said["policy_engine.plan"] = facts.plan
    return said | _place(facts) | {"policy_engine.state": "denied"}


def _place(facts: Facts) -> dict[str, Value]:
    said: dict[str, Value] = {"policy_engine.outcome": facts.outcome}
    if not isinstance(facts, AdmitFacts):
        for name in ("lane", "route", "step"):
            value = getattr(facts, name, None)
            if value:
                said[f"policy_engine.{name}"] = value
    return said


def _why(decision: Decision) -> dict[str, Value]:
    said: dict[str, Value] = {"policy_engine.point": decision.point}
    if decision.reason is not None:
        said["policy_engine.reason"] = decision.reason
    if decision.rulings:
        said["policy_engine.rule"] = decision.rulings[0].rule.name
    return said


def _of_decision(decision: Decision) -> dict[str, Value]:
    """What a span says of a decision."""
    said: dict[str, Value] = {
        **_why(decision),
        "policy_engine.effect": decision.effect,
        "policy_engine.decision": str(decision),
    }
    alerts = [f"{alert.ruling.rule.name} {print_percent(alert.percent)}" for alert in decision.alerts]
    return {**said, "policy_engine.alerts": ", ".join(alerts)} if alerts else said
