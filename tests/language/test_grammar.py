"""The grammar as a text: no hidden conflict, and the same words as the vocabulary."""

import re

import pytest
from lark import Lark

from policy_engine.language.parser import grammar_path
from policy_engine.language.vocabulary import BLOCK_KINDS, BUILTINS, FILE, PLACEMENT, RESERVED, STATEMENTS


@pytest.fixture(scope="module")
def lark() -> Lark:
    return Lark(grammar_path().read_text(encoding="utf-8"), parser="lalr", lexer="basic", strict=True)


def types_of(lark: Lark, text: str) -> list[str]:
    """The token types of a text; not by `lark.lex`, which builds its lexer anew in every call."""
    return [token.type for token in lark.parse_interactive(text).lexer_thread.lex(None)]  # type: ignore[no-untyped-call]


def test_the_grammar_has_no_conflict_and_no_two_terminals_that_collide(lark: Lark) -> None:
    """Strict mode raises for both; this also shows that it read the grammar at all."""
    assert {"NAME", "MONEY"} <= {terminal.name for terminal in lark.terminals}


def test_reserved_words_are_the_keywords_of_the_grammar(lark: Lark) -> None:
    keywords = {
        terminal.pattern.value
        for terminal in lark.terminals
        if terminal.pattern.type == "str" and terminal.pattern.value.isalpha()
    }
    # `by` is kept free for later; `true` and `false` are values, `on store failure` is one token.
    assert keywords | {"by"} == RESERVED


def test_reserved_words_are_those_that_a_name_excludes() -> None:
    excluded = re.search(r"^NAME: /\(\?!\(\?:([a-z|]+)\)", grammar_path().read_text(encoding="utf-8"), re.MULTILINE)
    assert excluded is not None
    assert set(excluded[1].split("|")) == RESERVED


@pytest.mark.parametrize("word", sorted(RESERVED - {"by"}))
def test_a_reserved_word_is_no_name_but_may_begin_or_end_one(lark: Lark, word: str) -> None:
    assert types_of(lark, word) == [word.upper()]
    for longer in (word + "s_", "x" + word, word + "1", word.upper() + "_"):
        assert types_of(lark, longer) == ["NAME"], longer


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("0..1", ["NUMBER", "RANGE", "NUMBER"]),
        ("250ms..4s", ["DURATION", "RANGE", "DURATION"]),
        ("0.30 CHF", ["MONEY"]),
        ("0.30 chf", ["NUMBER", "NAME"]),
        ("$2k", ["MONEY"]),
        ("1.5M", ["NUMBER"]),
        ("15min", ["DURATION"]),
        ("15m", None),
        ("72hours", None),
        ("1.5x", None),
        ("1.2.3", None),
        ("80%5", None),
        ("a->b", ["NAME", "ARROW", "NAME"]),
        ("<=", ["LESS_EQUAL"]),
        ("on store failure", ["ON_STORE_FAILURE"]),
        ("on store failures", ["ON", "NAME", "NAME"]),
        ('"a \\" # b"', ["STRING"]),
        ('"a\nb"', None),
        ("a#b\rc", ["NAME", "NAME"]),
    ],
)
def test_tokens(lark: Lark, text: str, types: list[str] | None) -> None:
    if types is None:
        with pytest.raises(Exception, match="No terminal matches"):
            types_of(lark, text)
    else:
        assert types_of(lark, text) == types


def test_every_statement_word_has_its_place() -> None:
    assert set(STATEMENTS) - {"shadow"} == set(PLACEMENT) - {"on store failure"}
    assert set().union(*PLACEMENT.values()) == {FILE, *BLOCK_KINDS}
    assert {"plan", "workflow", "outcome", "lane", "route", "price", "ceiling", "error"} == set(BUILTINS) & RESERVED
