"""Money: losses, ceilings that never decide, alerts, windows; at the edge, and seen in the engine."""

import pytest

from policy_engine.analysis.lint.page import page_of
from policy_engine.analysis.lint.rules import (
    l002_loss_at_worst_case,
    l003_unaffordable_route,
    l009_window_below_outcome,
    l011_share_of_nothing,
)
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.policy import load
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from tests.analysis.lint.underlined import ROUTES, underlined

MINI, WEB = "lane standard { mini }", "lane standard { web }"
NOTE = "workflow desk_work { outcome note { price $1  lanes standard } }"
BOTH = "lane premium { sonnet  allow when risk is high }\nlane standard { mini }"


def _set(rules: str, lanes: str = MINI, file: str = "", workflow: str = "", price: str = "$1") -> str:
    """One outcome with these rules and no others."""
    names = [line.split()[1] for line in lanes.splitlines() if line.startswith("lane ")]
    return f"""
currency USD
fact risk: low | high
fact region?: eu | us
{ROUTES}
{lanes}
{file}
workflow support {{
  {workflow}
  outcome reply {{ price {price}  lanes {", ".join(names)}
    {rules}
  }}
}}
"""


# ---------------------------------------------------------------- L002

PLAN = "plan team { fee $40 per month  includes 100 reply }"  # forty cents each
PACK = "pack burst { 100 reply for $50 }"


@pytest.mark.parametrize(
    ("rules", "lanes", "file", "found"),
    [
        ("ceiling $1 per outcome", MINI, "", []),  # it may be reached, and then nothing is lost
        ("ceiling $1.00001 per outcome", MINI, "", ["reply"]),
        ("ceiling $1.0000006 per outcome", MINI, "", []),  # less than a token past the price: may not be reached
        ("ceiling $0.40 per outcome", MINI, PLAN, []),
        ("ceiling $0.41 per outcome", MINI, PLAN, ["reply"]),
        ("ceiling $0.50 per outcome", MINI, PACK, []),
        ("ceiling $0.51 per outcome", MINI, PACK, ["reply"]),
        ("margin at least 0%\nceiling $9 per outcome", MINI, PLAN, []),
        ("ceiling 100% of price per outcome", MINI, PLAN, []),
        ("ceiling 101% of price per outcome", MINI, PLAN, ["reply"]),
        ("margin at least 20% when risk is high\nceiling $9 per outcome", MINI, "", []),  # may apply
        ("margin at least 20% unless plan is team\nceiling $0.45 per outcome", MINI, PLAN, ["reply"]),
        ("margin at least 20% unless plan is team\nceiling $0.45 per outcome", MINI, PLAN.replace("$40", "$0"), []),
        ("margin at least 20% unless plan is team\nceiling $0.45 per outcome", MINI,
         PLAN.replace("includes", "ceiling $0.40 per outcome  includes"), []),
        ("shadow margin at least 20%\nceiling $9 per outcome", MINI, "", ["reply"]),
        ("ceiling $9 per outcome", MINI, "ceiling $1 per day", []),  # a window bounds it too
        ("ceiling $9 per outcome\nceiling 1M tokens per outcome", MINI, "", []),  # sixty cents of output
        ("ceiling $9 per outcome\nceiling 2M tokens per outcome", MINI, "", ["reply"]),
        ("ceiling $9 per outcome\nceiling 50 attempts per outcome", WEB, "", []),  # fifty of two cents
        ("ceiling $9 per outcome\nceiling 51 attempts per outcome", WEB, "", ["reply"]),
        ("ceiling $9 per outcome\nceiling 2 attempts per outcome\nceiling $0.50 per attempt", MINI, "", []),
        ("ceiling $9 per outcome\nceiling 3 attempts per outcome\nceiling $0.50 per attempt", MINI, "", ["reply"]),
        ("ceiling $9 per outcome\nforbid when plan is team", MINI, PLAN + "\nallow when plan is team", []),  # nobody
        ("ceiling $0.60 per outcome when lane is standard\nceiling $2 per outcome", BOTH, "", ["reply"]),  # premium
        ("ceiling $0.30 per outcome", MINI, "plan team { overage $0.20 per reply }", []),  # overage: another finding
        ("ceiling 9 attempts per outcome", MINI, "", []),  # nothing bounds it: another finding
    ],
)  # fmt: skip
def test_loss_at_worst_case(rules: str, lanes: str, file: str, found: list[str]) -> None:
    assert underlined("L002", _set(rules, lanes, file)) == found


def test_what_is_called_a_loss_can_be_made_and_sold() -> None:
    engine = Engine(load(page_of(l002_loss_at_worst_case.RULE).bad), ledger=MemoryLedger(), clock=PinnedClock(0))
    engine.top_up("acme", "burst", key="one")
    run = engine.execution("draft", customer="acme")
    attempt = run.step("main").attempt(input_tokens=0, max_output_tokens=10**9, min_output_tokens=1)
    assert attempt is not None
    attempt.succeed(cost_nanos=attempt.decision.reserved_nanos or 0)
    run.deliver()
    assert run.revenue_nanos == 400_000_000 < run.spent_nanos <= 600_000_000


# ---------------------------------------------------------------- L003


@pytest.mark.parametrize(
    ("rules", "lanes", "file", "found"),
    [
        ("ceiling $0.02 per outcome", WEB, "", []),  # once fits
        ("ceiling $0.019999999 per outcome", WEB, "", ["ceiling $0.019999999 per outcome"]),
        ("ceiling $1 per outcome", WEB, "ceiling $0.01 per day", ["ceiling $0.01 per day"]),
        ("ceiling $1 per outcome", "lane standard { web  ceiling $0.01 per attempt }", "",
         ["ceiling $0.01 per attempt"]),
        ("ceiling $0.01 per outcome when risk is low", WEB, "", []),
        ("shadow ceiling $0.01 per outcome", WEB, "", []),
        ("ceiling 2% of price per outcome", WEB, "", []),
        ("ceiling 1% of price per outcome", WEB, "", ["ceiling 1% of price per outcome"]),
        ("ceiling 1% of price per outcome", WEB, "plan team { overage $2 per reply }", []),  # fits for them
        ("ceiling $0.01 per outcome", MINI, "", []),
        ("ceiling $0.01 per outcome\nfallback web", MINI, "", ["ceiling $0.01 per outcome"]),
        ("ceiling $0.01 per outcome\nfallback desk", MINI, "", []),  # a handoff is refused by no ceiling
    ],
)  # fmt: skip
def test_unaffordable_route(rules: str, lanes: str, file: str, found: list[str]) -> None:
    assert underlined("L003", _set(rules, lanes, file)) == found


def test_no_attempt_on_an_unaffordable_route_is_made() -> None:
    engine = Engine(load(page_of(l003_unaffordable_route.RULE).bad), ledger=MemoryLedger(), clock=PinnedClock(0))
    step = engine.execution("source_list", customer="acme").step("main")
    assert step.attempt() is None
    assert [decision.reason for decision in step.decisions][:1] == ["over_ceiling"]


# ---------------------------------------------------------------- L004


@pytest.mark.parametrize(
    ("rules", "lanes", "file", "found"),
    [
        ("ceiling $0.30 per attempt\nceiling $0.30 per outcome", MINI, "", []),
        ("ceiling $0.300000001 per attempt\nceiling $0.30 per outcome", MINI, "", ["ceiling $0.300000001 per attempt"]),
        ("ceiling $0.40 per step\nceiling $0.30 per outcome", MINI, "", ["ceiling $0.40 per step"]),
        ("ceiling $0.40 per attempt\nceiling $0.30 per step", MINI, "", ["ceiling $0.40 per attempt"]),
        ("ceiling 7 attempts per step\nceiling 6 attempts per outcome", MINI, "", ["ceiling 7 attempts per step"]),
        ("ceiling 60s per attempt\nceiling 50s per outcome", MINI, "", ["ceiling 60s per attempt"]),
        ("ceiling 60s per attempt\nceiling 50k tokens per outcome", MINI, "", []),
        ("ceiling $0.40 per attempt\nceiling $0.30 per outcome when risk is high", MINI, "", []),
        ("ceiling $0.40 per attempt when risk is high\nceiling $0.30 per outcome", MINI, "",
         ["ceiling $0.40 per attempt when risk is high"]),
        ("ceiling $0.40 per attempt when risk is high\nceiling $0.30 per outcome when risk is high", MINI, "",
         ["ceiling $0.40 per attempt when risk is high"]),
        ("ceiling $0.40 per attempt when risk is high and region is eu\nceiling $0.30 per outcome when risk is high",
         MINI, "", ["ceiling $0.40 per attempt when risk is high and region is eu"]),
        ("ceiling $0.40 per attempt when risk is high or region is eu\nceiling $0.30 per outcome when risk is high",
         MINI, "", []),
        ("ceiling $0.40 per attempt\nshadow ceiling $0.30 per outcome", MINI, "", []),
        ("shadow ceiling $0.40 per attempt\nceiling $0.30 per outcome", MINI, "", ["shadow ceiling $0.40 per attempt"]),
        ("ceiling $0.30 per outcome", MINI, "ceiling $0.40 per attempt", []),  # other outcomes may come
        ("ceiling $0.40 per attempt", MINI, "ceiling $0.30 per outcome", ["ceiling $0.40 per attempt"]),
        ("ceiling $0.40 per attempt", MINI, "ceiling $0.30 per outcome when outcome is reply\n" + NOTE,
         ["ceiling $0.40 per attempt"]),
        ("ceiling $0.30 per outcome", "lane standard { mini  ceiling $0.40 per attempt }", "",
         ["ceiling $0.40 per attempt"]),
        ("ceiling $0.30 per outcome", "lane standard { mini  ceiling $0.40 per attempt }",
         NOTE, []),  # there it decides
        ("ceiling $0.71 per attempt\nmargin at least 30%", MINI, "", ["ceiling $0.71 per attempt"]),
        ("ceiling $0.70 per attempt\nmargin at least 30%", MINI, "", []),
        ("ceiling $0.71 per attempt\nmargin at least 30%", MINI, "plan team { overage $2 per reply }", []),
        ("ceiling 50% of price per attempt\nceiling 40% of price per outcome", MINI, "",
         ["ceiling 50% of price per attempt"]),
        ("ceiling 50% of price per attempt\nceiling $0.45 per outcome", MINI, "",
         ["ceiling 50% of price per attempt"]),
        ("ceiling 50% of price per attempt\nceiling $0.45 per outcome", MINI, PLAN, []),  # there it is twenty cents
        ("ceiling $0.40 per step alert at 75%\nceiling $0.30 per outcome", MINI, "", []),  # an alarm
        ("ceiling $0.40 per step alert at 76%\nceiling $0.30 per outcome", MINI, "",
         ["ceiling $0.40 per step alert at 76%"]),
    ],
)  # fmt: skip
def test_attempt_above_outcome(rules: str, lanes: str, file: str, found: list[str]) -> None:
    assert underlined("L004", _set(rules, lanes, file)) == found


# ---------------------------------------------------------------- L005


@pytest.mark.parametrize(
    ("rules", "workflow", "file", "found"),
    [
        ("ceiling $2 per day\nceiling $3 per day", "", "", ["ceiling $3 per day"]),
        ("ceiling $3 per day\nceiling $2 per day", "", "", ["ceiling $3 per day"]),
        ("ceiling $2 per day\nceiling $2 per day", "", "", ["ceiling $2 per day"]),  # once is enough
        ("ceiling $2 per day", "ceiling $2 per day", "", ["ceiling $2 per day"]),
        ("ceiling $2 per day", "ceiling $3 per day", "", []),  # the workflow counts other outcomes too
        ("ceiling $3 per customer per day", "", "ceiling $2 per day", ["ceiling $3 per customer per day"]),
        ("ceiling $2 per customer per day", "", "ceiling $2 per day", []),
        ("ceiling $3 per day", "", "ceiling $2 per customer per day", []),
        ("ceiling $3 per day", "", "ceiling $2 per month", ["ceiling $3 per day"]),
        ("ceiling $3 per day", "", "ceiling $3 per month", []),
        ("ceiling $3 per week", "", "ceiling $2 per month", []),  # a week may lie in two months
        ("ceiling $3 per month", "", "ceiling $2 per day", []),
        ("ceiling $3 per outcome", "", "ceiling $2 per outcome", ["ceiling $3 per outcome"]),
        ("ceiling $3 per outcome", "", "ceiling $2 per day", []),  # it may go on past midnight
        ("ceiling $3 per outcome", "", "ceiling 2 attempts per outcome", []),
        ("ceiling $3 per outcome", "", "ceiling $2 per outcome when plan is team", []),
        ("ceiling $3 per outcome when plan is team", "", "ceiling $2 per outcome when plan is team",
         ["ceiling $3 per outcome when plan is team"]),
        ("ceiling $3 per outcome when plan is team", "", "ceiling $2 per outcome unless plan is team", []),
        ("ceiling $3 per outcome when risk is high", "", "ceiling $2 per outcome unless risk is low",
         ["ceiling $3 per outcome when risk is high"]),
        ("ceiling $3 per outcome when region is eu", "", "ceiling $2 per outcome unless region is us",
         ["ceiling $3 per outcome when region is eu"]),
        ("ceiling $3 per outcome when region is eu and region is us", "", "ceiling $2 per outcome when risk is high",
         []),  # never true, and yet an unknown region makes it apply
        ("ceiling $3 per outcome", "", "shadow ceiling $2 per outcome", []),
        ("shadow ceiling $3 per outcome", "", "ceiling $2 per outcome", ["shadow ceiling $3 per outcome"]),
        ("shadow ceiling $1 per outcome", "", "ceiling $2 per outcome", []),
        ("margin at least 10%\nceiling $0.20 per outcome", "", "", []),  # a margin is a promise
        ("margin at least 90%\nceiling $0.20 per outcome", "", "", ["ceiling $0.20 per outcome"]),
        ("margin at least 90%\nceiling $0.20 per outcome", "", "plan rich { overage $2 per reply }",
         ["ceiling $0.20 per outcome"]),
        ("margin at least 90%\nceiling $0.20 per outcome", "", "plan rich { overage $2.01 per reply }", []),
        ("ceiling $9 per day alert at 22%", "", "ceiling $2 per day", []),  # an alarm: $1.98 is passed
        ("ceiling $9 per day alert at 23%", "", "ceiling $2 per day", ["ceiling $9 per day alert at 23%"]),
        ("ceiling $3 per outcome when spent > $1", "", "ceiling $2 per outcome when spent > $0.50",
         ["ceiling $3 per outcome when spent > $1"]),
        ("ceiling $3 per outcome when spent > $0.50", "", "ceiling $2 per outcome when spent > $1", []),
        ("ceiling $3 per outcome per day", "", "ceiling $2 per workflow per day", ["ceiling $3 per outcome per day"]),
        ("ceiling $3 per workflow per day", "", "ceiling $2 per outcome per day", []),
    ],
)  # fmt: skip
def test_shadowed_ceiling(rules: str, workflow: str, file: str, found: list[str]) -> None:
    plan = "plan team { includes 5 reply }" if "team" in rules + file else ""
    assert underlined("L005", _set(rules, workflow=workflow, file=f"{plan}\n{file}")) == found


@pytest.mark.parametrize(
    ("block", "found"),
    [
        ("lane standard { mini  ceiling $3 per day }", ["ceiling $3 per day"]),
        ("lane standard { mini  ceiling $1 per day }", []),
        ("plan team { includes 5 reply  ceiling $3 per customer per day }\nlane standard { mini }",
         ["ceiling $3 per customer per day"]),
        ("route spare { tool \"x\" cost $0.01 ceiling $3 per day }\nlane standard { spare }", ["ceiling $3 per day"]),
    ],
)  # fmt: skip
def test_every_block_lies_in_the_file(block: str, found: list[str]) -> None:
    lanes, file = block.splitlines()[-1], "\n".join(block.splitlines()[:-1])
    assert underlined("L005", _set("ceiling $0.30 per outcome", lanes, f"{file}\nceiling $2 per day")) == found


# ---------------------------------------------------------------- L006


@pytest.mark.parametrize(
    ("rules", "lanes", "found"),
    [
        ("ceiling 5 attempts per outcome\nceiling $0.10 per outcome", WEB, []),  # five of two cents: just in reach
        ("ceiling 5 attempts per outcome\nceiling $0.11 per outcome", WEB, ["ceiling $0.11 per outcome"]),
        ("ceiling 5 attempts per outcome when risk is low\nceiling $0.11 per outcome", WEB, []),
        ("ceiling $0.11 per outcome", WEB, []),  # steps are as many as the caller likes
        ("ceiling 5 attempts per outcome\nceiling $0.11 per outcome", MINI, []),  # an attempt may cost anything
        ("ceiling 5 attempts per outcome\nceiling $0.11 per outcome\nfallback mini on timeout", WEB, []),
        ("ceiling $0.02 per attempt", WEB, []),
        ("ceiling $0.03 per attempt", WEB, ["ceiling $0.03 per attempt"]),
        ("ceiling $0.03 per attempt\nfallback dear_web", WEB, []),
        ("ceiling 2M tokens per outcome\nceiling $2 per outcome", MINI, ["ceiling $2 per outcome"]),
        ("ceiling 2M tokens per outcome\nceiling $1.20 per outcome", MINI, []),
        ("ceiling 2M tokens per outcome\nceiling $1.20 per attempt", MINI, []),
        ("ceiling 2M tokens per attempt\nceiling $1.21 per attempt", MINI, ["ceiling $1.21 per attempt"]),
        ("ceiling 2M tokens per attempt\nceiling $1.21 per step", MINI, ["ceiling $1.21 per step"]),
        ("ceiling 2M tokens per attempt\nceiling $1.21 per step\nretry 1 on timeout", MINI, []),
        ("ceiling $0.05 per step\nretry 1 on timeout", WEB, ["ceiling $0.05 per step"]),
        ("ceiling $0.05 per step\nretry 2 on timeout", WEB, []),
        ("ceiling $0.05 per step\nretry 2 on timeout\nretry 1", WEB, ["ceiling $0.05 per step"]),
        ("ceiling $0.05 per step\nretry 2 on timeout\nretry 1 when risk is low", WEB, []),
        ("ceiling 3 attempts per step\nretry 2 on timeout", MINI, []),
        ("ceiling 4 attempts per step\nretry 2 on timeout", MINI, ["ceiling 4 attempts per step"]),
        ("ceiling 4 attempts per step\nretry 2 on timeout\nretry 1 on unavailable", MINI, []),
        ("ceiling 4 attempts per step\nretry 2 on timeout when risk is low", MINI, ["ceiling 4 attempts per step"]),
        ("ceiling 4 attempts per step\nretry 2 on timeout\nfallback web", MINI, []),
        ("ceiling 4 attempts per step\nretry 2 on timeout", BOTH, ["ceiling 4 attempts per step"]),
        ("ceiling 4 attempts per step\nretry 2 on timeout\nretry 9 when lane is premium", BOTH, []),
        ("ceiling 5 attempts per outcome\nceiling $1 per outcome alert at 10%", WEB, []),  # an alarm at ten cents
        ("ceiling 5 attempts per outcome\nceiling $1 per outcome alert at 11%", WEB,
         ["ceiling $1 per outcome alert at 11%"]),
        ("ceiling 5 attempts per outcome\nshadow ceiling $1 per outcome", WEB, []),
    ],
)  # fmt: skip
def test_ceiling_out_of_reach(rules: str, lanes: str, found: list[str]) -> None:
    assert underlined("L006", _set(rules, lanes)) == found


def test_retries_of_a_plan_count_for_the_reach_of_a_step() -> None:
    file = "plan team { includes 5 reply  retry 3 on timeout }"
    assert underlined("L006", _set("ceiling 4 attempts per step", file=file)) == []
    assert underlined("L006", _set("ceiling 5 attempts per step", file=file)) == ["ceiling 5 attempts per step"]


# ---------------------------------------------------------------- L007, L008


@pytest.mark.parametrize(
    ("rules", "file", "found"),
    [
        ("ceiling $2 per day alert at 80%", "", []),
        ("shadow ceiling $2 per day alert at 80%", "", ["alert at 80%"]),
        ("shadow limit 9 per day alert at 80%", "", ["alert at 80%"]),
        ("limit 9 per day alert at 80%", "", []),
        ("", 'route people { handoff "people"  limit 9 per day alert at 50% }', ["alert at 50%"]),
        ("ceiling $9 per day alert at 20%, 50%", "ceiling $2 per day", ["50%"]),
        ("ceiling $9 per day alert at 50%", "ceiling $2 per day", []),  # the whole rule is reported
        ("ceiling $9 per day alert at 20%, 50%", "ceiling $5 per day", []),
        ("margin at least 10% alert at 50%\nceiling 40% of price per outcome", "", ["50%"]),
        ("margin at least 20% alert at 50%\nceiling 40% of price per outcome", "", []),
    ],
)
def test_alert_cannot_fire(rules: str, file: str, found: list[str]) -> None:
    assert underlined("L007", _set(rules, file=file)) == found


def test_alerts_of_shadow_rules_and_handoffs_do_not_fire() -> None:
    file = 'route people { handoff "people"  limit 2 per day alert at 50% }'
    rules = "shadow ceiling $2 per day alert at 1%\nshadow limit 1 per day alert at 50%\nfallback people"
    engine = Engine(load(_set(rules, file=file)), ledger=MemoryLedger(), clock=PinnedClock(0))
    run = engine.execution("reply", customer="acme", facts={"risk": "low"})
    step = run.step("main")
    attempt = step.attempt(estimate_nanos=10**9)
    assert attempt is not None
    attempt.fail("timeout")
    assert run.state == "handed_off"
    assert [alert for decision in (run.decision, *step.decisions) for alert in decision.alerts] == []


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("limit 4 per day alert at 75%", []),
        ("limit 4 per day alert at 76%", ["76%"]),
        ("limit 4 per day alert at 100%", []),
        ("limit 1 per day alert at 10%", ["10%"]),
        ("limit 100 per day alert at 99%", []),
        ("limit 100 per day alert at 99.5%", ["99.5%"]),
        ("limit 10 per day alert at 41%, 50%", ["50%"]),
        ("limit 10 per day alert at 40%, 50%", []),
        ("ceiling 6 attempts per outcome alert at 90%", ["90%"]),
        ("ceiling 6 tokens per outcome alert at 90%", []),  # an attempt takes many at once
        ("shadow limit 4 per day alert at 80%", []),
        ("limit 4 per day alert at 90%, 100%", ["90%", "100%"]),
    ],
)
def test_alert_at_the_last(rule: str, found: list[str]) -> None:
    assert underlined("L008", _set(rule)) == found


@pytest.mark.parametrize(("percent", "fires_at"), [("75%", 3), ("76%", 4)])
def test_an_alert_fires_with_the_number_that_is_said(percent: str, fires_at: int) -> None:
    engine = Engine(load(_set(f"limit 4 per day alert at {percent}")), clock=PinnedClock(0), ledger=MemoryLedger())
    fired = []
    for number in range(1, 5):
        run = engine.execution("reply", customer="acme", facts={"risk": "low"})
        fired += [number] * len(run.decision.alerts)
    assert fired == [fires_at]


# ---------------------------------------------------------------- L009, L010


@pytest.mark.parametrize(
    ("rules", "file", "found"),
    [
        ("ceiling $2 per outcome\nceiling $2 per day", "", []),  # exactly one
        ("ceiling $2 per outcome\nceiling $1.999999999 per day", "", ["ceiling $1.999999999 per day"]),
        ("ceiling $2 per outcome", "ceiling $1 per customer per hour", ["ceiling $1 per customer per hour"]),
        ("ceiling $2 per outcome when risk is low", "ceiling $1 per day", []),
        ("ceiling $2 per outcome\nceiling $0.50 per outcome when risk is low", "ceiling $1 per day", []),
        ("ceiling $2 per outcome", "ceiling $1 per day when risk is low", ["ceiling $1 per day when risk is low"]),
        ("ceiling $2 per outcome\nshadow ceiling $1 per day", "", []),
        ("ceiling $2 per outcome\nceiling $1 per route per day", "", []),  # it may use several
        ("ceiling $2 per outcome\nceiling $1 per lane per day", "", ["ceiling $1 per lane per day"]),
        ("margin at least 50%", "ceiling $0.49 per day", ["ceiling $0.49 per day"]),
        ("margin at least 50%", "ceiling $0.50 per day", []),
        ("margin at least 50%", "ceiling $0.49 per day\nplan team { overage $0.90 per reply }", []),
        ("ceiling $2 per outcome", "plan team { includes 5 reply  ceiling $1 per customer per day }",
         ["ceiling $1 per customer per day"]),
        ("ceiling $2 per outcome", "plan team { includes 5 reply  ceiling $1 per outcome  ceiling $1 per day }", []),
        ("ceiling $2 per outcome", "plan team { fee $9 per month  ceiling $1 per day }", []),  # sells none
        ("ceiling 9 attempts per outcome", "ceiling 8 attempts per day", ["ceiling 8 attempts per day"]),
        ("ceiling 9k tokens per outcome", "ceiling 8k tokens per day", ["ceiling 8k tokens per day"]),
        ("ceiling 9k tokens per outcome", "ceiling 8 attempts per day", []),
    ],
)  # fmt: skip
def test_window_below_outcome(rules: str, file: str, found: list[str]) -> None:
    assert underlined("L009", _set(rules, file=file)) == found


def test_a_lane_may_grant_less_than_its_outcome() -> None:
    lanes = "lane standard { mini  ceiling $1 per outcome }"
    assert underlined("L009", _set("ceiling $2 per outcome", lanes, "ceiling $1 per day")) == []
    lanes += "\nlane premium { sonnet }"
    assert underlined("L009", _set("ceiling $2 per outcome", lanes, "ceiling $1 per day")) == ["ceiling $1 per day"]


def test_a_window_without_room_stops_an_execution_in_the_middle() -> None:
    engine = Engine(load(page_of(l009_window_below_outcome.RULE).bad), ledger=MemoryLedger(), clock=PinnedClock(0))
    run = engine.execution("draft", customer="acme")
    first = run.step("one").attempt(estimate_nanos=400_000_000)
    assert first is not None
    first.succeed(cost_nanos=400_000_000)
    assert run.step("two").attempt(estimate_nanos=1) is None
    assert run.admission.ceiling_nanos == 600_000_000


@pytest.mark.parametrize(
    ("rules", "file", "found"),
    [
        ("ceiling $2 per hour\nceiling $52 per day", "", []),  # a day of 26 hours
        ("ceiling $2 per hour\nceiling $52.01 per day", "", ["ceiling $52.01 per day"]),
        ("ceiling $2 per hour when risk is low\nceiling $99 per day", "", []),
        ("shadow ceiling $2 per hour\nceiling $99 per day", "", []),
        ("ceiling $2 per customer per hour\nceiling $99 per day", "", []),  # there are many customers
        ("ceiling $2 per hour\nceiling $99 per customer per day", "", ["ceiling $99 per customer per day"]),
        ("ceiling $99 per day", "ceiling $2 per hour", ["ceiling $99 per day"]),
        ("ceiling $2 per hour", "ceiling $99 per day", []),  # other outcomes are counted there
        ("limit 2 per day\nlimit 62 per month", "", []),
        ("limit 2 per day\nlimit 63 per month", "", ["limit 63 per month"]),
        ("limit 2 per week\nlimit 12 per month", "", []),
        ("limit 2 per week\nlimit 13 per month", "", ["limit 13 per month"]),
        ("limit 2 per hour\nceiling $99 per day", "", []),
        ("ceiling $2 per hour\nceiling $100 per day alert at 52%", "", []),
        ("ceiling $2 per hour\nceiling $100 per day alert at 53%", "", ["ceiling $100 per day alert at 53%"]),
    ],
)
def test_window_out_of_reach(rules: str, file: str, found: list[str]) -> None:
    assert underlined("L010", _set(rules, file=file)) == found


# ---------------------------------------------------------------- L011

TRIAL = "plan trial { includes 25 reply }"


@pytest.mark.parametrize(
    ("rules", "lanes", "file", "found"),
    [
        ("margin at least 40%", MINI, TRIAL, ["margin at least 40%"]),
        ("margin at least 0%", MINI, TRIAL, ["margin at least 0%"]),
        ("margin at least 40%", MINI, TRIAL.replace("includes", "fee $1 per month  includes"), []),
        ("margin at least 40% unless plan is trial", MINI, TRIAL, []),
        ("margin at least 40% when risk is low", MINI, TRIAL, []),
        ("shadow margin at least 40%", MINI, TRIAL, []),
        ("ceiling $1 per outcome", MINI, TRIAL, []),
        ("ceiling 20% of price per attempt", MINI, TRIAL, ["ceiling 20% of price per attempt"]),
        ("", MINI, TRIAL.replace("includes", "ceiling 20% of price per attempt  includes"),
         ["ceiling 20% of price per attempt"]),
        ("margin at least 40%", MINI, f"pack gift {{ 5 reply for $0 }}\n{PLAN}", ["margin at least 40%"]),
        ("margin at least 40%", "lane standard { own }",
         f'route own {{ model "own"  rates $0 in, $0 out per 1M tokens }}\n{TRIAL}', []),
        ("margin at least 40%\nfallback own", MINI, f'route own {{ tool "own"  cost $0 }}\n{TRIAL}', []),
        ("margin at least 40%\nforbid when plan is trial", MINI, TRIAL, []),  # nobody of that plan is served
    ],
)  # fmt: skip
def test_share_of_nothing(rules: str, lanes: str, file: str, found: list[str]) -> None:
    assert underlined("L011", _set(rules, lanes, file)) == found


def test_nothing_can_be_spent_on_a_unit_that_brings_in_nothing() -> None:
    engine = Engine(load(page_of(l011_share_of_nothing.RULE).bad), ledger=MemoryLedger(), clock=PinnedClock(0))
    step = engine.execution("draft", customer="acme", plan="trial").step("main")
    assert step.attempt(input_tokens=1, max_output_tokens=1) is None
    paid = engine.execution("draft", customer="other").step("main")
    assert paid.attempt(input_tokens=1, max_output_tokens=1) is not None
