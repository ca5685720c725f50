"""The counters that an answer leans on, each with its limit: what a ledger checks again, atomically.

An evaluator answers from readings; between reading and reserving another thread may
have spent the rest. So the limits that apply go to the ledger with the amounts.
"""

from collections.abc import Iterable

from policy_engine.evaluation.evaluator import Bound
from policy_engine.evaluation.facts import AdmitFacts, AttemptFacts, FailureFacts
from policy_engine.evaluation.reference.ceilings import applying, limit_of
from policy_engine.evaluation.reference.view import View, Views
from policy_engine.language.checked import CheckedPolicy, LimitRule
from policy_engine.language.pricing import overage_meter
from policy_engine.language.vocabulary import Point


def admission_bounds(
    policy: CheckedPolicy, facts: AdmitFacts, lane: str, price_nanos: int, views: Views = View
) -> tuple[Bound, ...]:
    """The limits that apply to an admission into this lane, and the plan's overage cap."""
    view = views(policy, Point.ADMIT, facts, lane=lane, price_nanos=price_nanos)
    blocks = (*policy.around(facts.outcome, facts.plan), policy.lanes[lane].rules)
    bounds = _limits((rule for rules in blocks for rule in rules.limits), view)
    overage = policy.plans[facts.plan].overage if facts.plan is not None else None
    if facts.plan is not None and overage is not None and overage.cap_nanos is not None:
        bounds.append(Bound(overage_meter(policy.plans[facts.plan]), overage.cap_nanos))
    return tuple(bounds)


def attempt_bounds(
    policy: CheckedPolicy, facts: AttemptFacts, estimate_nanos: int | None, views: Views = View
) -> tuple[Bound, ...]:
    """The ceilings that apply to an attempt and are kept by counters."""
    view = views(
        policy, Point.ATTEMPT, facts, lane=facts.lane, price_nanos=facts.price_nanos, estimate_nanos=estimate_nanos
    )
    blocks = (
        *policy.around(facts.outcome, facts.plan),
        policy.lanes[facts.lane].rules,
        policy.routes[facts.route].rules,
    )
    enforced = (rule for rules in blocks for rule in rules.ceilings if not rule.shadow)
    return tuple(
        Bound(rule.meter, limit_of(rule, facts.price_nanos))
        for rule in applying(enforced, view)
        if rule.quantity != "elapsed" and rule.scope.execution != "attempt"
    )


def handoff_bounds(policy: CheckedPolicy, facts: FailureFacts, route: str, views: Views = View) -> tuple[Bound, ...]:
    """The limits of a handoff that apply."""
    view = views(policy, Point.FAILURE, facts, lane=facts.lane, price_nanos=facts.price_nanos)
    return tuple(_limits(policy.routes[route].rules.limits, view))


def _limits(rules: Iterable[LimitRule], view: View) -> list[Bound]:
    return [Bound(rule.meter, rule.count) for rule in rules if not rule.shadow and view.holds(rule) is not False]
