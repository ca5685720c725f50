"""The syntax mistakes (`P1xx`): one function each, saying what is wrong and what to do."""

from collections.abc import Iterable, Sequence

from policy_engine.language.diagnostics import Diagnostic, Note, nearest
from policy_engine.language.source import Span
from policy_engine.language.vocabulary import TAIL_ORDER

MAX_QUOTED = 40
"""Characters of the author's words that a message repeats; the underline shows the rest."""

_TAIL_WORDS = {
    "on": "`on`",
    "backoff": "`backoff`",
    "condition": "`when` or `unless`",
    "alert": "`alert at`",
    "label": "`as`",
}


def quoted(text: str) -> str:
    """The author's own words in backticks, on one line and not longer than a message can bear."""
    words = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * MAX_QUOTED]).split())
    return f"`{words[:MAX_QUOTED]}…`" if len(words) > MAX_QUOTED else f"`{words}`"


# ---------------------------------------------------------------- the file itself


def not_utf8(span: Span, byte: int) -> Diagnostic:
    return Diagnostic(
        code="P101",
        message=f"byte 0x{byte:02X} is not UTF-8 text",
        span=span,
        hint="save the file as UTF-8",
    )


def utf16(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P102",
        message="this file is written in UTF-16",
        span=span,
        hint="save it as UTF-8; most editors ask for the encoding under `Save as`",
    )


def binary(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P103",
        message="a zero byte: this is not a text file",
        span=span,
        hint="give a policy file saved as UTF-8 text",
    )


# ---------------------------------------------------------------- texts, comments, signs


def unclosed_text(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P104",
        message='this text has no closing `"` on its line',
        span=span,
        hint='write `"` where the text ends',
    )


def unknown_escape(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P105",
        message=f"{quoted(span.text)} means nothing inside a text",
        span=span,
        hint='only `\\"` and `\\\\` follow a backslash; write `\\\\` for the backslash itself',
    )


def other_quotes(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P106",
        message=f"texts stand between plain double quotes, not `{span.text[0]}`",
        span=span,
        hint=f"write {quoted(_in_quotes(span.text[1:-1]))}",
    )


def foreign_comment(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P107",
        message=f"`{span.text[:2]}` begins no comment",
        span=span,
        hint="comments begin with `#` and end with their line",
    )


def needless_separator(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P108",
        message=f"no `{span.text[0]}` stands between statements",
        span=span,
        hint="leave it out: a statement ends where the next one begins",
    )


def invisible_character(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P109",
        message=f"an invisible character (U+{ord(span.text[0]):04X}) stands here",
        span=span,
        hint="put an ordinary blank in its place; it may have come with copied text",
    )


def unknown_sign(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P110",
        message=f"{quoted(span.text)} is no sign of the language",
        span=span,
        hint="leave it out, or put it between double quotes if it belongs to a text",
    )


def tail_out_of_order(span: Span, after: Span) -> Diagnostic:
    word, other = span.text.split()[0], after.text.split()[0]
    order = ", ".join(_TAIL_WORDS[tail] for tail in TAIL_ORDER)
    return Diagnostic(
        code="P111",
        message=f"`{word}` stands after `{other}`",
        span=span,
        hint=f"write it before `{other}`; the order is {order}",
    )


def equals_for_is(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P112",
        message=f"`{span.text}` is no comparison",
        span=span,
        hint="write `is`",
    )


def sign_for_word(span: Span, word: str) -> Diagnostic:
    return Diagnostic(
        code="P113",
        message=f"`{span.text}` is written `{word}`",
        span=span,
        hint=f"write `{word}`",
    )


def typographic_sign(span: Span, sign: str) -> Diagnostic:
    return Diagnostic(
        code="P114",
        message=f"`{span.text}` cannot be read as a sign",
        span=span,
        hint=f"write `{sign}`",
    )


# ---------------------------------------------------------------- numbers and names


def bare_point(span: Span, written: str) -> Diagnostic:
    return Diagnostic(
        code="P115",
        message=f"{quoted(span.text)} has no digit before its point",
        span=span,
        hint=f"write {quoted(written)}",
    )


def comma_in_number(span: Span, written: str) -> Diagnostic:
    return Diagnostic(
        code="P116",
        message=f"{quoted(span.text)} has a comma in it",
        span=span,
        hint=f"write {quoted(written)}: no sign between thousands, a point before decimals",
    )


def unknown_unit(span: Span, unit: str, suggestion: str | None) -> Diagnostic:
    return Diagnostic(
        code="P117",
        message=f"{quoted(unit)} in {quoted(span.text)} is no unit",
        span=span,
        hint=f"did you mean `{suggestion}`?"
        if suggestion
        else "what may end a number: `k`, `M`, `%`, `ms`, `s`, `min`, `h`, `d`",
    )


def expected_word(word: str, found: str, span: Span) -> Diagnostic:
    return Diagnostic(code="P118", message=f"{quoted(found)} cannot stand here", span=span, hint=f"write `{word}`")


def repeated_tail(span: Span, first: Span) -> Diagnostic:
    word = span.text.split()[0]
    return Diagnostic(
        code="P119",
        message=f"a second `{word}` on one rule",
        span=span,
        hint="join the conditions with `and`" if word in ("when", "unless") else "keep one of them",
        notes=(Note("the first one is here", first),),
    )


def split_number(span: Span, written: str) -> Diagnostic:
    return Diagnostic(
        code="P120",
        message="a number and its unit stand together",
        span=span,
        hint=f"write {quoted(written)}",
    )


def sign_after_amount(span: Span, written: str) -> Diagnostic:
    return Diagnostic(
        code="P121",
        message=f"`{span.text[-1]}` stands behind its amount",
        span=span,
        hint=f"write {quoted(written)}",
    )


def unit_without_number(span: Span, example: str) -> Diagnostic:
    return Diagnostic(
        code="P122",
        message=f"`{span.text}` has no number",
        span=span,
        hint=f"write the number right beside it, such as `{example}`",
    )


def foreign_letter(span: Span, letter: str) -> Diagnostic:
    return Diagnostic(
        code="P123",
        message=f"{quoted(letter)} cannot stand in a name",
        span=span,
        hint="names are made of the letters a to z, digits and `_`; a title in double quotes takes any letter",
    )


# ---------------------------------------------------------------- blocks and statements


def unclosed_block(head: Span, others: Sequence[Span]) -> Diagnostic:
    return Diagnostic(
        code="P130",
        message=f"{quoted(head.text.removesuffix('{'))} has no closing `}}`",
        span=head,
        hint="write `}` where the block ends",
        notes=tuple(Note("nor has this one", other) for other in others[:3]),
    )


def stray_brace(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P131",
        message="this `}` closes nothing",
        span=span,
        hint="leave it out, or look for a `{` that is missing above",
    )


def missing_opening(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P132",
        message=f"{quoted(span.text)} has no `{{`",
        span=span,
        hint="write `{` at the end of this line",
    )


def hanging(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P133",
        message=f"nothing follows `{span.text}`",
        span=span,
        hint=f"write what belongs behind `{span.text}`, or leave it out",
    )


def unfinished(span: Span, expected: Sequence[str]) -> Diagnostic:
    return Diagnostic(
        code="P134",
        message=f"this statement ends too early, behind {quoted(span.text)}",
        span=span,
        hint=f"write {_alternatives(expected)} next",
    )


def reserved_name(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P135",
        message=f"`{span.text}` is a word of the language and cannot be a name",
        span=span,
        hint=f"choose another name, such as `my_{span.text}`",
    )


def unknown_statement(span: Span, suggestion: str | None, known: Sequence[str]) -> Diagnostic:
    return Diagnostic(
        code="P136",
        message=f"no statement begins with {quoted(span.text)}",
        span=span,
        hint=f"did you mean `{suggestion}`?"
        if suggestion
        else f"statements begin here with {', '.join(f'`{word}`' for word in known)}",
    )


def misspelt_word(span: Span, word: str) -> Diagnostic:
    return Diagnostic(
        code="P137",
        message=f"{quoted(span.text)} cannot stand here",
        span=span,
        hint=f"did you mean `{word}`?",
    )


def capitals(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P138",
        message=f"`{span.text}` is written in small letters",
        span=span,
        hint=f"write `{span.text.lower()}`",
    )


def chained_comparison(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P139",
        message=f"a second comparison, `{span.text}`, follows the first",
        span=span,
        hint="compare twice and join them with `and`: `1 < x and x < 3`",
    )


def double_not(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P140",
        message="a second `not` follows the first",
        span=span,
        hint="leave out both",
    )


def no_such_branch(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P141",
        message=f"there is no `{span.text}` in this language",
        span=span,
        hint="write the rule first and its condition behind it: `ceiling $3 per outcome when lane is premium`",
    )


def missing_arrow(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P142",
        message=f"{quoted(span.text)} does not join two routes of a lane",
        span=span,
        hint="write `->` between two routes: `mini -> sonnet`",
    )


def missing_arrow_before(span: Span, before: str) -> Diagnostic:
    return Diagnostic(
        code="P143",
        message=f"no `->` between {quoted(before)} and {quoted(span.text)}",
        span=span,
        hint=f"write {quoted(f'{before} -> {span.text}')}",
    )


def empty_list(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P144",
        message="an empty list holds for nothing",
        span=span,
        hint="write the values between `[` and `]`, or leave the condition out",
    )


def list_without_brackets(span: Span, value: str | None) -> Diagnostic:
    return Diagnostic(
        code="P145",
        message="`in` looks into a list, and a list stands in square brackets",
        span=span,
        hint=f"write `[` before it and `]` behind the last value: {quoted(f'in [{value}]')}"
        if value
        else "write it as `in [growth, enterprise]`",
    )


def missing_quotes(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P146",
        message=f"the text {quoted(span.text)} has no quotes",
        span=span,
        hint=f"write {quoted(_in_quotes(span.text))}",
    )


def needless_sign(span: Span, word: str) -> Diagnostic:
    return Diagnostic(
        code="P147",
        message=f"no `{span.text}` stands after `{word}`",
        span=span,
        hint=f"leave out the `{span.text}`",
    )


def unclosed_bracket(span: Span) -> Diagnostic:
    closing = {"(": ")", "[": "]"}[span.text]
    return Diagnostic(
        code="P148",
        message=f"this `{span.text}` is not closed",
        span=span,
        hint=f"write `{closing}` where it ends",
    )


def unexpected(span: Span, expected: Sequence[str]) -> Diagnostic:
    return Diagnostic(
        code="P149",
        message=f"{quoted(span.text)} cannot stand here",
        span=span,
        hint=f"what can stand here: {_alternatives(expected)}",
    )


def missing_comma(span: Span, before: str) -> Diagnostic:
    return Diagnostic(
        code="P150",
        message=f"no comma between {quoted(before)} and {quoted(span.text)}",
        span=span,
        hint=f"write {quoted(f'{before}, {span.text}')}",
    )


# ---------------------------------------------------------------- wording


def near(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `word` may be a slip of; words of two letters are near to nothing."""
    return nearest(word, candidates) if 2 < len(word) <= MAX_QUOTED else None


def _alternatives(expected: Sequence[str]) -> str:
    """`a`, `a or b`, `a, b or c`; a long list is cut."""
    shown = list(expected[:6]) if len(expected) <= 7 else [*expected[:6], "something else"]
    return " or ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown) or "nothing"


def _in_quotes(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
