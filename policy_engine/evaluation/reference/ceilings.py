"""Ceilings: which apply, what they leave, what they say of an asked amount."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from policy_engine.evaluation.decision import Alert, Ruling, Shadow
from policy_engine.evaluation.facts import ProgressFacts
from policy_engine.evaluation.reference.view import View
from policy_engine.evaluation.terms import UNITS
from policy_engine.language.checked import CeilingRule, LimitRule
from policy_engine.language.units import share_nanos


@dataclass(frozen=True, slots=True)
class Asked:
    """What an attempt asks for, by quantity; None where it cannot be known."""

    nanos: int | None
    tokens: int | None


def limit_of(rule: CeilingRule, price_nanos: int) -> int:
    """The limit in the rule's own unit: as written, or a share of the price rounded down."""
    if rule.percent_of_price is not None:
        return share_nanos(rule.percent_of_price, price_nanos)
    assert rule.limit is not None  # noqa: S101 - the checker sets one or the other
    return rule.limit


def applying(rules: Iterable[CeilingRule], view: View) -> list[CeilingRule]:
    """The ceilings of this point that apply. An unknown condition is resolved to the strict side: it applies."""
    return [rule for rule in rules if view.point in rule.points and view.holds(rule) is not False]


def used_of(rule: CeilingRule, view: View) -> int | None:
    """Incurred plus reserved in the rule's scope; time since its start for a time ceiling."""
    facts = view.facts
    if rule.quantity == "elapsed":
        if rule.scope.execution == "outcome":
            return int(getattr(facts, "elapsed_micros", 0))
        if rule.scope.execution == "step":
            return int(getattr(facts, "step_elapsed_micros", 0))
        return facts.attempt_elapsed_micros if isinstance(facts, ProgressFacts) else 0
    if rule.scope.execution == "attempt":
        return 0
    return view.used(rule.meter)


def asked_of(rule: CeilingRule, asked: Asked) -> int | None:
    """What is asked of one ceiling. Time is not asked for: it passes."""
    if rule.quantity == "spent":
        return asked.nanos
    if rule.quantity == "tokens":
        return asked.tokens
    return 1 if rule.quantity == "attempts" else None


def ruling(rule: CeilingRule, view: View, asked: Asked) -> Ruling:
    return Ruling(
        rule=rule.ref,
        unit=UNITS[rule.quantity],
        limit=limit_of(rule, view.price_nanos),
        used=used_of(rule, view),
        asked=asked_of(rule, asked),
    )


def crossed(rule: CeilingRule, view: View, asked: Asked) -> bool:
    """Whether the asked amount does not fit. A ceiling may be reached, not crossed; what is unknown does not fit."""
    limit, used = limit_of(rule, view.price_nanos), used_of(rule, view)
    if rule.quantity == "elapsed":
        return used is None or used >= limit
    amount = asked_of(rule, asked)
    if used is None and not covered_by_escrow(view, rule, asked):
        return True
    # From escrow, a silent counter is taken for an empty one: what not even that has room for does not fit.
    return amount is None or (used or 0) + amount > limit


def covered_by_escrow(view: View, rule: CeilingRule | LimitRule, asked: Asked) -> bool:
    """`on store failure allow within $X`: the one written exception to "unknown is never permission".

    It stands in for windowed counters alone: what one execution incurs is known without the store.
    """
    left = escrow_left_nanos(view)
    return left is not None and rule.scope.window is not None and asked.nanos is not None and asked.nanos <= left


def escrow_left_nanos(view: View) -> int | None:
    """What may still be spent while the store is silent; None where nothing may, or nobody counts it."""
    if view.policy.escrow_nanos is None or view.facts.escrow is None:
        return None
    return view.policy.escrow_nanos - view.facts.escrow.used


def alerts(rules: Sequence[CeilingRule | LimitRule], rulings: Sequence[Ruling]) -> list[Alert]:
    """The alerts that these amounts, once granted, are the first to reach."""
    found = []
    for rule, said in zip(rules, rulings, strict=True):
        if said.limit is None or said.used is None or said.asked is None:
            continue
        for percent in rule.alerts:
            threshold = Fraction(said.limit) * percent / 100
            if said.used < threshold <= said.used + said.asked:
                found.append(Alert(said, percent))
    return found


def shadows(rules: Iterable[CeilingRule], view: View, asked: Asked) -> list[Shadow]:
    """What ceilings that are not enforced would say of these amounts."""
    return [Shadow(ruling(rule, view, asked), crossed(rule, view, asked)) for rule in applying(rules, view)]


def tightest_per_outcome(rules: Iterable[CeilingRule], view: View) -> int | None:
    """The tightest money ceiling on this execution as a whole, in nano units; None if there is none."""
    limits = [
        limit_of(rule, view.price_nanos)
        for rule in rules
        if rule.quantity == "spent"
        and rule.scope.execution == "outcome"
        and rule.block.kind != "route"
        and not rule.shadow
        and view.holds(rule) is not False
    ]
    return min(limits, default=None)
