"""The attempts of the dozen-rule set as callers' mappings: plain data, money as whole nano units where that is read."""

from typing import Any

from policy_engine.evaluation.facts import AttemptFacts, Reading


def money(nanos: int) -> str:
    return f"{nanos // 10**9}.{nanos % 10**9:09d}"


def attempt_entries(facts: AttemptFacts) -> dict[str, Any]:
    """The mapping that says the same; counters as used, which decides alike at an attempt."""
    meters = {str(meter): _used(facts, meter) for meter in facts.meters}
    entries = {
        "customer": facts.customer,
        "outcome": facts.outcome,
        "plan": facts.plan,
        "lane": facts.lane,
        "route": facts.route,
        "step": facts.step,
        "price": money(facts.price_nanos),
        "attempt": facts.attempt,
        "failures": facts.failures,
        "elapsed": facts.elapsed_micros / 10**6,
        "step_elapsed": facts.step_elapsed_micros / 10**6,
        "input_tokens": facts.input_tokens,
        "max_output_tokens": facts.max_output_tokens,
        "min_output_tokens": facts.min_output_tokens,
        "estimate": None if facts.estimate_nanos is None else money(facts.estimate_nanos),
        "meters": meters,
    }
    given = {name: getattr(facts.given, name) for name in ("risk", "confidence", "region")}
    return {**entries, **given}


def _used(facts: AttemptFacts, meter: Any) -> str | int | None:
    reading: Reading | None = facts.meters[meter]
    if reading is None:
        return None
    return reading.used if meter.quantity == "attempts" else money(reading.used)
