"""Does any test notice a mutant? Only the cases that looked at what it touches are run, until the first that fails.

A mutant is answered by the reference: it costs nothing to make, and a mutant is asked too little for functions of its
own to pay. What callers give is read by the boundary of the policy it comes from, for the facts are the same.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

from policy_engine.evaluation.decision import Digests
from policy_engine.evaluation.reference import ReferenceEvaluator
from policy_engine.language.checked import BlockId, CheckedPolicy
from policy_engine.policy import Policy
from policy_engine.testing.coverage.measure import Runnable, watched
from policy_engine.testing.coverage.observer import Observing
from policy_engine.testing.coverage.tally import Goal, Mark, Tally
from policy_engine.testing.mutation.mutants import Mutant


class TestsFailError(Exception):
    """Some cases fail without any change: what they notice says nothing. `cases` are their names."""

    __test__ = False  # pytest would take the class for a test by its name

    def __init__(self, cases: Sequence[str]) -> None:
        super().__init__(f"{len(cases)} of the cases fail under the policy itself, `{cases[0]}` first")
        self.cases = tuple(cases)


@dataclass(frozen=True, slots=True)
class _Watched:
    case: Runnable
    tally: Tally


class Trial:
    """The cases of one policy, and what each of them looks at.

    Raises `TestsFailError` if one of them fails without any change.
    """

    def __init__(self, policy: Policy, cases: Sequence[Runnable]) -> None:
        self.policy = policy
        policy.boundary  # noqa: B018 - made once, here: every mutant shares it
        observing = Observing(policy)
        runs = [(case, *watched(case, observing)) for case in cases]
        failed = [case.name for case, _, passed in runs if not passed]
        if failed:
            raise TestsFailError(failed)
        self._watched = [_Watched(case, tally) for case, tally, _ in runs]
        self._digests = Digests(policy.digest, policy.prices.digest)

    def noticed(self, mutant: Mutant) -> str | None:
        """The name of the first case that fails under a mutant; None where all pass."""
        changed = self.mutated(mutant)
        for case in self.chosen(mutant):
            if not _passes(case, changed):
                return case.name
        return None

    def mutated(self, mutant: Mutant) -> Policy:
        """The policy that a mutant is."""
        changed = copy(self.policy)
        changed.checked = mutant.change(self.policy.checked)
        changed.evaluator = ReferenceEvaluator(changed.checked, self._digests)
        return changed

    def chosen(self, mutant: Mutant) -> list[Runnable]:
        """The cases that may notice, those that the touched rule decided before the others."""
        touching = [watched for watched in self._watched if self._touches(watched.tally, mutant)]
        if mutant.old is not None:
            decided = Goal(mutant.old.ref, Mark.DECIDED)
            touching.sort(key=lambda watched: not watched.tally.seen[decided])
        return [watched.case for watched in touching]

    def _touches(self, tally: Tally, mutant: Mutant) -> bool:
        if tally.errors:
            return True  # what is asked for at all may hang on any rule
        if mutant.old is not None:
            # Who or what a rule may apply to anew is not among those that looked at it.
            return mutant.old.ref in tally.governed if mutant.widens else mutant.old.ref in tally.looked_at
        if mutant.block.kind in ("pack", "file"):
            return True  # bought and drawn on outside the decisions
        return bool(tally.blocks & _concerned(self.policy.checked, mutant.block))


def _concerned(policy: CheckedPolicy, block: BlockId) -> set[BlockId]:
    """The blocks whose executions a setting of this block may change: an outcome's price is in the shares of plans."""
    found = {block}
    if block.kind == "outcome":
        found |= {BlockId("plan", plan.name) for plan in policy.plans.values() if block.name in plan.includes}
    return found


def _passes(case: Runnable, policy: Policy) -> bool:
    try:
        return case.run(policy).passed
    except Exception:  # whatever breaks under a mutant has noticed it
        return False
