"""A share of the price bounds units that bring in nothing.

What: a unit brings in $0 (an allowance of a plan without a fee, an overage, pack or list price of $0), and a `margin`
or a ceiling of `N% of price` applies to it whatever the facts: its limit is $0. Reported only where every route that
the outcome may come to costs something.

Why: a share of nothing is nothing. Every attempt for these customers is refused, although the units are there to be
given away. Leave them out of the share (`unless plan is trial`), and bound what is given away by an amount.

Bad:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
    }

    lane standard {
      mini
    }

    plan trial {
      includes 25 draft
    }

    workflow support {
      outcome draft {
        price $1
        lanes standard
        margin at least 40%
      }
    }

Good:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
    }

    lane standard {
      mini
    }

    plan trial {
      includes 25 draft
      ceiling $0.20 per outcome
    }

    workflow support {
      outcome draft {
        price $1
        lanes standard
        margin at least 40% unless plan is trial
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.lint.tighter import blocks_around, prices
from policy_engine.analysis.worst import Case, Income, applies
from policy_engine.language.checked import BlockId, CeilingRule, Route
from policy_engine.language.diagnostics import Note


def check(subject: Subject) -> Iterator[Found]:
    for outcome in subject.checked.outcomes:
        if prices(subject)[outcome].least > 0:
            continue
        cases = tuple(subject.worst.cases(outcome))
        if not _always_costs(subject, cases):
            continue
        reported: set[CeilingRule] = set()
        for plan in dict.fromkeys(case.plan for case in cases):
            free = subject.worst.least_income(outcome, plan)
            share = _share(subject, outcome, plan) if free is not None and free.nanos == 0 else None
            if free is not None and share is not None and share not in reported:
                reported.add(share)
                yield Found(
                    span=share.span,
                    message=f"`{share.ref.name}` permits nothing for `{outcome}` {_of(free)}",
                    hint="write an amount instead"
                    if plan is None or share.block.kind == "plan"
                    else f"add `unless plan is {plan}`, and an amount for that plan",
                    notes=_notes(subject, free, outcome),
                )


def _always_costs(subject: Subject, cases: tuple[Case, ...]) -> bool:
    """Whether no attempt is free, in any lane."""
    routes = {route for case in cases for route in subject.worst.reached(case)}
    return not any(_is_free(subject.checked.routes[route]) for route in routes)


def _is_free(route: Route) -> bool:
    if route.rates is not None:
        return not all(step.input_picos and step.output_picos for step in route.rates.steps)
    return not route.cost_nanos


def _share(subject: Subject, outcome: str, plan: str | None) -> CeilingRule | None:
    """A share of the price that surely applies to an outcome for customers of a plan."""
    blocks = (*blocks_around(subject.checked, outcome), *([BlockId("plan", plan)] if plan is not None else []))
    who = {"outcome": outcome, "workflow": subject.checked.outcomes[outcome].workflow, "plan": plan}
    for block in blocks:
        for rule in subject.rules_by_block[block].ceilings:
            if rule.percent_of_price is not None and not rule.shadow and applies(rule, who) is True:
                return rule
    return None


def _of(income: Income) -> str:
    match income.kind:
        case "plan":
            return f"from the allowance of `{income.name}`"
        case "overage":
            return f"beyond the allowance of `{income.name}`"
        case "pack":
            return f"from the pack `{income.name}`"
    return "at list price"


def _notes(subject: Subject, income: Income, outcome: str) -> tuple[Note, ...]:
    kind = {"list": "outcome", "overage": "plan"}.get(income.kind, income.kind)
    return (Note("this brings in nothing", subject.name_span(kind, outcome if kind == "outcome" else income.name)),)


RULE = LintRule(code="L011", name="share-of-nothing", topic="money", tier=Tier.ERROR, check=check)
