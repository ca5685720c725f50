"""Columns out: parts of an answer put in their rows, truths made into lists of words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from policy_engine.evaluation.batch.sheet import PACKED

LISTS = ("rules", "unknown", "alerts", "shadow")
Words = tuple[str, ...]


@dataclass(slots=True)
class Answer:
    """What was decided so far. `words` are the columns whose values are words, by their place; `numbers` the others.

    The four lists are kept as numbers of `tuples`: many rows, few different lists.
    """

    height: int
    words: Mapping[str, Words]
    numbers: Sequence[str]
    columns: dict[str, pl.Series] = field(default_factory=dict)
    tuples: dict[Words, int] = field(default_factory=lambda: {(): 0})

    def put(self, rows: pl.Series | None, part: pl.DataFrame, lists: Mapping[str, list[str]]) -> None:
        """The answer of a query for these rows (None: for all). `lists` are the words of its truths."""
        columns = {name: part[name].cast(dtype) for name, dtype in self._dtypes() if name in part.columns}
        for prefix in LISTS:
            starts = range(0, len(lists[prefix]), PACKED)
            keys = {start: part[f"{prefix} {start}"] for start in starts}
            columns[prefix] = self._numbered(lists[prefix], keys, part.height)
        self._place(rows, columns)

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
            columns[prefix] = pl.Series([self._number(decision[prefix]) for decision in decided], dtype=pl.UInt32)
        self._place(rows, columns)

    def frame(self) -> pl.DataFrame:
        """The decisions, one row each."""
        if not self.height:
            self.put_rows(pl.Series([], dtype=pl.UInt32), [])
        frame = pl.DataFrame([series.alias(name) for name, series in self.columns.items()])
        found: list[pl.Expr] = []
        for name, _ in self._dtypes():
            found.append(pl.col(name).cat.to(pl.Enum(self.words[name])) if name in self.words else pl.col(name))
        table = pl.lit(pl.Series([list(words) for words in self.tuples], dtype=pl.List(pl.String)))
        empty = pl.lit(pl.Series([[]], dtype=pl.List(pl.String)).new_from_index(0, self.height))
        for prefix in LISTS:
            some = frame[prefix].max()
            found.append((table.gather(pl.col(prefix)) if some else empty).alias(prefix))
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
                self.columns[name] = pl.repeat(None, self.height, dtype=series.dtype, eager=True)
            self.columns[name] = self.columns[name].scatter(rows, series)

    def _number(self, words: Iterable[str]) -> int:
        return self.tuples.setdefault(tuple(words), len(self.tuples))

    def _numbered(self, words: list[str], keys: dict[int, pl.Series], height: int) -> pl.Series:
        """The list of each row, by number: those words whose truth, a bit of a key, holds there."""
        held = {start: key for start, key in keys.items() if key.max()}
        if not held:
            return pl.repeat(0, height, dtype=pl.UInt32, eager=True)
        frame = pl.DataFrame([key.alias(str(start)) for start, key in held.items()])
        present = frame.to_series().unique().to_frame() if frame.width == 1 else frame.unique()
        numbers = [
            self._number(
                words[start + place]
                for start, bits in zip(held, row, strict=True)
                for place in range(bits.bit_length())
                if bits >> place & 1
            )
            for row in present.iter_rows()
        ]
        if frame.width == 1:
            most: Any = present.to_series().max()
            table: list[int | None] = [None] * (most + 1)
            for (key,), number in zip(present.iter_rows(), numbers, strict=True):
                table[key] = number
            return pl.Series(table, dtype=pl.UInt32).gather(frame.to_series().cast(pl.UInt32))
        mapping = present.with_columns(number=pl.Series(numbers, dtype=pl.UInt32))
        return frame.join(mapping, on=frame.columns, how="left", maintain_order="left")["number"]
