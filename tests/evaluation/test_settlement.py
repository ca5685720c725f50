"""`settle`: every state with every event."""

import pytest

import policy_engine

pytestmark = pytest.mark.usefixtures("each_engine")

HOUR = 3600
TEXT = """
currency USD
route r {{ tool "t" cost $1 }}
lane l {{ r }}
workflow w {{ outcome o {{ price $2 lanes l {accepted} }} }}
"""
WITHIN = "accepted within 72h"
EXPIRING = "accepted within 72h else expired"
FINAL = ""
STATES = ("running", "delivered", "accepted", "rejected", "expired", "reversed", "aborted", "handed_off")
EVENTS = ("deliver", "accept", "reject", "reverse", "lapse", "abort", "hand_off")

# rule, state, event, hours since delivery → effect, unit, revenue in dollars
LEGAL = [
    (WITHIN, "running", "deliver", 0, "delivered", "held", 0),
    (FINAL, "running", "deliver", 0, "accepted", "consumed", 2),
    (WITHIN, "running", "abort", 0, "aborted", "restored", 0),
    (WITHIN, "running", "hand_off", 0, "handed_off", "restored", 0),
    (WITHIN, "delivered", "accept", 71, "accepted", "consumed", 2),
    (WITHIN, "delivered", "reject", 71, "rejected", "restored", 0),
    (WITHIN, "delivered", "lapse", 72, "accepted", "consumed", 2),
    (EXPIRING, "delivered", "lapse", 72, "expired", "restored", 0),
    (EXPIRING, "delivered", "accept", 71, "accepted", "consumed", 2),
    (WITHIN, "accepted", "reverse", 71, "reversed", "restored", -2),
]


def settle(rule: str, state: str, event: str, hours: int) -> policy_engine.SettleDecision:
    loaded = policy_engine.load(TEXT.format(accepted=rule))
    facts = {"outcome": "o", "state": state, "event": event, "price": 2, "since_delivery": hours * HOUR}
    return loaded.settle(facts)


@pytest.mark.parametrize(("rule", "state", "event", "hours", "effect", "unit", "revenue"), LEGAL)
def test_what_an_event_makes(
    rule: str, state: str, event: str, hours: int, effect: str, unit: str, revenue: int
) -> None:
    decision = settle(rule, state, event, hours)
    assert (decision.effect, decision.unit, decision.revenue_nanos) == (effect, unit, revenue * 10**9)
    assert decision.permits


@pytest.mark.parametrize(
    ("rule", "state", "event", "hours"),
    [
        (WITHIN, "delivered", "accept", 72),  # the window has closed: silence has spoken
        (WITHIN, "delivered", "reject", 72),
        (WITHIN, "accepted", "reverse", 72),
        (FINAL, "accepted", "reverse", 0),  # without the line, delivery is acceptance and final
    ],
)
def test_what_comes_too_late(rule: str, state: str, event: str, hours: int) -> None:
    decision = settle(rule, state, event, hours)
    assert (decision.effect, decision.reason, decision.unit) == ("refuse", "window_closed", None)
    assert str(decision) == "refused: window closed"


def test_everything_else_is_refused_and_changes_nothing() -> None:
    legal = {(state, event) for _, state, event, *_ in LEGAL}
    for state in STATES:
        for event in EVENTS:
            if (state, event) in legal:
                continue
            decision = settle(WITHIN, state, event, 0)
            assert (decision.effect, decision.reason) == ("refuse", "not_possible"), (state, event)
            assert (decision.unit, decision.revenue_nanos, decision.permits) == (None, 0, False)


def test_silence_speaks_only_when_the_window_ends() -> None:
    assert settle(WITHIN, "delivered", "lapse", 71).reason == "not_possible"


@pytest.mark.parametrize(
    ("event", "state", "hours", "left"), [("deliver", "running", 0, 72), ("accept", "delivered", 2, 70)]
)
def test_how_long_the_window_stays_open(event: str, state: str, hours: int, left: int) -> None:
    assert settle(WITHIN, state, event, hours).window_micros == left * HOUR * 10**6
