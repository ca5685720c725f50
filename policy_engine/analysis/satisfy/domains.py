"""The values that one name may still have: a finite set, or an interval with holes; and perhaps unknown.

Whole units (money in nanos, durations in micros, integers, counts) are intervals over the integers, numbers
and percents over the rationals. What can be given of the latter are floats read through their `repr`, so a
value is only ever chosen from those; see `nicest`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from policy_engine.language.checked import Linear
from policy_engine.language.units import MICROS, NANOS
from policy_engine.language.vocabulary import Unit

TRUE, FALSE, UNKNOWN = 1, 2, 4
EVERY = TRUE | FALSE | UNKNOWN
"""Truth values as bits: a goal is a set of those that a condition may come out as."""

WHOLE = frozenset({Unit.MONEY, Unit.DURATION, Unit.INTEGER})

_STEPS: dict[Unit, tuple[int, ...]] = {
    Unit.MONEY: tuple(NANOS // 10**digits for digits in (2, 3, 4, 5, 6, 9)),
    Unit.DURATION: (MICROS["s"], 100 * MICROS["ms"], MICROS["ms"], 1),
    Unit.INTEGER: (1,),
}
"""The roundest amounts that are looked for, by unit: a cent before a tenth of a cent."""

_DIGITS = 15
_FLOATS_TRIED = 64


class Nothing(Exception):
    """Between two bounds there is no value that can be given."""


class NoneFits(Exception):
    """Between two bounds there are values, and none was found that can be given."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Some of finitely many values. The order of `every` is the order of preference."""

    every: tuple[object, ...]
    left: frozenset[object]
    unknown: bool

    @property
    def known(self) -> bool:
        return bool(self.left)

    def among(self, members: frozenset[object], truth: int) -> "Choices | None":
        """What is left where membership in `members` comes out as one of `truth`; None if nothing."""
        left: frozenset[object] = frozenset()
        if truth & TRUE:
            left = self.left if truth & FALSE else self.left & members
        elif truth & FALSE:
            left = self.left - members
        unknown = self.unknown and bool(truth & UNKNOWN)
        if not left and not unknown:
            return None
        return self if unknown is self.unknown and len(left) == len(self.left) else Choices(self.every, left, unknown)

    def only(self, *, known: bool) -> "Choices | None":
        """What is left where the value is known, or is not."""
        return self.among(frozenset(), TRUE | FALSE if known else UNKNOWN)

    def unknown_only(self) -> "Choices":
        """Nothing known at all."""
        return Choices(self.every, frozenset(), unknown=True)

    def pick(self) -> object:
        """The first value that is left; None where only unknown is."""
        return next((value for value in self.every if value in self.left), None)


@dataclass(frozen=True, slots=True)
class Region:
    """The values for which a comparison of one name holds, or does not: an interval, or all but one point."""

    low: Fraction | int | None = None
    low_open: bool = False
    high: Fraction | int | None = None
    high_open: bool = False
    hole: Fraction | int | None = None
    nothing: bool = False


@dataclass(frozen=True, slots=True)
class Interval:
    """Numbers from `low` to `high` but for `holes`; `known` is False where only unknown is left.

    `likely` are ordinary values, chosen before any other.
    """

    unit: Unit
    low: Fraction | int | None
    high: Fraction | int | None
    unknown: bool
    low_open: bool = False
    high_open: bool = False
    holes: frozenset[Fraction | int] = frozenset()
    known: bool = True
    likely: tuple[int, ...] = ()

    @property
    def whole(self) -> bool:
        return self.unit in WHOLE

    def within(self, region: Region) -> "Interval | None":
        """What is left inside a region, not known left out; None if nothing."""
        if not self.known or region.nothing:
            return None
        low, low_open, high, high_open = self.low, self.low_open, self.high, self.high_open
        if region.low is not None and (
            low is None or region.low > low or (region.low == low and region.low_open and not low_open)
        ):
            low, low_open = region.low, region.low_open
        if region.high is not None and (
            high is None or region.high < high or (region.high == high and region.high_open and not high_open)
        ):
            high, high_open = region.high, region.high_open
        holes = self.holes
        if region.hole is not None and self._has(region.hole):
            holes |= {region.hole}
        same_ends = low is self.low and high is self.high and (low_open, high_open) == (self.low_open, self.high_open)
        if same_ends and holes is self.holes and not self.unknown:
            return self
        left = Interval(self.unit, low, high, False, low_open, high_open, holes, True, self.likely)
        return None if left.is_empty() else left

    def is_empty(self) -> bool:
        """Whether no number is left. Gaps between the numbers that can be given are not looked at here."""
        low, high = self.low, self.high
        if low is None or high is None:
            return False
        if low > high or (low == high and (self.low_open or self.high_open or low in self.holes)):
            return True
        if not self.whole or not self.holes or high - low >= len(self.holes):
            return False
        return all(value in self.holes for value in range(int(low), int(high) + 1))

    def compared(self, holds: Region, fails: Region, truth: int) -> "Interval | None":
        """What is left where a comparison comes out as one of `truth`."""
        unknown = self.unknown and bool(truth & UNKNOWN)
        inside: Interval | None = None
        match truth & (TRUE | FALSE):
            case 3:
                inside = self if self.known else None
            case 1:
                inside = self.within(holds)
            case 2:
                inside = self.within(fails)
        if inside is None:
            if not unknown:
                return None
            return replace(self, known=False) if self.known else self
        if inside.unknown is unknown:
            return inside
        return self if unknown and inside.takes(self) else replace(inside, unknown=unknown)

    def takes(self, other: "Interval") -> bool:
        """Whether the known values of another interval are the same."""
        mine = (self.low, self.low_open, self.high, self.high_open, self.holes, self.known)
        return mine == (other.low, other.low_open, other.high, other.high_open, other.holes, other.known)

    def only(self, *, known: bool) -> "Interval | None":
        """What is left where the value is known, or is not."""
        return self.compared(_ANYTHING, _ANYTHING, TRUE | FALSE if known else UNKNOWN)

    def unknown_only(self) -> "Interval":
        """Nothing known at all."""
        return replace(self, known=False, unknown=True)

    def pick(self) -> int | Fraction | None:
        """The roundest value that is left; None where only unknown is. Raises `Nothing` and `NoneFits`."""
        if not self.known:
            return None
        try:
            value = next(self.candidates(), None)
        except NoneFits:
            if not self.unknown:
                raise
            return None
        if value is None and not self.unknown:
            raise Nothing
        return value

    def candidates(self) -> Iterator[int | Fraction]:
        """Values that are left, round ones first, near both ends. Empty only where no value can be given at all.

        Raises `NoneFits` where that cannot be said.
        """
        yield from (value for value in self.likely if self._has(value))
        if self.whole:
            yield from self._whole_candidates()
        else:
            yield from self._decimal_candidates()

    def _whole_candidates(self) -> Iterator[int]:
        low = None if self.low is None else int(self.low)
        high = None if self.high is None else int(self.high)
        if self._has(0):
            yield 0
        for step in _STEPS[self.unit]:
            for value in self._multiples(step, low, high):
                yield int(value)

    def _multiples(
        self, step: Fraction | int, low: Fraction | int | None, high: Fraction | int | None
    ) -> Iterator[Fraction | int]:
        """The first multiples of a step above the low end, and the last below the high end."""
        tries = len(self.holes) + 2
        if low is None and high is None:
            low = 0
        for start, towards in ((low, 1), (high, -1)):
            if start is None:
                continue
            number = -(-start // step) if towards == 1 else start // step
            for value in ((number + towards * more) * step for more in range(tries)):
                if self._has(value):
                    yield value

    def _has(self, value: Fraction | int) -> bool:
        if value in self.holes:
            return False
        if self.low is not None and (value < self.low or (self.low_open and value == self.low)):
            return False
        return self.high is None or not (value > self.high or (self.high_open and value == self.high))

    def _decimal_candidates(self) -> Iterator[Fraction]:
        if self._has(0):
            yield Fraction(0)
        size = max((abs(Fraction(end)) for end in (self.low, self.high) if end is not None), default=Fraction(1))
        top = _magnitude(size)
        for digits in range(_DIGITS):
            # A multiple of this step, no larger than ten times the size, has at most `_DIGITS` digits.
            yield from map(Fraction, self._multiples(Fraction(10) ** (top - digits), self.low, self.high))
        yield from self._float_candidates()

    def _float_candidates(self) -> Iterator[Fraction]:
        """Every float of an interval so narrow that it holds no short decimal."""
        if self.low is None or self.high is None or not _fits_float(self.low) or not _fits_float(self.high):
            raise NoneFits
        number = math.nextafter(float(self.low), -math.inf)
        for _ in range(_FLOATS_TRIED):
            value = Fraction(repr(number))
            if value > self.high:
                return
            if self._has(value):
                yield value
            number = math.nextafter(number, math.inf)
        raise NoneFits


_ANYTHING = Region()

Domain = Choices | Interval


def _magnitude(size: Fraction | int) -> int:
    """The power of ten of the first digit."""
    if size == 0:
        return 0
    exact = Fraction(size)
    digits = len(str(exact.numerator)) - len(str(exact.denominator))
    return digits if exact >= Fraction(10) ** digits else digits - 1


def _fits_float(value: Fraction | int) -> bool:
    return value == 0 or -300 < _magnitude(abs(Fraction(value))) < 300


def regions(test: Linear) -> tuple[Region, Region]:
    """Where a comparison of one name holds, and where it does not."""
    coefficient, read = test.terms[0]
    bound: Fraction | int = test.bound / coefficient
    op = test.op if coefficient > 0 else _TURNED.get(test.op, test.op)
    whole = read.unit in WHOLE
    if op == "is":
        if whole and bound.denominator != 1:
            return Region(nothing=True), Region()
        point = int(bound) if whole else bound
        return Region(point, False, point), Region(hole=point)
    below, above = _half_lines(bound, whole=whole, at_bound_below=op in ("<=", ">"))
    return (below, above) if op in ("<", "<=") else (above, below)


_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _half_lines(bound: Fraction | int, *, whole: bool, at_bound_below: bool) -> tuple[Region, Region]:
    if not whole:
        return Region(high=bound, high_open=not at_bound_below), Region(low=bound, low_open=at_bound_below)
    last = math.floor(bound) if at_bound_below else math.ceil(bound) - 1
    return Region(high=last), Region(low=last + 1)
