"""Watch decisions: which rules each of them looks at, and how every comparison comes out.

What a decision looks at is what the reference looks at, for the same facts; what decided is what the decision itself
says. So every engine gives the same coverage, whatever it merges or leaves out.
"""

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from policy_engine.evaluation.decision import (
    AdmitDecision,
    AttemptDecision,
    Decision,
    Digests,
    FailureDecision,
    ProgressDecision,
    SettleDecision,
)
from policy_engine.evaluation.evaluator import Bound, Evaluator
from policy_engine.evaluation.facts import (
    AdmitFacts,
    AttemptFacts,
    FactError,
    Facts,
    FailureFacts,
    ProgressFacts,
    SettleFacts,
)
from policy_engine.evaluation.reference import ReferenceEvaluator
from policy_engine.evaluation.reference.view import View
from policy_engine.evaluation.terms import fold
from policy_engine.language.checked import (
    AllOf,
    AnyOf,
    Atom,
    BlockId,
    CeilingRule,
    FallbackRule,
    Inverse,
    LimitRule,
    Meter,
    RetryRule,
    Rule,
    RuleRef,
    Rules,
    Test,
)
from policy_engine.language.pricing import overage_meter
from policy_engine.language.vocabulary import Point
from policy_engine.policy import Policy
from policy_engine.testing.coverage.tally import Goal, Mark, Tally, subjects


def observed(policy: Policy, tally: Tally) -> Policy:
    """The same policy, with everything that its decisions look at counted in `tally`.

    It is asked as ever, through its decision points, guards or an engine over it; its decisions are the same.
    """
    return Observing(policy).by(tally)


class Observing:
    """Makes observed policies out of one; what they share is worked out once."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        covered = subjects(policy.checked)
        self.numbers = {id(atom): number for subject in covered for number, atom in enumerate(subject.atoms)}
        self.caps = {
            overage_meter(plan): plan.overage.ref
            for plan in policy.checked.plans.values()
            if plan.overage is not None and plan.overage.cap_nanos is not None
        }

    def by(self, tally: Tally) -> Policy:
        """The policy, observed by one tally."""
        watched = copy(self.policy)
        watched.evaluator = Observer(self, tally)
        return watched


@dataclass(slots=True)
class _Notes:
    """What one decision looked at. `could_apply` holds rules that who it is about does not rule out."""

    looked_at: dict[Rule, None] = field(default_factory=dict)
    could_apply: set[Rule] = field(default_factory=set)
    values: set[tuple[Rule, int, bool | None]] = field(default_factory=set)
    meters: set[Meter] = field(default_factory=set)


class _Watching(View):
    """A view that notes what it is asked."""

    def __init__(self, notes: _Notes, numbers: Mapping[int, int], *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._notes = notes
        self._numbers = numbers

    def holds(self, rule: Rule) -> bool | None:
        notes = self._notes
        notes.looked_at[rule] = None
        if self._left_of(rule) is not False:
            notes.could_apply.add(rule)
        if rule.condition is not None:
            for atom, value in self._values(rule.condition, self._who()):
                notes.values.add((rule, self._numbers[id(atom)], value))
        return super().holds(rule)

    def used(self, meter: Meter) -> int | None:
        self._notes.meters.add(meter)
        return super().used(meter)

    def _values(self, test: Test, who: Mapping[str, str | None]) -> Iterator[tuple[Atom, bool | None]]:
        """The comparisons that are looked at, with their values: where names of who decide, no fact is read."""
        decided = isinstance(fold(test, who), bool)
        if isinstance(test, AllOf | AnyOf):
            for part in test.parts:
                yield from self._by_who(part, who) if decided else self._values(part, who)
        elif isinstance(test, Inverse):
            yield from self._values(test.part, who)
        else:
            yield from self._by_who(test, who) if decided else ((test, self._truth(test, self._look_up)),)

    def _by_who(self, test: Test, who: Mapping[str, str | None]) -> Iterator[tuple[Atom, bool | None]]:
        if isinstance(test, AllOf | AnyOf):
            for part in test.parts:
                yield from self._by_who(part, who)
        elif isinstance(test, Inverse):
            yield from self._by_who(test.part, who)
        elif isinstance(value := fold(test, who), bool):
            yield test, value


class Observer:
    """Implements `Evaluator`: answers as the policy's own does, and counts in a tally what that looks at."""

    def __init__(self, observing: Observing, tally: Tally) -> None:
        policy = observing.policy
        self._answering: Evaluator = policy.evaluator
        self._policy = policy.checked
        self._digests = Digests(policy.digest, policy.prices.digest)
        self._tally = tally
        self._numbers = observing.numbers
        self._caps = observing.caps

    # ------------------------------------------------------------ decision points

    def admit(self, facts: AdmitFacts) -> AdmitDecision:
        """As the policy's own evaluator."""
        decision: AdmitDecision = self._watch(Point.ADMIT, facts, self._answering.admit)
        return decision

    def attempt(self, facts: AttemptFacts) -> AttemptDecision:
        """As the policy's own evaluator."""
        decision: AttemptDecision = self._watch(Point.ATTEMPT, facts, self._answering.attempt)
        return decision

    def progress(self, facts: ProgressFacts) -> ProgressDecision:
        """As the policy's own evaluator."""
        decision: ProgressDecision = self._watch(Point.PROGRESS, facts, self._answering.progress)
        return decision

    def failure(self, facts: FailureFacts) -> FailureDecision:
        """As the policy's own evaluator."""
        decision: FailureDecision = self._watch(Point.FAILURE, facts, self._answering.failure)
        return decision

    def settle(self, facts: SettleFacts) -> SettleDecision:
        """As the policy's own evaluator. No rule has a say in it."""
        self._tally.blocks |= self._blocks(facts)
        self._tally.decisions[Point.SETTLE] += 1
        return self._answering.settle(facts)

    def admission_bounds(self, facts: AdmitFacts, lane: str, price_nanos: int) -> tuple[Bound, ...]:
        """As the policy's own evaluator."""
        notes, meaning = self._noting()
        meaning.admission_bounds(facts, lane, price_nanos)
        self._keep_values(notes)
        return self._answering.admission_bounds(facts, lane, price_nanos)

    def attempt_bounds(self, facts: AttemptFacts, estimate_nanos: int | None) -> tuple[Bound, ...]:
        """As the policy's own evaluator."""
        notes, meaning = self._noting()
        meaning.attempt_bounds(facts, estimate_nanos)
        self._keep_values(notes)
        return self._answering.attempt_bounds(facts, estimate_nanos)

    def handoff_bounds(self, facts: FailureFacts, route: str) -> tuple[Bound, ...]:
        """As the policy's own evaluator."""
        notes, meaning = self._noting()
        meaning.handoff_bounds(facts, route)
        self._keep_values(notes)
        return self._answering.handoff_bounds(facts, route)

    # ------------------------------------------------------------ counting

    def _noting(self) -> tuple[_Notes, ReferenceEvaluator]:
        notes = _Notes()
        return notes, ReferenceEvaluator(self._policy, self._digests, partial(_Watching, notes, self._numbers))

    def _watch(self, point: Point, facts: Facts, ask: Any) -> Any:
        tally = self._tally
        tally.blocks |= self._blocks(facts)
        tally.governed.update(rule.ref for rules in self._governing(facts) for rule in rules)
        try:
            decision = ask(facts)
        except FactError:
            tally.errors += 1
            raise
        tally.decisions[point] += 1
        notes, meaning = self._noting()
        getattr(meaning, point.value)(facts)
        decided = _named(decision)
        self._keep_values(notes)
        passed = [rule for rule in notes.looked_at if _is_asked(rule, point)]
        if isinstance(facts, FailureFacts):
            passed += self._of_other_classes(facts, decision)
            decided |= {rule.ref for rule in passed if isinstance(rule, LimitRule) and _is_reached(rule, notes, facts)}
        for meter in notes.meters & self._caps.keys():
            cap = self._caps[meter]
            tally.seen[Goal(cap, Mark.EVALUATED)] += 1
            if cap not in decided:
                tally.seen[Goal(cap, Mark.PASSED_OVER)] += 1
        for ref in dict.fromkeys(rule.ref for rule in passed if rule.ref not in decided):
            tally.seen[Goal(ref, Mark.PASSED_OVER)] += 1
        for ref in decided:
            tally.seen[Goal(ref, Mark.DECIDED)] += 1
        return decision

    def _keep_values(self, notes: _Notes) -> None:
        tally = self._tally
        for rule in notes.could_apply:
            tally.seen[Goal(rule.ref, Mark.EVALUATED)] += 1
        for rule, number, value in notes.values:
            if value is None:
                tally.unknown[rule.ref, number] += 1
            else:
                tally.seen[Goal(rule.ref, Mark.TRUE if value else Mark.FALSE, number)] += 1

    def _blocks(self, facts: Facts) -> set[BlockId]:
        """Every block that has a say in this decision, lanes that may be looked at among them."""
        outcome = self._policy.outcomes[facts.outcome]
        found = {BlockId("outcome", outcome.name), BlockId("workflow", outcome.workflow)}
        found |= {BlockId("lane", lane) for lane in outcome.lanes}
        if not isinstance(facts, SettleFacts):
            found |= {BlockId("plan", facts.plan)} if facts.plan is not None else set()
            found |= {BlockId("lane", facts.lane)} if facts.lane is not None else set()
        return found

    def _governing(self, facts: Facts) -> Iterator[Rules]:
        """The rules of every block that has a say in this decision."""
        policy = self._policy
        if isinstance(facts, SettleFacts):
            return
        yield from policy.around(facts.outcome, facts.plan)
        if isinstance(facts, AdmitFacts):
            lanes = policy.outcomes[facts.outcome].lanes if facts.lane is None else (facts.lane,)
            yield from (policy.lanes[lane].rules for lane in lanes)
            return
        yield policy.lanes[facts.lane].rules
        if isinstance(facts, FailureFacts):  # any handoff may be where it goes
            yield from (route.rules for route in policy.routes.values() if route.kind == "handoff")
        yield policy.routes[facts.route].rules

    def _of_other_classes(self, facts: FailureFacts, decision: FailureDecision) -> list[Rule]:
        """Rules of this failure's blocks that are for other error classes: the meaning passes over them unread.

        Fallbacks behind the one that decided are not looked at; where a retry is permitted, none is.
        """
        policy = self._policy
        file, workflow, outcome, *plan = policy.around(facts.outcome, facts.plan)
        lane, route = policy.lanes[facts.lane].rules, policy.routes[facts.route].rules
        blocks = (file, workflow, outcome, *plan, lane, route)
        retries: list[RetryRule] = [rule for rules in blocks for rule in rules.retries]
        fallbacks: list[FallbackRule] = [f for rules in (outcome, workflow, lane, file) for f in rules.fallbacks]
        found: list[Rule] = [rule for rule in retries if facts.error not in rule.classes]
        if decision.effect == "retry":
            return found
        decided = _named(decision)
        for rule in fallbacks:
            if rule.ref in decided:
                break
            found.append(rule)
        return found


def _named(decision: Decision) -> set[RuleRef]:
    """The rules that a decision says decided it, a refused lane's among them; of shadow rules, those that refuse."""
    found = {part.rule for part, *_ in decision.lines if part.role in ("decides", "refuses")}
    if isinstance(decision, AdmitDecision):
        found |= {ruling.rule for refusal in decision.refused for ruling in refusal.rulings}
    return found


def _is_asked(rule: Rule, point: Point) -> bool:
    """Whether the rule could have decided: some ceilings are only read there, to know what they leave."""
    if not isinstance(rule, CeilingRule):
        return True
    if point is Point.ADMIT:
        return rule.scope.window is not None
    return point is not Point.FAILURE


def _is_reached(rule: LimitRule, notes: _Notes, facts: FailureFacts) -> bool:
    """Whether a handoff's limit stood in the way. The decision names the rule that did instead."""
    if rule.meter not in notes.meters:
        return False
    reading = facts.meters.get(rule.meter)
    return reading is None or reading.used + 1 > rule.count
