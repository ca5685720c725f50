"""Mistakes in amounts: currency, precision, size, sign."""

from policy_engine.language.diagnostics import Diagnostic, Note
from policy_engine.language.mistakes.wording import quoted
from policy_engine.language.source import Span
from policy_engine.language.syntax import Money, Name
from policy_engine.language.units import MAX_SIGNIFICANT_DIGITS, SYMBOLS


def wrong_currency(amount: Money, currency: str, declared: Span) -> Diagnostic:
    digits = amount.text[1:] if amount.text[0] in SYMBOLS else amount.text.split()[0]
    symbol = next((sign for sign, code in SYMBOLS.items() if code == currency), None)
    return Diagnostic(
        code="P231",
        message=f"{quoted(amount.span)} is in {amount.currency}, but the currency is {currency}",
        span=amount.span,
        hint=f"write `{symbol}{digits}`" if symbol else f"write `{digits} {currency}`",
        notes=(Note("the currency is declared here", declared),),
    )


def no_currency(amount: Money) -> Diagnostic:
    return Diagnostic(
        code="P232",
        message=f"{quoted(amount.span)} is money, but no currency is declared",
        span=amount.span,
        hint=f"begin one file with `currency {amount.currency}`",
    )


def unknown_currency(code: Name, near: str | None) -> Diagnostic:
    return Diagnostic(
        code="P233",
        message=f"{quoted(code.span)} is not a currency code",
        span=code.span,
        hint=f"did you mean `{near}`?" if near else "write its three capital letters, such as `USD`, `EUR`, `CHF`",
    )


def too_fine(span: Span, finest: str) -> Diagnostic:
    return Diagnostic(
        code="P234",
        message=f"{quoted(span)} is finer than {finest}",
        span=span,
        hint="write fewer decimals",
    )


def too_large(span: Span, most: str) -> Diagnostic:
    return Diagnostic(
        code="P235",
        message=f"{quoted(span)} is more than {most}",
        span=span,
        hint="check the number of zeros and the suffix",
    )


def not_whole(span: Span, below: int) -> Diagnostic:
    return Diagnostic(
        code="P236",
        message=f"{quoted(span)} is not a whole number",
        span=span,
        hint=f"write `{below}` or `{below + 1}`",
    )


def count_out_of_range(span: Span, what: str, low: int, high: int | None) -> Diagnostic:
    return Diagnostic(
        code="P237",
        message=f"{quoted(span)} is out of range for {what}",
        span=span,
        hint=f"write a number from {low} to {high}" if high is not None else f"write at least {low}",
    )


def percent_out_of_range(span: Span, what: str, range_: str) -> Diagnostic:
    return Diagnostic(
        code="P238",
        message=f"{quoted(span)} is out of range for {what}",
        span=span,
        hint=f"write a percent {range_}",
    )


def too_many_digits(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P239",
        message=f"{quoted(span)} has more than {MAX_SIGNIFICANT_DIGITS} significant digits",
        span=span,
        hint="write fewer digits",
    )


def amount_of_zero(span: Span, what: str, hint: str) -> Diagnostic:
    return Diagnostic(code="P240", message=f"{what} of {quoted(span)} permits nothing", span=span, hint=hint)
