"""`admit`: what the execution draws on, and the first listed lane that it may enter."""

from collections.abc import Sequence

from policy_engine.evaluation.decision import AdmitDecision, Digests, Draw, LaneRefusal, Ruling, Shadow, stated
from policy_engine.evaluation.facts import AdmitFacts
from policy_engine.evaluation.reference.ceilings import (
    Asked,
    alerts,
    applying,
    covered_by_escrow,
    limit_of,
    tightest_per_outcome,
    used_of,
)
from policy_engine.evaluation.reference.view import View, Views
from policy_engine.evaluation.terms import UNITS, burn_down, is_looked_at
from policy_engine.language.checked import (
    AllowRule,
    CeilingRule,
    CheckedPolicy,
    LimitRule,
    Rule,
    Rules,
    reads,
)
from policy_engine.language.pricing import lowest_price_nanos, overage_meter
from policy_engine.language.vocabulary import Point

NOTHING = Asked(nanos=0, tokens=0)
"""Admission reserves no money: all it asks of a ceiling is that something is left."""

REASONS = ("forbidden", "not_allowed", "limit_reached", "ceiling_reached")


class Refusals:
    """The rules that refuse, with the kind of each."""

    def __init__(self) -> None:
        self.found: list[tuple[str, Rule, Ruling]] = []

    def add(self, reason: str, rule: Rule, ruling: Ruling) -> None:
        self.found.append((reason, rule, ruling))

    @property
    def reason(self) -> str | None:
        kinds = {kind for kind, _, _ in self.found}
        return next((reason for reason in REASONS if reason in kinds), None)

    @property
    def rulings(self) -> tuple[Ruling, ...]:
        return tuple(said for _, rule, said in sorted(self.found, key=lambda f: f[1].span.order))


def admit(policy: CheckedPolicy, digests: Digests, facts: AdmitFacts, views: Views = View) -> AdmitDecision:
    """May this execution start, in which lane, drawing on what?"""
    outcome = policy.outcomes[facts.outcome]
    around = policy.around(facts.outcome, facts.plan)
    lanes = [facts.lane] if facts.lane is not None else list(outcome.lanes)
    view = views(policy, Point.ADMIT, facts, lane=None, price_nanos=0)
    looked_at = [*around, *(policy.lanes[lane].rules for lane in lanes)]
    view.require(rule for rules in looked_at for rule in rules if is_looked_at(rule))

    shadow: list[Shadow] = []

    def denied(reason: str | None, rulings: Sequence[Ruling], refused: Sequence[LaneRefusal] = ()) -> AdmitDecision:
        said = stated(
            "deny",
            reason,
            rulings=sorted(rulings, key=_place),
            shadow=shadow,
            unknown=view.unknown,
            currency=policy.currency,
            digests=digests,
        )
        return AdmitDecision(*said, refused=tuple(refused))

    draw, reason, rulings = _draw(policy, facts, view)
    if draw is None:
        return denied(reason, rulings)
    view.price_nanos = draw.price_nanos

    refusals, opened = Refusals(), list[Ruling]()
    for rules in around:
        _look(rules, view, refusals, opened, shadow, by_lane=False)
    if refusals.found:
        return denied(refusals.reason, refusals.rulings)
    if facts.lane is not None and facts.lane not in outcome.lanes:
        return denied("lane_not_listed", ())

    refused: list[LaneRefusal] = []
    for lane in lanes:
        view.lane = lane
        here, opened_here = Refusals(), list(opened)
        rules = policy.lanes[lane].rules
        for outer in around:
            _look_at_ceilings(outer.ceilings, view, here, shadow, by_lane=True)
        _look(rules, view, here, opened_here, shadow, by_lane=False)
        _look_at_ceilings(rules.ceilings, view, here, shadow, by_lane=True)
        if here.reason is not None:
            refused.append(LaneRefusal(lane, here.reason, here.rulings))
            continue
        inside = (*around, rules)
        limits = [rule for r in inside for rule in r.limits if not rule.shadow and view.holds(rule) is not False]
        ceilings = [rule for r in inside for rule in r.ceilings if Point.ADMIT in rule.points]
        said = stated(
            "allow",
            rulings=sorted(opened_here, key=_place),
            alerts=alerts(limits, [_limit_ruling(rule, view) for rule in limits]),
            shadow=shadow,
            unknown=view.unknown,
            currency=policy.currency,
            digests=digests,
        )
        return AdmitDecision(
            *said,
            lane=lane,
            route=policy.lanes[lane].path[0],
            draw=draw,
            ceiling_nanos=tightest_per_outcome(ceilings, view),
            refused=tuple(refused),
        )
    only = refused[0].reason if len(refused) == 1 else "no_lane"
    every = {ruling.rule: ruling for refusal in refused for ruling in refusal.rulings}
    return denied(only, tuple(every.values()), refused)


def _place(said: Ruling) -> tuple[str, int, int]:
    return said.rule.file, said.rule.line, said.rule.column


# ---------------------------------------------------------------- the draw


def _draw(policy: CheckedPolicy, facts: AdmitFacts, view: View) -> tuple[Draw | None, str | None, tuple[Ruling, ...]]:
    if facts.grants is None:
        view.unknown.add("grants")
        return _without_store(policy, facts)
    left = sorted((grant for grant in facts.grants if grant.left > 0), key=burn_down)
    if left:
        return Draw(left[0].kind, left[0].price_nanos, left[0].id), None, ()
    if facts.plan is None:
        return Draw("list", policy.outcomes[facts.outcome].price_nanos), None, ()
    plan = policy.plans[facts.plan]
    if plan.overage is None or facts.outcome not in plan.overage.prices_nanos:
        known = facts.outcome in plan.includes or bool(facts.grants)
        return None, "allowance_spent" if known else "not_in_plan", ()
    price = plan.overage.prices_nanos[facts.outcome]
    if plan.overage.cap_nanos is None:
        return Draw("overage", price), None, ()
    billed = view.used(overage_meter(plan))
    if billed is None:
        return _without_store(policy, facts)
    if billed + price > plan.overage.cap_nanos:
        cap = Ruling(plan.overage.ref, "money", plan.overage.cap_nanos, billed, price)
        return None, "allowance_spent", (cap,)
    return Draw("overage", price), None, ()


def _without_store(policy: CheckedPolicy, facts: AdmitFacts) -> tuple[Draw | None, str | None, tuple[Ruling, ...]]:
    """Under `on store failure allow`, the price is the lowest this execution can turn out to bring in."""
    if policy.escrow_nanos is None or facts.escrow is None or facts.escrow.used >= policy.escrow_nanos:
        return None, "store_silent", ()
    return Draw("escrow", lowest_price_nanos(policy, facts.outcome, facts.plan)), None, ()


# ---------------------------------------------------------------- who may enter


def _look(
    rules: Rules, view: View, refusals: Refusals, opened: list[Ruling], shadow: list[Shadow], *, by_lane: bool
) -> None:
    """Collect what one block's rules say of the admission."""
    for rule in rules.forbids:
        refuses = view.holds(rule) is not False  # an unknown forbid forbids
        _note(rule, Ruling(rule.ref), refuses, "forbidden", refusals, shadow)
    _look_at_allows(rules.allows, view, refusals, opened, shadow)
    for limit in rules.limits:
        if view.holds(limit) is not False:
            said = _limit_ruling(limit, view)
            reached = said.used is None or said.used + 1 > limit.count
            if said.used is None and covered_by_escrow(view, limit, NOTHING):
                reached = False
            _note(limit, said, reached, "limit_reached", refusals, shadow)
    _look_at_ceilings(rules.ceilings, view, refusals, shadow, by_lane=by_lane)


def _look_at_allows(
    rules: Sequence[AllowRule], view: View, refusals: Refusals, opened: list[Ruling], shadow: list[Shadow]
) -> None:
    held = {rule: view.holds(rule) is True for rule in rules}  # an unknown allow allows nothing
    enforced = [rule for rule in rules if not rule.shadow]
    opened += [Ruling(rule.ref) for rule in enforced if held[rule]]
    if enforced and not any(held[rule] for rule in enforced):
        for rule in enforced:
            refusals.add("not_allowed", rule, Ruling(rule.ref))
    shadow += [Shadow(Ruling(rule.ref), not any(held.values())) for rule in rules if rule.shadow]


def _look_at_ceilings(
    rules: Sequence[CeilingRule], view: View, refusals: Refusals, shadow: list[Shadow], *, by_lane: bool
) -> None:
    """A window ceiling with nothing left refuses. Those that depend on the lane are asked lane by lane."""
    for rule in applying(
        (r for r in rules if is_looked_at(r) and r.scope.window and _depends_on_lane(r) is by_lane), view
    ):
        limit, used = limit_of(rule, view.price_nanos), used_of(rule, view)
        spent_up = used is None or used >= limit
        if used is None and covered_by_escrow(view, rule, NOTHING):
            spent_up = False
        said = Ruling(rule.ref, UNITS[rule.quantity], limit, used)
        _note(rule, said, spent_up, "ceiling_reached", refusals, shadow)


def _depends_on_lane(rule: CeilingRule) -> bool:
    return any(read.name == "lane" for read in reads(rule.condition))


def _note(rule: Rule, said: Ruling, refuses: bool, reason: str, refusals: Refusals, shadow: list[Shadow]) -> None:
    if rule.shadow:
        shadow.append(Shadow(said, refuses))
    elif refuses:
        refusals.add(reason, rule, said)


def _limit_ruling(rule: LimitRule, view: View) -> Ruling:
    return Ruling(rule.ref, "count", rule.count, view.used(rule.meter), 1)
