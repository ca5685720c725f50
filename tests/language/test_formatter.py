"""Canonical text: what it looks like, and that it says the same."""

import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy_engine.language.formatter import format_file, statement_text
from policy_engine.language.parser import parse
from policy_engine.language.source import Source
from policy_engine.language.syntax import File

PAGE = (Path(__file__).resolve().parent.parent / "data" / "page.policy").read_text(encoding="utf-8")


def read(text: str) -> File:
    file, found = parse(Source("test.policy", text))
    assert found == (), [str(item) for item in found]
    return file


def formatted(text: str) -> str:
    return format_file(read(text))


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("", ""),
        ("\n\n", ""),
        ("# only a comment", "# only a comment\n"),
        ("# a\n\n\n\n# b  \n", "# a\n\n# b\n"),
        ("retry 2", "retry 2\n"),
        ("retry\n2   on\ttimeout ,\nrate_limit", "retry 2 on timeout, rate_limit\n"),
        ("retry 2 backoff 250ms .. 4s", "retry 2 backoff 250ms..4s\n"),
        ("retry 1 retry 2", "retry 1\nretry 2\n"),
        ("retry 1\n\n\n\nretry 2", "retry 1\n\nretry 2\n"),
        ("retry 1 # why", "retry 1  # why\n"),
        ("retry # why\n 1 # so", "# why\nretry 1  # so\n"),
        ("retry 1\n# why\nretry 2", "retry 1\n# why\nretry 2\n"),
        ("retry 1 #a\r\nretry 2 #b\rretry 3", "retry 1  #a\nretry 2  #b\nretry 3\n"),
        ("\ufeffretry 1", "retry 1\n"),
        ("workflow a{}", "workflow a {}\n"),
        ("workflow a{\n}", "workflow a {\n}\n"),
        ("workflow a{ # in\n}", "workflow a {  # in\n}\n"),
        ("workflow a # head\n{\n# last\n} # end", "# head\nworkflow a {\n  # last\n}  # end\n"),
        ("lane a{b->c}", "lane a { b -> c }\n"),
        ("lane a{\nb->c}", "lane a {\n  b -> c\n}\n"),
        ("lane a{b->c retry 1}", "lane a {\n  b -> c\n  retry 1\n}\n"),
        ("workflow a{outcome b{price $1}}", "workflow a { outcome b { price $1 } }\n"),
        ("workflow a{outcome b{price $1 lanes c}}", "workflow a {\n  outcome b {\n    price $1\n    lanes c\n  }\n}\n"),
        ("retry 1\nlane a{b retry 2}\nretry 3", "retry 1\n\nlane a {\n  b\n  retry 2\n}\n\nretry 3\n"),
        ("retry 1\n# of a\nlane a{b retry 2}\n# z", "retry 1\n\n# of a\nlane a {\n  b\n  retry 2\n}\n\n# z\n"),
        ("pack a{100 b for $65\nexpires 90d}", "pack a {\n  100 b for $65\n  expires 90d\n}\n"),
        ("workflow a {\n\n retry 1\n\n}", "workflow a {\n  retry 1\n}\n"),
        ("fact a : number 0 .. 1 = 0.50", "fact a: number 0..1 = 0.50\n"),
        ("fact a ? : number -1..-0.5", "fact a?: number -1..-0.5\n"),
        ("fact a: low<high=low", "fact a: low < high = low\n"),
        ("fact a: eu|us", "fact a: eu | us\n"),
        ("ceiling 0.30  CHF per day", "ceiling 0.30 CHF per day\n"),
        ("ceiling 40%  of price per outcome", "ceiling 40% of price per outcome\n"),
        ("shadow  ceiling 200k tokens per step as x", "shadow ceiling 200k tokens per step as x\n"),
        ("on  store\nfailure deny", "on store failure deny\n"),
        ("on store failure allow within $5", "on store failure allow within $5\n"),
        ('timezone "a \\"b\\" \\\\"', 'timezone "a \\"b\\" \\\\"\n'),
        ("overage $1 per a,$2 per b up to $5 per month", "overage $1 per a, $2 per b up to $5 per month\n"),
        ("accepted within 72h else expired", "accepted within 72h else expired\n"),
        (
            "allow when not(a or b)and c in[d,\"e\"]and f not in[g]and -h+2*i-50% of j<k and l is not m",
            'allow when not (a or b) and c in [d, "e"] and f not in [g] and -h + 2 * i - 50% of j < k and l is not m\n',
        ),
        (
            "forbid unless spent of a per customer per day>$3 alert at 50%,80% as big",
            "forbid unless spent of a per customer per day > $3 alert at 50%, 80% as big\n",
        ),
    ],
)  # fmt: skip
def test_canonical(written: str, canonical: str) -> None:
    assert formatted(written) == canonical
    assert formatted(canonical) == canonical
    assert read(canonical) == read(written)


def test_the_page_says_the_same_when_formatted() -> None:
    once = formatted(PAGE)
    assert read(once) == read(PAGE)
    assert formatted(once) == once
    assert "  # first eligible wins\n" in once


def test_a_node_prints_as_it_would_in_a_file() -> None:
    page = read(PAGE)
    printed = [statement_text(item) for item in page.items]
    assert "ceiling $2000 per day alert at 80%" in printed
    assert 'workflow support "customer support"' in printed
    assert all("\n" not in text for text in printed)


GAPS = st.sampled_from([" ", "  ", "\n", "\r\n", "\r", "\n\n\n", "\t", " # a\n", "\n# b\n", "\n\n # c\r\n\n", " #\r"])
WORDS = re.findall(r'"[^"]*"|[^\s"]+', re.sub("#.*", "", PAGE))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(WORDS)), st.integers(0, len(WORDS)), st.lists(GAPS, min_size=8, max_size=40), st.randoms())
def test_layout_never_changes_what_is_said(start: int, stop: int, gaps: list[str], order: random.Random) -> None:
    """Any run of statements of the page with any blanks and comments between its words."""
    words = WORDS if start >= stop else WORDS[start:stop]
    text = "".join(word + order.choice(gaps) for word in words)
    file, found = parse(Source("test.policy", text))
    if found:  # the run began or ended inside a statement; the whole page stands for it
        file = read("".join(word + order.choice(gaps) for word in WORDS))
    once = format_file(file)
    again = read(once)
    assert again == file
    assert format_file(again) == once
    assert once.endswith("\n")
    assert not re.search(r"[ \t]\n|\n\n\n|\A\n|\n\n\Z", once)


_NAME = st.sampled_from(["a", "risk", "spent", "price", "plan", "ceiling"])
_VALUE = st.one_of(_NAME, st.sampled_from(["1", "2.50", "$3", "0.30 CHF", "45%", "72h", '"te\\"xt"', "true"]))


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(inner, st.sampled_from(["and", "or", "<", ">=", "is", "is not", "+", "-", "*"]), inner)
    return st.one_of(
        pairs.map(" ".join),
        inner.map("({})".format),
        inner.map("not {}".format),
        inner.map("-{}".format),
        inner.map("50% of {}".format),
        st.tuples(inner, st.lists(_VALUE, min_size=1, max_size=3)).map(lambda p: f"{p[0]} not in [{', '.join(p[1])}]"),
    )


@settings(max_examples=150, deadline=None)
@given(st.recursive(_VALUE, _grow, max_leaves=12))
def test_conditions_keep_their_grouping(condition: str) -> None:
    file, found = parse(Source("test.policy", f"allow when {condition}"))
    if found:  # `a < b < c` and the like; in parentheses all of it stands
        return
    once = format_file(file)
    assert read(once) == file
    assert format_file(read(once)) == once
