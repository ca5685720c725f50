"""Spans and metrics, as the SDK's in-memory exporters have them."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.protocol import LedgerUnavailable
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Denied, HandedOff
from policy_engine.telemetry.otel import OpenTelemetry
from tests.building import policy

RULES = {
    "file": "ceiling $10 per day as daily  ceiling $5 per customer per day as each",
    "outcome": "ceiling $3 per outcome alert at 5% as cap  retry 1 on timeout  fallback human on bad_request",
    "premium": "forbid",
}
ASKS: dict[str, Any] = {"input_tokens": 100, "max_output_tokens": 100}


@pytest.fixture(autouse=True)
def nothing_fails(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """An observer that fails is only logged; here that fails the test."""
    yield
    assert [record.message for record in caplog.records] == []


class Seen:
    """An engine that is observed, and what was seen of it."""

    def __init__(self, rules: dict[str, str] | None = None, **options: Any) -> None:
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
        self.engine = Engine(made, ledger=self.ledger, clock=self.clock, observers=[self.observer])

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


def test_a_span_per_execution_and_attempt() -> None:
    seen = Seen()
    with seen.tracer.start_as_current_span("request") as request:
        delivered(seen)
    (whole,) = seen.named("invoke_workflow draft")
    assert whole.parent.span_id == request.get_span_context().span_id
    made = seen.engine.policy
    expected = {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "support",
        "policy_engine.execution": "t-acme",
        "policy_engine.customer": "acme",
        "policy_engine.plan": "base",
        "policy_engine.outcome": "draft",
        "policy_engine.lane": "standard",
        "policy_engine.state": "accepted",
        "policy_engine.attempts": 2,
        "policy_engine.spent": 0.3 + 0.18,
        "policy_engine.currency": "USD",
        "policy_engine.policy_digest": made.digest,
        "policy_engine.price_digest": made.prices.digest,
    }
    assert {name: whole.attributes[name] for name in expected} == expected
    assert [event.name for event in whole.events] == [
        "policy_engine.admit",
        "policy_engine.attempt",
        "policy_engine.failure",
        "policy_engine.attempt",
        "policy_engine.settle",
    ]
    assert whole.events[1].attributes["policy_engine.alerts"] == "cap 5%"
    assert whole.events[2].attributes["policy_engine.effect"] == "retry"
    first, second = seen.named("chat gpt-4o-mini")
    assert {first.parent.span_id, second.parent.span_id} == {whole.context.span_id}
    assert first.kind is SpanKind.CLIENT
    assert (first.status.status_code, first.attributes["error.type"]) == (StatusCode.ERROR, "timeout")
    expected = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.request.max_tokens": 100,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 40,
        "gen_ai.usage.cache_read.input_tokens": 30,
        "policy_engine.step": "main",
        "policy_engine.route": "mini",
        "policy_engine.attempt": 2,
        "policy_engine.reserved": 0.3,
        "policy_engine.cost": 0.18,
    }
    assert {name: second.attributes.get(name) for name in expected} == expected
    assert second.status.status_code is StatusCode.UNSET
    assert "gen_ai.usage.output_tokens" not in first.attributes


def test_names_are_those_of_the_conventions() -> None:
    from opentelemetry.semconv._incubating.attributes import error_attributes, gen_ai_attributes
    from opentelemetry.semconv._incubating.metrics import gen_ai_metrics

    seen = Seen()
    delivered(seen)
    known = {
        value
        for module in (gen_ai_attributes, error_attributes)
        for value in vars(module).values()
        if isinstance(value, str)
    }
    used = {name for span in seen.spans.get_finished_spans() for name in span.attributes or ()}
    assert used
    assert [name for name in used if not name.startswith("policy_engine.") and name not in known] == []
    metrics = {value for value in vars(gen_ai_metrics).values() if isinstance(value, str)}
    for name in ("gen_ai.client.token.usage", "gen_ai.client.operation.duration"):
        assert name in metrics
        assert seen.points(name)


def test_metrics_of_a_delivery() -> None:
    seen = Seen()
    delivered(seen)
    assert seen.total("policy_engine.executions", state="accepted", outcome="draft") == 1
    assert seen.total("policy_engine.spend") == pytest.approx(0.48)
    assert seen.total("policy_engine.spend", route="mini", kind="attempt") == pytest.approx(0.48)
    assert seen.total("policy_engine.revenue") == pytest.approx(1.0)  # $100 for a hundred
    assert seen.total("policy_engine.attempts") == 2
    tokens = {p.attributes["gen_ai.token.type"]: (p.count, p.sum) for p in seen.points("gen_ai.client.token.usage")}
    assert tokens == {"input": (1, 100), "output": (1, 40)}
    durations = seen.points("gen_ai.client.operation.duration")
    assert sorted((p.attributes.get("error.type", ""), p.sum) for p in durations) == [("", 0.5), ("timeout", 0.5)]


def test_what_is_left_of_a_budget() -> None:
    seen = Seen()
    delivered(seen)
    delivered(seen, "bolt")
    (daily,) = seen.points("policy_engine.budget.remaining")
    assert daily.value == pytest.approx(10 - 2 * 0.48)
    assert daily.attributes["policy_engine.meter"] == "spent per day"
    assert daily.attributes["policy_engine.rule"].startswith("<text>:")
    seen = Seen(customers=True)
    delivered(seen)
    delivered(seen, "bolt")
    left = {p.attributes.get("policy_engine.key"): p.value for p in seen.points("policy_engine.budget.remaining")}
    assert left == {None: pytest.approx(9.04), "acme": pytest.approx(4.52), "bolt": pytest.approx(4.52)}


def test_a_new_window_replaces_the_old_one() -> None:
    seen = Seen()
    delivered(seen)
    seen.clock.sleep(24 * 3600 * 10**6)
    delivered(seen, "bolt")
    (daily,) = seen.points("policy_engine.budget.remaining")
    assert daily.value == pytest.approx(10 - 0.48)


def test_a_silent_ledger_says_no_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Seen()
    delivered(seen)

    def silent(*about: Any) -> Any:
        raise LedgerUnavailable("gone")

    monkeypatch.setattr(seen.ledger, "readings", silent)
    assert seen.points("policy_engine.budget.remaining") == []


@pytest.mark.parametrize("customers", [False, True])
def test_customers_are_named_only_if_asked(customers: bool) -> None:
    seen = Seen(customers=customers)
    delivered(seen)
    named = ["policy_engine.customer" in point.attributes for point in seen.points("policy_engine.spend")]
    assert named == [customers] * len(named)


def test_refusals() -> None:
    seen = Seen()
    with pytest.raises(Denied):
        seen.engine.execution("draft", customer="acme", plan="other")
    (denied,) = seen.named("invoke_workflow draft")
    assert denied.attributes["policy_engine.state"] == "denied"
    assert denied.attributes["policy_engine.reason"] == "not_in_plan"
    assert denied.status.status_code is StatusCode.ERROR
    with seen.engine.execution("draft", customer="acme") as run:
        assert run.step("main").attempt(input_tokens=4000, max_output_tokens=1) is None
    assert seen.total("policy_engine.refusals", point="admit", reason="not_in_plan") == 1
    assert seen.total("policy_engine.refusals", point="attempt", reason="over_ceiling", rule="cap") == 1
    (aborted,) = [span for span in seen.named("invoke_workflow") if span is not denied]
    assert (aborted.attributes["policy_engine.state"], aborted.status.status_code) == ("aborted", StatusCode.ERROR)


def test_a_handoff_is_spend() -> None:
    seen = Seen()
    with seen.engine.execution("draft", customer="acme") as run:
        attempt = next(run.step("main", **ASKS, errors={PermissionError: "bad_request"}))
        with pytest.raises(HandedOff), attempt:
            raise PermissionError
    assert seen.total("policy_engine.spend", kind="handoff") == pytest.approx(2.5)
    assert seen.total("policy_engine.executions", state="handed_off") == 1


def test_a_tool_is_a_tool() -> None:
    seen = Seen({"outcome": "fallback web", "premium": "forbid"})
    with seen.engine.execution("draft", customer="acme") as run:
        for attempt in run.step("main", **ASKS):
            with attempt:
                if attempt.route == "mini":
                    raise TimeoutError
    (tool,) = seen.named("execute_tool web")
    assert tool.attributes["gen_ai.tool.name"] == "web"
    assert tool.attributes["policy_engine.cost"] == 0.01


def test_more_than_was_held() -> None:
    seen = Seen()
    with seen.engine.execution("draft", customer="acme") as run:
        for attempt in run.step("main", **ASKS):
            with attempt:
                attempt.settle(input_tokens=100, output_tokens=500)
    assert seen.total("policy_engine.over_estimates") == 1
    (span,) = seen.named("chat")
    assert "spent" in span.attributes["policy_engine.over_estimate"]


def test_looking_at_what_has_ended_counts_nothing_again() -> None:
    seen = Seen()
    delivered(seen)
    with seen.engine.execution("draft", customer="acme", plan="base", key="t-acme") as run:
        assert run.result is not None
    seen.engine.reverse("draft", customer="acme", key="t-acme")
    assert seen.total("policy_engine.executions") == 1
    assert len(seen.named("invoke_workflow")) == 1
    assert seen.observer._runs == {}


def test_a_call_that_was_never_made_ends_its_span() -> None:
    seen = Seen()
    with seen.engine.execution("draft", customer="acme") as run:
        attempt = run.step("main").attempt(**ASKS)
        assert attempt is not None
        attempt.release()
    assert len(seen.named("chat")) == 1
    assert seen.observer._runs == {}


@pytest.mark.slow
def test_the_api_alone_does_nothing_and_costs_no_sdk() -> None:
    code = (
        "import sys\n"
        "for name in ('opentelemetry.sdk', 'opentelemetry.semconv'): sys.modules[name] = None\n"
        "from policy_engine import Engine, MemoryLedger, load\n"
        "from policy_engine.telemetry.otel import OpenTelemetry\n"
        "policy = load('currency USD route a { tool \"t\" cost $0.01 } lane l { a }'\n"
        "              ' workflow w { outcome o { price $1 lanes l } }')\n"
        "engine = Engine(policy, ledger=MemoryLedger(), observers=[OpenTelemetry()])\n"
        "with engine.execution('o', customer='c') as run:\n"
        "    for attempt in run.step('s'):\n        with attempt: pass\n"
        "    run.deliver()\n"
        "print(run.state)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("accepted\n", "")


@pytest.mark.slow
def test_without_the_extra() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None; import policy_engine.telemetry.otel"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "needs the extra `otel`: pip install 'policy_engine[otel]'" in done.stderr
