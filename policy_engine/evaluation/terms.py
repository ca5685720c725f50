"""What every evaluator agrees on before it decides anything: which names are identity, which order grants burn in."""

from fractions import Fraction

from policy_engine.evaluation.facts import Grant
from policy_engine.language.checked import CeilingRule, Rule
from policy_engine.language.vocabulary import Point

IDENTITY = frozenset({"customer", "plan", "workflow", "outcome", "lane", "route", "error"})
"""Names that say who and what a decision is about. They are always known, and they alone decide whether a
rule can apply: a rule for another customer asks nothing of this one."""

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
    return Fraction(repr(value)) if isinstance(value, float) else Fraction(int(value))  # type: ignore[call-overload]
