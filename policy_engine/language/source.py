"""Policy text with a name, and places in it.

Offsets count characters of the text; lines and columns are computed only when a
place is shown, because most places never are.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate

from msgspec import Struct


@dataclass(slots=True, eq=False)
class Source:
    """One file, or one text, of a policy set. Two sources are the same only if they are one object."""

    name: str
    text: str
    _line_starts: list[int] | None = field(default=None, init=False, repr=False)

    def line_and_column(self, offset: int) -> tuple[int, int]:
        """The 1-based line and column of a character offset."""
        starts = self._starts()
        line = bisect_right(starts, offset)
        return line, offset - starts[line - 1] + 1

    def line_text(self, line: int) -> str:
        """The text of a 1-based line, without its line break."""
        starts = self._starts()
        end = starts[line] if line < len(starts) else len(self.text)
        return self.text[starts[line - 1] : end].rstrip("\r\n")

    def _starts(self) -> list[int]:
        if self._line_starts is None:
            *lines, _ = self.text.split("\n")
            self._line_starts = [0, *accumulate(len(line) + 1 for line in lines)]
        return self._line_starts


class Span(Struct, frozen=True, eq=False, gc=False):
    """The characters `start` (included) to `end` (excluded) of a source."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.source.line_and_column(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.line_and_column(self.start)[1]

    @property
    def text(self) -> str:
        """What is written there, as it is written."""
        return self.source.text[self.start : self.end]

    @property
    def order(self) -> tuple[str, int, int]:
        """The key by which rules and diagnostics are listed: file, then place."""
        return (self.source.name, self.start, self.end)

    def to(self, other: "Span") -> "Span":
        """From the start of this span to the end of another one of the same source."""
        return Span(self.source, self.start, other.end)

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"

    def __repr__(self) -> str:
        return f"Span({self})"
