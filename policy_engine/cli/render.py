"""What a screen shows. The only file that knows colour, and the only one that imports rich.

A command says lines made of parts, each with a role. On a terminal the roles have
colours; anywhere else only the text is written.
"""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from policy_engine.language.diagnostics import Diagnostic

Part = str | tuple[str, str]
"""A text, or a text with its role."""

ROLES = {
    "error": "bold red",
    "warning": "bold yellow",
    "note": "bold cyan",
    "title": "bold",
    "strong": "bold",
    "place": "cyan",
    "gutter": "blue",
    "hint": "green",
    "good": "green",
    "bad": "red",
    "quiet": "bright_black",
    "added": "green",
    "removed": "red",
}

LONG_INPUT = 1_000
"""Work of fewer pieces is done before a progress bar could be read."""

_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


class Screen:
    """Both output streams. `color` is `auto` (a terminal that wants it), `always` or `never`."""

    def __init__(self, color: str = "auto") -> None:
        self._color = color
        self._consoles: dict[bool, Console | None] = {}

    def say(self, *parts: Part) -> None:
        """One line of the answer."""
        self._write(parts, err=False)

    def note(self, *parts: Part) -> None:
        """One line about the work itself; it goes to the standard error stream."""
        sys.stdout.flush()  # the two streams may be one, and then keep their order
        self._write(parts, err=True)

    def raw(self, text: str) -> None:
        """Text for a program: written as it is."""
        sys.stdout.write(text)

    def json(self, data: object, *, indent: int | None = 2) -> None:
        """One JSON text and a line break. Signs that the stream's encoding lacks are escaped."""
        import json

        sys.stdout.write(json.dumps(data, indent=indent, ensure_ascii=not self.is_unicode) + "\n")

    @property
    def is_unicode(self) -> bool:
        """Whether the answer's stream can show every sign."""
        return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"

    @property
    def width(self) -> int:
        """Columns to lay tables out in."""
        if not sys.stdout.isatty():
            return 100
        import shutil

        return max(60, min(shutil.get_terminal_size().columns, 140))

    @contextmanager
    def progress(self, label: str, total: int | None, least: int = LONG_INPUT) -> Iterator[Callable[[int], None]]:
        """A bar on the standard error stream while work of so many pieces or more runs, if that is a terminal."""
        if not sys.stderr.isatty() or _is_dumb() or (total is not None and total < least):
            yield lambda done: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
        plain = self._color == "never"
        with Progress(*columns, console=Console(stderr=True, no_color=plain or None), transient=True) as bar:
            task = bar.add_task(label, total=total)
            yield lambda done: bar.update(task, completed=done)

    # ------------------------------------------------------------ writing

    def _write(self, parts: tuple[Part, ...], *, err: bool) -> None:
        safe = [(_UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text), role) for text, role in map(_pair, parts)]
        console = self._console(err=err)
        if console is None:
            stream = sys.stderr if err else sys.stdout
            stream.write("".join(text for text, _ in safe) + "\n")
            return
        from rich.text import Text

        line = Text.assemble(*((text, ROLES.get(role, "")) for text, role in safe))
        console.print(line, soft_wrap=True, highlight=False)

    def _console(self, *, err: bool) -> "Console | None":
        if err not in self._consoles:
            stream = sys.stderr if err else sys.stdout
            self._consoles[err] = _console(stream, self._color) if self._wanted(stream) else None
        return self._consoles[err]

    def _wanted(self, stream: IO[str]) -> bool:
        if self._color == "auto":
            return stream.isatty() and not os.environ.get("NO_COLOR") and not _is_dumb()
        return self._color == "always"


def _console(stream: IO[str], color: str) -> "Console":
    from rich.console import Console

    if color == "always":
        return Console(file=stream, force_terminal=True, color_system="standard", no_color=False)
    return Console(file=stream)


def _is_dumb() -> bool:
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")


def _pair(part: Part) -> tuple[str, str]:
    return (part, "") if isinstance(part, str) else part


# ---------------------------------------------------------------- diagnostics

_FORMS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(r"((?:error|warning|note)\[\w+\]: )(.*)"), ("severity", "strong")),
    (re.compile(r"(note: )(.*)"), ("quiet", "")),
    (re.compile(r"(\d+ \| ?)(.*)"), ("gutter", "")),
    (re.compile(r"( +\| )( *\^+)(.*)"), ("gutter", "severity", "hint")),
    (re.compile(r"( += )(.*)"), ("gutter", "hint")),
    (re.compile(r"( +.*:\d+:\d+)"), ("place",)),
)
"""The kinds of line in a diagnostic's plain form, with a role for each part of them."""


def show_diagnostics(say: Callable[..., None], diagnostics: "tuple[Diagnostic, ...]") -> None:
    """Every diagnostic in its plain form, coloured, and an empty line after each."""
    for diagnostic in diagnostics:
        show_diagnostic(say, diagnostic)
        say()


def show_diagnostic(say: Callable[..., None], diagnostic: "Diagnostic") -> None:
    """One diagnostic in its plain form, coloured."""
    show_lines(say, str(diagnostic).split("\n"), str(diagnostic.severity))


def show_lines(say: Callable[..., None], lines: Iterable[str], severity: str) -> None:
    """Lines in the plain form of diagnostics, coloured; what is underlined has the colour of `severity`."""
    for line in lines:
        say(*_parts(line, severity))


def _parts(line: str, severity: str) -> list[Part]:
    for pattern, roles in _FORMS:
        found = pattern.fullmatch(line)
        if found is not None:
            named = zip(found.groups(), roles, strict=True)
            return [(text, severity if role == "severity" else role) for text, role in named]
    return [line]
