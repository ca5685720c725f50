"""Comments that allow findings: where they reach, and what is said of those that allow nothing."""

import pytest

from policy_engine.analysis.lint.choice import Choice
from policy_engine.analysis.lint.discovery import every_rule
from policy_engine.analysis.lint.page import page_of, sources_of
from policy_engine.analysis.lint.rule import Finding, LintRule
from policy_engine.analysis.lint.runner import lint, subject_of
from policy_engine.language.source import Source
from tests.analysis.lint.variants import LOCKED

HEAD = """currency USD
route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
lane standard { mini }
"""
ONLY_CORE = Choice(select=("L001", "L09"))


def found(text: str, choice: Choice = ONLY_CORE) -> tuple[Finding, ...]:
    return lint(subject_of([Source("a.policy", HEAD + text)]), choice)


def said(text: str, choice: Choice = ONLY_CORE) -> list[str]:
    """Codes in order, those allowed in brackets."""
    return [
        f"[{item.diagnostic.code}]" if item.allowed_because else item.diagnostic.code for item in found(text, choice)
    ]


def workflow(*, above: str = "", head: str = "", outside: str = "", inside: str = "") -> str:
    return f"""{outside}
workflow support {{
  {above}
  outcome reply {{ {head}
    {inside}
    price $0.99
    lanes standard
  }}
}}
"""


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (workflow(), ["L001"]),
        (workflow(head="# lint: allow L001 because it is a trial"), ["[L001]"]),
        (workflow(above="# lint: allow L001 because it is a trial"), ["[L001]"]),
        (workflow(above="# lint: allow outcome-without-money-ceiling because it is a trial"), ["[L001]"]),
        # an explanation may stand between the comment and what it is about
        (workflow(above="# lint: allow L001 because it is a trial\n  # until June"), ["[L001]"]),
        # at a block's head it is about the whole block
        (workflow(outside="# lint: allow L001 because it is a trial"), ["[L001]"]),
        (workflow(outside="#lint:allow  L001 ,L002  because  it is a trial"), ["L092", "[L001]"]),
        # elsewhere it is not
        (workflow(inside="# lint: allow L001 because it is a trial"), ["L001", "L090"]),
        (
            workflow(outside="currency  USD  # lint: allow L001 because it is a trial").replace(
                "currency  USD", "error e"
            ),
            ["L090", "L001"],
        ),
        # without a reason it allows nothing
        (workflow(above="# lint: allow L001"), ["L091", "L001"]),
        (workflow(above="# lint: allow L001 because"), ["L091", "L001"]),
        (workflow(above="# lint: disable L001"), ["L093", "L001"]),
        (workflow(above="# lint: allow because of the trial"), ["L093", "L001"]),
        # a sentence about lint is no comment to the linter
        (workflow(above="# the lint: it is quiet"), ["L001"]),
    ],
)
def test_what_a_comment_allows(text: str, codes: list[str]) -> None:
    if "L002" in text:
        text = text.replace("L002", "L099")
    assert said(text) == codes


def test_an_allowed_finding_carries_its_reason() -> None:
    (finding,) = found(workflow(above="# lint: allow L001 because it is a trial  "))
    assert finding.allowed_because == "it is a trial"


def test_a_rule_that_did_not_run_is_not_missed() -> None:
    text = workflow(inside="# lint: allow L001 because it is a trial")
    assert said(text, Choice(select=("L09",))) == []
    assert said(text, Choice(select=("L001", "L09"))) == ["L001", "L090"]


def test_a_trailing_comment_reaches_a_statement_of_several_lines() -> None:
    text = workflow().replace("outcome reply {", "# lint: allow L001 because it is a trial\n  outcome\n    reply {")
    assert said(text) == ["[L001]"]


# (of a layout, a comment is a part; in a price lock, there is none)
OTHERS = [rule for rule in every_rule() if rule.topic != "suppressions" and not rule.opt_in and rule.code not in LOCKED]


@pytest.mark.parametrize("behind", [False, True], ids=["above", "behind"])
@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.code) for rule in OTHERS])
def test_every_finding_can_be_allowed(rule: LintRule, behind: bool) -> None:
    choice = Choice(select=("L", rule.code))
    sources = sources_of(page_of(rule).bad)
    comment = f"# lint: allow {rule.code} because it was looked at"
    lines = {
        (item.diagnostic.span.source.name, item.diagnostic.span.line) for item in lint(subject_of(sources), choice)
    }
    noted = []
    for source in sources:
        text = source.text.split("\n")
        for name, line in sorted(lines, reverse=True):
            if name == source.name and behind:
                text[line - 1] += f"  {comment}"
            elif name == source.name:
                text.insert(line - 1, comment)
        noted.append(Source(source.name, "\n".join(text)))
    found = lint(subject_of(noted), choice)
    assert found
    assert {item.diagnostic.code for item in found} == {rule.code}
    assert {item.allowed_because for item in found} == {"it was looked at"}
