"""Who rows are about: rows with the same names make a group, groups with like rules are worked out together."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from policy_engine.evaluation.batch.columns import Columns
from policy_engine.evaluation.batch.series import not_one_of
from policy_engine.evaluation.terms import fold
from policy_engine.language.checked import Rule, Test

ALIKE = 8
"""How many rules more than twice its own a group is worked out with, rather than apart."""

Who = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class Applied:
    """A rule that can apply, with what is left of its condition (None: it applies)."""

    rule: Rule
    condition: Test | None


@dataclass(slots=True)
class Kind:
    """Rows that are decided alike: by these rules, and what else `key` says of them."""

    who: Who  # of one of its groups
    rules: tuple[Applied, ...]
    key: object
    codes: list[int] = field(default_factory=list)
    rows: int = 0


@dataclass(slots=True)
class Together:
    """Kinds of rows that one query answers. A row's kind is its number among `kinds`."""

    kinds: list[Kind] = field(default_factory=list)
    rules: dict[Applied, set[int]] = field(default_factory=dict)

    def takes(self, kind: Kind) -> bool:
        least = min((len(each.rules) for each in (*self.kinds, kind)), default=0)
        return len(self.rules.keys() | set(kind.rules)) <= ALIKE + 2 * least

    def add(self, kind: Kind) -> None:
        number = len(self.kinds)
        self.kinds.append(kind)
        for applied in kind.rules:
            self.rules.setdefault(applied, set()).add(number)

    @property
    def rows(self) -> int:
        return sum(kind.rows for kind in self.kinds)

    def ordered(self) -> list[tuple[Applied, frozenset[int]]]:
        """Every rule that can apply to some, in (file, place) order, with the kinds it can apply to."""
        found = [(applied, frozenset(kinds)) for applied, kinds in self.rules.items()]
        return sorted(found, key=lambda item: item[0].rule.span.order)

    def within(self, kinds: Iterable[int]) -> pl.Expr | None:
        """Whether a row is of one of these kinds; None where every row is."""
        listed = sorted(kinds)
        if len(listed) == len(self.kinds):
            return None
        kind = pl.col("kind")
        if len(listed) == 1:
            return kind == listed[0]
        return kind.is_in(listed)

    def among(self, test: Callable[[Kind], bool]) -> frozenset[int]:
        return frozenset(number for number, kind in enumerate(self.kinds) if test(kind))


def applied(rules: Iterable[Rule], who: Who) -> tuple[Applied, ...]:
    """The rules that can apply."""
    found = []
    for rule in rules:
        folded = True if rule.condition is None else fold(rule.condition, who)
        if folded is not False:
            found.append(Applied(rule, None if folded is True else folded))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Group:
    """Rows about the same names: how many, and the first of them."""

    code: int
    rows: int
    first: int


@dataclass(slots=True)
class Sorted:
    """Every row's group, as one number."""

    columns: Columns
    names: Sequence[str]
    code: pl.Series = field(init=False)

    def __post_init__(self) -> None:
        codes = {name: self.columns.codes[name] for name in self.names if name in self.columns.codes}
        total: pl.Expr = pl.lit(0, dtype=pl.UInt32)
        span = 1
        for name, series in codes.items():
            least: Any = series.min()
            most: Any = series.max()
            size = 1 if most is None else most - least + 2
            span *= size
            dtype = pl.UInt32 if span < 2**32 else pl.Int64
            place = (pl.col(name).cast(dtype) - pl.lit(least or 0, dtype=dtype)).fill_null(size - 1)
            total = total.cast(dtype) * pl.lit(size, dtype=dtype) + place
        if span >= 2**62:
            total = pl.struct(list(codes)).rank("dense").cast(pl.Int64)
        if not codes:
            self.code = pl.repeat(0, self.columns.height, dtype=pl.UInt32, eager=True)
            return
        frame = pl.DataFrame([series.alias(name) for name, series in codes.items()])
        self.code = frame.select(code=total).to_series()

    def counted(self) -> list[Group]:
        """Each group with its size."""
        frame = pl.DataFrame({"code": self.code}).with_row_index("row")
        counted = frame.group_by("code").agg(pl.len(), pl.col("row").min()).sort("row")
        return [Group(code, rows, first) for code, rows, first in counted.iter_rows()]

    def who(self, group: Group) -> Who:
        """The names of a group. Raises `FactError` for one that the policy does not have."""
        found: Who = {}
        raw = self.columns.raw
        for name in self.names:
            text = str(raw[name][group.first]) if name in raw.columns and raw[name][group.first] is not None else None
            allowed = self.columns.allowed.get(name)
            if text is not None and allowed is not None and text not in allowed:
                raise not_one_of(name, text, group.first, allowed)
            found[name] = text
        found["workflow"] = self.columns.policy.outcomes[str(found["outcome"])].workflow
        return found

    def kinds(self, numbers: dict[int, int]) -> pl.Series:
        """Each row's kind from its group; null where it has none."""
        most: Any = self.code.max()
        if most <= 2**20:
            table: list[int | None] = [None] * (most + 1)
            for code, number in numbers.items():
                table[code] = number
            return pl.Series(table, dtype=pl.UInt16).gather(self.code).alias("kind")
        return self.code.replace_strict(
            list(numbers), list(numbers.values()), default=None, return_dtype=pl.UInt16
        ).alias("kind")


def sorted_together(kinds: Iterable[Kind]) -> list[Together]:
    """Kinds put together as far as they have most of their rules in common."""
    found: list[Together] = []
    for kind in sorted(kinds, key=lambda kind: -kind.rows):
        place = next((one for one in found if one.takes(kind)), None)
        if place is None:
            place = Together()
            found.append(place)
        place.add(kind)
    return found
