"""`settle` as a table: what an event makes of a state is fixed per outcome but for price and time."""

from collections.abc import Callable

from policy_engine.evaluation.decision import Digests, Head, SettleDecision
from policy_engine.evaluation.facts import SettleFacts
from policy_engine.language.checked import CheckedPolicy, Outcome

Settle = Callable[[SettleFacts], SettleDecision]


def settle(policy: CheckedPolicy, digests: Digests) -> Settle:
    """The settle function of a policy."""
    table: dict[tuple[str, str, str], SettleDecision | Settle] = {}
    impossible = SettleDecision(Head("refuse", "not_possible", policy.currency, digests))
    for outcome in policy.outcomes.values():
        for (state, event), answer in _answers(outcome, policy.currency, digests, impossible).items():
            table[outcome.name, state, event] = answer
    find = table.get

    def settled(facts: SettleFacts) -> SettleDecision:
        answer = find((facts.outcome, facts.state, facts.event), impossible)
        return answer if answer.__class__ is SettleDecision else answer(facts)  # type: ignore[operator]

    return settled


def _answers(
    outcome: Outcome, currency: str, digests: Digests, impossible: SettleDecision
) -> dict[tuple[str, str], SettleDecision | Settle]:
    """What each possible event makes of each state: a decision, or a function where price or time matters."""
    window = outcome.accepted_within_micros

    def head(effect: str, reason: str | None = None) -> Head:
        return Head(effect, reason, currency, digests)

    accepted, reversed_ = head("accepted"), head("reversed")
    closed = SettleDecision(head("refuse", "window_closed"))
    rejected = SettleDecision(head("rejected"), unit="restored")
    expired = SettleDecision(head("expired"), unit="restored")
    ended = {
        ("running", "abort"): SettleDecision(head("aborted"), unit="restored"),
        ("running", "hand_off"): SettleDecision(head("handed_off"), unit="restored"),
    }

    def final(facts: SettleFacts) -> SettleDecision:
        return SettleDecision(accepted, (), (), "consumed", facts.price_nanos)

    if window is None:
        # Delivery is acceptance; whatever else is asked of a delivery comes after its window.
        lapsed: SettleDecision | Settle = expired if outcome.else_expired else final
        late = {("delivered", "accept"): closed, ("delivered", "reject"): closed, ("accepted", "reverse"): closed}
        return {**ended, **late, ("running", "deliver"): final, ("delivered", "lapse"): lapsed}

    def accept(facts: SettleFacts) -> SettleDecision:
        left = window - facts.since_delivery_micros
        return SettleDecision(accepted, (), (), "consumed", facts.price_nanos, left) if left > 0 else closed

    def reject(facts: SettleFacts) -> SettleDecision:
        return rejected if facts.since_delivery_micros < window else closed

    def lapse(facts: SettleFacts) -> SettleDecision:
        if facts.since_delivery_micros < window:
            return impossible
        return expired if outcome.else_expired else final(facts)

    def reverse(facts: SettleFacts) -> SettleDecision:
        if facts.since_delivery_micros >= window:
            return closed
        return SettleDecision(reversed_, (), (), "restored", -facts.price_nanos)

    return {
        **ended,
        ("running", "deliver"): SettleDecision(head("delivered"), unit="held", window_micros=window),
        ("delivered", "accept"): accept,
        ("delivered", "reject"): reject,
        ("delivered", "lapse"): lapse,
        ("accepted", "reverse"): reverse,
    }
