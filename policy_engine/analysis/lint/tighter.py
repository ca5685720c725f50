"""Which rule always decides before another: ceilings against ceilings, limits against limits.

A rule is *outdone* by another one if that one, for all facts, refuses whatever it would refuse: it counts at
least what the other counts, permits no more, and is checked wherever the other is. Then the first may be
taken away and no answer changes but the list of who decided. Shadow rules outdo nothing.

All is looked up by block, quantity and scope, so a rule is compared with a handful of others, not with all.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import wraps
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

from policy_engine.evaluation.terms import fold
from policy_engine.language.checked import (
    FILE_LEVEL,
    BlockId,
    CeilingRule,
    CheckedPolicy,
    LimitRule,
    Scope,
    Test,
)
from policy_engine.language.pricing import included_price_nanos, pack_price_nanos
from policy_engine.language.units import share_nanos

if TYPE_CHECKING:
    from policy_engine.analysis.lint.subject import Subject

Bound = CeilingRule | LimitRule

WIDER_WINDOWS = {
    "minute": ("hour", "day", "week", "month"),
    "hour": ("day", "week", "month"),
    "day": ("week", "month"),
    "week": (),  # a week may lie in two months
    "month": (),
}
"""The windows that hold every moment of a window in one piece."""

WIDER_EXECUTIONS = {"attempt": ("step", "outcome"), "step": ("outcome",), "outcome": ()}

FEW = 8
"""So many conditions of one kind in one block are compared pair by pair; beyond that only equal ones are found."""

_Made = TypeVar("_Made")


def once_for_each_subject(make: Callable[["Subject"], _Made]) -> Callable[["Subject"], _Made]:
    """Remember what is made of a subject for as long as the subject lives: several rules ask the same."""
    made: WeakKeyDictionary[Subject, _Made] = WeakKeyDictionary()

    @wraps(make)
    def remembered(subject: "Subject") -> _Made:
        if subject not in made:
            made[subject] = make(subject)
        return made[subject]

    return remembered


# ---------------------------------------------------------------- what an outcome brings in


@dataclass(frozen=True, slots=True)
class Prices:
    """The least and the most that one execution of an outcome brings in, by what the set itself says, in nano units."""

    least: int
    most: int


@once_for_each_subject
def prices(subject: "Subject") -> Mapping[str, Prices]:
    """By outcome: over its list price, its packs, and every plan that includes it or bills it as overage."""
    policy = subject.checked
    found = {name: [outcome.price_nanos] for name, outcome in policy.outcomes.items()}
    for pack in policy.packs.values():
        found[pack.outcome].append(pack_price_nanos(pack))
    for plan in policy.plans.values():
        for outcome in plan.includes:
            found[outcome].append(included_price_nanos(policy, plan, outcome))
        for outcome, nanos in plan.overage.prices_nanos.items() if plan.overage is not None else ():
            found[outcome].append(nanos)
    return {name: Prices(min(nanos), max(nanos)) for name, nanos in found.items()}


# ---------------------------------------------------------------- where a block's work is done


@once_for_each_subject
def outcomes_of_route(subject: "Subject") -> Mapping[str, tuple[str, ...]]:
    """Every route, with the outcomes that may come to it: through a lane or through a fallback that names it."""
    policy = subject.checked
    found: dict[str, dict[str, None]] = {name: {} for name in policy.routes}
    for lane in policy.lanes.values():
        for route in lane.path:
            found[route].update(dict.fromkeys(subject.outcomes_of_lane[lane.name]))
    for route, fallbacks in subject.fallbacks_to.items():
        for rule in fallbacks:
            found[route].update(dict.fromkeys(outcomes_of_block(subject, rule.block)))
    return {route: tuple(outcomes) for route, outcomes in found.items()}


def outcomes_of_block(subject: "Subject", block: BlockId) -> tuple[str, ...]:
    """The outcomes of which an execution may come under a block's rules; for a plan, those that it sells."""
    policy = subject.checked
    match block.kind:
        case "outcome":
            return (block.name,)
        case "workflow":
            return policy.workflows[block.name].outcomes
        case "lane":
            return subject.outcomes_of_lane[block.name]
        case "route":
            return outcomes_of_route(subject)[block.name]
        case "plan":
            plan = policy.plans[block.name]
            billed = plan.overage.prices_nanos if plan.overage is not None else {}
            return tuple({**plan.includes, **billed})
    return tuple(policy.outcomes)


def blocks_around(policy: CheckedPolicy, outcome: str) -> tuple[BlockId, ...]:
    """The blocks whose rules govern every execution of an outcome, innermost first."""
    return BlockId("outcome", outcome), BlockId("workflow", policy.outcomes[outcome].workflow), FILE_LEVEL


# ---------------------------------------------------------------- who outdoes whom


@dataclass(slots=True)
class _Group:
    """The enforced rules of one block, quantity and scope: the tightest under each condition (None: always)."""

    amounts: dict[Test | None, Bound] = field(default_factory=dict)
    shares: dict[Test | None, Bound] = field(default_factory=dict)

    def add(self, rule: Bound) -> None:
        kept = self.shares if share_of(rule) is not None else self.amounts
        other = kept.get(rule.condition)
        if other is None or _size(rule) < _size(other):
            kept[rule.condition] = rule


@dataclass(frozen=True, slots=True)
class Outdone:
    """`rule` never decides alone: `by` permits less, or the same of the same, wherever it applies."""

    rule: Bound
    by: Bound


class Tighter:
    """Finds what outdoes a rule. `above` looks in wider scopes alone, `beside` in the same scope and wider windows."""

    def __init__(self, subject: "Subject") -> None:
        self._subject = subject
        self._groups: dict[tuple[BlockId, str, Scope], _Group] = {}
        for rule in subject.every_rule:
            if isinstance(rule, CeilingRule | LimitRule) and not rule.shadow:
                self._groups.setdefault((rule.block, quantity_of(rule), rule.scope), _Group()).add(rule)

    def above(self, rule: Bound) -> Outdone | None:
        """Outdone within one execution by a wider scope: `per attempt` by `per step` or `per outcome`."""
        return self._search(
            rule, [(Scope(execution=wide), True) for wide in WIDER_EXECUTIONS[rule.scope.execution or "outcome"]]
        )

    def beside(self, rule: Bound) -> Outdone | None:
        """Outdone by a rule of the same scope (there the same limit is enough), or of a window around its own."""
        return self._search(rule, list(_around(rule.scope)))

    def _search(self, rule: Bound, scopes: list[tuple[Scope, bool]]) -> Outdone | None:
        """In the blocks around; for a lane's or route's rule on one execution, in every outcome it may be asked for."""
        if not scopes:
            return None
        own = [rule.block] if rule.block == FILE_LEVEL else [rule.block, FILE_LEVEL]
        policy = self._subject.checked
        match rule.block.kind:
            case "workflow" | "outcome":
                first = blocks_around(policy, rule.block.name) if rule.block.kind == "outcome" else own
                outcome = rule.block.name if rule.block.kind == "outcome" else None
                return self._first(rule, scopes, first, outcome)
            case "lane" | "route" if rule.scope.execution is not None:
                here = self._first(rule, scopes, own, None)
                return here or self._in_every_outcome(rule, scopes, outcomes_of_block(self._subject, rule.block))
        return self._first(rule, scopes, own, None)

    def _in_every_outcome(
        self, rule: Bound, scopes: list[tuple[Scope, bool]], outcomes: tuple[str, ...]
    ) -> Outdone | None:
        found = None
        for outcome in outcomes:
            found = self._first(rule, scopes, blocks_around(self._subject.checked, outcome), outcome)
            if found is None:
                return None
        return found

    def _first(
        self,
        rule: Bound,
        scopes: list[tuple[Scope, bool]],
        blocks: "list[BlockId] | tuple[BlockId, ...]",
        outcome: str | None,
    ) -> Outdone | None:
        known = prices(self._subject).get(outcome) if outcome is not None else None
        for block in blocks:
            for scope, strictly in scopes:
                group = self._groups.get((block, quantity_of(rule), scope))
                for other in self._candidates(group, rule, outcome) if group is not None else ():
                    if other is not rule and _permits_less(other, rule, known, strictly=strictly):
                        return Outdone(rule, other)
        return None

    def _candidates(self, group: _Group, rule: Bound, outcome: str | None) -> Iterator[Bound]:
        """The tightest rules of a group that apply wherever this one does."""
        for kept in (group.amounts, group.shares):
            for condition in dict.fromkeys((None, rule.condition)):
                if condition in kept:
                    yield kept[condition]
            others = [test for test in kept if test is not None and test != rule.condition]
            if len(others) <= FEW:
                who = self._who(rule, outcome)
                yield from (kept[test] for test in others if self._follows(rule, kept[test], test, who))

    def _who(self, rule: Bound, outcome: str | None) -> dict[str, str | None]:
        who: dict[str, str | None] = {}
        if outcome is not None:
            who = {"outcome": outcome, "workflow": self._subject.checked.outcomes[outcome].workflow}
        if rule.block.kind in ("workflow", "plan", "lane", "route"):
            who[rule.block.kind] = rule.block.name
        return who

    def _follows(self, rule: Bound, other: Bound, test: Test, who: Mapping[str, str | None]) -> bool:
        """Whether the other rule applies wherever this one does. A ceiling applies unless its condition is false."""
        if not rule.points <= other.points:
            return False
        then = fold(test, who)
        if isinstance(then, bool):
            return then
        given = True if rule.condition is None else fold(rule.condition, who)
        if isinstance(given, bool):
            return False  # it always applies here and the other does not (or never does: another rule's finding)
        return given == then or never_without(self._subject, given, then)


@once_for_each_subject
def tighter(subject: "Subject") -> Tighter:
    return Tighter(subject)


def never_without(subject: "Subject", given: Test, then: Test) -> bool:
    """Proven: wherever `given` is true or not known, `then` is true or not known."""
    from policy_engine.analysis.satisfy import Impossible, Want

    return all(
        isinstance(subject.satisfier.satisfy([Want(given, truth), Want(then, False)]), Impossible)
        for truth in (True, None)
    )


def quantity_of(rule: Bound) -> str:
    """`spent`, `attempts`, `tokens`, `elapsed`; a limit's is `count`, or `handoffs` where it stands in a route."""
    if isinstance(rule, CeilingRule):
        return rule.quantity
    return "handoffs" if rule.block.kind == "route" else "count"


def share_of(rule: Bound) -> Fraction | None:
    """The percent of the price that a ceiling is, None where it is an amount."""
    return rule.percent_of_price if isinstance(rule, CeilingRule) else None


def limit_of(rule: Bound, price_nanos: int) -> int:
    """The limit in the rule's own unit, a share of the price rounded down."""
    if isinstance(rule, LimitRule):
        return rule.count
    if rule.percent_of_price is not None:
        return share_nanos(rule.percent_of_price, price_nanos)
    assert rule.limit is not None  # noqa: S101 - the checker sets one or the other
    return rule.limit


def alerts_within(rule: Bound, by: Bound) -> tuple[list[Fraction], list[Fraction]]:
    """A rule's alerts that can fire although another one stops earlier, and those that cannot.

    What is counted never exceeds the other's limit. Between a share of the price and an amount nothing is
    proven: all of them may fire.
    """
    if (share_of(rule) is None) is not (share_of(by) is None):
        return list(rule.alerts), []
    can, cannot = list[Fraction](), list[Fraction]()
    for percent in rule.alerts:
        (can if _size(rule) * percent / 100 <= _size(by) else cannot).append(percent)
    return can, cannot


def _size(rule: Bound) -> Fraction:
    share = share_of(rule)
    return share if share is not None else Fraction(limit_of(rule, 0))


def _permits_less(other: Bound, rule: Bound, known: Prices | None, *, strictly: bool) -> bool:
    """Whether the other's limit is below this one's, at every price that may be asked."""
    if (share_of(other) is None) is (share_of(rule) is None):
        return _size(other) < _size(rule) if strictly else _size(other) <= _size(rule)
    if known is None:
        return False
    below, above = limit_of(other, known.most), limit_of(rule, known.least)
    return below < above if strictly else below <= above


def _around(scope: Scope) -> Iterator[tuple[Scope, bool]]:
    """The scope itself, then windows and keys that count at least as much; whether the limit must be lower there."""
    yield scope, False
    if scope.window is None:
        return
    keys = dict.fromkeys((scope.key, "workflow" if scope.key == "outcome" else scope.key, None))
    for window in (scope.window, *WIDER_WINDOWS[scope.window]):
        for key in keys:
            wide = Scope(key=key, window=window)
            if wide != scope:
                yield wide, True
