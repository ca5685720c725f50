"""`policy replay --decisions`: the same decisions again, or where they differ."""

import gzip
import json
from pathlib import Path

import pytest

from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.sqlite import SqliteLedger
from policy_engine.policy import LivePolicy, load
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.telemetry.decision_log import DecisionLog
from tests.cli.conftest import Run

LOG = "log.jsonl"
SUPPORT = ("--policy", "support.policy")


@pytest.fixture
def log(desk: Path) -> Path:
    """Three decisions: admitted, one attempt, delivered."""
    with DecisionLog(desk / LOG, clock=PinnedClock()) as written:
        engine = Engine(load(desk / "support.policy"), ledger=MemoryLedger(), clock=PinnedClock(), observers=[written])
        facts = {"risk": "low", "region": "us"}
        with engine.execution("support_draft", customer="acme", plan="growth", facts=facts, key="t1") as run:
            attempt = run.step("draft").attempt(input_tokens=1000, max_output_tokens=500)
            assert attempt is not None
            attempt.succeed(input_tokens=1000, output_tokens=200)
            run.deliver()
    return desk / LOG


def changed(log: Path, line: int, **decision: object) -> None:
    entries = [json.loads(text) for text in log.read_text().splitlines()]
    entries[line - 1]["decision"] |= decision
    log.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


@pytest.mark.parametrize("engine", ["compiled", "reference"])
def test_all_the_same(run: Run, log: Path, engine: str) -> None:
    result = run("replay", "--decisions", LOG, *SUPPORT, "--engine", engine)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "log.jsonl: 3 decisions\n3 the same\n"


def test_a_difference(run: Run, log: Path) -> None:
    changed(log, 2, effect="refuse", reason="over_ceiling", reserved_nanos=5)
    result = run("replay", "--decisions", LOG, *SUPPORT)
    assert result.exit_code == 1
    expected = """\
log.jsonl: 3 decisions
2 the same
1 different

log.jsonl:2: attempt of `t1`
  effect: refuse was recorded, now go
  reason: over_ceiling was recorded, now nothing
  reserved_nanos: 5 was recorded, now 450000
"""
    assert result.stdout == expected


def test_an_answer_of_the_ledger(run: Run, log: Path) -> None:
    nothing: dict[str, list[str]] = {"alerts": [], "rules": [], "shadow": [], "unknown": []}
    amounts = dict.fromkeys(("reserved", "reserved_nanos", "reserved_tokens", "output_cap", "deadline_micros"))
    changed(log, 2, effect="refuse", reason="over_ceiling", **nothing, **amounts)
    result = run("replay", "--decisions", LOG, *SUPPORT)
    assert result.exit_code == 0
    assert "1 decided by the ledger: the policy would let it go on" in result.stdout


def test_many_differences_are_counted(run: Run, log: Path) -> None:
    for line in (1, 2, 3):
        changed(log, line, effect="other")
    result = run("replay", "--decisions", LOG, *SUPPORT, "--max-bad", "1")
    assert result.exit_code == 1
    assert "3 different\n" in result.stdout
    assert result.stdout.endswith("2 more differences are not shown\n")


def test_another_policy_is_said(run: Run, log: Path) -> None:
    text = Path("support.policy").read_text()
    was = load(text).digest
    Path("support.policy").write_text(text.replace("draft_cap", "cap_of_a_draft"))
    now = load(Path("support.policy")).digest
    result = run("replay", "--decisions", LOG, *SUPPORT)
    assert result.exit_code == 1
    kept = json.loads(log.read_text().splitlines()[0])["policy_digest"]
    expected = (
        f"log.jsonl: 3 decisions\n0 the same\n3 left out: made by the policy {kept[:12]}, this one is {now[:12]}\n"
        "  ask with that version of the policy (files named as then), or name a ledger that keeps it (--ledger)\n"
    )
    assert result.stdout == expected
    assert was != now


def test_other_versions_are_found_in_a_ledger(run: Run, desk: Path) -> None:
    """Two versions of a policy, the second of which decided on with what began under the first."""
    text = Path("support.policy").read_text()
    facts = {"risk": "low", "region": "us"}
    with SqliteLedger("ledger.db") as ledger, DecisionLog(LOG) as log:
        live = LivePolicy("support.policy")
        engine = Engine(live, ledger=ledger, observers=[log])
        with engine.execution("support_draft", customer="acme", plan="growth", facts=facts, key="t1") as first:
            Path("support.policy").write_text(text.replace("$0.30 per outcome", "$0.31 per outcome"))
            live.reload()
            with engine.execution("support_draft", customer="acme", plan="growth", facts=facts, key="t2") as second:
                second.deliver()
            first.deliver()
    result = run("replay", "--decisions", LOG, *SUPPORT)
    assert (result.exit_code, result.stdout.splitlines()[1]) == (1, "2 the same")
    result = run("replay", "--decisions", LOG, *SUPPORT, "--ledger", "ledger.db")
    assert (result.exit_code, result.stdout) == (0, "log.jsonl: 4 decisions\n4 the same\n")
    Path("support.policy").write_text(text + "\n")
    result = run("replay", "--decisions", LOG, *SUPPORT, "--ledger", "ledger.db")
    assert (result.exit_code, result.stdout.splitlines()[1]) == (0, "4 the same")


def test_a_ledger_that_does_not_keep_it(run: Run, log: Path) -> None:
    SqliteLedger("other.db").close()
    Path("support.policy").write_text(Path("support.policy").read_text() + "\n")
    result = run("replay", "--decisions", LOG, *SUPPORT, "--ledger", "other.db")
    assert result.exit_code == 1
    said = "  `other.db` does not keep it: ask with that version of the policy (files named as then)\n"
    assert result.stdout.endswith(said)


def test_other_prices_are_said(run: Run, log: Path) -> None:
    was = json.loads(log.read_text().splitlines()[0])["price_digest"]
    log.write_text(log.read_text().replace(was, "ab" * 32))
    result = run("replay", "--decisions", LOG, *SUPPORT)
    assert result.exit_code == 1
    assert "3 left out: made with the prices abababababab, these are " in result.stdout
    assert result.stdout.endswith(
        "  ask with the price lock of then (--prices), or name a ledger that keeps it (--ledger)\n"
    )


def test_what_is_in_a_log_forges_no_line_of_the_answer(run: Run, log: Path) -> None:
    entries = [json.loads(text) for text in log.read_text().splitlines()]
    entries[0]["facts"]["outcome"] = "x\nError"
    entries[1]["execution"] = 't1`\n"3" the same\x1b[2J'
    changed = {"reason": "a\nb", "reserved": "5", "output_cap": "null", "rules": [{"name": "a\nb"}]}
    entries[1]["decision"] |= changed
    log.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    result = run("replay", "--decisions", LOG, *SUPPORT)
    expected = """\
log.jsonl: 3 decisions
1 the same
1 different

log.jsonl:2: attempt of `t1`\\n"3" the same\\u001b[2J`
  reason: "a\\nb" was recorded, now nothing
  reserved: "5" was recorded, now $0.00045
  output_cap: "null" was recorded, now 500
  rules: "a\\nb" was recorded, now ceiling 90s per outcome at support.policy:42:5
"""
    assert result.stdout == expected
    assert result.stderr.startswith("Error: log.jsonl:1: the policy has no outcome `x\\nError`\n")


def test_rules_are_named_where_others_decided(run: Run, log: Path) -> None:
    rule = {"name": "cap", "text": "ceiling", "file": "support.policy", "line": 7, "column": 3}
    changed(log, 2, rules=[rule])
    result = run("replay", "--decisions", LOG, *SUPPORT)
    assert "  rules: cap at support.policy:7:3 was recorded, now ceiling 90s per outcome at " in result.stdout


def test_a_compressed_log_says_how_it_is_read(run: Run, log: Path) -> None:
    Path("log.jsonl.gz").write_bytes(gzip.compress(log.read_bytes()))
    result = run("replay", "--decisions", "log.jsonl.gz", *SUPPORT)
    assert result.exit_code == 2
    expected = """\
Error: log.jsonl.gz: it is compressed
  unpack it first: gunzip -c log.jsonl.gz | policy replay --decisions /dev/stdin …
"""
    assert result.stderr == expected


def test_as_json(run: Run, log: Path) -> None:
    changed(log, 2, effect="refuse")
    result = run("replay", "--decisions", LOG, *SUPPORT, "--format", "json")
    assert result.exit_code == 1
    data = json.loads(result.stdout)
    assert (data["lines"], data["same"], data["reproduced"]) == (3, 2, False)
    changes = [{"where": "effect", "recorded": "refuse", "now": "go"}]
    assert data["differences"] == [{"line": 2, "execution": "t1", "point": "attempt", "changes": changes}]


def test_lines_that_cannot_be_used(run: Run, log: Path) -> None:
    log.write_text(log.read_text() + "{\n")
    result = run("replay", "--decisions", LOG, *SUPPORT)
    assert result.exit_code == 1
    assert result.stderr == "Error: log.jsonl:4: not JSON\n1 line of 4 left out\n"
    log.write_text("{\n")
    result = run("replay", "--decisions", LOG, *SUPPORT)
    assert result.exit_code == 2
    assert result.stderr.endswith("Error: log.jsonl: not one line of it can be used\n")
    log.write_text("")
    result = run("replay", "--decisions", LOG, *SUPPORT)
    assert (result.exit_code, result.stderr) == (2, "Error: log.jsonl: there are no decisions in it\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name a TRACE, or a decision log with --decisions"),
        (["trace.csv", "--decisions", LOG], "name a TRACE, or a decision log with --decisions"),
        (["--decisions", LOG, "--set", "plan=growth"], "--map and --set are for a TRACE"),
        (["trace.csv", "--ledger", "ledger.db"], "--ledger is for a decision log"),
        (["--decisions", LOG, "--ledger", "nowhere.db"], "nowhere.db"),
        (["--decisions", "nowhere.jsonl"], "nowhere.jsonl: no such file or directory"),
    ],
)
def test_wrong_usage(run: Run, log: Path, words: list[str], message: str) -> None:
    result = run("replay", *words, *SUPPORT)
    assert result.exit_code == 2
    assert message in result.stderr
