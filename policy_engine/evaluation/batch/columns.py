"""Columns in: checked as a whole, in internal units, names as numbers.

What is given as a column is what the boundary's entries are called, with the unit in the
name where it has one: `price_nanos`, `elapsed_micros`. A counter's column is the counter
as it is written (`spent per customer per day`), what is held of it has ` reserved` after
it. A `FactError` names the column and the first row that is wrong, rows counted from 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from policy_engine.evaluation.batch.entries import EVENTS, MAX_COUNT, NUMBERS, STATES, Entry
from policy_engine.evaluation.batch.series import (
    DICTIONARIES,
    above,
    coded,
    dictionary,
    dtype_of,
    filled,
    inside,
    not_above,
    places,
    signs,
    suggestion,
    whole,
    wrong_type,
)
from policy_engine.evaluation.facts import FactError
from policy_engine.evaluation.meters import every_meter
from policy_engine.language.checked import ATTEMPTS, SPENT, TOKENS, CheckedPolicy, Fact, Meter
from policy_engine.language.vocabulary import Point, Unit

HELD = " reserved"
_SHORT = {"spent": SPENT, "attempts": ATTEMPTS, "tokens": TOKENS}


@dataclass(slots=True)
class Columns:
    """The checked columns of one request.

    `frame` holds numbers, truths and the declared facts (`fact NAME`, enum values by their place), counters
    as `settled METER` and `reserved METER`; `constants` stand for whole columns, `sizes` are the largest
    magnitudes. `codes` tell the names that a row is about apart, `allowed` says which there are.
    """

    policy: CheckedPolicy
    point: Point
    raw: pl.DataFrame
    frame: pl.DataFrame
    codes: dict[str, pl.Series] = field(default_factory=dict)
    allowed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    words: dict[str, Mapping[str, int]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def height(self) -> int:
        return self.raw.height

    def may_be_null(self, column: str) -> bool:
        return column not in self.frame.columns or self.frame[column].null_count() > 0

    def is_given(self, column: str) -> bool:
        """Whether some row has a value there."""
        return column in self.frame.columns and self.frame[column].null_count() < self.height


def as_frame(columns: Any) -> pl.DataFrame:
    """A frame of whatever holds columns: Polars, Arrow (by its C interface), a mapping of sequences."""
    try:
        if isinstance(columns, pl.LazyFrame):
            return columns.collect()
        if isinstance(columns, Mapping) or hasattr(columns, "__arrow_c_stream__"):
            return pl.DataFrame(dict(columns) if isinstance(columns, Mapping) else columns)
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise FactError("columns", f"the columns make no table: {str(error).splitlines()[0]}") from None
    raise FactError("columns", "`columns` is neither a frame, an Arrow table nor a mapping of columns")


def checked(
    policy: CheckedPolicy, point: Point, columns: Any, customers: frozenset[str], *, assume_zero: bool
) -> Columns:
    """The columns of one decision point, or a `FactError` that names a column and its first wrong row."""
    raw = as_frame(columns)
    made = Columns(policy, point, raw, pl.DataFrame())
    _Reader(made, customers, assume_zero=assume_zero).read()
    return made


class _Reader:
    def __init__(self, made: Columns, customers: frozenset[str], *, assume_zero: bool) -> None:
        self.made, self.policy, self.point, self.raw = made, made.policy, made.point, made.raw
        self.customers = customers
        self.assume_zero = assume_zero
        self.left = set(self.raw.columns)
        self.series: list[pl.Series] = []
        self.signs = signs(self.raw)
        self.meters = {str(meter): meter for meter in every_meter(self.policy)}

    def read(self) -> None:
        policy = self.policy
        self.name("outcome", tuple(policy.outcomes))
        if self.point is Point.SETTLE:
            self.name("state", STATES)
            self.name("event", EVENTS)
        else:
            self.name("plan", tuple(policy.plans), required=False)
            self.customer()
            self.name("lane", tuple(policy.lanes))
            self.name("route", tuple(policy.routes))
            self.text("step", required=True)
            if self.point is Point.FAILURE:
                self.name("error", policy.error_classes)
                self.visited()
                self.retries()
            for fact in policy.facts.values():
                self.fact(fact)
            self.counters()
        for entry in NUMBERS[self.point]:
            self.number(entry)
        if self.left:
            found = min(self.left)
            known = [*self.entries(), *self.meters]
            raise FactError(found, f"`{found}` is no column of {self.point}; {suggestion(found, known)}")
        self.made.frame = pl.DataFrame(self.series) if self.series else pl.DataFrame(height=self.raw.height)
        self.together()

    def entries(self) -> list[str]:
        names = ["outcome", *(entry.name for entry in NUMBERS[self.point])]
        if self.point is Point.SETTLE:
            return [*names, "state", "event"]
        names += ["customer", "plan", "lane", "route", "step", *self.policy.facts, *_SHORT, "reserved"]
        return [*names, "error", "visited", "retries"] if self.point is Point.FAILURE else names

    def take(self, name: str, *, required: bool = False) -> pl.Series | None:
        """A given column; None where it is not given or holds nothing but nulls of no type."""
        self.left.discard(name)
        if name not in self.raw.columns:
            if required:
                raise FactError(name, f"the column `{name}` is missing")
            return None
        series = self.raw[name]
        if required and series.null_count():
            row = series.is_null().arg_max()
            raise FactError(name, f"`{name}` is missing in row {row}")
        return None if series.dtype == pl.Null else series

    # ------------------------------------------------------------ names and texts

    def name(self, name: str, allowed: tuple[str, ...], *, required: bool = True) -> None:
        """A name that tells groups apart; whether it is one of the policy's is looked up once per group."""
        series = self.take(name, required=required)
        self.made.allowed[name] = allowed
        if series is None:
            return
        if series.dtype == pl.String:
            series = series.cast(pl.Enum(allowed), strict=False)
        elif series.dtype not in DICTIONARIES:
            raise wrong_type(name, series, "texts")
        self.made.codes[name] = series.to_physical()

    def customer(self) -> None:
        """Only customers that some rule names are told apart."""
        series = self._texts("customer", required=True)
        named = tuple(sorted(self.customers))
        if named and series is not None:
            self.made.codes["customer"] = coded("customer", series, named, None)

    def text(self, name: str, *, required: bool) -> None:
        series = self._texts(name, required=required)
        if series is not None:
            self.keep_text(name, series)

    def _texts(self, name: str, *, required: bool) -> pl.Series | None:
        series = self.take(name, required=required)
        if series is None:
            return None
        if series.dtype not in (pl.String, *DICTIONARIES):
            raise wrong_type(name, series, "texts")
        if series.dtype in DICTIONARIES:
            words = self.made.words[name] = dictionary(series)
            empty = places(series, words, {""}) if "" in words else None
        else:
            empty = series.str.len_bytes() == 0
        if empty is not None and empty.any():
            raise FactError(name, f"`{name}` in row {empty.arg_max()} is an empty text")
        return series

    def keep_text(self, name: str, series: pl.Series) -> None:
        """Texts stay as they are; those with a dictionary become its numbers."""
        if series.dtype in DICTIONARIES:
            if name not in self.made.words:
                self.made.words[name] = dictionary(series)
            series = series.to_physical()
        self.series.append(series.alias(name))

    # ------------------------------------------------------------ numbers

    def number(self, entry: Entry) -> None:
        name = entry.name
        series = self.take(name, required=entry.required)
        if series is None:
            if name in self.raw.columns and not entry.may_be_unknown:
                raise FactError(name, f"`{name}` is missing in row 0")
            if entry.default is not None:
                self.made.constants[name] = entry.default
            return
        series = whole(name, series)
        if not entry.may_be_unknown and series.null_count():
            raise FactError(name, f"`{name}` is missing in row {series.is_null().arg_max()}")
        self.made.sizes[name] = inside(name, series, entry.least, entry.most, self.signs.get(name))
        self.series.append(series.alias(name))

    def counters(self) -> None:
        reserved = self.take("reserved")
        if reserved is not None:
            self.raw = self.raw.rename({"reserved": "spent" + HELD})
            self.left.add("spent" + HELD)
        for text, meter in self.meters.items():
            short = next((name for name, one in _SHORT.items() if one is meter), None)
            name = short if short in self.raw.columns and text not in self.raw.columns else text
            self.counter(name or text, meter)

    def counter(self, name: str, meter: Meter) -> None:
        settled, held = self.take(name), self.take(name + HELD)
        if settled is None:
            if held is not None:
                raise FactError(name + HELD, f"`{name}{HELD}` is given without `{name}`: give both, or neither")
            if self.assume_zero:
                self.made.constants[f"settled {meter}"] = 0
            return
        for column, series, kind in ((name, settled, "settled"), (name + HELD, held, "reserved")):
            if series is not None:
                numbers = whole(column, series)
                self.made.sizes[f"{kind} {meter}"] = inside(column, numbers, 0, None, self.signs.get(column))
                self.series.append(numbers.alias(f"{kind} {meter}"))

    # ------------------------------------------------------------ declared facts

    def fact(self, fact: Fact) -> None:
        column = f"fact {fact.name}"
        series = self.take(fact.name)
        if series is None:
            series = pl.repeat(None, self.raw.height, dtype=dtype_of(fact), eager=True)
        elif fact.unit is Unit.ENUM:
            if series.dtype not in DICTIONARIES or series.null_count() or not self.words_of(fact, column, series):
                series = coded(fact.name, series, fact.values, f"no value of `{fact.name}`")
            else:
                series = series.to_physical()
        elif fact.unit is Unit.TEXT:
            if series.dtype not in (pl.String, *DICTIONARIES):
                raise wrong_type(fact.name, series, "texts")
        elif fact.unit is Unit.BOOLEAN:
            if series.dtype != pl.Boolean:
                raise wrong_type(fact.name, series, "true or false")
        else:
            series = self.size(fact, series)
        if series.null_count():
            if fact.default is not None:
                series = filled(series, fact)
            elif not fact.optional:
                self.made.missing[fact.name] = column
        if fact.unit is Unit.TEXT:
            self.keep_text(column, series)
        else:
            self.series.append(series.alias(column))

    def words_of(self, fact: Fact, column: str, series: pl.Series) -> bool:
        """Keep a dictionary of enum values as it is; whether it has no other word."""
        words = dictionary(series)
        least: Any = series.to_physical().min()
        words = {text: number for text, number in words.items() if least is None or number >= least}
        if not words.keys() <= set(fact.values):
            return False
        self.made.words[column] = words
        return True

    def size(self, fact: Fact, series: pl.Series) -> pl.Series:
        if fact.unit in (Unit.NUMBER, Unit.PERCENT):
            if series.dtype.is_integer():
                inside(fact.name, series, -(10**15) + 1, 10**15 - 1)
                series = series.cast(pl.Float64)
            if series.dtype != pl.Float64:
                raise wrong_type(fact.name, series, "64-bit numbers")
            if not series.is_finite().all():  # a null is neither
                odd = ~series.is_finite().fill_null(True)
                raise FactError(fact.name, f"`{fact.name}` in row {odd.arg_max()} is not a finite number")
            # A float stands for its decimal spelling, so a bound between two floats is the next one inside.
            low = None if fact.low is None else above(fact.low)
            high = None if fact.high is None else not_above(fact.high)
            inside(fact.name, series, low, high)
            return series
        series = whole(fact.name, series)
        least = 0 if fact.unit is Unit.DURATION else None
        low = least if fact.low is None else int(fact.low)
        high = None if fact.high is None else int(fact.high)
        self.made.sizes[f"fact {fact.name}"] = inside(fact.name, series, low, high)
        return series

    # ------------------------------------------------------------ failures

    def visited(self) -> None:
        """One truth per route: whether the step was sent there. It was sent to the one that failed."""
        series = self.take("visited")
        routes = self.made.allowed["route"]
        here = coded("route", self.raw["route"], routes, "no route").alias("here")
        self.series.append(here)
        if series is not None:
            if series.dtype != pl.List or series.null_count():
                raise wrong_type("visited", series, "lists of routes")
            if series.dtype == pl.List(pl.Null):
                series = None
        visits = [] if series is None else self.visits(series, routes)
        for code, route in enumerate(routes):
            truths = [pl.col("here") == code, *(pl.col(visit.name) == code for visit in visits)]
            truth = pl.DataFrame([here, *visits]).select(pl.any_horizontal(truths).fill_null(value=False))
            self.series.append(truth.to_series().alias(f"visited {route}"))

    def visits(self, series: pl.Series, routes: tuple[str, ...]) -> list[pl.Series]:
        """The routes of lists by number: the first of each list, the second of each, and so on."""
        inner = series.dtype.inner if isinstance(series.dtype, pl.List) else None
        if inner not in (pl.String, *DICTIONARIES):
            raise wrong_type("visited", series, "lists of routes")
        longest: Any = series.list.len().max()
        found = []
        for place in range(longest or 0):
            each = series.list.get(place, null_on_oob=True)
            found.append(coded("visited", each, routes, "no route").alias(f"visit {place}"))
        return found

    def retries(self) -> None:
        """One count per error class; a class that is not given was never retried."""
        series = self.take("retries")
        if series is None:
            return
        if not isinstance(series.dtype, pl.Struct):
            raise wrong_type("retries", series, "structs of error classes and counts")
        for item in series.dtype.fields:
            if item.name not in self.policy.error_classes:
                near = suggestion(item.name, self.policy.error_classes)
                raise FactError("retries", f"`retries`: `{item.name}` is no error class; {near}")
            name = f"retries {item.name}"
            made = series.struct.field(item.name)
            if made.dtype == pl.Null:
                continue
            made = whole(name, made).fill_null(0)
            inside(name, made, 0, MAX_COUNT)
            self.series.append(made.alias(name))

    # ------------------------------------------------------------ what no single column can show

    def together(self) -> None:
        if self.point is not Point.ATTEMPT:
            return
        if self.made.is_given("min_output_tokens"):
            least = self.made.frame["min_output_tokens"]
            most = self.made.frame.get_column("max_output_tokens", default=pl.Series([None], dtype=pl.Int64))
            odd = least.is_not_null() & (most.is_null() | (least > most).fill_null(False))
            if odd.any():
                message = f"`min_output_tokens` in row {odd.arg_max()} is more than `max_output_tokens`"
                raise FactError("min_output_tokens", message)
