"""Money, durations, percents: read and printed exactly."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.language.units import (
    MICROS,
    Rates,
    UnitError,
    decimal,
    duration_micros,
    money_nanos,
    plain_number,
    print_duration,
    print_money,
    print_percent,
    print_time,
    share_nanos,
)


@pytest.mark.parametrize(
    ("value", "currency", "nanos"),
    [
        (0.3, "USD", 300_000_000),
        (0.1 + 0.2, "USD", None),  # 0.30000000000000004 is finer than a nano: said, not rounded
        ("0.30", "USD", 300_000_000),
        ("$0.30", "USD", 300_000_000),
        ("-$0.30", "USD", -300_000_000),
        ("0.30 USD", "USD", 300_000_000),
        ("€1", "EUR", 10**9),
        ("£1", "GBP", 10**9),
        ("0.30 CHF", "CHF", 300_000_000),
        (Decimal("1E-9"), "USD", 1),
        (7, "JPY", 7 * 10**9),
        ("$1", "EUR", None),
        ("1 CHF", "EUR", None),
        ("", "USD", None),
        ("$", "USD", None),
        ("1e-10", "USD", None),
        (True, "USD", None),
        (10**13, "USD", None),
        ("Infinity", "USD", None),
    ],
)
def test_money(value: Decimal | int | float | str, currency: str, nanos: int | None) -> None:
    if nanos is None:
        with pytest.raises(UnitError):
            money_nanos(value, currency)
    else:
        assert money_nanos(value, currency) == nanos


@pytest.mark.parametrize(
    ("nanos", "currency", "text"),
    [
        (300_000_000, "USD", "$0.30"),
        (2000 * 10**9, "USD", "$2000"),
        (1_000_001, "USD", "$0.001000001"),
        (-(10**9), "EUR", "-€1"),
        (300_000_000, "CHF", "0.30 CHF"),
        (0, "USD", "$0"),
    ],
)
def test_print_money(nanos: int, currency: str, text: str) -> None:
    assert print_money(nanos, currency) == text
    assert money_nanos(text, currency) == nanos


def test_grouping() -> None:
    assert print_money(1_234_567 * 10**9, "USD", grouping=True) == "$1,234,567"


@given(st.integers(-(10**20), 10**20), st.sampled_from(["USD", "EUR", "GBP", "CHF"]))
def test_what_is_printed_reads_back(nanos: int, currency: str) -> None:
    assert money_nanos(print_money(nanos, currency), currency) == nanos


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("250ms", 250_000),
        ("90s", 90 * 10**6),
        ("1.5h", 5_400 * 10**6),
        ("90d", 90 * MICROS["d"]),
        ("0s", 0),
        ("1.0001ms", None),
        ("5x", None),
        ("5", None),
        ("s", None),
        ("", None),
        ("1e99d", None),
        ("9999999999999999d", None),
    ],
)
def test_durations(text: str, micros: int | None) -> None:
    if micros is None:
        with pytest.raises(UnitError):
            duration_micros(text)
    else:
        assert duration_micros(text) == micros


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0s"),
        (250_000, "250ms"),
        (123_456, "123ms"),
        (12_345_678, "12.345s"),
        (59_999_999, "59.999s"),
        (89_700_123, "1min 29s"),
        (90 * 10**6, "90s"),
        (259_152_379_522, "2d 23h"),
        (86_399_999_999, "23h 59min"),
        (72 * MICROS["h"], "3d"),
        (3600_000_001, "1h"),
    ],
)
def test_print_time(micros: int, text: str) -> None:
    assert print_time(micros) == text


@pytest.mark.parametrize(
    ("micros", "text"),
    [(250_000, "250ms"), (90 * 10**6, "90s"), (72 * MICROS["h"], "3d"), (0, "0s"), (1, "0.001ms"), (1500, "1.5ms")],
)
def test_print_duration(micros: int, text: str) -> None:
    assert print_duration(micros) == text
    assert duration_micros(text) == micros


def test_percents_round_down_and_rates_round_up() -> None:
    assert share_nanos(Fraction(55), 745_000_000) == 409_750_000
    assert share_nanos(Fraction(1, 3), 100) == 0
    assert print_percent(Fraction(1, 2)) == "0.5%"
    assert plain_number(Fraction(300)) == "300"
    assert Rates(150_000, 600_000).cost_nanos(1, 1) == 750
    assert Rates(1, 0).cost_nanos(1, 5) == 1
    assert Rates(1, 0).output_tokens_within(5, 1) is None
    assert Rates(1000, 2000).output_tokens_within(10, 4) == 3
    assert Rates(1000, 2000).output_tokens_within(1, 4) == -2


@given(st.integers(0, 10**9), st.integers(1, 10**9), st.integers(0, 10**6), st.integers(0, 10**12))
def test_the_tokens_that_fit_are_the_most_that_fit(sent: int, received: int, tokens: int, nanos: int) -> None:
    rates = Rates(sent, received)
    most = rates.output_tokens_within(nanos, tokens)
    assert most is not None
    if most >= 0:
        assert rates.cost_nanos(tokens, most) <= nanos
        assert rates.cost_nanos(tokens, most + 1) > nanos
    else:
        assert rates.cost_nanos(tokens, 0) > nanos


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_what_its_repr_says(value: float) -> None:
    assert decimal(value) == Decimal(repr(value))
