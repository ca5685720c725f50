"""Who rows are about: rows with the same names make a group, groups with like rules are worked out together."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import polars as pl

from policy_engine.evaluation.batch.columns import Columns
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


@dataclass(slots=True)
class Sorted:
    """Every row's group, as one number."""

    columns: Columns
    names: Sequence[str]
    code: pl.Series = field(init=False)

    def __post_init__(self) -> None:
        total: pl.Series | None = None
        for name in self.names:
            size = len(self.columns.known[name]) + 1
            codes = self.columns.codes[name].cast(pl.Int64).fill_null(size - 1)
            total = codes if total is None else total * size + codes
        assert total is not None  # noqa: S101 - there are names
        self.code = total

    def counted(self) -> list[tuple[int, int]]:
        """Each group's number and how many rows it has."""
        frame = pl.DataFrame({"code": self.code}).group_by("code").len().sort("code")
        return list(frame.iter_rows())

    def who(self, code: int) -> Who:
        """The names of a group."""
        found: Who = {}
        for name in reversed(self.names):
            known = self.columns.known[name]
            code, place = divmod(code, len(known) + 1)
            found[name] = known[place] if place < len(known) else None
        found["workflow"] = self.columns.policy.outcomes[str(found["outcome"])].workflow
        return found

    def kinds(self, numbers: dict[int, int]) -> pl.Series:
        """Each row's kind from its group; null where it has none."""
        span = max(numbers, default=0) + 1
        if span <= 2**20:
            table: list[int | None] = [None] * span
            for code, number in numbers.items():
                table[code] = number
            within = self.code.clip(0, span)  # what lies beyond has no kind
            return pl.Series([*table, None], dtype=pl.UInt16).gather(within.cast(pl.UInt32)).alias("kind")
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
