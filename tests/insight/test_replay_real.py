"""Real work through policies: figures known beforehand, and sums worked out independently here."""

import csv
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import policy_engine
from policy_engine import Policy
from policy_engine.insight.replay import replay
from policy_engine.insight.report import ReplayResult
from policy_engine.insight.trace import TraceReader
from tests.insight.real import real_trace

Find = Callable[[str], Path]


@pytest.fixture
def find(request: pytest.FixtureRequest) -> Find:
    return lambda name: real_trace(request, name)


# ---------------------------------------------------------------- 50 airline support tasks, four trials each

AIRLINE = """
currency USD
route gpt4o {{ model "openai:gpt-4o"  rates $2.50 in, $10 out per 1M tokens }}
lane only {{ gpt4o }}
workflow airline {{ outcome task {{ price $1  lanes only  {rules} }} }}
"""


def airline(path: Path, rules: str) -> ReplayResult:
    policy = policy_engine.load(AIRLINE.format(rules=rules))
    reader = TraceReader(
        policy,
        {"task_id": "execution", "trial": "attempt"},
        {"customer": "airline", "outcome": "task", "model": "gpt-4o", "time": "2024-06-01T00:00:00Z"},
    )
    trace = reader.read(path)
    assert (trace.rows, trace.bad, len(trace.executions)) == (2454, [], 50)
    return replay(policy, trace)


@pytest.mark.parametrize(
    ("rules", "accepted", "cost"),
    [
        ("ceiling $0.05 per outcome retry 3 on rejected", 10, "0.455925"),
        ("ceiling $0.10 per outcome retry 3 on rejected", 19, "1.96813"),
        ("ceiling $0.20 per outcome retry 3 on rejected", 29, "4.7045"),
        ("retry 0 on rejected", 21, "4.6248225"),
        ("retry 1 on rejected", 31, "7.538795"),
        ("retry 2 on rejected", 34, "9.8133375"),
        ("retry 3 on rejected", 36, "12.1021825"),
    ],
)
def test_airline_tasks(find: Find, rules: str, accepted: int, cost: str) -> None:
    result = airline(find("tau_bench_airline_gpt4o_calls.csv"), rules)
    row = result.summary()
    assert (row.executions, row.admitted, row.attempts_recorded) == (50, 50, 200)
    assert row.cost_recorded_nanos == Decimal("17.8493225") * 10**9
    assert row.accepted_attempts == 84
    assert row.accepted_recorded == 36  # 72 % of tasks within four trials
    assert row.accepted == accepted
    assert row.delivery_cost_nanos == Decimal(cost) * 10**9
    assert (row.accepted_kept, row.accepted_lost) == (accepted, 36 - accepted)
    assert row.attempts_made + row.attempts_avoided == 200
    assert row.cost_nanos + row.cost_avoided_nanos == row.cost_recorded_nanos
    assert row.diverged == 0
    assert row.revenue_nanos == accepted * 10**9
    assert row.margin == 1 - Fraction(row.cost_nanos, row.revenue_nanos)


def test_airline_refusals_are_counted_by_rule(find: Find) -> None:
    result = airline(find("tau_bench_airline_gpt4o_calls.csv"), "ceiling $0.05 per outcome as cap retry 3 on rejected")
    assert [(count.rule.name, count.attempts) for count in result.refusals] == [("cap", 40)]


# ---------------------------------------------------------------- an hour of production requests

RATES = {"chat": (1000, 2000), "code": (3000, 6000)}  # nano units a token


def azure_policy(rules: str) -> Policy:
    return policy_engine.load(
        f"""
        currency USD
        {rules}
        route chat {{ model "chat" rates $1 in, $2 out per 1M tokens }}
        route code {{ model "code" rates $3 in, $6 out per 1M tokens }}
        lane talk {{ chat }}
        lane write {{ code }}
        workflow copilot {{
          outcome reply {{ price $0.01 lanes talk }}
          outcome completion {{ price $0.02 lanes write }}
        }}
        """
    )


def azure(path: Path, policy: Policy, outcome: str, route: str) -> ReplayResult:
    reader = TraceReader(
        policy,
        {"TIMESTAMP": "time", "ContextTokens": "input_tokens", "GeneratedTokens": "output_tokens"},
        {"execution": "{line}", "customer": "copilot", "outcome": outcome, "route": route},
    )
    trace = reader.read(path)
    assert not trace.bad
    return replay(policy, trace)


def requests(path: Path, route: str) -> list[tuple[datetime, int]]:
    """Time and cost in nano units of each request, read without any of the project's code."""
    sent, received = RATES[route]
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    costs = [int(row["ContextTokens"]) * sent + int(row["GeneratedTokens"]) * received for row in rows]
    times = [datetime.strptime(row["TIMESTAMP"][:26], "%Y-%m-%d %H:%M:%S.%f") for row in rows]  # noqa: DTZ007
    return sorted(zip(times, costs, strict=True), key=lambda request: request[0])


def under_hourly_and_daily(work: list[tuple[datetime, int]], hourly: int, daily: int) -> tuple[int, int, int]:
    """Requests made, refused after admission, and the sum spent, under two ceilings."""
    hours: dict[Any, int] = defaultdict(int)
    days: dict[Any, int] = defaultdict(int)
    made = refused = spent = 0
    for time, cost in work:
        hour, day = (time.date(), time.hour), time.date()
        if hours[hour] >= hourly or days[day] >= daily:
            continue  # nothing is left: not even admitted
        if hours[hour] + cost > hourly or days[day] + cost > daily:
            refused += 1
            continue
        hours[hour] += cost
        days[day] += cost
        made += 1
        spent += cost
    return made, refused, spent


@pytest.mark.parametrize(
    ("name", "requests_expected", "outcome", "route", "hourly", "daily"),
    [
        ("azure_llm_inference_2023_conv.csv", 19_366, "reply", "chat", "10", "100"),
        ("azure_llm_inference_2023_conv.csv", 19_366, "reply", "chat", "20", "25.5"),
        ("azure_llm_inference_2023_conv.csv", 19_366, "reply", "chat", "1000", "1000"),
        ("azure_llm_inference_2023_code.csv", 8_819, "completion", "code", "20", "30"),
        ("azure_llm_inference_2023_code.csv", 8_819, "completion", "code", "7.123456789", "1000"),
    ],
)
def test_azure_arrivals(
    find: Find, name: str, requests_expected: int, outcome: str, route: str, hourly: str, daily: str
) -> None:
    path = find(name)
    policy = azure_policy(f"ceiling ${hourly} per hour  ceiling ${daily} per day")
    result = azure(path, policy, outcome, route)
    row = result.outcomes[outcome]
    work = requests(path, route)
    limits = [int(Decimal(text) * 10**9) for text in (hourly, daily)]
    made, refused, spent = under_hourly_and_daily(work, *limits)
    assert len(work) == row.attempts_recorded == row.executions == requests_expected
    assert row.cost_recorded_nanos == sum(cost for _, cost in work)
    assert (row.attempts_made, row.attempts_refused, row.cost_nanos) == (made, refused, spent)
    assert row.accepted == made  # silence: delivery is acceptance here
    if hourly == "1000":
        assert made == requests_expected
    else:
        assert 0 < made < requests_expected  # the ceilings bind


def test_azure_attempts_per_minute(find: Find) -> None:
    path = find("azure_llm_inference_2023_code.csv")
    result = azure(path, azure_policy("ceiling 100 attempts per minute"), "completion", "code")
    per_minute: dict[datetime, int] = defaultdict(int)
    for time, _ in requests(path, "code"):
        per_minute[time.replace(second=0, microsecond=0)] += 1
    assert result.summary().attempts_made == sum(min(100, count) for count in per_minute.values())
    assert result.denied == {"ceiling_reached": sum(max(0, count - 100) for count in per_minute.values())}
