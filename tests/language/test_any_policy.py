"""Any set of statements in any order gives a policy or diagnostics, and the order of files says nothing."""

from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.language.diagnostics import Diagnostic, Severity
from policy_engine.language.source import Source
from policy_engine.policy import compile_sources
from tests.language.checking import compiled, shape
from tests.language.test_many_mistakes import MANY

PAGE = (Path(__file__).parent.parent / "data" / "page.policy").read_text(encoding="utf-8")


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_file_order_never_matters(order: tuple[int, ...]) -> None:
    parts = PAGE.split("\n\n")
    texts = ["\n\n".join(parts[:2]), "\n\n".join(parts[2:4]), "\n\n".join(parts[4:])]
    sources = [Source(f"{i}.policy", text) for i, text in enumerate(texts)]
    whole, _ = compile_sources(sources)
    mixed, found = compile_sources([sources[i] for i in order])
    assert found == ()
    assert whole is not None
    assert mixed is not None
    assert shape(mixed) == shape(whole)


STATEMENTS = [line.strip() for line in MANY.splitlines()] + [
    'route mini { model "m" }',
    'route tier2 { handoff "people"  limit 3 per day }',
    "lane standard { mini -> tier2 }",
    "plan base { fee $1 per month  includes 3 draft  overage $1 per draft }",
    "workflow support { outcome draft { price $1  lanes standard } }",
    "fact risk: low < medium < high",
    "fact region?: eu | us",
    "currency EUR",
    'timezone "UTC"',
    "fallback next on any",
    "ceiling $1 per customer per day alert at 80% as cap",
    "retry 1 unless risk is low",
    "fallback stop when spent > 50% of ceiling",
]
SETS = st.lists(st.lists(st.sampled_from(STATEMENTS), max_size=6).map("\n".join), min_size=1, max_size=4)


@given(SETS, st.randoms(use_true_random=False))
def test_any_files_in_any_order(texts: list[str], random: Random) -> None:
    sources = [Source(f"{i}.policy", text) for i, text in enumerate(texts)]
    shuffled = list(sources)
    random.shuffle(shuffled)
    policy, found = compile_sources(sources)
    again, found_again = compile_sources(shuffled)
    assert [str(item) for item in found] == [str(item) for item in found_again]
    assert (policy is None) == any(item.severity is Severity.ERROR for item in found)
    assert shape(policy) == shape(again)


def sound(found: Sequence[Diagnostic]) -> None:
    """Every diagnostic can be shown, and says what, where and what to do."""
    for item in found:
        assert 0 <= item.span.start <= item.span.end <= len(item.span.source.text)
        assert item.message
        assert item.hint
        assert "\n" not in item.message + item.hint
        assert item.code in str(item)


WORDS = sorted(
    set(PAGE.split()) | set(MANY.split()) | {
        "shadow", "unless", "not", "is", "in", "[low, high]", "+", "*", "-", "(", ")", "{", "}", "50% of", "count of",
        "per route", "per lane", "per attempt", "true", '"text"', "error x", "outcome x {", "lane y {", "pack z {",
        "on store failure allow within $1", "remaining", "estimate > $1", "tokens per day > 5", "0..1", "= 3", "?:",
    }
)  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join))
def test_word_soup_never_raises(text: str) -> None:
    _, found = compiled(text)
    sound(found)


BLOCKS = ["route x", "lane x", "plan x", "pack x", "workflow x", "outcome x"]
INSIDE = [*STATEMENTS, "mini -> tier2", "3 draft for $1", "margin at least 5%", "expires 3d", "accepted within 3h"]


@st.composite
def nested(draw: st.DrawFn) -> str:
    """Statements anywhere, in blocks of any kind inside blocks of any kind."""
    text = "\n".join(draw(st.lists(st.sampled_from(INSIDE), max_size=4)))
    for kind in draw(st.lists(st.sampled_from(BLOCKS), max_size=4)):
        beside = "\n".join(draw(st.lists(st.sampled_from(INSIDE), max_size=3)))
        text = f"{kind} {{\n{text}\n}}\n{beside}"
    return text


@given(nested())
def test_misplaced_statements_never_raise(text: str) -> None:
    _, found = compiled(text)
    sound(found)


OPERANDS = [
    "risk",
    "region",
    "urgent",
    "spent",
    "price",
    "failures",
    "elapsed",
    "lane",
    "plan",
    "error",
    "customer",
    "high",
    "eu",
    "nowhere",
    "true",
    "$5",
    "5",
    "0.5",
    "45%",
    "90s",
    '"text"',
    "remaining",
    "attempts",
]
METERS = ["spent per day", "count of standard per customer per day", "x per y"]
EXPRESSIONS = st.recursive(
    st.sampled_from([*OPERANDS, *METERS]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or", "+", "-", "*", "is", "is not", "<", ">="]), inner).map(
            lambda parts: f"({' '.join(parts)})"
        ),
        inner.map(lambda part: f"not ({part})"),
        inner.map(lambda part: f"-{part}"),
        inner.map(lambda part: f"50% of {part}"),
        st.tuples(inner, st.sampled_from(["low", "eu", "5", '"x"', "true"])).map(lambda p: f"{p[0]} in [{p[1]}]"),
    ),
    max_leaves=8,
)


@given(EXPRESSIONS, st.sampled_from(["forbid", "retry 1", "fallback next", "ceiling 3 attempts per outcome"]))
def test_any_condition_is_checked(expression: str, rule: str) -> None:
    world = "fact risk: low < high\nfact region?: eu | us\nfact urgent: boolean\ncurrency USD\n"
    policy, found = compiled(f"{world}{rule} when {expression}")
    sound(found)
    assert (policy is None) == any(item.severity is Severity.ERROR for item in found)
