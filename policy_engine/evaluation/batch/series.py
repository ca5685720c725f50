"""Single columns: texts by number, whole numbers in their range, what is wrong and in which row."""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import inf, nextafter
from typing import Any

import polars as pl

from policy_engine.evaluation.facts import FactError
from policy_engine.language.checked import Fact
from policy_engine.language.diagnostics import did_you_mean, one_of
from policy_engine.language.vocabulary import Unit

DICTIONARIES = (pl.Enum, pl.Categorical)
"""Types whose texts are numbers already."""

MOST = 2**63 - 1

FEW_WORDS = 2**16
"""Dictionaries up to this size are read whole, instead of looking for the words that occur."""

# ---------------------------------------------------------------- texts by number


def coded(name: str, series: pl.Series, allowed: Sequence[str], otherwise: str | None) -> pl.Series:
    """Each text's place in `allowed`; for any other null, or where `otherwise` says what it is, an error."""
    if isinstance(series.dtype, pl.Enum) and series.dtype.categories.to_list() == list(allowed):
        codes = series.to_physical().cast(pl.UInt32)
    elif series.dtype == pl.String:
        codes = series.cast(pl.Enum(allowed), strict=False).to_physical().cast(pl.UInt32)
    elif series.dtype in DICTIONARIES:
        place_of = {text: place for place, text in enumerate(allowed)}
        words = dictionary(series)
        table: list[int | None] = [None] * (max(words.values(), default=-1) + 1)
        for word, number in words.items():
            table[number] = place_of.get(word)
        codes = series.to_physical().cast(pl.UInt32)
        if table != list(range(len(table))):
            codes = pl.Series(table, dtype=pl.UInt32).gather(codes) if table else codes
    else:
        raise wrong_type(name, series, "texts")
    if otherwise is not None and codes.null_count() > series.null_count():
        row = (codes.is_null() & series.is_not_null()).arg_max()
        assert row is not None  # noqa: S101 - there is one
        text = str(series[row])
        raise FactError(name, f"`{name}` in row {row}: `{text}` is {otherwise}; {suggestion(text, allowed)}")
    return codes


def not_one_of(name: str, text: str, row: int, allowed: Sequence[str]) -> FactError:
    """The error for a name that the policy does not have."""
    kind = name.replace("error", "error class")
    return FactError(name, f"`{name}` in row {row}: `{text}` is no {kind}; {suggestion(text, allowed)}")


def dictionary(series: pl.Series) -> dict[str, int]:
    if isinstance(series.dtype, pl.Enum):
        return {text: number for number, text in enumerate(series.dtype.categories.to_list())}
    numbers = series.to_physical()
    most: Any = numbers.max()
    if most is None:
        return {}
    if most < FEW_WORDS:  # numbers are given in turn, so all up to the largest stand for something
        words = pl.Series(range(most + 1), dtype=numbers.dtype).cat.to(series.dtype)
    else:
        words = series.unique().drop_nulls()
    return dict(zip(words.cast(pl.String).to_list(), words.to_physical().to_list(), strict=True))


def places(series: pl.Series, words: Mapping[str, int], texts: set[str]) -> pl.Series:
    """Where a column with a dictionary has one of these texts."""
    numbers = pl.Series([number for text, number in words.items() if text in texts], dtype=pl.UInt32)
    return series.to_physical().cast(pl.UInt32).is_in(numbers.implode())


# ---------------------------------------------------------------- numbers


def above(size: Fraction) -> float:
    """The least float whose decimal spelling is at least `size`."""
    found = float(size)
    while Fraction(repr(found)) < size:
        found = nextafter(found, inf)
    while Fraction(repr(nextafter(found, -inf))) >= size:
        found = nextafter(found, -inf)
    return found


def not_above(size: Fraction) -> float:
    """The largest float whose decimal spelling is at most `size`."""
    return -above(-size)


def whole(name: str, series: pl.Series) -> pl.Series:
    if not series.dtype.is_integer():
        raise wrong_type(name, series, "whole numbers")
    if series.dtype == pl.Int64:
        return series
    cast = series.cast(pl.Int64, strict=False)
    if cast.null_count() > series.null_count():
        row = (cast.is_null() & series.is_not_null()).arg_max()
        raise FactError(name, f"`{name}` in row {row} does not fit into 64 bits")
    return cast


def signs(frame: pl.DataFrame) -> dict[str, int | None]:
    """The bits that occur in each column of whole numbers: all the columns at once, one look at each.

    Not negative if no number is; and then no number is larger, while it is less than twice the largest.
    """
    found = frame.select(pl.col(pl.Int64).bitwise_or())
    return found.row(0, named=True) if found.width else {}


def inside(name: str, series: pl.Series, low: float | None, high: float | None, bits: int | None = None) -> int:
    """What no magnitude of a column that is inside its range is above, from its bits if they tell."""
    if low == 0 and bits is not None and 0 <= bits <= (MOST if high is None else high):
        return bits
    least: Any = series.min()
    most: Any = series.max()
    if least is None:
        return 0
    if low is not None and least < low:
        row = (series < low).arg_max() or 0
        raise FactError(name, f"`{name}` in row {row} is {series[row]}; it is at least {low}")
    if high is not None and most > high:
        row = (series > high).arg_max() or 0
        raise FactError(name, f"`{name}` in row {row} is {series[row]}; it is at most {high}")
    return int(max(abs(least), abs(most)))


def dtype_of(fact: Fact) -> Any:
    kinds = {Unit.ENUM: pl.UInt32, Unit.TEXT: pl.String, Unit.BOOLEAN: pl.Boolean}
    numbers = {Unit.NUMBER: pl.Float64, Unit.PERCENT: pl.Float64}
    return {**kinds, **numbers}.get(fact.unit, pl.Int64)


def filled(series: pl.Series, fact: Fact) -> pl.Series:
    default = fact.default
    if fact.unit is Unit.ENUM:
        return series.fill_null(fact.values.index(str(default)))
    if isinstance(default, Fraction):
        return series.fill_null(float(default) if series.dtype == pl.Float64 else int(default))
    if series.dtype in DICTIONARIES:
        series = series.cast(pl.String)
    return series.fill_null(default)


def suggestion(text: str, known: Iterable[str]) -> str:
    listed = tuple(known)
    return did_you_mean(text, listed) or (f"one of {one_of(listed)}" if listed else "the policy declares none")


def wrong_type(name: str, series: pl.Series, wanted: str) -> FactError:
    row = series.is_not_null().arg_max() or 0
    return FactError(name, f"`{name}` is of type {series.dtype}, not {wanted}, from row {row} on")
