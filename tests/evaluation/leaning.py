"""Facts that mostly lean towards yes: so that most decisions are those that compiled code answers itself.

Denials, unknown names and silent counters are what it leaves to the reference; they come too, less often.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from policy_engine.evaluation.facts import (
    AdmitFacts,
    AttemptFacts,
    Facts,
    FailureFacts,
    ProgressFacts,
    Reading,
    SettleFacts,
)
from policy_engine.evaluation.reference.settlement import EVENTS, STATES
from policy_engine.language.checked import ATTEMPTS, SPENT, TOKENS, Fact, Meter
from policy_engine.language.vocabulary import Unit
from policy_engine.policy import Policy
from tests.generators import Asking, Edges
from tests.generators.facts import _SCALES
from tests.generators.picking import Pick
from tests.generators.words import CUSTOMERS, ERRORS, POOLS

_FACTORS = (Fraction(1), Fraction(1, 2), Fraction(1, 3), Fraction(2))

STRANGER = "cora"
"""A customer whom no rule names."""


@dataclass(frozen=True)
class Who:
    """Who and what several decisions are about: one combination of names, so one compiled function per point."""

    customer: str
    plan: str | None
    outcome: str
    asked_lane: str | None
    lane: str
    route: str
    error: str


class Leaning(Asking):
    """Draws facts for one policy: a calm record has little on its counters, the others tread on every edge."""

    def __init__(self, pick: Pick, policy: Policy, *, unknown: bool, missing: bool, calm: int) -> None:
        self._pick = pick
        self._checked = policy.checked
        self._edges = Edges(policy)
        self._unknown = unknown
        self._missing = missing
        self._calm_in = calm
        self._calm = False
        self._amounts: dict[str, list[int] | list[float]] = {}

    @property
    def complete(self) -> bool:
        """Whether every required fact is given."""
        return not self._missing

    def who(self) -> Who:
        pick, checked = self._pick, self._checked
        outcome = pick.of(list(checked.outcomes))
        listed = checked.outcomes[outcome].lanes
        lane = pick.of(listed)
        on_path = [name for name in checked.lanes[lane].path if checked.routes[name].kind != "handoff"]
        return Who(
            customer=pick.of((*CUSTOMERS, STRANGER)),
            plan=pick.of((None, *checked.plans)),
            outcome=outcome,
            asked_lane=pick.of((None, None, lane, pick.of(list(checked.lanes)))),
            lane=lane,
            route=pick.of(list(checked.routes) if pick.one_in(12) else on_path),
            error=pick.of([name for name in ERRORS if name in checked.error_classes]),
        )

    def whos(self, count: int) -> list[Who]:
        """So many combinations, half of them another with one name changed: what tells functions apart."""
        found = [self.who() for _ in range(-(-count // 2))]
        return found + [self._beside(who) for who in found[: count // 2]]

    def _beside(self, who: Who) -> Who:
        name = self._pick.of(("customer", "plan", "outcome", "asked_lane", "lane", "route", "error"))
        other = replace(who, **{name: getattr(self.who(), name)})
        return other if other.lane in self._checked.outcomes[other.outcome].lanes else self.who()

    def facts(self, point: str, who: Who) -> Facts:
        """A record of a decision point, about this combination."""
        self._calm = self._pick.number(self._calm_in) > 0
        draw: Any = getattr(self, f"_{point}_of")
        made: Facts = draw(who)
        return made

    def _admit_of(self, who: Who) -> AdmitFacts:
        return self.admit(customer=who.customer, plan=who.plan, outcome=who.outcome, lane=who.asked_lane)

    def _attempt_of(self, who: Who) -> AttemptFacts:
        facts = self.attempt(**_running(who))
        if self._calm and not self._unknown and facts.max_output_tokens is None:
            facts.max_output_tokens = 500
        return facts

    def _progress_of(self, who: Who) -> ProgressFacts:
        facts = self.progress(**_running(who))
        if self._calm and facts.output_cap is not None:
            facts.output_cap = max(facts.output_cap, facts.output_tokens)
        return facts

    def _failure_of(self, who: Who) -> FailureFacts:
        others = [name for name in self._attempted() if name != who.route]
        return self.failure(**_running(who), error=who.error, visited=(*self._pick.some(others), who.route))

    def _settle_of(self, who: Who) -> SettleFacts:
        pick = self._pick
        window = self._checked.outcomes[who.outcome].accepted_within_micros or 0
        return SettleFacts(
            outcome=who.outcome,
            state=pick.of((*STATES[:3], *STATES)),
            event=pick.of(EVENTS),
            price_nanos=self._some(self._edges.prices),
            since_delivery_micros=self._some({0, 1, max(0, window - 1), window, window + 1}),
        )

    # ------------------------------------------------------------ the same draws, leaning

    def _readings(self, meters: Iterable[Meter]) -> dict[Meter, Reading | None]:
        if not self._calm:
            return super()._readings(meters)
        pick = self._pick
        silent = self._unknown and pick.one_in(6)
        found: dict[Meter, Reading | None] = {}
        for meter in meters:
            if silent and pick.one_in(6) and meter not in (SPENT, ATTEMPTS, TOKENS):
                continue
            edges = self._edges.used[meter]
            used = pick.of(sorted(edges)[: 1 + len(edges) // 2]) if pick.one_in(4) else 0
            reserved = pick.of((0, 0, used))
            found[meter] = Reading(used - reserved, reserved)
        return found

    def _amount(self, fact: Fact) -> int | float:
        values = self._amounts.get(fact.name)
        if values is None:
            fine = fact.unit in (Unit.NUMBER, Unit.PERCENT)
            values = self._amounts[fact.name] = self._fine(fact) if fine else self._whole(fact)
        return self._pick.of(values)

    def _whole(self, fact: Fact) -> list[int]:
        """Values at or beside those that conditions compare with, inside the declared range."""
        scale = _SCALES.get(fact.unit, 1)
        near = {int(Fraction(text) * scale) + step for text in POOLS[fact.unit.value] for step in (-1, 0, 1)}
        near |= {0, *self._edges.names.get(fact.name, ())}
        return sorted(value for value in near if _inside(fact, value))

    def _fine(self, fact: Fact) -> list[float]:
        """The same of numbers, which conditions take as they are, twice, three times and in half."""
        at = {Fraction(text) * factor for text in POOLS[fact.unit.value] for factor in _FACTORS}
        near = {edge + step for edge in at for step in (Fraction(-1, 100), Fraction(0), Fraction(1, 100))}
        return sorted(float(value) for value in near | {Fraction(0)} if _inside(fact, value))


def _inside(fact: Fact, value: Fraction | int) -> bool:
    return (fact.low is None or value >= fact.low) and (fact.high is None or value <= fact.high)


def _running(who: Who) -> dict[str, Any]:
    return {
        "customer": who.customer,
        "plan": who.plan,
        "outcome": who.outcome,
        "lane": who.lane,
        "route": who.route,
    }
