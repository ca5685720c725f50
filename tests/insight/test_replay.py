"""Replay: recorded work against the policy's own way, case by case."""

import json
from pathlib import Path

import pytest

import policy_engine
from policy_engine.insight.replay import replay, without_guardrails
from policy_engine.insight.report import OutcomeRow, ReplayResult
from policy_engine.insight.trace import TraceReader

POLICY = """
currency USD
fact vip?: boolean
fact tier: a | b
route mini {{ model "openai:mini" rates $1 in, $1 out per 1k tokens }}
route big {{ model "openai:big" rates $10 in, $10 out per 1k tokens }}
route side {{ tool "web" cost $0.50 }}
route human {{ handoff "people" cost $3 limit 1 per day }}
lane main {{ mini -> big -> human {lane} }}
lane top {{ big }}
plan base {{ fee $10 per month includes 2 reply overage $8 per reply up to $8 per month }}
{file}
workflow desk {{ outcome reply "a reply" {{ price $10 lanes {lanes} {outcome} }} }}
"""
HEADER = "execution,customer,plan,outcome,step,route,input_tokens,output_tokens,cost,error,accepted,time"


def run(rows: list[str], *, lanes: str = "main", outcome: str = "", file: str = "", lane: str = "") -> ReplayResult:
    """Rows in short: `execution route error accepted [cost [step [plan]]]`, a minute apart; `-` is empty."""
    policy = policy_engine.load(POLICY.format(lanes=lanes, outcome=outcome, file=file, lane=lane))
    lines = []
    for minute, row in enumerate(rows):
        parts = [part.replace("-", "") for part in row.split()]
        execution, route, error, accepted = parts[:4]
        cost, step, plan = [*parts[4:], "", "", ""][:3]
        time = f"2026-03-01T{minute // 60:02}:{minute % 60:02}:00+00:00"
        lines.append(
            (minute + 2, f"{execution},acme,{plan},reply,{step},{route},,,{cost or 1},{error},{accepted},{time}")
        )
    names = HEADER.split(",")
    reader = TraceReader(policy)
    trace = reader.collect((line, dict(zip(names, text.split(","), strict=True))) for line, text in lines)
    assert trace.bad == []
    return replay(policy, trace)


def counts(result: ReplayResult) -> tuple[int, int, int, int]:
    """Attempts made, avoided, accepted under the policy, lost."""
    row = result.summary()
    return row.attempts_made, row.attempts_avoided, row.accepted, row.accepted_lost


@pytest.mark.parametrize(
    ("rows", "outcome", "expected", "cost"),
    [
        # made: the attempts of the policy; avoided: the rest of the recording; accepted, lost
        (["a mini - true"], "", (1, 0, 1, 0), 1),
        (["a mini - false", "a mini - true"], "retry 1 on rejected", (2, 0, 1, 0), 2),
        (["a mini - false", "a mini - true"], "", (1, 1, 0, 1), 1),
        (["a mini timeout -", "a mini - true"], "retry 1 on timeout", (2, 0, 1, 0), 2),
        (["a mini - true", "a mini - true"], "", (1, 1, 1, 0), 1),  # it stops at its first acceptance
        (["a mini timeout -", "a big - true"], "fallback next", (2, 0, 1, 0), 2),
        # two retries recorded, one allowed: the policy goes on where the recording is anyway
        (
            ["a mini timeout -", "a mini timeout -", "a mini timeout -", "a big - true"],
            "retry 1 fallback next",
            (3, 1, 1, 0),
            3,
        ),
        # the recording fell back sooner than the policy would have: nothing is invented in between
        (["a mini timeout -", "a big - true"], "retry 3 fallback next", (2, 0, 1, 0), 2),
        # over the ceiling: the second one does not fit, the third is never asked
        (
            ["a mini - false 1", "a mini - false 2", "a mini - true 1"],
            "ceiling $2 per outcome retry 5",
            (1, 2, 0, 1),
            1,
        ),
        # the recording began elsewhere in the lane
        (["a big - true"], "", (1, 0, 1, 0), 1),
        # several steps
        (["a mini - - 1 plan", "a big - true 1 write"], "", (2, 0, 1, 0), 2),
        (["a mini timeout - 1 plan", "a mini - true 1 write"], "", (1, 1, 0, 1), 1),  # a stop ends it all
        # calls of one step without an error are one success after the other
        (["a mini - -", "a mini - -", "a mini - true"], "", (3, 0, 1, 0), 3),
        # nobody said whether it was accepted: silence is acceptance
        (["a mini - -"], "", (1, 0, 1, 0), 1),
        (["a mini timeout -"], "retry 3", (1, 0, 0, 0), 1),  # the recording ends, and so does the execution
    ],
)
def test_attempts(rows: list[str], outcome: str, expected: tuple[int, ...], cost: int) -> None:
    result = run(rows, outcome=outcome)
    assert counts(result) == expected
    row = result.summary()
    assert row.delivery_cost_nanos == cost * 10**9
    assert row.attempts_made + row.attempts_avoided == row.attempts_recorded == len(rows)
    assert row.cost_nanos + row.cost_avoided_nanos == row.cost_recorded_nanos
    assert row.diverged == 0


@pytest.mark.parametrize(
    ("rows", "lanes", "outcome"),
    [
        (["a mini timeout -", "a mini - true"], "main", "fallback side"),  # nobody recorded `side`
        (["a mini - true"], "top", ""),  # not a route of the lane
        (["a human - - 3"], "main", ""),  # the recording gave up where the policy would have tried
    ],
)
def test_what_was_never_recorded_is_never_invented(rows: list[str], lanes: str, outcome: str) -> None:
    row = run(rows, lanes=lanes, outcome=outcome).summary()
    assert (row.diverged, row.accepted) == (1, 0)


def test_a_handoff_costs_what_the_policy_says_and_is_no_attempt() -> None:
    result = run(
        ["a mini timeout -", "a big timeout -", "b mini timeout -", "b big timeout -"], outcome="fallback next"
    )
    row = result.summary()
    assert (row.handed_off, row.handoff_nanos, row.attempts_made) == (1, 3 * 10**9, 4)  # one a day
    assert row.delivery_cost_nanos == 7 * 10**9


def test_a_recorded_handoff_is_a_cost_and_no_attempt() -> None:
    row = run(["a mini timeout -", "a human - - 3"], outcome="fallback human").summary()
    assert (row.attempts_recorded, row.recorded_handoffs, row.cost_recorded_nanos) == (1, 1, 4 * 10**9)
    assert (row.handed_off, row.diverged, row.delivery_cost_nanos) == (1, 0, 4 * 10**9)


def test_denials_by_reason_and_rule() -> None:
    rows = [f"{name} mini - true 1 - base" for name in "abcd"]
    result = run(rows)
    row = result.summary()
    assert (row.executions, row.admitted, row.accepted, row.accepted_lost) == (4, 3, 3, 1)
    assert result.denied == {"allowance_spent": 1}
    assert [(c.rule.name, c.admissions, c.attempts) for c in result.refusals] == [
        ("overage $8 per reply up to $8 per month", 1, 0)
    ]
    # 2 units at $10 / 2, one at the overage price; the recording delivered the fourth one unpaid
    assert row.revenue_nanos == row.revenue_recorded_nanos == 18 * 10**9
    assert (row.cost_nanos, row.cost_recorded_nanos) == (3 * 10**9, 4 * 10**9)
    assert row.margin is not None
    assert row.margin_recorded is not None
    assert row.margin > row.margin_recorded


def test_work_is_done_in_time_order_across_executions() -> None:
    # a and b interleave under one daily ceiling: the first three attempts fit
    rows = ["a mini - false", "b mini - false", "a mini - true", "b mini - true"]
    result = run(rows, file="ceiling $3 per day", outcome="retry 5 on rejected")
    assert counts(result) == (3, 1, 1, 1)
    row = result.summary()
    assert row.cost_nanos == 3 * 10**9


def test_acceptance_windows_at_the_end_of_a_trace() -> None:
    rows = ["a mini - -"] + ["b mini - true"] * 1 + ["c mini - -"]
    early = run(rows, outcome="accepted within 1min")
    assert (early.summary().accepted, early.summary().maturing) == (2, 1)
    assert early.summary().maturing_recorded == 1
    expired = run(rows, outcome="accepted within 1min else expired")
    assert (expired.summary().accepted, expired.summary().accepted_recorded) == (1, 1)


def test_an_execution_without_a_fact_it_needs_is_left_out_and_listed() -> None:
    result = run(["a mini - true", "b mini - true"], file="forbid when tier is a")
    assert [(bad.line, "`tier` is not given" in bad.message) for bad in result.bad] == [(2, True), (3, True)]
    assert result.summary().executions == 0
    assert result.summary().attempts_recorded == 0


def test_margin_is_undefined_without_revenue() -> None:
    result = run(["a mini timeout -"])
    assert result.summary().margin is None
    assert result.to_json()["margin"] == {"recorded": None, "under_policy": None}
    assert OutcomeRow("x").margin_recorded is None


def test_plain_data_is_json_and_says_everything() -> None:
    result = run(["a mini - true", "b mini timeout -"], outcome="ceiling $0.50 per attempt as tiny")
    data = json.loads(json.dumps(result.to_json()))
    assert data["executions"] == 2
    assert data["attempts"] == {"recorded": 2, "made": 0, "avoided": 2, "refused": 2, "accepted_as_recorded": 1}
    assert data["cost"]["recorded"] == "$2"
    assert data["cost"]["under_policy"] == "$0"
    assert data["refusals_by_rule"][0]["name"] == "tiny"
    assert set(data["outcomes"]) == {"reply"}


def test_progress_is_told() -> None:
    told: list[int] = []
    policy = policy_engine.load(POLICY.format(lanes="main", outcome="", file="", lane=""))
    row = dict.fromkeys(HEADER.split(","), "")
    row |= {"customer": "c", "outcome": "reply", "cost": "1", "time": "2026-03-01T00:00:00+00:00"}
    trace = TraceReader(policy).collect((n, row | {"execution": str(n)}) for n in range(600))
    replay(policy, trace, progress=told.append)
    assert told == [256, 512, 600]


def test_the_recording_is_billed_without_a_single_rule() -> None:
    checked = policy_engine.load(Path(__file__).parents[1] / "data" / "page.policy").checked
    bare = without_guardrails(checked)
    assert not list(bare.every_rule())
    assert bare.plans.keys() == checked.plans.keys()
