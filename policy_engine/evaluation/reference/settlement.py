"""`settle`: what becomes of the promised unit.

    running ── deliver ──> delivered ── accept, or the window lapses ──> accepted ── reverse ──> reversed
       │                       ├─ reject ──> rejected
       ├─ abort ──> aborted    └─ the window lapses (`else expired`) ──> expired
       └─ hand_off ──> handed_off

Units are held at admission, consumed at acceptance, given back (restored) by every other end.
"""

from policy_engine.evaluation.decision import Digests, Head, SettleDecision
from policy_engine.evaluation.facts import SettleFacts
from policy_engine.language.checked import CheckedPolicy

EVENTS = ("deliver", "accept", "reject", "reverse", "lapse", "abort", "hand_off")
STATES = ("running", "delivered", "accepted", "rejected", "expired", "reversed", "aborted", "handed_off")


def settle(policy: CheckedPolicy, digests: Digests, facts: SettleFacts) -> SettleDecision:
    """The state after an event. An event that comes too late, or twice, changes nothing and says so."""
    outcome = policy.outcomes[facts.outcome]
    window = outcome.accepted_within_micros
    left = 0 if window is None else window - facts.since_delivery_micros

    def became(
        effect: str, unit: str | None, revenue_nanos: int = 0, window_micros: int | None = None
    ) -> SettleDecision:
        head = Head(effect, None, policy.currency, digests)
        return SettleDecision(head, unit=unit, revenue_nanos=revenue_nanos, window_micros=window_micros)

    def refused(reason: str) -> SettleDecision:
        return SettleDecision(Head("refuse", reason, policy.currency, digests))

    match facts.state, facts.event:
        case "running", "deliver":
            if window is None:
                return became("accepted", "consumed", facts.price_nanos)
            return became("delivered", "held", window_micros=window)
        case "running", "abort":
            return became("aborted", "restored")
        case "running", "hand_off":
            return became("handed_off", "restored")
        case "delivered", "lapse":
            if left > 0:
                return refused("not_possible")
            return (
                became("expired", "restored")
                if outcome.else_expired
                else became("accepted", "consumed", facts.price_nanos)
            )
        case "delivered", "accept" | "reject" if left <= 0:
            return refused("window_closed")
        case "delivered", "accept":
            return became("accepted", "consumed", facts.price_nanos, window_micros=left)
        case "delivered", "reject":
            return became("rejected", "restored")
        case "accepted", "reverse":
            return became("reversed", "restored", -facts.price_nanos) if left > 0 else refused("window_closed")
    return refused("not_possible")
