"""What is wrong with a policy: a code, a place, a message and one thing to do.

A diagnostic has one plain form (no colour, no terminal codes); a screen that wants
colour builds it from the fields.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from policy_engine.language.source import Span

MAX_SHOWN_LINE = 160
"""Longer source lines are cut around the underlined text, so that one long line cannot flood a terminal."""


class Severity(StrEnum):
    """How much it weighs, heaviest first: an error makes a policy unusable, a note is worth a thought."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Note:
    """A second thing to know, often with a second place: `first declared here`."""

    message: str
    span: Span | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One mistake: `code` is stable, `span` is underlined, `hint` is the one thing to do."""

    code: str
    message: str
    span: Span
    hint: str
    notes: tuple[Note, ...] = ()
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        lines = [f"{self.severity}[{self.code}]: {self.message}", *_snippet(self.span, self.hint)]
        for note in self.notes:
            lines.append(f"note: {note.message}")
            if note.span is not None:
                lines += _snippet(note.span, "")
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        """Plain data: code, severity, message, hint, file, line, column, end, notes."""
        return {
            "code": self.code,
            "severity": str(self.severity),
            "message": self.message,
            "hint": self.hint,
            **place(self.span),
            "notes": [
                {"message": note.message, **(place(note.span) if note.span is not None else {})} for note in self.notes
            ],
        }


class PolicyError(Exception):
    """A policy set that cannot be used. Carries every diagnostic, warnings included, and prints them plainly."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        super().__init__(self.diagnostics)

    def __str__(self) -> str:
        return render(self.diagnostics)


def place(span: Span) -> dict[str, object]:
    """File, 1-based line and column, and the exclusive end, as plain data."""
    end_line, end_column = span.source.line_and_column(span.end)
    return {
        "file": span.source.name,
        "line": span.line,
        "column": span.column,
        "end_line": end_line,
        "end_column": end_column,
    }


def in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Sorted by file, place and code, each exact repetition once."""
    seen: dict[tuple[tuple[str, int, int], str, str], Diagnostic] = {}
    for item in diagnostics:
        seen.setdefault((item.span.order, item.code, item.message), item)
    return tuple(seen[key] for key in sorted(seen))


def render(diagnostics: Sequence[Diagnostic]) -> str:
    """All diagnostics, one blank line between two, and a closing count."""
    found = [item.severity for item in diagnostics]
    counts = [count(found.count(severity), severity) for severity in Severity if severity in found]
    return "\n\n".join([*map(str, diagnostics), ", ".join(counts)]) if counts else ""


def count(number: int, noun: str) -> str:
    """`1 error`, `2 errors`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def did_you_mean(name: str, candidates: Iterable[str]) -> str | None:
    """`did you mean `month`?` for a near miss, else None."""
    close = nearest(name, candidates)
    return f"did you mean `{close}`?" if close else None


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that a slip of the fingers could have turned into `name`, if there is one."""
    # Imported here: a policy without mistakes never needs it.
    from difflib import get_close_matches

    written, known = name[:60].lower(), sorted(set(candidates))
    # Two letters that changed places weigh heavily in a short word: `dya` for `day`.
    swapped = [other for other in known if sorted(other.lower()) == sorted(written)]
    found = swapped or get_close_matches(written, known, n=1, cutoff=0.7)
    return found[0] if found else None


def one_of(names: Iterable[str], limit: int = 12) -> str:
    """A readable list of what could have been written, cut where it grows long."""
    listed = list(names)
    shown = ", ".join(f"`{name}`" for name in listed[:limit])
    return f"{shown} and {len(listed) - limit} more" if len(listed) > limit else shown


def _snippet(span: Span, hint: str) -> list[str]:
    line, column = span.source.line_and_column(span.start)
    text = span.source.line_text(line)
    first = column - 1
    last = min(max(first + (span.end - span.start), first + 1), max(len(text), first + 1))
    if len(text) > MAX_SHOWN_LINE:
        cut = max(0, first - MAX_SHOWN_LINE // 3)
        shown_end = cut + MAX_SHOWN_LINE
        text = ("…" if cut else "") + text[cut:shown_end] + ("…" if shown_end < len(text) else "")
        moved = cut - (1 if cut else 0)
        first, last = first - moved, min(last - moved, len(text))
    gutter = " " * len(str(line))
    under = " " * _width(text[:first]) + "^" * max(1, _width(text[first:last]))
    # A hint that would run far past the end of a wide terminal goes below its underline.
    tail = f" {hint}" if hint and len(under) + len(hint) < 140 else ""
    rows = [
        f"{gutter} {span.source.name}:{line}:{column}".rstrip(),
        f"{line} | {_printable(text)}".rstrip(),
        f"{gutter} | {under}{tail}",
    ]
    if hint and not tail:
        rows.append(f"{gutter} = {hint}")
    return rows


def _printable(text: str) -> str:
    return "".join(_shown(c) for c in text)


def _shown(character: str) -> str:
    if character == "\t":
        return "    "
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
        return "\N{REPLACEMENT CHARACTER}"
    return character


def _width(text: str) -> int:
    """Columns a terminal uses for this text."""
    total = 0
    for character in text:
        shown = _shown(character)
        if len(shown) > 1:
            total += len(shown)
        elif unicodedata.combining(character):
            continue
        else:
            total += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return total
