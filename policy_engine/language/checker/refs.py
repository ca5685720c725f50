"""How decisions name what is written somewhere: its words on one line, and its place."""

import re
from collections.abc import Iterator

from policy_engine.language import syntax as s
from policy_engine.language.checked import RuleRef
from policy_engine.language.source import Span

_QUOTED = re.compile(r'("(?:[^"\\\n]|\\.)*")|#[^\n]*|[\s\ufeff]+')


def rule_ref(span: Span, label: s.Name | None = None) -> RuleRef:
    """How decisions name what is written here."""
    text = written(span)
    line, column = span.source.line_and_column(span.start)
    return RuleRef(label.text if label is not None else text, text, span.source.name, line, column)


def written(span: Span) -> str:
    """What is written here on one line, without comments; texts in quotes as they are."""
    text = span.text
    if "#" not in text and '"' not in text:
        return " ".join(text.split())
    # A run of blanks and comments is one blank.
    return "".join(_blanked(text)).strip()


def _blanked(text: str) -> Iterator[str]:
    end, blank = 0, False
    for found in _QUOTED.finditer(text):
        between = text[end : found.start()]
        end = found.end()
        if between:
            yield " " + between if blank else between
            blank = False
        if found[1]:
            yield " " + found[1] if blank else found[1]
            blank = False
        else:
            blank = True
    if text[end:]:
        yield " " + text[end:] if blank else text[end:]
