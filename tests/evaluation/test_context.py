"""The boundary: what callers give, validated once."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

import policy_engine
from policy_engine import FactError
from policy_engine.evaluation.facts import MISSING, AdmitFacts, AttemptFacts, FailureFacts, ProgressFacts, Reading
from policy_engine.language.checked import ATTEMPTS, SPENT, TOKENS
from tests.building import admission, entries, policy

TYPES = """
currency EUR
fact amount: money €0..€10
fact share: percent 0%..50%
fact tally: integer -5..5
fact score: number 0..1
fact wait: duration 0s..1h
fact vip: boolean
fact region: eu | us
fact who: text
fact maybe?: boolean
fact tier: a < b = b
fact copy: text = "x"
fact model_config: integer = 3
fact late: duration = 90s
fact rebate: money = €1.50
route r { tool "t" cost €1 }
lane l { r }
workflow w { outcome o { price €2 lanes l } }
"""


def given(**facts: Any) -> Any:
    return policy_engine.load(TYPES).boundary.given_facts(facts)


@pytest.mark.parametrize(
    ("name", "value", "internal"),
    [
        ("amount", "€1.50", 1_500_000_000),
        ("amount", "1.50 EUR", 1_500_000_000),
        ("amount", Decimal("1.5"), 1_500_000_000),
        ("amount", 1.1, 1_100_000_000),  # a float through its repr
        ("amount", 10, 10_000_000_000),
        ("share", "45%", 45.0),
        ("share", 45, 45.0),
        ("tally", -5, -5),
        ("score", 0.5, 0.5),
        ("score", "0.5", 0.5),
        ("score", Decimal("0.25"), 0.25),
        ("wait", "90s", 90_000_000),
        ("wait", 1.5, 1_500_000),
        ("wait", timedelta(minutes=1), 60_000_000),
        ("vip", True, True),
        ("region", "eu", "eu"),
        ("who", "", ""),
        ("maybe", None, None),
    ],
)
def test_values(name: str, value: Any, internal: Any) -> None:
    record = given(**{name: value})
    assert getattr(record, name) == internal
    assert type(getattr(record, name)) is type(internal)


def test_what_is_left_out() -> None:
    record = given()
    assert record.amount is MISSING  # required: reading it is bad input
    assert record.maybe is None  # optional: not known
    defaults = (record.tier, record.copy, record.model_config, record.late, record.rebate)
    assert defaults == ("b", "x", 3, 90_000_000, 1_500_000_000)
    assert given(tier=None).tier == "b"
    assert given(vip=None).vip is MISSING


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("amount", "$1", "`$1` is not in EUR"),
        ("amount", "1 USD", "is not in EUR"),
        ("amount", "lots", "is not a number"),
        ("amount", "0.0000000001", "finer than a billionth"),
        ("amount", 10.01, "`10.01` is outside €0..€10"),
        ("amount", True, "is not an amount of money"),
        ("amount", [1], "is not an amount of money"),
        ("amount", float("nan"), "not a finite number"),
        ("amount", "1e400", "more than any amount"),
        ("amount", "1e999999999", "more than any amount"),
        ("amount", "-1e999999999", "more than any amount"),
        ("amount", "1e-999999999", "finer than any amount"),
        ("score", "1e999999999", "more than any amount"),
        ("score", "1e-999999999", "finer than any amount"),
        ("wait", Decimal("1e999999999"), "more than any amount"),
        ("share", "51%", "`51%` is outside 0%..50%"),
        ("tally", 6, "`6` is outside -5..5"),
        ("tally", 1.0, "is not a whole number"),
        ("tally", "1", "is not a whole number"),
        ("tally", True, "is not a whole number"),
        pytest.param("tally", 10**5000, "a number of hundreds of digits is more than this engine counts", id="long"),
        ("score", 1.5, "`1.5` is outside 0..1"),
        ("score", float("inf"), "not a finite number"),
        ("score", "0.1234567890123456", "more than 15 significant digits"),
        ("score", {}, "is not a number"),
        ("wait", "90x", "is not a duration; write a number and one of ms, s, min, h, d"),
        ("wait", "2h", "`2h` is outside 0s..1h"),
        ("wait", -1, "is a negative duration"),
        ("wait", 1e-9, "finer than a microsecond"),
        ("wait", None, None),
        ("vip", "yes", "is not true or false"),
        ("vip", 1, "is not true or false"),
        ("region", "Us", "did you mean `us`?"),
        ("region", 3, "is no value of `region`; one of `eu`, `us`"),
        ("who", 3, "is not a text"),
        ("amuont", 3, "`amuont` is no fact of this policy; did you mean `amount`?"),
    ],
)
def test_wrong_values(name: str, value: Any, words: str | None) -> None:
    if words is None:
        assert getattr(given(**{name: value}), name) is MISSING
        return
    with pytest.raises(FactError) as caught:
        given(**{name: value})
    assert words in str(caught.value)
    assert caught.value.name == name


def test_all_mistakes_are_named_at_once() -> None:
    loaded = policy()
    with pytest.raises(FactError) as caught:
        loaded.admit({"customer": "", "outcome": "drat", "plan": "bse", "risk": "hihg", "hello": 1})
    message = str(caught.value)
    for words in (
        "`customer`: `` is not a text",
        "`outcome`: `drat` is no outcome; did you mean `draft`?",
        "`plan`: `bse` is no plan; did you mean `base`?",
        "`risk`: `hihg` is no value of `risk`; did you mean `high`?",
        "`hello` is no entry of this policy",
    ):
        assert words in message


@pytest.mark.parametrize("name", ["customer", "outcome", "lane", "route", "step", "price"])
def test_missing_entries(name: str) -> None:
    loaded = policy()
    facts = entries(loaded)
    del facts[name]
    with pytest.raises(FactError, match=f"`{name}` is missing"):
        loaded.attempt(facts)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"meters": {"spent per dya": 1}}, "did you mean `spent per day`"),
        ({"meters": {"spent per day": -1}}, "is negative"),
        ({"meters": {"spent per day": "x"}}, "is not a number"),
        ({"meters": {"spent per day": {"setled": 1}}}, "has `settled` and `reserved`, not `setled`"),
        ({"meters": {"attempts per outcome": 1.5}}, "is not a whole number"),
        ({"reserved": "1"}, "`reserved` is given without `spent`"),
        ({"min_output_tokens": 5}, "`min_output_tokens` is more than `max_output_tokens`"),
        ({"min_output_tokens": 5, "max_output_tokens": 4}, "`min_output_tokens` is more than `max_output_tokens`"),
        ({"input_tokens": -1}, "out of range"),
        ({"input_tokens": 10**13}, "out of range"),
        ({"price": "-1"}, "below $0"),
        ({"attempt": 0}, "at least 1"),
        ({"estimate": "-0.1"}, "below $0"),
    ],
)
def test_wrong_entries(changed: dict[str, Any], words: str) -> None:
    loaded = policy(file="ceiling $9 per day")
    facts = entries(loaded, **changed)
    if "reserved" in changed:
        del facts["meters"]
    with pytest.raises(FactError) as caught:
        loaded.attempt(facts)
    assert words in str(caught.value)


def test_counters_of_the_execution_have_names_of_their_own() -> None:
    loaded = policy()
    base = entries(loaded)
    del base["meters"]
    facts = loaded.facts("attempt", base | {"spent": "1", "reserved": "0.5", "attempts": 3, "tokens": 40})
    assert isinstance(facts, AttemptFacts)
    assert facts.meters == {
        SPENT: Reading(1_000_000_000, 500_000_000),
        ATTEMPTS: Reading(3),
        TOKENS: Reading(40),
    }


def test_a_counter_that_is_left_out_is_unknown_unless_zero_is_asked_for() -> None:
    loaded = policy(file="ceiling $9 per day")
    base = entries(loaded, estimate="1")
    del base["meters"]
    assert loaded.attempt(base).effect == "refuse"
    zero = loaded.facts("attempt", base, assume_zero=True)
    assert isinstance(zero, AttemptFacts)
    assert loaded.attempt(zero).effect == "go"


def test_records_by_point() -> None:
    loaded = policy()
    base = entries(loaded)
    assert isinstance(loaded.facts("admit", admission(loaded)), AdmitFacts)
    assert isinstance(loaded.facts("progress", base | {"output_tokens": 3, "output_cap": 9}), ProgressFacts)
    failed = loaded.facts("failure", base | {"error": "timeout", "visited": ["big"], "retries": {"timeout": 2}})
    assert isinstance(failed, FailureFacts)
    assert failed.visited == ("big", "mini")  # where it failed counts as visited
    assert failed.retries == {"timeout": 2}
    with pytest.raises(ValueError, match="atempt"):
        loaded.facts("atempt", base)


def test_grants_of_an_admission() -> None:
    loaded = policy()
    wrong = [
        ({"id": "g", "left": -1, "price": 1}, "out of range"),
        ({"id": "g", "left": 1}, "price"),
        ({"id": "g", "left": 1, "price": 1, "kind": "gift"}, "is no kind of grant"),
        ({"id": "g", "left": 1, "price": 1, "expires": "soon"}, "is not a time"),
        ({"id": "g", "left": 1, "price": 1, "expires": "2026-01-01T00:00:00"}, "has no time zone"),
        ({"id": "g", "left": 1, "price": 1, "expires": 5}, "is not a time"),
    ]
    for grant, words in wrong:
        with pytest.raises(FactError) as caught:
            loaded.admit(admission(loaded, grants=[grant]))
        assert words in str(caught.value)


def test_the_schema_speaks_of_the_policy() -> None:
    from policy_engine.language.vocabulary import Point

    for point in Point:
        schema = policy().boundary.model(point).model_json_schema(by_alias=True)
        assert "outcome" in schema["properties"]
    properties = policy().boundary.model(Point.ADMIT).model_json_schema(by_alias=True)["properties"]
    assert {"risk", "vip", "grants", "meters", "customer"} <= set(properties)


@pytest.mark.parametrize(
    ("entry", "value", "said"),
    [
        ("meters", [1], "`meters`: entries with names belong here"),
        ("grants", {"id": 1}, "`grants`: a list belongs here"),
        ("grants", [5], "`grants.0`: entries with names belong here"),
    ],
)
def test_a_wrong_shape_is_said_in_our_words(entry: str, value: Any, said: str) -> None:
    facts = {"customer": "acme", "outcome": "reply", entry: value}
    with pytest.raises(FactError) as caught:
        policy_engine.load(TYPES).facts("admit", facts)
    assert said in str(caught.value)
