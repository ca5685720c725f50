"""What a scalar of a test file means, and where it stands: none of YAML's surprises."""

from decimal import Decimal

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.language.source import Source
from policy_engine.testing import nodes
from policy_engine.testing.nodes import compose
from tests.generators.settings import examples


def plain(text: str) -> object:
    root, found = compose(Source("t.yaml", text))
    assert root is not None, found
    assert not found
    return root.plain()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("true", True),
        ("false", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("0", 0),
        ("0.5", 0.5),
        ("-0.25", -0.25),
        # and the rest is text, whatever YAML 1.1 would make of it
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("True", "True"),
        ("NULL", "NULL"),
        ("1e3", "1e3"),
        ("1.5e3", "1.5e3"),
        ("010", "010"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        (".5", ".5"),
        ("5.", "5."),
        ("+5", "+5"),
        (".inf", ".inf"),
        ("2026-03-01", "2026-03-01"),
        ("$0.30", "$0.30"),
        ("90s", "90s"),
        ("=", "="),
        ('"12"', "12"),
        ("'true'", "true"),
        ("'~'", "~"),
        ("٣", "٣"),  # a digit, but none of ours
    ],
)
def test_plain_scalars_mean_what_they_look_like(written: str, meant: object) -> None:
    value = plain(f"key: {written}\n")
    assert value == {"key": meant}
    assert type(value["key"]) is type(meant)


@pytest.mark.parametrize("key", ["no", "on", "12", "true", "~", "=>"])
def test_a_key_is_the_text_that_was_written(key: str) -> None:
    assert plain(f"{key}: 1\n") == {key: 1}


def test_a_number_is_exact() -> None:
    assert plain("[0.1, 123456789.123456789123]") == [0.1, Decimal("123456789.123456789123")]


def test_both_parsers_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: [1, {b: é😀 c}]\nd:\n  - e: 'x'\n    f: |\n      two\n      lines\n"
    with_c = compose(Source("t", text))[0]
    monkeypatch.setattr(nodes, "_LOADER", yaml.BaseLoader)
    without = compose(Source("t", text))[0]
    assert with_c is not None
    assert without is not None
    assert with_c.plain() == without.plain()
    for path in [("a", 0), ("a", 1, "b"), ("d", 0, "e"), ("d", 0, "f")]:
        assert (with_c.at(path).span.start, with_c.at(path).span.text) == (
            without.at(path).span.start,
            without.at(path).span.text,
        )


def test_places_count_characters() -> None:
    root, _ = compose(Source("t", 'é😀: "ä"\nkey: [one, two]\n'))
    assert root is not None
    assert root.at(("key", 1)).span.text == "two"
    assert root.at(("key",)).span.text == "[one, two]"
    assert root.at(("key",)).named.text == "key"
    assert root.at(("é😀",)).span.text == '"ä"'


@examples(200)
@given(st.text(max_size=60))
def test_any_text_has_nodes_or_a_mistake_in_it(text: str) -> None:
    source = Source("t", text)
    root, found = compose(source)
    for item in found:
        assert 0 <= item.span.start <= len(text)
        str(item)
    if root is not None and not found:
        root.plain()


@examples(200)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text("ab: -#[]{},\"'\n\t~", max_size=8),
        st.lists,
    )
)
def test_what_yaml_writes_is_read_again(value: object) -> None:
    assert plain(yaml.safe_dump({"key": value}, default_style='"' if isinstance(value, str) else None)) == {
        "key": value
    }


@pytest.mark.parametrize("text", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "&a [*a]", "a: " + "x" * 100_000])
def test_no_text_is_too_much(text: str) -> None:
    compose(Source("t", text))


def test_a_file_has_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "MAX_CHARACTERS", 10)
    root, found = compose(Source("t", "a: 12345678"))
    assert root is None
    assert [item.code for item in found] == ["T007"]
