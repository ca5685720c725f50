"""Worst-case bounds: what each kind of ceiling keeps an attempt, an execution and a step from costing."""

import pytest

from policy_engine.analysis.worst import Case, Income, Worst
from policy_engine.language.units import Rates, Tier
from policy_engine.policy import load
from policy_engine.prices.table import PriceTable

BIG, SMALL = "route big", "route small"
TEXT = """
currency USD
fact risk: low < high = low
route small {{ model "s" rates $1 in, $2 out per 1k tokens {small} }}
route big {{ model "b" rates $10 in, $20 out per 1k tokens {big} }}
route web {{ tool "web" cost $0.01 }}
route bare {{ model "unpriced" }}
route human {{ handoff "people" cost $2.50 limit 3 per day }}
lane standard {{ small -> big -> human {standard} }}
lane premium {{ big {premium} }}
lane tools {{ web }}
lane unpriced {{ bare }}
plan base {{ fee $100 per month includes 100 draft, 50 note overage $2 per draft {base} }}
plan pay {{ overage $1.50 per draft }}
pack burst {{ 7 draft for $10 }}
{file}
workflow support {{
  {workflow}
  outcome draft {{ price $2 lanes standard, premium {outcome} }}
  outcome note {{ price $1 lanes tools }}
  outcome blind {{ price $1 lanes unpriced }}
}}
"""
BLOCKS = ("small", "big", "standard", "premium", "base", "file", "workflow", "outcome")
CENT = 10_000_000
DRAFT = Case("draft", "standard")


def worst(**rules: str) -> Worst:
    return Worst(load(TEXT.format(**dict.fromkeys(BLOCKS, "") | rules)).checked)


def cents(nanos: int | None) -> int | None:
    assert nanos is None or nanos % CENT == 0
    return None if nanos is None else nanos // CENT


@pytest.mark.parametrize(
    ("rules", "small", "big"),
    [
        ({}, None, None),
        ({"big": "ceiling $0.25 per attempt"}, None, 25),
        ({"outcome": "ceiling $0.25 per attempt"}, 25, 25),
        ({"outcome": "ceiling $0.25 per step ceiling $0.30 per outcome"}, 25, 25),
        ({"standard": "ceiling $0.25 per outcome", "big": "ceiling $0.10 per attempt"}, 25, 10),
        ({"outcome": "shadow ceiling $0.25 per attempt"}, None, None),
        ({"outcome": "ceiling $0.25 per day"}, None, None),
        # tokens cost at most the dearer rate
        ({"outcome": "ceiling 1000 tokens per outcome"}, 200, 2000),
        ({"outcome": "ceiling 1000 tokens per step", "big": "ceiling $3 per attempt"}, 200, 300),
        # who and what an execution is decides some conditions, others stay open
        ({"outcome": "ceiling $0.25 per attempt when lane is standard"}, 25, 25),
        ({"outcome": "ceiling $0.25 per attempt when lane is premium"}, None, None),
        ({"outcome": "ceiling $0.25 per attempt when route is big"}, None, 25),
        ({"outcome": "ceiling $0.25 per attempt when plan is base"}, None, None),
        ({"outcome": "ceiling $0.25 per attempt unless plan is base"}, 25, 25),
        ({"outcome": "ceiling $0.25 per attempt when risk is high"}, None, None),
        ({"base": "ceiling $0.25 per attempt"}, None, None),
        ({"file": "ceiling $0.25 per attempt", "workflow": "ceiling $0.20 per attempt"}, 20, 20),
    ],
)
def test_an_attempt(rules: dict[str, str], small: int | None, big: int | None) -> None:
    bounds = worst(**rules)
    assert [cents(bounds.attempt_nanos(DRAFT, route)) for route in ("small", "big")] == [small, big]


@pytest.mark.parametrize(
    ("tokens", "nanos"),
    [
        (100, 200),  # all output, at 2: no request is long
        (101, 303),  # all input, at 3: then it is
        (150, 548),  # 101 of input make it a long one, the others cost 5
        (1000, 4798),
    ],
)
def test_tokens_cost_what_the_worst_mix_of_them_does(tokens: int, nanos: int) -> None:
    rates = Rates(1000, 2000, tiers=(Tier(100, Rates(3000, 5000)),))
    text = TEXT.replace("rates $1 in, $2 out per 1k tokens {small}", "").format(
        **dict.fromkeys(BLOCKS, "") | {"outcome": f"ceiling {tokens} tokens per attempt"}
    )
    found = Worst(load(text, prices=PriceTable(rates={"s": rates})).checked)
    assert found.attempt_nanos(DRAFT, "small") == nanos
    assert nanos == max(rates.worst_nanos(sent, tokens - sent) for sent in range(tokens + 1))


def test_an_attempt_at_a_flat_cost_is_made_at_that_cost_or_not_at_all() -> None:
    case = Case("note", "tools")
    assert cents(worst().attempt_nanos(case, "web")) == 1
    assert cents(worst(workflow="ceiling $0.02 per attempt").attempt_nanos(case, "web")) == 1
    assert worst(workflow="ceiling $0.009 per attempt").attempt_nanos(case, "web") == 0


def test_an_attempt_without_a_price_is_refused() -> None:
    assert worst().attempt_nanos(Case("blind", "unpriced"), "bare") == 0
    assert worst().execution_nanos(Case("blind", "unpriced")) == 0


def test_open_conditions_and_shares_count_where_they_are_asked_for() -> None:
    bounds = worst(outcome="ceiling $0.25 per attempt when risk is high ceiling 40% of price per attempt")
    assert bounds.attempt_nanos(DRAFT, "small") is None
    assert cents(bounds.attempt_nanos(DRAFT, "small", conditional=True)) == 25
    assert cents(bounds.attempt_nanos(DRAFT, "small", price_nanos=200 * CENT)) == 80
    assert cents(bounds.attempt_nanos(DRAFT, "small", price_nanos=10 * CENT, conditional=True)) == 4


@pytest.mark.parametrize(
    ("rules", "most"),
    [
        ({}, None),
        ({"outcome": "ceiling $0.30 per outcome"}, 30),
        ({"outcome": "margin at least 45%"}, None),
        ({"outcome": "ceiling $0.30 per attempt"}, None),  # as many as the caller likes
        ({"outcome": "ceiling $0.30 per attempt ceiling 4 attempts per outcome"}, 120),
        ({"outcome": "ceiling 4 attempts per outcome", "big": "ceiling $0.30 per attempt"}, None),
        (
            {
                "outcome": "ceiling 4 attempts per outcome",
                "big": "ceiling $0.30 per attempt",
                "small": "ceiling $0.05 per attempt",
            },
            120,
        ),
        # route by route: what each may cost of one execution
        ({"big": "ceiling $0.30 per outcome", "small": "ceiling $0.05 per outcome"}, 35),
        ({"big": "ceiling $0.30 per outcome", "small": "ceiling $0.05 per attempt ceiling 2 attempts per outcome"}, 40),
        ({"big": "ceiling $0.30 per outcome"}, None),
        ({"outcome": "ceiling $5 per customer per day"}, None),
        ({"outcome": "ceiling $0.30 per step"}, None),
        ({"outcome": "ceiling $0.30 per step ceiling 2 attempts per outcome"}, 60),
    ],
)
def test_an_execution(rules: dict[str, str], most: int | None) -> None:
    assert cents(worst(**rules).execution_nanos(DRAFT)) == most


def test_an_execution_is_part_of_its_windows() -> None:
    bounds = worst(outcome="ceiling $5 per customer per day", file="ceiling $4 per month")
    assert cents(bounds.execution_nanos(DRAFT, windows=True)) == 400


def test_a_margin_bounds_by_what_comes_in() -> None:
    assert cents(worst(outcome="margin at least 45%").execution_nanos(DRAFT, price_nanos=200 * CENT)) == 110


# ---------------------------------------------------------------- where it goes


def test_the_routes_that_may_be_reached() -> None:
    assert worst().reached(DRAFT) == ("small", "big")
    assert worst(outcome="fallback web on timeout").reached(DRAFT) == ("small", "big", "web")
    assert worst(outcome="fallback web on timeout when lane is premium").reached(DRAFT) == ("small", "big")
    assert worst(premium="fallback web").reached(DRAFT) == ("small", "big")
    assert worst(outcome="fallback human").reached(Case("draft", "premium")) == ("big",)


def test_who_may_enter() -> None:
    bounds = worst(premium="allow when plan is base")
    assert list(bounds.cases("draft")) == [
        Case("draft", "standard"),
        Case("draft", "standard", "base"),
        Case("draft", "premium", "base"),
        Case("draft", "standard", "pay"),
    ]
    assert {case.plan for case in worst(outcome="forbid unless plan in [base, pay]").cases("draft")} == {"base", "pay"}
    assert Case("draft", "standard") in worst(outcome="shadow forbid").cases("draft")
    # a plan that does not sell it, and has no pack of it either
    assert {case.plan for case in worst().cases("note")} == {None, "base"}


# ---------------------------------------------------------------- what it brings in


def test_incomes() -> None:
    bounds = worst()
    pack = Income("pack", "burst", 1_428_571_428)
    share = Income("plan", "base", 100 * 10**9 * 2 // (100 * 2 + 50))
    assert bounds.incomes("draft", None) == (Income("list", "draft", 2 * 10**9), pack)
    assert bounds.incomes("draft", "base") == (share, Income("overage", "base", 2 * 10**9), pack)
    assert bounds.incomes("note", "pay") == ()
    assert bounds.least_income("draft", "base") == share
    assert bounds.least_income("draft", "pay") == pack
    assert bounds.least_income("note", "pay") is None
