"""What tokens cost: hand-computed at every edge of a tier, and an estimate that no actual exceeds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.language.units import Rates, Step, Tier
from tests.generators.settings import examples

PLAIN = Rates(3_000_000, 15_000_000)  # $3 and $15 per million
LONG = Rates(
    3_000_000,
    15_000_000,
    cached_read_picos=300_000,
    cached_write_picos=3_750_000,
    tiers=(
        Tier(200_000, Rates(6_000_000, 22_500_000, cached_read_picos=600_000, cached_write_picos=7_500_000)),
        Tier(500_000, Rates(12_000_000, 45_000_000)),
    ),
)


@pytest.mark.parametrize(
    ("input_tokens", "output_tokens", "nanos"),
    [
        (0, 0, 0),
        (1, 0, 3_000),
        (0, 1, 15_000),
        (1_000_000, 1_000_000, 18_000_000_000),  # no tier, however long
    ],
)
def test_plain_rates_are_an_estimate_and_a_cost(input_tokens: int, output_tokens: int, nanos: int) -> None:
    assert PLAIN.worst_nanos(input_tokens, output_tokens) == nanos
    assert PLAIN.cost_nanos(input_tokens, output_tokens) == nanos


@pytest.mark.parametrize(
    ("input_tokens", "worst", "cost"),
    [
        # 1,000 output tokens each; at worst all input is written to the cache
        (0, 15_000_000, 15_000_000),
        (199_999, 764_996_250, 614_997_000),  # 199,999 x $3.75 or $3 per million
        (200_000, 765_000_000, 615_000_000),  # the edge belongs to the tier below it
        (200_001, 1_522_507_500, 1_222_506_000),  # x $7.50 or $6, all of it, and $22.50 for the output
        (500_000, 3_772_500_000, 3_022_500_000),
        (500_001, 6_045_012_000, 6_045_012_000),  # x $12 and $45; nothing is said of caches there
        (10_000_000, 120_045_000_000, 120_045_000_000),
    ],
)
def test_a_crossed_tier_reprices_the_whole_request(input_tokens: int, worst: int, cost: int) -> None:
    assert LONG.worst_nanos(input_tokens, 1_000) == worst
    assert LONG.cost_nanos(input_tokens, 1_000) == cost


@pytest.mark.parametrize(
    ("used", "nanos"),
    [
        ({}, 300_000_000),  # 100,000 x $3
        ({"cached_read_tokens": 90_000}, 57_000_000),  # 10,000 x $3 + 90,000 x $0.30
        ({"cached_write_tokens": 90_000}, 367_500_000),  # 10,000 x $3 + 90,000 x $3.75
        ({"cached_hour_write_tokens": 90_000}, 367_500_000),  # as other writes, where nothing else is said
        ({"cached_read_tokens": 50_000, "cached_write_tokens": 50_000}, 202_500_000),
        ({"cached_read_tokens": 150_000}, 45_000_000),  # more than the whole: it was left out of the count
        ({"cached_read_tokens": 300_000}, 180_000_000),  # and by that count the request is a long one
        ({"batch": True}, 300_000_000),  # there are no rates for batches
    ],
)
def test_what_is_cached_is_charged_at_its_own_rate(used: dict[str, int], nanos: int) -> None:
    assert LONG.cost_nanos(100_000, 0, **used) == nanos  # type: ignore[arg-type]  # `batch` is a truth value


def test_an_hour_in_the_cache_and_a_batch_have_rates_of_their_own() -> None:
    rates = Rates(
        3_000_000,
        15_000_000,
        cached_write_picos=3_750_000,
        cached_hour_write_picos=6_000_000,
        batch=Rates(1_500_000, 7_500_000, tiers=(Tier(10, Rates(3_000_000, 11_250_000)),)),
    )
    assert rates.worst_nanos(1_000, 0) == 6_000_000
    assert rates.cost_nanos(1_000, 0, cached_hour_write_tokens=1_000) == 6_000_000
    assert rates.cost_nanos(10, 10, batch=True) == 90_000
    assert rates.cost_nanos(11, 10, batch=True) == 145_500


def test_the_dearest_kind_of_token_is_estimated_and_text_is_charged() -> None:
    rates = Rates(300_000, 2_500_000, dearest_input_picos=1_000_000, dearest_output_picos=30_000_000)
    assert rates.worst_nanos(1_000, 100) == 4_000_000
    assert rates.cost_nanos(1_000, 100) == 550_000


@pytest.mark.parametrize(
    ("used", "nanos"),
    [
        ({"media_input_tokens": 400}, 400 * 1_000 + 600 * 300 + 250_000),
        # At worst it is what would have been read from the cache: 200 of that are left.
        ({"media_input_tokens": 400, "cached_read_tokens": 600}, 400 * 1_000 + 200 * 30 + 400 * 300 + 250_000),
        ({"media_input_tokens": 5_000}, 1_250_000),  # more than there are
        ({"media_output_tokens": 40}, 300_000 + 60 * 2_500 + 40 * 30_000),
        ({"media_output_tokens": 40, "batch": True}, 150_000 + 60 * 1_250 + 40 * 15_000),
    ],
)
def test_what_is_known_to_be_no_text_is_charged_as_the_dearest_kind(used: dict[str, int], nanos: int) -> None:
    rates = Rates(
        300_000,
        2_500_000,
        cached_read_picos=30_000,
        dearest_input_picos=1_000_000,
        dearest_output_picos=30_000_000,
        batch=Rates(150_000, 1_250_000, dearest_output_picos=15_000_000),
    )
    assert rates.cost_nanos(1_000, 100, **used) == nanos  # type: ignore[arg-type]  # `batch` is a truth value


def test_fractions_of_a_nano_unit_are_rounded_up_once() -> None:
    rates = Rates(1, 1, tiers=(Tier(1_000, Rates(1_001, 1)),))
    assert rates.worst_nanos(1, 0) == rates.worst_nanos(500, 500) == 1
    assert rates.worst_nanos(500, 501) == 2
    assert rates.worst_nanos(1_001, 0) == 1_003  # 1,002,001 picos


@pytest.mark.parametrize(
    ("rates", "steps"),
    [
        (PLAIN, (Step(0, 3_000_000, 15_000_000),)),
        (Rates(1, 2, cached_read_picos=0), (Step(0, 1, 2),)),
        # A longer request may be cheaper, and a request may turn out shorter than said.
        (Rates(5, 5, tiers=(Tier(10, Rates(1, 9)), Tier(20, Rates(4, 4)))), (Step(0, 5, 5), Step(10, 5, 9))),
        # Tiers of a batch count like any.
        (Rates(5, 5, batch=Rates(2, 2, tiers=(Tier(7, Rates(6, 2)),))), (Step(0, 5, 5), Step(7, 6, 5))),
        (Rates(5, 5, tiers=(Tier(7, Rates(6, 6)),), batch=Rates(2, 2, tiers=(Tier(7, Rates(7, 3)),))),
         (Step(0, 5, 5), Step(7, 7, 6))),
        (Rates(5, 5, dearest_input_picos=9, tiers=(Tier(7, Rates(6, 6)),)), (Step(0, 9, 5), Step(7, 9, 6))),
    ],
)  # fmt: skip
def test_the_worst_case_by_steps(rates: Rates, steps: tuple[Step, ...]) -> None:
    assert rates.steps == steps


@pytest.mark.parametrize(
    ("nanos", "input_tokens", "cap"),
    [
        (15_000_000 + 750_000_000, 200_000, 1_000),  # exactly what the estimate above says
        (15_000_000 + 750_000_000 - 1, 200_000, 999),
        (15_000_000 + 750_000_000, 200_001, -32_667),  # the next tier: not even its input is paid for
        (1_522_507_500, 200_001, 1_000),
        (1_522_507_499, 200_001, 999),
        (6_045_012_000, 500_001, 1_000),
    ],
)
def test_the_output_that_an_amount_pays_for(nanos: int, input_tokens: int, cap: int) -> None:
    assert LONG.output_tokens_within(nanos, input_tokens) == cap


def test_output_may_be_free_up_to_some_step() -> None:
    rates = Rates(10, 0, tiers=(Tier(4, Rates(10, 5_000)),))
    assert rates.output_tokens_within(0, 4) is None
    assert rates.output_tokens_within(10, 5) == 1


# ---------------------------------------------------------------- properties

PICOS = st.integers(0, 10**8)
MAYBE = st.none() | PICOS
COUNTS = st.integers(0, 2_000)


def flat() -> st.SearchStrategy[Rates]:
    return st.builds(Rates, PICOS, PICOS, MAYBE, MAYBE, MAYBE, MAYBE, MAYBE)


@st.composite
def tiered(draw: st.DrawFn) -> Rates:
    base = draw(flat())
    above = sorted(draw(st.sets(COUNTS, max_size=3)))
    tiers = tuple(Tier(count, draw(flat())) for count in above)
    values = (base.input_picos, base.output_picos, base.cached_read_picos, base.cached_write_picos)
    batch = draw(st.none() | flat())
    dearest = (base.dearest_input_picos, base.dearest_output_picos)
    return Rates(*values, base.cached_hour_write_picos, *dearest, tiers=tiers, batch=batch)


@examples(300)
@given(tiered(), st.tuples(COUNTS, COUNTS), st.data())
def test_no_actual_within_the_caps_costs_more_than_the_estimate(
    rates: Rates, caps: tuple[int, int], data: st.DataObject
) -> None:
    sent, received = (data.draw(st.integers(0, cap)) for cap in caps)
    read = data.draw(st.integers(0, sent))
    written = data.draw(st.integers(0, sent - read))
    for_an_hour = data.draw(st.integers(0, sent - read - written))
    actual = rates.cost_nanos(
        sent,
        received,
        cached_read_tokens=read,
        cached_write_tokens=written,
        cached_hour_write_tokens=for_an_hour,
        batch=data.draw(st.booleans()),
        media_input_tokens=data.draw(st.integers(0, sent)),
        media_output_tokens=data.draw(st.integers(0, received)),
    )
    assert actual <= rates.worst_nanos(*caps)


@examples(300)
@given(tiered(), st.integers(0, 10**9), COUNTS)
def test_the_largest_cap_fits_and_one_more_does_not(rates: Rates, nanos: int, sent: int) -> None:
    cap = rates.output_tokens_within(nanos, sent)
    if cap is None:
        assert rates.worst_nanos(sent, 10**9) == rates.worst_nanos(sent, 0)
        return
    assert rates.worst_nanos(sent, cap + 1) > nanos
    if cap >= 0:
        assert rates.worst_nanos(sent, cap) <= nanos
    else:
        assert rates.worst_nanos(sent, 0) > nanos


@examples(100)
@given(tiered(), COUNTS, COUNTS, COUNTS, COUNTS)
def test_more_tokens_never_cost_less_at_worst(rates: Rates, sent: int, received: int, more: int, much: int) -> None:
    assert rates.worst_nanos(sent, received) <= rates.worst_nanos(sent + more, received + much)
    assert rates.worst_nanos(sent, received) <= -(-rates.dearest_picos * (sent + received) // 1000)
