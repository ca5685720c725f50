"""How mistakes quote the author and name units, kinds and places."""

from policy_engine.language.diagnostics import one_of
from policy_engine.language.source import Span
from policy_engine.language.vocabulary import FILE, Unit

_LONGEST_QUOTE = 40

UNIT_WORDS = {
    Unit.MONEY: "money",
    Unit.PERCENT: "a percent",
    Unit.INTEGER: "an integer",
    Unit.NUMBER: "a number",
    Unit.DURATION: "a duration",
    Unit.BOOLEAN: "a boolean",
    Unit.TEXT: "a text",
    Unit.ENUM: "one of a list of values",
}
"""What a value of each unit is called in a sentence."""

KIND_WORDS = {"error": "error class"}
"""Kinds of declarations that a reader calls otherwise than the keyword."""


def quoted(span: Span) -> str:
    """The author's words on one line, in backticks, cut where they grow long."""
    words = " ".join(span.source.text[span.start : min(span.end, span.start + 200)].split())
    return f"`{words}`" if len(words) <= _LONGEST_QUOTE else f"`{words[: _LONGEST_QUOTE - 1]}…`"


def a(noun: str) -> str:
    """`a lane`, `an outcome`."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def kind_word(kind: str) -> str:
    """What a declaration of this kind is called."""
    return KIND_WORDS.get(kind, kind)


def place_word(kind: str) -> str:
    """Where something stands: `at file level`, `in a route`."""
    return "at file level" if kind == FILE else f"in {a(kind)}"


def either(words: list[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def suggestion(near: str | None, names: list[str], what: str) -> str:
    """A near miss, else what there is, else that there is nothing of the kind."""
    if near:
        return f"did you mean `{near}`?"
    return f"choose from {one_of(names)}" if names else f"no {what} is declared"
