"""A ceiling is further away than the work can come.

What: what an execution, step or attempt can add up to is bounded by other rules (attempts x what the routes cost,
tokens x their dearest rate, for a step its routes x their retries), and the bound is below the ceiling in every
lane and for every plan. Costs are those that the routes state; a caller who states estimates of its own may
come further. Work that costs nothing at all is not reported.

Why: the amount looks like the limit and is none. If it was chosen with care, then the other bound is the slip: a
count with a digit missing, a rate per thousand in place of a million.

Bad:

    currency USD

    route search {
      tool "web search"
      cost $0.01
    }

    lane evidence {
      search
    }

    workflow research {
      outcome source_list {
        price $2
        lanes evidence
        ceiling 20 attempts per outcome
        ceiling $0.50 per outcome
      }
    }

Good:

    currency USD

    route search {
      tool "web search"
      cost $0.01
    }

    lane evidence {
      search
    }

    workflow research {
      outcome source_list {
        price $2
        lanes evidence
        ceiling 20 attempts per outcome
        ceiling $0.15 per outcome
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.reach import most_nanos, most_retries
from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.lint.tighter import outcomes_of_block
from policy_engine.analysis.worst import Case
from policy_engine.language.checked import CeilingRule
from policy_engine.language.units import print_money


def check(subject: Subject) -> Iterator[Found]:
    for rule in subject.every_rule:
        if not isinstance(rule, CeilingRule) or rule.limit is None or rule.scope.execution is None:
            continue
        if rule.quantity != "spent" and (rule.quantity, rule.scope.execution) != ("attempts", "step"):
            continue
        if rule.shadow:
            continue
        most = _most(subject, rule)
        lowest_alert = min(rule.alerts, default=None)
        if not most or (lowest_alert is not None and rule.limit * lowest_alert <= most * 100):
            continue
        what = "an execution" if rule.scope.execution == "outcome" else f"one {rule.scope.execution}"
        said = f"costs at most {print_money(most, subject.checked.currency)}"
        if rule.quantity == "attempts":
            said = f"makes at most {most} attempts" if most != 1 else "makes at most 1 attempt"
        yield Found(
            span=rule.span,
            message=f"`{rule.ref.name}` is out of reach: {what} {said}",
            hint="lower it to where it can decide, or remove it",
        )


def _most(subject: Subject, rule: CeilingRule) -> int | None:
    """The most that can come up to a ceiling, in all its cases; None if that may reach it, or there are no cases."""
    assert rule.limit is not None  # noqa: S101 - shares of a price are not asked for
    most = None
    for outcome in outcomes_of_block(subject, rule.block):
        for case in subject.worst.cases(outcome):
            if rule.block.kind in ("lane", "plan") and getattr(case, rule.block.kind) != rule.block.name:
                continue
            here = _in_case(subject, rule, case)
            if here is None or here >= rule.limit:
                return None
            most = max(most or 0, here)
    return most


def _in_case(subject: Subject, rule: CeilingRule, case: Case) -> int | None:
    routes = subject.worst.reached(case)
    if rule.block.kind == "route":
        routes = tuple(route for route in routes if route == rule.block.name)
    if rule.quantity == "attempts":
        return sum(1 + most_retries(subject, case, route) for route in routes)
    return most_nanos(subject, case, rule.scope.execution or "", routes)


RULE = LintRule(code="L006", name="ceiling-out-of-reach", topic="money", tier=Tier.NOTE, check=check)
