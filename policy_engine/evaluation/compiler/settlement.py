"""`settle` as a table: what an event makes of a state is fixed per outcome but for price and time."""

from collections.abc import Callable

from policy_engine.evaluation.decision import Digests, Head, SettleDecision
from policy_engine.evaluation.facts import SettleFacts
from policy_engine.language.checked import CheckedPolicy


def settle(policy: CheckedPolicy, digests: Digests, outcome: str) -> Callable[[SettleFacts], SettleDecision]:
    """The settle function of one outcome."""
    terms = policy.outcomes[outcome]
    window = terms.accepted_within_micros

    def head(effect: str, reason: str | None = None) -> Head:
        return Head(effect, reason, policy.currency, digests)

    accepted, reversed_ = head("accepted"), head("reversed")
    impossible = SettleDecision(head("refuse", "not_possible"))
    closed = SettleDecision(head("refuse", "window_closed"))
    delivered = SettleDecision(head("delivered"), unit="held", window_micros=window)
    rejected = SettleDecision(head("rejected"), unit="restored")
    expired = SettleDecision(head("expired"), unit="restored")
    ended = {
        "abort": SettleDecision(head("aborted"), unit="restored"),
        "hand_off": SettleDecision(head("handed_off"), unit="restored"),
    }

    def running(facts: SettleFacts) -> SettleDecision:
        if facts.event == "deliver":
            return SettleDecision(accepted, (), (), "consumed", facts.price_nanos) if window is None else delivered
        return ended.get(facts.event, impossible)

    def pending(facts: SettleFacts) -> SettleDecision:
        event = facts.event
        if event not in ("accept", "reject", "lapse"):
            return impossible
        left = (window or 0) - facts.since_delivery_micros
        if event == "lapse":
            if left > 0:
                return impossible
            return expired if terms.else_expired else SettleDecision(accepted, (), (), "consumed", facts.price_nanos)
        if left <= 0:
            return closed
        if event == "reject":
            return rejected
        return SettleDecision(accepted, (), (), "consumed", facts.price_nanos, left)

    def taken(facts: SettleFacts) -> SettleDecision:
        if facts.event != "reverse":
            return impossible
        if (0 if window is None else window - facts.since_delivery_micros) <= 0:
            return closed
        return SettleDecision(reversed_, (), (), "restored", -facts.price_nanos)

    states = {"running": running, "delivered": pending, "accepted": taken}

    def settled(facts: SettleFacts) -> SettleDecision:
        made = states.get(facts.state)
        return impossible if made is None else made(facts)

    return settled
