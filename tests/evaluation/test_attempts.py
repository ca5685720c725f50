"""`attempt` and `progress`: what fits under which ceiling."""

from typing import Any

import pytest

from policy_engine import FactError
from tests.building import deciding, entries, policy

GO, REFUSE, CUT = "go", "refuse", "cut"


pytestmark = pytest.mark.usefixtures("each_engine")


@pytest.mark.parametrize(
    ("rule", "used", "estimate", "effect"),
    [
        ("ceiling $0.30 per outcome", {"spent per outcome": "0.29"}, "0.01", GO),  # may be reached ...
        ("ceiling $0.30 per outcome", {"spent per outcome": "0.29"}, "0.010000001", REFUSE),  # ... not crossed
        ("ceiling $0.30 per outcome", {"spent per outcome": {"settled": "0.2", "reserved": "0.1"}}, "0.01", REFUSE),
        ("ceiling $0.30 per outcome", {"spent per outcome": "0.30"}, "0", GO),  # nothing asked, nothing refused
        ("ceiling $0.30 per attempt", {"spent per outcome": "9"}, "0.30", GO),
        ("ceiling $0.30 per attempt", {}, "0.31", REFUSE),
        ("ceiling $0.30 per step", {"spent per step": "0.25", "spent per outcome": "0"}, "0.10", REFUSE),
        ("ceiling $9 per customer per day", {"spent of draft per customer per day": "8.5"}, "0.5", GO),
        ("ceiling $9 per customer per day", {"spent of draft per customer per day": "8.5"}, "0.6", REFUSE),
        ("ceiling $9 per day", {"spent of draft per day": None}, "0.1", REFUSE),  # a silent store is no zero
        ("ceiling 2 attempts per outcome", {"attempts per outcome": 1}, "1", GO),
        ("ceiling 2 attempts per outcome", {"attempts per outcome": 2}, "1", REFUSE),
        ("ceiling 2 attempts per step", {"attempts per step": {"settled": 1, "reserved": 1}}, "1", REFUSE),
        ("ceiling 40% of price per outcome", {}, "0.80", GO),  # of $2
        ("ceiling 40% of price per outcome", {}, "0.81", REFUSE),
        ("margin at least 45%", {}, "1.10", GO),
        ("margin at least 45%", {}, "1.100000001", REFUSE),
        ("ceiling $0.10 per outcome when risk is high", {}, "1", GO),
        ("ceiling $0.10 per outcome unless risk is high", {}, "1", REFUSE),
        ("ceiling $0.10 per outcome when vip", {}, "1", REFUSE),  # not known whether: it applies
        ("ceiling $0.10 per outcome when lane is premium", {}, "1", GO),
        ("ceiling $0.10 per outcome when estimate > $0.50", {}, "0.4", GO),
        ("ceiling $0.10 per outcome when estimate > $0.50", {}, "0.6", REFUSE),
        ("shadow ceiling $0.10 per outcome", {}, "1", GO),
    ],
)
def test_ceiling(rule: str, used: dict[str, Any], estimate: str, effect: str) -> None:
    loaded = policy(outcome=rule)
    decision = loaded.attempt(entries(loaded, estimate=estimate, meters=used))
    assert decision.effect == effect
    assert deciding(decision) == ([rule] if effect == REFUSE else [])
    assert decision.reason == ("over_ceiling" if effect == REFUSE else None)


def test_a_share_of_the_price_is_rounded_down() -> None:
    loaded = policy(outcome="ceiling 33% of price per outcome")
    facts = entries(loaded, price="0.000000010", estimate="0.000000003")
    assert loaded.attempt(facts).effect == GO
    assert loaded.attempt(facts | {"estimate": "0.000000004"}).effect == REFUSE  # 3.3 nano units are 3


def test_all_crossed_ceilings_are_named_in_written_order_with_their_numbers() -> None:
    loaded = policy(
        outcome="ceiling $0.50 per outcome as tight ceiling $5 per outcome as loose ceiling 1 attempts per outcome",
        workflow="ceiling $0.20 per customer per day as daily",
    )
    used = {"spent per outcome": "0.4", "attempts per outcome": 1, "spent of support per customer per day": "0.1"}
    decision = loaded.attempt(entries(loaded, estimate="0.2", meters=used))
    assert deciding(decision) == ["daily", "tight", "ceiling 1 attempts per outcome"]
    numbers = [(r.unit, r.limit, r.used, r.asked) for r in decision.rulings]
    assert numbers == [
        ("money", 200_000_000, 100_000_000, 200_000_000),
        ("money", 500_000_000, 400_000_000, 200_000_000),
        ("attempts", 1, 1, 1),
    ]
    assert "limit $0.50, used $0.40, asked $0.20" in str(decision)


@pytest.mark.parametrize(
    ("route", "given", "reserved", "reason"),
    [
        ("mini", {"input_tokens": 1000, "max_output_tokens": 500}, 2_000_000_000, None),
        ("mini", {"input_tokens": 1, "max_output_tokens": 0}, 1_000_000, None),
        ("web", {}, 10_000_000, None),
        ("mini", {"input_tokens": 1000}, None, "estimate_unknown"),  # a priced model without a cap
        ("mini", {"max_output_tokens": 10}, None, "estimate_unknown"),
        ("bare", {"input_tokens": 1, "max_output_tokens": 1}, None, "estimate_unknown"),  # no price at all
        ("bare", {"estimate": "0.25"}, 250_000_000, None),  # stated by the caller
    ],
)
def test_estimate(route: str, given: dict[str, Any], reserved: int | None, reason: str | None) -> None:
    loaded = policy()
    decision = loaded.attempt(entries(loaded, route=route, **given))
    assert (decision.reserved_nanos, decision.reason) == (reserved, reason)
    assert decision.effect == (GO if reserved is not None else REFUSE)
    assert ("estimate" in decision.unknown) == (reserved is None)


def test_estimates_round_up() -> None:
    loaded = policy()
    text = loaded.checked.routes["mini"].rates
    assert text is not None
    assert text.cost_nanos(1, 0) == 1_000_000
    from policy_engine.language.units import Rates

    assert Rates(1, 1).cost_nanos(1, 0) == 1
    assert Rates(999, 1).cost_nanos(1, 1) == 1
    assert Rates(999, 1).cost_nanos(1, 2) == 2


@pytest.mark.parametrize(
    ("rules", "least", "cap", "names"),
    [
        # mini: $0.001 an input token, $0.002 an output token; 100 in, 400 out asked = $0.90
        ("ceiling $0.50 per outcome as a", 1, 200, ["a"]),
        ("ceiling $0.50 per outcome as a ceiling $0.30 per outcome as b", 1, 100, ["b"]),
        ("ceiling $0.501 per outcome as a", 1, 200, ["a"]),  # half a token is none
        ("ceiling 150 tokens per outcome as a", 1, 50, ["a"]),
        ("ceiling 150 tokens per outcome as a ceiling $0.20 per outcome as b", 50, 50, ["a", "b"]),
        ("ceiling $0.90 per outcome as a", 1, 400, []),  # it fits: nothing is shrunk
    ],
)
def test_the_output_cap_shrinks_to_what_fits(rules: str, least: int, cap: int, names: list[str]) -> None:
    loaded = policy(outcome=rules)
    asked = entries(loaded, input_tokens=100, max_output_tokens=400, min_output_tokens=least)
    decision = loaded.attempt(asked)
    assert (decision.effect, decision.output_cap, deciding(decision)) == (GO, cap, names)
    assert decision.reason == ("shrunk" if names else None)
    assert decision.reserved_nanos == 100_000_000 + cap * 2_000_000
    assert decision.reserved_tokens == 100 + cap
    refused = loaded.attempt(asked | {"min_output_tokens": cap + 1}) if names else None
    if refused is not None:
        assert (refused.effect, refused.reason) == (REFUSE, "over_ceiling")


def test_nothing_shrinks_unless_the_caller_says_how_far() -> None:
    loaded = policy(outcome="ceiling $0.50 per outcome")
    decision = loaded.attempt(entries(loaded, input_tokens=100, max_output_tokens=400))
    assert decision.effect == REFUSE
    assert decision.rulings[0].asked == 900_000_000


@pytest.mark.parametrize(
    ("rules", "elapsed", "step_elapsed", "deadline", "effect"),
    [
        ("ceiling 90s per outcome", "30s", 0, 60_000_000, GO),
        ("ceiling 90s per outcome", "90s", 0, None, REFUSE),
        ("ceiling 90s per outcome ceiling 20s per step", "30s", "5s", 15_000_000, GO),
        ("ceiling 90s per outcome ceiling 20s per attempt", "30s", "5s", 20_000_000, GO),
        ("ceiling 90s per outcome when risk is high", "100s", 0, None, GO),
    ],
)
def test_time(rules: str, elapsed: str, step_elapsed: Any, deadline: int | None, effect: str) -> None:
    loaded = policy(outcome=rules)
    facts = entries(loaded, estimate="0", elapsed=elapsed, step_elapsed=step_elapsed)
    decision = loaded.attempt(facts)
    assert (decision.effect, decision.deadline_micros) == (effect, deadline)
    if deadline is not None:
        assert [r.unit for r in decision.rulings] == ["time"]


@pytest.mark.parametrize(
    ("block", "rule", "changed", "applies"),
    [
        ("file", "ceiling $0.10 per attempt", {}, True),
        ("workflow", "ceiling $0.10 per attempt", {}, True),
        ("workflow", "ceiling $0.10 per attempt", {"outcome": "note"}, False),
        ("outcome", "ceiling $0.10 per attempt", {"outcome": "note"}, False),
        ("base", "ceiling $0.10 per attempt", {}, True),
        ("base", "ceiling $0.10 per attempt", {"plan": "pay"}, False),
        ("base", "ceiling $0.10 per attempt", {"plan": None}, False),
        ("standard", "ceiling $0.10 per attempt", {}, True),
        ("standard", "ceiling $0.10 per attempt", {"lane": "premium"}, False),
        ("mini", "ceiling $0.10 per attempt", {}, True),
        ("mini", "ceiling $0.10 per attempt", {"route": "big"}, False),
    ],
)
def test_a_rule_governs_the_block_it_stands_in(block: str, rule: str, changed: dict[str, Any], applies: bool) -> None:
    loaded = policy(**{block: rule})
    assert (loaded.attempt(entries(loaded, estimate="1", **changed)).effect == REFUSE) is applies


def test_a_routes_ceiling_per_outcome_counts_its_own_attempts_only() -> None:
    loaded = policy(mini="ceiling $0.50 per outcome")
    used = {"spent per outcome": "5", "spent of mini per outcome": "0.4"}
    assert loaded.attempt(entries(loaded, estimate="0.1", meters=used)).effect == GO
    assert loaded.attempt(entries(loaded, estimate="0.2", meters=used)).effect == REFUSE


@pytest.mark.parametrize(
    ("used", "asked", "fires"),
    [("0.70", "0.05", []), ("0.75", "0.05", ["80%"]), ("0.80", "0.05", []), ("0.4", "0.5", ["50%", "80%"])],
)
def test_an_alert_fires_where_it_is_first_crossed(used: str, asked: str, fires: list[str]) -> None:
    loaded = policy(file="ceiling $1 per day alert at 50%, 80%")
    decision = loaded.attempt(entries(loaded, estimate=asked, meters={"spent per day": used}))
    assert [alert["percent"] for alert in decision.to_json()["alerts"]] == fires
    refused = loaded.attempt(entries(loaded, estimate="2", meters={"spent per day": used}))
    assert (refused.effect, refused.alerts) == (REFUSE, ())  # what is refused crosses nothing


def test_shadow_verdicts_come_with_numbers_and_decide_nothing() -> None:
    loaded = policy(outcome="shadow ceiling $0.20 per outcome as maybe shadow ceiling $5 per outcome as loose")
    decision = loaded.attempt(entries(loaded, estimate="1"))
    assert decision.effect == GO
    assert [(s.ruling.rule.name, s.refuses, s.ruling.asked) for s in decision.shadow] == [
        ("maybe", True, 1_000_000_000),
        ("loose", False, 1_000_000_000),
    ]
    assert "shadow: `maybe` (limit $0.20, used $0, asked $1)" in str(decision)


def test_a_handoff_is_no_attempt() -> None:
    loaded = policy()
    with pytest.raises(FactError, match="handoff"):
        loaded.attempt(entries(loaded, route="human"))


@pytest.mark.parametrize(
    ("escrow", "estimate", "effect"),
    [({"settled": "1"}, "3", GO), ({"settled": "1", "reserved": "1"}, "3.1", REFUSE), (None, "0", REFUSE)],
)
def test_store_failure_allows_within_an_amount(escrow: Any, estimate: str, effect: str) -> None:
    loaded = policy(file="on store failure allow within $5 ceiling $100 per day", outcome="ceiling $4 per outcome")
    facts = entries(loaded, estimate=estimate, escrow=escrow, meters={"spent per day": None})
    assert loaded.attempt(facts).effect == effect
    # It stands in for windows alone: what one execution has spent is known without the store.
    own = entries(loaded, estimate="0", escrow={"settled": 0}, meters={"spent per outcome": None})
    assert loaded.attempt(own).effect == REFUSE


def test_store_failure_deny_is_the_default() -> None:
    for rules in ("on store failure deny ceiling $100 per day", "ceiling $100 per day"):
        loaded = policy(file=rules)
        facts = entries(loaded, estimate="0.01", escrow={"settled": 0}, meters={"spent per day": None})
        decision = loaded.attempt(facts)
        assert (decision.effect, decision.unknown) == (REFUSE, ("spent per day",))


# ---------------------------------------------------------------- progress


@pytest.mark.parametrize(
    ("changed", "effect", "reason"),
    [
        ({"output_tokens": 400, "output_cap": 400}, GO, None),
        ({"output_tokens": 401, "output_cap": 400}, CUT, "output_cap"),
        ({"output_tokens": 10, "elapsed": "89s"}, GO, None),
        ({"output_tokens": 10, "elapsed": "90s"}, CUT, "deadline"),
        ({"output_tokens": 10, "attempt_elapsed": "30s"}, CUT, "deadline"),
        ({"output_tokens": 451}, CUT, "over_ceiling"),  # $0.10 + 451 x $0.002 is more than $1
        ({"output_tokens": 450}, GO, None),
        ({"output_tokens": 10, "meters": {"spent per outcome": None}}, CUT, "over_ceiling"),
    ],
)
def test_progress(changed: dict[str, Any], effect: str, reason: str | None) -> None:
    loaded = policy(outcome="ceiling $1 per outcome ceiling 90s per outcome ceiling 30s per attempt")
    decision = loaded.progress(entries(loaded, input_tokens=100, **changed))
    assert (decision.effect, decision.reason) == (effect, reason)


def test_progress_of_a_tool_asks_its_flat_cost_and_no_tokens() -> None:
    loaded = policy(outcome="ceiling 5 tokens per outcome ceiling $0.01 per outcome")
    assert loaded.progress(entries(loaded, route="web")).effect == GO
    assert loaded.progress(entries(loaded, route="web", meters={"spent per outcome": "0.001"})).effect == CUT


def test_progress_of_an_unpriced_model_leans_on_what_the_caller_stated() -> None:
    loaded = policy(outcome="ceiling $1 per outcome")
    assert loaded.progress(entries(loaded, route="bare", estimate="1")).effect == GO
    assert loaded.progress(entries(loaded, route="bare", estimate="1.01")).effect == CUT
    assert loaded.progress(entries(loaded, route="bare")).effect == CUT  # nobody knows
