"""From a witness to the facts of a decision point: what conditions ask for, and ordinary values for the rest.

A witness speaks of the names that conditions read; a decision point takes more. `complete` adds it, so that
the engine can be asked whether the world that was found does what was said of it (`confirmed`).
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any
from weakref import WeakKeyDictionary

from policy_engine.analysis.flips import Flip, flips
from policy_engine.analysis.replaying import confirmed, counter_unit, readable, replay
from policy_engine.analysis.satisfy import NO_PLAN, Value, Witness
from policy_engine.analysis.satisfy.world import STRUCTURE, World
from policy_engine.evaluation.facts import FactError, FailureFacts
from policy_engine.evaluation.meters import meters_of
from policy_engine.evaluation.reference.ceilings import tightest_per_outcome
from policy_engine.evaluation.reference.view import View
from policy_engine.language.checked import (
    ATTEMPTS,
    SPENT,
    TOKENS,
    CheckedPolicy,
    Fact,
    Member,
    Meter,
    Read,
    Rules,
    atoms,
)
from policy_engine.language.pricing import included_price_nanos, overage_meter
from policy_engine.language.vocabulary import Point, Unit
from policy_engine.policy import Policy

__all__ = ["Flip", "complete", "confirmed", "flips", "replay"]

_EXECUTION = (SPENT, ATTEMPTS, TOKENS)
_WORLDS: WeakKeyDictionary[Policy, World] = WeakKeyDictionary()
_NAMED: WeakKeyDictionary[Policy, dict[str, list[str]]] = WeakKeyDictionary()
"""What is made once per policy: its world, and the values that its conditions compare each fact with."""


def complete(policy: Policy, witness: Witness, point: Point, **fixed: Any) -> dict[str, Any] | None:
    """A mapping that `policy.facts(point, …)` takes: the witness's values, everything else filled in.

    Values are in readable forms (`"$0.30"`, `"90s"`); what the witness has as unknown is left out or None.
    `fixed` are entries of the mapping, as a caller writes them. `ceiling` cannot be given: it is what the
    policy says, and a witness that needs another one is not borne out by the replay; `remaining` is made by
    a reservation. None where no mapping does: names that do not go together, a value that the boundary
    does not take.
    """
    point = Point(point)
    values: dict[str, Value] = {read.name: value for read, value in witness.values.items()}
    place = _place(policy, values, fixed)
    if place is None or fixed.get("plan") not in (None, *policy.checked.plans):
        return None
    filler = _Filler(policy, point, values, dict(zip(STRUCTURE, place, strict=True)), fixed)
    entries = filler.entries()
    for read, value in witness.values.items():
        if read.meter is not None and point is not Point.SETTLE and read.meter not in _EXECUTION:
            entries["meters"][read.name] = filler.shown(value, counter_unit(read.meter))
    entries |= {name: value for name, value in fixed.items() if name not in ("meters", "workflow")}
    if "meters" in fixed:
        entries["meters"] |= fixed["meters"]
    try:
        if point is Point.FAILURE and values.get("remaining") is not None:
            _reserve(policy, entries, int(values["remaining"]))  # type: ignore[arg-type]  # money is whole
        policy.facts(point, entries)
    except FactError:
        return None
    return entries


def _place(policy: Policy, values: Mapping[str, Value], fixed: Mapping[str, Any]) -> tuple[str, str, str, str] | None:
    """The outcome, workflow, lane and route that all of this can happen at."""
    if policy not in _WORLDS:
        _WORLDS[policy] = World(policy.checked)
        _NAMED[policy] = _named(policy.checked)
    named = {name: fixed.get(name, values.get(name)) for name in STRUCTURE}
    return _WORLDS[policy].place({name: frozenset({value}) for name, value in named.items() if value is not None})


def _named(policy: CheckedPolicy) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for rule in policy.every_rule():
        for atom in atoms(rule.condition) if rule.condition is not None else ():
            if isinstance(atom, Member) and atom.read.is_fact:
                found.setdefault(atom.read.name, []).extend(atom.values)
    return found


class _Filler:
    """Makes the entries of one point."""

    def __init__(
        self,
        policy: Policy,
        point: Point,
        values: Mapping[str, Value],
        place: Mapping[str, str],
        fixed: Mapping[str, Any],
    ) -> None:
        self._policy = policy
        self._checked = policy.checked
        self._point = point
        self._values = values
        self._place = place
        self._fixed = fixed

    def shown(self, value: Any, unit: Unit) -> Any:
        return readable(value, unit, self._checked.currency)

    def _value(self, name: str, unit: Unit, ordinary: Any) -> Any:
        """The witness's value of a name, else an ordinary one."""
        return self.shown(self._values.get(name, ordinary), unit)

    def entries(self) -> dict[str, Any]:
        if self._point is Point.SETTLE:
            return self._settlement()
        made: dict[str, Any] = {
            "customer": self._value("customer", Unit.TEXT, "acme"),
            "outcome": self._place["outcome"],
        }
        plan = self._plan()
        if plan is not None:
            made["plan"] = plan
        if self._point is Point.ADMIT:
            if self._values.get("lane") is not None:
                made["lane"] = self._values["lane"]
            made["grants"] = self._grants(plan)
        else:
            made |= self._running(plan)
        made |= self._facts()
        made["meters"] = {
            str(meter): self.shown(0, counter_unit(meter)) for meter in self._counters(plan) if meter not in _EXECUTION
        }
        return made

    def _settlement(self) -> dict[str, Any]:
        price = self._value("price", Unit.MONEY, self._checked.outcomes[self._place["outcome"]].price_nanos)
        return {"outcome": self._place["outcome"], "state": "running", "event": "deliver", "price": price}

    def _plan(self) -> str | None:
        """The witness's plan, else one that sells the outcome, else none."""
        if "plan" in self._fixed:
            plan: str | None = self._fixed["plan"]
            return plan
        if "plan" in self._values:
            value = self._values["plan"]
            return None if value is NO_PLAN or value is None else str(value)
        outcome = self._place["outcome"]
        for name, plan_ in self._checked.plans.items():
            if outcome in plan_.includes or (plan_.overage is not None and outcome in plan_.overage.prices_nanos):
                return name
        return None

    def _price_nanos(self, plan: str | None) -> int:
        """What the witness says, else the plan's share for an included unit, else the list price."""
        value = self._values.get("price")
        if isinstance(value, int | Fraction):
            return int(value)
        outcome = self._place["outcome"]
        if plan is not None and outcome in self._checked.plans[plan].includes:
            return included_price_nanos(self._checked, self._checked.plans[plan], outcome)
        return self._checked.outcomes[outcome].price_nanos

    def _grants(self, plan: str | None) -> list[dict[str, Any]]:
        """One unit to draw on, where a customer without a plan would not just pay the list price."""
        if plan is None and "price" not in self._values:
            return []
        grant = {"id": "g1", "left": 1, "price": self.shown(self._price_nanos(plan), Unit.MONEY)}
        return [grant if plan is not None else {**grant, "kind": "pack"}]

    def _running(self, plan: str | None) -> dict[str, Any]:
        failed = int(self._point is Point.FAILURE)
        made: dict[str, Any] = {
            "lane": self._place["lane"],
            "route": self._place["route"],
            "step": self._value("step", Unit.TEXT, "main"),
            "price": self.shown(self._price_nanos(plan), Unit.MONEY),
            "attempt": self._value("attempt", Unit.INTEGER, 1),
            "failures": self._value("failures", Unit.INTEGER, failed),
            "elapsed": self._value("elapsed", Unit.DURATION, 0),
            "spent": self._value("spent", Unit.MONEY, 0),
            "attempts": self._value("attempts", Unit.INTEGER, failed),
            "tokens": 0,
            "input_tokens": self._value("input_tokens", Unit.INTEGER, 1000),
        }
        if self._point is Point.FAILURE:
            made["error"] = self._value("error", Unit.ENUM, "timeout")
            made["visited"] = [self._place["route"]]
        elif "estimate" in self._values:
            made["estimate"] = self._value("estimate", Unit.MONEY, None)
        if self._point is Point.ATTEMPT and ("estimate" not in self._values or made["estimate"] is not None):
            made["max_output_tokens"] = 500  # without a cap, a priced model has no estimate
        return {name: value for name, value in made.items() if value is not None}

    def _facts(self) -> dict[str, Any]:
        """The witness's facts, and ordinary values for those that have no default."""
        made: dict[str, Any] = {}
        for name, fact in self._checked.facts.items():
            value = self._values[name] if name in self._values else self._ordinary(fact)
            if value is not None:
                made[name] = self.shown(value, fact.unit)
        return made

    def _ordinary(self, fact: Fact) -> Any:
        """Of an enum, the value that conditions name least: most likely the one that nothing is special about."""
        if fact.default is not None:
            return None  # the boundary knows it
        if fact.values:
            return min(fact.values, key=_NAMED[self._policy].get(fact.name, []).count)
        if fact.unit is Unit.TEXT:
            return fact.name
        if fact.unit is Unit.BOOLEAN:
            return False
        return _WORLDS[self._policy].domain(Read(fact.name, fact.unit, is_fact=True), (), known=True).pick()

    def _counters(self, plan: str | None) -> Iterator[Meter]:
        """The counters that rules in force here check or read."""
        outcome = self._checked.outcomes[self._place["outcome"]]
        lanes = outcome.lanes if self._point is Point.ADMIT else (self._place["lane"],)
        blocks: list[Rules] = [
            *self._checked.around(outcome.name, plan),
            *(self._checked.lanes[n].rules for n in lanes),
        ]
        routes = self._checked.routes
        if self._point is Point.FAILURE:
            blocks += [route.rules for route in routes.values() if route.kind == "handoff"]
        if self._point is not Point.ADMIT:
            blocks.append(routes[self._place["route"]].rules)
        found = dict.fromkeys(meter for rules in blocks for meter in meters_of(rules))
        if self._point is Point.ADMIT:
            found = {meter: None for meter in found if meter.scope.execution is None}
            overage = None if plan is None else self._checked.plans[plan].overage
            if plan is not None and overage is not None and overage.cap_nanos is not None:
                found[overage_meter(self._checked.plans[plan])] = None
        return iter(found)


def _reserve(policy: Policy, entries: dict[str, Any], remaining: int) -> None:
    """Reserve what leaves so much of the ceiling; no change where that is more than there is."""
    record = policy.facts(Point.FAILURE, entries)
    assert isinstance(record, FailureFacts)  # noqa: S101 - what was asked for
    ceiling = tightest(policy.checked, record)
    reading = record.meters.get(SPENT)
    if ceiling is None or reading is None:
        return
    reserved = ceiling - reading.settled - remaining
    if reserved > 0:
        entries["reserved"] = readable(reserved, Unit.MONEY, policy.checked.currency)


def tightest(policy: CheckedPolicy, facts: FailureFacts) -> int | None:
    """What `ceiling` is at a failure, in nano units."""
    blocks = (*policy.around(facts.outcome, facts.plan), policy.lanes[facts.lane].rules)
    view = View(policy, Point.FAILURE, facts, lane=facts.lane, price_nanos=facts.price_nanos)
    return tightest_per_outcome((rule for rules in blocks for rule in rules.ceilings), view)
