"""Kleene's value of a condition under given values: what every witness is held against."""

from collections.abc import Mapping
from fractions import Fraction

from policy_engine.analysis.satisfy.answers import Value
from policy_engine.language.checked import AllOf, AnyOf, Inverse, Linear, Test, Truth


def truth_of(test: Test, values: Mapping[str, Value]) -> bool | None:
    """True, False, or None for not known. `values` has an entry for every name that the condition reads."""
    if isinstance(test, AllOf):
        parts = [truth_of(part, values) for part in test.parts]
        return False if False in parts else None if None in parts else True
    if isinstance(test, AnyOf):
        parts = [truth_of(part, values) for part in test.parts]
        return True if True in parts else None if None in parts else False
    if isinstance(test, Inverse):
        part = truth_of(test.part, values)
        return None if part is None else not part
    if isinstance(test, Linear):
        return _compared(test, values)
    value = values[test.read.name]
    if value is None:
        return None
    return value is True if isinstance(test, Truth) else value in test.values


def _compared(test: Linear, values: Mapping[str, Value]) -> bool | None:
    total = Fraction(0)
    for coefficient, read in test.terms:
        value = values[read.name]
        if value is None:
            return None
        assert isinstance(value, int | Fraction)  # noqa: S101 - the domains of numeric names hold numbers
        total += coefficient * value
    match test.op:
        case "is":
            return total == test.bound
        case "<":
            return total < test.bound
        case "<=":
            return total <= test.bound
        case ">":
            return total > test.bound
    return total >= test.bound
