"""Facts of a decision as a mapping again: what `policy.facts` would make the same record of."""

from typing import Any

from policy_engine.evaluation.facts import MISSING, AdmitFacts, Facts, FailureFacts, Given, Reading, SettleFacts
from policy_engine.language.units import NANOS
from policy_engine.language.vocabulary import Unit
from policy_engine.ledger.windows import moment
from policy_engine.policy import Policy

_MONEY_METERS = ("spent", "overage")
_PLAIN = {
    "AttemptFacts": ("max_output_tokens", "min_output_tokens", "estimate_nanos"),
    "ProgressFacts": ("output_tokens", "output_cap", "attempt_elapsed_micros", "estimate_nanos"),
    "FailureFacts": ("error",),
}


def mapping(policy: Policy, facts: Facts) -> dict[str, Any]:
    """Plain data; amounts as decimal texts, and what was not given left out."""
    if isinstance(facts, SettleFacts):
        return {
            "outcome": facts.outcome,
            "state": facts.state,
            "event": facts.event,
            "price_nanos": facts.price_nanos,
            "since_delivery_micros": facts.since_delivery_micros,
        }
    values: dict[str, Any] = {"customer": facts.customer, "outcome": facts.outcome, "plan": facts.plan}
    values |= declared(policy, facts.given)
    values["meters"] = {
        str(meter): None if held is None else _reading(held, money=meter.quantity in _MONEY_METERS)
        for meter, held in facts.meters.items()
        if str(meter) in policy.boundary.meters
    }
    if isinstance(facts, AdmitFacts):
        values["lane"] = facts.lane
        values["grants"] = None if facts.grants is None else [_grant(grant) for grant in facts.grants]
        return values
    common = ("lane", "route", "step", "price_nanos", "attempt", "failures", "elapsed_micros", "step_elapsed_micros")
    for name in (*common, "input_tokens", *_PLAIN[type(facts).__name__]):
        value = getattr(facts, name)
        if value is not None:
            values[name] = value
    if isinstance(facts, FailureFacts):
        values |= {"visited": list(facts.visited), "retries": dict(facts.retries)}
    return values


def declared(policy: Policy, given: Given) -> dict[str, Any]:
    """The declared facts that are given and known."""
    values = {}
    for name, fact in policy.checked.facts.items():
        value = getattr(given, name)
        if value is MISSING or value is None:
            continue
        if fact.unit is Unit.MONEY:
            value = _decimal(value)
        elif fact.unit is Unit.DURATION:
            value = value / 10**6
        values[name] = value
    return values


def _reading(held: Reading, *, money: bool) -> Any:
    parts = {"settled": held.settled, "reserved": held.reserved}
    return (
        {name: _decimal(amount) if money else amount for name, amount in parts.items()}
        if held.reserved
        else (_decimal(held.settled) if money else held.settled)
    )


def _grant(grant: Any) -> dict[str, Any]:
    values = {
        "id": grant.id,
        "kind": grant.kind,
        "left": grant.left,
        "price": _decimal(grant.price_nanos),
        "priority": grant.priority,
        "effective": moment(grant.effective_micros).isoformat(),
        "created": moment(grant.created_micros).isoformat(),
    }
    if grant.expires_micros is not None:
        values["expires"] = moment(grant.expires_micros).isoformat()
    return values


def _decimal(nanos: int) -> str:
    whole, rest = divmod(abs(nanos), NANOS)
    text = f"{whole}.{rest:09d}".rstrip("0").rstrip(".")
    return f"-{text}" if nanos < 0 else text
