"""What coverage and mutation claim as proven, held against generated policies and facts at their own edges."""

from typing import Any

import pytest

from policy_engine.analysis.satisfy import Satisfier
from policy_engine.evaluation.decision import Digests
from policy_engine.evaluation.facts import FactError
from policy_engine.evaluation.reference import ReferenceEvaluator
from policy_engine.policy import Policy, load
from policy_engine.testing.coverage import Tally
from policy_engine.testing.coverage.observer import Observing
from policy_engine.testing.coverage.reaching import out_of_reach
from policy_engine.testing.coverage.tally import goals, subjects
from policy_engine.testing.mutation.equivalence import Equivalence
from policy_engine.testing.mutation.mutants import mutants
from tests.evaluation.crowds import drawn
from tests.generators import Asking
from tests.generators.picking import SeededPick

POINTS = ("admit", "attempt", "progress", "failure")
NUMBERS = (
    "effect",
    "reason",
    "lane",
    "route",
    "reserved_nanos",
    "output_cap",
    "deadline_micros",
    "delay_micros",
    "draw",
)


@pytest.mark.parametrize("seed", range(30))
def test_what_is_proven_out_of_reach_is_never_seen(seed: int) -> None:
    pick = SeededPick(seed)
    text = drawn(pick).text
    of = load(text, engine="reference")
    tally, satisfier = Tally(), Satisfier(of.checked)
    observed, asking = Observing(of).by(tally), Asking(pick, of, text)
    for _ in range(20):
        for point in POINTS:
            facts = getattr(asking, point)()
            try:
                if _happens(of, facts):
                    getattr(observed, point)(facts)
            except FactError:
                continue
    for subject in subjects(of.checked):
        for goal in goals(subject):
            if tally.seen[goal]:
                assert not out_of_reach(satisfier, subject, goal), f"{subject.ref.name}: {goal.mark}"


def _happens(of: Policy, facts: Any) -> bool:
    """Whether work comes to this lane and route: callers may ask for any, but it is of those that proofs speak."""
    lane = facts.lane
    if lane is not None and lane not in of.checked.outcomes[facts.outcome].lanes:
        return False
    return getattr(facts, "route", None) is None or facts.route in of.checked.lanes[lane].path


@pytest.mark.parametrize("seed", range(60))
def test_what_is_proven_equivalent_never_answers_otherwise(seed: int) -> None:
    """The effect and every number granted; the rules named may differ where a looser one is crossed as well."""
    pick = SeededPick(seed)
    text = drawn(pick).text
    of = load(text, engine="reference")
    equivalence, digests = Equivalence(of.checked), Digests("", "")
    same = [mutant for mutant in mutants(of.checked) if equivalence.proven(mutant)]
    evaluators = [ReferenceEvaluator(of.checked, digests)]
    evaluators += [ReferenceEvaluator(mutant.change(of.checked), digests) for mutant in same]
    asking = Asking(pick, of, text)
    for _ in range(8):
        for point in POINTS:
            facts = getattr(asking, point)()
            first, *others = [_said(evaluator, point, facts) for evaluator in evaluators]
            for mutant, answer in zip(same, others, strict=True):
                assert answer == first, mutant.diff


def _said(evaluator: ReferenceEvaluator, point: str, facts: Any) -> Any:
    try:
        decision = getattr(evaluator, point)(facts)
    except FactError as error:
        return error.name
    return [getattr(decision, name, None) for name in NUMBERS]
