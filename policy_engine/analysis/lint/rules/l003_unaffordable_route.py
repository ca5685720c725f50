"""A route costs more than a ceiling over it ever permits.

What: a tool, or a model with a flat cost, has a cost per attempt that is above a money ceiling which applies to
every attempt on it: the ceiling of the route, of a lane or of an outcome, whatever its scope. A share of the price is
taken at the highest price. Conditional ceilings are not looked at.

Why: every attempt on that route is refused before it is made, unless the caller states a lower estimate of its own.
The step fails with `over_ceiling`, and it looks like a shortage of budget.

Bad:

    currency USD

    route search {
      tool "web search"
      cost $0.10
    }

    lane evidence {
      search
    }

    workflow research {
      outcome source_list {
        price $2
        lanes evidence
        ceiling $0.05 per outcome
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
        ceiling $0.05 per outcome
      }
    }
"""

from collections.abc import Iterable, Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.lint.tighter import blocks_around, limit_of, outcomes_of_route, prices
from policy_engine.language.checked import BlockId, CeilingRule
from policy_engine.language.diagnostics import Note
from policy_engine.language.units import print_money


def check(subject: Subject) -> Iterator[Found]:
    tightest = {block: _tightest(rules.ceilings) for block, rules in subject.rules_by_block.items()}
    for route in subject.checked.routes.values():
        if not route.cost_nanos or route.kind == "handoff":
            continue
        over: dict[CeilingRule, None] = {}
        for block, price in _blocks(subject, route.name):
            over.update((rule, None) for rule in tightest[block] if limit_of(rule, price) < route.cost_nanos)
        cost = print_money(route.cost_nanos, subject.checked.currency)
        for rule in over:
            yield Found(
                span=rule.span,
                message=f"no attempt on `{route.name}` fits under `{rule.ref.name}`: each costs {cost}",
                hint="raise the ceiling, or take the route out of the lane",
                notes=(Note(f"`{route.name}`", subject.name_span("route", route.name)),),
            )


def _tightest(ceilings: Iterable[CeilingRule]) -> tuple[CeilingRule, ...]:
    """The least amount and the least share of the price of one block, of the ceilings that always apply."""
    money = [rule for rule in ceilings if rule.quantity == "spent" and not rule.shadow and rule.condition is None]
    amounts = [rule for rule in money if rule.limit is not None]
    shares = [rule for rule in money if rule.percent_of_price is not None]
    least = [min(amounts, key=lambda rule: rule.limit or 0)] if amounts else []
    return (*least, *([min(shares, key=lambda rule: rule.percent_of_price or 0)] if shares else []))


def _blocks(subject: Subject, route: str) -> Iterator[tuple[BlockId, int]]:
    """Every block over an attempt on a route, with the most that an execution there brings in."""
    known = prices(subject)
    for outcome in outcomes_of_route(subject)[route]:
        for block in (BlockId("route", route), *blocks_around(subject.checked, outcome)):
            yield block, known[outcome].most
    for lane in subject.lanes_of_route[route]:
        for outcome in subject.outcomes_of_lane[lane]:
            yield BlockId("lane", lane), known[outcome].most


RULE = LintRule(code="L003", name="unaffordable-route", topic="money", tier=Tier.WARNING, check=check)
