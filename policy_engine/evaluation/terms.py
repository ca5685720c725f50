"""What every evaluator agrees on before it decides anything: which names are identity, which order grants burn in."""

from collections.abc import Mapping
from fractions import Fraction

from policy_engine.evaluation.facts import Grant
from policy_engine.language.checked import AllOf, AnyOf, CeilingRule, Inverse, Member, Rule, Test
from policy_engine.language.vocabulary import Point

IDENTITY = frozenset({"customer", "plan", "workflow", "outcome", "lane", "route", "error"})
"""Names that say who and what a decision is about. They are always known, and they alone decide whether a
rule can apply: a rule for another customer asks nothing of this one."""


def fold(test: Test, who: Mapping[str, str | None]) -> Test | bool:
    """The condition with what is known of `who` decided: a shorter condition, or its value.

    A name that `who` has no entry for stays; an entry of None is a name without a value, in no list. What
    stays of the condition is what a decision reads: facts that were folded away are not asked for.
    """
    if isinstance(test, AllOf | AnyOf):
        decisive = isinstance(test, AnyOf)
        parts = [fold(part, who) for part in test.parts]
        if decisive in parts:
            return decisive
        open_parts = tuple(part for part in parts if not isinstance(part, bool))
        if not open_parts:
            return not decisive
        return open_parts[0] if len(open_parts) == 1 else type(test)(open_parts)
    if isinstance(test, Inverse):
        part = fold(test.part, who)
        return not part if isinstance(part, bool) else Inverse(part)
    if isinstance(test, Member) and not test.read.is_fact and test.read.name in IDENTITY and test.read.name in who:
        return who[test.read.name] in test.values
    return test


UNITS = {"spent": "money", "attempts": "attempts", "tokens": "tokens", "elapsed": "time"}
"""A ceiling's quantity → the unit of its numbers in a decision."""


def burn_down(grant: Grant) -> tuple[object, ...]:
    """Which grant is drawn first: priority, soonest expiry, promotional before paid, effective, created."""
    never = grant.expires_micros is None
    return (
        grant.priority,
        never,
        grant.expires_micros or 0,
        grant.kind != "promotion",
        grant.effective_micros,
        grant.created_micros,
        grant.id,
    )


def is_looked_at(rule: Rule) -> bool:
    """Whether an admission reads this rule: who may enter, what is left in a window, the tightest outcome ceiling."""
    if Point.ADMIT not in rule.points:
        return False
    if not isinstance(rule, CeilingRule):
        return True
    if rule.scope.window is not None:
        return rule.scope.key not in ("lane", "route")  # kept apart by what is not settled yet; the attempt asks
    return rule.quantity == "spent" and rule.scope.execution == "outcome" and not rule.shadow


def exact(value: object) -> Fraction:
    """A number fact is a float whose `repr` is what the caller meant; everything else is a whole number."""
    return Fraction(repr(value)) if isinstance(value, float) else Fraction(int(value))  # type: ignore[call-overload]  # a number
