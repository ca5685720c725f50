"""Generated policies as texts: clean, read back as they were written, and never a traceback when they are broken."""

import re
from dataclasses import fields
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from policy_engine.language import syntax as s
from policy_engine.language.checked import CheckedPolicy
from policy_engine.language.diagnostics import Severity, render
from policy_engine.language.formatter import format_file
from policy_engine.language.parser import parse
from policy_engine.language.source import Source
from policy_engine.policy import compile_sources
from tests.generators import Case, examples, policies

WORD = re.compile(r'"[^"]*"|on store failure|-?[\d.]+ [A-Z]{3}\b|\S+')
GAPS = (" ", " ", " ", " ", "\n", "\n\n\n", "\t  ", "  # a note\n", "\n# a line of its own\n", "\r\n")


def said(policy: CheckedPolicy) -> object:
    """All that a policy means, without the places where it says so."""
    blocks = [
        [(name, said_by(block)) for name, block in sorted(kind.items())]
        for kind in (policy.routes, policy.lanes, policy.plans, policy.packs, policy.workflows, policy.outcomes)
    ]
    everything = (policy.currency, policy.timezone, policy.escrow_nanos, policy.error_classes)
    facts = sorted(policy.facts.items())
    return everything, facts, blocks, [(type(rule), said_by(rule)) for rule in policy.every_rule()]


def said_by(part: Any) -> list[object]:
    """The fields of a block or rule; rules stand for themselves, and are compared apart."""
    names = getattr(part, "__struct_fields__", None) or [field.name for field in fields(part)]
    values = [getattr(part, name) for name in names if name not in ("rules", "span", "ref", "overage")]
    overage = getattr(part, "overage", None)
    return values if overage is None else [*values, overage.prices_nanos, overage.cap_nanos, overage.period]


def tree(text: str) -> s.File:
    file, mistakes = parse(Source("generated.policy", text))
    assert not mistakes, render(mistakes)
    return file


@examples(100)
@given(policies())
def test_a_generated_policy_is_clean(case: Case) -> None:
    """No mistake, and no warning but of routes that nothing prices: loading asserts it."""
    unpriced = {name for name in case.setting.attempted if name in ("bare", "local")}
    assert len(case.policy.warnings) == len(unpriced)
    assert set(case.policy.checked.outcomes) == set(case.setting.outcomes)


@examples(150)
@given(policies(), st.lists(st.sampled_from(GAPS), min_size=1, max_size=20))
def test_formatting_changes_nothing_but_the_layout(case: Case, gaps: list[str]) -> None:
    """Whatever blanks, line breaks and comments stand between the words."""
    words = WORD.findall(case.text)
    scattered = "".join(word + gaps[place % len(gaps)] for place, word in enumerate(words))
    file = tree(scattered)
    assert file.items == tree(case.text).items
    formatted = format_file(file)
    again = tree(formatted)
    assert again.items == file.items
    assert sorted(c.text for c in again.comments) == sorted(c.text for c in file.comments)
    assert format_file(again) == formatted


@examples(100)
@given(policies())
def test_formatting_changes_no_meaning(case: Case) -> None:
    formatted, found = compile_sources([Source("generated.policy", format_file(tree(case.text)))])
    assert formatted is not None, render(found)
    assert said(formatted) == said(case.policy.checked)


@examples(100)
@given(policies())
def test_a_policy_in_two_files_is_the_same_in_either_order(case: Case) -> None:
    parts = case.draft.split(case.pick.number(len(case.draft.blocks)))
    sources = [Source(f"{name}.policy", part.text) for name, part in zip("ab", parts, strict=True)]
    forwards, found = compile_sources(sources)
    backwards, _ = compile_sources(sources[::-1])
    assert forwards is not None, render(found)
    assert backwards is not None
    assert said(forwards) == said(backwards) == said(case.policy.checked)
    assert forwards.digest == backwards.digest


PIECES = (
    "{",
    "}",
    '"',
    "$",
    "per",
    "when",
    "not",
    "->",
    "1",
    "= ",
    "&&",
    "lane",
    "forbid",
    "\x00",
    "é",
    "#",
    "..",
    "is",
)


@examples(200)
@given(policies(), st.integers(0, 10**6), st.integers(0, 12), st.lists(st.sampled_from(PIECES), max_size=3))
def test_a_broken_policy_gives_diagnostics_with_places(case: Case, place: int, gone: int, put: list[str]) -> None:
    """A piece is cut out somewhere and something else put there."""
    at = place % (len(case.text) + 1)
    text = case.text[:at] + " ".join(put) + case.text[at + gone :]
    policy, found = compile_sources([Source("broken.policy", text)])
    assert (policy is None) == any(item.severity is Severity.ERROR for item in found)
    for item in found:
        assert 0 <= item.span.start <= item.span.end <= len(text)
        assert item.message
        assert "\n" not in item.message
    assert not found or render(found)
