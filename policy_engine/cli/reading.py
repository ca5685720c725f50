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
from policy_engine.policy import Policy, compile_sources, policy_files, read_files
from policy_engine.prices.records import PriceError
from policy_engine.prices.table import PriceTable, beside

STDIN = "-"


@dataclass(frozen=True, slots=True)
class PolicySet:
    """What was read: `checked` is None where there is a mistake; the diagnostics say which. `prices` are of a lock."""

    sources: tuple[Source, ...]
    checked: CheckedPolicy | None
    diagnostics: tuple[Diagnostic, ...]
    prices: PriceTable | None = None


def read_set(paths: Sequence[str], prices: str | None = None) -> PolicySet:
    """The policy set of all paths, with the prices of a lock. Raises `Problem` for what cannot be used."""
    sources, unread = read_sources(paths)
    return set_of(sources, unread, read_prices(paths, prices))


def read_prices(paths: Sequence[str], lock: str | None = None) -> PriceTable | None:
    """The prices of this lock, or of the one that lies beside the policy; None if none does. Raises `Problem`."""
    try:
        found = lock if lock is not None else beside(path for path in paths if path != STDIN)
        return None if found is None else PriceTable.read(found)
    except PriceError as error:
        raise unpriceable(error) from None
    except OSError as error:
        raise unreadable(error) from None


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


def set_of(sources: Sequence[Source], unread: Sequence[Diagnostic], prices: PriceTable | None = None) -> PolicySet:
    """What these sources say together. Raises `Problem` for prices in another currency than theirs."""
    if unread:  # what a missing file declares would be missed everywhere: only the syntax of the others is looked at
        whole = [source for source in sources if all(item.span.source is not source for item in unread)]
        found = [item for source in whole for item in parser.parse(source)[1]]
        return PolicySet(tuple(sources), None, in_order([*unread, *found]), prices)
    try:
        checked, diagnostics = compile_sources(sources, prices)
    except PriceError as error:
        raise unpriceable(error) from None
    return PolicySet(tuple(sources), checked, diagnostics, prices)


def unreadable(error: OSError) -> Problem:
    """An operating system's refusal in our words."""
    return Problem(refusal(error), error.filename)


def unpriceable(error: PriceError) -> Problem:
    """Prices that cannot be used, as a problem."""
    return Problem(error.message, error.place, hint=error.hint)


def open_policy(paths: Sequence[str], engine: str, screen: Screen, prices: str | None = None) -> Policy:
    """A policy to ask. Raises `Problem` for one with a mistake, after showing every mistake."""
    found = read_set(paths, prices)
    checked = _without_mistake(found, screen)
    return Policy(checked, found.prices or PriceTable(checked.currency), found.diagnostics, engine=engine)


def checked_policy(paths: Sequence[str], screen: Screen) -> CheckedPolicy:
    """What a policy says, without any prices but its own. Raises `Problem` as `open_policy` does."""
    return _without_mistake(set_of(*read_sources(paths)), screen)


def _without_mistake(found: PolicySet, screen: Screen) -> CheckedPolicy:
    if found.checked is None:
        show_diagnostics(screen.note, tuple(d for d in found.diagnostics if d.severity is Severity.ERROR))
        errors = sum(item.severity is Severity.ERROR for item in found.diagnostics)
        raise Problem(f"the policy has {count(errors, 'error')}, so nothing was asked")
    return found.checked
