"""What an execution can bring in, what ceilings allow at those prices, and which ceiling makes another idle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policy_engine.evaluation.terms import fold, is_looked_at
from policy_engine.language.checked import BlockId, CeilingRule, CheckedPolicy, Rule, Test
from policy_engine.language.pricing import included_price_nanos, pack_price_nanos
from policy_engine.language.units import share_nanos
from policy_engine.language.vocabulary import FILE, Point

Who = Mapping[str, str | None]
"""Names that are settled: `outcome`, `workflow`, perhaps `plan`, `lane`, `route`, `error`."""


@dataclass(frozen=True, slots=True)
class Price:
    """What one execution brings in, by what it draws on: `included`, `overage`, `pack` (named) or `list`."""

    draw: str
    nanos: int
    pack: str | None = None


def prices(policy: CheckedPolicy, outcome: str, plan: str | None) -> tuple[Price, ...]:
    """Every price of an outcome for a customer on this plan, or without one; empty if it is not sold to them."""
    found = []
    if plan is None:
        found.append(Price("list", policy.outcomes[outcome].price_nanos))
    else:
        terms = policy.plans[plan]
        if outcome in terms.includes:
            found.append(Price("included", included_price_nanos(policy, terms, outcome)))
        if terms.overage is not None and outcome in terms.overage.prices_nanos:
            found.append(Price("overage", terms.overage.prices_nanos[outcome]))
    packs = (policy.packs[name] for name in sorted(policy.packs))
    return (*found, *(Price("pack", pack_price_nanos(pack), pack.name) for pack in packs if pack.outcome == outcome))


def limit_at(rule: CeilingRule, price_nanos: int) -> int:
    """The limit in the rule's own unit: as written, or a share of the price rounded down."""
    if rule.percent_of_price is not None:
        return share_nanos(rule.percent_of_price, price_nanos)
    assert rule.limit is not None  # noqa: S101 - the checker sets one or the other
    return rule.limit


def tightness(rule: CeilingRule, at: Sequence[Price]) -> int:
    """The least that a ceiling can come to: what ceilings of one quantity are sorted by."""
    return min((limit_at(rule, price.nanos) for price in at), default=limit_at(rule, 0))


_INSIDE = ("attempt", "step", "outcome")
_WINDOWS = {"minute": 0, "hour": 1, "day": 2, "week": 3, "month": 3}


def makes_idle(one: CeilingRule, other: CeilingRule, who: Who, at: Sequence[Price], policy: CheckedPolicy) -> bool:
    """Whether `one` refuses wherever `other` would, so that `other` never decides anything alone.

    It must be checked wherever `other` is, count at least what `other` counts, and allow no more at any
    of the prices. Of two that say the same, the first makes the second idle.
    """
    if one is other or one.shadow or one.quantity != other.quantity or not _is_checked(one, other, who):
        return False
    if not counts_all(one, other, policy) or not _allows_no_more(one, other, at):
        return False
    if counts_all(other, one, policy) and _allows_no_more(other, one, at) and _is_checked(other, one, who):
        return one.span.order < other.span.order
    return True


def _is_checked(one: CeilingRule, other: CeilingRule, who: Who) -> bool:
    """Whether `one` is checked wherever `other` is."""
    running = {Point.ATTEMPT, Point.PROGRESS}
    if one.block.kind == "route" and one.block != other.block:
        return False
    if not other.points & running <= one.points:
        return False
    if other.scope.window is not None and is_looked_at(other) and not is_looked_at(one):
        return False
    if other.block.kind == "route":
        who = {**who, "route": other.block.name}
    left = _left(one, who)
    return left is True or left == _left(other, who)


def _left(rule: Rule, who: Who) -> Test | bool:
    return True if rule.condition is None else fold(rule.condition, who)


def _allows_no_more(one: CeilingRule, other: CeilingRule, at: Sequence[Price]) -> bool:
    if one.percent_of_price is not None and other.percent_of_price is not None:
        return one.percent_of_price <= other.percent_of_price
    if one.limit is not None and other.limit is not None:
        return one.limit <= other.limit
    return bool(at) and all(limit_at(one, price.nanos) <= limit_at(other, price.nanos) for price in at)


def counts_all(one: CeilingRule, other: CeilingRule, policy: CheckedPolicy) -> bool:
    """Whether everything that `other` counts is counted by `one` in the same counter."""
    wide, narrow = one.scope, other.scope
    if narrow.execution is not None and wide.execution is not None:
        on_route = one.block.kind == "route"  # inside an execution only a route tells attempts apart
        return _INSIDE.index(narrow.execution) <= _INSIDE.index(wide.execution) and (
            not on_route or one.block == other.block
        )
    if narrow.execution is not None:
        # An execution may outlast a window; one attempt is counted whole in the window of its start.
        return narrow.execution == "attempt" and other.quantity != "elapsed"
    if wide.window is None or narrow.window is None:
        return False
    same_key = wide.key in (None, narrow.key) or (wide.key == "workflow" and narrow.key == "outcome")
    longer = wide.window == narrow.window or _WINDOWS[narrow.window] < _WINDOWS[wide.window]
    return same_key and longer and _holds(one.block, other.block, policy)


def _holds(wide: BlockId, narrow: BlockId, policy: CheckedPolicy) -> bool:
    """Whether a block contains all the work of another one."""
    if wide == narrow or wide.kind == FILE:
        return True
    if wide.kind == "workflow" and narrow.kind == "outcome":
        return policy.outcomes[narrow.name].workflow == wide.name
    return False
