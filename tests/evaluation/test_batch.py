"""Many decisions at once are the decisions that each row would get alone."""

import sys
from fractions import Fraction
from math import inf, nextafter
from typing import Any

import polars as pl
import pytest

from benchmarks import dozen
from benchmarks.cases import facts_of
from policy_engine.evaluation import batch
from policy_engine.evaluation.batch.columns import checked
from policy_engine.evaluation.batch.rows import Records, plain
from policy_engine.evaluation.batch.series import above, not_above
from policy_engine.evaluation.facts import FactError
from policy_engine.evaluation.terms import exact
from policy_engine.language.vocabulary import Point
from policy_engine.policy import Policy, load
from tests.evaluation.columns import table
from tests.generators.drafts import loaded
from tests.generators.facts import Asking
from tests.generators.picking import SeededPick
from tests.generators.policies import Shape, generated

ROWS = 60
POINTS = ("attempt", "progress", "failure")


@pytest.fixture(autouse=True)
def _even_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every group is worked out in columns, however small."""
    monkeypatch.setattr(batch, "FEW", 0)


def one_by_one(policy: Policy, point: str, records: list[Any]) -> list[dict[str, Any]] | FactError:
    """What each row gets alone, or the first error."""
    shape = batch._shape(policy.checked, Point(point))
    numbers = tuple(name for name in (*shape.words, *shape.numbers) if name not in ("effect", "reason"))
    try:
        return [plain(getattr(policy.evaluator, point)(record), numbers) for record in records]
    except FactError as error:
        return error


def check(policy: Policy, point: str, records: list[Any], text: str = "") -> None:
    frame = table(policy.checked, records)
    alone = one_by_one(policy, point, records)
    if isinstance(alone, FactError):
        with pytest.raises(FactError) as raised:
            policy.decide_many(point, frame)
        assert raised.value.name == alone.name
        return
    decided = policy.decide_many(point, frame)
    assert decided.height == len(records)
    for row, (found, expected) in enumerate(zip(decided.iter_rows(named=True), alone, strict=True)):
        assert found == expected, f"row {row}: {records[row]}\n{text}"


def asked(seed: int, point: str, *, missing: bool = False, tiered: bool = False) -> tuple[Policy, str, list[Any]]:
    pick = SeededPick(seed)
    text = generated(pick, Shape(tiered=tiered)).text
    policy = loaded(text)
    asking = Asking(pick, policy, text, unknown=seed % 3 != 0, missing=missing)
    return policy, text, [getattr(asking, point)() for _ in range(ROWS)]


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("seed", range(40))
def test_rows_are_decided_as_alone(point: str, seed: int) -> None:
    policy, text, records = asked(seed, point)
    check(policy, point, records, text)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("seed", range(200, 240))
def test_prices_by_length_are_those_of_each_row(point: str, seed: int) -> None:
    policy, text, records = asked(seed, point, tiered=True)
    check(policy, point, records, text)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("seed", range(100, 120))
def test_a_missing_fact_is_missed_where_it_would_be_alone(point: str, seed: int) -> None:
    policy, text, records = asked(seed, point, missing=True)
    check(policy, point, records, text)


@pytest.mark.parametrize(
    ("point", "seed", "missing"),
    [
        ("failure", 3016, False),  # a fallback reads `remaining` where no ceiling applies to some of the rows
        ("failure", 3072, True),  # a handoff's limit misses its fact in an earlier row than any other rule
    ],
)
def test_what_once_differed(point: str, seed: int, missing: bool) -> None:
    policy, text, records = asked(seed, point, missing=missing)
    check(policy, point, records, text)


@pytest.mark.parametrize("point", [*POINTS, "settle"])
@pytest.mark.parametrize("edges", [False, True])
def test_the_dozen_rule_set(point: str, edges: bool) -> None:
    check(dozen.policy("compiled"), point, facts_of(point, 1_500, edges=edges))


@pytest.mark.parametrize("point", [*POINTS, "settle"])
def test_most_rows_are_worked_out_in_columns(point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = dozen.policy("compiled")
    frame = table(policy.checked, facts_of(point, 2_000))
    monkeypatch.setattr(Records, "of", lambda *_: pytest.fail("a row was decided alone"))
    assert policy.decide_many(point, frame).height == 2_000


@pytest.mark.parametrize("few", [0, 7, 10**6])
def test_few_rows_are_decided_one_by_one_and_alike(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, text, records = asked(1, "attempt")
    monkeypatch.setattr(batch, "FEW", few)
    check(policy, "attempt", records, text)


# ---------------------------------------------------------------- what holds columns

POLICY = """
currency USD
fact risk: low < medium < high
fact score: number 0..1 = 0.5
fact note?: text
fact fast: boolean = false
fact worth: money = $1
route mini { model "m"  rates $1 in, $2 out per 1M tokens }
route web { tool "w"  cost $0.01 }
route desk { handoff "d" }
lane main { mini -> web -> desk }
plan base { fee $10 per month  includes 5 reply }
on store failure allow within $1
workflow support {
  ceiling $5 per customer per day alert at 50% as budget
  outcome reply {
    price $1
    lanes main
    ceiling $0.50 per outcome when risk is high and score < 0.3 as careful
    ceiling $0.40 per outcome when note is "slow" or worth > $2 as noted
    ceiling 30s per outcome unless fast as patience
    shadow ceiling 3 attempts per outcome as few_attempts
    retry 2 on timeout backoff 250ms..400ms
    fallback next on any
  }
}
"""
BUDGET = "spent of support per customer per day"
COLUMNS: dict[str, list[Any]] = {
    "customer": ["acme", "bolt", "acme"],
    "outcome": ["reply"] * 3,
    "plan": ["base", None, "base"],
    "lane": ["main"] * 3,
    "route": ["mini", "mini", "web"],
    "step": ["draft"] * 3,
    "price_nanos": [10**9] * 3,
    "risk": ["low", "high", "high"],
    "score": [0.1, 0.29, None],
    "elapsed_micros": [0, 10**6, 31 * 10**6],
    "input_tokens": [1_000, 200_000, 0],
    "max_output_tokens": [1_000, 200_000, 0],
    "spent": [0] * 3,
    "attempts": [0, 3, 2],
    BUDGET: [2_499_000_000, 0, 0],
    f"{BUDGET} reserved": [0, 0, 4_989_999_999],
}
ANSWER: dict[str, list[Any]] = {
    "effect": ["go", "refuse", "refuse"],
    "reason": [None, "over_ceiling", "over_ceiling"],
    "reserved_nanos": [3_000_000, None, None],
    "reserved_tokens": [2_000, None, None],
    "output_cap": [1_000, None, None],
    "deadline_micros": [30_000_000, None, None],
    "rules": [["patience"], ["careful", "noted"], ["patience"]],
    "unknown": [["note"], ["note"], ["note"]],
    "alerts": [["budget at 50%"], [], []],
    "shadow": [[], ["few_attempts"], []],
}


class Arrow:
    """Any Arrow table: all that is asked of it is its C interface."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


def frame(**changed: Any) -> pl.DataFrame:
    columns = {name: values for name, values in {**COLUMNS, **changed}.items() if values is not None}
    return pl.DataFrame(columns)


TEXTS = ("customer", "outcome", "plan", "lane", "route", "step", "risk")
RISKS = pl.Enum(["high", "medium", "low"])


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param(frame(), id="frame"),
        pytest.param(frame().lazy(), id="lazy frame"),
        pytest.param(Arrow(frame()), id="arrow"),
        pytest.param(COLUMNS, id="mapping"),
        pytest.param(frame().with_columns(pl.col(TEXTS).cast(pl.Categorical)), id="dictionaries"),
        pytest.param(frame().with_columns(pl.col("risk").cast(RISKS)), id="other order of an enum"),
        pytest.param(frame().with_columns(pl.col(pl.Int64).cast(pl.UInt64)), id="unsigned numbers"),
        pytest.param(frame(note=[None] * 3, min_output_tokens=[None] * 3), id="columns of nothing"),
    ],
)
def test_columns_come_in_many_forms(columns: Any) -> None:
    assert load(POLICY).decide_many("attempt", columns).to_dict(as_series=False) == ANSWER


def test_no_rows_and_one() -> None:
    policy = load(POLICY)
    none = policy.decide_many("attempt", frame().clear())
    assert none.height == 0
    assert none.schema == policy.decide_many("attempt", frame()).schema
    assert policy.decide_many("attempt", frame().head(1)).to_dicts() == [
        {name: values[0] for name, values in ANSWER.items()}
    ]


@pytest.mark.parametrize(
    ("changed", "rows"),
    [
        pytest.param({BUDGET: [None, 2**62, 0]}, [0, 1], id="a counter beyond 64 bits once something is added"),
        pytest.param({"price_nanos": [2**62, 0, 10**9]}, [], id="a price that nothing multiplies"),
        pytest.param({"estimate_nanos": [2**62, None, None]}, [0], id="an estimate"),
        pytest.param({"worth": [2**62, -(2**62), None]}, [0, 1], id="a fact"),
        pytest.param({"escrow_nanos": [0, None, 10**9], BUDGET: [None, None, None]}, [0, 2], id="escrow"),
    ],
)
def test_what_columns_cannot_work_out_is_decided_alone(changed: dict[str, Any], rows: list[int]) -> None:
    policy = load(POLICY)
    given = {**COLUMNS, **changed}
    del given[f"{BUDGET} reserved"]
    alone: list[int] = []
    made = Records.of

    def seen(self: Records, asked: pl.Series) -> list[Any]:
        alone.extend(asked)
        return made(self, asked)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Records, "of", seen)
        found = policy.decide_many("attempt", given)
    columns = checked(policy.checked, Point.ATTEMPT, given, frozenset(), assume_zero=False)
    records = Records(columns).of(pl.Series([0, 1, 2], dtype=pl.UInt32))
    assert found.to_dicts() == one_by_one(policy, "attempt", records)
    assert set(alone) >= set(rows)


def test_counters_left_out_are_unknown_or_zero() -> None:
    policy = load(POLICY)
    bare = frame(**{BUDGET: None, f"{BUDGET} reserved": None, "attempts": None})
    assert policy.decide_many("attempt", bare)["unknown"][0].to_list() == ["attempts per outcome", "note", BUDGET]
    assert policy.decide_many("attempt", bare, assume_zero=True)["effect"].to_list() == ["go", "refuse", "refuse"]


def test_failures_take_lists_and_structs() -> None:
    columns = {
        **COLUMNS,
        "error": ["timeout", "timeout", "cancelled"],
        "retries": [{"timeout": 1}, {"timeout": 2}, None],
    }
    columns["visited"] = [["mini"], ["mini", "web"], []]
    del columns["max_output_tokens"]
    found = load(POLICY).decide_many("failure", columns)
    assert found["effect"].to_list() == ["retry", "hand_off", "stop"]
    assert found["route"].to_list() == ["mini", "desk", None]
    assert found["delay_micros"].to_list() == [400_000, None, None]
    assert found["rules"].to_list()[0] == ["retry 2 on timeout backoff 250ms..400ms"]


# ---------------------------------------------------------------- bad input

BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"customer": None}, "customer", "the column `customer` is missing"),
    ({"customer": ["a", "", "b"]}, "customer", "`customer` in row 1 is an empty text"),
    ({"customer": ["a", None, "b"]}, "customer", "`customer` is missing in row 1"),
    ({"route": ["mini", "mimi", "web"]}, "route", "`route` in row 1: `mimi` is no route; did you mean `mini`?"),
    ({"route": ["mini", "web", "desk"]}, "route", "`desk` in row 2 is a handoff"),
    ({"plan": ["base", "basic", None]}, "plan", "`plan` in row 1: `basic` is no plan"),
    ({"lane": [1, 2, 3]}, "lane", "`lane` is of type Int64, not texts"),
    ({"risk": ["low", "hihg", "low"]}, "risk", "`risk` in row 1: `hihg` is no value of `risk`; did you mean `high`?"),
    ({"risk": ["low", None, "low"]}, "risk", "the fact `risk` is not given in row 1, and `careful`"),
    ({"risk": None}, "risk", "the fact `risk` is not given in row 0, and `careful`"),
    ({"score": [0.5, 1.5, 0.0]}, "score", "`score` in row 1 is 1.5; it is at most 1.0"),
    ({"score": [0.5, float("nan"), 0.0]}, "score", "`score` in row 1 is not a finite number"),
    ({"score": ["a", "b", "c"]}, "score", "`score` is of type String, not 64-bit numbers"),
    ({"fast": [1, 0, 1]}, "fast", "`fast` is of type Int64, not true or false"),
    ({"price_nanos": [1.0, 2.0, 3.0]}, "price_nanos", "`price_nanos` is of type Float64, not whole numbers"),
    ({"price_nanos": [1, 2, -3]}, "price_nanos", "`price_nanos` in row 2 is -3; it is at least 0"),
    ({"attempt": [1, 0, 1]}, "attempt", "`attempt` in row 1 is 0; it is at least 1"),
    ({"attempt": [1, None, 1]}, "attempt", "`attempt` is missing in row 1"),
    ({"input_tokens": [1, 2, 10**13]}, "input_tokens", "`input_tokens` in row 2 is 10000000000000; it is at most"),
    ({"min_output_tokens": [1, 200_001, 0]}, "min_output_tokens", "`min_output_tokens` in row 1 is more than"),
    ({BUDGET: [0, -1, 0]}, BUDGET, "in row 1 is -1; it is at least 0"),
    ({BUDGET: None}, f"{BUDGET} reserved", "is given without"),
    ({"max_ouput_tokens": [1, 2, 3]}, "max_ouput_tokens", "`max_ouput_tokens` is no column of attempt; did you mean"),
]


@pytest.mark.parametrize(("changed", "name", "message"), BAD)
@pytest.mark.parametrize("dictionaries", [False, True])
def test_bad_input_names_a_column_and_its_first_row(
    changed: dict[str, Any], name: str, message: str, dictionaries: bool
) -> None:
    given = frame(**changed)
    if dictionaries:
        given = given.with_columns(pl.col(pl.String).cast(pl.Categorical))
        message = message.replace("String", "Categorical")
    with pytest.raises(FactError) as raised:
        load(POLICY).decide_many("attempt", given)
    assert raised.value.name == name
    assert message in raised.value.message


@pytest.mark.parametrize("columns", [{"a": [1], "b": [1, 2]}, [1, 2], "text"])
def test_what_is_no_table_is_bad_input(columns: Any) -> None:
    with pytest.raises(FactError, match="columns"):
        load(POLICY).decide_many("attempt", columns)


def test_admission_says_that_it_is_not_batched() -> None:
    with pytest.raises(ValueError, match="`admit` is decided one by one"):
        load(POLICY).decide_many("admit", frame())


def test_without_polars_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("policy_engine.evaluation.batch")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match=r"pip install 'policy_engine\[batch\]'"):
        load(POLICY).decide_many("attempt", {})


# ---------------------------------------------------------------- numbers stand for their decimal spelling


@pytest.mark.parametrize(
    "size", [Fraction(1, 3), Fraction(3, 10), Fraction(-1, 7), Fraction(0), Fraction(5), Fraction(1, 10**9)]
)
def test_edges_of_numbers(size: Fraction) -> None:
    least = above(size)
    assert exact(least) >= size > exact(nextafter(least, -inf))
    most = not_above(size)
    assert exact(most) <= size < exact(nextafter(most, inf))
