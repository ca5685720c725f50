"""The engine: executions through their decision points, over a ledger and a clock."""

from collections.abc import Mapping
from itertools import count
from typing import Any

from policy_engine.evaluation.decision import AdmitDecision, Head
from policy_engine.evaluation.facts import AdmitFacts, FactError, Given, Grant
from policy_engine.evaluation.meters import every_meter, meters_of
from policy_engine.language.checked import Meter
from policy_engine.language.diagnostics import did_you_mean, one_of
from policy_engine.language.pricing import overage_meter
from policy_engine.ledger.grants import allowance, bought
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.protocol import Hold, Ledger
from policy_engine.policy import Policy
from policy_engine.runtime.clock import Clock, SystemClock
from policy_engine.runtime.counting import Place, charges, readings
from policy_engine.runtime.errors import Denied
from policy_engine.runtime.execution import RACES, Execution


class Engine:
    """Runs executions under one policy. May be used from several threads; each execution from one at a time."""

    def __init__(self, policy: Policy, *, ledger: Ledger | None = None, clock: Clock | None = None) -> None:
        self.policy = policy
        self.checked = policy.checked
        self.zone = policy.checked.timezone
        self.ledger: Ledger = ledger if ledger is not None else MemoryLedger()
        self.clock: Clock = clock if clock is not None else SystemClock()
        self.meters = every_meter(policy.checked)
        self._admission_meters: dict[tuple[str, str | None], tuple[Meter, ...]] = {}
        self._numbers = count(1)

    def execution(
        self,
        outcome: str,
        *,
        customer: str,
        plan: str | None = None,
        facts: Mapping[str, Any] | Given | None = None,
        lane: str | None = None,
        key: str | None = None,
    ) -> Execution:
        """Start one execution, or raise `Denied`. `key` names it; without one it gets a number.

        Raises `FactError` for names the policy does not declare, wrong facts, and facts it needs and was not given.
        """
        self._known("outcome", outcome, self.checked.outcomes)
        if plan is not None:
            self._known("plan", plan, self.checked.plans)
        if lane is not None:
            self._known("lane", lane, self.checked.lanes)
        given = facts if isinstance(facts, Given) else self.policy.boundary.given_facts(facts or {})
        place = Place(
            execution=key if key is not None else f"#{next(self._numbers)}",
            customer=customer,
            plan=plan,
            workflow=self.checked.outcomes[outcome].workflow,
            outcome=outcome,
        )
        now = self.clock.now_micros()
        self._grant_allowance(customer, plan, outcome, now)
        for _ in range(RACES):
            asked = AdmitFacts(
                customer=customer,
                outcome=outcome,
                plan=plan,
                given=given,
                meters=readings(self.ledger, self._meters_at_admission(outcome, plan), place, now, self.zone),
                grants=self.ledger.grants(customer, outcome, now),
                lane=lane,
            )
            decision = self.policy.evaluator.admit(asked)
            if decision.effect != "allow":
                raise Denied(decision)
            assert decision.lane is not None  # noqa: S101 - an allow names its lane
            here = place.at(lane=decision.lane)
            if not self.ledger.reserve(self._admission_holds(asked, decision, here, now), now):
                return Execution(self, here, given, decision, now)
        raise Denied(_overtaken(decision))

    def top_up(self, customer: str, pack: str, *, key: str) -> Grant:
        """Give a customer the units of a pack. `key` names the purchase: the same one again gives nothing more."""
        self._known("pack", pack, self.checked.packs)
        terms = self.checked.packs[pack]
        grant = bought(terms, customer, key, self.clock.now_micros())
        self.ledger.add_grant(customer, terms.outcome, grant)
        return grant

    # ------------------------------------------------------------ admission

    def _grant_allowance(self, customer: str, plan: str | None, outcome: str, now: int) -> None:
        """The plan's included units of this period, made when they are first asked for."""
        terms = self.checked.plans[plan] if plan is not None else None
        if terms is None or outcome not in terms.includes:
            return
        self.ledger.add_grant(customer, outcome, allowance(self.checked, terms, customer, outcome, now))

    def _meters_at_admission(self, outcome: str, plan: str | None) -> tuple[Meter, ...]:
        found = self._admission_meters.get((outcome, plan))
        if found is None:
            blocks = [*self.checked.around(outcome, plan)]
            blocks += [self.checked.lanes[lane].rules for lane in self.checked.lanes]
            meters = dict.fromkeys(meters_of(rule for rules in blocks for rule in rules))
            if plan is not None:
                meters[overage_meter(self.checked.plans[plan])] = None
            found = tuple(meter for meter in meters if meter.scope.window and meter.scope.key not in ("lane", "route"))
            self._admission_meters[outcome, plan] = found
        return found

    def _admission_holds(self, facts: AdmitFacts, decision: AdmitDecision, place: Place, now: int) -> list[Hold]:
        """One unit of what it draws on, and one count of each limit that counts it."""
        draw = decision.draw
        assert draw is not None  # noqa: S101 - an allow names its draw
        bounds = self.policy.evaluator.admission_bounds(facts, place.lane, draw.price_nanos)
        units = {"overage": draw.price_nanos} if draw.kind == "overage" else {}
        return [
            Hold(
                id=f"{place.execution}/unit",
                charges=tuple(charges(self.meters, units, bounds, place, now, self.zone)),
                grant=draw.grant,
            ),
            Hold(
                id=f"{place.execution}/entry",
                charges=tuple(charges(self.meters, {"count": 1}, bounds, place, now, self.zone)),
            ),
        ]

    def _known(self, kind: str, name: str, declared: Mapping[str, Any]) -> None:
        if name not in declared:
            known = did_you_mean(name, declared) or f"one of {one_of(declared)}"
            raise FactError(kind, f"`{name}` is no {kind} of this policy; {known}")


def _overtaken(decision: AdmitDecision) -> AdmitDecision:
    """A denial in place of an allow that other executions took away again and again."""
    return AdmitDecision(Head("deny", "limit_reached", decision.currency, decision.digests))
