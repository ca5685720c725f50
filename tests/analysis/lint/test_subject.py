"""What rules read: the indexes of a policy, and where its statements stand."""

import pytest

from policy_engine.analysis.lint.runner import subject_of
from policy_engine.analysis.lint.subject import Subject, whole_lines
from policy_engine.language.checked import BlockId
from policy_engine.language.source import Source, Span

TEXT = """currency USD
route a { model "x" cost $1 retry 1 on timeout }
route b { model "y" cost $1 }
route c { model "z" cost $1 }
route d { model "w" cost $1 }
lane first { a -> b }
lane second { c }
plan base { fee $1 per month includes 1 one }
ceiling $9 per day
workflow w {
  outcome one { price $9 lanes first fallback d on timeout }
  outcome two { price $9 lanes second ceiling $1 per outcome when plan is base }
}
"""


@pytest.fixture(scope="module")
def subject() -> Subject:
    return subject_of([Source("a.policy", TEXT)])


def test_indexes(subject: Subject) -> None:
    assert subject.outcomes_of_lane == {"first": ("one",), "second": ("two",)}
    assert subject.lanes_of_route == {"a": ("first",), "b": ("first",), "c": ("second",), "d": ()}
    assert [rule.target for rule in subject.fallbacks_to["d"]] == ["d"]
    assert [rule.block.name for rule in subject.readers["plan"]] == ["two"]
    assert len(subject.every_rule) == 4
    assert sum(len(tuple(rules)) for rules in subject.rules_by_block.values()) == 4


def test_every_rule_is_found_as_it_is_written(subject: Subject) -> None:
    for rule in subject.every_rule:
        assert subject.node_of(rule).span.text == rule.ref.text
    assert subject.name_span("outcome", "two").text == "two"
    assert subject.step_span("first", 1).text == "b"


@pytest.mark.parametrize(
    ("kind", "name", "met"),
    [
        ("outcome", "one", "base one w first a b d"),
        ("outcome", "two", "base two w second c d"),
        ("lane", "first", "base one w first a b d"),
        ("route", "c", "base two w second c d"),
        ("route", "d", "base one two w first second a b c d"),
        ("workflow", "w", "base one two w first second a b c d"),
        ("plan", "base", "base one two w first second a b c d"),
    ],
)
def test_blocks_that_meet(subject: Subject, kind: str, name: str, met: str) -> None:
    assert {block.name for block in subject.meeting(BlockId(kind, name))} == {"", *met.split()}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("one\nXX\ntwo", "one\ntwo"),
        ("one\n  XX  \ntwo", "one\ntwo"),
        ("one\n  XX", "one\n"),
        ("XX\n", ""),
        ("one XX\ntwo", "one\ntwo"),
        ("one { XX }", "one { }"),
        ("one\n  XX  # why\ntwo", "one\n    # why\ntwo"),
        ("one\n  XX two", "one\n   two"),
        ("one\r\n  XX\r\ntwo", "one\r\ntwo"),
    ],
)
def test_what_goes_with_a_statement(text: str, left: str) -> None:
    source = Source("a.policy", text)
    span = whole_lines(Span(source, text.index("XX"), text.index("XX") + 2))
    assert text[: span.start] + text[span.end :] == left
