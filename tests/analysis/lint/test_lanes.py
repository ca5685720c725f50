"""Lanes and prices: who may enter, what is sold to whom, in which order, at what price; and seen in the engine."""

import pytest

from policy_engine.analysis.lint.page import page_of
from policy_engine.analysis.lint.rule import LintRule
from policy_engine.analysis.lint.rules import (
    l031_nobody_can_enter,
    l032_forbid_covers_every_allow,
    l033_plan_locked_out,
    l034_lane_behind_an_open_one,
)
from policy_engine.analysis.lint.runner import subject_of
from policy_engine.language.source import Source
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.policy import load
from policy_engine.prices.table import PriceTable
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Denied
from tests.analysis.lint.underlined import one_outcome, underlined

FACTS = "fact risk: low < medium < high\nfact seats: integer 0..5000\nfact region?: eu | us\nfact vip: boolean"
OPEN = "lane standard { mini }"
PLANS = "plan base { includes 5 reply }\nplan growth { includes 9 reply }"


def _set(lanes: str, rules: str = "", file: str = "") -> str:
    return one_outcome(lanes=lanes, rules=rules, head=FACTS, file=file)


# ---------------------------------------------------------------- L030


@pytest.mark.parametrize(
    ("premium", "rules", "file", "found"),
    [
        ("sonnet  allow when vip", "", "", ["premium"]),
        ("sonnet", "", "", []),  # for everybody
        ("sonnet  shadow allow when vip", "", "", []),
        ("sonnet  allow when vip  limit 5 per day", "", "", []),
        ("sonnet  allow when vip  shadow limit 5 per day", "", "", ["premium"]),
        ("sonnet  allow when vip  ceiling $5 per day", "", "", []),
        ("sonnet  allow when vip  ceiling $5 per outcome", "", "", ["premium"]),
        ("sonnet  allow when vip and count of premium per day < 5", "", "", []),
        ("sonnet  allow when vip", "limit 5 per customer per day", "", []),
        ("sonnet  allow when vip", "", "limit 5 per customer per day", []),
        ("mini  allow when vip", "", "", []),  # no dearer
        ("mini -> sonnet  allow when vip", "", "", []),  # it begins as cheap
        ("web  allow when vip", "", "", []),  # a flat cost and rates cannot be compared
        ("sonnet  allow when plan is growth", "", PLANS, ["premium"]),
        ("sonnet  allow when plan is growth", "", PLANS.replace("9 reply", "9 reply  limit 5 per day"), []),
    ],
)
def test_premium_without_limit(premium: str, rules: str, file: str, found: list[str]) -> None:
    assert underlined("L030", _set(f"lane premium {{ {premium} }}\n{OPEN}", rules, file)) == found


def test_a_dearer_tool_is_premium_too() -> None:
    lanes = "lane premium { dear_web  allow when vip }\nlane standard { web }"
    assert underlined("L030", _set(lanes)) == ["premium"]
    assert underlined("L030", _set(lanes.replace("dear_web", "web"))) == []


# ---------------------------------------------------------------- L031, L032


@pytest.mark.parametrize(
    ("lane", "rules", "file", "found"),
    [
        ("allow when seats >= 100", "allow when seats < 100", "", ["allow when seats >= 100"]),
        ("allow when seats >= 100", "allow when seats <= 100", "", []),  # exactly one number
        ("allow when seats > 100", "allow when seats < 101", "", ["allow when seats > 100"]),  # whole numbers
        ("allow when seats > 100  allow when vip", "allow when seats < 101", "", []),  # one of its own is enough
        ("allow when seats > 100  shadow allow when vip", "allow when seats < 101", "", ["allow when seats > 100"]),
        ("allow when seats >= 100", "shadow allow when seats < 100", "", []),
        ("allow when vip and not vip", "", "", []),  # never true by itself: another finding
        ("allow when plan is growth", "allow when plan is base", PLANS, ["allow when plan is growth"]),
        ("allow when plan is growth", "allow unless plan is base", PLANS, []),
        ("allow when risk is high", "allow when risk is low", "", ["allow when risk is high"]),
        ("allow when seats > 9", "", "allow when seats < 5", ["allow when seats > 9"]),
        ("", "allow when seats > 9", "allow when seats < 5", ["allow when seats > 9"]),  # the whole outcome
        ("", "", "allow when seats < 5", []),
    ],
)
def test_nobody_can_enter(lane: str, rules: str, file: str, found: list[str]) -> None:
    assert underlined("L031", _set(f"lane careful {{ mini  {lane} }}", rules, file)) == found


@pytest.mark.parametrize(
    ("lane", "rules", "file", "found"),
    [
        ("allow when seats > 9  forbid when seats > 8", "", "", ["forbid when seats > 8"]),
        ("allow when seats > 9  forbid when seats > 10", "", "", []),  # ten
        ("allow when seats > 9  forbid when seats > 10  forbid when seats is 10", "", "", ["forbid when seats > 10"]),
        ("allow when seats > 9  shadow forbid when seats > 8", "", "", []),
        ("allow when seats > 9", "forbid when seats > 8", "", ["forbid when seats > 8"]),
        ("allow when region is eu  forbid unless region is us", "", "", ["forbid unless region is us"]),
        ("forbid when vip  forbid unless vip", "", "", ["forbid when vip"]),
        ("forbid when region is eu  forbid unless region is eu", "", "", ["forbid when region is eu"]),
        ("forbid", "", "", []),  # closed on purpose
        ("allow when vip  forbid", "", "", ["forbid"]),
        ("allow when vip", "forbid", "", []),
        ("allow when plan is growth", "forbid when plan is growth", PLANS, ["forbid when plan is growth"]),
        ("allow when plan is growth", "forbid when plan is base", PLANS, []),
        ("", "forbid when vip\nforbid unless vip", "", ["forbid when vip"]),
        ("", "forbid when vip", "forbid unless vip", ["forbid when vip"]),
        ("allow when customer is \"acme\"  forbid when customer is \"acme\"", "", "",
         ["forbid when customer is \"acme\""]),
        ("allow when spent per customer per day < $5  forbid when spent per customer per day < $6", "", "",
         ["forbid when spent per customer per day < $6"]),
    ],
)  # fmt: skip
def test_forbid_covers_every_allow(lane: str, rules: str, file: str, found: list[str]) -> None:
    assert underlined("L032", _set(f"lane careful {{ mini  {lane} }}", rules, file)) == found


def test_what_is_shut_is_said_once() -> None:
    lanes = "lane careful { mini  allow when seats > 9 }\nlane other { sonnet  allow when seats > 8 }"
    assert underlined("L031", _set(lanes, file="allow when seats < 5")) == [
        "allow when seats > 9",
        "allow when seats > 8",
    ]
    shut = "allow when seats < 5\nforbid when seats < 6"
    assert underlined("L032", _set(lanes, file=shut)) == ["forbid when seats < 6"]
    assert underlined("L031", _set(lanes, file=shut)) == []


@pytest.mark.parametrize("rule", [l031_nobody_can_enter.RULE, l032_forbid_covers_every_allow.RULE])
def test_nobody_enters_what_is_shut(rule: LintRule) -> None:
    bad, good = (
        Engine(load(text), ledger=MemoryLedger(), clock=PinnedClock(0))
        for text in (page_of(rule).bad, page_of(rule).good)
    )
    entered = []
    for seats in (0, 49, 50, 51, 99, 100, 101, 499, 500, 501, 5000):
        with pytest.raises(Denied):
            bad.execution("draft", customer="acme", facts={"seats": seats})
        try:
            entered.append(good.execution("draft", customer="acme", facts={"seats": seats}).lane)
        except Denied:
            continue
    assert entered


# ---------------------------------------------------------------- L033


@pytest.mark.parametrize(
    ("lanes", "rules", "file", "found"),
    [
        ("lane a { mini  allow when plan is growth }", "", PLANS, ["5 reply"]),
        ("lane a { mini  allow when plan is growth or vip }", "", PLANS, []),
        ("lane a { mini  allow when plan is growth }\nlane b { sonnet }", "", PLANS, []),
        ("lane a { mini  allow when plan is growth }\nlane b { sonnet  forbid when plan is base }", "", PLANS,
         ["5 reply"]),
        ("lane a { mini }", "forbid when plan is base and risk >= medium", PLANS, []),
        ("lane a { mini  allow when risk is high }", "forbid when plan is base and risk >= medium", PLANS, ["5 reply"]),
        ("lane a { mini  allow when seats > 9 }", "",
         "plan base { includes 5 reply  forbid when seats > 9 }\nplan growth { includes 9 reply }", ["5 reply"]),
        ("lane a { mini }", "", "plan base { includes 5 reply  forbid }", []),  # closed on purpose
        ("lane a { mini }", "", "plan base { includes 5 reply  forbid when vip  forbid unless vip }", ["5 reply"]),
        ("lane a { mini  allow when plan is growth }", "",
         "plan base { overage $1 per reply }\nplan growth { includes 9 reply }", ["$1 per reply"]),
        ("lane a { mini  allow when plan is growth }", "", "plan base { fee $9 per month }\n" + PLANS.splitlines()[1],
         []),  # it sells none
        ("lane a { mini  forbid when vip  forbid unless vip }", "", PLANS, []),  # nobody gets in: another finding
    ],
)  # fmt: skip
def test_plan_locked_out(lanes: str, rules: str, file: str, found: list[str]) -> None:
    assert underlined("L033", _set(lanes, rules, file)) == found


def test_a_plan_that_is_locked_out_has_paid_for_nothing() -> None:
    engine = Engine(load(page_of(l033_plan_locked_out.RULE).bad), ledger=MemoryLedger(), clock=PinnedClock(0))
    assert engine.execution("draft", customer="acme", plan="growth").lane == "careful"
    with pytest.raises(Denied):
        engine.execution("draft", customer="other", plan="base")


# ---------------------------------------------------------------- L034


@pytest.mark.parametrize(
    ("first", "rules", "file", "found"),
    [
        ("sonnet", "", "", ["standard"]),
        ("sonnet  allow when vip", "", "", []),
        ("sonnet  forbid when vip", "", "", []),
        ("sonnet  limit 5 per day", "", "", []),
        ("sonnet  ceiling $5 per day", "", "", []),
        ("sonnet  ceiling $5 per outcome", "", "", ["standard"]),  # it refuses attempts, not the lane
        ("sonnet  shadow limit 5 per day", "", "", ["standard"]),
        ("sonnet", "forbid when vip", "", ["standard"]),  # refuses every lane
        ("sonnet", "ceiling $5 per day when lane is first", "", []),
        ("sonnet", "", "ceiling $5 per day when lane is first", []),
        ("sonnet", "ceiling $5 per lane per day", "", ["standard"]),  # not asked at admission
        ("sonnet", "", "plan base { includes 5 reply  ceiling $5 per day when lane is first }", []),
    ],
)
def test_lane_behind_an_open_one(first: str, rules: str, file: str, found: list[str]) -> None:
    assert underlined("L034", _set(f"lane first {{ {first} }}\n{OPEN}", rules, file)) == found


def test_every_lane_behind_is_named() -> None:
    lanes = "lane picky { mini  allow when vip }\nlane first { mini }\nlane second { sonnet }\nlane third { web }"
    assert underlined("L034", _set(lanes)) == ["second", "third"]


def test_a_lane_behind_is_entered_by_name_alone() -> None:
    engine = Engine(load(page_of(l034_lane_behind_an_open_one.RULE).bad), ledger=MemoryLedger(), clock=PinnedClock(0))
    facts = {"risk": "high"}
    assert engine.execution("draft", customer="acme", facts=facts).lane == "standard"
    assert engine.execution("draft", customer="acme", facts=facts, lane="premium").lane == "premium"


# ---------------------------------------------------------------- L035


@pytest.mark.parametrize(
    ("rules", "file", "found"),
    [
        ("limit 5 per day\nlimit 6 per day", "", ["limit 6 per day"]),
        ("limit 5 per day\nlimit 5 per day", "", ["limit 5 per day"]),
        ("limit 5 per day", "limit 5 per day", ["limit 5 per day"]),
        ("limit 5 per day", "limit 6 per day", []),
        ("limit 6 per day", "limit 5 per month", ["limit 6 per day"]),
        ("limit 5 per day", "limit 5 per month", []),
        ("limit 6 per customer per day", "limit 5 per day", ["limit 6 per customer per day"]),
        ("limit 6 per day", "limit 5 per customer per day", []),
        ("limit 6 per day", "limit 5 per day when vip", []),
        ("limit 6 per day when vip and risk is high", "limit 5 per day when vip",
         ["limit 6 per day when vip and risk is high"]),
        ("limit 6 per day when region is eu", "limit 5 per day unless region is us",
         ["limit 6 per day when region is eu"]),
        ("limit 6 per day unless region is us", "limit 5 per day when region is eu",
         ["limit 6 per day unless region is us"]),  # an unknown region counts for both
        ("limit 6 per day", "ceiling 5 attempts per day", []),
        ("limit 6 per day alert at 80%", "limit 5 per day", []),
        ("limit 6 per day alert at 90%", "limit 5 per day", ["limit 6 per day alert at 90%"]),
        ("", "limit 1 per day\nroute people { handoff \"people\"  limit 5 per day }", []),  # handoffs are no entries
        ("", "route people { handoff \"people\"  limit 5 per day  limit 6 per day }", ["limit 6 per day"]),
    ],
)  # fmt: skip
def test_shadowed_limit(rules: str, file: str, found: list[str]) -> None:
    assert underlined("L035", _set(OPEN, rules, file)) == found


# ---------------------------------------------------------------- prices


@pytest.mark.parametrize(
    ("route", "found"),
    [
        ('model "x:y"', ["extra"]),
        ('model "x:y"  rates $0 in, $0 out per 1M tokens', []),
        ('model "x:y"  cost $1', []),
        ('tool "x"', ["extra"]),
        ('tool "x"  cost $0', []),
        ('handoff "x"', []),
    ],
)
def test_unpriced_route(route: str, found: list[str]) -> None:
    assert underlined("L085", _set(OPEN, file=f"route extra {{ {route} }}")) == found


def test_a_price_table_prices_a_route() -> None:
    from policy_engine.analysis.lint.rules.l085_unpriced_route import check

    sources = [Source("example.policy", _set(OPEN, file='route extra { model "x:y" }'))]
    assert len(list(check(subject_of(sources)))) == 1
    assert list(check(subject_of(sources, PriceTable.per_million({"x:y": ("1", "2")})))) == []


@pytest.mark.parametrize(
    ("route", "found"),
    [
        ('model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens', []),
        ('model "openai:gpt-4o-mini"  rates $0.15 in, $0.61 out per 1M tokens', ["extra"]),
        ('model "openai:gpt-4o-mini"  rates $0.00015 in, $0.0006 out per 1k tokens', []),
        ('model "openai:gpt-4o-mini"  cost $1', ["extra"]),
        ('model "openai:gpt-4o-mini"', []),  # unpriced: another finding
        ('model "openai:gpt-4o-maxi"  rates $0.15 in, $0.61 out per 1M tokens', []),
        ('tool "web"  cost $1', []),  # tools have no price list in common
    ],
)
def test_one_model_two_prices(route: str, found: list[str]) -> None:
    assert underlined("L086", _set(OPEN, file=f"route extra {{ {route} }}")) == found


@pytest.mark.parametrize(
    ("rates", "found"),
    [
        ("$2 in, $1 out per 1M tokens", ["rates $2 in, $1 out per 1M tokens"]),
        ("$1 in, $1 out per 1M tokens", []),
        ("$1 in, $0 out per 1M tokens", []),  # embeddings
        ("$0 in, $1 out per 1M tokens", []),
    ],
)
def test_input_dearer_than_output(rates: str, found: list[str]) -> None:
    assert underlined("L087", _set(OPEN, file=f'route extra {{ model "x:y"  rates {rates} }}')) == found
