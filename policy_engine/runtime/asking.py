"""What the policy is asked for a step, and what is held for its answer.

Where the store is silent, the counters of windows are unknown; what the execution itself has incurred is known here.
"""

from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any

from policy_engine.evaluation.decision import AttemptDecision, FailureDecision, Head
from policy_engine.evaluation.facts import AttemptFacts, FailureFacts, Reading, Readings
from policy_engine.language.checked import Meter
from policy_engine.ledger.protocol import LedgerUnavailable
from policy_engine.runtime.attempt import Attempt, worst_nanos
from policy_engine.runtime.counting import charges, own_readings

if TYPE_CHECKING:
    from policy_engine.runtime.engine import Engine
    from policy_engine.runtime.step import Step


def facts(step: "Step", now: int, *, otherwise: Readings | None = None) -> dict[str, Any]:
    """What every point after admission knows.

    `otherwise` are the readings to go by if the store is silent; left out: what is known without it.
    """
    execution = step.execution
    engine, edition = execution.engine, execution.edition
    standing = step.standing
    place = standing.place
    escrow = None
    read: Mapping[Meter, Reading | None]
    began = monotonic()
    try:
        engine.require_told()
        resting = engine.escrow.rests  # a stream does not wait with every chunk
        read = otherwise if resting and otherwise is not None else standing.readings(engine.ledger, now)
    except LedgerUnavailable as silence:
        engine.observers.tell("store_failed", silence)
        if otherwise is not None:
            engine.escrow.waited(monotonic() - began)
            read = otherwise
        else:
            read = own_readings(standing.read, execution.own_charges(), place, now, edition.zone)
        escrow = engine.escrow.reading() if edition.checked.escrow_nanos is not None else None
    return {
        "customer": place.customer,
        "outcome": place.outcome,
        "plan": place.plan,
        "given": execution.given,
        "meters": read,
        "escrow": escrow,
        "lane": place.lane,
        "route": step.route,
        "step": step.name,
        "price_nanos": execution.price_nanos,
        "attempt": step.attempts + 1,
        "failures": step.failures,
        "elapsed_micros": max(0, now - execution.admitted_micros),
        "step_elapsed_micros": max(0, now - step.began_micros),
    }


def without(attempt: Attempt, meters: Readings, now: int) -> Readings:
    """Readings without what this attempt itself holds."""
    if meters is attempt.asked.meters:
        return meters  # they were read before it was held
    counters = attempt.step.standing.counters(now)
    found = dict(meters)
    for charge in attempt.hold.charges:
        meter = charge.counter.meter
        held = found.get(meter)
        if held is not None and counters[meter] == charge.counter:
            found[meter] = Reading(held.settled, held.reserved - charge.amount)
    return found


def attempt(step: "Step", hold_id: str, asked: AttemptFacts, decision: AttemptDecision, now: int) -> Attempt:
    """The attempt that a go permits, not reserved yet."""
    execution = step.execution
    edition = execution.edition
    if step.shadow:
        # Nothing is refused and nothing cut: what was asked is held, under no bound.
        reserved = worst_nanos(edition, asked, step.route) or 0
        cap = asked.max_output_tokens
        tokens = (asked.input_tokens or 0) + (cap or 0)
    else:
        assert decision.reserved_nanos is not None  # noqa: S101 - a go reserves an amount
        reserved, cap, tokens = decision.reserved_nanos, decision.output_cap, decision.reserved_tokens or 0
    amounts = {"spent": reserved, "attempts": 1, "tokens": tokens}
    held = step.standing.charges(asked, amounts, now, bounded=not step.shadow)
    hold = execution.engine.hold(hold_id, tuple(held), execution.id, edition, now)
    return Attempt(step, hold, decision, asked, now, reserved_nanos=reserved, max_output_tokens=cap)


def reserve(attempt: Attempt, now: int) -> bool | None:
    """Whether it is held now; None if the store is silent and nothing may be spent without it."""
    step = attempt.step
    engine = step.execution.engine
    try:
        engine.require_told()
        return not engine.ledger.reserve([attempt.hold], now)
    except LedgerUnavailable as silence:
        engine.observers.tell("store_failed", silence)
        most = step.execution.edition.checked.escrow_nanos
        if step.shadow:
            most = None
        elif most is None:
            return None
        if not engine.escrow.hold(attempt.hold.id, attempt.reserved_nanos, most):
            return None
        engine.owe_hold(attempt.hold)
        return True


def hold_handoff(step: "Step", asked: FailureFacts, decision: FailureDecision, now: int) -> str | None:
    """Hold one count of the handoff's limits; None if another execution took the last one.

    It is settled or released when it is known whether the execution was handed off.
    """
    execution = step.execution
    engine, edition = execution.engine, execution.edition
    assert decision.route is not None  # noqa: S101 - a handoff names its route
    held = tuple(
        charges(
            edition.handoff_meters,
            {"count": 1},
            () if step.shadow else edition.evaluator.handoff_bounds(asked, decision.route),
            step.standing.place.at(route=decision.route),
            now,
            edition.zone,
            rule=lambda meter, limit: edition.rule_of(meter, limit, 0),
        )
    )
    hold = engine.hold(f"{execution.next_hold()}h", held, execution.id, edition, now)
    try:
        engine.require_told()
        if engine.ledger.reserve([hold], now):
            return None
    except LedgerUnavailable as silence:
        engine.observers.tell("store_failed", silence)
        if any(charge.limit is not None for charge in held):
            return None  # nobody can say whether the desk has room
        engine.owe_hold(hold)
    return hold.id


def end_handoff(engine: "Engine", hold_id: str, *, done: bool) -> None:
    """Count it, or give it back: nobody comes to the desk where another step has ended the execution."""
    ledger = engine.ledger
    engine.now_or_later((lambda: ledger.settle(hold_id)) if done else (lambda: ledger.release(hold_id)))


def refusal(decision: AttemptDecision, reason: str) -> AttemptDecision:
    """A refusal in place of a go that could not be held."""
    return AttemptDecision(Head("refuse", reason, decision.currency, decision.digests))
