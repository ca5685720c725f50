"""`policy eval`: facts in, decisions out, and every bad line accounted for."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policy_engine import FactError
from policy_engine.cli import schema
from policy_engine.cli.eval import POINTS
from policy_engine.cli.facts import read_entries
from policy_engine.evaluation.context import IN_SMALL_UNITS
from policy_engine.language.vocabulary import Point
from policy_engine.policy import Policy, load
from tests.cli.conftest import LOW, ROOT, TICKET, Run

SUPPORT = ("--policy", "support.policy")
ZERO = (*SUPPORT, "--assume-zero", "--facts")
CALL: dict[str, Any] = {
    "customer": "acme",
    "plan": "growth",
    "outcome": "support_draft",
    "risk": "high",
    "region": "us",
}
CALL |= {"lane": "premium", "route": "opus", "step": "draft", "price": 0.80}
EXAMPLES: dict[str, dict[str, Any]] = {
    "admit": json.loads(TICKET),
    "attempt": {**CALL, "input_tokens": 3000, "max_output_tokens": 4000, "min_output_tokens": 500},
    "progress": {**CALL, "output_tokens": 10, "estimate": "$0.01", "attempt_elapsed": "3s"},
    "failure": {**CALL, "error": "timeout", "failures": 1},
    "settle": {"outcome": "support_draft", "state": "running", "event": "deliver", "price": 0.8},
}


def test_the_points_are_those_of_the_engine() -> None:
    assert [*POINTS] == [str(point) for point in Point]


@pytest.mark.parametrize(
    ("words", "stdin", "exit_code", "first"),
    [
        (["admit", *ZERO, "ticket.json"], "", 0, "admit: allow"),
        (["admit", *ZERO, "-"], TICKET, 0, "admit: allow"),
        (["admit", *ZERO, "-"], "\ufeff\n\n" + TICKET, 0, "admit: allow"),
        (["admit", *ZERO, "-"], json.dumps(json.loads(TICKET), indent=4), 0, "admit: allow"),
        (["admit", *SUPPORT, "--facts", "ticket.json"], "", 1, "admit: deny"),  # what was spent is unknown
        (["admit", *SUPPORT, "--engine", "reference", "--facts", "ticket.json"], "", 1, "admit: deny"),
        (["attempt", *ZERO, "-"], json.dumps(EXAMPLES["attempt"]), 0, "attempt: go"),
        (["attempt", *ZERO, "-"], json.dumps({**EXAMPLES["attempt"], "spent": 9}), 1, "attempt: refuse"),
        (["progress", *ZERO, "-"], json.dumps(EXAMPLES["progress"]), 0, "progress: go"),
        (["failure", *ZERO, "-"], json.dumps(EXAMPLES["failure"]), 0, "failure: route"),
        (["settle", *ZERO, "-"], json.dumps(EXAMPLES["settle"]), 0, "settle: delivered"),
        (["admit", *ZERO, "-"], f"{TICKET}\n{LOW}\n", 0, "line 1: allowed in lane premium"),
    ],
)
def test_decisions(run: Run, words: list[str], stdin: str, exit_code: int, first: str) -> None:
    result = run("eval", *words, stdin=stdin)
    assert result.exit_code == exit_code, result.output
    assert result.stdout.splitlines()[0].startswith(first)
    assert result.stderr == ""


def test_one_decision_is_shown_in_full(run: Run) -> None:
    shown = run("eval", "attempt", *ZERO, "-", stdin=json.dumps(EXAMPLES["attempt"])).stdout.splitlines()
    policy = load("support.policy")
    decision = policy.attempt(policy.facts("attempt", EXAMPLES["attempt"], assume_zero=True))
    assert shown == [
        "attempt: go",
        str(decision),
        "",
        "  reason           shrunk",
        "  reserved         $0.249975",
        "  reserved tokens  5,733",
        "  output cap       2,733",
        "  time left        90s",
        f"  policy           {policy.digest[:12]}",
        "",
        "  rule                              says          limit  used      asked  place",
        "  ceiling $0.25 per attempt         decides       $0.25    $0  $0.249975  support.policy:11:89",
        "  ceiling 90s per outcome           decides         90s    0s             support.policy:42:5",
        "  shadow ceiling $0.20 per outcome  would refuse  $0.20    $0  $0.249975  support.policy:47:5",
    ]


LINES = f"""\
{TICKET}
{{"customer": "acme", "plan": "growht", "outcome": "support_draft", "risk": "high"}}

{{"customer": "acme"
[1]
{{"customer": "acme", "customer": "bolt"}}
{{"customer": NaN}}
7
{LOW}
"""
REPORTS = [
    "<stdin>:2: `plan`: `growht` is no plan; did you mean `growth`?",
    "<stdin>:4: this is not JSON: expecting ',' delimiter at column 20",
    "<stdin>:5: facts are a JSON object, one per line; this is a list",
    "<stdin>:6: `customer` is given twice",
    "<stdin>:7: `NaN` is not a number",
    "<stdin>:8: facts are a JSON object, one per line; this is `7`",
]


@pytest.mark.parametrize("form", ["text", "json"])
def test_bad_lines_are_reported_and_counted_and_the_others_answered(run: Run, form: str) -> None:
    result = run("eval", "admit", *ZERO, "-", "--format", form, stdin=LINES)
    assert result.exit_code == 2
    *reports, hint, count = result.stderr.splitlines()
    assert reports == [f"Error: {report}" for report in REPORTS]
    assert "--schema" in hint
    assert count == "2 decisions: 2 permitted, 0 refused; 6 lines left out"
    lines = result.stdout.splitlines()
    if form == "json":
        assert [json.loads(line)["line"] for line in lines] == [1, 9]
    else:
        assert [line.partition(":")[0] for line in lines] == ["line 1", "line 9"]


@pytest.mark.parametrize(
    ("stdin", "message"),
    [
        ("", "<stdin>: no facts in it"),
        ("\n \n", "<stdin>: no facts in it"),
        ("{", "<stdin>:1: this is not JSON: expecting property name enclosed in double quotes at column 2"),
        ('{\n"customer": "a",\n"x" 1\n}', "<stdin>:1: this is not JSON: expecting ':' delimiter at line 3, column 5"),
        ("[\n" + TICKET + "\n]", "<stdin>:1: facts are a JSON object, one per line; this is a list"),
        ('{"customer": "acme"}', "<stdin>:1: `outcome` is missing"),
        (b"\xff\xfe{\x00}\x00", "<stdin>:1: this is not UTF-8 text"),
        ("[" * 100_000, "<stdin>:1: this is not JSON"),
        ('{"customer": ' + "9" * 5_000 + "}", "<stdin>:1: "),
    ],
)
def test_input_that_is_all_bad(run: Run, stdin: str | bytes, message: str) -> None:
    result = run("eval", "admit", *ZERO, "-", stdin=stdin)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {message}")


def test_json_is_one_object_per_line_and_names_the_line(run: Run) -> None:
    result = run("eval", "admit", *ZERO, "-", "--format", "json", stdin=f"{TICKET}\n\n{LOW}\n")
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first.pop("line"), second.pop("line")) == (1, 3)
    policy = load("support.policy")
    assert first == policy.admit(policy.facts("admit", json.loads(TICKET), assume_zero=True)).to_json()
    assert list(first) == list(second)


def test_a_refusal_among_many_is_exit_code_1(run: Run) -> None:
    eu = TICKET.replace('"us"', '"eu"').replace("growth", "base")
    asked = eu.replace('"customer"', '"lane": "premium", "customer"')
    result = run("eval", "admit", *ZERO, "-", stdin=f"{TICKET}\n{asked}\n")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "2 decisions: 1 permitted, 1 refused"


def test_a_policy_with_a_mistake_is_asked_nothing(run: Run) -> None:
    result = run("eval", "admit", "-p", "bad.policy", "--facts", "ticket.json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error[P203]: `monht` is not a window\n")
    assert result.stderr.endswith("Error: the policy has 2 errors, so nothing was asked\n")


# ---------------------------------------------------------------- what can be given


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize(
    "path", ["support.policy", *sorted({str(p.parent) for p in (ROOT / "policies").glob("*/*.policy")})]
)
def test_the_schema_names_every_entry(run: Run, point: str, path: str) -> None:
    data = json.loads(run("eval", point, "-p", path, "--schema", "--format", "json").stdout)
    fields = load(path).boundary.model(Point(point)).model_fields
    entries = {field.alias or name for name, field in fields.items()}
    assert set(data["properties"]) == entries | {IN_SMALL_UNITS[name] for name in entries & set(IN_SMALL_UNITS)}
    assert set(data["required"]) <= set(data["properties"])
    table = run("eval", point, "-p", path, "--schema").stdout
    assert all(len(line) <= 100 for line in table.splitlines())
    assert [line.split()[0] for line in table.splitlines() if line[0] != " "] == [
        "entry",
        *(entry.name for entry in schema.wanted(load(path), Point(point))),
    ]


@pytest.mark.parametrize("point", POINTS)
def test_what_the_schema_calls_required_is_what_must_be_given(run: Run, point: str) -> None:
    required = json.loads(run("eval", point, *SUPPORT, "--schema", "--format", "json").stdout)["required"]
    for name in required:
        data = {key: value for key, value in EXAMPLES[point].items() if key != name}
        result = run("eval", point, *ZERO, "-", stdin=json.dumps(data))
        assert (result.exit_code, f"`{name}` is missing" in result.stderr) == (2, True)


SUCH: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 0.5, 99, 10**12, 10**12 + 1, 10**21 + 1, "", [], {}, {"settled": 1}, {"settled": -1}),
    *({"setled": 1}, {"settled": 1, "reserved": 1}, {"spent per outcome": 1}, {"spent per day": 1}, {"timeout": 1}),
)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.usefixtures("run")  # which goes where the policy is
def test_the_schema_accepts_what_is_accepted(point: str) -> None:
    policy = load("support.policy")
    document = schema.json_schema(policy, Point(point))
    base = {name: value for name, value in EXAMPLES[point].items() if name != "min_output_tokens"}
    base |= {"max_output_tokens": 10**12} if point == "attempt" else {}
    base |= {} if point in ("admit", "settle") else {"spent": 1}  # `reserved` needs it
    left_out = [{key: value for key, value in base.items() if key != name} for name in base if name != "spent"]
    for name in (*document["properties"], "nonsense"):
        for value in SUCH:
            for data in (base, *([] if name not in TWICE else left_out)):
                asked = data | {name: value}
                assert fits(asked, document) == accepted(policy, point, asked), asked


TWICE = {*IN_SMALL_UNITS, *IN_SMALL_UNITS.values()}


def accepted(policy: Policy, point: str, data: dict[str, Any]) -> bool:
    try:
        policy.facts(point, data)
    except FactError:
        return False
    return True


def fits(value: Any, said: dict[str, Any]) -> bool:
    """Whether a value is valid under a JSON schema, as far as the ones here go. An empty text is no amount."""
    kinds = said.get("type", [])
    checks: dict[str, Callable[[], bool]] = {
        "type": lambda: any(_is(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)),
        "enum": lambda: any(value is each or (isinstance(value, str) and value == each) for each in said["enum"]),
        "minimum": lambda: not _is(value, "number") or value >= said["minimum"],
        "maximum": lambda: not _is(value, "number") or value <= said["maximum"],
        "minLength": lambda: not isinstance(value, str) or len(value) >= said["minLength"],
        "anyOf": lambda: any(fits(value, each) for each in said["anyOf"]),
        "oneOf": lambda: sum(fits(value, each) for each in said["oneOf"]) == 1,
        "allOf": lambda: all(fits(value, each) for each in said["allOf"]),
        "not": lambda: not fits(value, said["not"]),
        "required": lambda: not isinstance(value, dict) or set(said["required"]) <= set(value),
        "properties": lambda: (
            not isinstance(value, dict) or all(_has(value, *one) for one in said["properties"].items())
        ),
        "propertyNames": lambda: (
            not isinstance(value, dict) or all(fits(each, said["propertyNames"]) for each in value)
        ),
        "items": lambda: not isinstance(value, list) or all(fits(each, said["items"]) for each in value),
        "additionalProperties": lambda: not isinstance(value, dict) or _no_more(value, said),
    }
    assert set(said) <= {*checks, "$schema", "title", "description", "default", "format"}
    return all(check() for key, check in checks.items() if key in said)


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    classes: dict[str, Any] = {
        "number": (int, float),
        "integer": int,
        "null": type(None),
        "array": list,
        "object": dict,
    }
    return isinstance(value, classes.get(kind, str)) and not (value == "" and kind == "string")


def _has(value: dict[str, Any], name: str, said: dict[str, Any]) -> bool:
    return name not in value or fits(value[name], said)


def _no_more(value: dict[str, Any], said: dict[str, Any]) -> bool:
    more = [each for name, each in value.items() if name not in said.get("properties", {})]
    rest = said["additionalProperties"]
    return not more if rest is False else all(fits(each, rest) for each in more)


def test_the_schema_says_what_a_fact_may_be(run: Run) -> None:
    properties = json.loads(run("eval", "admit", *SUPPORT, "--schema", "--format", "json").stdout)["properties"]
    assert properties["risk"]["enum"] == ["low", "medium", "high", None]
    assert properties["region"]["enum"] == ["eu", "us", "apac", None]
    confidence = properties["confidence"]
    assert (confidence["minimum"], confidence["maximum"], confidence["default"]) == (0, 1, 1)
    assert "spent of support per customer per day" in properties["meters"]["properties"]


# ---------------------------------------------------------------- any input at all

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["1e400", "-0", "$1", "9s"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize("point", POINTS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_any_entries_give_a_decision_or_a_report(run: Run, point: str, data: st.DataObject) -> None:
    names = [*EXAMPLES[point], "meters", "grants", "visited", "retries", "spent", "reserved", "escrow", "confidence"]
    changed = data.draw(st.dictionaries(st.sampled_from(names), VALUES, max_size=3))
    text = json.dumps({**EXAMPLES[point], **changed})
    result = run("eval", point, *ZERO, "-", "--format", "json", stdin=text)
    assert result.exit_code in (0, 1, 2)
    assert bool(result.stdout) == (result.exit_code != 2)
    assert bool(result.stderr) == (result.exit_code == 2)


@given(st.lists(st.sampled_from([b"{}", b"{", b"}", b"[]", b"", b" ", b"\xff", b'{"a": 1}', b"1"]), max_size=6))
def test_every_line_that_is_not_empty_is_answered_for(lines: list[bytes]) -> None:
    from io import BytesIO

    entries = list(read_entries(BytesIO(b"\n".join(lines))))
    written = [number for number, line in enumerate(lines, 1) if line.strip()]
    if any(entry.facts is not None for entry in entries) and len(entries) > 1:
        assert [entry.line for entry in entries] == written
    else:
        assert [entry.line for entry in entries] == written[:1]


def test_a_number_of_too_many_digits_is_said_in_our_words(run: Run, desk: Path) -> None:
    (desk / "long.json").write_text('{"customer": ' + "9" * 5000 + "}", encoding="utf-8")
    result = run("eval", "admit", "--policy", "support.policy", "--facts", "long.json")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: long.json:1: a number has too many digits\n")
