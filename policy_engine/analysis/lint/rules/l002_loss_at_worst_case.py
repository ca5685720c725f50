"""One execution may cost more than it brings in.

What: the ceilings of an outcome let one execution cost more than it brings in by some way of paying for it: at list
price, as an included unit of a plan, or from a pack. The cost is one that can be come to on the lane's first route
alone. Not reported where the execution brings in nothing at all (a free trial is meant), where nothing bounds the
cost, and for overage: those are other findings. Handoffs are no attempts and are left out.

Why: such an execution is sold at a loss, and nothing stops it. A `margin` is the ceiling that follows the price:
`margin at least 0%` already keeps every execution from costing more than it brings in.

Bad:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
    }

    lane standard {
      mini
    }

    pack burst {
      100 draft for $40
      expires 90d
    }

    workflow support {
      outcome draft {
        price $1
        lanes standard
        ceiling $0.60 per outcome
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

    pack burst {
      100 draft for $40
      expires 90d
    }

    workflow support {
      outcome draft {
        price $1
        lanes standard
        margin at least 30%
        ceiling $0.60 per outcome
      }
    }
"""

from collections.abc import Iterator
from dataclasses import dataclass

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.lint.tighter import blocks_around, prices
from policy_engine.analysis.worst import Case, Income, limit_of
from policy_engine.language.checked import CeilingRule
from policy_engine.language.diagnostics import Note
from policy_engine.language.units import PICOS_PER_NANO, print_money


@dataclass(frozen=True, slots=True)
class _Loss:
    case: Case
    income: Income
    bound_nanos: int

    @property
    def nanos(self) -> int:
        return self.bound_nanos - self.income.nanos


def check(subject: Subject) -> Iterator[Found]:
    for outcome in subject.checked.outcomes:
        if _surely_covered(subject, outcome):
            continue
        loss = max(_losses(subject, outcome), key=lambda found: found.nanos, default=None)
        if loss is not None:
            cost, brings = (
                print_money(nanos, subject.checked.currency) for nanos in (loss.bound_nanos, loss.income.nanos)
            )
            yield Found(
                span=subject.name_span("outcome", outcome),
                message=f"one `{outcome}` may cost up to {cost} and brings in {brings} {_paid(loss.income)}",
                hint="write `margin at least 0%` or more: it bounds the cost by what comes in",
                notes=_notes(subject, loss),
            )


def _surely_covered(subject: Subject, outcome: str) -> bool:
    """Quickly: a ceiling per outcome that always applies is at most all of the price, or the least of the prices."""
    least = prices(subject)[outcome].least
    for block in blocks_around(subject.checked, outcome):
        for rule in subject.rules_by_block[block].ceilings:
            if (
                rule.quantity == "spent"
                and rule.scope.execution == "outcome"
                and not rule.shadow
                and not rule.condition
            ):
                limit, share = rule.limit, rule.percent_of_price
                if (share is not None and share <= 100) or (limit is not None and limit <= least):
                    return True
    return False


def _losses(subject: Subject, outcome: str) -> Iterator[_Loss]:
    worst = subject.worst
    for case in worst.cases(outcome):
        for income in worst.incomes(outcome, case.plan):
            if income.kind == "overage" or income.nanos == 0:
                continue
            if worst.execution_nanos(case, price_nanos=income.nanos, conditional=True) is None:
                continue
            bound, slack = _attainable(subject, case, income.nanos)
            if bound - slack > income.nanos:
                yield _Loss(case, income, bound)


def _attainable(subject: Subject, case: Case, price: int) -> tuple[int, int]:
    """What attempts on the lane's first route can add up to, and by how much they may surely fall short of it.

    Every ceiling that may apply does. A model's attempt can be made as dear as its ceilings permit, to within one
    token; steps are as many as wanted.
    """
    route = subject.checked.routes[subject.checked.lanes[case.lane].path[0]]
    ceilings = subject.worst.held(case, route.name).ceilings(conditional=True)
    whole = _least(ceilings, "spent", price, ("outcome", None))
    each = _least(ceilings, "spent", price, ("attempt", "step", "outcome", None))
    attempts = _least(ceilings, "attempts", price, ("outcome", None))
    if whole is None or each is None:
        return 0, 0  # nothing bounds it but counts
    if route.cost_nanos is not None:
        if route.cost_nanos == 0 or route.cost_nanos > each:
            return 0, 0
        fits = whole // route.cost_nanos
        return route.cost_nanos * (fits if attempts is None else min(fits, attempts)), 0
    if route.rates is None:
        return 0, 0
    short = route.rates.steps[0]  # what long requests cost more is not needed to come to any amount
    dearest = max(short.input_picos, short.output_picos)
    if dearest == 0:
        return 0, 0
    token = -(-dearest // PICOS_PER_NANO)
    tokens = _least(ceilings, "tokens", price, ("attempt", "step", "outcome", None))
    all_tokens = _least(ceilings, "tokens", price, ("outcome", None))
    one = each if tokens is None else min(each, tokens * dearest // PICOS_PER_NANO)
    if all_tokens is not None:
        whole = min(whole, all_tokens * dearest // PICOS_PER_NANO)
    if attempts is not None and attempts * one < whole:
        return attempts * one, attempts * token
    return whole, token if attempts is None else attempts * token


def _least(ceilings: tuple[CeilingRule, ...], quantity: str, price: int, scopes: tuple[str | None, ...]) -> int | None:
    limits = (
        limit_of(rule, price) for rule in ceilings if rule.quantity == quantity and rule.scope.execution in scopes
    )
    return min((limit for limit in limits if limit is not None), default=None)


def _paid(income: Income) -> str:
    match income.kind:
        case "list":
            return "at list price"
        case "plan":
            return f"as an included unit of plan `{income.name}`"
    return f"from pack `{income.name}`"


def _notes(subject: Subject, loss: _Loss) -> tuple[Note, ...]:
    found = []
    if loss.income.kind != "list":
        found.append(Note("where it is paid for", subject.name_span(loss.income.kind, loss.income.name)))
    ceilings = subject.worst.held(loss.case, subject.checked.lanes[loss.case.lane].path[0]).ceilings(conditional=True)
    money = [rule for rule in ceilings if rule.quantity == "spent" and rule.scope.execution == "outcome"]
    tightest = min(money, key=lambda rule: limit_of(rule, loss.income.nanos) or 0, default=None)
    if tightest is not None and limit_of(tightest, loss.income.nanos) == loss.bound_nanos:
        found.append(Note("the tightest ceiling on one execution", tightest.span))
    return tuple(found)


RULE = LintRule(code="L002", name="loss-at-worst-case", topic="money", tier=Tier.WARNING, check=check)
