"""Which single fact, a little different, would have changed the answer?

Candidates come from what the policy compares with: thresholds of conditions given everything else, ceilings
and limits less what is asked, the other values of enums, other plans and error classes. Each is replayed;
what is returned was seen.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from policy_engine.analysis.replaying import counter_unit, readable, replay, sentence
from policy_engine.evaluation.context import SETTLE_EVENTS
from policy_engine.evaluation.decision import Decision
from policy_engine.evaluation.facts import AdmitFacts, AttemptFacts, FactError, Facts, FailureFacts, SettleFacts
from policy_engine.evaluation.terms import exact
from policy_engine.language.checked import (
    ATTEMPTS,
    SPENT,
    TOKENS,
    CeilingRule,
    LimitRule,
    Linear,
    Member,
    Meter,
    Read,
    RetryRule,
    Rule,
    Rules,
    atoms,
)
from policy_engine.language.pricing import overage_meter
from policy_engine.language.units import share_nanos
from policy_engine.language.vocabulary import BUILTINS, Point, Unit
from policy_engine.policy import Policy

MAX_REPLAYED = 2_000
"""Candidates that are tried at most, the smallest changes first."""

_EXECUTION = {SPENT: "spent", ATTEMPTS: "attempts", TOKENS: "tokens"}
_SMALL = {"price": "price_nanos", "estimate": "estimate_nanos", "elapsed": "elapsed_micros"}
_ANOTHER = Fraction(1, 2)
"""How far one of several names is from another; of an ordered enum's values, that far from end to end."""


@dataclass(frozen=True, slots=True)
class Flip:
    """A change of one entry that changes the decision: the entry's name → its new value, in readable form.

    `facts` is the whole mapping with the change made, `before` the old value, `decision` what the engine said.
    """

    changes: dict[str, Any]
    decision: Decision
    before: Any = None
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        ((name, value),) = self.changes.items()
        return f"`{name}` {sentence(value)} instead of {sentence(self.before)}: {answer_of(self.decision)}"


def answer_of(decision: Decision) -> str:
    """Effect, lane and route in a few words."""
    lane, route = getattr(decision, "lane", None), getattr(decision, "route", None)
    words = [decision.effect.replace("_", " ")]
    words += [f"in lane {lane}"] if lane else []
    words += [f"to {route}"] if route and not lane and decision.effect != "retry" else []
    return " ".join(words)


def flips(policy: Policy, point: Point, facts: Mapping[str, Any], *, limit: int = 3) -> list[Flip]:
    """The smallest changes of single facts that change effect, lane or route, each seen in a replay.

    One per entry, the smallest first; then, up to the limit, other answers of the same entries. Raises
    `FactError` for facts that are none.
    """
    point = Point(point)
    first = replay(policy, point, facts)
    told = _signature(first)
    first_of: dict[str, Flip] = {}
    others: dict[tuple[str, Any], Flip] = {}
    candidates = sorted(_Candidates(policy, point, facts, first).all(), key=lambda candidate: candidate.distance)
    for candidate in candidates[:MAX_REPLAYED]:
        try:
            decision = replay(policy, point, candidate.facts)
        except FactError:
            continue
        said = _signature(decision)
        if said == told or (candidate.name, said) in others:
            continue
        flip = Flip({candidate.name: candidate.value}, decision, candidate.before, candidate.facts)
        others[candidate.name, said] = flip
        first_of.setdefault(candidate.name, flip)
        if len(first_of) == limit:
            break
    more = [flip for flip in others.values() if first_of[next(iter(flip.changes))] is not flip]
    return [*first_of.values(), *more][:limit]


def _signature(decision: Decision) -> tuple[Any, ...]:
    return decision.effect, getattr(decision, "lane", None), getattr(decision, "route", None)


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    value: Any
    before: Any
    distance: Fraction
    facts: Mapping[str, Any]


class _Candidates:
    """Changed mappings of one point, each with one entry changed."""

    def __init__(self, policy: Policy, point: Point, facts: Mapping[str, Any], decision: Decision) -> None:
        self._policy = policy
        self._checked = policy.checked
        self._point = point
        self._facts = dict(facts)
        self._decision = decision
        self._record: Facts = policy.facts(point, facts)

    def all(self) -> Iterator[_Candidate]:
        seen: set[tuple[str, Any]] = set()
        for name, unit, value in self._values():
            before = self._now(name)
            if value == before or (name, value) in seen:
                continue
            seen.add((name, value))
            shown = readable(value, unit, self._checked.currency)
            shown_before = readable(before, unit, self._checked.currency)
            distance = self._distance(name, before, value)
            yield _Candidate(name, shown, shown_before, distance, self._changed(name, shown))

    def _values(self) -> Iterator[tuple[str, Unit, Any]]:
        """Entry, unit and new value in internal units."""
        if isinstance(self._record, SettleFacts):
            yield from (("event", Unit.ENUM, event) for event in SETTLE_EVENTS)
            window = self._checked.outcomes[self._record.outcome].accepted_within_micros
            if window is not None:
                yield from (("since_delivery", Unit.DURATION, time) for time in (0, window - 1, window))
            return
        for fact in self._checked.facts.values():
            if fact.unit is Unit.BOOLEAN:
                yield from ((fact.name, fact.unit, truth) for truth in (True, False))
            yield from ((fact.name, fact.unit, value) for value in fact.values)
        yield from (("plan", Unit.ENUM, plan) for plan in (*self._checked.plans, None))
        if isinstance(self._record, FailureFacts):
            yield from (("error", Unit.ENUM, error) for error in self._checked.error_classes)
        if isinstance(self._record, AdmitFacts) and self._record.lane is not None:
            lanes = self._checked.outcomes[self._record.outcome].lanes
            yield from (("lane", Unit.ENUM, lane) for lane in lanes)
        for rule in self._rules():
            yield from self._of_condition(rule)
            yield from self._of_rule(rule)
        yield from self._of_plan()

    def _rules(self) -> Iterator[Rule]:
        """Every rule that may be looked at here."""
        record = self._record
        assert not isinstance(record, SettleFacts)  # noqa: S101 - it reads no rule
        blocks: list[Rules] = [*self._checked.around(record.outcome, record.plan)]
        if isinstance(record, AdmitFacts):
            lanes = self._checked.outcomes[record.outcome].lanes if record.lane is None else (record.lane,)
            blocks += [self._checked.lanes[lane].rules for lane in lanes]
        else:
            blocks += [self._checked.lanes[record.lane].rules, self._checked.routes[record.route].rules]
        if isinstance(record, FailureFacts):
            blocks += [route.rules for route in self._checked.routes.values() if route.kind == "handoff"]
        return (rule for rules in blocks for rule in rules)

    # ------------------------------------------------------------ thresholds

    def _of_condition(self, rule: Rule) -> Iterator[tuple[str, Unit, Any]]:
        for atom in atoms(rule.condition) if rule.condition is not None else ():
            if isinstance(atom, Member) and atom.read.unit is Unit.TEXT:
                if self._can_be_given(atom.read):
                    yield from ((atom.read.name, Unit.TEXT, value) for value in (*atom.values, "another"))
            elif isinstance(atom, Linear):
                yield from self._of_sum(atom)

    def _of_sum(self, atom: Linear) -> Iterator[tuple[str, Unit, Any]]:
        """For each name of a comparison, the values about the threshold that the others leave it."""
        now = {read.name: self._now_of(read) for _, read in atom.terms}
        for coefficient, read in atom.terms:
            others = [(c, now[other.name]) for c, other in atom.terms if other is not read]
            if not self._can_be_given(read) or any(value is None for _, value in others):
                continue
            edge = (atom.bound - sum((c * exact(value) for c, value in others), Fraction(0))) / coefficient
            edge -= self._held(read)
            unit = read.unit
            if unit in (Unit.NUMBER, Unit.PERCENT):
                step = Fraction(1, 100) if unit is Unit.NUMBER else Fraction(1)
                yield from ((read.name, unit, float(value)) for value in (edge, edge - step, edge + step))
            else:
                below = edge.numerator // edge.denominator
                yield from ((read.name, unit, value) for value in (below - 1, below, below + 1))

    def _can_be_given(self, read: Read) -> bool:
        if read.is_fact or read.meter is not None:
            return True
        if self._point is Point.ADMIT:
            return read.name == "customer"
        return self._point in BUILTINS[read.name].points and read.name not in ("ceiling", "remaining", "workflow")

    def _of_rule(self, rule: Rule) -> Iterator[tuple[str, Unit, Any]]:
        """The counters, times and amounts at which a rule begins to refuse, or stops."""
        if isinstance(rule, LimitRule):
            yield from self._of_counter(rule.meter, rule.count, (1,))
        elif isinstance(rule, RetryRule) and isinstance(self._record, FailureFacts):
            others = sum(
                n for name, n in self._record.retries.items() if name in rule.classes and name != self._record.error
            )
            yield from (("retries", Unit.INTEGER, max(0, rule.count - others - less)) for less in (0, 1))
        elif isinstance(rule, CeilingRule):
            yield from self._of_ceiling(rule)

    def _of_ceiling(self, rule: CeilingRule) -> Iterator[tuple[str, Unit, Any]]:
        limit = rule.limit
        if rule.percent_of_price is not None:
            price = getattr(self._record, "price_nanos", None)
            if price is None:
                return
            limit = share_nanos(rule.percent_of_price, price)
        assert limit is not None  # noqa: S101 - the checker sets one or the other
        if rule.quantity == "elapsed":
            scope = rule.scope.execution
            name = "elapsed" if scope == "outcome" else f"{scope}_elapsed"
            if self._point is not Point.ADMIT and (scope != "attempt" or self._point is Point.PROGRESS):
                yield from ((name, Unit.DURATION, time) for time in (limit, limit - 1))
            return
        asked = {line[3] for line in self._decision.lines if line[3] is not None and line[0].rule is rule.ref}
        if self._point is Point.ADMIT or rule.quantity == "attempts":
            asked = {1}
        elif isinstance(self._record, AttemptFacts):
            asked |= {reserved for reserved in self._reserved(rule.quantity) if reserved is not None}
            yield from self._of_cap(rule.quantity, limit - self._used(rule))
        if rule.scope.execution != "attempt":
            yield from self._of_counter(rule.meter, limit, tuple(sorted(asked)))

    def _reserved(self, quantity: str) -> tuple[int | None, ...]:
        name = "reserved_tokens" if quantity == "tokens" else "reserved_nanos"
        return (getattr(self._decision, name, None),)

    def _used(self, rule: CeilingRule) -> int:
        reading = None if rule.scope.execution == "attempt" else self._record.meters.get(rule.meter)  # type: ignore[union-attr]  # an attempt's
        return 0 if reading is None else reading.used

    def _of_cap(self, quantity: str, left: int) -> Iterator[tuple[str, Unit, Any]]:
        """The output caps about the largest that what is left pays for."""
        record = self._record
        assert isinstance(record, AttemptFacts)  # noqa: S101 - caps are asked for there
        if record.input_tokens is None or record.max_output_tokens is None:
            return
        rates = self._checked.routes[record.route].rates
        cap: int | None = left - record.input_tokens
        if quantity == "spent":
            cap = rates.output_tokens_within(left, record.input_tokens) if rates is not None else None
        if cap is not None and cap >= 0:
            yield from (("max_output_tokens", Unit.INTEGER, value) for value in (cap, cap + 1))
        if record.estimate_nanos is not None and quantity == "spent":
            yield from (("estimate", Unit.MONEY, value) for value in (left, left + 1))

    def _of_counter(self, meter: Meter, limit: int, asked: tuple[int, ...]) -> Iterator[tuple[str, Unit, Any]]:
        """The settled amounts about those that leave room for what is asked."""
        reading = self._record.meters.get(meter)  # type: ignore[union-attr]  # not of a settlement
        reserved = 0 if reading is None else reading.reserved
        unit = counter_unit(meter)
        for amount in (*asked, 0):
            edge = limit - amount - reserved
            yield from ((_EXECUTION.get(meter, str(meter)), unit, value) for value in (edge, edge + 1) if value >= 0)

    def _of_plan(self) -> Iterator[tuple[str, Unit, Any]]:
        record = self._record
        if isinstance(record, AdmitFacts) and record.plan is not None:
            plan = self._checked.plans[record.plan]
            overage = plan.overage
            if overage is not None and overage.cap_nanos is not None and record.outcome in overage.prices_nanos:
                price = overage.prices_nanos[record.outcome]
                yield from self._of_counter(overage_meter(plan), overage.cap_nanos, (price,))

    # ------------------------------------------------------------ what is now

    def _now_of(self, read: Read) -> Any:
        """What a condition reads."""
        value = self._now(read.name)
        return value if value is None or isinstance(value, bool | str) else value + self._held(read)

    def _held(self, read: Read) -> int:
        """What a condition reads of a counter beside what is settled: an admission counts while it is held."""
        if read.meter is None or read.meter.quantity != "count":
            return 0
        reading = self._record.meters.get(read.meter)  # type: ignore[union-attr]  # not of a settlement
        return 0 if reading is None else reading.reserved

    def _now(self, name: str) -> Any:
        """The value of an entry in internal units; None where it is not known or not given."""
        record = self._record
        if isinstance(record, SettleFacts):
            return record.event if name == "event" else record.since_delivery_micros
        if name in self._checked.facts:
            value = getattr(record.given, name)
            return value if isinstance(value, bool | str | int | float) else None
        meter = self._meter(name)
        if meter is not None:
            reading = record.meters.get(meter)
            return None if reading is None else reading.settled
        if name == "retries" and isinstance(record, FailureFacts):
            return record.retries.get(record.error, 0)
        small = {"price": "price_nanos", "estimate": "estimate_nanos"}.get(name, f"{name}_micros")
        return getattr(record, name, getattr(record, small, None))

    def _meter(self, name: str) -> Meter | None:
        """The counter of an entry, or of a meter's written form."""
        execution = next((meter for meter, entry in _EXECUTION.items() if entry == name), None)
        return execution or self._policy.boundary.meters.get(name)

    def _distance(self, name: str, before: Any, after: Any) -> Fraction:
        """How large a change is, from 0 to 1."""
        fact = self._checked.facts.get(name)
        if fact is not None and fact.ordered and before in fact.values and after in fact.values:
            steps = abs(fact.values.index(before) - fact.values.index(after))
            return Fraction(steps, 2 * len(fact.values))
        if isinstance(before, bool | str) or isinstance(after, bool | str) or before is None or after is None:
            return _ANOTHER
        old, new = exact(before), exact(after)
        return abs(new - old) / (abs(new) + abs(old))

    # ------------------------------------------------------------ the changed mapping

    def _changed(self, name: str, shown: Any) -> dict[str, Any]:
        changed = dict(self._facts)
        if name == "retries":
            assert isinstance(self._record, FailureFacts)  # noqa: S101 - only failures count retries
            changed["retries"] = {**changed.get("retries", {}), self._record.error: shown}
            return changed
        meter = None if name in self._checked.facts else self._meter(name)
        if meter is not None:
            return self._with_counter(changed, meter, shown)
        if name in _SMALL:
            changed.pop(_SMALL[name], None)
        elif name.endswith("_elapsed") or name == "since_delivery":
            changed.pop(f"{name}_micros", None)
        changed[name] = shown
        return changed

    def _with_counter(self, changed: dict[str, Any], meter: Meter, shown: Any) -> dict[str, Any]:
        """The mapping with a counter's settled amount changed, what is reserved kept."""
        reading = self._record.meters.get(meter)  # type: ignore[union-attr]  # not of a settlement
        reserved = 0 if reading is None else reading.reserved
        unit = counter_unit(meter)
        value = {"settled": shown, "reserved": readable(reserved, unit, self._checked.currency)} if reserved else shown
        name = str(meter)
        counters = {
            key: old for key, old in (changed.get("meters") or {}).items() if " ".join(str(key).split()) != name
        }
        if meter in _EXECUTION:
            changed[_EXECUTION[meter]] = value
            if meter is SPENT:
                changed.pop("reserved", None)
            if "meters" in changed:
                changed["meters"] = counters
            return changed
        changed["meters"] = {**counters, name: value}
        return changed
