"""Decisions to try for a rule, from plain to far-fetched. None of them claims anything: who asks replays them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any

from policy_engine.analysis.replaying import readable
from policy_engine.analysis.satisfy import NO_PLAN, Satisfier, Value, Want, Witness
from policy_engine.analysis.witness import complete
from policy_engine.evaluation.decision import Decision
from policy_engine.evaluation.facts import FactError
from policy_engine.language.checked import (
    AllowRule,
    BlockId,
    CeilingRule,
    FallbackRule,
    ForbidRule,
    LimitRule,
    RetryRule,
    Rule,
    reads,
)
from policy_engine.language.pricing import overage_meter
from policy_engine.language.vocabulary import Point, Unit
from policy_engine.policy import Policy
from policy_engine.testing.entries import UNKNOWN, completed
from policy_engine.testing.probing.edges import Edges, Entries, leading_to
from policy_engine.testing.probing.places import Place, places

_ZERO = (0, "0", "$0", "€0", "£0", "0s")

MOST_PROBES = 300
"""Decisions tried for one way that conditions shall come out at one point."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A decision point and its entries, as a test file says them: what is left out is what a fresh world has."""

    point: Point
    entries: dict[str, Any]

    def ask(self, policy: Policy) -> Decision | None:
        """What a policy answers; None where these facts are no input to it."""
        point = self.point.value
        values = {name: dict(value) if name == "meters" else value for name, value in self.entries.items()}
        if values.get("grants") == UNKNOWN:
            values["grants"] = None
        if values.get("lane") is None and point not in (Point.ADMIT, Point.SETTLE):
            return None  # the route that a step begins on is its lane's
        try:
            facts = policy.facts(point, completed(values, policy.checked, point), assume_zero=True)
            decision: Decision = getattr(policy, point)(facts)
        except FactError:
            return None
        return decision


class Prober:
    """Makes probes under one policy."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.satisfier = Satisfier(policy.checked)
        self._edges = Edges(policy.checked)

    def of_rules(
        self, rules: Sequence[Rule], wants: Sequence[Sequence[Want]], points: Sequence[Point] = ()
    ) -> Iterator[Probe]:
        """Decisions that look at the first of these rules, at the edges of all of them.

        `wants` are alternatives: each says how some conditions shall come out.
        """
        for point, wanted in product(points or points_of(rules[0]), self._with_ways(rules[0], wants)):
            yield from islice(self._at(rules, point, wanted), MOST_PROBES)

    def _at(self, rules: Sequence[Rule], point: Point, wanted: Sequence[Want]) -> Iterator[Probe]:
        block = rules[0].block
        for place in places(self.policy.checked, block):
            base = self._base(point, place, wanted, named=block.kind == "lane" or _reads_lane(wanted))
            if base is not None:
                yield from (Probe(point, bare(entries)) for entries in self._edges.of(rules, point, base))

    def _with_ways(self, rule: Rule, wants: Sequence[Sequence[Want]]) -> Iterator[Sequence[Want]]:
        """The wants as they are; for a handoff's limit, with the condition of each fallback that leads there."""
        yield from wants
        if isinstance(rule, LimitRule) and rule.block.kind == "route":
            for fallback in leading_to(self.policy.checked, rule.block.name):
                if fallback.condition is not None:
                    yield from ([*wanted, Want(fallback.condition, True)] for wanted in wants)
        if rule.block.kind == "lane" and isinstance(rule, LimitRule | CeilingRule):
            for way in self._ways_into(rule.block.name):
                yield from ([*wanted, *way] for wanted in wants)

    def of_block(self, block: BlockId) -> Iterator[Probe]:
        """Decisions that a setting of a block may change: admissions, starts, failures, and deliveries."""
        policy = self.policy
        for place in places(policy.checked, block):
            for wanted in self._entries_of(place):
                base = self._base(Point.ADMIT, place, wanted, named=False)
                if base is not None:
                    funded = {name: value for name, value in base.items() if name != "grants"}
                    yield Probe(Point.ADMIT, bare(funded))
                    unsold = {**base, "grants": []}
                    yield from (Probe(Point.ADMIT, bare(e)) for e in (base, unsold, *self._capped(place, unsold)))
            yield from self._silent(place)
            named = self._base(Point.ADMIT, place, (), named=True)
            if named is not None:
                yield Probe(Point.ADMIT, bare(named))
            failed = self._base(Point.FAILURE, place, (), named=True)
            if failed is not None:
                yield Probe(Point.FAILURE, bare({**failed, "retries": {"timeout": 100}}))
            yield Probe(Point.SETTLE, {"outcome": place.outcome, "state": "running", "event": "deliver", "price": "1"})

    def _entries_of(self, place: Place) -> Iterator[tuple[Want, ...]]:
        """As anybody, then as one whom a lane of the outcome lets in."""
        yield ()
        for lane in self.policy.checked.outcomes[place.outcome].lanes:
            yield from self._ways_into(lane)

    def _ways_into(self, lane: str) -> Iterator[tuple[Want, ...]]:
        """For each `allow` of a lane: it holds, and nothing forbids."""
        rules = self.policy.checked.lanes[lane].rules
        open_ = [Want(rule.condition, False) for rule in rules.forbids if rule.condition is not None]
        for rule in rules.allows:
            if rule.condition is not None:
                yield (Want(rule.condition, True), *open_)

    def _silent(self, place: Place) -> Iterator[Probe]:
        """An admission while the store does not answer, with all but spent what the policy allows meanwhile."""
        escrow, base = self.policy.checked.escrow_nanos, self._base(Point.ADMIT, place, (), named=False)
        if escrow is None or base is None:
            return
        for used in (escrow - 1, escrow):
            shown = readable(used, Unit.MONEY, self.policy.checked.currency)
            yield Probe(Point.ADMIT, bare({**base, "grants": UNKNOWN, "escrow": shown}))

    def _capped(self, place: Place, entries: Entries) -> Iterator[Entries]:
        """A customer whose overage is close to its cap."""
        checked = self.policy.checked
        plan = checked.plans[place.plan] if place.plan is not None else None
        if plan is None or plan.overage is None or plan.overage.cap_nanos is None:
            return
        price = plan.overage.prices_nanos.get(place.outcome, 0)
        for billed in (plan.overage.cap_nanos - price, plan.overage.cap_nanos - price + 1, plan.overage.cap_nanos):
            shown = readable(max(0, billed), Unit.MONEY, checked.currency)
            yield {**entries, "meters": {str(overage_meter(plan)): shown}}

    def _base(self, point: Point, place: Place, wants: Sequence[Want], *, named: bool) -> Entries | None:
        """Ordinary entries at a place, with conditions as wanted; None where no facts do that. `named`: by lane."""
        fixed: dict[str, Value] = {"outcome": place.outcome, "plan": place.plan or NO_PLAN}
        entries: dict[str, Any] = {"outcome": place.outcome, "plan": place.plan}
        if point is not Point.ADMIT:
            fixed |= {"lane": place.lane, "route": place.route}
            entries |= {"lane": place.lane, "route": place.route}
        elif named:
            fixed |= {"lane": place.lane}
            entries |= {"lane": place.lane}
        witness: object = Witness({})
        if wants:
            witness = self.satisfier.satisfy(wants, fixed=fixed)
        if not isinstance(witness, Witness):
            return None
        return complete(self.policy, witness, point, **entries)


def points_of(rule: Rule) -> tuple[Point, ...]:
    """Where a rule may decide, the most telling point first."""
    match rule:
        case CeilingRule():
            window = (Point.ADMIT,) if rule.scope.window else ()
            return tuple(p for p in (Point.ATTEMPT, *window, Point.PROGRESS) if p in rule.points)
        case LimitRule():
            return tuple(rule.points & {Point.ADMIT, Point.FAILURE})
        case AllowRule() | ForbidRule():
            return (Point.ADMIT,)
        case RetryRule() | FallbackRule():
            return (Point.FAILURE,)
    return ()


def _reads_lane(wants: Sequence[Want]) -> bool:
    return any(read.name == "lane" and not read.is_fact for want in wants for read in reads(want.test))


def bare(entries: Mapping[str, Any]) -> Entries:
    """Without what goes without saying: counters at zero, no plan, no retries, a step's and a customer's usual name."""
    meters = {name: value for name, value in entries.get("meters", {}).items() if value not in _ZERO}
    found = {name: value for name, value in entries.items() if name != "meters" and value not in (None, {})}
    for name in ("spent", "attempts", "tokens", "elapsed", "step_elapsed", "failures"):
        if found.get(name) in _ZERO:
            del found[name]
    if found.get("attempt") == 1:
        del found["attempt"]
    return {**found, "meters": meters} if meters else found


def smaller(probe: Probe, still: Callable[[Probe], bool]) -> Probe:
    """The probe without every entry that it can do without."""
    for name in list(probe.entries):
        less = Probe(probe.point, {key: value for key, value in probe.entries.items() if key != name})
        if still(less):
            probe = less
    return probe
