"""How an execution comes to be: admitted, taken over from a vanished owner, or found as it ended."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from policy_engine.evaluation.decision import AdmitDecision, Digests, Draw, Head
from policy_engine.evaluation.entries import no_such
from policy_engine.evaluation.facts import AdmitFacts, Given, Grant, Reading
from policy_engine.language.checked import Meter
from policy_engine.ledger.grants import allowance
from policy_engine.ledger.protocol import HELD, ExecutionRecord, Hold, LedgerUnavailable
from policy_engine.runtime import checking
from policy_engine.runtime.counting import Place, charges, readings
from policy_engine.runtime.edition import Edition
from policy_engine.runtime.errors import Denied, InProgress, NoExecution
from policy_engine.runtime.execution import RUNNING, Execution
from policy_engine.runtime.step import RACES

if TYPE_CHECKING:
    from policy_engine.runtime.engine import Engine


class Request(NamedTuple):
    """What is asked of an admission."""

    outcome: str
    customer: str
    plan: str | None
    given: Given
    lane: str | None
    key: str | None


def admit(
    engine: "Engine", edition: Edition, outcome: str, customer: str, key: str | None, make: Callable[[], Request]
) -> Execution:
    """The execution that a request comes to. Raises `Denied`, `InProgress`.

    The request is made only if there is none with this key: what began under another policy may ask for names that
    this one does not have.
    """
    request = make() if key is None or not isinstance(outcome, str) else None
    engine.escrow.reconcile()
    asked: AdmitFacts | None = None
    for _ in range(RACES):
        known = None
        try:
            if key is not None:
                known = engine.ledger.execution(customer, outcome, key)
                if known is not None:
                    found = _again(engine, known)
                    if found is not None:
                        return found
                    continue
            request = request or make()
            engine.editions.store(edition)
        except LedgerUnavailable as silence:
            engine.observers.tell("store_failed", silence)
            if known is not None:  # it is there, and nobody can take it over now
                raise _denied(engine, edition, "store_silent", asked) from silence
            request = request or make()
        now = engine.clock.now_micros()
        asked = _facts(engine, edition, request, now)
        decision = edition.evaluator.admit(asked)
        if decision.effect != "allow" and engine.mode == "enforce":
            engine.observers.tell("decided", decision, asked, None, None)
            raise Denied(decision, _named(asked))
        found = _begin(engine, edition, request, asked, decision, now)
        if found is not None:
            engine.observers.tell("decided", decision, asked, found, None)
            return found
    raise _denied(engine, edition, "limit_reached", asked)


def _denied(engine: "Engine", edition: Edition, reason: str, asked: AdmitFacts | None) -> Denied:
    """The runtime's own denial, where the policy had allowed what was asked; observers hear of it as of any other."""
    decision = AdmitDecision(Head("deny", reason, edition.currency, Digests(*edition.digests)))
    if asked is None:
        return Denied(decision)
    engine.observers.tell("decided", decision, asked, None, None)
    return Denied(decision, _named(asked))


def _named(asked: AdmitFacts) -> str:
    """What was asked for, for a message that is read far from where it was asked."""
    plan = f"on plan `{asked.plan}`" if asked.plan is not None else "without a plan"
    return f"asked for `{asked.outcome}`, customer `{asked.customer}` {plan}"


def find(engine: "Engine", outcome: str, customer: str, key: str) -> Execution:
    """The execution with this key. Raises `NoExecution`."""
    checking.text("customer", customer)
    checking.text("key", key)
    record = engine.ledger.execution(customer, outcome, key)
    if record is None:
        known = engine.checked.outcomes
        slip = "" if outcome in known else f": {no_such(outcome, known, 'outcome')}"
        raise NoExecution(f"no execution of `{outcome}` for `{customer}` has the key `{key}`{slip}")
    run = _of_record(engine, record)
    run.look()
    return run


# ---------------------------------------------------------------- one that is there


def _again(engine: "Engine", record: ExecutionRecord) -> Execution | None:
    """The execution that has the key already; None if it changed while it was looked at."""
    if record.state != RUNNING:
        return _of_record(engine, record)
    now = engine.clock.now_micros()
    if record.lease_micros is None or now < record.lease_micros:
        raise InProgress(record)
    return _take_over(engine, record, now)


def _take_over(engine: "Engine", record: ExecutionRecord, now: int) -> Execution | None:
    """Go on with it: unit and entry are held on, what the vanished owner's calls held lapses at the full amount.

    That is not settled for good: an owner that was only slow may still say what its call has used.
    """
    admitted = {f"{record.id}/unit", f"{record.id}/entry"}
    held = [entry.hold.id for entry in engine.ledger.entries(record.id) if entry.state == HELD]
    expires = engine.leases.until(now)
    mine = replace(record, owner=engine.owner, lease_micros=expires)
    if not engine.ledger.change(
        mine,
        renew=[hold_id for hold_id in held if hold_id in admitted],
        expires_micros=expires,
    ):
        return None
    engine.ledger.lapse(now)
    return _of_record(engine, replace(mine, version=mine.version + 1), resumed=True)


def _of_record(engine: "Engine", record: ExecutionRecord, *, resumed: bool = False) -> Execution:
    edition = engine.editions.restore(record.policy_digest, record.price_digest)
    lane = edition.checked.lanes[record.lane]
    admission = AdmitDecision(
        Head("allow", None, edition.currency, Digests(*edition.digests)),
        lane=lane.name,
        route=lane.path[0],
        draw=Draw(record.draw_kind, record.price_nanos, record.draw_grant),
    )
    given = edition.given_of(record.given)
    run = Execution(engine, edition, record, given, admission, errors=engine.errors_of(edition), resumed=resumed)
    run.remember(engine.ledger.entries(record.id))
    return run


# ---------------------------------------------------------------- a new one


def _facts(engine: "Engine", edition: Edition, request: Request, now: int) -> AdmitFacts:
    customer, outcome, plan = request.customer, request.outcome, request.plan
    place = Place(
        execution="",
        customer=customer,
        plan=plan,
        workflow=edition.checked.outcomes[outcome].workflow,
        outcome=outcome,
    )
    meters = edition.meters_at_admission(outcome, plan)
    escrow = None
    read: Mapping[Meter, Reading | None]
    grants: tuple[Grant, ...] | None
    try:
        engine.require_told()
        _grant_allowance(engine, edition, request, now)
        read = readings(engine.ledger, meters, place, now, edition.zone)
        grants = engine.ledger.grants(customer, outcome, now)
        if grants is None:
            raise LedgerUnavailable("the store did not say what the customer has")
    except LedgerUnavailable as silence:
        engine.observers.tell("store_failed", silence)
        read, grants = dict.fromkeys(meters), None
        escrow = engine.escrow.reading() if edition.checked.escrow_nanos is not None else None
    return AdmitFacts(
        customer=customer,
        outcome=outcome,
        plan=plan,
        given=request.given,
        meters=read,
        grants=grants,
        escrow=escrow,
        lane=request.lane,
    )


def _grant_allowance(engine: "Engine", edition: Edition, request: Request, now: int) -> None:
    """The plan's included units of this period, made when they are first asked for."""
    checked = edition.checked
    terms = checked.plans[request.plan] if request.plan is not None else None
    if terms is None or request.outcome not in terms.includes:
        return
    grant = allowance(checked, terms, request.customer, request.outcome, now)
    engine.ledger.add_grant(request.customer, request.outcome, grant)


def _begin(
    engine: "Engine", edition: Edition, request: Request, asked: AdmitFacts, decision: AdmitDecision, now: int
) -> Execution | None:
    """Keep it and hold what its admission takes; None if another one took that away."""
    denied = decision.effect != "allow"
    lane = decision.lane or request.lane or edition.checked.outcomes[request.outcome].lanes[0]
    draw = decision.draw or Draw("list", edition.checked.outcomes[request.outcome].price_nanos)
    policy, prices = edition.digests
    identity = engine.new_id(now)
    record = ExecutionRecord(
        id=identity,
        customer=request.customer,
        outcome=request.outcome,
        key=request.key if request.key is not None else identity,
        plan=request.plan,
        lane=lane,
        draw_kind=draw.kind,
        draw_grant=draw.grant,
        price_nanos=draw.price_nanos,
        given=edition.given_text(request.given),
        policy_digest=policy,
        price_digest=prices,
        admitted_micros=now,
        owner=engine.owner,
        lease_micros=engine.leases.until(now),
        decision=json.dumps(decision.to_json()),
    )
    holds = _holds(engine, edition, asked, record, draw, now, bounded=not denied)
    run = Execution(engine, edition, record, request.given, decision, errors=engine.errors_of(edition))
    try:
        engine.require_told()
        begun = engine.ledger.begin(record, holds, now)
    except LedgerUnavailable as silence:
        engine.observers.tell("store_failed", silence)
        if edition.checked.escrow_nanos is None and engine.mode == "enforce":
            raise _denied(engine, edition, "store_silent", asked) from silence
        free = _holds(engine, edition, asked, record, replace(draw, grant=None), now, bounded=False)
        engine.escrow.owe(lambda: engine.editions.store(edition))

        def begin() -> None:
            then = engine.clock.now_micros()  # perhaps long after: its owner is alive
            expires = engine.leases.until(then)
            holds = [replace(hold, expires_micros=expires) for hold in free]
            kept = engine.ledger.begin(replace(record, lease_micros=expires), holds, then).record
            if kept is None or kept.id != record.id:  # it is there already where only the answer was lost
                run.lose("was begun by somebody else, under the same key, while the store was silent")

        engine.escrow.owe(begin)
        return run
    if begun.crossed and engine.mode == "shadow":
        free = _holds(engine, edition, asked, record, replace(draw, grant=None), now, bounded=False)
        begun = engine.ledger.begin(record, free, now)
    return run if begun.new else None


def _holds(
    engine: "Engine",
    edition: Edition,
    facts: AdmitFacts,
    record: ExecutionRecord,
    draw: Draw,
    now: int,
    *,
    bounded: bool,
) -> list[Hold]:
    """One unit of what it draws on, and one count of each limit that counts it."""
    place = Place(
        execution=record.id,
        customer=record.customer,
        plan=record.plan,
        workflow=edition.checked.outcomes[record.outcome].workflow,
        outcome=record.outcome,
        lane=record.lane,
    )
    bounds = edition.evaluator.admission_bounds(facts, record.lane, draw.price_nanos) if bounded else ()
    units = {"overage": draw.price_nanos} if draw.kind == "overage" else {}

    def hold(name: str, amounts: dict[str, int], grant: str | None) -> Hold:
        held = charges(
            edition.meters,
            amounts,
            bounds,
            place,
            now,
            edition.zone,
            rule=lambda meter, limit: edition.rule_of(meter, limit, draw.price_nanos),
        )
        return engine.hold(f"{record.id}/{name}", tuple(held), record.id, edition, now, grant=grant)

    return [hold("unit", units, draw.grant), hold("entry", {"count": 1}, None)]
