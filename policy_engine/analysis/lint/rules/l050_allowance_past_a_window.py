"""A plan includes more units than its windows let through.

What: one customer of the plan cannot use what the plan includes within its period: a `limit` on the outcome (or a
window ceiling on attempts, or one on money where every route has a flat cost) that surely holds for the plan's
customers admits fewer units, even if no unit is ever retried and the period is as long as it can be (31 days,
touching six weeks).

Why: the plan sells what the policy refuses. The customer who uses all that was paid for is denied, and asks why.

Bad:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    plan team { fee $49 per month  includes 600 reply }
    workflow support {
      limit 10 per customer per day
      outcome reply {
        price $1
        lanes standard
        ceiling $0.08 per outcome
      }
    }

Good:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    plan team { fee $49 per month  includes 600 reply }
    workflow support {
      limit 30 per customer per day
      outcome reply {
        price $1
        lanes standard
        ceiling $0.08 per outcome
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.worst import Case, applies
from policy_engine.language.checked import CeilingRule, LimitRule, Plan, Rules
from policy_engine.language.diagnostics import Note

MOST_WINDOWS = {
    ("day", "minute"): 25 * 60,  # a day of 25 hours, when the clock is set back
    ("day", "hour"): 25,
    ("day", "day"): 1,
    ("day", "week"): 1,
    ("day", "month"): 1,
    ("week", "minute"): (7 * 24 + 1) * 60,
    ("week", "hour"): 7 * 24 + 1,
    ("week", "day"): 7,
    ("week", "week"): 1,
    ("week", "month"): 2,
    ("month", "minute"): (31 * 24 + 1) * 60,
    ("month", "hour"): 31 * 24 + 1,
    ("month", "day"): 31,
    ("month", "week"): 6,
    ("month", "month"): 1,
}
"""How many windows (second) a period (first) can touch, at most."""


def check(subject: Subject) -> Iterator[Found]:
    for plan in subject.checked.plans.values():
        tight: dict[LimitRule | CeilingRule, int] = {}
        for outcome, units in plan.includes.items():
            for rule, each in _windows(subject, plan, outcome):
                tight[rule] = tight.get(rule, 0) + units * each
        for rule, needed in tight.items():
            assert rule.scope.window is not None  # noqa: S101 - only windows are looked at
            windows = MOST_WINDOWS[plan.period, rule.scope.window]
            most = _limit(rule)
            if most is not None and needed > most * windows:
                times = f" × {windows}" if windows > 1 else ""
                yield Found(
                    span=subject.name_span("plan", plan.name),
                    message=f"`{plan.name}` includes more than `{rule.ref.text}`{times} lets one customer use",
                    hint="raise the window, or include less",
                    notes=(Note("this is in the way", rule.span),),
                )


def _windows(subject: Subject, plan: Plan, outcome: str) -> Iterator[tuple[LimitRule | CeilingRule, int]]:
    """The windows that surely count every unit of an outcome in a plan, and what one unit takes at least."""
    policy = subject.checked
    blocks: list[Rules] = [*policy.around(outcome, plan.name)]
    lanes = policy.outcomes[outcome].lanes
    if len(lanes) == 1:
        blocks.append(policy.lanes[lanes[0]].rules)
    workflow = policy.outcomes[outcome].workflow
    who = {"plan": plan.name, "outcome": outcome, "workflow": workflow}
    least = _least_nanos(subject, plan.name, outcome)
    for rules in blocks:
        windows: tuple[LimitRule | CeilingRule, ...] = (*rules.limits, *rules.ceilings)
        for rule in windows:
            if rule.shadow or rule.scope.window is None or applies(rule, who) is not True:
                continue
            if rule.scope.key in ("lane", "route") or (rule.scope.key == "outcome" and len(plan.includes) > 1):
                continue
            if isinstance(rule, LimitRule) or rule.quantity == "attempts":
                yield rule, 1
            elif rule.quantity == "spent" and least:
                yield rule, least


def _least_nanos(subject: Subject, plan: str, outcome: str) -> int:
    """The least that one unit can cost: the cheapest flat cost, if no route is priced by its tokens; else nothing."""
    lanes = subject.checked.outcomes[outcome].lanes
    routes = (route for lane in lanes for route in subject.worst.reached(Case(outcome, lane, plan)))
    return min((subject.checked.routes[route].cost_nanos or 0 for route in routes), default=0)


def _limit(rule: LimitRule | CeilingRule) -> int | None:
    return rule.count if isinstance(rule, LimitRule) else rule.limit


RULE = LintRule(code="L050", name="allowance-past-a-window", topic="plans", tier=Tier.WARNING, check=check)
