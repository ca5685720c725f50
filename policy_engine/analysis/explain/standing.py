"""Which rules can govern an outcome: what cannot apply to its plan, its lanes or any route it reaches is left out."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import product

from policy_engine.analysis.explain.amounts import Who
from policy_engine.evaluation.terms import fold
from policy_engine.language.checked import (
    AllowRule,
    CheckedPolicy,
    FallbackRule,
    RetryRule,
    Rule,
    Rules,
    Test,
    reads,
)

_OPEN = ("plan", "lane", "route", "error")
"""Names that an explanation may leave open."""


class Standing:
    """One outcome, perhaps one plan and one lane, and the rules that can apply to it there."""

    def __init__(self, policy: CheckedPolicy, outcome: str, plan: str | None = None, lane: str | None = None) -> None:
        self.policy = policy
        self.outcome = policy.outcomes[outcome]
        self.plan = plan
        self.lane = lane or (self.outcome.lanes[0] if len(self.outcome.lanes) == 1 else None)
        self.plans: tuple[str | None, ...] = (plan,) if plan is not None else (None, *policy.plans)
        self.lanes = (self.lane,) if self.lane is not None else self.outcome.lanes
        who: dict[str, str | None] = {"outcome": outcome, "workflow": self.outcome.workflow}
        if plan is not None or not policy.plans:
            who["plan"] = plan
        if self.lane is not None:
            who["lane"] = self.lane
        self.who: Who = who

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule that can apply, in (file, place) order."""
        found = [
            rule
            for rules in self._blocks()
            for rule in rules
            if self.can_apply(rule) or (isinstance(rule, AllowRule) and self._closes(rule, rules.allows))
        ]
        return tuple(sorted(found, key=lambda rule: rule.span.order))

    def _closes(self, rule: AllowRule, block: tuple[AllowRule, ...]) -> bool:
        """Whether an `allow` that cannot hold refuses somewhere: where no other of its block can hold either."""
        plans = (rule.block.name,) if rule.block.kind == "plan" else self.plans
        lanes = (rule.block.name,) if rule.block.kind == "lane" else self.lanes
        asked = [other for other in block if rule.shadow or not other.shadow]
        return any(
            not any(self.can_apply(other, plan=plan, lane=lane) for other in asked) for plan in plans for lane in lanes
        )

    def _blocks(self) -> Iterator[Rules]:
        policy = self.policy
        yield from policy.around(self.outcome.name, None)
        yield from (policy.plans[plan].rules for plan in self.plans if plan is not None)
        yield from (policy.lanes[lane].rules for lane in self.lanes)
        yield from (policy.routes[route].rules for route in self.routes)

    def fallbacks(self, lane: str) -> Iterator[FallbackRule]:
        """Those that can apply in a lane, in the order in which they are read."""
        file, workflow, outcome = self.policy.around(self.outcome.name, None)
        for rules in (outcome, workflow, self.policy.lanes[lane].rules, file):
            yield from (rule for rule in rules.fallbacks if self.can_apply(rule, lane=lane))

    def retries(self, lane: str, route: str) -> Iterator[RetryRule]:
        """Those that can apply on a route in a lane."""
        blocks = [*self.policy.around(self.outcome.name, None), self.policy.lanes[lane].rules]
        blocks += [self.policy.plans[plan].rules for plan in self.plans if plan is not None]
        blocks.append(self.policy.routes[route].rules)
        for rules in blocks:
            yield from (rule for rule in rules.retries if self.can_apply(rule, lane=lane, route=route))

    @cached_property
    def routes(self) -> tuple[str, ...]:
        """Every route that work can come to: on the lanes' paths, and where fallbacks lead."""
        return tuple(dict.fromkeys(route for lane in self.lanes for route in self.routes_of(lane)))

    def routes_of(self, lane: str) -> tuple[str, ...]:
        """Every route that work in a lane can come to."""
        path = self.policy.lanes[lane].path
        file, workflow, outcome = self.policy.around(self.outcome.name, None)
        named: list[str] = []
        for rules in (outcome, workflow, self.policy.lanes[lane].rules, file):
            # Which routes are reached is what is being found out, so no rule is left out for its route here.
            named += [
                rule.target
                for rule in rules.fallbacks
                if rule.target in self.policy.routes and self._fits(rule, {"lane": (lane,)})
            ]
        return tuple(dict.fromkeys((*path, *named)))

    def can_apply(self, rule: Rule, **settled: str | None) -> bool:
        """Whether the names that say who and what leave its condition open for some plan, lane, route and error."""
        if rule.condition is None:
            return True
        choices: dict[str, Iterable[str | None]] = {"lane": self.lanes}
        if _reads(rule, "route"):
            choices["route"] = self.attempted
        return self._fits(rule, choices | {name: (value,) for name, value in settled.items()})

    @cached_property
    def attempted(self) -> tuple[str, ...]:
        """The routes that serve attempts."""
        return tuple(route for route in self.routes if self.policy.routes[route].kind != "handoff")

    def _fits(self, rule: Rule, choices: dict[str, Iterable[str | None]]) -> bool:
        if rule.condition is None:
            return True
        choices = {"plan": self.plans, **choices}
        if isinstance(rule, RetryRule | FallbackRule):
            choices["error"] = sorted(rule.classes)
        if rule.block.kind in ("plan", "lane"):  # it stands in no other
            choices[rule.block.kind] = (rule.block.name,)
        if rule.block.kind == "route" and self.policy.routes[rule.block.name].kind != "handoff":
            choices["route"] = (rule.block.name,)
        names = [name for name in _OPEN if name in choices and _reads(rule, name)]
        return any(
            fold(rule.condition, {**self.who, **dict(zip(names, values, strict=True))}) is not False
            for values in product(*(tuple(choices[name]) for name in names))
        )

    def always_applies(self, rule: Rule, **settled: str | None) -> bool:
        """Whether nothing that is left open decides about it."""
        return self.left_of(rule, **settled) is None and self.can_apply(rule, **settled)

    def left_of(self, rule: Rule, **settled: str | None) -> Test | None:
        """What is left of its condition once all that is fixed is known; None where nothing is."""
        if rule.condition is None:
            return None
        who = {**self.who, **settled}
        if rule.block.kind in ("plan", "lane"):
            who[rule.block.kind] = rule.block.name
        if rule.block.kind == "route" and self.policy.routes[rule.block.name].kind != "handoff":
            who["route"] = rule.block.name
        left = fold(rule.condition, who)
        return None if isinstance(left, bool) else left


def _reads(rule: Rule, name: str) -> bool:
    return any(read.name == name and not read.is_fact for read in reads(rule.condition))
