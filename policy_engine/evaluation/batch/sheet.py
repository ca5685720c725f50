"""One query under construction: columns worked out in stages, and what it answers.

Rules that decide, names that are unknown, alerts and shadow refusals are truths, one column
each (a bit per row); `answers.py` makes lists of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from operator import add, and_, or_

import polars as pl

from policy_engine.evaluation.batch.conditions import Reader
from policy_engine.evaluation.batch.groups import Applied, Together
from policy_engine.language.checked import Meter

PACKED = 16
"""Truths per number."""

Bit = tuple[str, pl.Expr]
"""A word, and the rows of whose list it is a part."""


@dataclass(slots=True)
class Sheet:
    together: Together
    reader: Reader
    stages: list[dict[str, pl.Expr]] = field(default_factory=list)
    rules: list[Bit] = field(default_factory=list)
    unknown: dict[str, list[pl.Expr]] = field(default_factory=dict)
    alerts: list[Bit] = field(default_factory=list)
    shadow: list[Bit] = field(default_factory=list)
    answers: dict[str, pl.Expr] = field(default_factory=dict)
    _truths: dict[object, tuple[str, bool]] = field(default_factory=dict)
    _used: dict[Meter, tuple[str, bool]] = field(default_factory=dict)
    _names: int = 0

    def keep(self, expr: pl.Expr, stage: int | None = None) -> pl.Expr:
        """A column of its own for what is used more than once, worked out after all that is kept before."""
        self._names += 1
        name = f"k{self._names}"
        if stage is None:
            self.stages.append({name: expr})
        else:
            self.stages[stage][name] = expr
        return pl.col(name)

    def stage(self) -> int:
        """A new stage: what is kept in it may read all that stands in earlier ones."""
        self.stages.append({})
        return len(self.stages) - 1

    # ------------------------------------------------------------ what rules ask

    def used(self, meter: Meter, stage: int) -> tuple[pl.Expr, bool]:
        """Incurred plus reserved, and whether it may be null; added up once."""
        if meter not in self._used:
            value = self.reader.used(meter)
            kept = self.keep(value.expr, stage)
            self._used[meter] = kept.meta.output_name(), value.nullable
        name, nullable = self._used[meter]
        return pl.col(name), nullable

    def truth(self, applied: Applied, stage: int) -> tuple[pl.Expr, bool]:
        """The value of a condition, worked out once however many rules share it, and whether it may be null."""
        assert applied.condition is not None  # noqa: S101 - asked of conditions
        if applied.condition not in self._truths:
            value = self.reader.truth(applied.condition)
            kept = self.keep(value.expr, stage)
            self._truths[applied.condition] = kept.meta.output_name(), value.nullable
        name, nullable = self._truths[applied.condition]
        return pl.col(name), nullable

    def applies(
        self, applied: Applied, kinds: frozenset[int], stage: int, *, among: pl.Expr | None = None
    ) -> pl.Expr | None:
        """Where a rule applies; None for everywhere. An undecided condition applies, and its unknown names are noted,
        in the rows of `among` alone if that is given.
        """
        within = self.together.within(kinds)
        if applied.condition is None:
            return within
        truth, nullable = self.truth(applied, stage)
        if not nullable:
            return both(within, truth)
        self.undecided(applied, both(within, among, truth.is_null()))
        return both(within, truth.fill_null(value=True))

    def undecided(self, applied: Applied, rows: pl.Expr | None) -> None:
        """Note the unknown names of a condition."""
        assert applied.condition is not None  # noqa: S101 - asked of conditions
        for name, null in self.reader.unknown(applied.condition).items():
            self.unknown.setdefault(name, []).append(everywhere(both(rows, null)))

    # ------------------------------------------------------------ the whole query

    def selected(self) -> list[pl.Expr]:
        """What the query answers, and the truths of its lists, each so many of them packed into one number."""
        chosen = [expr.alias(name) for name, expr in self.answers.items()]
        for prefix, bits in self.lists().items():
            for start in range(0, len(bits), PACKED):
                some = bits[start : start + PACKED]
                dtype = pl.UInt8 if len(some) <= 8 else pl.UInt16
                # A choice between two numbers takes a third of the time of a truth that becomes a number.
                values = (
                    pl.when(expr).then(pl.lit(1 << place, dtype=dtype)).otherwise(pl.lit(0, dtype=dtype))
                    for place, (_, expr) in enumerate(some)
                )
                chosen.append(reduce(add, values).alias(f"{prefix} {start}"))
        return chosen

    def lists(self) -> dict[str, list[Bit]]:
        """The words of each list with their truths, in the order of the list."""
        unknown = [(name, any_of(exprs)) for name, exprs in sorted(self.unknown.items())]
        return {"rules": self.rules, "unknown": unknown, "alerts": self.alerts, "shadow": self.shadow}

    def columns(self) -> list[str]:
        """The columns that the query reads, of a frame that has it all."""
        exprs = [*(expr for stage in self.stages for expr in stage.values()), *self.selected()]
        return list(dict.fromkeys(name for expr in exprs for name in expr.meta.root_names()))

    def run(self, frame: pl.DataFrame) -> pl.DataFrame:
        lazy = frame.lazy()
        for stage in self.stages:
            if stage:
                lazy = lazy.with_columns(**stage)
        return lazy.select(self.selected()).collect()


def both(*tests: pl.Expr | None) -> pl.Expr | None:
    """All of them; None stands for what is always so."""
    found = [test for test in tests if test is not None]
    return reduce(and_, found) if found else None


def everywhere(test: pl.Expr | None) -> pl.Expr:
    return pl.lit(value=True) if test is None else test


def any_of(tests: Iterable[pl.Expr]) -> pl.Expr:
    found = list(tests)
    return reduce(or_, found) if found else pl.lit(value=False)
