"""What is said where a text goes beyond what is read (`P3xx`): one function each."""

from policy_engine.language.diagnostics import Diagnostic, count
from policy_engine.language.source import Span


def nested_too_deep(span: Span, limit: int) -> Diagnostic:
    return Diagnostic(
        code="P301",
        message=f"more than {limit} brackets are open at once",
        span=span,
        hint="nest less deep; reading stopped here",
    )


def file_too_long(span: Span, limit: int) -> Diagnostic:
    return Diagnostic(
        code="P302",
        message=f"this file is longer than {limit:,} characters",
        span=span,
        hint="split it into several files of one directory; nothing of it was read",
    )


def too_many_statements(span: Span, limit: int) -> Diagnostic:
    return Diagnostic(
        code="P303",
        message=f"this file has more than {count(limit, 'statement')}",
        span=span,
        hint="split it into several files of one directory; nothing of it was used",
    )


def too_many_mistakes(span: Span, limit: int) -> Diagnostic:
    return Diagnostic(
        code="P304",
        message=f"more than {limit} mistakes in one file",
        span=span,
        hint="mend those above and look again; the rest is not shown",
    )


def too_many_digits(span: Span, limit: int) -> Diagnostic:
    return Diagnostic(
        code="P305",
        message=f"this number has more than {limit} digits",
        span=span,
        hint="write it shorter; `k` stands for thousands and `M` for millions",
    )


def name_too_long(span: Span, limit: int) -> Diagnostic:
    return Diagnostic(
        code="P306",
        message=f"this name has more than {limit} characters",
        span=span,
        hint="choose a shorter one; a title in double quotes may be as long as you like",
    )
