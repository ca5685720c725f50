"""Mistakes in declarations: what a block misses, says twice or cannot hold together."""

from policy_engine.language.diagnostics import Diagnostic, Note
from policy_engine.language.mistakes.wording import a, quoted
from policy_engine.language.source import Span
from policy_engine.language.syntax import Name, Text


def missing_part(name: Name, kind: str, part: str, hint: str) -> Diagnostic:
    return Diagnostic(code="P265", message=f"{kind} {quoted(name.span)} has no {part}", span=name.span, hint=hint)


def setting_twice(span: Span, word: str, kind: str, first: Span) -> Diagnostic:
    return Diagnostic(
        code="P266",
        message=f"a second `{word}` in one {kind}",
        span=span,
        hint="keep one of them",
        notes=(Note("the first one is here", first),),
    )


def two_kinds_of_route(span: Span, word: str, first: Span, first_word: str) -> Diagnostic:
    return Diagnostic(
        code="P267",
        message=f"a route cannot be both {a(first_word)} and {a(word)}",
        span=span,
        hint="declare two routes",
        notes=(Note(f"it is {a(first_word)} here", first),),
    )


def rates_without_model(span: Span, kind: str, declared: Span) -> Diagnostic:
    return Diagnostic(
        code="P268",
        message=f"{a(kind)} has no rates per token",
        span=span,
        hint="write a flat `cost` instead",
        notes=(Note(f"it is {a(kind)} here", declared),),
    )


def rates_and_cost(span: Span, first: Span) -> Diagnostic:
    return Diagnostic(
        code="P269",
        message="a route has either `rates` or a flat `cost`",
        span=span,
        hint="keep one of them",
        notes=(Note("the other one is here", first),),
    )


def handoff_not_last(name: Name, declared: Span) -> Diagnostic:
    return Diagnostic(
        code="P270",
        message=f"{quoted(name.span)} is a handoff, which ends the work, but routes follow it",
        span=name.span,
        hint="move it to the end of the lane",
        notes=(Note("declared here", declared),),
    )


def handoff_alone(name: Name, declared: Span) -> Diagnostic:
    return Diagnostic(
        code="P271",
        message=f"the only route of this lane, {quoted(name.span)}, is a handoff",
        span=name.span,
        hint="put a model or a tool before it",
        notes=(Note("declared here", declared),),
    )


def limit_on_attempts(span: Span, route: Name) -> Diagnostic:
    return Diagnostic(
        code="P272",
        message=f"route {quoted(route.span)} is no handoff, so no `limit` is kept for it",
        span=span,
        hint="write `ceiling N attempts per …`",
    )


def rule_on_handoff(span: Span, word: str, route: Name) -> Diagnostic:
    return Diagnostic(
        code="P273",
        message=f"a handoff such as {quoted(route.span)} is no attempt, so it takes no `{word}`",
        span=span,
        hint="bound handoffs with `limit N per day`" if word == "ceiling" else "leave it out",
    )


def declared_once(span: Span, word: str, first: Span) -> Diagnostic:
    return Diagnostic(
        code="P274",
        message=f"a second `{word}` in the policy set",
        span=span,
        hint="keep one of them, in one file",
        notes=(Note("the first one is here", first),),
    )


def unknown_timezone(zone: Text, near: str | None) -> Diagnostic:
    return Diagnostic(
        code="P275",
        message=f"{quoted(zone.span)} is not a time zone",
        span=zone.span,
        hint=f'did you mean `"{near}"`?' if near else 'write a name of the IANA database, such as `"Europe/Berlin"`',
    )
