"""Facts for a generated policy: known and unknown, and right at the edges of its own ceilings and conditions."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any
from weakref import WeakKeyDictionary

from policy_engine.evaluation.facts import (
    MISSING,
    AdmitFacts,
    AttemptFacts,
    FailureFacts,
    Given,
    Grant,
    ProgressFacts,
    Reading,
    given_type,
)
from policy_engine.evaluation.meters import every_meter
from policy_engine.language.checked import (
    ATTEMPTS,
    SPENT,
    TOKENS,
    CeilingRule,
    Fact,
    LimitRule,
    Linear,
    Meter,
    Rule,
    atoms,
)
from policy_engine.language.pricing import included_price_nanos, overage_meter
from policy_engine.language.units import share_nanos
from policy_engine.language.vocabulary import Unit
from policy_engine.policy import Policy
from policy_engine.testing.strategies.picking import Pick
from policy_engine.testing.strategies.words import CUSTOMERS, ERRORS, POOLS, STEPS, TEXTS

_SCALES = {Unit.MONEY: 10**9, Unit.DURATION: 10**6}


class Edges:
    """The numbers that a policy itself names, by what they are numbers of."""

    def __init__(self, policy: Policy) -> None:
        checked = policy.checked
        self.meters: tuple[Meter, ...] = every_meter(checked)
        self.prices = sorted({outcome.price_nanos for outcome in checked.outcomes.values()} | {0, 1})
        self.prices += [included_price_nanos(checked, p, o) for p in checked.plans.values() for o in p.includes]
        self.times = {0}
        self.used: dict[Meter, set[int]] = {meter: {0} for meter in self.meters}
        self.names: dict[str, set[int]] = {}
        for rule in checked.every_rule():
            self._of_rule(rule)
        for route in checked.routes.values():
            for step in route.rates.steps[1:] if route.rates is not None else ():
                self.names.setdefault("input_tokens", set()).update(_around(step.above_tokens))
        for plan in checked.plans.values():
            if plan.overage is not None and plan.overage.cap_nanos is not None:
                self.used[overage_meter(plan)] |= _around(plan.overage.cap_nanos)
                for price in plan.overage.prices_nanos.values():
                    self.used[overage_meter(plan)] |= _around(plan.overage.cap_nanos - price)

    def _of_rule(self, rule: Rule) -> None:
        if isinstance(rule, LimitRule):
            self.used[rule.meter] |= _around(rule.count)
        if isinstance(rule, CeilingRule):
            limits = [rule.limit] if rule.limit is not None else []
            limits += [share_nanos(rule.percent_of_price, p) for p in self.prices] if rule.percent_of_price else []
            for limit in limits:
                if rule.quantity == "elapsed":
                    self.times |= _around(limit)
                elif rule.meter in self.used:
                    self.used[rule.meter] |= _around(limit)
        for atom in atoms(rule.condition) if rule.condition is not None else ():
            if isinstance(atom, Linear):
                for factor, read in atom.terms:
                    edge = _around(int(atom.bound / factor))
                    if read.meter is not None:
                        self.used[read.meter] |= edge
                    else:
                        self.names.setdefault(read.name, set()).update(edge)


_EDGES: WeakKeyDictionary[Policy, Edges] = WeakKeyDictionary()


def _edges(policy: Policy) -> Edges:
    """Found once per policy: drawing facts looks at them each time."""
    if policy not in _EDGES:
        _EDGES[policy] = Edges(policy)
    return _EDGES[policy]


def _around(value: int) -> set[int]:
    return {max(0, value + step) for step in (-1, 0, 1)}


class Asking:
    """Draws the facts of decision points under one policy.

    `unknown` allows what is not known, `missing` required facts that were not given.
    """

    def __init__(self, pick: Pick, policy: Policy, *, unknown: bool = True, missing: bool = False) -> None:
        self._pick = pick
        self._checked = policy.checked
        self._edges = _edges(policy)
        self._unknown = unknown
        self._missing = missing

    # ------------------------------------------------------------ the records

    def admit(self, **fixed: Any) -> AdmitFacts:
        pick = self._pick
        return AdmitFacts(
            **{
                **self._execution(),
                "lane": pick.of((None, *self._checked.lanes)),
                "grants": self._grants(),
                **fixed,
            }
        )

    def attempt(self, **fixed: Any) -> AttemptFacts:
        pick = self._pick
        most = pick.of((500, None, 0, 1, 4000))
        least = None if most is None or pick.number(1) else pick.of((0, most // 2, most))
        return AttemptFacts(
            **{
                **self._running(),
                "max_output_tokens": most,
                "min_output_tokens": least,
                "estimate_nanos": self._estimate(),
                **fixed,
            }
        )

    def progress(self, **fixed: Any) -> ProgressFacts:
        pick = self._pick
        return ProgressFacts(
            **{
                **self._running(),
                "output_tokens": pick.of((0, 1, 499, 500, 501, 2000)),
                "output_cap": pick.of((None, 500, 0)),
                "attempt_elapsed_micros": self._some(self._edges.times),
                "estimate_nanos": self._estimate(),
                **fixed,
            }
        )

    def failure(self, **fixed: Any) -> FailureFacts:
        pick = self._pick
        running = {**self._running(), **fixed}
        others = [name for name in self._attempted() if name != running["route"]]
        visited = (*pick.some(others), running["route"])
        error = pick.of([name for name in ERRORS if name in self._checked.error_classes])
        retries = {name: 1 + pick.number(3) for name in pick.some(ERRORS, most=2)}
        return FailureFacts(**{**running, "error": error, "visited": visited, "retries": retries, **fixed})

    # ------------------------------------------------------------ what they share

    def _execution(self) -> dict[str, Any]:
        pick = self._pick
        found: dict[str, Any] = {
            "customer": pick.of(CUSTOMERS),
            "outcome": pick.of(list(self._checked.outcomes)),
            "plan": pick.of((None, *self._checked.plans)),
            "given": self.given(),
            "meters": self._readings(self._edges.meters),
        }
        if self._checked.escrow_nanos is not None and pick.number(1):
            found["escrow"] = Reading(self._some(_around(self._checked.escrow_nanos) | {0}))
        return found

    def _running(self) -> dict[str, Any]:
        pick = self._pick
        found = self._execution()
        return {
            **found,
            "lane": pick.of(self._checked.outcomes[found["outcome"]].lanes),
            "route": pick.of(self._attempted()),
            "step": pick.of(STEPS),
            "price_nanos": self._some(self._edges.prices),
            "attempt": self._some(self._named("attempt", (1, 2))) or 1,
            "failures": self._some(self._named("failures", (0, 1))),
            "elapsed_micros": self._some(self._edges.times | self._named("elapsed", (0,))),
            "step_elapsed_micros": self._some(self._edges.times),
            "input_tokens": self._maybe(self._some(self._named("input_tokens", (1000, 0, 5)))),
        }

    def _attempted(self) -> list[str]:
        return [name for name, route in self._checked.routes.items() if route.kind != "handoff"]

    def _estimate(self) -> int | None:
        pick = self._pick
        return self._some(self._named("estimate", (0, 10**7, 3 * 10**8))) if pick.one_in(3) else None

    def _readings(self, meters: Iterable[Meter]) -> dict[Meter, Reading | None]:
        """Mostly empty counters, else one at an edge; some unknown, some left out."""
        pick = self._pick
        found: dict[Meter, Reading | None] = {}
        for meter in meters:
            form = pick.number(7)
            if form >= 6 and self._unknown and meter not in (SPENT, ATTEMPTS, TOKENS):
                if form == 6:
                    found[meter] = None
            elif form <= 2:
                found[meter] = Reading()
            else:
                used = self._some(self._edges.used[meter])
                reserved = pick.of((0, 0, used, used // 2))
                found[meter] = Reading(used - reserved, reserved)
        return found

    def _grants(self) -> tuple[Grant, ...] | None:
        pick = self._pick
        if self._unknown and pick.one_in(8):
            return None
        return tuple(
            Grant(
                id=f"g{number}",
                kind=pick.of(("allowance", "pack", "promotion")),
                left=pick.of((1, 0, 2)),
                price_nanos=self._some(self._edges.prices),
                priority=pick.number(1),
                expires_micros=pick.of((None, 10, 20)),
            )
            for number in range(pick.of((0, 1, 1, 2, 3)))
        )

    def given(self) -> Given:
        facts = self._checked.facts
        return given_type(tuple(facts))(**{name: self._value(fact) for name, fact in facts.items()})

    def _value(self, fact: Fact) -> Any:
        pick = self._pick
        if fact.optional and self._unknown and pick.number(1):
            return None
        if self._missing and not fact.optional and fact.default is None and pick.one_in(6):
            return MISSING
        if fact.unit is Unit.ENUM:
            return pick.of(fact.values)
        if fact.unit is Unit.BOOLEAN:
            return pick.number(1) == 1
        if fact.unit is Unit.TEXT:
            return pick.of((*TEXTS, "c"))
        return self._amount(fact)

    def _amount(self, fact: Fact) -> int | float:
        """A value at or beside one that conditions compare with, inside the declared range."""
        scale = _SCALES.get(fact.unit, 1)
        near = {int(Fraction(text) * scale) + step for text in POOLS[fact.unit.value] for step in (-1, 0, 1)}
        near |= {0, *self._edges.names.get(fact.name, ())}
        low, high = fact.low, fact.high
        inside = {v for v in near if (low is None or v >= low) and (high is None or v <= high)}
        value = self._some(inside)
        return float(value) / self._pick.of((1, 2)) if fact.unit in (Unit.NUMBER, Unit.PERCENT) else value

    def _named(self, name: str, more: Sequence[int]) -> set[int]:
        return self._edges.names.get(name, set()) | set(more)

    def _some(self, values: Iterable[int]) -> int:
        return self._pick.of(sorted(set(values)))

    def _maybe(self, value: int) -> int | None:
        return None if self._unknown and self._pick.one_in(6) else value
