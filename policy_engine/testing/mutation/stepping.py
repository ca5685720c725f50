"""A literal, one unit up or down: one of its last written digit, one whole unit where it is written with `k` or `M`."""

import re
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

from msgspec.structs import replace

from policy_engine.language import syntax as s
from policy_engine.language.units import MICROS, SUFFIXES

Amount = TypeVar("Amount", s.Number, s.Money, s.Percent, s.Duration)

_FORM = re.compile(r"(?P<sign>[$€£]?)(?P<digits>\d+(?:\.\d+)?)(?P<suffix>[kM]?)(?P<rest>(?:%|[a-z]+|\s*[A-Z]{3})?)")


def steps(literal: Amount) -> Iterator[Amount]:
    """The literal one unit up, then one unit down if that is not below nothing."""
    form = _FORM.fullmatch(literal.text)
    if form is None:
        return
    digits = Decimal(form["digits"])
    unit = Decimal(1).scaleb(min(0, int(digits.as_tuple().exponent)))
    if form["suffix"]:
        digits, unit = digits * SUFFIXES[form["suffix"]], Decimal(1)
        digits = digits.quantize(unit) if digits == digits.to_integral_value() else digits
    for stepped in (digits + unit, digits - unit):
        if stepped >= 0:
            value = Fraction(stepped) * (MICROS[form["rest"]] if isinstance(literal, s.Duration) else 1)
            yield replace(literal, value=value, text=f"{form['sign']}{stepped:f}{form['rest']}")
