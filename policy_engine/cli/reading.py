"""Policies as a command line names them: files, directories, `-` for the standard input."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from policy_engine.cli.problems import Problem, refusal
from policy_engine.cli.render import Screen, show_diagnostics
from policy_engine.language import encoding, parser
from policy_engine.language.checked import CheckedPolicy
from policy_engine.language.diagnostics import Diagnostic, Severity, count, in_order
from policy_engine.language.source import Source
from policy_engine.policy import Policy, compile_sources, policy_files, price, read_files
from policy_engine.prices.table import PriceTable

STDIN = "-"


@dataclass(frozen=True, slots=True)
class PolicySet:
    """What was read: `checked` is None where there is a mistake; the diagnostics say which."""

    sources: tuple[Source, ...]
    checked: CheckedPolicy | None
    diagnostics: tuple[Diagnostic, ...]


def read_set(paths: Sequence[str]) -> PolicySet:
    """The policy set of all paths. Raises `Problem` for what cannot be opened."""
    return set_of(*read_sources(paths))


def read_sources(paths: Sequence[str]) -> tuple[list[Source], list[Diagnostic]]:
    """The sources of all paths, and what is said of those that are no text. Raises `Problem` as `read_set` does."""
    try:
        sources, unread = read_files(policy_files(path for path in paths if path != STDIN))
    except OSError as error:
        raise unreadable(error) from None
    if STDIN in paths:
        source, mistakes = encoding.decode(sys.stdin.buffer.read(), "<stdin>")
        sources.append(source)
        unread += mistakes
    return sources, unread


def set_of(sources: Sequence[Source], unread: Sequence[Diagnostic]) -> PolicySet:
    """What these sources say together."""
    if unread:  # what a missing file declares would be missed everywhere: only the syntax of the others is looked at
        whole = [source for source in sources if all(item.span.source is not source for item in unread)]
        found = [item for source in whole for item in parser.parse(source)[1]]
        return PolicySet(tuple(sources), None, in_order([*unread, *found]))
    checked, diagnostics = compile_sources(sources)
    if checked is not None:
        checked, unpriced = price(checked, PriceTable(checked.currency))
        diagnostics = in_order([*diagnostics, *unpriced])
    return PolicySet(tuple(sources), checked, diagnostics)


def unreadable(error: OSError) -> Problem:
    """An operating system's refusal in our words."""
    return Problem(refusal(error), error.filename)


def open_policy(paths: Sequence[str], engine: str, screen: Screen) -> Policy:
    """A policy to ask. Raises `Problem` for one with a mistake, after showing every mistake."""
    found = read_set(paths)
    if found.checked is None:
        show_diagnostics(screen.note, tuple(d for d in found.diagnostics if d.severity is Severity.ERROR))
        errors = sum(item.severity is Severity.ERROR for item in found.diagnostics)
        raise Problem(f"the policy has {count(errors, 'error')}, so nothing was asked")
    return Policy(found.checked, PriceTable(found.checked.currency), found.diagnostics, engine=engine)
