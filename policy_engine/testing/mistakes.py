"""What is wrong with a test file (`T0xx`): one function each, in the manner of a policy's mistakes.

Codes are stable and never reused: T00x the text, T01x its shape, T02x names, T03x values, T04x stories.
"""

import re
from collections.abc import Iterable
from typing import Any

from policy_engine.language.diagnostics import Diagnostic, Note, did_you_mean, one_of
from policy_engine.language.source import Source, Span
from policy_engine.prices.records import PriceError

# ---------------------------------------------------------------- the text

_CANNOT_START = {
    "\t": ("a tab cannot indent or align here", "use spaces"),
    "@": ("a text cannot start with `@` here", "put it in quotes"),
    "`": ("a text cannot start with a backtick here", "put it in quotes"),
    "%": ("a text cannot start with `%` here", "put it in quotes"),
}
_STRANGE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|\ufeff")
_YAML_PROBLEMS = (
    ("tab character", *_CANNOT_START["\t"]),
    (
        "mapping values are not allowed",
        "this colon makes no sense here",
        "indent it as its neighbours are, or put the text in quotes",
    ),
    ("',' or '\\]'", "this list is not closed, or a comma is missing", "close it with `]`"),
    ("',' or '}'", "this mapping is not closed, or a comma is missing", "close it with `}`"),
    ("end of stream", "these quotes are not closed", "close them"),
    (
        "unknown escape",
        "this backslash starts no sign that YAML knows",
        "use single quotes for a text with backslashes",
    ),
    (
        "'-' indicator|expected key|block end",
        "this line does not go on with what stands above",
        "check the indentation",
    ),
    ("could not find expected ':'", "this line has no colon", "write `key: value`, or `- item`"),
)


def not_yaml(source: Source, error: Any) -> Diagnostic:
    """A text that is no YAML; the parser's words are replaced where they are known."""
    if hasattr(error, "position"):  # it counts bytes or characters, as the parser has it: looked for again
        strange = _STRANGE.search(source.text)
        offset = strange.start() if strange is not None else 0
        hint = 'take it out, or write it as `"\\x07"` in quotes'
        return _no_yaml(source, offset, "this sign cannot stand in YAML", hint)
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    offset = mark.index if mark is not None else 0
    context = getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "")
    if "cannot start any token" in problem:
        message, hint = _CANNOT_START.get(source.text[offset : offset + 1], ("this sign starts nothing", "quote it"))
    else:
        known = [(said, do) for pattern, said, do in _YAML_PROBLEMS if re.search(pattern, problem)]
        unknown = ("this is no YAML", "see the example in the documentation of policy tests")
        message, hint = known[0] if known else unknown
        if context is not None and ("not closed" in message or "no colon" in message):
            offset = context.index  # where it begins says more than where the parser gave up
    return _no_yaml(source, offset, message, hint)


def _no_yaml(source: Source, offset: int, message: str, hint: str) -> Diagnostic:
    return Diagnostic(code="T001", message=message, span=Span(source, offset, offset + 1), hint=hint)


def twice(name: str, span: Span, first: Span) -> Diagnostic:
    return Diagnostic(
        code="T002",
        message=f"`{name}` is written twice",
        span=span,
        hint="keep one of them",
        notes=(Note("first written here", first),),
    )


def marked(span: Span, what: str) -> Diagnostic:
    hints = {
        "anchor": "name it under `fixtures:` and say `like: NAME`",
        "alias": "name it under `fixtures:` and say `like: NAME`",
        "tag": "leave the `!…` out; quotes make a text",
    }
    article = "an" if what[0] == "a" else "a"
    return Diagnostic(code="T003", message=f"{article} {what} cannot stand here", span=span, hint=hints[what])


def second_document(span: Span) -> Diagnostic:
    return Diagnostic(code="T004", message="a second document begins here", span=span, hint="one file, one document")


def key_no_text(span: Span) -> Diagnostic:
    return Diagnostic(code="T005", message="a key is a plain text", span=span, hint="write `key: value`")


def too_deep(span: Span, limit: int) -> Diagnostic:
    return Diagnostic(
        code="T006", message=f"more than {limit} levels inside each other", span=span, hint="reading stopped here"
    )


def too_long(span: Span, limit: int) -> Diagnostic:
    return Diagnostic(
        code="T007",
        message=f"this file is longer than {limit:,} characters",
        span=span,
        hint="split it into several files",
    )


# ---------------------------------------------------------------- its shape


def no_key(name: str, span: Span, known: Iterable[str], where: str) -> Diagnostic:
    names = list(known)
    hint = did_you_mean(name, names) or f"{where} has {one_of(names, 20)}"
    return Diagnostic(code="T010", message=f"`{name}` is no key of {where}", span=span, hint=hint)


def key_missing(name: str, span: Span, where: str, example: str) -> Diagnostic:
    return Diagnostic(code="T011", message=f"{where} has no `{name}`", span=span, hint=f"add `{example}`")


def wrong_shape(span: Span, message: str, hint: str) -> Diagnostic:
    return Diagnostic(code="T012", message=message, span=span, hint=hint)


def no_cases(span: Span) -> Diagnostic:
    return Diagnostic(
        code="T013", message="this file tests nothing", span=span, hint="add cases under `decisions:` or `scenarios:`"
    )


def table_row(span: Span, cells: int, columns: int) -> Diagnostic:
    return Diagnostic(
        code="T014",
        message=f"this row has {cells} cells, the head has {columns}",
        span=span,
        hint="write `~` for a cell that says nothing",
    )


def expects_nothing(span: Span) -> Diagnostic:
    return Diagnostic(
        code="T015", message="this case expects nothing, so it cannot fail", span=span, hint="add `expect:`"
    )


def same_name(name: str, span: Span, first: Span) -> Diagnostic:
    return Diagnostic(
        code="T016",
        message=f"a second case is called `{name}`",
        span=span,
        hint="give each case a name of its own",
        notes=(Note("the first one stands here", first),),
    )


# ---------------------------------------------------------------- names


def no_fixture(name: str, span: Span, known: Iterable[str]) -> Diagnostic:
    names = list(known)
    hint = did_you_mean(name, names) or (f"fixtures are {one_of(names)}" if names else "this file has no fixtures")
    return Diagnostic(code="T020", message=f"there is no fixture `{name}`", span=span, hint=hint)


def circular(name: str, span: Span) -> Diagnostic:
    return Diagnostic(
        code="T021", message=f"the fixture `{name}` is like itself", span=span, hint="take one `like` of the circle out"
    )


def no_entry(name: str, span: Span, known: Iterable[str], point: str) -> Diagnostic:
    names = list(known)
    hint = did_you_mean(name, names) or f"one of {one_of(names, 40)}"
    return Diagnostic(code="T022", message=f"`{name}` is nothing that {point} knows", span=span, hint=hint)


def no_rule(name: str, span: Span, known: Iterable[str]) -> Diagnostic:
    from difflib import get_close_matches

    names = sorted(set(known))
    close = get_close_matches(name, names, 1, 0.5)
    hint = f"did you mean `{close[0]}`?" if close else "a rule goes by its `as` label or its own words"
    return Diagnostic(code="T023", message=f"no rule is called `{name}`", span=span, hint=hint)


def two_rules(name: str, span: Span, rules: Iterable[tuple[str, Span]]) -> Diagnostic:
    return Diagnostic(
        code="T024",
        message=f"`{name}` is the beginning of several rules",
        span=span,
        hint="write more of it",
        notes=tuple(Note(f"`{text}`", place) for text, place in list(rules)[:3]),
    )


def no_such(name: str, span: Span, kind: str, known: Iterable[str]) -> Diagnostic:
    names = list(known)
    hint = did_you_mean(name, names) or (f"it is one of {one_of(names, 20)}" if names else "the policy declares none")
    return Diagnostic(code="T025", message=f"there is no {kind} `{name}`", span=span, hint=hint)


def no_policy(span: Span, path: str) -> Diagnostic:
    return Diagnostic(
        code="T026",
        message=f"there is no policy at `{path}`",
        span=span,
        hint="name one with `policy:`, relative to this file",
    )


def bad_prices(span: Span, error: PriceError) -> Diagnostic:
    said = f"{error.place}: {error.message}" if error.place is not None else error.message
    return Diagnostic(code="T028", message=said, span=span, hint=error.hint or "run `policy check`")


def bad_policy(span: Span, errors: int) -> Diagnostic:
    return Diagnostic(
        code="T027",
        message=f"its policy has {errors} error{'s' if errors > 1 else ''}",
        span=span,
        hint="mend what is shown above first",
    )


# ---------------------------------------------------------------- values


def bad_value(span: Span, said: str) -> Diagnostic:
    """A value that cannot be meant; `said` is what is wrong and, after a semicolon, what to do."""
    message, _, hint = said.partition("; ")
    return Diagnostic(code="T030", message=message, span=span, hint=hint or "see `policy eval POINT --schema`")
