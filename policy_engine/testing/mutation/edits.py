"""Changes of policy text: what is written at a place becomes something else."""

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from policy_engine.language.source import Source, Span


@dataclass(frozen=True, slots=True)
class Edit:
    """The text at a span, replaced."""

    span: Span
    text: str


def edited(source: Source, edits: Iterable[Edit]) -> str:
    """The text of a source after those of the edits that are in it. They do not overlap."""
    text = source.text
    for edit in sorted(edits, key=lambda edit: edit.span.start, reverse=True):
        if edit.span.source is source:
            text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text


def diff(edits: Sequence[Edit], *, context: int = 2) -> str:
    """A unified diff of what the edits change."""
    lines: list[str] = []
    for source in dict.fromkeys(edit.span.source for edit in edits):
        before, after = source.text.splitlines(), edited(source, edits).splitlines()
        lines += difflib.unified_diff(before, after, source.name, source.name, n=context, lineterm="")
    return "\n".join(lines)


def removal(span: Span) -> Edit:
    """Take a statement away, and its lines with it where nothing else stands on them but a comment."""
    text = span.source.text
    start = text.rfind("\n", 0, span.start) + 1
    end = text.find("\n", span.end)
    end = len(text) if end < 0 else end
    before, after = text[start : span.start], text[span.end : end].strip()
    if before.strip() or (after and not after.startswith("#")):
        return Edit(span, "")
    return Edit(Span(span.source, start, min(end + 1, len(text))), "")
