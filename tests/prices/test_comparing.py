"""Which rates differ, and what that does to the most that a policy permits."""

from fractions import Fraction

import pytest
from hypothesis import given

from policy_engine.analysis.repricing import moves
from policy_engine.language.units import Rates, Tier
from policy_engine.policy import load
from policy_engine.prices.comparing import changes, percent
from policy_engine.prices.table import PriceTable
from tests.generators.settings import examples
from tests.prices.test_rates import tiered

BASE = Rates(3, 15, cached_read_picos=1)
LONG = Rates(3, 15, cached_read_picos=1, tiers=(Tier(200, Rates(6, 22)),))


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (BASE, BASE, []),
        (BASE, Rates(3, 16, cached_read_picos=1), [("output", 15, 16)]),
        (BASE, Rates(3, 15), [("read from the cache", 1, None)]),
        (Rates(3, 15), BASE, [("read from the cache", None, 1)]),
        # a new tier is told against what held there before
        (Rates(3, 15), Rates(3, 15, tiers=(Tier(200, Rates(6, 15)),)), [("input above 200 tokens", 3, 6)]),
        (Rates(3, 15, tiers=(Tier(200, Rates(6, 15)),)), Rates(3, 15), [("input above 200 tokens", 6, 3)]),
        (LONG, BASE, [("input above 200 tokens", 6, 3), ("output above 200 tokens", 22, 15)]),
        (BASE, Rates(3, 15, 1, batch=Rates(1, 7)), [("input in a batch", None, 1), ("output in a batch", None, 7)]),
        (
            Rates(3, 15, batch=Rates(1, 7, tiers=(Tier(1000, Rates(2, 7)),))),
            Rates(3, 15, batch=Rates(1, 7, tiers=(Tier(1000, Rates(4, 7)),))),
            [("input in a batch above 1,000 tokens", 2, 4)],
        ),
    ],
)
def test_every_rate_that_differs(old: Rates, new: Rates, found: list[tuple[str, int | None, int | None]]) -> None:
    assert [(each.words, each.old_picos, each.new_picos) for each in changes(old, new)] == found


@pytest.mark.parametrize(
    ("old", "new", "more"),
    [(2, 3, 50), (3, 2, Fraction(-100, 3)), (2, 0, -100), (0, 2, None), (None, 2, None), (2, None, None)],
)
def test_percent(old: int | None, new: int | None, more: int | Fraction | None) -> None:
    assert percent(old, new) == more


@examples(200)
@given(tiered(), tiered())
def test_nothing_differs_only_where_all_is_charged_alike(one: Rates, other: Rates) -> None:
    assert changes(one, one) == ()
    if not changes(one, other):
        assert [one.cost_nanos(n, n) for n in (0, 7, 999, 5000)] == [other.cost_nanos(n, n) for n in (0, 7, 999, 5000)]


POLICY = """
currency USD
route a { model "a" ceiling 10k tokens per attempt }
route b { model "b" }
lane l { a ceiling 20k tokens per outcome as in_lane }
lane m { b }
plan p { includes 1 o }
plan q { includes 1 o ceiling 1 attempts per outcome }
ceiling 1M tokens per day
workflow w { outcome o { price $1 lanes l, m
  ceiling 2 attempts per outcome ceiling 50k tokens per attempt when plan is p } }
"""
CENT = 10**7


def test_what_moves_is_told_once() -> None:
    def priced(picos: int) -> PriceTable:
        return PriceTable(rates={"a": Rates(picos, picos), "b": Rates(10**6, 10**6)})

    found = moves(*(load(POLICY, prices=priced(picos)).checked for picos in (10**6, 2 * 10**6)))
    assert [(move.ceiling.name, move.old_nanos, move.new_nanos) for move in found if move.ceiling is not None] == [
        ("ceiling 10k tokens per attempt", 1 * CENT, 2 * CENT),
        ("in_lane", 2 * CENT, 4 * CENT),
        ("ceiling 1M tokens per day", 100 * CENT, 200 * CENT),
        ("ceiling 50k tokens per attempt when plan is p", 5 * CENT, 10 * CENT),
    ]
    cases = [(str(move.case), move.old_nanos, move.new_nanos) for move in found if move.case is not None]
    assert cases == [
        ("`o` in lane `l` without a plan", 2 * CENT, 4 * CENT),
        ("`o` in lane `l` for plan `q`", 1 * CENT, 2 * CENT),
    ]
    same = load(POLICY, prices=priced(5)).checked
    assert moves(same, same) == ()
