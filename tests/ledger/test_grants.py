"""What plans and packs give: periods in the policy's time zone, joins, expiry."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.evaluation.facts import Grant
from policy_engine.language.checked import CheckedPolicy
from policy_engine.ledger.grants import allowance, bought
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.windows import window_end, window_start
from policy_engine.policy import load
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Denied
from tests.generators.settings import examples
from tests.ledger.test_windows import ZONES, at

DAY = 86_400 * 10**6


def checked(period: str = "month", units: int = 300, zone: str = "UTC") -> CheckedPolicy:
    return load(
        f"""
        currency USD
        timezone "{zone}"
        route web {{ tool "web"  cost $0.01 }}
        lane standard {{ web }}
        plan base {{ fee $300 per {period}  includes {units} draft }}
        pack burst {{ 10 draft for $15  expires 30d }}
        pack lasting {{ 3 draft for $10 }}
        workflow support {{ outcome draft {{ price $2  lanes standard }} }}
        """
    ).checked


def given_now(
    now: str, joined: str | None = None, *, period: str = "month", units: int = 300, zone: str = "UTC"
) -> Grant:
    policy = checked(period, units, zone)
    joined_micros = None if joined is None else at(joined)
    return allowance(policy, policy.plans["base"], "acme", "draft", at(now), joined_micros)


@pytest.mark.parametrize(
    ("period", "now", "joined", "units"),
    [
        ("month", "2026-11-22T12:00", None, 300),
        ("month", "2026-11-22T12:00", "2026-10-30T00:00", 300),  # joined in an earlier period
        ("month", "2026-11-22T12:00", "2026-11-01T00:00", 300),
        ("month", "2026-11-22T12:00", "2026-11-01T23:59", 300),  # the day counts, not the hour
        ("month", "2026-11-22T12:00", "2026-11-16T12:00", 150),
        ("month", "2026-11-30T12:00", "2026-11-30T11:00", 10),
        ("month", "2028-02-29T12:00", "2028-02-29T11:00", 11),  # 300 / 29, rounded up
        ("month", "2026-12-01T00:00", "2026-11-30T23:00", 300),  # in full from the next period on
        ("week", "2026-11-22T12:00", "2026-11-22T11:00", 43),  # a Sunday: one day of seven
        ("week", "2026-11-22T12:00", "2026-11-16T11:00", 300),
        ("day", "2026-11-22T12:00", "2026-11-22T11:00", 300),
    ],
)  # fmt: skip
def test_units_of_a_period(period: str, now: str, joined: str | None, units: int) -> None:
    assert given_now(now, joined, period=period).left == units


def test_periods_follow_the_time_zone_of_the_policy() -> None:
    """Half past eleven in the evening of June in UTC is July in Berlin."""
    grant = given_now("2026-06-30T22:30", zone="Europe/Berlin")
    assert grant.id == "base/acme/draft/2026-07"
    assert (grant.effective_micros, grant.expires_micros) == (at("2026-06-30T22:00"), at("2026-07-31T22:00"))
    assert given_now("2026-11-16T12:00", "2026-11-15T23:30", zone="Europe/Berlin").left == 150  # the 16th there


def test_a_price_per_unit_is_the_fee_shared_out() -> None:
    assert given_now("2026-11-22T12:00").price_nanos == 10**9
    assert given_now("2026-11-22T12:00", "2026-11-16T12:00").price_nanos == 10**9


def test_whoever_joins_keeps_the_share_for_the_period() -> None:
    """The full lot of the same period, asked for by the next execution, has the same id and changes nothing."""
    ledger = MemoryLedger()
    assert ledger.add_grant("acme", "draft", given_now("2026-11-16T12:00", "2026-11-16T12:00"))
    assert not ledger.add_grant("acme", "draft", given_now("2026-11-17T12:00"))
    assert ledger.add_grant("acme", "draft", given_now("2026-12-01T12:00"))
    assert [g.left for g in ledger.grants("acme", "draft", at("2026-11-30T23:59")) or ()] == [150]
    assert [g.left for g in ledger.grants("acme", "draft", at("2026-12-01T00:00")) or ()] == [300]


@pytest.mark.parametrize(
    ("pack", "units", "price", "lasts"), [("burst", 10, 15 * 10**8, 30), ("lasting", 3, 3_333_333_333, None)]
)
def test_packs(pack: str, units: int, price: int, lasts: int | None) -> None:
    now = at("2026-11-22T12:00")
    grant = bought(checked().packs[pack], "acme", "order 7", now)
    assert (grant.id, grant.kind, grant.left, grant.price_nanos) == (f"{pack}/acme/order 7", "pack", units, price)
    assert grant.expires_micros == (None if lasts is None else now + lasts * DAY)
    assert (grant.effective_micros, grant.created_micros) == (now, now)


def test_no_two_customers_share_a_lot() -> None:
    pack = checked().packs["burst"]
    ids = {bought(pack, customer, key, 0).id for customer, key in (("a/b", "c"), ("a", "b/c"), ("a%2Fb", "c"))}
    assert len(ids) == 3


@examples(200)
@given(
    now=st.integers(0, 4 * 10**15),
    since=st.integers(0, 40 * DAY),
    zone=st.sampled_from(ZONES),
    period=st.sampled_from(("day", "week", "month")),
    units=st.integers(1, 10_000),
)
def test_a_share_is_never_more_than_all_and_never_nothing(
    now: int, since: int, zone: str, period: str, units: int
) -> None:
    policy = checked(period, units, zone)
    grant = allowance(policy, policy.plans["base"], "acme", "draft", now, max(0, now - since))
    assert 1 <= grant.left <= units
    assert grant.effective_micros == window_start(period, now, zone) <= now
    assert now < window_end(period, now, zone) == grant.expires_micros
    later = allowance(policy, policy.plans["base"], "acme", "draft", now, now)
    assert later.left <= grant.left  # who joins later gets no more


def test_a_customer_joins_in_the_middle_of_a_month() -> None:
    """Fifteen days of thirty are left: one unit of the two. The next month has both."""
    policy = load(
        """
        currency USD
        route web { tool "web"  cost $0.01 }
        lane standard { web }
        plan base { fee $3 per month  includes 2 draft }
        workflow support { outcome draft { price $2  lanes standard } }
        """
    )
    clock = PinnedClock(at("2026-11-16T12:00"))
    engine = Engine(policy, ledger=MemoryLedger(), clock=clock)
    assert [grant.left for grant in engine.join("acme", "base")] == [1]
    assert [grant.left for grant in engine.join("acme", "base")] == [1]  # once more: nothing more

    def deliver() -> None:
        with engine.execution("draft", customer="acme", plan="base") as run:
            run.deliver()

    deliver()
    with pytest.raises(Denied) as denied:
        deliver()
    assert denied.value.decision.reason == "allowance_spent"
    clock.set(at("2026-12-01T00:00"))
    deliver()
    deliver()
    with pytest.raises(Denied):
        deliver()
