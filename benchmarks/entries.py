"""The attempts of the dozen-rule set as callers' mappings: money as whole nano units, times as whole microseconds."""

from typing import Any

from policy_engine.evaluation.facts import AttemptFacts


def attempt_entries(facts: AttemptFacts) -> dict[str, Any]:
    """The mapping that says the same."""
    entries = {
        "customer": facts.customer,
        "outcome": facts.outcome,
        "plan": facts.plan,
        "lane": facts.lane,
        "route": facts.route,
        "step": facts.step,
        "price_nanos": facts.price_nanos,
        "attempt": facts.attempt,
        "failures": facts.failures,
        "elapsed_micros": facts.elapsed_micros,
        "step_elapsed_micros": facts.step_elapsed_micros,
        "input_tokens": facts.input_tokens,
        "max_output_tokens": facts.max_output_tokens,
        "min_output_tokens": facts.min_output_tokens,
        "estimate_nanos": facts.estimate_nanos,
        "meters": dict(facts.meters),
    }
    given = {name: getattr(facts.given, name) for name in ("risk", "confidence", "region")}
    return {**entries, **given}
