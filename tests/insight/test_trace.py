"""Reading recorded work: every row is used or accounted for."""

from pathlib import Path
from typing import Any

import pytest

import policy_engine
from policy_engine.insight.trace import Trace, TraceError, TraceReader

POLICY = """
currency USD
timezone "Europe/Berlin"
fact vip?: boolean
fact size: integer 0..10 = 0
fact tier: a | b = a
route mini { model "openai:gpt-4o-mini" rates $1 in, $2 out per 1k tokens }
route twin { model "openai:gpt-4o-mini" rates $1 in, $2 out per 1k tokens }
route web { tool "web" cost $0.50 }
route bare { model "x:bare" }
route human { handoff "people" }
lane l { mini -> web }
plan base { fee $1 per month }
workflow w { outcome reply { price $10 lanes l } outcome note { price $1 lanes l } }
"""
ROW = {
    "execution": "e1",
    "customer": "acme",
    "plan": "base",
    "outcome": "reply",
    "route": "mini",
    "input_tokens": "1000",
    "output_tokens": "500",
    "accepted": "true",
    "time": "2026-03-01T12:00:00+00:00",
}


@pytest.fixture(scope="module")
def policy() -> policy_engine.Policy:
    return policy_engine.load(POLICY)


def collect(policy: policy_engine.Policy, *rows: dict[str, Any], **constants: str) -> Trace:
    return TraceReader(policy, None, constants).collect(enumerate(rows, 2))


@pytest.mark.parametrize(
    ("changed", "field", "value"),
    [
        ({}, "cost_nanos", 2 * 10**9),  # tokens at the route's rates
        ({"cost": "0.25"}, "cost_nanos", 250_000_000),
        ({"cost": "$0.25"}, "cost_nanos", 250_000_000),
        ({"route": "web"}, "cost_nanos", 500_000_000),
        ({"route": "human"}, "cost_nanos", 0),
        ({"route": "bare", "cost": "1"}, "routes", ("bare",)),
        ({"route": "", "model": "gpt-4o-mini"}, "routes", ("mini", "twin")),
        ({"route": "", "model": "openai:gpt-4o-mini"}, "routes", ("mini", "twin")),
        ({"route": "", "cost": "1"}, "routes", ()),
        ({"accepted": ""}, "accepted", None),
        ({"accepted": "No"}, "accepted", False),
        ({"accepted": "1"}, "accepted", True),
        ({"error": "timeout"}, "error", "timeout"),
        ({"error": ""}, "error", None),
        ({"input_tokens": "", "cost": "1"}, "input_tokens", None),
        ({"time": "2026-03-01 13:00:00"}, "time_micros", 1_772_366_400_000_000),  # in the policy's zone
        ({"time": "2026-03-01T12:00:00.1234567+00:00"}, "time_micros", 1_772_366_400_123_456),
        ({"time": "1772366400.5"}, "time_micros", 1_772_366_400_500_000),
        ({"time": "2026-03-01T12:00:00Z"}, "time_micros", 1_772_366_400_000_000),
    ],
)
def test_a_row(policy: policy_engine.Policy, changed: dict[str, str], field: str, value: Any) -> None:
    trace = collect(policy, ROW | changed)
    assert trace.bad == []
    (attempt,) = trace.executions["e1"].attempts
    assert getattr(attempt, field) == value


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"execution": ""}, "`execution` is empty"),
        ({"outcome": "repli"}, "did you mean `reply`?"),
        ({"plan": "bsae"}, "did you mean `base`?"),
        ({"route": "minni"}, "did you mean `mini`?"),
        ({"route": "", "model": "gpt-9"}, "no route of the policy serves the model `gpt-9`"),
        ({"route": ""}, "no `cost`, and no `route` or `model`"),
        ({"route": "bare"}, "the route `bare` has no price"),
        ({"input_tokens": ""}, "no `input_tokens` and `output_tokens` to price"),
        ({"input_tokens": "12.5"}, "is not a whole number"),
        ({"input_tokens": "-1"}, "out of range"),
        ({"input_tokens": "9" * 30}, "is not a whole number"),
        ({"cost": "-1"}, "`cost` is negative"),
        ({"cost": "€1"}, "is not in USD"),
        ({"cost": "abc"}, "is not a number"),
        ({"error": "timout"}, "did you mean `timeout`?"),
        ({"accepted": "maybe"}, "neither true nor false"),
        ({"time": "yesterday"}, "is no ISO 8601 time"),
        ({"time": "9999-12-31T23:59:59"}, "is not in our times"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "is not in our times"),
        ({"time": "1772442000000"}, "it counts seconds since 1970"),  # milliseconds
        ({"time": ""}, "`time` is empty"),
        ({"vip": "perhaps"}, "neither true nor false"),
        ({"size": "11"}, "is outside 0..10"),
        ({"size": "x"}, "is not a whole number"),
        ({"tier": "c"}, "is no value of `tier`"),
    ],
)
def test_a_bad_row_is_listed_with_its_line(policy: policy_engine.Policy, changed: dict[str, str], words: str) -> None:
    trace = collect(policy, ROW, ROW | changed, ROW)
    assert trace.rows == 3
    assert [bad.line for bad in trace.bad] == [3]
    assert words in trace.bad[0].message
    assert len(trace.executions["e1"].attempts) == 2


def test_an_execution_is_one_customers(policy: policy_engine.Policy) -> None:
    trace = collect(policy, ROW, ROW | {"customer": "other"}, ROW | {"outcome": "note"}, ROW | {"plan": ""})
    assert [bad.line for bad in trace.bad] == [3, 4, 5]
    assert "another customer, plan or outcome" in trace.bad[0].message


def test_facts(policy: policy_engine.Policy) -> None:
    trace = collect(policy, ROW | {"vip": "true", "size": "3", "tier": "b"}, ROW | {"execution": "e2"})
    first, second = (trace.executions[name].given for name in ("e1", "e2"))
    assert (first.vip, first.size, first.tier) == (True, 3, "b")  # type: ignore[attr-defined]  # slots of this policy
    assert (second.vip, second.size, second.tier) == (None, 0, "a")  # type: ignore[attr-defined]  # as above


def test_calls_of_one_attempt_are_added_up(policy: policy_engine.Policy) -> None:
    call = ROW | {"attempt": "0", "accepted": ""}
    trace = collect(
        policy,
        call,
        call | {"accepted": "false"},
        call | {"attempt": "1", "input_tokens": ""} | {"cost": "1"},
        call | {"attempt": "1", "error": "timeout"},
        call | {"attempt": "0", "step": "other"},
    )
    first, second, third = trace.executions["e1"].attempts
    assert (first.cost_nanos, first.input_tokens, first.output_tokens, first.accepted) == (4 * 10**9, 2000, 1000, False)
    assert (second.cost_nanos, second.input_tokens, second.error) == (3 * 10**9, None, "timeout")
    assert third.step == "other"


def test_attempts_stand_in_time_order(policy: policy_engine.Policy) -> None:
    trace = collect(policy, ROW, ROW | {"time": "2026-03-01T11:00:00+00:00"}, ROW)
    assert [attempt.line for attempt in trace.executions["e1"].attempts] == [3, 2, 4]


def test_constants_and_line_numbers(policy: policy_engine.Policy) -> None:
    bare = {name: value for name, value in ROW.items() if name not in ("execution", "customer")}
    trace = collect(policy, bare, bare, customer="acme", execution="row {line}")
    assert list(trace.executions) == ["row 2", "row 3"]
    assert trace.executions["row 2"].customer == "acme"


@pytest.mark.parametrize(
    ("renamed", "constants", "words"),
    [
        ({"x": "custmer"}, {}, "did you mean `customer`?"),
        ({}, {"oucome": "reply"}, "did you mean `outcome`?"),
    ],
)
def test_options_name_columns(
    policy: policy_engine.Policy, renamed: dict[str, str], constants: dict[str, str], words: str
) -> None:
    with pytest.raises(TraceError, match="is no column of a trace") as caught:
        TraceReader(policy, renamed, constants)
    assert words in str(caught.value)


def test_missing_columns(policy: policy_engine.Policy) -> None:
    with pytest.raises(TraceError, match="`execution`, `customer`"):
        collect(policy, {"outcome": "reply", "time": "1"})


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv_files(policy: policy_engine.Policy, tmp_path: Path) -> None:
    header = ",".join(ROW)
    line = ",".join(ROW.values())
    text = f"\ufeff{header}\r\n{line}\r\n{line},extra\r\n{line.rpartition(',')[0]}\r\n\r\n"
    trace = TraceReader(policy).read(write(tmp_path / "t.csv", text))
    assert trace.rows == 3
    assert [(bad.line, bad.message) for bad in trace.bad] == [
        (3, "more values than columns"),
        (4, "fewer values than columns"),
    ]
    quoted = f"{header}\n{line.replace('acme', chr(34) + 'ac,me' + chr(10) + 'x' + chr(34))}\n"
    assert TraceReader(policy).read(write(tmp_path / "q.csv", quoted)).executions["e1"].customer == "ac,me\nx"
    with pytest.raises(TraceError, match="empty"):
        TraceReader(policy).read(write(tmp_path / "e.csv", ""))
    with pytest.raises(TraceError, match="is no CSV"):
        TraceReader(policy).read(write(tmp_path / "big.csv", f"{header}\n{'x' * 200_000}\n"))
    with pytest.raises(TraceError, match="has no column `tme`; did you mean `time`"):
        TraceReader(policy, {"tme": "time"}).read(tmp_path / "t.csv")
    garbage = TraceReader(policy).read(write(tmp_path / "g.csv", f"{header}\n".encode() + b"\xff\xfe\x00,\n"))
    assert (garbage.rows, len(garbage.bad)) == (1, 1)


def test_json_lines(policy: policy_engine.Policy, tmp_path: Path) -> None:
    import json

    good = json.dumps(ROW | {"input_tokens": 1000, "accepted": True, "vip": False, "cost": 0.1, "plan": None})
    text = f"{good}\n\n[1]\n{{bad\n{'[' * 100_000}\n"
    trace = TraceReader(policy).read(write(tmp_path / "t.jsonl", text))
    (attempt,) = trace.executions["e1"].attempts
    assert (attempt.cost_nanos, attempt.accepted, attempt.input_tokens) == (100_000_000, True, 1000)
    assert trace.executions["e1"].plan is None
    assert [bad.line for bad in trace.bad] == [3, 4, 5]
    assert trace.bad[0].message == "not a JSON object"
