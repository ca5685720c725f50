"""Asking the engine itself: nothing is shown of what would happen that was not seen to happen."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from policy_engine.evaluation.decision import Decision
from policy_engine.evaluation.facts import FactError
from policy_engine.language.checked import Meter
from policy_engine.language.units import plain_number, print_duration, print_money
from policy_engine.language.vocabulary import Point, Unit
from policy_engine.policy import Policy


def replay(policy: Policy, point: Point, facts: Mapping[str, Any]) -> Decision:
    """The decision of a point for plain facts. Raises `FactError` for facts that the boundary does not take."""
    ask: Callable[[Any], Decision] = getattr(policy, Point(point).value)
    return ask(facts)


def confirmed(policy: Policy, point: Point, facts: Mapping[str, Any], claim: Callable[[Decision], bool]) -> bool:
    """Whether the engine takes these facts and its decision bears a claim out."""
    try:
        return claim(replay(policy, point, facts))
    except FactError:
        return False


def readable(value: Any, unit: Unit, currency: str) -> Any:
    """A value in internal units as a caller would write it: `"$0.30"`, `"90s"`, `0.5`, `3`."""
    if isinstance(value, bool | str) or value is None:
        return value
    if unit is Unit.MONEY:
        return print_money(int(value), currency)
    if unit is Unit.DURATION:
        return print_duration(int(value))
    exact = Fraction(repr(value)) if isinstance(value, float) else Fraction(value)
    return exact.numerator if exact.denominator == 1 else float(exact)


def counter_unit(meter: Meter) -> Unit:
    """What a counter's value is: money, or a count."""
    return Unit.MONEY if meter.quantity in ("spent", "overage") else Unit.INTEGER


def sentence(value: Any) -> str:
    """A plain value in words: `0.5`, `true`, `$0.30`, `unknown`."""
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "true" if value else "false"
    return plain_number(Fraction(repr(value))) if isinstance(value, float) else str(value)
