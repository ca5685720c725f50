"""Mistakes in conditions: units, types, values, and comparisons that say nothing."""

from policy_engine.language.diagnostics import Diagnostic, Note, one_of
from policy_engine.language.mistakes.wording import UNIT_WORDS, quoted
from policy_engine.language.source import Span
from policy_engine.language.syntax import Name
from policy_engine.language.vocabulary import FACT_TYPES, Unit


def mixed_units(left: Span, left_unit: str, right: Span, right_unit: str, hint: str) -> Diagnostic:
    return Diagnostic(
        code="P220",
        message=f"{quoted(right)} is {right_unit}, but {quoted(left)} is {left_unit}",
        span=right,
        hint=hint,
        notes=(Note(f"this is {left_unit}", left),),
    )


def wrong_type(span: Span, is_: str, needed: str, hint: str, declared: Span | None = None) -> Diagnostic:
    return Diagnostic(
        code="P221",
        message=f"{quoted(span)} is {is_}, where {needed} is needed",
        span=span,
        hint=hint,
        notes=(Note("declared here", declared),) if declared else (),
    )


def product_of_names(span: Span, first: Span) -> Diagnostic:
    return Diagnostic(
        code="P222",
        message="two values that are not constant are multiplied",
        span=span,
        hint="multiply by a number only; conditions stay linear so that they can be analysed",
        notes=(Note("the first one is here", first),),
    )


def always_true(span: Span, why: str, declared: Span | None) -> Diagnostic:
    return Diagnostic(
        code="P223",
        message=f"{quoted(span)} is always true: {why}",
        span=span,
        hint="leave it out, or compare with something that can differ",
        notes=(Note("declared here", declared),) if declared else (),
    )


def always_false(span: Span, why: str, declared: Span | None) -> Diagnostic:
    return Diagnostic(
        code="P224",
        message=f"{quoted(span)} is always false: {why}",
        span=span,
        hint="leave it out, or compare with something that can hold",
        notes=(Note("declared here", declared),) if declared else (),
    )


def no_order(op: Span, name: Name, declared: Span | None, values: tuple[str, ...]) -> Diagnostic:
    return Diagnostic(
        code="P225",
        message=f"the values of {quoted(name.span)} have no order, so `{op.text}` says nothing",
        span=op,
        hint=f"use `is` or `in [...]`, or declare an order: `{' < '.join(values[:3])}`"
        if declared
        else "use `is` or `in [...]`",
        notes=(Note("declared here", declared),) if declared else (),
    )


def not_a_condition(span: Span, what: str, hint: str) -> Diagnostic:
    return Diagnostic(
        code="P226", message=f"{quoted(span)} is {what}, not something that is true or false", span=span, hint=hint
    )


def value_first(span: Span, name: Name, turned: str) -> Diagnostic:
    return Diagnostic(
        code="P227",
        message=f"the value stands before {quoted(name.span)}",
        span=span,
        hint=f"write the name first: `{turned}`",
    )


def not_a_value(span: Span, name: str, values: tuple[str, ...], near: str | None, declared: Span | None) -> Diagnostic:
    there = f"values are {one_of(values)}" if values else f"no {name} is declared"
    hint = f"did you mean `{near}`?" if near else there
    return Diagnostic(
        code="P228",
        message=f"{quoted(span)} is not a value of `{name}`",
        span=span,
        hint=hint,
        notes=(Note("declared here", declared),) if declared else (),
    )


def list_of_numbers(span: Span, name: Span, unit: Unit) -> Diagnostic:
    hint = (
        "write it bare, or `is true`, `is false`" if unit is Unit.BOOLEAN else "compare it: `is`, `<`, `<=`, `>`, `>=`"
    )
    return Diagnostic(
        code="P229",
        message=f"{quoted(name)} is {UNIT_WORDS[unit]} and cannot be looked up in a list",
        span=span,
        hint=hint,
    )


def condition_as_value(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P230",
        message=f"{quoted(span)} is true or false, where a value is needed",
        span=span,
        hint="compare values, and join comparisons with `and`, `or`, `not`",
    )


def range_of_type(span: Span, type_: Name) -> Diagnostic:
    ranged = [word for word in FACT_TYPES if word not in ("boolean", "text")]
    return Diagnostic(
        code="P280",
        message=f"a {type_.text} has no range",
        span=span,
        hint=f"leave the range out; types with a range are {one_of(ranged)}",
    )


def range_upside_down(span: Span, low: Span, high: Span) -> Diagnostic:
    return Diagnostic(
        code="P281",
        message=f"the range ends at {quoted(high)}, which is not above its start {quoted(low)}",
        span=span,
        hint=f"write the lower end first: `{high.text}..{low.text}`"
        if low.text != high.text
        else "give it two different ends",
    )


def default_out_of_range(span: Span, range_: Span) -> Diagnostic:
    return Diagnostic(
        code="P282",
        message=f"the default {quoted(span)} is outside the declared range",
        span=span,
        hint="choose a default inside the range; both ends belong to it",
        notes=(Note("the range is declared here", range_),),
    )


def optional_with_default(span: Span, name: Name) -> Diagnostic:
    return Diagnostic(
        code="P283",
        message=f"{quoted(name.span)} is optional and has a default",
        span=span,
        hint="leave out the `?` or the default: with a default the fact is never unknown",
        notes=(Note("marked as optional here", Span(name.span.source, name.span.start, name.span.end + 1)),),
    )


def value_twice(name: Name, first: Span) -> Diagnostic:
    return Diagnostic(
        code="P284",
        message=f"{quoted(name.span)} is listed twice",
        span=name.span,
        hint="list every value once",
        notes=(Note("the first one is here", first),),
    )
