"""Attempts on a route whose price depends on its length: the estimate, and the largest cap that still fits."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import policy_engine
from policy_engine.language.units import Rates, Tier
from policy_engine.prices.table import PriceTable
from tests.engines import each_engine
from tests.generators.settings import examples

__all__ = ["each_engine"]

# $3 and $15 per million tokens, above 1,000 tokens $6 and $30; what is read from the cache is cheaper,
# what is written to it dearer.
RATES = Rates(
    3_000_000,
    15_000_000,
    cached_read_picos=300_000,
    cached_write_picos=4_000_000,
    tiers=(Tier(1_000, Rates(6_000_000, 30_000_000, cached_write_picos=8_000_000)),),
)
POLICY = """
currency USD
route long {{ model "m:long" {ceiling} }}
lane l {{ long }}
workflow w {{ outcome o {{ price $1 lanes l }} }}
"""
TABLE = PriceTable(rates={"m:long": RATES})


def asked(policy: policy_engine.Policy, **entries: Any) -> Any:
    known = {"customer": "acme", "outcome": "o", "lane": "l", "route": "long", "step": "s", "price": "1"}
    return policy.attempt({**known, "meters": dict.fromkeys(policy.boundary.meters, 0), **entries})


def load(ceiling: str = "") -> policy_engine.Policy:
    return policy_engine.load(POLICY.format(ceiling=ceiling), prices=TABLE)


@pytest.mark.parametrize(
    ("sent", "cap", "nanos"),
    [
        (0, 0, 0),
        (999, 100, 5_496_000),  # 999 x $4 + 100 x $15, per million
        (1_000, 100, 5_500_000),
        (1_001, 100, 11_008_000),  # x $8 and $30: all of it
        (5_000, 0, 40_000_000),
    ],
)
def test_the_estimate_at_the_edge_of_a_tier(each_engine: str, sent: int, cap: int, nanos: int) -> None:
    decision = asked(load(), input_tokens=sent, max_output_tokens=cap)
    assert (decision.effect, decision.reserved_nanos, decision.output_cap) == ("go", nanos, cap)


@pytest.mark.parametrize(
    ("sent", "cap", "effect", "reserved"),
    [
        # under $0.01: what is left of 10,000,000 nanos after the input, by 15,000 or 30,000 each
        (0, 666, "go", 9_990_000),
        (999, 400, "go", 9_996_000),  # 3,996,000 for the input leaves 400.27
        (1_000, 400, "go", 10_000_000),  # to the last nano
        (1_001, 66, "go", 9_988_000),  # 8,008,000 for the input leaves 66.4
        (1_250, 0, "go", 10_000_000),
        (1_251, None, "refuse", None),
    ],
)
def test_the_largest_cap_that_still_fits(
    each_engine: str, sent: int, cap: int | None, effect: str, reserved: int | None
) -> None:
    policy = load("ceiling $0.01 per attempt")
    decision = asked(policy, input_tokens=sent, max_output_tokens=1_000, min_output_tokens=0)
    assert (decision.effect, decision.output_cap, decision.reserved_nanos) == (effect, cap, reserved)
    if cap is not None:
        exact = asked(policy, input_tokens=sent, max_output_tokens=cap)
        assert (exact.effect, exact.reason) == ("go", None)
        assert asked(policy, input_tokens=sent, max_output_tokens=cap + 1).effect == "refuse"


@pytest.mark.parametrize(
    ("sent", "received", "effect"),
    [
        (1_000, 400, "go"),
        (1_000, 401, "cut"),
        (1_001, 66, "go"),
        (1_001, 67, "cut"),
    ],
)
def test_a_stream_is_cut_where_its_worst_case_crosses(each_engine: str, sent: int, received: int, effect: str) -> None:
    policy = load("ceiling $0.01 per attempt")
    known = {"customer": "acme", "outcome": "o", "lane": "l", "route": "long", "step": "s", "price": "1"}
    said = policy.progress({**known, "input_tokens": sent, "output_tokens": received, "meters": {}})
    assert said.effect == effect


BOUND = load("ceiling $0.01 per attempt")


@examples(200)
@given(st.integers(0, 1_500), st.integers(0, 1_500), st.data())
def test_what_is_reserved_covers_every_actual_and_fits_the_ceiling(sent: int, wanted: int, data: st.DataObject) -> None:
    decision = asked(BOUND, input_tokens=sent, max_output_tokens=wanted, min_output_tokens=0)
    if decision.effect == "refuse":
        assert RATES.worst_nanos(sent, 0) > 10_000_000
        return
    assert decision.reserved_nanos <= 10_000_000
    used = data.draw(st.integers(0, sent))
    read = data.draw(st.integers(0, used))
    actual = RATES.cost_nanos(
        used,
        data.draw(st.integers(0, decision.output_cap)),
        cached_read_tokens=read,
        cached_write_tokens=data.draw(st.integers(0, used - read)),
    )
    assert actual <= decision.reserved_nanos
