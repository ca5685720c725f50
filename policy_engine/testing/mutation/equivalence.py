"""Mutants that are proven to change nothing: no test could notice them, and none is asked to.

Four proofs: a condition comes out as before whatever the facts; a ceiling or limit is never tighter than another one
on the same counter, so that it is never the tightest; two fallbacks that changed about are never both meant; the
longest delay of a retry is never come to.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from policy_engine.analysis.satisfy import Impossible, Satisfier, Want
from policy_engine.language.checked import (
    AllOf,
    CeilingRule,
    CheckedPolicy,
    FallbackRule,
    LimitRule,
    RetryRule,
    Rule,
    Test,
)
from policy_engine.testing.coverage.tally import rules_of
from policy_engine.testing.mutation.meaning import meaning
from policy_engine.testing.mutation.mutants import Mutant

_TRUTHS = (True, False, None)


class Equivalence:
    """Proofs about the mutants of one policy."""

    def __init__(self, policy: CheckedPolicy) -> None:
        self._policy = policy
        self._satisfier = Satisfier(policy)

    def proven(self, mutant: Mutant) -> bool:
        """Whether the mutant is proven to decide as the policy does."""
        old, new = mutant.old, mutant.new
        if old is None:
            return False
        if isinstance(old, FallbackRule) and mutant.operator == "fallback order":
            return isinstance(new, FallbackRule) and self._never_both(old, new)
        if isinstance(old, RetryRule) and isinstance(new, RetryRule) and _waits(old) == _waits(new):
            return bool(meaning(replace(old, longest_micros=None)) == meaning(replace(new, longest_micros=None)))
        if isinstance(old, CeilingRule | LimitRule) and self._never_tightest(old, new):
            return True
        if new is None or old.condition is None or new.condition is None:
            return False
        return _same_but_condition(old, new) and self._alike(old.condition, new.condition)

    def _never_both(self, one: FallbackRule, two: FallbackRule) -> bool:
        """Whether no failure is for both of two fallbacks: which stands first then makes no difference."""
        if not one.classes & two.classes:
            return True
        if one.condition is None or two.condition is None:
            return False
        return all(
            isinstance(self._satisfier.satisfy([Want(one.condition, a), Want(two.condition, b)]), Impossible)
            for a in (True, None)
            for b in (True, None)
        )

    def _alike(self, old: Test, new: Test) -> bool:
        """Whether no facts tell two conditions apart."""
        return all(
            isinstance(self._satisfier.satisfy([Want(old, before), Want(new, after)]), Impossible)
            for before in _TRUTHS
            for after in _TRUTHS
            if before is not after
        )

    def _never_tightest(self, old: CeilingRule | LimitRule, new: Rule | None) -> bool:
        """Whether another rule on the same counter is at least as tight as both, wherever either applies.

        A rule that alerts, or is only logged, says something though it never decides.
        """
        if old.shadow or old.alerts or (new is not None and (new.points != old.points or type(new) is not type(old))):
            return False
        limit = min(_limit(rule) or 0 for rule in (old, new) if rule is not None)
        applies = [rule.condition for rule in (old, new) if rule is not None]
        return any(
            _limit(other) is not None
            and (_limit(other) or 0) <= limit
            and other.points >= old.points
            and all(self._covers(other.condition, condition) for condition in applies)
            for other in self._beside(old)
        )

    def _beside(self, rule: CeilingRule | LimitRule) -> Iterator[CeilingRule | LimitRule]:
        """The other enforced rules on the same counter that hold for whoever this one holds for."""
        for other in rules_of(self._policy, rule.block):
            if other is rule or other.shadow or not isinstance(other, type(rule)) or other.alerts:
                continue
            if isinstance(other, CeilingRule) and isinstance(rule, CeilingRule) and other.quantity != rule.quantity:
                continue
            if other.scope == rule.scope:
                yield other

    def _covers(self, outer: Test | None, inner: Test | None) -> bool:
        """Whether the outer rule applies wherever the inner one does; both apply where they are not known."""
        if outer is None:
            return True
        if inner is None:
            return self._satisfier.satisfy([Want(outer, False)]) == Impossible()
        return all(
            isinstance(self._satisfier.satisfy([Want(inner, truth), Want(outer, False)]), Impossible)
            for truth in (True, None)
        )


def _limit(rule: Rule) -> int | None:
    if isinstance(rule, CeilingRule):
        return rule.limit
    return rule.count if isinstance(rule, LimitRule) else None


def _waits(rule: RetryRule) -> list[int]:
    """The delay before each retry that it ever permits."""
    longest = rule.longest_micros
    return [rule.first_micros if longest is None else min(longest, rule.first_micros << n) for n in range(rule.count)]


def _same_but_condition(old: Rule, new: Rule) -> bool:
    nothing = AllOf(())
    return bool(meaning(replace(old, condition=nothing)) == meaning(replace(new, condition=nothing)))
