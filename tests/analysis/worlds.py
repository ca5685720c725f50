"""Worlds of a generated policy by trying: small grids of values, real facts, and the reference's own reading of them.

Nothing here is the answerer's: what it excludes is looked for, what it finds is read again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Any, cast

from policy_engine.evaluation.facts import AdmitFacts, FailureFacts
from policy_engine.evaluation.reference.ceilings import tightest_per_outcome
from policy_engine.evaluation.reference.view import NO_PLAN, PointFacts, View
from policy_engine.language.checked import CheckedPolicy, Linear, Member, Read, Rule, Test, atoms, reads
from policy_engine.language.vocabulary import BUILTINS, NUMERIC, Point, Unit
from policy_engine.policy import Policy
from tests.generators import Asking, Shape
from tests.generators.picking import SeededPick
from tests.generators.policies import generated

WHOLE = (Unit.MONEY, Unit.DURATION, Unit.INTEGER)
Asked = list[tuple[Rule, bool | None]]


@dataclass(frozen=True)
class Setting:
    """A generated policy, and the rules of it that have a condition."""

    policy: Policy
    text: str
    rules: tuple[Rule, ...]

    @property
    def checked(self) -> CheckedPolicy:
        return self.policy.checked


def setting(seed: int) -> Setting:
    """The policy of a seed."""
    case = generated(SeededPick(seed), Shape(most_rules=4))
    rules = tuple(rule for rule in case.policy.checked.every_rule() if rule.condition is not None)
    return Setting(case.policy, case.text, rules)


def questions(of: Setting, seed: int, count: int) -> Iterator[Asked]:
    """Conditions of a policy, one to three at once, and what they shall come out as."""
    pick = SeededPick(seed)
    for _ in range(count if of.rules else 0):
        rules = pick.some(of.rules, least=1, most=3)
        yield [(rule, pick.of((True, False, None, True, False))) for rule in rules]


def wanted_of(asked: Asked) -> list[tuple[Test, bool | None]]:
    return [(cast("Test", rule.condition), truth) for rule, truth in asked]


def truth(test: Test, values: Mapping[str, Any]) -> bool | None:
    """The reference's own value of a condition for these values, in the forms that facts have."""
    view = View(cast("CheckedPolicy", None), Point.ADMIT, cast("PointFacts", None), lane=None, price_nanos=0)
    return view._truth(test, lambda read: _as_fact(read, values[read.name]))


def _as_fact(read: Read, value: Any) -> Any:
    return float(value) if isinstance(value, Fraction) and read.unit not in WHOLE else value


# ---------------------------------------------------------------- a grid of worlds


def grid(policy: CheckedPolicy, tests: Sequence[Test], most: int, seed: int) -> Iterator[dict[str, Any]]:
    """Consistent worlds about the edges of these conditions: all of the grid, or so many of it."""
    names = {read.name: read for test in tests for read in reads(test)}
    values = {name: edges(policy, read, tests) for name, read in names.items()}
    size = 1
    for some in values.values():
        size *= len(some)
    if size <= most:
        drawn: Iterator[tuple[Any, ...]] = product(*values.values())
    else:
        pick = SeededPick(seed)
        drawn = (tuple(pick.of(some) for some in values.values()) for _ in range(most))
    places = {tuple(place.get(name) for name in STRUCTURE if name in names) for place in all_places(policy)}
    for world in drawn:
        found = dict(zip(values, world, strict=True))
        at = tuple(found[name] for name in STRUCTURE if name in found)
        if at in places and not _out_of_order(policy, names, found):
            yield found


STRUCTURE = ("outcome", "workflow", "lane", "route")


def all_places(policy: CheckedPolicy) -> Iterator[dict[str, str]]:
    for outcome in policy.outcomes.values():
        for lane in outcome.lanes:
            blocks = (policy, policy.workflows[outcome.workflow], outcome, policy.lanes[lane])
            targets = {fallback.target for block in blocks for fallback in block.rules.fallbacks}
            for route in {*policy.lanes[lane].path, *targets} - {"next", "stop"}:
                if policy.routes[route].kind != "handoff":
                    yield {"outcome": outcome.name, "workflow": outcome.workflow, "lane": lane, "route": route}


def edges(policy: CheckedPolicy, read: Read, tests: Sequence[Test]) -> list[Any]:
    """Values of a name about what conditions compare it with, unknown among them where it may be."""
    found: list[Any] = []
    if read.is_fact:
        fact = policy.facts[read.name]
        found = [None] if fact.optional else []
    elif read.meter is not None or read.name in ("spent", "attempts") or BUILTINS[read.name].optional:
        found = [None]
    if read.unit not in NUMERIC:
        return found + _choices(policy, read, tests)
    numbers: set[Fraction] = {Fraction(0), Fraction(1)}
    for test in tests:
        for atom in atoms(test):
            if isinstance(atom, Linear):
                for coefficient, other in atom.terms:
                    if other.name == read.name:
                        edge = atom.bound / coefficient
                        whole = read.unit in WHOLE
                        numbers |= {Fraction(round(edge) if whole else round(edge, 3)) + step for step in (-1, 0, 1)}
                        numbers |= set() if whole else {edge + Fraction(step, 10) for step in (-1, 1)}
    low: Fraction | None = None if read.name == "remaining" else Fraction(0)
    high: Fraction | None = None
    if read.is_fact:
        low, high = policy.facts[read.name].low, policy.facts[read.name].high
        low = max(low or Fraction(0), Fraction(0)) if read.unit is Unit.DURATION else low
    low = Fraction(1) if read.name == "attempt" else low
    numbers |= {end for end in (low, high) if end is not None}
    inside = sorted(n for n in numbers if (low is None or n >= low) and (high is None or n <= high))
    return found + [int(n) if read.unit in WHOLE else n for n in inside if Fraction(repr(float(n))) == n]


def _choices(policy: CheckedPolicy, read: Read, tests: Sequence[Test]) -> list[Any]:
    if read.unit is Unit.BOOLEAN:
        return [True, False]
    if read.unit is Unit.TEXT:
        members = (atom for test in tests for atom in atoms(test) if isinstance(atom, Member) and atom.read == read)
        return [*dict.fromkeys(value for atom in members for value in atom.values), "zz"]
    if read.is_fact:
        return list(policy.facts[read.name].values)
    built_in: dict[str, list[Any]] = {
        "plan": [*policy.plans, NO_PLAN],
        "error": list(policy.error_classes),
        "outcome": list(policy.outcomes),
        "workflow": list(policy.workflows),
        "lane": list(policy.lanes),
        "route": list(policy.routes),
    }
    return built_in[read.name]


_INSIDE = {("minute", "hour"), ("hour", "day"), ("day", "week"), ("day", "month")}


def _out_of_order(policy: CheckedPolicy, names: Mapping[str, Read], values: Mapping[str, Any]) -> bool:
    """Whether a counter holds more than one that all of its work is part of."""
    meters = [(name, read.meter) for name, read in names.items() if read.meter is not None]
    for small, part in meters:
        for large, whole in meters:
            if values[small] is None or values[large] is None or part.quantity != whole.quantity:
                continue
            windows = _nested(str(part.scope.window), str(whole.scope.window))
            keys = (part.scope.key, whole.scope.key)
            nested = keys[1] in (None, keys[0]) or keys == ("outcome", "workflow")
            routes = part.quantity == "count" and "route" in (part.block.kind, whole.block.kind)
            blocks = part.block == whole.block or (whole.block.kind == "file" and not routes)
            if part.block.kind == "outcome" and whole.block.kind == "workflow":
                blocks = policy.outcomes[part.block.name].workflow == whole.block.name
            if windows and nested and blocks and values[small] > values[large]:
                return True
    return False


def _nested(part: str, whole: str) -> bool:
    return part == whole or any(small == part and _nested(large, whole) for small, large in _INSIDE)


def counters_out_of_order(policy: CheckedPolicy, rule: Rule, view: View) -> bool:
    """Whether the counters that a rule reads hold what no ledger would."""
    names = {read.name: read for read in reads(rule.condition)}
    return _out_of_order(policy, names, {name: view._look_up(read) for name, read in names.items() if read.meter})


# ---------------------------------------------------------------- real facts


def drawn(of: Setting, seed: int, count: int) -> Iterator[tuple[Point, PointFacts]]:
    """Facts of consistent places at the points where conditions are read."""
    pick = SeededPick(seed)
    asking = Asking(pick, of.policy, of.text)
    places = list(all_places(of.checked))
    for _ in range(count):
        place = pick.of(places)
        fixed = {name: place[name] for name in ("outcome", "lane", "route")}
        point = pick.of((Point.ADMIT, Point.ATTEMPT, Point.PROGRESS, Point.FAILURE))
        if point is Point.ADMIT:
            yield point, asking.admit(outcome=place["outcome"], lane=place["lane"])
        else:
            yield point, getattr(asking, point.value)(**fixed)


def view_of(policy: CheckedPolicy, point: Point, facts: PointFacts) -> View:
    """What conditions see of these facts."""
    price = facts.grants[0].price_nanos if isinstance(facts, AdmitFacts) and facts.grants else 0
    view = View(
        policy,
        point,
        facts,
        lane=facts.lane,
        price_nanos=getattr(facts, "price_nanos", price),
        estimate_nanos=getattr(facts, "estimate_nanos", None),
    )
    if isinstance(facts, FailureFacts):
        blocks = (*policy.around(facts.outcome, facts.plan), policy.lanes[facts.lane].rules)
        view.ceiling_nanos = tightest_per_outcome((rule for rules in blocks for rule in rules.ceilings), view)
    return view
