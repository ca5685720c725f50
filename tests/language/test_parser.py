"""Reading a policy: what parses, what is said about what does not, and that nothing ever raises."""

import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from policy_engine.language import parser, recovery
from policy_engine.language import syntax as s
from policy_engine.language.builder import MAX_NESTING
from policy_engine.language.diagnostics import Diagnostic
from policy_engine.language.encoding import decode
from policy_engine.language.parser import MAX_CHARACTERS, MAX_STATEMENTS, parse
from policy_engine.language.printer import statement_text
from policy_engine.language.recovery import MAX_DIAGNOSTICS
from policy_engine.language.source import Source

PAGE = (Path(__file__).resolve().parent.parent / "data" / "page.policy").read_text(encoding="utf-8")


def read(text: str) -> tuple[s.File, tuple[Diagnostic, ...]]:
    return parse(Source("test.policy", text))


def said(text: str) -> list[tuple[str, str]]:
    """Each diagnostic's code and the text it underlines."""
    return [(item.code, item.span.text) for item in read(text)[1]]


def stands(text: str) -> list[str]:
    return [statement_text(item) for item in read(text)[0].items]


def test_the_page_has_no_mistake() -> None:
    file, found = read(PAGE)
    assert found == ()
    assert len(file.items) == 20
    assert len(file.comments) == PAGE.count("#")


def test_the_second_reading_gives_the_same_tree_as_the_first() -> None:
    """Recovery is a parser of its own; on a text without mistakes it must agree with the fast one."""
    source = Source("test.policy", PAGE)
    _, builder = parser._parser()
    outcome = recovery.read(source, builder, lambda: parser._begin(source))
    assert outcome.diagnostics == []
    assert outcome.file == parse(source)[0]


@pytest.mark.parametrize(
    ("text", "code", "underlined"),
    [
        # signs and words of other languages
        ("allow when a = b", "P112", "="),
        ("allow when a == b", "P112", "=="),
        ("allow when a != b", "P113", "!="),
        ("allow when a !== b", "P113", "!=="),
        ("allow when a ≠ b", "P113", "≠"),
        ("allow when a & b", "P113", "&"),
        ("allow when a && b", "P113", "&&"),
        ("allow when a || b", "P113", "||"),
        ("allow when !a", "P113", "!"),
        ("allow when a => 3", "P113", "=>"),
        ("allow when a ≤ 3", "P114", "≤"),
        ("lane a { b → c }", "P114", "→"),
        ("retry 1 // why", "P107", "// why"),
        ("/* a\nb */ retry 1", "P107", "/* a\nb */"),
        ("retry 1;", "P108", ";"),
        ("retry 1,\nretry 2", "P108", ","),
        ("timezone 'UTC'", "P106", "'UTC'"),
        ("timezone “UTC”", "P106", "“UTC”"),
        ("timezone «UTC»", "P106", "«UTC»"),
        ('timezone "UTC\nretry 1', "P104", '"UTC'),
        ('workflow a "b {\nretry 1\n}', "P104", '"b'),
        ('timezone "a\\nb"', "P105", "\\n"),
        ('timezone "a\\\\\\tb"', "P105", "\\t"),
        ("retry 1 \u200b on timeout", "P109", "\u200b"),
        ("retry\u00a01", "P109", "\u00a0"),
        ("retry 1 ~ on timeout", "P110", "~"),
        ("allow when a AND b", "P138", "AND"),
        ("Retry 1", "P138", "Retry"),
        # numbers
        ("price $.30", "P115", "$.30"),
        ("allow when a < .5", "P115", ".5"),
        ("accepted within .5h", "P115", ".5h"),
        ("fee $1,490 per month", "P116", "$1,490"),
        ("limit 1,000,000 per day", "P116", "1,000,000"),
        ("allow when a < 0,5", "P116", "0,5"),
        ("accepted within 72hours", "P117", "72hours"),
        ("accepted within 5m", "P117", "5m"),
        ("ceiling $5x per day", "P117", "$5x"),
        ("ceiling $5m per day", "P117", "$5m"),
        ("ceiling $.5x per day", "P117", "$.5x"),
        ("expires 90dayz", "P117", "90dayz"),
        ("limit ½ per day", "P123", "½"),
        ("limit ² per day", "P123", "²"),
        ("limit 1e6 per day", "P117", "1e6"),
        ("limit 1.2.3 per day", "P117", "1.2.3"),
        ("accepted within 72 hours", "P120", "72 hours"),
        ("accepted within 72 h", "P120", "72 h"),
        ("margin at least 45 %", "P120", "45 %"),
        ("price $ 5", "P120", "$ 5"),
        ("price 5€", "P121", "5€"),
        ("margin at least %", "P122", "%"),
        ("price $", "P122", "$"),
        # names
        ("fact größe: integer", "P123", "größe"),
        ("fact élan: integer", "P123", "élan"),
        ("workflow limit { }", "P135", "limit"),
        ("workflow when { }", "P135", "when"),
        ("workflow by { }", "P135", "by"),
        ("fact price: money", "P135", "price"),
        ("lane a { mini -> fallback }", "P135", "fallback"),
        # statements
        ("celing $3 per day", "P136", "celing"),
        ("retry 1 celing $3 per day", "P136", "celing"),
        ("lane a { alow when b }", "P136", "alow"),
        ("budget $3", "P136", "budget"),
        ("retry 1 whn a", "P137", "whn"),
        ("retry 1 if a", "P137", "if"),
        ("if a then retry 1", "P141", "if"),
        ("retry 1 else retry 2", "P141", "else"),
        ("retry", "P134", "retry"),
        ("retry\nallow", "P134", "retry"),
        ("workflow a { retry }", "P134", "retry"),
        ("workflow a", "P134", "a"),
        ("retry two", "P149", "two"),
        ("price: $3", "P147", ":"),
        ("price = $3", "P147", "="),
        ('route a { model gpt-4o }', "P146", "gpt-4o"),
        ("timezone Europe/Berlin", "P146", "Europe/Berlin"),
        ("workflow a customer support { }", "P146", "customer support"),
        # conditions
        ("allow when 1 < x < 3", "P139", "<"),
        ("allow when a is b is c", "P139", "is"),
        ("allow when not not a", "P140", "not not"),
        ("allow when a in []", "P144", "[]"),
        ("allow when a in b", "P145", "b"),
        ("allow when a in (b, c)", "P145", "("),
        ("allow when (a or b", "P148", "("),
        ("allow when (a or b\nretry 1", "P148", "("),
        ("allow when a in [b, c\nretry 1", "P148", "["),
        ("allow when (a or b as c", "P148", "("),
        ("allow when (a in [b) and c", "P148", "["),
        ("lanes a,] b", "P149", "]"),
        ("allow when a and", "P133", "and"),
        ("allow when a and\nceiling $3 per day", "P133", "and"),
        ("allow when a and\nprice $3", "P133", "and"),
        ("allow when a is\noutcome b { }", "P133", "is"),
        ("allow when a <\nlane b { c }", "P133", "<"),
        ("lanes a,\nprice $3", "P133", ","),
        ("workflow a { retry 1 on }", "P133", "on"),
        ("allow when a in [b, c,]", "P133", ","),
        # blocks
        ("workflow a {\n  retry 1\n", "P130", "workflow a {"),
        ("retry 1 }", "P131", "}"),
        ("retry 1 }}}", "P131", "}"),
        ("workflow a\n  retry 1\n}", "P132", "workflow a"),
        ('route a model "b" }', "P132", "route a"),
        ("lane a b -> c }", "P132", "lane a"),
        ("lane a { b, c }", "P142", ","),
        ("lane a { b > c }", "P142", ">"),
        ("lane a { b => c }", "P142", "=>"),
        ("lane a { b c }", "P143", "c"),
        # lists
        ("retry 1 on timeout rate_limit", "P150", "rate_limit"),
        ("fallback stop on timeout over_ceiling when a", "P150", "over_ceiling"),
        ("lanes premium standard", "P150", "standard"),
        ("allow when a in [b c]", "P150", "c"),
        ("allow when a in [b,\n  c\n  d]", "P150", "d"),
        ('allow when a in ["b" "c"]', "P150", '"c"'),
        # soft words and tails
        ("margin at most 3%", "P118", "most"),
        ("retry 1 when a on timeout", "P111", "on timeout"),
        ("allow when a unless b", "P119", "unless b"),
    ],
)  # fmt: skip
def test_slips(text: str, code: str, underlined: str) -> None:
    """One mistake, one diagnostic, on the words that are wrong."""
    assert said(text) == [(code, underlined)]


@pytest.mark.parametrize(
    ("text", "read_as"),
    [
        ("price $.30", "price $0.30"),
        ("accepted within 72 hours", "accepted within 72h"),
        ("accepted within 5m", "accepted within 5min"),
        ("allow when a = b && c", "allow when a is b and c"),
        ("allow when a != b || !c", "allow when a is not b or not c"),
        ("allow when a => 3", "allow when a >= 3"),
        ("timezone 'a \"b\"'", 'timezone "a \\"b\\""'),
        ("celing $3 per day", "ceiling $3 per day"),
        ("price: $3", "price $3"),
        ("workflow a customer support { }", 'workflow a "customer support"'),
        ("route a { model b }", "route a"),
        ("price 5 €", "price €5"),
        ("retry 1 on timeout rate_limit", "retry 1 on timeout, rate_limit"),
        ("allow when a in [b c, d]", "allow when a in [b, c, d]"),
    ],
)
def test_what_was_plainly_meant_is_read(text: str, read_as: str) -> None:
    assert read(text)[1] != ()
    assert stands(text) == [read_as]


@pytest.mark.parametrize(
    "text",
    [
        "fee $1,490 per month",
        "allow when not not a",
        "allow when a in []",
        "retry two on timeout",
        "allow when a and\nworkflow b { }",
        'workflow "customer support" { outcome a { price $1 } }',
    ],
)
def test_what_is_in_doubt_is_not_read(text: str) -> None:
    assert [item for item in stands(text) if not item.startswith("workflow b")] == []


def test_several_mistakes_in_one_run() -> None:
    text = """celing $3 per day
retry two
workflow support customer support {
  outcome draft {
    price: $.30
    lanes a; b
    allow when x = y and
    ceiling $1,000 per day
    retry 1 when (z
  }
}
fact größe integer
"""
    assert [code for code, _ in said(text)] == [
        "P136", "P149", "P146", "P147", "P115", "P108", "P112", "P133", "P116", "P148", "P123",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "count", "kept"),
    [
        ("retry two on timeout when plan is base and\n  lane is a or (price < $3)\nretry 3", 1, ["retry 3"]),
        ("forbid when risk § high and\n  lane is standard\n  or plan in [a, b]\nretry 3", 1, ["retry 3"]),
        ("foo bar { retry x { } ceiling }\nretry 3", 1, ["retry 3"]),
        ("workflow 3 { retry 1 outcome a { price $1 } }\nretry 3", 1, ["retry 3"]),
        ("lane a b c d { mini }\nretry 3", 1, ['lane a "b c d"', "retry 3"]),
        ("route a { model 3  ceiling $1 per attempt }\nretry 3", 1, ["route a", "retry 3"]),
        ("fact risk low < medium < high\nretry 3", 1, ["retry 3"]),
        ("fact : low < medium < high\nretry 3", 1, ["retry 3"]),
        ("includes 300 a 200 b\nretry 3", 1, ["retry 3"]),
        ("ceiling 5 5 5 5 5 per day\nretry 3", 1, ["retry 3"]),
        ("allow when ((((a)\nretry 3", 1, None),
        ("allow when a))))\nretry 3", 1, ["retry 3"]),
        ("retry 1 \u2028\u2028 on \u2028 timeout", 2, ["retry 1 on timeout"]),
    ],
)
def test_one_mistake_is_one_diagnostic(text: str, count: int, kept: list[str] | None) -> None:
    file, found = read(text)
    assert len(found) == count, [str(item) for item in found]
    assert kept is None or [statement_text(item) for item in file.items] == kept


def test_a_missing_brace_is_blamed_on_its_block_and_closed_by_the_indentation() -> None:
    text = PAGE.replace("  limit  50 per customer per month\n}\n", "  limit  50 per customer per month\n")
    file, found = read(text)
    assert [(item.code, item.span.text.split()[:2]) for item in found] == [("P130", ["lane", "premium"])]
    assert file.items == read(PAGE)[0].items


TOKENS = re.findall(r'"[^"]*"|->|\.\.|<=|>=|[$\w.%]+(?<!\.)|[^\w\s]|\s+', re.sub(" *#.*", "", PAGE))


def test_a_word_left_out_or_doubled_gives_one_or_two_diagnostics() -> None:
    """Over every word of the page: no cascade."""
    assert "".join(TOKENS) == re.sub(" *#.*", "", PAGE)
    counts = []
    for index in range(0, len(TOKENS), 5):
        without = "".join(TOKENS[:index] + TOKENS[index + 1 :])
        twice = "".join([*TOKENS[: index + 1], " ", *TOKENS[index:]])
        counts += [len(read(text)[1]) for text in (without, twice)]
    assert max(counts) <= 2
    assert counts.count(2) <= len(counts) // 20


# ---------------------------------------------------------------- any text at all

LANGUAGE = [
    *sorted({token for token in TOKENS if not token.isspace()}),
    "=", "==", "&&", "||", "!", "!=", "$.30", "$1,490", "72hours", '"', "'", "“", "//", "/*", "*/", ";", "\\", "%", "$",
    "\0", "\ufeff", "\u2028", "\u00a0", "\r", "\r\n", "\t", "\n", "\n", "é", "½", "²", "٣", "\ud800", "\U0001f600",
    "if", "AND", "not not", "by", "1.5x", "5 €", "# c\n", "#", "on store failure", "true", "@", "9" * 40, "x" * 120,
]  # fmt: skip

any_text = st.text(st.characters(codec=None), max_size=80)
any_words = st.lists(st.one_of(st.sampled_from(LANGUAGE), st.sampled_from([" ", "\n", "  "])), max_size=60).map(
    " ".join
)


def mutated(edits: list[tuple[int, int, str]]) -> str:
    words = list(TOKENS)
    for place, kind, word in edits:
        at = place % len(words)
        words[at : at + (kind > 0)] = [] if kind == 1 else [word]
    return "".join(words)


mutated_page = st.lists(
    st.tuples(st.integers(0, 2000), st.integers(0, 2), st.sampled_from(LANGUAGE)), min_size=1, max_size=5
).map(mutated)


def check_reading(text: str) -> None:
    file, found = read(text)
    for item in found:
        assert 0 <= item.span.start <= item.span.end <= len(text)
        assert re.fullmatch(r"[^\n]+", item.message)
        assert re.fullmatch(r"[^\n]+", item.hint)
        assert item.message[-1] not in ".!"
        assert "^" in str(item)
    assert len(found) <= MAX_DIAGNOSTICS + 1
    assert all(0 <= item.span.start < item.span.end <= len(text) for item in file.items)


@settings(max_examples=200, deadline=None)
@given(any_text)
@example("\ufeff")
@example("\ud800")
@example('"' * 7)
@example('timezone "\\')
@example("fact a: number 1..\n")
@example("on store failure")
def test_any_text_gives_an_answer(text: str) -> None:
    check_reading(text)


@settings(max_examples=200, deadline=None)
@given(any_words)
def test_any_words_of_the_language_give_an_answer(text: str) -> None:
    check_reading(text)


@settings(max_examples=100, deadline=None)
@given(mutated_page)
def test_any_mutation_of_the_page_gives_an_answer(text: str) -> None:
    check_reading(text)


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("allow when " + "(" * MAX_NESTING + "a" + ")" * MAX_NESTING, []),
        ("allow when " + "(" * (MAX_NESTING + 1) + "a" + ")" * (MAX_NESTING + 1), ["P301"]),
        ("allow when " + "(" * 100_000, ["P301"]),
        ("workflow a {" * 50_000, ["P301"]),
        ("#" * MAX_CHARACTERS, []),
        ("#" * (MAX_CHARACTERS + 1), ["P302"]),
        ("a" * 5_000_000, ["P302"]),
        ("retry 1 " * MAX_STATEMENTS, []),
        ("retry 1 " * (MAX_STATEMENTS + 1), ["P303"]),
        ("workflow a { retry 1 } " * (MAX_STATEMENTS // 2 + 1), ["P303"]),
        ("retry two\n" * MAX_DIAGNOSTICS, ["P149"] * MAX_DIAGNOSTICS),
        ("retry two\n" * 20_000, ["P149"] * MAX_DIAGNOSTICS + ["P304"]),
        ("margin at most 3%\n" * 200, ["P118"] * MAX_DIAGNOSTICS + ["P304"]),
        ("retry " + "1" * 30, []),
        ("retry " + "1" * 31, ["P305"]),
        ("retry " + "1" * 500_000, ["P305"]),
        ("ceiling 0." + "1" * 29 + " " * 100 + "CHF per day", []),
        ("error " + "a" * 100, []),
        ("error " + "a" * 101, ["P306"]),
        ("allow when x" + " " * 1_000_000 + "y", ["P149"]),
        ('timezone "' + "x" * 500_000 + '"', []),
        ("@ " * 300_000, ["P110"]),
        ("}" * 50_000, ["P131"]),
        ("\0" * 300_000, ["P103"]),
    ],
    ids=range(24),
)
def test_limits(text: str, codes: list[str]) -> None:
    assert [code for code, _ in said(text)] == codes


def test_a_reading_that_was_cut_keeps_what_stood_before() -> None:
    text = "retry 1\nworkflow a { retry 2 }\nallow when " + "(" * 100
    assert stands(text) == ["retry 1", "workflow a"]


# ---------------------------------------------------------------- bytes


@pytest.mark.parametrize(
    ("data", "text", "code", "underlined"),
    [
        (b"retry 1", "retry 1", None, ""),
        (b"\xef\xbb\xbfretry 1", "retry 1", None, ""),
        ("# ä".encode(), "# ä", None, ""),
        (b"", "", None, ""),
        ("# ä\nx".encode("latin-1"), "# \ufffd\nx", "P101", "\ufffd"),
        (b"# \xc3\xa4\n\xff", "# ä\n\ufffd", "P101", "\ufffd"),
        ("retry 1\nretry 2".encode("utf-16"), "retry 1\nretry 2", "P102", "retry 1"),
        (b"\xfe\xff\x00a", "a", "P102", "a"),
        (b"\xff\xfe", "", "P102", ""),
        (b"\xff\xfea", "\ufffd", "P102", "\ufffd"),
    ],
)
def test_decode(data: bytes, text: str, code: str | None, underlined: str) -> None:
    source, found = decode(data, "test.policy")
    assert source.text == text
    assert [(item.code, item.span.text) for item in found] == ([(code, underlined)] if code else [])
    assert all("^" in str(item) for item in found)


@given(st.binary(max_size=60))
def test_any_bytes_give_an_answer(data: bytes) -> None:
    source, found = decode(data, "test.policy")
    assert all(str(item) for item in found)
    check_reading(source.text)
