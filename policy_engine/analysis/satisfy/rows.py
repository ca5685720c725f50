"""Sums of several names compared with a constant, all at once: elimination by Fourier and Motzkin.

Exact over the rationals; over the integers what is found is right and what is excluded is excluded, but
it may find neither (`Gap`).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from policy_engine.analysis.satisfy.domains import Interval, NoneFits

MAX_ROWS = 1_000
"""More rows than this are not made: the elimination may square their number with every name."""

_TRIED_PER_NAME = 3
_TRIED = 300


class Gap(Exception):
    """The sums can be met by some numbers, but not by any that were found among those that can be given."""


class TooManyRows(Exception):
    """The elimination would make too many sums."""


@dataclass(frozen=True, slots=True)
class Row:
    """The sum of coefficient x value is at most `bound`; `strict`: below it."""

    terms: tuple[tuple[Fraction | int, str], ...]
    bound: Fraction | int
    strict: bool = False


_Levels = list[tuple[str, list[Row]]]
"""The names in the order of their elimination, each with the rows that read it then."""


def excluded(rows: Iterable[Row], domains: Mapping[str, Interval]) -> bool:
    """Whether it is proven that no values meet the rows; False says nothing."""
    try:
        return _eliminated(rows, domains) is None
    except TooManyRows:
        return False


def solve(rows: Iterable[Row], domains: Mapping[str, Interval]) -> dict[str, Fraction | int] | None:
    """Values for every name of the rows, inside their domains; None: proven that there are none.

    Raises `Gap` and `TooManyRows`.
    """
    levels = _eliminated(rows, domains)
    if levels is None:
        return None
    found: dict[str, Fraction | int] = {}
    budget = [_TRIED]
    if not _chosen(levels, len(levels) - 1, domains, found, budget):
        raise Gap
    return found


def _eliminated(rows: Iterable[Row], domains: Mapping[str, Interval]) -> _Levels | None:
    """One name after the other taken out of the rows; None where what is left cannot hold."""
    given = list(rows)
    names = {name for row in given for _, name in row.terms}
    whole = {name for name in names if domains[name].whole}
    given += [row for name in sorted(names) for row in _ends(name, domains[name])]
    levels: _Levels = []
    left = _tidied(given, whole)
    while left:
        products = {name: _products(left, name) for row in left for _, name in row.terms}
        name = min(products, key=products.__getitem__)
        levels.append((name, [row for row in left if any(name == other for _, other in row.terms)]))
        left = _without(name, left, whole)
    if left is None:
        return None
    eliminated = {name for name, _ in levels}
    return levels + [(name, []) for name in sorted(names - eliminated)]  # their last row went with another name


def _ends(name: str, domain: Interval) -> list[Row]:
    ends = []
    if domain.low is not None:
        ends.append(Row(((-1, name),), -domain.low, domain.low_open))
    if domain.high is not None:
        ends.append(Row(((1, name),), domain.high, domain.high_open))
    return ends


def _products(rows: Sequence[Row], name: str) -> int:
    signs = [coefficient > 0 for row in rows for coefficient, other in row.terms if other == name]
    return sum(signs) * (len(signs) - sum(signs))


def _tidied(rows: Iterable[Row], whole: set[str]) -> list[Row] | None:
    """Rows in smallest whole coefficients, each once, with its tightest bound; None where one cannot hold."""
    tightest: dict[tuple[tuple[int, str], ...], tuple[Fraction | int, bool]] = {}
    for row in rows:
        if not row.terms:
            if row.bound < 0 or (row.strict and row.bound == 0):
                return None
            continue
        terms, bound = _smallest(row)
        strict = row.strict
        if all(name in whole for _, name in terms):
            bound, strict = (math.ceil(bound) - 1 if strict else math.floor(bound)), False
        before = tightest.get(terms)
        if before is None or bound < before[0] or (bound == before[0] and strict):
            tightest[terms] = (bound, strict)
    return [Row(terms, bound, strict) for terms, (bound, strict) in tightest.items()]


def _smallest(row: Row) -> tuple[tuple[tuple[int, str], ...], Fraction | int]:
    """The terms in smallest whole coefficients, by name, and the bound that goes with them."""
    factors = [coefficient for coefficient, _ in row.terms]
    bound = row.bound
    if any(type(factor) is not int for factor in factors):
        scale = math.lcm(*(Fraction(factor).denominator for factor in factors))
        factors = [int(factor * scale) for factor in factors]
        bound *= scale
    divisor = math.gcd(*map(int, factors))
    if divisor != 1:
        factors = [int(factor) // divisor for factor in factors]
        bound = Fraction(bound) / divisor
    named = zip(map(int, factors), (name for _, name in row.terms), strict=True)
    return tuple(sorted(named, key=_by_name)), bound


def _by_name(term: tuple[Fraction | int, str]) -> str:
    return term[1]


def _without(name: str, rows: Sequence[Row], whole: set[str]) -> list[Row] | None:
    """The rows that follow for the other names."""
    upper: list[tuple[Fraction | int, Row]] = []
    lower: list[tuple[Fraction | int, Row]] = []
    rest: list[Row] = []
    for row in rows:
        coefficient = next((c for c, other in row.terms if other == name), 0)
        if coefficient > 0:
            upper.append((coefficient, row))
        elif coefficient < 0:
            lower.append((-coefficient, row))
        else:
            rest.append(row)
    if len(upper) * len(lower) + len(rest) > MAX_ROWS:
        raise TooManyRows
    for above, high in upper:
        for below, low in lower:
            terms: dict[str, Fraction | int] = {}
            for factor, row in ((below, high), (above, low)):
                for coefficient, other in row.terms:
                    terms[other] = terms.get(other, 0) + coefficient * factor
            kept = tuple((c, other) for other, c in terms.items() if c)
            rest.append(Row(kept, high.bound * below + low.bound * above, high.strict or low.strict))
    return _tidied(rest, whole)


def _chosen(
    levels: Sequence[tuple[str, list[Row]]],
    level: int,
    domains: Mapping[str, Interval],
    found: dict[str, Fraction | int],
    budget: list[int],
) -> bool:
    """Choose values backwards, the name that was eliminated last first."""
    if level < 0:
        return True
    name, rows = levels[level]
    domain = _narrowed(name, rows, domains[name], found)
    if domain is None:
        return False
    try:
        for number, value in enumerate(domain.candidates()):
            if number == _TRIED_PER_NAME or budget[0] == 0:
                break
            budget[0] -= 1
            found[name] = value
            if _chosen(levels, level - 1, domains, found, budget):
                return True
    except NoneFits:
        return False
    return False


def _narrowed(name: str, rows: Sequence[Row], domain: Interval, found: Mapping[str, Fraction | int]) -> Interval | None:
    """The domain of a name, once the names that the rows also read have values."""
    low, low_open, high, high_open = domain.low, domain.low_open, domain.high, domain.high_open
    for row in rows:
        own: Fraction | int = 0
        rest = row.bound
        for coefficient, other in row.terms:
            if other == name:
                own = coefficient
            else:
                rest -= coefficient * found[other]
        end: Fraction | int = Fraction(rest) / own
        strict = row.strict
        if own > 0:
            if domain.whole:
                end, strict = (math.ceil(end) - 1 if strict else math.floor(end)), False
            if high is None or end < high or (end == high and strict):
                high, high_open = end, strict
        else:
            if domain.whole:
                end, strict = (math.floor(end) + 1 if strict else math.ceil(end)), False
            if low is None or end > low or (end == low and strict):
                low, low_open = end, strict
    left = Interval(domain.unit, low, high, False, low_open, high_open, domain.holes, True, domain.likely)
    return None if left.is_empty() else left
