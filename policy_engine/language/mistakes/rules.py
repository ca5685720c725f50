"""Mistakes in rules: where they stand, what follows them, what they are counted over."""

from policy_engine.language.diagnostics import Diagnostic, Note, one_of
from policy_engine.language.mistakes.wording import either, place_word, quoted
from policy_engine.language.source import Span
from policy_engine.language.syntax import Name
from policy_engine.language.vocabulary import WINDOWS

MAX_RULES = 20_000
"""Rules in one policy set. A person reads none so long; a generator that writes one has gone wrong."""


def misplaced(span: Span, word: str, kind: str, places: list[str]) -> Diagnostic:
    return Diagnostic(
        code="P241",
        message=f"`{word}` cannot stand {place_word(kind)}",
        span=span,
        hint=f"it stands {either([place_word(place) for place in places])}",
    )


def tail_not_taken(span: Span, rule: str, tail: str, taken: list[str]) -> Diagnostic:
    return Diagnostic(
        code="P242",
        message=f"`{rule}` takes no {tail}",
        span=span,
        hint=f"leave it out; `{rule}` takes {', '.join(taken)}",
    )


def no_scope(span: Span, rule: str, hint: str) -> Diagnostic:
    return Diagnostic(code="P243", message=f"this `{rule}` does not say over what it is counted", span=span, hint=hint)


def key_without_window(key: Name) -> Diagnostic:
    return Diagnostic(
        code="P244",
        message=f"`per {key.text}` needs a window",
        span=key.span,
        hint=f"write `per {key.text} per day`; windows are {one_of(WINDOWS)}",
    )


def window_before_key(window: Name, key: Name) -> Diagnostic:
    return Diagnostic(
        code="P245",
        message=f"the window {quoted(window.span)} stands before {quoted(key.span)}",
        span=window.span.to(key.span),
        hint=f"write `per {key.text} per {window.text}`",
    )


def too_many_keys(keys: tuple[Name, ...]) -> Diagnostic:
    return Diagnostic(
        code="P246",
        message="this is counted over more than one key and one window",
        span=keys[0].span.to(keys[-1].span),
        hint="keep one key and one window, such as `per customer per day`",
    )


def two_windows(first: Name, second: Name) -> Diagnostic:
    return Diagnostic(
        code="P247",
        message=f"{quoted(first.span)} and {quoted(second.span)} are both windows",
        span=second.span,
        hint="keep one of them, or write two rules",
        notes=(Note("the first one is here", first.span),),
    )


def window_of_attempt(scope: Name, window: Name) -> Diagnostic:
    return Diagnostic(
        code="P248",
        message=f"`per {scope.text}` is one {scope.text} and takes no window",
        span=window.span,
        hint=f"leave out `per {window.text}`",
        notes=(Note(f"`{scope.text}` is named here", scope.span),),
    )


def attempts_per_attempt(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P249",
        message="an attempt is always one attempt",
        span=span,
        hint="count attempts `per step`, `per outcome` or in a window",
    )


def time_in_a_window(span: Span, amount: Span) -> Diagnostic:
    return Diagnostic(
        code="P250",
        message=f"a time ceiling such as {quoted(amount)} is not counted in a window",
        span=span,
        hint="write `per attempt`, `per step` or `per outcome`",
        notes=(Note("the time is written here", amount),),
    )


def alert_on_time(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P263",
        message="a time ceiling gives no alerts: time passes without a decision that crosses it",
        span=span,
        hint="leave out `alert at`, or add a shorter `shadow ceiling`",
    )


def share_in_a_window(span: Span, amount: Span) -> Diagnostic:
    return Diagnostic(
        code="P251",
        message=f"{quoted(amount)} is a share of one execution's price and is not counted in a window",
        span=span,
        hint="write `per attempt`, `per step` or `per outcome`, or an amount of money",
        notes=(Note("the share is written here", amount),),
    )


def amount_without_unit(span: Span, money: str) -> Diagnostic:
    digits = span.text
    # Half an attempt is none, so a broken number can only be money.
    hint = f"write `{money}`, `{digits} attempts` or `{digits} tokens`" if "." not in digits else f"write `{money}`"
    return Diagnostic(
        code="P252",
        message=f"{quoted(span)} has no unit",
        span=span,
        hint=hint,
    )


def unknown_ceiling_unit(unit: Name, near: str | None) -> Diagnostic:
    return Diagnostic(
        code="P253",
        message=f"{quoted(unit.span)} is not something a ceiling counts",
        span=unit.span,
        hint=f"did you mean `{near}`?" if near else "a ceiling counts money, `attempts`, `tokens` or time (`90s`)",
    )


def bare_percent(span: Span) -> Diagnostic:
    return Diagnostic(
        code="P254",
        message=f"{quoted(span)} does not say of what",
        span=span,
        hint=f"write `{span.text} of price`",
    )


def share_of_other(of: Name) -> Diagnostic:
    return Diagnostic(
        code="P255",
        message=f"a ceiling is no share of {quoted(of.span)}",
        span=of.span,
        hint="write an amount, or a share of `price`",
    )


def never_retried(name: Name) -> Diagnostic:
    hint = (
        "use `fallback` for it: the same route would be refused again"
        if name.text == "over_ceiling"
        else f"leave it out: {quoted(name.span)} does not go away by trying again"
    )
    return Diagnostic(code="P256", message=f"{quoted(name.span)} is never retried", span=name.span, hint=hint)


def any_beside_others(name: Name) -> Diagnostic:
    return Diagnostic(
        code="P257",
        message="`any` stands beside other classes, which it includes",
        span=name.span,
        hint="keep `any` alone, or name the classes",
    )


def backoff_upside_down(span: Span, first: Span, longest: Span) -> Diagnostic:
    return Diagnostic(
        code="P258",
        message=f"the longest delay {quoted(longest)} is shorter than the first, {quoted(first)}",
        span=span,
        hint=f"write the shorter one first: `backoff {longest.text}..{first.text}`",
    )


def not_shadowed(span: Span, rule: str) -> Diagnostic:
    return Diagnostic(
        code="P259",
        message=f"`{rule}` cannot be a `shadow` rule",
        span=span,
        hint="only rules that refuse can run in the shadow: `ceiling`, `allow`, `forbid`, `limit`, `margin`",
    )


def fallback_in_two_files(span: Span, first: Span) -> Diagnostic:
    return Diagnostic(
        code="P260",
        message="file-level `fallback` stands in two files, so their order is not known",
        span=span,
        hint="move them all into one file",
        notes=(Note("the other file's is here", first),),
    )


def limit_key(key: Name, keys: list[str]) -> Diagnostic:
    return Diagnostic(
        code="P261",
        message=f"this `limit` cannot be kept per {quoted(key.span)}",
        span=key.span,
        hint=f"it may be kept per {either([f'`{word}`' for word in keys])}",
    )


def count_per_route(key: Name) -> Diagnostic:
    return Diagnostic(
        code="P262",
        message="`count` counts admissions, which have no route yet",
        span=key.span,
        hint="count `attempts … per route` instead",
    )


def too_many_rules(span: Span, total: int) -> Diagnostic:
    return Diagnostic(
        code="P310",
        message=f"this policy set has {total:,} rules, more than {MAX_RULES:,}",
        span=span,
        hint="join rules, or split the set into policies that are loaded apart",
    )
