"""Every lint rule keeps its word: its page is whole, its Bad is found by it alone, its Good by none."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from policy_engine.analysis.lint.choice import Choice
from policy_engine.analysis.lint.discovery import every_rule
from policy_engine.analysis.lint.page import Page, page_of, sources_of
from policy_engine.analysis.lint.rule import TOPICS, LintRule
from policy_engine.analysis.lint.runner import lint, subject_of
from policy_engine.language.diagnostics import render
from policy_engine.language.source import Source

ROOT = Path(__file__).resolve().parents[3]
SETS = sorted(path for path in (ROOT / "policies").iterdir() if any(path.glob("*.policy")))
RULES = [pytest.param(rule, id=rule.code) for rule in every_rule()]


def codes(sources: Sequence[Source], *asked_for: LintRule) -> list[str]:
    """The codes of all that is found, allowed findings left out. Rules that are opt-in are asked for."""
    choice = Choice(select=("L", *(rule.code for rule in asked_for)))
    return [finding.diagnostic.code for finding in lint(subject_of(sources), choice) if finding.allowed_because is None]


def said(sources: Sequence[Source]) -> str:
    return render([finding.diagnostic for finding in lint(subject_of(sources)) if finding.allowed_because is None])


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_filed_under_its_code_name_and_topic(rule: LintRule) -> None:
    number = int(rule.code.removeprefix("L"))
    first, last = (int(code.removeprefix("L")) for code in TOPICS[rule.topic].split("–"))
    assert first <= number <= last
    module = rule.check.__module__.rpartition(".")[2]
    assert module.startswith(f"l{number:03}_")
    assert rule.name == rule.name.lower()
    assert " " not in rule.name


@pytest.mark.parametrize("rule", RULES)
def test_a_page_has_all_its_parts(rule: LintRule) -> None:
    page = page_of(rule)
    assert "\n" not in page.title
    assert page.bad != page.good


@pytest.mark.parametrize("rule", RULES)
def test_bad_is_found_by_exactly_this_rule(rule: LintRule) -> None:
    sources = sources_of(page_of(rule).bad)
    assert set(codes(sources, rule)) == {rule.code}, said(sources)


@pytest.mark.parametrize("rule", RULES)
def test_good_is_silent_under_all_rules(rule: LintRule) -> None:
    sources = sources_of(page_of(rule).good)
    assert not codes(sources, rule), said(sources)


@pytest.mark.parametrize("rule", RULES)
def test_findings_read_as_diagnostics_do(rule: LintRule) -> None:
    page: Page = page_of(rule)
    for finding in lint(subject_of(sources_of(page.bad))):
        diagnostic = finding.diagnostic
        assert diagnostic.span.text, "nothing is underlined"
        for text in (diagnostic.message, diagnostic.hint, *(note.message for note in diagnostic.notes)):
            assert text
            assert "\n" not in text
            assert not text.endswith(".")
            assert text[0] == text[0].lower()
        assert bool(finding.edits) <= rule.fixes, "a rule that proposes edits says so in `fixes`"


@pytest.mark.parametrize("path", SETS, ids=lambda path: path.name)
def test_the_example_policies_are_silent(path: Path) -> None:
    sources = [Source(file.name, file.read_text(encoding="utf-8")) for file in sorted(path.glob("*.policy"))]
    assert not codes(sources), said(sources)


def test_the_one_page_policy_is_silent() -> None:
    text = (ROOT / "tests" / "data" / "page.policy").read_text(encoding="utf-8")
    sources = [Source("page.policy", text)]
    assert not codes(sources), said(sources)
