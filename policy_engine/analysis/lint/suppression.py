"""Comments by which an author allows a finding: `# lint: allow L012 because REASON`.

Behind a statement, or alone on the lines above it, the comment is about that statement; at a block's head
about the whole block. Several codes (or names of rules) are separated by commas. Without a reason it allows
nothing, and is a finding itself; so is one that names no rule, and one that allows nothing that is there.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from policy_engine.analysis.lint.rule import LintRule
from policy_engine.language import syntax as s
from policy_engine.language.source import Source, Span

_DIRECTIVE = re.compile(r"#+\s*lint\s*:\s*")
_ALLOW = re.compile(r"allow\s+(?P<rules>[\w-]+(?:\s*,\s*[\w-]+)*)(?P<because>\s+because\b\s*(?P<reason>.*?))?\s*")
_WORD = re.compile(r"[\w-]+")


@dataclass(slots=True, eq=False)
class Suppression:
    """One such comment. `rules` are the codes and names it says, each with its place; `reason` is empty where
    none is given, and `readable` False where the comment says something else than `allow`.
    """

    comment: s.Comment
    rules: tuple[tuple[str, Span], ...]
    reason: str
    readable: bool
    covers: tuple[tuple[int, int], ...] = ()  # ranges of offsets in the source
    used: set[str] = field(default_factory=set)  # what it says of those that allowed something

    @property
    def span(self) -> Span:
        return self.comment.span

    @property
    def source(self) -> Source:
        return self.comment.span.source

    def allows(self, rule: LintRule, span: Span) -> str | None:
        """The word by which a finding of this rule is allowed here, or None."""
        if not self.reason or not any(start <= span.start < end for start, end in self.covers):
            return None
        return next((word for word, _ in self.rules if word in (rule.code, rule.name)), None)


class Suppressions:
    """All of a set. `judged` are the rules that ran, by code and name: only those can be found unused."""

    def __init__(self, files: Iterable[s.File]) -> None:
        self.judged: frozenset[str] = frozenset()
        self._by_source = {file.source: tuple(_read(file)) for file in files if "lint" in file.source.text}

    def __iter__(self) -> Iterator[Suppression]:
        for found in self._by_source.values():
            yield from found

    def allow(self, rule: LintRule, span: Span) -> str | None:
        """The reason why a finding is allowed, if it is; the comment counts as used."""
        for suppression in self._by_source.get(span.source, ()):
            word = suppression.allows(rule, span)
            if word is not None:
                suppression.used.add(word)
                return suppression.reason
        return None

    def unused(self) -> Iterator[tuple[Suppression, str, Span]]:
        """Each code or name, of a rule that ran, by which nothing was allowed; with its comment and place."""
        for suppression in self:
            if suppression.reason:
                for word, span in suppression.rules:
                    if word in self.judged and word not in suppression.used:
                        yield suppression, word, span


def _read(file: s.File) -> Iterator[Suppression]:
    found = [made for comment in file.comments if (made := _parsed(comment))]
    if not found:
        return
    starts = _starts_by_line(file)
    for suppression in found:
        suppression.covers = _covers(suppression, file, starts)
        yield suppression


def _parsed(comment: s.Comment) -> Suppression | None:
    directive = _DIRECTIVE.match(comment.text)
    if directive is None:
        return None
    body = comment.text[directive.end() :]
    allow = _ALLOW.fullmatch(body)
    if allow is None:
        return Suppression(comment, (), "", readable=False)
    begin = comment.span.start + directive.end()
    rules = tuple(
        (word[0], Span(comment.span.source, begin + word.start(), begin + word.end()))
        for word in _WORD.finditer(body, *allow.span("rules"))
    )
    return Suppression(comment, rules, (allow["reason"] or "").strip(), readable=True)


def _starts_by_line(file: s.File) -> dict[int, list[tuple[int, int]]]:
    """The extent of everything that begins on a line, by line: statements and first lines of lanes and packs."""
    found: dict[int, list[tuple[int, int]]] = {}
    waiting: list[Sequence[s.Item]] = [file.items]
    while waiting:
        for item in waiting.pop():
            spans = [item.span]
            if isinstance(item, s.Block):
                waiting.append(item.items)
                spans += [item.path[0].span.to(item.path[-1].span)] if item.path else []
                spans += [item.pack.span] if item.pack is not None else []
            for span in spans:
                found.setdefault(span.line, []).append((span.start, span.end))
    return found


def _covers(
    suppression: Suppression, file: s.File, starts: dict[int, list[tuple[int, int]]]
) -> tuple[tuple[int, int], ...]:
    source, line = file.source, suppression.span.line
    before = source.text[suppression.span.start - suppression.span.column + 1 : suppression.span.start]
    if not before.strip(" \t\f\ufeff"):
        # Alone on its line: about what begins on the next line that is no comment and not empty.
        last = source.line_and_column(len(source.text))[0]
        line += 1
        while line < last and source.line_text(line).lstrip(" \t\f").startswith("#"):
            line += 1
    begin = _line_start(source, line)
    end = begin + len(source.line_text(line)) + 1
    return ((begin, end), *starts.get(line, ()))


def _line_start(source: Source, line: int) -> int:
    """The offset of a line's first character."""
    low, high = 0, len(source.text)
    while low < high:
        middle = (low + high) // 2
        if source.line_and_column(middle)[0] < line:
            low = middle + 1
        else:
            high = middle
    return low
