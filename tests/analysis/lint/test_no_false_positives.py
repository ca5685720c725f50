"""A false positive is a bug: policies that keep their intent are silent, a planted flaw is found alone."""

import pytest

from policy_engine.analysis.lint.choice import Choice
from policy_engine.analysis.lint.discovery import every_rule
from policy_engine.analysis.lint.page import page_of, sources_of
from policy_engine.analysis.lint.rule import LintRule
from policy_engine.analysis.lint.runner import lint, subject_of
from policy_engine.language.diagnostics import PolicyError, render
from policy_engine.language.source import Source
from policy_engine.testing.strategies.picking import SeededPick
from tests.analysis.lint.variants import EDITS, LOCKED, SETS, STAYS_PUT, governs_all, planted, variant

VARIANTS = 200
RULES = [pytest.param(rule, id=rule.code) for rule in every_rule() if rule.code not in LOCKED]


def found(sources: list[Source], *asked_for: str) -> tuple[set[str], str]:
    """The codes of all that is found, and how it is said."""
    try:
        subject = subject_of(sources)
    except PolicyError as error:
        raise AssertionError(f"no policy:\n{error}") from None
    findings = [item for item in lint(subject, Choice(select=("L", *asked_for))) if item.allowed_because is None]
    return {item.diagnostic.code for item in findings}, render([item.diagnostic for item in findings])


@pytest.mark.parametrize("seed", range(VARIANTS))
def test_a_policy_that_keeps_its_intent_is_silent(seed: int) -> None:
    sources, done = variant(seed)
    codes, said = found(sources)
    assert not codes, f"{done}\n{said}"


def test_the_variants_are_of_every_set_and_every_edit() -> None:
    done = {variant(seed)[1] for seed in range(VARIANTS)}
    for word in (*SETS, *(edit.__name__ for edit in EDITS)):
        assert sum(word in line for line in done) >= 20, word


@pytest.mark.parametrize("rule", RULES)
def test_a_planted_flaw_is_all_that_is_found(rule: LintRule) -> None:
    flaw = sources_of(page_of(rule).bad)
    beds = 0
    for seed in range(len(SETS) + 1):
        bed, done = variant(1_000 + seed, formatted=True)
        if governs_all(bed) and rule.topic in ("fallback", "retries", "names"):
            continue  # what it says of every retry and fallback mends what is planted
        beds += 1
        sources = planted(bed, flaw, SeededPick(2_000 + seed), moving=rule.code not in STAYS_PUT)
        codes, said = found(sources, rule.code)
        assert codes == {rule.code}, f"{done}\n{said}"
    assert beds >= len(SETS)
