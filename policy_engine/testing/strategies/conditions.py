"""Conditions of every form, none of them constant: `when … ` and `unless …`."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from policy_engine.testing.strategies.picking import Pick
from policy_engine.testing.strategies.words import INTEGER, MONEY, POOLS, WINDOWS, Names, Number, literal

_ORDERS = {"<": (1, None), "<=": (0, -1), ">": (0, -1), ">=": (1, None)}
"""Which values of an ordered enum an operator may stand before without being always true or always false."""


@dataclass(frozen=True)
class Metered:
    """Blocks that a meter may be `of`: those whose spend and those whose entries are counted."""

    spending: tuple[str, ...]
    entered: tuple[str, ...]


class Conditions:
    """Writes conditions for one policy."""

    def __init__(self, pick: Pick, currency: str, metered: Metered) -> None:
        self._pick = pick
        self._currency = currency
        self._metered = metered

    def tail(self, names: Names) -> str:
        """` when …` or ` unless …`."""
        if not names.kinds:
            return ""
        return f" {self._pick.of(('when', 'unless'))} {self.test(names)}"

    def test(self, names: Names) -> str:
        pick = self._pick
        form = pick.number(7)
        if form <= 4:
            return self.atom(names)
        if form == 5:
            return f"not {self.operand(names)}"
        return f" {pick.of(('and', 'or'))} ".join(self.operand(names) for _ in range(2 + pick.number(1)))

    def operand(self, names: Names) -> str:
        """An atom, or a condition in parentheses."""
        pick = self._pick
        if pick.one_in(3):
            word = pick.of(("and", "or"))
            return f"({self.atom(names)} {word} {self.atom(names)})"
        if pick.one_in(6):
            return f"({self.atom(names)})"
        return self.atom(names)

    def atom(self, names: Names) -> str:
        pick = self._pick
        kind = pick.of(names.kinds)
        if kind == "choices":
            return self._choice(names)
        if kind == "flags":
            return pick.of(names.flags) + pick.of(("", " is true", " is false", " is not true"))
        if kind == "texts":
            name, values = pick.of(names.texts)
            quoted = [f'"{value}"' for value in values]
            return f"{name} {self._member(quoted, every=True)}"
        first = self._meter(names) if kind == "meters" else pick.of(names.numbers)
        return self._linear(first, names)

    def _choice(self, names: Names) -> str:
        pick = self._pick
        choice = pick.of(names.choices)
        if choice.ordered and pick.number(1) == 0:
            op = pick.of(tuple(_ORDERS))
            return f"{choice.name} {op} {pick.of(choice.values[slice(*_ORDERS[op])])}"
        return f"{choice.name} {self._member(choice.values, every=choice.open)}"

    def _member(self, values: Sequence[str], *, every: bool) -> str:
        pick = self._pick
        if pick.number(1) == 0:
            return f"{pick.of(('is', 'is not'))} {pick.of(values)}"
        most = len(values) if every else len(values) - 1
        return f"{pick.of(('in', 'not in'))} [{', '.join(pick.some(values, least=1, most=most))}]"

    # ------------------------------------------------------------ numbers

    def _meter(self, names: Names) -> Number:
        pick = self._pick
        quantity = pick.of(("spent", "count", "attempts", "tokens"))
        blocks = self._metered.entered if quantity == "count" else self._metered.spending
        of = f" of {pick.of(blocks)}" if blocks and pick.number(1) else ""
        keys = [key for key in names.keys if not (quantity == "count" and key == "route")]
        key = f" per {pick.of(keys)}" if pick.number(2) else ""
        unit = MONEY if quantity == "spent" else INTEGER
        return Number(f"{quantity}{of}{key} per {pick.of(WINDOWS)}", unit, Fraction(0))

    def _linear(self, first: Number, names: Names) -> str:
        """`2 * words - pages > 3`, `spent > 50% of ceiling`: a sum whose ranges decide nothing."""
        pick = self._pick
        unit = first.unit
        factor, left = self._term(first)
        low, high = _scaled(first, factor)
        others = [number for number in names.numbers if number.unit == unit and number.name != first.name]
        right = ""
        second = Fraction(1)
        if others and pick.one_in(3):
            other = pick.of(others)
            second, term = self._term(other)
            minus = pick.number(1) == 1
            below, above = _scaled(other, -second if minus else second)
            low = None if low is None or below is None else low + below
            high = None if high is None or above is None else high + above
            if pick.number(1):
                right = f" {'+' if minus else '-'} {term}"
            else:
                left = f"{left} {'-' if minus else '+'} {term}"
        op = pick.of((">", "<=", "<", ">=", "is", "is not"))
        bound = self._bound(unit, low, high)
        if unit == INTEGER and bound.denominator != 1 and factor.denominator == second.denominator == 1:
            op = pick.of((">", "<"))  # whole numbers are never equal to a broken one
        return f"{left} {op} {literal(unit, bound, self._currency)}{right}"

    def _term(self, number: Number) -> tuple[Fraction, str]:
        form = self._pick.number(6)
        if form <= 3:
            return Fraction(1), number.name
        if form == 4:
            return Fraction(2), f"2 * {number.name}"
        if form == 5:
            return Fraction(1, 2), f"50% of {number.name}"
        return Fraction(3), f"{number.name} * 3"

    def _bound(self, unit: str, low: Fraction | None, high: Fraction | None) -> Fraction:
        """A bound strictly inside the range, so that the comparison can go both ways."""
        positive = [Fraction(value) for value in POOLS[unit]]
        inside = [
            value
            for value in (*positive, *(-value for value in positive), Fraction(0))
            if (low is None or low < value) and (high is None or value < high)
        ]
        if inside:
            return self._pick.of(inside)
        assert low is not None  # noqa: S101 - a number without bounds is inside them
        assert high is not None  # noqa: S101 - as above
        return (low + high) / 2


def _scaled(number: Number, factor: Fraction) -> tuple[Fraction | None, Fraction | None]:
    low = None if number.low is None else number.low * factor
    high = None if number.high is None else number.high * factor
    return (low, high) if factor > 0 else (high, low)
