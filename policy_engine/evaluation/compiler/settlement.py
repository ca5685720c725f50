"""`settle` as one function: what an event makes of a state is fixed per outcome but for price and time."""

from collections.abc import Callable

from policy_engine.evaluation.decision import Digests, Head, SettleDecision
from policy_engine.evaluation.facts import SettleFacts
from policy_engine.language.checked import CheckedPolicy


def settle(policy: CheckedPolicy, digests: Digests) -> Callable[[SettleFacts], SettleDecision]:
    """The settle function of a policy. Decisions without a number are made beforehand."""

    def head(effect: str, reason: str | None = None) -> Head:
        return Head(effect, reason, policy.currency, digests)

    accepted, reversed_ = head("accepted"), head("reversed")
    closed = SettleDecision(head("refuse", "window_closed"))
    impossible = SettleDecision(head("refuse", "not_possible"))
    rejected = SettleDecision(head("rejected"), unit="restored")
    expired = SettleDecision(head("expired"), unit="restored")
    aborted = SettleDecision(head("aborted"), unit="restored")
    handed_off = SettleDecision(head("handed_off"), unit="restored")
    # Without a window, delivery is acceptance, and whatever else is asked of it comes too late.
    windows = {name: outcome.accepted_within_micros or 0 for name, outcome in policy.outcomes.items()}
    expiring = frozenset(name for name, outcome in policy.outcomes.items() if outcome.else_expired)
    deliveries = {
        name: SettleDecision(head("delivered"), unit="held", window_micros=outcome.accepted_within_micros)
        for name, outcome in policy.outcomes.items()
        if outcome.accepted_within_micros is not None
    }

    def settled(facts: SettleFacts) -> SettleDecision:
        state, event = facts.state, facts.event
        if state == "delivered":
            left = windows[facts.outcome] - facts.since_delivery_micros
            if event == "accept":
                return SettleDecision(accepted, (), (), "consumed", facts.price_nanos, left) if left > 0 else closed
            if event == "lapse":
                if left > 0:
                    return impossible
                if facts.outcome in expiring:
                    return expired
                return SettleDecision(accepted, (), (), "consumed", facts.price_nanos)
            if event == "reject":
                return rejected if left > 0 else closed
        elif state == "running":
            if event == "deliver":
                return deliveries.get(facts.outcome) or SettleDecision(accepted, (), (), "consumed", facts.price_nanos)
            if event == "abort":
                return aborted
            if event == "hand_off":
                return handed_off
        elif state == "accepted" and event == "reverse":
            if windows[facts.outcome] > facts.since_delivery_micros:
                return SettleDecision(reversed_, (), (), "restored", -facts.price_nanos)
            return closed
        return impossible

    return settled
