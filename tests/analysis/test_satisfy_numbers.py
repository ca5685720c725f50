"""Intervals and sums by themselves: the values that are chosen, and that nothing is excluded which is there."""

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.analysis.satisfy.domains import Interval, NoneFits, Nothing, Region
from policy_engine.analysis.satisfy.rows import Gap, Row, TooManyRows, solve
from policy_engine.language.vocabulary import Unit
from tests.generators import examples
from tests.generators.picking import SeededPick

NUMBER, INTEGER, MONEY = Unit.NUMBER, Unit.INTEGER, Unit.MONEY


def between(unit: Unit, low: str | None, high: str | None, holes: tuple[str, ...] = ()) -> Interval:
    """An interval as mathematicians write it: `(0.1` is open, `[0.1` closed."""
    ends = [None if end is None else Fraction(end.strip("()[]")) for end in (low, high)]
    found = Interval(unit, ends[0], ends[1], False, bool(low and "(" in low), bool(high and ")" in high))
    for hole in holes:
        left = found.within(Region(hole=Fraction(hole)))
        assert left is not None
        found = left
    return found


CHOSEN = [
    (NUMBER, None, None, (), "0"),
    (NUMBER, None, None, ("0",), "1"),
    (NUMBER, "[0", "1)", (), "0"),
    (NUMBER, "(0", "1)", (), "0.1"),
    (NUMBER, "(0", "0.1)", (), "0.01"),
    (NUMBER, "(0.3", "0.31)", (), "0.301"),
    (NUMBER, "(0.3", "0.31)", ("0.301", "0.302"), "0.303"),
    (NUMBER, "[0.123456789012345", "0.123456789012345]", (), "0.123456789012345"),
    (NUMBER, "(0.1", "0.10000000000001)", (), "0.100000000000001"),
    (NUMBER, "(99999", None, (), "100000"),
    (NUMBER, "(123456789012345678901234567890", None, (), "200000000000000000000000000000"),
    (NUMBER, None, "(-5)", (), "-6"),
    (NUMBER, "(-0.5", "(-0.25)", (), "-0.4"),
    (NUMBER, "(0.000001", "0.0000011)", (), "0.00000101"),
    (INTEGER, "[3", None, (), "3"),
    (INTEGER, None, "[-3", (), "-3"),
    (INTEGER, "[3", "6]", ("3", "4", "5"), "6"),
    (MONEY, "[1", None, (), "10000000"),
    (MONEY, "[1", "9999999]", (), "1000000"),
    (MONEY, "[1", "99]", (), "1"),
]


@pytest.mark.parametrize(("unit", "low", "high", "holes", "value"), CHOSEN)
def test_the_value_chosen(unit: Unit, low: str | None, high: str | None, holes: tuple[str, ...], value: str) -> None:
    assert between(unit, low, high, holes).pick() == Fraction(value)


def test_between_two_floats_there_is_nothing() -> None:
    with pytest.raises(Nothing):
        between(NUMBER, "(0.1", "0.10000000000000001)").pick()  # the next float is 0.10000000000000002
    assert between(NUMBER, "(0.1", "0.10000000000000002]").pick() == Fraction("0.10000000000000002")
    with pytest.raises(Nothing):
        between(NUMBER, "[1/3", "1/3]").pick()


def test_what_no_float_reaches_is_not_decided() -> None:
    with pytest.raises(NoneFits):
        between(NUMBER, f"({10**400}", f"{10**400 + 1})").pick()


def test_unknown_is_taken_where_nothing_else_can_be() -> None:
    narrow = between(NUMBER, "(0.1", "0.10000000000000001)")
    assert Interval(NUMBER, narrow.low, narrow.high, True, True, True).pick() is None


EMPTY = [
    (INTEGER, "[3", "2]", False, ()),
    (INTEGER, "[3", "5]", False, ("3", "4", "5")),
    (NUMBER, "[3", "3]", False, ("3",)),
    (NUMBER, "(3", "3]", False, ()),
    (INTEGER, "[3", "5]", True, ("3", "5")),
    (NUMBER, "(3", "5)", True, ("4",)),
]


@pytest.mark.parametrize(("unit", "low", "high", "left", "holes"), EMPTY)
def test_whether_a_number_is_left(unit: Unit, low: str, high: str, left: bool, holes: tuple[str, ...]) -> None:
    ends = Interval(unit, Fraction(low.strip("[(")), Fraction(high.strip(")]")), False, "(" in low, ")" in high)
    assert Interval(
        unit, ends.low, ends.high, False, ends.low_open, ends.high_open, frozenset(map(Fraction, holes))
    ).is_empty() is (not left)


decimals = st.builds(Fraction, st.integers(-(10**9), 10**9), st.sampled_from([1, 10, 10**3, 10**6, 10**12]))


@given(decimals, decimals, st.booleans(), st.booleans())
@examples(300)
def test_a_chosen_number_can_be_given(one: Fraction, other: Fraction, low_open: bool, high_open: bool) -> None:
    low, high = min(one, other), max(one, other)
    interval = Interval(NUMBER, low, high, False, low_open, high_open)
    if interval.is_empty():
        return
    value = interval.pick()
    assert value is not None
    assert Fraction(repr(float(value))) == value
    assert low <= value <= high
    assert not (low_open and value == low)
    assert not (high_open and value == high)


small = st.integers(-3, 3)
rows = st.lists(
    st.builds(
        lambda factors, bound, strict: Row(
            tuple((factor, name) for factor, name in zip(factors, "abc", strict=True) if factor), bound, strict
        ),
        st.tuples(small, small, small),
        st.integers(-6, 6),
        st.booleans(),
    ).filter(lambda row: row.terms),
    min_size=1,
    max_size=4,
)


def holds(row: Row, values: dict[str, int]) -> bool:
    total = sum(factor * values[name] for factor, name in row.terms)
    return total < row.bound if row.strict else total <= row.bound


@given(rows, st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4)), max_size=3))
@examples(400)
def test_sums_of_whole_numbers(given_rows: list[Row], gaps: list[tuple[str, int]]) -> None:
    """Against every combination of 0 to 4 for three names."""
    domains = {
        name: Interval(INTEGER, 0, 4, False, holes=frozenset(hole for of, hole in gaps if of == name)) for name in "abc"
    }
    names = sorted({name for row in given_rows for _, name in row.terms})
    worlds = [dict(zip(names, values, strict=True)) for values in product(range(5), repeat=len(names))]
    worlds = [world for world in worlds if all(world[name] not in domains[name].holes for name in names)]
    there = [world for world in worlds if all(holds(row, world) for row in given_rows)]
    try:
        found = solve(given_rows, domains)
    except Gap:
        return  # says nothing; z3 is asked
    if found is None:
        assert not there
    else:
        assert found in there


def test_a_difference_is_always_decided() -> None:
    """Rows of `a - b <= n` have whole solutions wherever they have any."""
    free = {name: Interval(INTEGER, None, None, False) for name in "abcd"}
    chain = [Row(((1, one), (-1, other)), -1) for one, other in ("ab", "bc", "cd")]
    found = solve(chain, free)
    assert found is not None
    assert found["a"] < found["b"] < found["c"] < found["d"]
    assert solve([*chain, Row(((1, "d"), (-1, "a")), 2)], free) is None
    assert solve([*chain, Row(((1, "d"), (-1, "a")), 3)], free) is not None


def test_strictly_below_is_kept_through_an_elimination() -> None:
    free = {name: Interval(NUMBER, None, None, False) for name in "abc"}
    up = [Row(((1, "a"), (-1, "b")), 0), Row(((1, "b"), (-1, "c")), 0)]
    assert solve([*up, Row(((1, "c"), (-1, "a")), 0)], free) is not None
    assert solve([*up, Row(((1, "c"), (-1, "a")), 0, strict=True)], free) is None
    assert solve([Row(((2, "a"),), 1, strict=True), Row(((-2, "a"),), -1)], free) is None


def test_parity_is_seen_before_z3() -> None:
    free = {name: Interval(INTEGER, None, None, False) for name in "ab"}
    odd = [Row(((2, "a"), (4, "b")), 7), Row(((-2, "a"), (-4, "b")), -7)]
    assert solve(odd, free) is None


def test_too_many_rows_are_not_made() -> None:
    pick = SeededPick(1)
    names = [f"n{number}" for number in range(8)]
    free = {name: Interval(NUMBER, None, None, False) for name in names}
    many = [Row(tuple((pick.of((-2, -1, 1, 3)), name) for name in names), pick.number(9)) for _ in range(80)]
    with pytest.raises(TooManyRows):
        solve(many, free)
