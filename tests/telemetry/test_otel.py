"""Spans and metrics, as the SDK's in-memory exporters have them."""

import subprocess
import sys

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from policy_engine.runtime.errors import Denied, HandedOff
from tests.telemetry.seeing import ASKS, Seen, delivered

pytestmark = pytest.mark.usefixtures("nothing_fails")


def test_a_span_per_execution_and_attempt() -> None:
    seen = Seen()
    with seen.tracer.start_as_current_span("request") as request:
        delivered(seen)
    (whole,) = seen.named("invoke_workflow draft")
    assert whole.parent.span_id == request.get_span_context().span_id
    made = seen.engine.policy
    expected = {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "draft",
        "policy_engine.workflow": "support",
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
    assert tool.kind is SpanKind.INTERNAL


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
    assert not seen.observer._runs


def test_a_call_that_was_never_made_ends_its_span() -> None:
    seen = Seen()
    with seen.engine.execution("draft", customer="acme") as run:
        attempt = run.step("main").attempt(**ASKS)
        assert attempt is not None
        attempt.release()
    assert len(seen.named("chat")) == 1
    assert not seen.observer._runs


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
