"""Mistakes about names: not declared, declared twice, of another kind, not known yet."""

from collections.abc import Iterable

from policy_engine.language.diagnostics import Diagnostic, Note, one_of
from policy_engine.language.mistakes.wording import a, either, kind_word, quoted, suggestion
from policy_engine.language.source import Span
from policy_engine.language.syntax import Name
from policy_engine.language.vocabulary import CONSTANTS, FACT_TYPES, KEYS, METER_QUANTITIES, PERIODS, WINDOWS


def unknown_name(name: Name, near: str | None, value_of: str | None) -> Diagnostic:
    if near:
        hint = f"did you mean `{near}`?"
    elif value_of:
        hint = f"it is a value of `{value_of}`: write `{value_of} is {name.text}`"
    else:
        hint = f"declare it: `fact {name.text}: …`"
    return Diagnostic(code="P201", message=f"{quoted(name.span)} is not declared", span=name.span, hint=hint)


def declared_twice(name: Name, kind: str, first: Span, first_kind: str) -> Diagnostic:
    return Diagnostic(
        code="P202",
        message=f"{quoted(name.span)} is declared twice",
        span=name.span,
        hint=f"give this {kind_word(kind)} another name",
        notes=(Note(f"first declared here, as {a(kind_word(first_kind))}", first),),
    )


def unknown_window(name: Name, near: str | None) -> Diagnostic:
    return Diagnostic(
        code="P203",
        message=f"{quoted(name.span)} is not a window",
        span=name.span,
        hint=f"did you mean `{near}`?" if near else f"windows are {one_of(WINDOWS)}",
    )


def unknown_key(name: Name, near: str | None) -> Diagnostic:
    return Diagnostic(
        code="P204",
        message=f"nothing is counted per {quoted(name.span)}",
        span=name.span,
        hint=f"did you mean `{near}`?" if near else f"what stands before the window is one of {one_of(KEYS)}",
    )


_OTHER_LANGUAGES = {
    "int": "integer",
    "long": "integer",
    "count": "integer",
    "str": "text",
    "string": "text",
    "bool": "boolean",
    "float": "number",
    "double": "number",
    "decimal": "number",
    "time": "duration",
    "timedelta": "duration",
    "amount": "money",
    "currency": "money",
    "percentage": "percent",
}
"""What types are called elsewhere."""


def unknown_type(name: Name, near: str | None) -> Diagnostic:
    near = _OTHER_LANGUAGES.get(name.text.lower(), near)
    return Diagnostic(
        code="P205",
        message=f"{quoted(name.span)} is not a type",
        span=name.span,
        hint=f"did you mean `{near}`?"
        if near
        else f"types are {one_of(FACT_TYPES)}, or values: `low < high`, `eu | us`",
    )


def unknown_error_class(name: Name, near: str | None, classes: Iterable[str]) -> Diagnostic:
    return Diagnostic(
        code="P206",
        message=f"{quoted(name.span)} is not an error class",
        span=name.span,
        hint=f"did you mean `{near}`?" if near else f"declare it, `error {name.text}`, or use {one_of(classes, 14)}",
    )


def built_in(name: Name, kind: str) -> Diagnostic:
    return Diagnostic(
        code="P207",
        message=f"{quoted(name.span)} is built in and cannot be declared",
        span=name.span,
        hint=f"give this {kind_word(kind)} another name",
    )


def kept_name(name: Name, kind: str) -> Diagnostic:
    return Diagnostic(
        code="P264",
        message=f"{quoted(name.span)} begins with two underscores, which no name may",
        span=name.span,
        hint=f"give this {kind_word(kind)} another name",
    )


def constant_as_value(name: Name) -> Diagnostic:
    return Diagnostic(
        code="P208",
        message=f"{quoted(name.span)} cannot be one of a fact's own values",
        span=name.span,
        hint=f"for {either([f'`{word}`' for word in CONSTANTS])} write `boolean` as the type",
    )


def unknown_reference(name: Name, kinds: tuple[str, ...], near: str | None, names: list[str]) -> Diagnostic:
    what = either([kind_word(kind) for kind in kinds])
    return Diagnostic(
        code="P209",
        message=f"there is no {what} {quoted(name.span)}",
        span=name.span,
        hint=suggestion(near, names, what),
    )


def wrong_kind(name: Name, kinds: tuple[str, ...], found: str, declared: Span, names: list[str]) -> Diagnostic:
    what = either([a(kind_word(kind)) for kind in kinds])
    return Diagnostic(
        code="P210",
        message=f"{quoted(name.span)} is {a(kind_word(found))}, not {what}",
        span=name.span,
        hint=suggestion(None, names, either([kind_word(kind) for kind in kinds])),
        notes=(Note("declared here", declared),),
    )


def not_a_readable_name(name: Name, found: str, declared: Span) -> Diagnostic:
    if found in ("plan", "workflow", "outcome", "lane", "route", "error"):
        hint = f"compare: `{found} is {name.text}`"
    else:
        hint = f"a condition reads facts and built-in names, never {a(kind_word(found))}"
    return Diagnostic(
        code="P211",
        message=f"{quoted(name.span)} is {a(kind_word(found))}, not something a condition can read",
        span=name.span,
        hint=hint,
        notes=(Note("declared here", declared),),
    )


def not_known_yet(name: Span, word: str, rule: str, readers: list[str], standing_in: str | None) -> Diagnostic:
    if standing_in:
        hint = f"leave it out: this `{rule}` stands in lane `{standing_in}` and is read for that lane alone"
    elif word == "lane" and rule in ("allow", "forbid", "limit"):
        hint = f"put the `{rule}` into the block of the lane it is meant for"
    else:
        hint = f"it may be read by {either([f'`{reader}`' for reader in readers])}"
    return Diagnostic(
        code="P212",
        message=f"`{word}` is not known when {_an(rule)} is decided",
        span=name,
        hint=hint,
    )


def _an(rule: str) -> str:
    return f"an `{rule}`" if rule[0] in "aeiou" else f"a `{rule}`"


def fallback_only(name: Name, rule: str) -> Diagnostic:
    return Diagnostic(
        code="P213",
        message=f"{quoted(name.span)} cannot be read by {_an(rule)}",
        span=name.span,
        hint="it may be read by `fallback` only; compare with an amount instead",
    )


def label_twice(name: Name, first: Span) -> Diagnostic:
    return Diagnostic(
        code="P214",
        message=f"{quoted(name.span)} names two rules",
        span=name.span,
        hint="give this rule another name after `as`",
        notes=(Note("the first one is here", first),),
    )


def unknown_quantity(name: Name, near: str | None) -> Diagnostic:
    return Diagnostic(
        code="P215",
        message=f"{quoted(name.span)} is not counted per window",
        span=name.span,
        hint=f"did you mean `{near}`?" if near else f"what is counted is {one_of(METER_QUANTITIES)}",
    )


def meter_without_window(name: Name) -> Diagnostic:
    return Diagnostic(
        code="P216",
        message=f"{quoted(name.span)} is only known per window",
        span=name.span,
        hint=f"say over what it is counted: `{name.text} per customer per day`",
    )


def count_of_route(name: Name, declared: Span) -> Diagnostic:
    return Diagnostic(
        code="P217",
        message=f"{quoted(name.span)} is no handoff, so nothing is admitted to it",
        span=name.span,
        hint=f"count its attempts: `attempts of {name.text} per …`",
        notes=(Note("declared here", declared),),
    )


def unknown_period(name: Name, near: str | None) -> Diagnostic:
    return Diagnostic(
        code="P218",
        message=f"{quoted(name.span)} is not a billing period",
        span=name.span,
        hint=f"did you mean `{near}`?" if near else f"periods are {one_of(PERIODS)}",
    )


def repeated(name: Span, first: Span) -> Diagnostic:
    return Diagnostic(
        code="P219",
        message=f"{quoted(name)} is listed twice",
        span=name,
        hint="keep one of them",
        notes=(Note("the first one is here", first),),
    )
