"""Tables of text: columns in a width, numbers to the right, long words broken over lines."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from policy_engine.cli.render import Part

MIN_WRAPPED = 24
GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """`right` aligns numbers; `wrapped` gives way where the line is too long."""

    head: str = ""
    right: bool = False
    wrapped: bool = False
    role: str = ""


@dataclass(slots=True)
class Table:
    """Rows of cells. A cell may be a text or a text with its role."""

    columns: Sequence[Column]
    rows: list[Sequence[Part]] = field(default_factory=list)
    indent: str = ""

    def show(self, say: Callable[..., None], width: int) -> None:
        """Say every line, the heads first where there are any."""
        for line in self._lines(width):
            say(*line)

    def _lines(self, width: int) -> Iterator[list[Part]]:
        rows = [[_pair(cell, column) for cell, column in zip(row, self.columns, strict=True)] for row in self.rows]
        kept = [i for i in range(len(self.columns)) if any(row[i][0] for row in rows)]  # an empty column says nothing
        columns = [self.columns[i] for i in kept]
        rows = [[row[i] for i in kept] for row in rows]
        if any(column.head for column in columns):
            rows = [[(column.head, "title") for column in columns], *rows]
        widths = [max(len(row[i][0]) for row in rows) for i in range(len(columns))]
        spare = width - len(self.indent) - sum(widths) - len(GAP) * (len(widths) - 1)
        for i, column in enumerate(columns):
            if column.wrapped and spare < 0:
                room = max(MIN_WRAPPED, widths[i] + spare)
                widths[i] = max(len(line) for row in rows for line in _broken(row[i][0], room))
                spare = width - len(self.indent) - sum(widths) - len(GAP) * (len(widths) - 1)
        for row in rows:
            yield from _row(row, columns, widths, self.indent)


def _row(
    row: Sequence[tuple[str, str]], columns: Sequence[Column], widths: Sequence[int], indent: str
) -> Iterator[list[Part]]:
    """The lines of one row: as many as its longest broken cell has."""
    broken = [
        _broken(text, width) if column.wrapped else [text]
        for (text, _), width, column in zip(row, widths, columns, strict=True)
    ]
    for number in range(max(map(len, broken), default=0)):
        parts: list[Part] = [indent]
        for lines, (_, role), width, column in zip(broken, row, widths, columns, strict=True):
            text = lines[number] if number < len(lines) else ""
            parts.append((text.rjust(width) if column.right else text.ljust(width), role))
            parts.append(GAP)
        yield _trimmed(parts)


def _pair(cell: Part, column: Column) -> tuple[str, str]:
    return (cell, column.role) if isinstance(cell, str) else cell


def _broken(text: str, width: int) -> list[str]:
    if len(text) <= width:
        return [text]
    from textwrap import wrap

    return wrap(text, width, subsequent_indent="  ", break_on_hyphens=False) or [""]


def _trimmed(parts: list[Part]) -> list[Part]:
    """Without blanks at the end of the line."""
    while parts:
        last = parts.pop()
        text, role = last if isinstance(last, tuple) else (last, "")
        if text.rstrip(" "):
            return [*parts, (text.rstrip(" "), role)]
    return []
