"""Columns out: parts of an answer put in their rows, truths made into lists of words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from policy_engine.evaluation.batch.sheet import PACKED

LISTS = ("rules", "unknown", "alerts", "shadow")
FEW_WORDS = 3
FEW_KEYS = 256
"""So many keys are told apart without looking for those that occur."""

NAMES = pl.List(pl.String)
Words = tuple[str, ...]


@dataclass(slots=True)
class Answer:
    """What was decided so far. `words` are the columns whose values are words, by their place; `numbers` the others.

    The four lists are kept as numbers: many rows, few different lists, each in `tuples` by its number.
    """

    height: int
    words: Mapping[str, Words]
    numbers: Sequence[str]
    columns: dict[str, pl.Series] = field(default_factory=dict)
    tuples: dict[str, dict[int, Words]] = field(default_factory=lambda: {prefix: {0: ()} for prefix in LISTS})
    _seen: dict[tuple[str, Words], int] = field(default_factory=dict)

    def put(self, rows: pl.Series | None, part: pl.DataFrame, lists: Mapping[str, list[str]]) -> None:
        """The answer of a query for these rows (None: for all). `lists` are the words of its truths."""
        self._place(rows, self._plain(part) | self._listed(part, lists))

    def put_again(
        self, rows: pl.Series, part: pl.DataFrame, lists: Mapping[str, list[str]], changed: pl.Series
    ) -> None:
        """As `put`, for rows that have an answer of which nothing but the lists changes, but where `changed`."""
        where = changed.arg_true().cast(pl.UInt32)
        self._place(rows.gather(where), self._plain(part[where]))
        self._place(rows, self._listed(part, lists))

    def _plain(self, part: pl.DataFrame) -> dict[str, pl.Series]:
        return {name: part[name].cast(dtype) for name, dtype in self._dtypes() if name in part.columns}

    def _listed(self, part: pl.DataFrame, lists: Mapping[str, list[str]]) -> dict[str, pl.Series]:
        columns = {}
        for prefix in LISTS:
            starts = range(0, len(lists[prefix]), PACKED)
            keys = {start: part[f"{prefix} {start}"] for start in starts}
            numbered = self._numbered(prefix, lists[prefix], keys)
            if numbered is not None:
                columns[prefix] = numbered
            elif prefix in self.columns:
                columns[prefix] = pl.repeat(0, part.height, dtype=pl.UInt32, eager=True)
        return columns

    def put_rows(self, rows: pl.Series, decided: list[dict[str, Any]]) -> None:
        """Decisions made one by one."""
        columns: dict[str, pl.Series] = {}
        for name, dtype in self._dtypes():
            values = [decision[name] for decision in decided]
            if name in self.words:
                places = {word: place for place, word in enumerate(self.words[name])}
                values = [None if value is None else places[value] for value in values]
            columns[name] = pl.Series(values, dtype=dtype)
        for prefix in LISTS:
            numbers = [self._number(prefix, decision[prefix]) for decision in decided]
            if any(numbers) or prefix in self.columns:
                columns[prefix] = pl.Series(numbers, dtype=pl.UInt32)
        self._place(rows, columns)

    def frame(self) -> pl.DataFrame:
        """The decisions, one row each."""
        if not self.height:
            self.put_rows(pl.Series([], dtype=pl.UInt32), [])
        frame = pl.DataFrame([series.alias(name) for name, series in self.columns.items()])
        found = [_said(name, self.words[name]) if name in self.words else pl.col(name) for name, _ in self._dtypes()]
        for prefix in LISTS:
            lists = self.tuples[prefix]
            if prefix not in self.columns:  # nobody has anything there
                found.append(pl.repeat([], self.height, dtype=NAMES).alias(prefix))
                continue
            table = pl.Series([list(lists.get(number, ())) for number in range(max(lists) + 1)], dtype=NAMES)
            found.append(pl.lit(table).gather(pl.col(prefix)).alias(prefix))
        return frame.select(found)

    # ------------------------------------------------------------ parts

    def _dtypes(self) -> list[tuple[str, Any]]:
        return [
            *((name, pl.UInt8 if len(words) < 255 else pl.UInt32) for name, words in self.words.items()),
            *((name, pl.Int64) for name in self.numbers),
        ]

    def _place(self, rows: pl.Series | None, columns: dict[str, pl.Series]) -> None:
        if rows is None:
            self.columns = columns
            return
        for name, series in columns.items():
            if name not in self.columns:
                nothing = 0 if name in LISTS else None
                self.columns[name] = pl.repeat(nothing, self.height, dtype=series.dtype, eager=True)
            self.columns[name] = self.columns[name].scatter(rows, series)

    def _number(self, prefix: str, words: Iterable[str]) -> int:
        told = tuple(words)
        if not told:
            return 0
        lists = self.tuples[prefix]
        number = self._seen.setdefault((prefix, told), max(lists) + 1)
        lists[number] = told
        return number

    def _numbered(self, prefix: str, words: list[str], keys: dict[int, pl.Series]) -> pl.Series | None:
        """The list of each row, by number: those words whose truth, a bit of a key, holds there; None: all empty."""
        held = {start: key for start, key in keys.items() if key.max()}
        if not held:
            return None
        frame = pl.DataFrame([key.alias(str(start)) for start, key in held.items()])
        present = _present(frame)
        told = {row: _words(words, held, row) for row in present.iter_rows()}
        if frame.width == 1 and len(self.tuples[prefix]) == 1:  # the first query's keys are the numbers
            self.tuples[prefix] |= {key: each for (key,), each in told.items()}
            return frame.to_series().cast(pl.UInt32)
        numbers = [self._number(prefix, each) for each in told.values()]
        if frame.width == 1:
            table = [0] * (max(key for (key,) in told) + 1)
            for (key,), number in zip(told, numbers, strict=True):
                table[key] = number
            return pl.Series(table, dtype=pl.UInt32).gather(frame.to_series())
        mapping = present.with_columns(number=pl.Series(numbers, dtype=pl.UInt32))
        return frame.join(mapping, on=frame.columns, how="left", maintain_order="left")["number"]


def _said(name: str, words: Words) -> pl.Expr:
    """A column of words from their places."""
    dtype = pl.Enum(words)
    if len(words) > FEW_WORDS:
        return pl.col(name).cat.to(dtype)
    found = pl.lit(None, dtype=dtype)  # a choice between so few takes a fraction of the time
    for place, word in enumerate(words):
        found = pl.when(pl.col(name) == place).then(pl.lit(word, dtype=dtype)).otherwise(found)
    return found.alias(name)


def _present(keys: pl.DataFrame) -> pl.DataFrame:
    """The keys that may occur, each once."""
    if keys.width > 1:
        return keys.unique()
    only = keys.to_series()
    most: Any = only.max()
    return (pl.Series(range(most + 1), dtype=only.dtype) if most < FEW_KEYS < only.len() else only.unique()).to_frame(
        only.name
    )


def _words(words: list[str], starts: Iterable[int], keys: tuple[int, ...]) -> Words:
    return tuple(
        words[start + place]
        for start, bits in zip(starts, keys, strict=True)
        for place in range(bits.bit_length())
        if bits >> place & 1
    )
