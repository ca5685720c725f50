"""What spans and metrics say of executions, attempts and decisions, as attributes of OpenTelemetry.

Names that begin with `gen_ai.` (and `error.type`) are those of the GenAI semantic conventions, the rest begins with
`policy_engine.`. Amounts are floats in units of the currency. Nothing here asks for OpenTelemetry itself.
"""

from collections.abc import Mapping
from traceback import format_tb
from typing import TYPE_CHECKING

from policy_engine.evaluation.decision import Decision
from policy_engine.evaluation.facts import AdmitFacts, Facts
from policy_engine.language.units import NANOS, print_percent
from policy_engine.runtime.errors import Terminal

if TYPE_CHECKING:
    from policy_engine.runtime.attempt import Attempt
    from policy_engine.runtime.execution import Execution

Value = str | int | float | bool
Labels = dict[str, Value]

PROVIDERS: Mapping[str, str] = {
    "aws": "aws.bedrock",
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "google": "gcp.gen_ai",
    "google-gla": "gcp.gemini",
    "google-vertex": "gcp.vertex_ai",
    "grok": "x_ai",
    "mistral": "mistral_ai",
    "vertex": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "x-ai": "x_ai",
    "xai": "x_ai",
}
"""What the conventions call providers that policies call otherwise."""


def operation(attempt: "Attempt") -> tuple[Labels, str]:
    """What the conventions call the call, and the name of its span."""
    if is_tool(attempt):
        name = attempt.reference
        return {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": name}, f"execute_tool {name}"
    provider = attempt.provider or "unknown"
    said: Labels = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": attempt.model,
        "gen_ai.provider.name": PROVIDERS.get(provider, provider),
    }
    return said, f"chat {attempt.model}"


def is_tool(attempt: "Attempt") -> bool:
    return attempt.step.execution.edition.checked.routes[attempt.route].kind == "tool"


def of_request(attempt: "Attempt") -> Labels:
    """What is known of an attempt before its call."""
    run = attempt.step.execution
    said: Labels = {
        "policy_engine.step": attempt.step.name,
        "policy_engine.route": attempt.route,
        "policy_engine.lane": run.lane,
        "policy_engine.attempt": attempt.number,
        "policy_engine.reserved": attempt.reserved_nanos / NANOS,
        "policy_engine.currency": run.edition.currency,
    }
    if attempt.max_output_tokens is not None:
        said["gen_ai.request.max_tokens"] = attempt.max_output_tokens
    return said


def of_usage(attempt: "Attempt") -> Labels:
    """What it came to."""
    used = attempt.usage
    named = {
        "gen_ai.usage.input_tokens": used.input_tokens,
        "gen_ai.usage.output_tokens": used.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": used.cached_read_tokens or None,
        "gen_ai.usage.cache_creation.input_tokens": (used.cached_write_tokens + used.cached_hour_write_tokens) or None,
        "policy_engine.cost": attempt.cost_nanos / NANOS,
    }
    return {name: amount for name, amount in named.items() if amount is not None}


def of_execution(run: "Execution") -> Labels:
    """What an execution's span begins with."""
    return {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": run.place.outcome,
        "policy_engine.execution": run.key,
        "policy_engine.execution_id": run.id,
        "policy_engine.customer": run.place.customer,
        "policy_engine.lane": run.lane,
        "policy_engine.resumed": run.resumed,
        "policy_engine.price": run.price_nanos / NANOS,
        "policy_engine.policy_digest": run.record.policy_digest,
        "policy_engine.price_digest": run.record.price_digest,
        **of_run(run),
    }


def of_run(run: "Execution") -> Labels:
    """What is said of all that belongs to an execution."""
    place = run.place
    said: Labels = {
        "policy_engine.outcome": place.outcome,
        "policy_engine.workflow": place.workflow,
        "policy_engine.currency": run.edition.currency,
    }
    return said if place.plan is None else {**said, "policy_engine.plan": place.plan}


def of_end(run: "Execution") -> Labels:
    """What an execution came to."""
    return {
        "policy_engine.attempts": run.attempts,
        "policy_engine.spent": run.spent_nanos / NANOS,
        "policy_engine.handoff_cost": run.handoff_nanos / NANOS,
        "policy_engine.revenue": run.revenue_nanos / NANOS,
    }


def of_denial(decision: Decision, facts: AdmitFacts) -> Labels:
    """What the span of a denied execution says."""
    said: Labels = {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": facts.outcome,
        "error.type": decision.reason or decision.effect,
        "policy_engine.state": "denied",
        "policy_engine.customer": facts.customer,
        "policy_engine.currency": decision.currency,
        "policy_engine.policy_digest": decision.digests.policy,
        "policy_engine.price_digest": decision.digests.prices,
    }
    if facts.plan is not None:
        said["policy_engine.plan"] = facts.plan
    return said | of_place(facts)


def of_place(facts: Facts) -> Labels:
    """Where a decision was asked for."""
    said: Labels = {"policy_engine.outcome": facts.outcome}
    if not isinstance(facts, AdmitFacts):
        for name in ("lane", "route"):
            value = getattr(facts, name, None)
            if value:
                said[f"policy_engine.{name}"] = value
    return said


def why(decision: Decision) -> Labels:
    """The point, and the first reason and rule."""
    said: Labels = {"policy_engine.point": decision.point}
    if decision.reason is not None:
        said["policy_engine.reason"] = decision.reason
    if decision.rulings:
        said["policy_engine.rule"] = decision.rulings[0].rule.name
    return said


def of_decision(decision: Decision, facts: Facts) -> Labels:
    """What an event says of a decision."""
    said: Labels = {
        **why(decision),
        "policy_engine.effect": decision.effect,
        "policy_engine.decision": str(decision),
        **of_place(facts),
    }
    step = getattr(facts, "step", None)
    if step is not None:
        said["policy_engine.step"] = step
    alerts = [f"{alert.ruling.rule.name} {print_percent(alert.percent)}" for alert in decision.alerts]
    return {**said, "policy_engine.alerts": ", ".join(alerts)} if alerts else said


def error_type(error: BaseException) -> str:
    """The full name of an exception's class."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def of_exception(error: BaseException) -> Labels:
    """What an event says of an exception: not its message, in which a prompt or an answer may stand."""
    return {"exception.type": error_type(error), "exception.stacktrace": "".join(format_tb(error.__traceback__))}


def why_left(error: BaseException | None) -> str:
    """Why an execution has ended without a result, in words that are ours."""
    if error is None:
        return "left without a delivery"
    return str(error) if isinstance(error, Terminal) else error_type(error)
