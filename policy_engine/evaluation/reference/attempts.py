"""`attempt` and `progress`: does the work fit under every ceiling, with which cap, by when?"""

from collections.abc import Sequence
from dataclasses import dataclass

from policy_engine.evaluation.decision import Alert, AttemptDecision, Digests, ProgressDecision, Ruling, stated
from policy_engine.evaluation.facts import AttemptFacts, FactError, ProgressFacts
from policy_engine.evaluation.reference.ceilings import (
    Asked,
    alerts,
    applying,
    crossed,
    escrow_left_nanos,
    limit_of,
    ruling,
    shadows,
    used_of,
)
from policy_engine.evaluation.reference.view import View, Views
from policy_engine.language.checked import CeilingRule, CheckedPolicy, Route
from policy_engine.language.vocabulary import Point


def attempt(policy: CheckedPolicy, digests: Digests, facts: AttemptFacts, views: Views = View) -> AttemptDecision:
    """May this attempt be made? The answer reserves its worst case, with the output cap shrunk to what fits."""
    route = policy.routes[facts.route]
    if route.kind == "handoff":
        raise FactError("route", f"`{route.name}` is a handoff: it ends the execution and is no attempt")
    asked = _asked(route, facts, facts.max_output_tokens)
    view, enforced, shadowed = _look(policy, Point.ATTEMPT, facts, facts.lane, asked.nanos, views)

    def answer(
        effect: str,
        reason: str | None,
        rulings: Sequence[Ruling],
        amounts: Asked,
        crossing: Sequence[Alert] = (),
        **more: object,
    ) -> AttemptDecision:
        verdicts = shadows(shadowed, view, amounts)
        said = stated(
            effect,
            reason,
            rulings=rulings,
            alerts=crossing,
            shadow=verdicts,
            unknown=view.unknown,
            currency=policy.currency,
            digests=digests,
        )
        return AttemptDecision(*said, **more)  # type: ignore[arg-type]  # the numbers of a go

    if asked.nanos is None:
        view.unknown.add("estimate")
        return answer("refuse", "estimate_unknown", (), asked)

    least = _least(route, facts)
    refusing = [rule for rule in enforced if crossed(rule, view, least)]
    if refusing:
        return answer("refuse", "over_ceiling", [ruling(rule, view, least) for rule in refusing], least)

    cap, shaping = _largest_cap(route, facts, enforced, view)
    granted = _asked(route, facts, cap) if shaping else asked
    deadline, timing = _deadline(enforced, view)
    rulings = [ruling(rule, view, granted) for rule in enforced]
    return answer(
        "go",
        "shrunk" if shaping else None,
        [said for rule, said in zip(enforced, rulings, strict=True) if rule in shaping or rule in timing],
        granted,
        reserved_nanos=granted.nanos,
        reserved_tokens=granted.tokens,
        output_cap=cap,
        deadline_micros=deadline,
        crossing=alerts(enforced, rulings),
    )


def progress(policy: CheckedPolicy, digests: Digests, facts: ProgressFacts, views: Views = View) -> ProgressDecision:
    """May this attempt go on? What was streamed so far is asked of the same ceilings again."""
    route = policy.routes[facts.route]
    streamed = _streamed(route, facts)
    view, enforced, shadowed = _look(policy, Point.PROGRESS, facts, facts.lane, facts.estimate_nanos, views)
    refusing = [rule for rule in enforced if crossed(rule, view, streamed)]
    if facts.output_cap is not None and facts.output_tokens > facts.output_cap:
        reason: str | None = "output_cap"
    elif any(rule.quantity == "elapsed" for rule in refusing):
        reason = "deadline"
    else:
        reason = "over_ceiling" if refusing else None
    rulings = [ruling(rule, view, streamed) for rule in refusing]
    verdicts = shadows(shadowed, view, streamed)
    said = stated(
        "cut" if reason else "go",
        reason,
        rulings=rulings,
        shadow=verdicts,
        unknown=view.unknown,
        currency=policy.currency,
        digests=digests,
    )
    return ProgressDecision(*said)


def _look(
    policy: CheckedPolicy,
    point: Point,
    facts: AttemptFacts | ProgressFacts,
    lane: str,
    estimate: int | None,
    views: Views,
) -> tuple[View, list[CeilingRule], list[CeilingRule]]:
    """The view, and the ceilings that apply: enforced and shadow ones, in (file, place) order."""
    view = views(policy, point, facts, lane=lane, price_nanos=facts.price_nanos, estimate_nanos=estimate)
    blocks = (*policy.around(facts.outcome, facts.plan), policy.lanes[lane].rules, policy.routes[facts.route].rules)
    ceilings = sorted((rule for rules in blocks for rule in rules.ceilings), key=lambda rule: rule.span.order)
    view.require(rule for rule in ceilings if point in rule.points)
    enforced = applying((rule for rule in ceilings if not rule.shadow), view)
    return view, enforced, [rule for rule in ceilings if rule.shadow]


# ---------------------------------------------------------------- amounts


def _asked(route: Route, facts: AttemptFacts, cap: int | None) -> Asked:
    """The worst case with this output cap: what the caller states, else rates x tokens, else the flat cost."""
    tokens = None if facts.input_tokens is None or cap is None else facts.input_tokens + cap
    if route.kind == "tool" and tokens is None:
        tokens = 0  # a tool reads and writes none
    if facts.estimate_nanos is not None:
        return Asked(facts.estimate_nanos, tokens)
    if route.cost_nanos is not None:
        return Asked(route.cost_nanos, tokens)
    if route.rates is None or facts.input_tokens is None or cap is None:
        return Asked(None, tokens)
    return Asked(route.rates.worst_nanos(facts.input_tokens, cap), tokens)


def _least(route: Route, facts: AttemptFacts) -> Asked:
    """The worst case with the smallest cap that the caller would take."""
    return _asked(route, facts, _smallest_cap(facts))


def _smallest_cap(facts: AttemptFacts) -> int | None:
    if facts.max_output_tokens is None or facts.min_output_tokens is None:
        return facts.max_output_tokens
    return min(facts.min_output_tokens, facts.max_output_tokens)


def _streamed(route: Route, facts: ProgressFacts) -> Asked:
    """What this attempt has incurred so far."""
    tokens = None if facts.input_tokens is None else facts.input_tokens + facts.output_tokens
    if route.kind == "tool" and tokens is None:
        tokens = 0
    if route.cost_nanos is not None:
        return Asked(route.cost_nanos, tokens)
    if route.rates is not None and facts.input_tokens is not None:
        return Asked(route.rates.worst_nanos(facts.input_tokens, facts.output_tokens), tokens)
    return Asked(facts.estimate_nanos, tokens)


@dataclass(frozen=True, slots=True)
class _Room:
    rule: CeilingRule
    cap: int


def _largest_cap(
    route: Route, facts: AttemptFacts, enforced: Sequence[CeilingRule], view: View
) -> tuple[int | None, list[CeilingRule]]:
    """The largest output cap that fits under every ceiling, and the ceilings that shrink it to that."""
    asked = facts.max_output_tokens
    if asked is None or facts.input_tokens is None:
        return asked, []
    rates = route.rates if facts.estimate_nanos is None and route.cost_nanos is None else None
    rooms = []
    for rule in enforced:
        used = used_of(rule, view)
        left = limit_of(rule, view.price_nanos) - (used or 0)
        found: list[int | None] = []
        if rule.quantity == "tokens":
            found.append(left - facts.input_tokens)
        if rule.quantity == "spent" and rates:
            found.append(rates.output_tokens_within(left, facts.input_tokens))
        escrow = escrow_left_nanos(view) if used is None else None
        if escrow is not None and rates:
            found.append(rates.output_tokens_within(escrow, facts.input_tokens))
        room = min((cap for cap in found if cap is not None), default=None)
        if room is not None and room < asked:
            rooms.append(_Room(rule, room))
    cap = min((room.cap for room in rooms), default=asked)
    return cap, [room.rule for room in rooms if room.cap == cap]


def _deadline(enforced: Sequence[CeilingRule], view: View) -> tuple[int | None, list[CeilingRule]]:
    """How long the attempt may run, and the time ceilings that say so."""
    left = {}
    for rule in enforced:
        if rule.quantity == "elapsed":
            used = used_of(rule, view)
            assert used is not None  # noqa: S101 - the clock always answers
            left[rule] = limit_of(rule, view.price_nanos) - used
    soonest = min(left.values(), default=None)
    return soonest, [rule for rule, time in left.items() if time == soonest]
