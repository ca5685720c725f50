"""`settle` as one generated function: what an event makes of a state is fixed per outcome but for price and time."""

from collections.abc import Callable
from functools import lru_cache
from types import CodeType, FunctionType

from policy_engine.evaluation.compiler.quoting import code, expression, function, statements
from policy_engine.evaluation.decision import Digests, Head, SettleDecision
from policy_engine.evaluation.facts import SettleFacts
from policy_engine.language.checked import CheckedPolicy

SETTLE = """
state, event = f.state, f.event
if state == "delivered":
    left = WINDOW - f.since_delivery_micros
    if event == "accept":
        if left > 0:
            return SettleDecision(accepted, (), (), "consumed", f.price_nanos, left)
        return closed
    if event == "lapse":
        if left > 0:
            return impossible
        if EXPIRES:
            return expired
        return SettleDecision(accepted, (), (), "consumed", f.price_nanos)
    if event == "reject":
        return rejected if left > 0 else closed
elif state == "running":
    if event == "deliver":
        held = DELIVERY
        return SettleDecision(accepted, (), (), "consumed", f.price_nanos) if held is None else held
    if event == "abort":
        return aborted
    if event == "hand_off":
        return handed_off
elif state == "accepted" and event == "reverse":
    if WINDOW > f.since_delivery_micros:
        return SettleDecision(reversed_, (), (), "restored", -f.price_nanos)
    return closed
return impossible
"""


def settle(policy: CheckedPolicy, digests: Digests) -> Callable[[SettleFacts], SettleDecision]:
    """The settle function of a policy. Decisions without a number are made beforehand."""

    def head(effect: str, reason: str | None = None) -> Head:
        return Head(effect, reason, policy.currency, digests)

    outcomes = policy.outcomes
    # Without a window, delivery is acceptance, and whatever else is asked of it comes too late.
    windows = {name: outcome.accepted_within_micros or 0 for name, outcome in outcomes.items()}
    expiring = {name: outcome.else_expired for name, outcome in outcomes.items()}
    deliveries = {
        name: SettleDecision(head("delivered"), unit="held", window_micros=outcome.accepted_within_micros)
        if outcome.accepted_within_micros is not None
        else None
        for name, outcome in outcomes.items()
    }
    any_outcome = next(iter(outcomes), "")
    known = {
        "SettleDecision": SettleDecision,
        "accepted": head("accepted"),
        "reversed_": head("reversed"),
        "closed": SettleDecision(head("refuse", "window_closed")),
        "impossible": SettleDecision(head("refuse", "not_possible")),
        "rejected": SettleDecision(head("rejected"), unit="restored"),
        "expired": SettleDecision(head("expired"), unit="restored"),
        "aborted": SettleDecision(head("aborted"), unit="restored"),
        "handed_off": SettleDecision(head("handed_off"), unit="restored"),
        "windows": windows,
        "expiring": expiring,
        "deliveries": deliveries,
        "window": windows.get(any_outcome),
        "expires": expiring.get(any_outcome),
        "delivery": deliveries.get(any_outcome),
    }
    alike = len({(windows[name], expiring[name]) for name in outcomes}) == 1 and len(set(deliveries.values())) == 1
    settled: Callable[[SettleFacts], SettleDecision] = FunctionType(_code(alike), known, "settle")
    return settled


@lru_cache(maxsize=2)
def _code(alike: bool) -> CodeType:
    """One code object for all policies. Where all outcomes settle alike, none is looked up by its name."""
    window, expires, delivery = (
        ("window", "expires", "delivery")
        if alike
        else ("windows[f.outcome]", "expiring[f.outcome]", "deliveries[f.outcome]")
    )
    body = statements(SETTLE, WINDOW=expression(window), EXPIRES=expression(expires), DELIVERY=expression(delivery))
    return code(function("settle", ["f"], body), "settle")
