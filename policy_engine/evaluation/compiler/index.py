"""Which rules can apply to whom: found by name, not by asking every rule.

A rule whose condition demands `customer is "acme"` (or a plan, lane, route, …) can apply to
nobody else. Large blocks keep such rules in dictionaries, so that a decision looks at the
rules that can apply and not at all there are.
"""

from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from policy_engine.evaluation.terms import fold
from policy_engine.language.checked import (
    AllOf,
    AllowRule,
    CeilingRule,
    CheckedPolicy,
    FallbackRule,
    ForbidRule,
    LimitRule,
    Member,
    RetryRule,
    Rule,
    Rules,
    Test,
    atoms,
    reads,
)
from policy_engine.language.vocabulary import Point

SMALL = 24
"""Blocks with fewer rules are looked at whole."""

FEW = 16
"""So many customers that rules name may be told apart by the functions themselves."""

ANCHORS = ("customer", "plan", "workflow", "outcome", "lane", "route")

AnyRule = TypeVar("AnyRule", bound=Rule)


@dataclass(frozen=True, slots=True)
class Who:
    """Who and what a decision is about, as far as it is known when rules are looked up."""

    customer: str | None
    plan: str | None
    outcome: str
    workflow: str
    lane: str | None = None
    route: str | None = None
    any_customer: bool = False
    """Whether it is about every customer, and the function looks who it is."""


def anchor(test: Test | None) -> Member | None:
    """The comparison without which a condition cannot hold, where it is about who or what; None if there is none."""
    if isinstance(test, Member):
        return test if not test.read.is_fact and test.read.name in ANCHORS else None
    if isinstance(test, AllOf):
        return next((found for part in test.parts if (found := anchor(part)) is not None), None)
    return None


class BlockIndex:
    """The rules of one block by what they are anchored to."""

    def __init__(self, rules: Rules) -> None:
        self._whole = rules
        self._anchored: dict[tuple[str, str], list[Rule]] = {}
        self._free: list[Rule] = []
        listed = list(rules)
        self._small = len(listed) < SMALL
        if self._small:
            return
        for rule in listed:
            found = None if _speaks_to_all(rule) else anchor(rule.condition)
            if found is None:
                self._free.append(rule)
            else:
                for value in found.values:
                    self._anchored.setdefault((found.read.name, value), []).append(rule)

    def narrowed(self, who: Who) -> Rules:
        """The rules that can apply, in their order. An anchor whose name is not known yet keeps its rule."""
        if self._small or not self._anchored:
            return self._whole
        found = list(self._free)
        for name in ANCHORS:
            value = getattr(who, name)
            if value is not None:
                found += self._anchored.get((name, value), ())
            elif name in ("lane", "route") or (name == "customer" and who.any_customer):
                found += (rule for (anchored, _), rules in self._anchored.items() if anchored == name for rule in rules)
        unique = sorted(dict.fromkeys(found), key=lambda rule: rule.span.order)
        return _rules(unique)


def _speaks_to_all(rule: Rule) -> bool:
    """A block with an `allow` needs one that holds, so its allows matter even to whom they cannot apply; and a
    shadow `forbid` says of everyone whether it would refuse.
    """
    return isinstance(rule, AllowRule) or (isinstance(rule, ForbidRule) and rule.shadow)


def _rules(rules: Iterable[Rule]) -> Rules:
    listed = list(rules)

    def of(kind: type[AnyRule]) -> tuple[AnyRule, ...]:
        return tuple(rule for rule in listed if isinstance(rule, kind))

    return Rules(
        ceilings=of(CeilingRule),
        retries=of(RetryRule),
        allows=of(AllowRule),
        forbids=of(ForbidRule),
        limits=of(LimitRule),
        fallbacks=of(FallbackRule),
    )


class RuleIndex:
    """The whole policy, looked up by who and what. Blocks are indexed when they are first asked for."""

    def __init__(self, policy: CheckedPolicy) -> None:
        self.policy = policy
        every = list(policy.every_rule())
        admitting = [rule for rule in every if Point.ADMIT in rule.points]
        self.customers_of_admission = frozenset(_customers(admitting))
        self.admits_any_customer = len(self.customers_of_admission) <= FEW and all(map(_reads_alike, admitting))
        self.customers_of_attempts = frozenset(_customers(r for r in every if isinstance(r, CeilingRule)))
        self.customers_of_failures = frozenset(_customers(r for r in every if _is_read_at_failure(r)))
        self._blocks: dict[tuple[str, str], BlockIndex] = {}

    def narrowed(self, who: Who, lanes: Iterable[str]) -> CheckedPolicy:
        """The policy as far as it can concern this decision; everything else about it is the same."""
        policy = self.policy
        outcome, workflow = policy.outcomes[who.outcome], policy.workflows[who.workflow]
        file_rules = self._block("file", "", policy.rules, who)
        outcome_rules = self._block("outcome", who.outcome, outcome.rules, who)
        workflow_rules = self._block("workflow", who.workflow, workflow.rules, who)
        plans, routes = policy.plans, policy.routes
        changed = {lane: self._block("lane", lane, policy.lanes[lane].rules, who) for lane in lanes}
        narrowed_lanes = {lane: replace(policy.lanes[lane], rules=rules) for lane, rules in changed.items()}
        if who.plan is not None:
            plan = policy.plans[who.plan]
            plans = _over(plans, {who.plan: replace(plan, rules=self._block("plan", who.plan, plan.rules, who))})
        if who.route is not None:
            route = policy.routes[who.route]
            rules = self._block("route", who.route, route.rules, who)
            routes = _over(routes, {who.route: replace(route, rules=rules)})
        return replace(
            policy,
            rules=file_rules,
            outcomes=_over(policy.outcomes, {who.outcome: replace(outcome, rules=outcome_rules)}),
            workflows=_over(policy.workflows, {who.workflow: replace(workflow, rules=workflow_rules)}),
            lanes=_over(policy.lanes, narrowed_lanes),
            plans=plans,
            routes=routes,
        )

    def _block(self, kind: str, name: str, rules: Rules, who: Who) -> Rules:
        found = self._blocks.get((kind, name))
        if found is None:
            found = self._blocks[kind, name] = BlockIndex(rules)
        return found.narrowed(who)


Value = TypeVar("Value")


def _over(whole: Mapping[str, Value], changed: Mapping[str, Value]) -> Mapping[str, Value]:
    return ChainMap(dict(changed), whole)  # type: ignore[arg-type]  # it is only read


def _customers(rules: Iterable[Rule]) -> Iterator[str]:
    """Every customer that some of these rules name."""
    for rule in rules:
        for atom in atoms(rule.condition) if rule.condition is not None else ():
            if isinstance(atom, Member) and atom.read.name == "customer" and not atom.read.is_fact:
                yield from atom.values


def _reads_alike(rule: Rule) -> bool:
    """Whether a rule asks as much of a customer whom nobody names as it does before it is known who it is.

    Else a function for every customer would ask of all what is wanted of some.
    """
    if rule.condition is None:
        return True
    of_others = fold(rule.condition, {"customer": None})
    asked = set() if isinstance(of_others, bool) else {read.name for read in reads(of_others)}
    return asked == {read.name for read in reads(rule.condition)} - {"customer"}


def _is_read_at_failure(rule: Rule) -> bool:
    """Retries, fallbacks and handoff limits; and the money ceilings that `ceiling` stands for."""
    return Point.FAILURE in rule.points or isinstance(rule, CeilingRule)
