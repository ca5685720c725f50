"""For each gap the facts that would close it: found by probing, replayed under observation, shown only if they do.

Where the answerer proves that no facts can, the gap counts against nobody.
"""

from collections.abc import Mapping
from typing import Any

from policy_engine.analysis.satisfy import Impossible, Satisfier, Value, Want
from policy_engine.language.checked import AllowRule, ForbidRule, LimitRule, Rule
from policy_engine.language.vocabulary import Point
from policy_engine.policy import Policy
from policy_engine.testing.coverage.observer import Observing
from policy_engine.testing.coverage.tally import Goal, Mark, Subject, Tally, goals, rules_of
from policy_engine.testing.probing import Probe, Prober, smaller


class Reaching:
    """Answers `Reach` for one policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._observing = Observing(policy)
        self._prober = Prober(policy)
        self._found: dict[Subject, Mapping[Goal, Probe]] = {}

    def facts(self, subject: Subject, goal: Goal) -> tuple[str, dict[str, Any]] | None:
        """The decision point and its entries that reach a goal, without any that it can do without."""
        if subject not in self._found:
            self._found[subject] = self._search(subject)
        probe = self._found[subject].get(goal)
        if probe is None:
            return None
        probe = smaller(probe, lambda less: self._reaches(less, goal))
        return probe.point.value, probe.entries

    def never(self, subject: Subject, goal: Goal) -> bool:
        """Whether it is proven that no facts reach a goal."""
        return out_of_reach(self._prober.satisfier, subject, goal)

    def _reaches(self, probe: Probe, goal: Goal) -> bool:
        tally = Tally()
        return probe.ask(self._observing.by(tally)) is not None and tally.seen[goal] > 0

    def _search(self, subject: Subject) -> Mapping[Goal, Probe]:
        """The first probe for every goal of a rule that one reaches."""
        wanted = set(goals(subject))
        found: dict[Goal, Probe] = {}
        for probe in self._probes(subject):
            tally = Tally()
            if probe.ask(self._observing.by(tally)) is None:
                continue
            for goal in [goal for goal in wanted if tally.seen[goal]]:
                found[goal] = probe
                wanted.remove(goal)
            if not wanted:
                break
        return found

    def _probes(self, subject: Subject) -> Any:
        rule = subject.rule
        if rule is None:
            return (probe for probe in self._prober.of_block(subject.block) if probe.point is Point.ADMIT)
        wants: list[list[Want]] = [[]]
        if rule.condition is not None:
            wants = [[Want(rule.condition, truth)] for truth in (True, False)]
            wants += [[Want(atom, truth)] for atom in subject.atoms for truth in (True, False)]
        beside = rules_of(self._policy.checked, rule.block)
        if isinstance(rule, AllowRule):  # passed over where something else refuses, or lets in
            wants += [[*_true(rule), *_true(forbid)] for forbid in beside.forbids]
            wants += [[*_false(rule), *_true(allow)] for allow in beside.allows if allow is not rule]
            return self._prober.of_rules((rule, *beside.limits), wants)
        return self._prober.of_rules((rule,), wants)


def _true(rule: Rule) -> list[Want]:
    return [] if rule.condition is None else [Want(rule.condition, True)]


def _false(rule: Rule) -> list[Want]:
    return [] if rule.condition is None else [Want(rule.condition, False)]


def out_of_reach(satisfier: Satisfier, subject: Subject, goal: Goal) -> bool:
    """Whether it is proven that no facts reach a goal."""
    rule = subject.rule
    if rule is None:
        return False
    if isinstance(satisfier.satisfy([], fixed=_place(rule)), Impossible):
        return True  # a block that no work comes to
    if goal.atom is not None:
        return _never(satisfier, rule, Want(subject.atoms[goal.atom], goal.mark is Mark.TRUE))
    if goal.mark is Mark.PASSED_OVER and isinstance(rule, ForbidRule):
        # It forbids wherever its condition is not false.
        return rule.condition is None or _never(satisfier, rule, Want(rule.condition, False))
    if goal.mark is Mark.DECIDED and rule.condition is not None:
        return all(_never(satisfier, rule, Want(rule.condition, truth)) for truth in (True, None))
    return False


def _never(satisfier: Satisfier, rule: Rule, want: Want) -> bool:
    return isinstance(satisfier.satisfy([want], fixed=_place(rule)), Impossible)


def _place(rule: Rule) -> dict[str, Value]:
    """What is known wherever a rule is looked at. A handoff's limit is read on the route that leads there."""
    block = rule.block
    if block.kind in ("file", "pack") or (block.kind == "route" and isinstance(rule, LimitRule)):
        return {}
    return {block.kind: block.name}
