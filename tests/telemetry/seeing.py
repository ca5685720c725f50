"""An engine under OpenTelemetry, and what its in-memory exporters have."""

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from policy_engine.ledger.memory import MemoryLedger
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.telemetry.otel import OpenTelemetry
from tests.building import policy

RULES = {
    "file": "ceiling $10 per day as daily  ceiling $5 per customer per day as each",
    "outcome": "ceiling $3 per outcome alert at 5% as cap  retry 1 on timeout  fallback human on bad_request",
    "premium": "forbid",
}
ASKS: dict[str, Any] = {"input_tokens": 100, "max_output_tokens": 100}


class Seen:
    """An engine that is observed, and what was seen of it."""

    def __init__(self, rules: dict[str, str] | None = None, *, mode: Any = "enforce", **options: Any) -> None:
        self.spans = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        tracing = TracerProvider()
        tracing.add_span_processor(SimpleSpanProcessor(self.spans))
        self.tracer = tracing.get_tracer("app")
        self.observer = OpenTelemetry(
            tracer_provider=tracing, meter_provider=MeterProvider(metric_readers=[self.reader]), **options
        )
        self.clock = PinnedClock(10**15)
        self.ledger = MemoryLedger()
        made = policy(**(RULES if rules is None else rules))
        self.engine = Engine(made, ledger=self.ledger, clock=self.clock, mode=mode, observers=[self.observer])

    def named(self, start: str) -> list[Any]:
        return [span for span in self.spans.get_finished_spans() if span.name.startswith(start)]

    def points(self, metric: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        if data is None:
            return []
        found = [
            list(one.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for one in scope.metrics
            if one.name == metric
        ]
        return found[-1] if found else []

    def total(self, metric: str, **labels: str) -> float:
        wanted = {f"policy_engine.{name}": value for name, value in labels.items()}
        return sum(float(p.value) for p in self.points(metric) if wanted.items() <= dict(p.attributes).items())


def delivered(seen: Seen, customer: str = "acme", plan: str | None = "base") -> None:
    """One execution: a timeout, then a success, then the customer's acceptance."""
    with seen.engine.execution("draft", customer=customer, plan=plan, key=f"t-{customer}") as run:
        for attempt in run.step("main", **ASKS):
            with attempt:
                seen.clock.sleep(500_000)
                if attempt.number == 1:
                    raise TimeoutError
                attempt.settle(input_tokens=100, output_tokens=40, cached_tokens=30)
        run.deliver()
