"""An overage price below what one unit may cost.

What: a plan sells further units of an outcome at a price that the outcome's own ceilings do not keep the cost
under: in some lane that the plan's customers can enter, one execution may cost more than the overage brings in.
Ceilings that are a share of the price (a `margin`, `N% of price`) count at the overage price. Not reported where
the list price does not cover the worst case either, nor where nothing bounds the cost at all: those are other
findings.

Why: overage is the work nobody planned for, and every unit of it may lose money. The heaviest customer loses most.

Bad:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    plan team { fee $49 per month  includes 60 reply  overage $0.20 per reply }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
      }
    }

Good:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    plan team { fee $49 per month  includes 60 reply  overage $0.90 per reply }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.worst import Case
from policy_engine.language.diagnostics import Note
from policy_engine.language.units import print_money


def check(subject: Subject) -> Iterator[Found]:
    policy = subject.checked
    for plan in policy.plans.values():
        if plan.overage is None:
            continue
        for outcome, price in plan.overage.prices_nanos.items():
            found = _dearest(subject, plan.name, outcome, price)
            if found is None:
                continue
            worst, lane = found
            listed = policy.outcomes[outcome].price_nanos
            at_list = subject.worst.execution_nanos(Case(outcome, lane, plan.name), price_nanos=listed)
            if worst > price and at_list is not None and at_list <= listed:
                cost, brings = (print_money(nanos, policy.currency, grouping=True) for nanos in (worst, price))
                yield Found(
                    span=subject.overage_span(plan.name, outcome),
                    message=f"one `{outcome}` beyond the allowance brings in {brings} and may cost {cost}",
                    hint="raise the overage price, or lower the ceiling for this plan",
                    notes=(Note(f"in the lane `{lane}`", subject.name_span("lane", lane)),),
                )


def _dearest(subject: Subject, plan: str, outcome: str, price: int) -> tuple[int, str] | None:
    """The lane in which an execution may cost most, with the cost; None where something bounds nothing."""
    found = []
    for lane in subject.checked.outcomes[outcome].lanes:
        case = Case(outcome, lane, plan)
        if subject.worst.may_enter(case):
            nanos = subject.worst.execution_nanos(case, price_nanos=price)
            if nanos is None:
                return None
            found.append((nanos, lane))
    return max(found, default=None)


RULE = LintRule(code="L051", name="overage-below-worst-case", topic="plans", tier=Tier.WARNING, check=check)
