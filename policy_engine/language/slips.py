"""The syntax mistakes (`P1xx`) and limits (`P3xx`): one function each, saying what is wrong and what to do."""

from policy_engine.language.diagnostics import Diagnostic, Note
from policy_engine.language.source import Span
from policy_engine.language.vocabulary import TAIL_ORDER

_TAIL_WORDS = {
    "on": "`on`",
    "backoff": "`backoff`",
    "condition": "`when` or `unless`",
    "alert": "`alert at`",
    "label": "`as`",
}


def expected_word(word: str, found: str, span: Span) -> Diagnostic:
    return Diagnostic(code="P118", message=f"`{found}` cannot stand here", span=span, hint=f"write `{word}`")


def tail_out_of_order(span: Span, after: str) -> Diagnostic:
    order = ", ".join(_TAIL_WORDS[tail] for tail in TAIL_ORDER)
    return Diagnostic(
        code="P111",
        message=f"`{span.text.split()[0]}` stands after {_TAIL_WORDS[after]}",
        span=span,
        hint=f"what follows a rule stands in this order: {order}",
    )


def repeated_tail(span: Span, first: Span) -> Diagnostic:
    word = span.text.split()[0]
    return Diagnostic(
        code="P119",
        message=f"a second `{word}` on one rule",
        span=span,
        hint="join the conditions with `and`" if word in ("when", "unless") else "keep one of them",
        notes=(Note("the first one is here", first),),
    )
