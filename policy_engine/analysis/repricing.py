"""What other prices would do to a policy: where the most that its rules permit is another amount."""

from collections.abc import Iterator
from dataclasses import dataclass

from policy_engine.analysis.worst import Case, Worst, tokens_nanos
from policy_engine.language.checked import CeilingRule, CheckedPolicy, RuleRef


@dataclass(frozen=True, slots=True)
class Move:
    """The most something may cost, before and now, in nano units; None where nothing bounds it.

    `ceiling` is the token ceiling whose worth it is, else `case` the execution that it bounds.
    """

    old_nanos: int | None
    new_nanos: int | None
    ceiling: RuleRef | None = None
    case: Case | None = None


def moves(old: CheckedPolicy, new: CheckedPolicy) -> tuple[Move, ...]:
    """Everything that moves between two pricings of one policy: token ceilings by place, then executions."""
    return (*_ceilings(old, new), *_executions(old, new))


def _ceilings(old: CheckedPolicy, new: CheckedPolicy) -> Iterator[Move]:
    rules = (rule for rule in new.every_rule() if isinstance(rule, CeilingRule) and rule.quantity == "tokens")
    for rule in sorted(rules, key=lambda rule: rule.span.order):
        before, now = _worth(old, rule), _worth(new, rule)
        if before != now:
            yield Move(before, now, ceiling=rule.ref)


def _worth(policy: CheckedPolicy, rule: CeilingRule) -> int:
    """What so many tokens as a ceiling permits cost at most, on any of the routes that it governs."""
    names = tuple(policy.routes)
    if rule.block.kind == "route":
        names = (rule.block.name,)
    elif rule.block.kind == "lane":
        names = policy.lanes[rule.block.name].path
    priced = (rates for name in names if (rates := policy.routes[name].rates) is not None)
    # Several attempts cost no more than one of all their tokens: a longer request never costs less per token.
    return max((tokens_nanos(rates, rule.limit or 0) for rates in priced), default=0)


def _executions(old: CheckedPolicy, new: CheckedPolicy) -> Iterator[Move]:
    before, now = Worst(old), Worst(new)
    for outcome in new.outcomes:
        told: set[tuple[str, int | None, int | None]] = set()
        for case in now.cases(outcome):
            pair = before.execution_nanos(case), now.execution_nanos(case)
            if pair[0] != pair[1] and (case.lane, *pair) not in told:  # once for all plans that are alike
                told.add((case.lane, *pair))
                yield Move(*pair, case=case)
