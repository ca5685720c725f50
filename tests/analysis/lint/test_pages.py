"""The pages of the rules in docs/rules/, and a policy with one flaw for each of them, are made from the docstrings.

`python -m tests.analysis.lint.test_pages` makes them anew.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest

from policy_engine.analysis.lint.choice import Choice
from policy_engine.analysis.lint.discovery import every_rule
from policy_engine.analysis.lint.outputs.pages import every_page
from policy_engine.analysis.lint.page import page_of, sources_of
from policy_engine.analysis.lint.rule import LintRule
from policy_engine.analysis.lint.runner import lint, subject_of
from policy_engine.language.source import Source
from tests.analysis.lint.variants import LOCKED, ROOT, together

PAGES = ROOT / "docs" / "rules"
FLAWED = ROOT / "tests" / "data" / "flawed"
AGAIN = "run `python -m tests.analysis.lint.test_pages`"


def flawed() -> Mapping[str, str]:
    """One policy of many files, each with the flaw that its name says."""
    made = {}
    for number, rule in enumerate(rule for rule in every_rule() if rule.code not in LOCKED):
        for index, source in enumerate(together(sources_of(page_of(rule).bad), rule.code, first=number == 0)):
            made[f"{rule.code}-{rule.name}{f'-{index + 1}' * bool(index)}.policy"] = source.text
    return made


def kept(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


def test_the_pages_are_those_of_the_rules() -> None:
    assert kept(PAGES) == every_page(), AGAIN


def test_the_flawed_set_is_that_of_the_rules() -> None:
    assert kept(FLAWED) == flawed(), AGAIN


@pytest.fixture(scope="module")
def found() -> dict[str, set[str]]:
    """The codes found in each file of the flawed set."""
    choice = Choice(select=("L", *(rule.code for rule in every_rule() if rule.opt_in)))
    codes: dict[str, set[str]] = {name: set() for name in kept(FLAWED)}
    for finding in lint(subject_of([Source(name, text) for name, text in kept(FLAWED).items()]), choice):
        codes[finding.diagnostic.span.source.name].add(finding.diagnostic.code)
    return codes


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.code) for rule in every_rule() if rule.code not in LOCKED])
def test_each_file_of_the_flawed_set_has_the_flaw_of_its_name(rule: LintRule, found: dict[str, set[str]]) -> None:
    codes = [codes for name, codes in found.items() if name.startswith(rule.code)]
    assert set().union(*codes) == {rule.code}


def write(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.iterdir():
        path.unlink()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(PAGES, every_page())
    write(FLAWED, flawed())
