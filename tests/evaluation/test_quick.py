"""The boundary's short way against its long one: equal records, equal errors."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from unittest.mock import patch

import pytest

from benchmarks import dozen
from benchmarks.cases import facts_of
from benchmarks.entries import attempt_entries
from policy_engine import FactError
from policy_engine.evaluation.context import Boundary
from policy_engine.evaluation.facts import MISSING, Facts, Grant, Reading
from policy_engine.language.checked import ATTEMPTS, SPENT, TOKENS
from policy_engine.language.vocabulary import Point, Unit
from policy_engine.policy import Policy, load
from tests.building import admission, entries, policy
from tests.evaluation.kept import to_plain
from tests.generators import Asking
from tests.generators.picking import Pick, SeededPick
from tests.generators.policies import Shape, generated

POLICIES = 30
ROUNDS = 12
SMALL = {"nanos": 10**9, "micros": 10**6}
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 3, 2**39, 10**12, 10**13, 2**62, 2**90, 0.0, -0.0, 0.5, 0.1, 1.1, 1e-9, 1e-10),
    *(-0.5, 999_999.5, 1e6, 1e16, 1e300, 12_345_678.123456, float("nan"), float("inf"), -float("inf")),
    *("", "x", "0.3", "$0.30", "90s", "eu", "base", "mini", "low", "45%", Decimal("0.3"), timedelta(seconds=2)),
    *(
        [],
        ["mini"],
        [1],
        {},
        {"settled": 1},
        {"settled": 0.5, "reserved": 0.25},
        {"setled": 1},
        {"timeout": 2},
        object(),
    ),
    *(Reading(1, 2), Reading(-1), Reading(1.5), Reading("1"), [{"id": "g", "left": 1, "price": 0.1}], [{"id": "g"}]),  # type: ignore[arg-type]
)


def answer(boundary: Boundary, point: Point, data: Any, *, fully: bool, assume_zero: bool) -> Facts | tuple[str, str]:
    read = boundary.read_fully if fully else boundary.facts
    try:
        return read(point, data, assume_zero=assume_zero)
    except FactError as error:
        return error.name, error.message


def agree(boundary: Boundary, point: Point, data: dict[str, Any], *, assume_zero: bool = False) -> bool:
    """Whether the short way gave the record; both answers are equal to the last type."""
    before = dict(data)
    with patch.object(boundary, "read_fully", side_effect=boundary.read_fully) as fully:
        short = answer(boundary, point, data, fully=False, assume_zero=assume_zero)
    long = answer(boundary, point, data, fully=True, assume_zero=assume_zero)
    assert short == long, (point, data)
    assert repr(short) == repr(long), (point, data)  # 1, 1.0 and True are equal too
    assert data == before
    return not fully.called


def mapping(asked: Policy, facts: Facts, pick: Pick) -> dict[str, Any]:
    """Entries that say the same, each in one of its forms."""
    found: dict[str, Any] = {}
    for name, value in to_plain(asked.checked, facts).items():
        amount, _, unit = name.rpartition("_")
        if name == "given":
            found |= {fact: _given(asked, fact, each) for fact, each in value.items()}
        elif name == "meters":
            found[name] = {pick.of((meter, str(meter))): reading for meter, reading in getattr(facts, name).items()}
        elif name == "escrow":
            found[name] = getattr(facts, name)
        elif name == "grants":
            found[name] = None if value is None else [_grant(grant) for grant in getattr(facts, name)]
        elif unit in SMALL and value is not None and pick.number(1):
            found[amount] = pick.of((value / SMALL[unit], Decimal(value) / SMALL[unit]))
        else:
            found[name] = value
    for name in pick.some(sorted(found), most=3):
        if found[name] is None:
            del found[name]
    if "lane" in found and pick.one_in(4):
        found |= pick.of(
            ({"spent": 0.5}, {"attempts": 2, "tokens": 7}, {"spent": 1, "reserved": 0.25}, {"reserved": 1})
        )
    return found


def _given(asked: Policy, name: str, value: Any) -> Any:
    scale = {Unit.MONEY: 10**9, Unit.DURATION: 10**6}.get(asked.checked.facts[name].unit)
    return value if scale is None or value is None else value // scale if value % scale == 0 else value / scale


def _grant(grant: Grant) -> dict[str, Any]:
    found = {"id": grant.id, "kind": grant.kind, "left": grant.left, "price": grant.price_nanos / 10**9}
    times = {"priority": grant.priority, "expires": "2026-01-31T09:00:00+00:00"}
    return found if grant.expires_micros is None else found | times


def asked_at(asked: Policy, text: str, pick: Pick) -> Iterator[tuple[Point, dict[str, Any]]]:
    asking = Asking(pick, asked, text, missing=True)
    for point in (Point.ADMIT, Point.ATTEMPT, Point.PROGRESS, Point.FAILURE):
        yield point, mapping(asked, getattr(asking, point)(), pick)
    states, events = ("running", "delivered", "expired"), ("deliver", "accept", "hand_off")
    settle = {"outcome": pick.of(list(asked.checked.outcomes)), "state": pick.of(states), "event": pick.of(events)}
    yield Point.SETTLE, settle | pick.of(({"price": 2}, {"price_nanos": 5, "since_delivery": 1.5}, {"price": "$2"}))


def test_the_short_way_is_the_long_way() -> None:
    short = asked = 0
    for seed in range(POLICIES):
        pick = SeededPick(seed)
        case = generated(pick, Shape())
        boundary = case.policy.boundary
        for _ in range(ROUNDS):
            for point, data in asked_at(case.policy, case.text, pick):
                asked += 1
                short += agree(boundary, point, data, assume_zero=pick.one_in(3))
                for _ in range(2):
                    agree(boundary, point, mutated(data, pick), assume_zero=pick.one_in(3))
    assert short > asked / 3  # else it was not the short way that was tested


def mutated(data: dict[str, Any], pick: Pick) -> dict[str, Any]:
    """The mapping with an entry left out, replaced, added, or one within an entry replaced."""
    changed = dict(data)
    name = pick.of(sorted(changed))
    form = pick.number(5)
    if form == 0:
        del changed[name]
    elif form == 1:
        more = ("price", "price_nanos", "estimate", "estimate_nanos", "elapsed_micros", "elapsed", "spnt", "escrow")
        changed[pick.of(more)] = pick.of(ODD)
    elif form == 2 and isinstance(changed.get("meters"), dict) and changed["meters"]:
        inside = pick.of((*changed["meters"], "spent per dya", 3))
        changed["meters"] = changed["meters"] | {inside: pick.of(ODD)}
    elif form == 3 and changed.get("grants"):
        first = changed["grants"][0]
        changed["grants"] = [first | {pick.of((*first, "created", "prise")): pick.of(ODD)}]
    else:
        changed[name] = pick.of(ODD)
    return changed


def test_common_attempts_take_the_short_way() -> None:
    boundary = dozen.policy().boundary
    for record in facts_of("attempt", 50, edges=True):
        data = attempt_entries(record)
        assert agree(boundary, Point.ATTEMPT, data)
        made = boundary.facts(Point.ATTEMPT, data)
        assert to_plain(dozen.policy().checked, made) == to_plain(dozen.policy().checked, record)


@pytest.mark.parametrize(
    "other",
    [{"elapsed": 1.5}, {"elapsed": 2, "escrow": 1}, {"price": 0.5}, {"spent": 1, "reserved": 0.5}, {"estimate": 1}],
)
def test_units_may_be_mixed(other: dict[str, Any]) -> None:
    boundary = dozen.policy().boundary
    data = attempt_entries(facts_of("attempt", 1)[0])
    small = {f"{name}_nanos" for name in other} | {f"{name}_micros" for name in other}
    assert agree(boundary, Point.ATTEMPT, {name: value for name, value in data.items() if name not in small} | other)


EVERY_TYPE = """
currency USD
fact amount: money $0..$10
fact debt: money
fact share: percent 0%..50%
fact tally: integer -5..5
fact many: integer
fact score: number 0.1..1
fact loose: number
fact wait: duration 0s..1h
fact vip?: boolean
fact region: eu | us = us
fact who: text
route r { tool "t" cost $1 }
lane l { r }
workflow w { outcome o { price $2 lanes l } }
"""


@pytest.mark.parametrize(
    "name", ["amount", "debt", "share", "tally", "many", "score", "loose", "wait", "vip", "region"]
)
def test_values_of_every_type(name: str) -> None:
    boundary = load(EVERY_TYPE).boundary
    beside = (0.1, 0.09999999999999999, 0.10000000000000002, 1.0000000000000002, 10.000000001, 3600, 3600.000001, 5, 6)
    for value in (*ODD, *beside, 50, 51, -5, -6, 10**15, 10**15 - 1, -(10**15), 999_999_999.999999):
        agree(boundary, Point.ADMIT, {"customer": "acme", "outcome": "o", name: value})


def test_what_is_left_out_of_an_admission() -> None:
    boundary = load(EVERY_TYPE).boundary
    assert agree(boundary, Point.ADMIT, {"customer": "acme", "outcome": "o"})
    given: Any = boundary.facts(Point.ADMIT, {"customer": "acme", "outcome": "o"})
    assert (given.given.who, given.given.vip, given.given.region, given.grants) == (MISSING, None, "us", ())


@pytest.mark.parametrize(
    ("changed", "field", "value"),
    [
        ({"price_nanos": 5}, "price_nanos", 5),
        ({"price": "0.5"}, "price_nanos", 500_000_000),
        ({"price_nanos": 10**21}, "price_nanos", 10**21),
        ({"price": 1, "estimate_nanos": 7}, "estimate_nanos", 7),
        ({"price": 1, "estimate_nanos": 7, "estimate": None}, "estimate_nanos", 7),
        ({"price": 1, "estimate_nanos": None, "estimate": 1}, "estimate_nanos", 10**9),
        ({"price": 1, "estimate_nanos": None}, "estimate_nanos", None),
        ({"price": 1, "elapsed_micros": 7}, "elapsed_micros", 7),
        ({"price": 1, "step_elapsed_micros": 2**70}, "step_elapsed_micros", 2**70),
    ],
)
def test_small_units(changed: dict[str, Any], field: str, value: Any) -> None:
    loaded = policy()
    data = entries(loaded)
    del data["price"]
    agree(loaded.boundary, Point.ATTEMPT, data | changed)
    assert getattr(loaded.facts("attempt", data | changed), field) == value


@pytest.mark.parametrize(
    ("changed", "name", "message"),
    [
        ({}, "price", "`price` is missing; give `price` or `price_nanos`"),
        (
            {"price": 1, "price_nanos": 10**9},
            "price_nanos",
            "`price_nanos`: it is given in two units; give one of them",
        ),
        ({"price_nanos": 1.0}, "price_nanos", "`price_nanos`: `1.0` is not a whole number of billionths"),
        ({"price_nanos": True}, "price_nanos", "`price_nanos`: `True` is not a whole number of billionths"),
        ({"price_nanos": None}, "price_nanos", "`price_nanos`: `None` is not a whole number of billionths"),
        ({"price_nanos": -1}, "price_nanos", "`price_nanos`: -1 is out of range; it is at least 0"),
        ({"price_nanos": 10**21 + 1}, "price_nanos", f"`price_nanos`: {10**21 + 1} is out of range; it is at least 0"),
        ({"price": 1, "elapsed_micros": 0.5}, "elapsed_micros", "`0.5` is not a whole number of microseconds"),
        ({"price": 1, "elapsed_micros": 1, "elapsed": 1}, "elapsed_micros", "it is given in two units"),
        ({"price": 1, "estimate_nanos": 1, "estimate": 1}, "estimate_nanos", "it is given in two units"),
        ({"price": 1, "estimat_nanos": 1}, "estimat_nanos", "did you mean `estimate_nanos`?"),
        ({"price": 1, "meters": {SPENT: Reading(-1)}}, "spent per outcome", "`spent per outcome` is negative"),
        ({"price": 1, "spent": Reading(0.5)}, "spent", "does not hold whole numbers"),  # type: ignore[arg-type]
        ({"price": 1, "meters": {3: 1}}, "meters", "`3` is no counter of this policy"),
    ],
)
def test_wrong_small_units(changed: dict[str, Any], name: str, message: str) -> None:
    loaded = policy()
    data = entries(loaded)
    del data["price"]
    with pytest.raises(FactError) as caught:
        loaded.attempt(data | changed)
    assert message in caught.value.message
    assert caught.value.name == name


def test_counters_by_meter() -> None:
    loaded = policy(file="ceiling $9 per day")
    day = loaded.boundary.meters["spent per day"]
    given = {day: Reading(5, 2), SPENT: 3, ATTEMPTS: 3, "tokens per outcome": Reading(9), TOKENS: None}
    data = entries(loaded, price=2) | {"meters": given}
    assert agree(loaded.boundary, Point.ATTEMPT, data)
    made: Any = loaded.facts("attempt", data)
    assert made.meters == {day: Reading(5, 2), SPENT: Reading(3 * 10**9), ATTEMPTS: Reading(3), TOKENS: None}
    kept = {day: Reading(5, 2)}
    made = loaded.facts("attempt", entries(loaded) | {"meters": kept})
    made.meters.clear()
    assert kept  # the caller's own mapping is not the record's


def test_a_decision_leaves_the_mapping_as_it_is() -> None:
    loaded = policy(file="ceiling $9 per day")
    day = loaded.boundary.meters["spent per day"]
    data = entries(loaded) | {"meters": {day: Reading(5, 2)}, "spent": 1, "reserved": 1}
    before = data | {"meters": dict(data["meters"])}
    loaded.attempt(data)
    assert data == before


def test_names_that_are_members_of_an_enum() -> None:
    class Entry(str, Enum):  # noqa: UP042 - one whose `str` is not its value
        CUSTOMER = "customer"
        OUTCOME = "outcome"

    loaded = policy()
    assert not agree(loaded.boundary, Point.ADMIT, {Entry.CUSTOMER: "acme", Entry.OUTCOME: "draft"})
    assert not agree(loaded.boundary, Point.ADMIT, {"customer": Entry.CUSTOMER, "outcome": "draft"})
    draft = Enum("draft", {"DRAFT": "draft"}, type=str)
    agree(loaded.boundary, Point.ADMIT, {"customer": "acme", "outcome": draft.DRAFT})
    boundary = load(EVERY_TYPE).boundary
    assert not agree(boundary, Point.ADMIT, {"customer": "acme", "outcome": "o", "who": Entry.CUSTOMER})


def test_an_admission_takes_no_price() -> None:
    loaded = policy()
    with pytest.raises(FactError, match="`price_nanos` is no entry of this policy"):
        loaded.admit(admission(loaded, price_nanos=1))
