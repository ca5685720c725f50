"""The checker: what a valid set becomes."""

from fractions import Fraction
from pathlib import Path

import pytest

from policy_engine.language.checked import (
    FILE_LEVEL,
    AllowRule,
    BlockId,
    CeilingRule,
    CheckedPolicy,
    FallbackRule,
    ForbidRule,
    LimitRule,
    Overage,
    RetryRule,
    Rule,
    Scope,
)
from policy_engine.language.units import Rates
from policy_engine.language.vocabulary import ERROR_CLASSES, Point, Unit
from policy_engine.policy import compile_sources
from tests.language.checking import checked

PAGE = (Path(__file__).parent.parent / "data" / "page.policy").read_text(encoding="utf-8")
DOLLAR = 10**9
SECOND = 10**6
EVERY_CLASS = frozenset(ERROR_CLASSES)
NOT_RETRIED = {"auth", "over_ceiling", "cancelled"}


# ---------------------------------------------------------------- the one page


@pytest.fixture(scope="module")
def page() -> CheckedPolicy:
    return checked(PAGE)


def test_page_settings(page: CheckedPolicy) -> None:
    assert (page.currency, page.timezone, page.escrow_nanos) == ("USD", "Europe/Berlin", None)
    assert page.error_classes == ERROR_CLASSES
    assert [source.name for source in page.sources] == ["a.policy"]
    assert len(page.digest) == 64


def test_page_facts(page: CheckedPolicy) -> None:
    risk, confidence, region = (page.facts[name] for name in ("risk", "confidence", "region"))
    assert (risk.unit, risk.values, risk.ordered, risk.optional) == (Unit.ENUM, ("low", "medium", "high"), True, False)
    assert [confidence.low, confidence.high, confidence.default] == [0, 1, 1]
    assert (region.values, region.ordered, region.optional) == (("eu", "us", "apac"), False, True)


def test_page_routes(page: CheckedPolicy) -> None:
    mini, search, tier2 = page.routes["mini"], page.routes["search"], page.routes["tier2"]
    assert (mini.kind, mini.reference) == ("model", "openai:gpt-4o-mini")
    assert (mini.rates, mini.cost_nanos) == (Rates(150_000, 600_000), None)
    assert (search.kind, search.reference, search.rates, search.cost_nanos) == ("tool", "web", None, DOLLAR // 100)
    assert (tier2.kind, tier2.reference, tier2.cost_nanos) == ("handoff", "support tier 2", 5 * DOLLAR // 2)
    (retry,) = mini.rules.retries
    assert [retry.count, retry.classes] == [2, {"timeout", "rate_limit"}]
    assert (retry.first_micros, retry.longest_micros) == (SECOND // 4, 4 * SECOND)
    (cap,) = page.routes["sonnet"].rules.ceilings
    assert (cap.quantity, cap.limit, cap.scope) == ("spent", 12 * DOLLAR // 100, Scope(execution="attempt"))
    (limit,) = tier2.rules.limits
    assert (limit.count, limit.scope, limit.block) == (40, Scope(window="day"), BlockId("route", "tier2"))


def test_page_lanes(page: CheckedPolicy) -> None:
    premium = page.lanes["premium"]
    assert page.lanes["standard"].path == ("mini", "sonnet", "tier2")
    assert premium.title == "advanced reasoning for high-risk tasks"
    assert [len(x) for x in (premium.rules.allows, premium.rules.forbids, premium.rules.limits)] == [1, 1, 1]
    (limit,) = premium.rules.limits
    assert (limit.count, limit.scope) == (50, Scope(key="customer", window="month"))
    assert str(limit.meter) == "count of premium per customer per month"


def test_page_plans_and_pack(page: CheckedPolicy) -> None:
    base, growth = page.plans["base"], page.plans["growth"]
    assert (base.fee_nanos, base.period, base.includes) == (199 * DOLLAR, "month", {"support_draft": 300})
    assert isinstance(base.overage, Overage)
    assert base.overage.prices_nanos == {"support_draft": 99 * DOLLAR // 100}
    assert (base.overage.cap_nanos, base.overage.period) == (500 * DOLLAR, "month")
    assert base.overage.ref.text == "overage $0.99 per support_draft up to $500 per month"
    assert growth.includes == {"support_draft": 2000, "account_summary": 120}
    assert growth.overage is not None
    assert (growth.overage.cap_nanos, growth.overage.period) == (None, None)
    burst = page.packs["burst"]
    assert (burst.outcome, burst.units, burst.price_nanos) == ("support_draft", 100, 65 * DOLLAR)
    assert burst.expires_micros == 90 * 86_400 * SECOND


def test_page_outcome(page: CheckedPolicy) -> None:
    draft = page.outcomes["support_draft"]
    assert (draft.workflow, draft.price_nanos, draft.lanes) == ("support", 99 * DOLLAR // 100, ("premium", "standard"))
    assert (draft.accepted_within_micros, draft.else_expired) == (72 * 3600 * SECOND, False)
    margin, cap, attempts, time, shadow = draft.rules.ceilings
    assert [margin.is_margin, margin.percent_of_price, margin.limit] == [True, 55, None]
    assert (margin.quantity, margin.scope) == ("spent", Scope(execution="outcome"))
    assert (cap.ref.name, cap.limit, cap.is_margin) == ("draft_cap", 3 * DOLLAR // 10, False)
    assert cap.ref.text == "ceiling $0.30 per outcome when lane is standard as draft_cap"
    assert (attempts.quantity, attempts.limit) == ("attempts", 6)
    assert (time.quantity, time.limit) == ("elapsed", 90 * SECOND)
    assert (shadow.shadow, shadow.limit) == (True, DOLLAR // 5)
    (retry,) = draft.rules.retries
    assert [retry.count, retry.classes, retry.first_micros, retry.longest_micros] == [1, {"invalid_output"}, 0, None]
    first, second, third = draft.rules.fallbacks
    assert [first.target, first.classes] == ["mini", {"over_ceiling"}]
    assert (second.target, second.classes) == ("tier2", EVERY_CLASS - {"cancelled"})
    assert [third.target, len(third.classes), third.points] == ["next", 5, {Point.FAILURE}]


def test_page_workflows(page: CheckedPolicy) -> None:
    assert page.workflows["support"].outcomes == ("support_draft",)
    (cap,) = page.workflows["support"].rules.ceilings
    assert (cap.block, cap.scope) == (BlockId("workflow", "support"), Scope(key="customer", window="day"))
    (total,) = page.rules.ceilings
    assert [total.block, total.limit, *total.alerts] == [FILE_LEVEL, 2000 * DOLLAR, 80]
    assert (total.ref.place, total.ref.name) == ("a.policy:29:1", "ceiling $2000 per day alert at 80%")
    (any_class,) = page.outcomes["account_summary"].rules.fallbacks
    assert any_class.classes == EVERY_CLASS - {"cancelled"}


# ---------------------------------------------------------------- other valid statements


def test_empty_set() -> None:
    policy = checked("")
    assert (policy.currency, policy.timezone, list(policy.every_rule())) == ("USD", "UTC", [])
    assert compile_sources([])[0] is not None


def only(policy: CheckedPolicy, kind: type[Rule]) -> Rule:
    (rule,) = [rule for rule in policy.every_rule() if isinstance(rule, kind)]
    return rule


@pytest.mark.parametrize(
    ("text", "quantity", "limit", "share", "scope"),
    [
        ("ceiling 6 attempts per step", "attempts", 6, None, Scope(execution="step")),
        ("ceiling 1 attempt per outcome", "attempts", 1, None, Scope(execution="outcome")),
        ("ceiling 200k tokens per attempt", "tokens", 200_000, None, Scope(execution="attempt")),
        ("ceiling 1M tokens per outcome per day", "tokens", 10**6, None, Scope(key="outcome", window="day")),
        ("ceiling 1.5s per step", "elapsed", 1_500_000, None, Scope(execution="step")),
        ("ceiling 40% of price per attempt", "spent", None, 40, Scope(execution="attempt")),
        ("ceiling 150% of price per outcome", "spent", None, 150, Scope(execution="outcome")),
        ("ceiling $1 per route per minute", "spent", DOLLAR, None, Scope(key="route", window="minute")),
        ("ceiling 0.5 USD per lane per week", "spent", DOLLAR // 2, None, Scope(key="lane", window="week")),
    ],
)
def test_ceiling(text: str, quantity: str, limit: int | None, share: int | None, scope: Scope) -> None:
    rule = only(checked("currency USD", text), CeilingRule)
    assert isinstance(rule, CeilingRule)
    assert (rule.quantity, rule.limit, rule.percent_of_price, rule.scope) == (quantity, limit, share, scope)


def test_rules_of_every_kind() -> None:
    policy = checked(
        """
        error stale_index
        retry 0
        retry 3 on any backoff 2s
        allow when customer is "acme"
        shadow forbid
        limit 10 per plan per week alert at 50%, 80% as weekly
        fallback stop
        """
    )
    none, some = policy.rules.retries
    assert (none.count, none.classes) == (0, EVERY_CLASS - NOT_RETRIED | {"stale_index"})
    assert (some.classes, some.first_micros, some.longest_micros) == (none.classes, 2 * SECOND, None)
    (limit,) = policy.rules.limits
    assert [*limit.alerts, limit.ref.name] == [50, 80, "weekly"]
    (forbid,) = policy.rules.forbids
    assert forbid.shadow
    assert [type(rule) for rule in policy.every_rule()] == [
        RetryRule,
        RetryRule,
        AllowRule,
        ForbidRule,
        LimitRule,
        FallbackRule,
    ]


def test_a_rule_is_named_by_its_words() -> None:
    text = 'forbid  # comment "not a text"\n  when customer\n is "a  # b"  # the end\nfallback stop'
    rule = only(checked(text), ForbidRule)
    assert rule.ref.name == 'forbid when customer is "a  # b"'
    assert only(checked(text), FallbackRule).ref.place == "a.policy:4:1"


@pytest.mark.parametrize(
    ("fact", "default", "low", "high"),
    [
        ("money $0..$10 = $2.50", 5 * DOLLAR // 2, 0, 10 * DOLLAR),
        ("money -$5..$5 = -$1", -DOLLAR, -5 * DOLLAR, 5 * DOLLAR),
        ("percent 0%..100% = 0.5%", Fraction(1, 2), 0, 100),
        ("integer -3..3 = -2", -2, -3, 3),
        ("number = 0.1", Fraction(1, 10), None, None),
        ("duration 1s..1min = 45000ms", 45 * SECOND, SECOND, 60 * SECOND),
        ("boolean = true", True, None, None),
        ("boolean = false", False, None, None),
        ('text = "say \\"hi\\""', 'say "hi"', None, None),
        ("low < high = high", "high", None, None),
    ],
)
def test_fact(fact: str, default: object, low: int | None, high: int | None) -> None:
    declared = checked("currency USD", f"fact x: {fact}").facts["x"]
    assert (declared.default, declared.low, declared.high) == (default, low, high)


def test_store_failure() -> None:
    assert checked("currency USD on store failure allow within $5").escrow_nanos == 5 * DOLLAR
    assert checked("on store failure deny").escrow_nanos is None


def test_plan_without_fee_and_flat_priced_model() -> None:
    policy = checked('plan free { } route m { model "x" cost 0.5 CHF } currency CHF')
    plan, route = policy.plans["free"], policy.routes["m"]
    assert (plan.fee_nanos, plan.period, plan.includes, plan.overage) == (0, "month", {}, None)
    assert (route.rates, route.cost_nanos) == (None, DOLLAR // 2)


def test_else_expired() -> None:
    policy = checked(PAGE.replace("accepted within 72h ", "accepted within 72h else expired "))
    assert policy.outcomes["support_draft"].else_expired
