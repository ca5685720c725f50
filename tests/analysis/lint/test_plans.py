"""Plans: allowances past their windows, overage below its worst case, packs nobody can want; at the edge too."""

import pytest

from policy_engine.ledger.memory import MemoryLedger
from policy_engine.policy import load
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Denied
from tests.analysis.lint.underlined import one_outcome, underlined

LANE = "lane standard { mini }"


def _plan(text: str, rules: str = "", lanes: str = LANE, file: str = "") -> str:
    return one_outcome(lanes=lanes, rules=rules, file=f"{text}\n{file}")


@pytest.mark.parametrize(
    ("plan", "rules", "found"),
    [
        ("includes 310 reply", "limit 10 per customer per day", []),  # 31 days of ten
        ("includes 311 reply", "limit 10 per customer per day", ["team"]),
        ("includes 311 reply", "limit 10 per day", ["team"]),  # all customers together: one of them even less
        ("includes 311 reply", "limit 10 per customer per day when risk is low", []),
        ("includes 311 reply", "limit 10 per customer per day when plan is team", ["team"]),
        ("includes 311 reply", "limit 10 per customer per day unless plan is team", []),
        ("includes 60 reply", "limit 10 per customer per week", []),  # a month touches six weeks at most
        ("includes 61 reply", "limit 10 per customer per week", ["team"]),
        ("includes 10 reply", "limit 10 per customer per month", []),
        ("includes 11 reply", "limit 10 per customer per month", ["team"]),
        ("includes 311 reply", "ceiling 10 attempts per customer per day", ["team"]),
        ("includes 310 reply", "ceiling 10 attempts per customer per day", []),
        ("includes 999999 reply", "ceiling $1 per customer per day", []),  # tokens may cost next to nothing
        ("includes 999999 reply", "ceiling 10 attempts per outcome", []),
        ("includes 311 reply  limit 10 per customer per day", "", ["team"]),
        ("includes 311 reply, 1 note", "limit 10 per outcome per day", []),  # kept apart by outcome: left alone
    ],
)
def test_allowance_past_a_window(plan: str, rules: str, found: list[str]) -> None:
    file = "workflow sales { outcome note { price $1  lanes standard } }"
    text = _plan(f"plan team {{ fee $49 per month  {plan} }}", rules, file=file)
    text = text.replace("currency USD", "currency USD\nfact risk: low | high")
    assert underlined("L050", text) == found


def test_flat_costs_count_in_money() -> None:
    lanes = "lane standard { web -> dear_web }"
    for units, found in ((1550, []), (1551, ["team"])):  # $1 a day is fifty of two cents
        plan = f"plan team {{ fee $49 per month  includes {units} reply }}"
        rules = "ceiling $1 per customer per day\nfallback next"
        assert underlined("L050", _plan(plan, rules, lanes)) == found


def test_two_allowances_share_a_window() -> None:
    file = "limit 10 per customer per month\nworkflow sales { outcome note { price $1  lanes standard } }"
    assert underlined("L050", _plan("plan team { includes 5 reply, 5 note }", file=file)) == []
    assert underlined("L050", _plan("plan team { includes 5 reply, 6 note }", file=file)) == ["team"]


def test_what_is_called_past_its_window_cannot_be_used() -> None:
    text = _plan("plan team { fee $49 per month  includes 11 reply }", "limit 10 per customer per month")
    assert underlined("L050", text) == ["team"]
    engine = Engine(load(text), ledger=MemoryLedger(), clock=PinnedClock(0))
    for _ in range(10):
        run = engine.execution("reply", customer="acme", plan="team")
        attempt = run.step("draft").attempt(input_tokens=1, max_output_tokens=1)
        assert attempt is not None
        attempt.succeed(input_tokens=1, output_tokens=1)
        run.deliver()
    with pytest.raises(Denied):
        engine.execution("reply", customer="acme", plan="team")


@pytest.mark.parametrize(
    ("overage", "rules", "found"),
    [
        ("$0.30", "", []),  # the ceiling may be reached, and then nothing is lost
        ("$0.29", "", ["$0.29 per reply"]),
        ("$0.29", "margin at least 20%", []),  # a share of what it brings in
        ("$0.29", "ceiling $0.29 per outcome when plan is team", []),
        ("$0.29", "ceiling $0.29 per outcome when risk is high", ["$0.29 per reply"]),
        ("$0.29", "shadow ceiling $0.20 per outcome", ["$0.29 per reply"]),
        ("$0.29", "forbid when plan is team", []),  # nobody of this plan is ever served
    ],
)
def test_overage_below_worst_case(overage: str, rules: str, found: list[str]) -> None:
    text = _plan(f"plan team {{ fee $49 per month  includes 60 reply  overage {overage} per reply }}", rules)
    assert underlined("L051", text.replace("currency USD", "currency USD\nfact risk: low | high")) == found


@pytest.mark.parametrize(
    ("packs", "plans", "found"),
    [
        ("pack burst { 100 reply for $90 }", "plan team { overage $0.90 per reply }", []),
        ("pack burst { 100 reply for $90.01 }", "plan team { overage $0.90 per reply }", ["burst"]),
        ("pack burst { 100 reply for $95 }", "plan team { overage $0.90 per reply up to $20 per month }", []),
        ("pack burst { 100 reply for $95 }", "plan team { includes 5 reply }", []),
        ("pack burst { 100 reply for $95 }", "plan a { overage $0.90 per reply }\nplan b { includes 9 reply }", []),
        ("pack burst { 100 reply for $95 }", "plan a { overage $0.90 per reply }\nplan b { overage $0.94 per reply }",
         ["burst"]),
        ("pack burst { 100 reply for $95 }", "plan a { overage $0.90 per reply }\nplan b { overage $0.96 per reply }",
         []),
        ("pack burst { 100 reply for $95 }", "", []),
    ],
)  # fmt: skip
def test_pack_dearer_than_overage(packs: str, plans: str, found: list[str]) -> None:
    assert underlined("L052", _plan(f"{packs}\n{plans}")) == found
