"""lint(): every chosen rule over one policy set, its findings in order."""

from collections.abc import Iterable, Sequence
from pathlib import PurePath

from policy_engine.analysis.lint.choice import EVERYTHING, Choice
from policy_engine.analysis.lint.discovery import every_rule
from policy_engine.analysis.lint.rule import Finding, Found, LintRule
from policy_engine.analysis.lint.subject import Subject
from policy_engine.language.diagnostics import Diagnostic, PolicyError, Severity, in_order
from policy_engine.language.source import Source
from policy_engine.policy import Policy, compile_files, parse_sources
from policy_engine.prices.table import LOCK_NAME, PriceTable


def subject_of(sources: Iterable[Source], prices: PriceTable | None = None) -> Subject:
    """The set to be linted; a price lock may be among the sources.

    Raises `PolicyError`, with every mistake, for a set that does not load, `PriceError` for a lock that is damaged.
    """
    given = list(sources)
    for source in [source for source in given if PurePath(source.name).name == LOCK_NAME]:
        given.remove(source)
        prices = PriceTable.of_lock(source.text, source.name)
    files, found = parse_sources(given)
    checked, said = compile_files(files, found, prices)
    if checked is None:
        raise PolicyError(in_order([*found, *said]))
    # What is asked here is asked once: an engine that is quick to make beats one that is quick to answer.
    policy = Policy(checked, prices or PriceTable(checked.currency), in_order([*found, *said]), engine="reference")
    return Subject(policy, files, prices_lock=prices if prices is not None and prices.lock is not None else None)


def lint(subject: Subject, choice: Choice = EVERYTHING, rules: Sequence[LintRule] | None = None) -> tuple[Finding, ...]:
    """Every finding in (file, place) order; those that a comment allows carry its reason and are no fault.

    Rules run by code, so those about suppressions, which come last, see what was allowed.
    """
    chosen = [rule for rule in (every_rule() if rules is None else rules) if choice.takes(rule)]
    suppressions = subject.suppressions
    suppressions.judged = frozenset(key for rule in chosen for key in (rule.code, rule.name))
    found: list[Finding] = []
    for rule in chosen:
        severity = choice.tier(rule).severity
        found += [_finding(rule, item, severity, suppressions.allow(rule, item.span)) for item in rule.check(subject)]
    return tuple(sorted(found, key=lambda finding: finding.order))


def _finding(rule: LintRule, item: Found, severity: Severity, reason: str | None) -> Finding:
    diagnostic = Diagnostic(
        code=rule.code,
        message=item.message,
        span=item.span,
        hint=item.hint,
        notes=item.notes,
        severity=severity,
    )
    return Finding(rule=rule, diagnostic=diagnostic, edits=item.edits, allowed_because=reason)
