"""Conditions → Polars expressions. Polars' `&`, `|` and `~` with null are Kleene's, so null is "not known"."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import reduce
from math import lcm
from operator import and_, or_

import polars as pl

from policy_engine.evaluation.batch.columns import Columns
from policy_engine.evaluation.batch.series import above, not_above
from policy_engine.evaluation.terms import exact
from policy_engine.language.checked import (
    ATTEMPTS,
    SPENT,
    AllOf,
    AnyOf,
    Atom,
    Inverse,
    Linear,
    Member,
    Meter,
    Read,
    Test,
    Truth,
)
from policy_engine.language.vocabulary import Unit

ROOM = 2**60
"""The largest magnitude of an amount; four of them still add up in 64 bits."""

FLOATS = (Unit.NUMBER, Unit.PERCENT)
NULL = pl.lit(None, dtype=pl.Int64)


class Unbatched(Exception):
    """Amounts too large for 64 bits; such rows are decided one by one."""


@dataclass(frozen=True, slots=True)
class Value:
    """An expression, whether it may be null, and `need`: told the largest magnitude that its use has room for."""

    expr: pl.Expr
    nullable: bool = False
    need: Callable[[int], None] = lambda most: None


@dataclass(slots=True)
class Reader:
    """Reads names as columns, and remembers how large the numbers in them may be.

    `built_in` are the values of the names that a decision point works out itself.
    """

    columns: Columns
    built_in: Mapping[str, Value] = field(default_factory=dict)
    most: dict[str, int] = field(default_factory=dict)

    def bound(self, column: str, most: int) -> None:
        """No number in this column may be larger; rows with a larger one are decided one by one."""
        if most < 1:
            raise Unbatched(column)
        self.most[column] = min(most, self.most.get(column, most))

    def column(self, name: str, most: int = ROOM) -> Value:
        """A column of whole numbers; null where it is not given."""
        constant = self.columns.constants.get(name)
        if constant is not None:
            return Value(pl.lit(constant, dtype=pl.Int64))
        if name not in self.columns.frame.columns:
            return Value(NULL, nullable=True)
        self.bound(name, most)
        return Value(pl.col(name), self.columns.may_be_null(name), lambda least: self.bound(name, least))

    def settled(self, meter: Meter) -> Value:
        return self.column(f"settled {meter}")

    def used(self, meter: Meter) -> Value:
        """Incurred plus reserved."""
        settled, held = self.settled(meter), f"reserved {meter}"
        if held not in self.columns.frame.columns:
            return settled
        reserved = self.column(held)

        def need(most: int) -> None:
            settled.need(most // 2)
            reserved.need(most // 2)

        return Value(settled.expr + reserved.expr, settled.nullable or reserved.nullable, need)

    def value(self, read: Read) -> Value:
        """The value of a name."""
        if read.is_fact:
            name = f"fact {read.name}"
            if read.unit in (Unit.MONEY, Unit.DURATION, Unit.INTEGER):
                return self.column(name)
            return Value(pl.col(name), self.columns.may_be_null(name))
        if read.meter is not None:
            return self.used(read.meter) if read.meter.quantity == "count" else self.settled(read.meter)
        if read.name in self.built_in:
            return self.built_in[read.name]
        if read.name in ("spent", "attempts"):
            return self.settled(SPENT if read.name == "spent" else ATTEMPTS)
        if read.name == "step":
            return Value(pl.col("step"))
        column = {"price": "price_nanos", "elapsed": "elapsed_micros"}.get(read.name, read.name)
        return self.column(column)

    # ------------------------------------------------------------ conditions

    def truth(self, test: Test) -> Value:
        """Kleene's value of a condition."""
        if isinstance(test, AllOf | AnyOf):
            parts = [self.truth(part) for part in test.parts]
            join = and_ if isinstance(test, AllOf) else or_
            return Value(reduce(join, (part.expr for part in parts)), any(part.nullable for part in parts))
        if isinstance(test, Inverse):
            part = self.truth(test.part)
            return Value(~part.expr, part.nullable)
        return self._atom(test)

    def _atom(self, atom: Atom) -> Value:
        if isinstance(atom, Truth):
            return self.value(atom.read)
        if isinstance(atom, Member):
            value = self.value(atom.read)
            return Value(_among(value.expr, self._choices(atom)), value.nullable)
        return self._linear(atom)

    def _choices(self, atom: Member) -> list[str] | list[int]:
        """What a value is compared with: texts, or their numbers where the column has them."""
        read = atom.read
        words = self.columns.words.get(f"fact {read.name}" if read.is_fact else read.name)
        if words is None and read.unit is Unit.ENUM:
            values = self.columns.policy.facts[read.name].values
            return [values.index(value) for value in atom.values]
        return list(atom.values) if words is None else [words[value] for value in atom.values if value in words]

    def _linear(self, atom: Linear) -> Value:
        values = [self.value(read) for _, read in atom.terms]
        nullable = any(value.nullable for value in values)
        if all(read.unit in FLOATS for _, read in atom.terms):
            return Value(_numbers(atom, [value.expr for value in values]), nullable)
        scale = lcm(atom.bound.denominator, *(coefficient.denominator for coefficient, _ in atom.terms))
        bound = int(atom.bound * scale)
        if abs(bound) > 2 * ROOM:
            raise Unbatched(str(bound))
        if any(read.unit in FLOATS for _, read in atom.terms):
            raise Unbatched("numbers of two kinds")
        total: pl.Expr | None = None
        for (coefficient, _), value in zip(atom.terms, values, strict=True):
            factor = int(coefficient * scale)
            value.need(2 * ROOM // (abs(factor) * len(values)))
            term = value.expr if factor == 1 else value.expr * pl.lit(factor, dtype=pl.Int64)
            total = term if total is None else total + term
        assert total is not None  # noqa: S101 - a comparison reads something
        return Value(_compared(total, atom.op, pl.lit(bound, dtype=pl.Int64)), nullable)

    def unknown(self, test: Test) -> dict[str, pl.Expr]:
        """The names a condition reads that may be null, each with whether it is."""
        found = {}
        for read in _reads(test):
            value = self.value(read)
            if value.nullable:
                found[read.name] = value.expr.is_null()
        return found


def _reads(test: Test) -> Iterable[Read]:
    if isinstance(test, AllOf | AnyOf):
        for part in test.parts:
            yield from _reads(part)
    elif isinstance(test, Inverse):
        yield from _reads(test.part)
    elif isinstance(test, Linear):
        yield from (read for _, read in test.terms)
    else:
        yield test.read


def _among(value: pl.Expr, choices: list[str] | list[int]) -> pl.Expr:
    if not choices:
        return pl.when(value.is_not_null()).then(statement=False)  # in no list; null stays null
    if len(choices) <= 4:
        return reduce(or_, (value == pl.lit(choice) for choice in choices))
    return value.is_in(choices)


def _compared(left: pl.Expr, op: str, right: pl.Expr) -> pl.Expr:
    if op == "is":
        return left == right
    if op in ("<", "<="):
        return left < right if op == "<" else left <= right
    return left > right if op == ">" else left >= right


def _numbers(atom: Linear, values: list[pl.Expr]) -> pl.Expr:
    """Numbers are floats that stand for their decimal spelling; so the limit of one is the float beside it."""
    if len(values) == 1:
        ((coefficient, _),) = atom.terms
        limit = atom.bound / coefficient
        op = atom.op if coefficient > 0 else {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(atom.op, atom.op)
        if op == "is":
            nearest = float(limit)
            if Fraction(repr(nearest)) == limit:
                return values[0] == nearest
            return values[0].is_nan()  # equal to no number; null stays null
        edge = above(limit) if op in ("<", ">=") else not_above(limit)
        return _compared(values[0], op, pl.lit(edge, dtype=pl.Float64))
    names = [f"v{number}" for number in range(len(values))]

    def compare(row: dict[str, float | None]) -> bool | None:
        total = Fraction(0)
        for (coefficient, _), name in zip(atom.terms, names, strict=True):
            value = row[name]
            if value is None:
                return None
            total += coefficient * exact(value)
        bound = atom.bound
        if atom.op == "is":
            return total == bound
        if atom.op in ("<", "<="):
            return total < bound if atom.op == "<" else total <= bound
        return total > bound if atom.op == ">" else total >= bound

    columns = [value.alias(name) for value, name in zip(values, names, strict=True)]
    return pl.struct(columns).map_elements(compare, return_dtype=pl.Boolean)
