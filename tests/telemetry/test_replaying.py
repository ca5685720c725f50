"""Logged decisions asked again: every difference is found, and no line, however damaged, stops it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from policy_engine.evaluation.decision import AdmitDecision, AttemptDecision, FailureDecision, Head
from policy_engine.policy import load
from policy_engine.runtime.clock import PinnedClock
from policy_engine.telemetry.decision_log import DecisionLog
from policy_engine.telemetry.entries import Entry, entry_of, line_of
from policy_engine.telemetry.reading import READERS, RECORDS
from policy_engine.telemetry.replaying import BadLine, Difference, read_log, replay_decisions
from tests.building import policy as small
from tests.telemetry.working import RULES, worked


@pytest.mark.parametrize(
    ("where", "value", "changed"),
    [
        (("decision", "effect"), "refuse", ("effect", "refuse", "go")),
        (("decision", "reserved_nanos"), 1, ("reserved_nanos", 1, 300_000_000)),
        (("decision", "alerts", 0, "used"), 7, ("alerts[0].used", 7, 0)),
        (("facts", "max_output_tokens"), 50, ("reserved_nanos", 300_000_000, 200_000_000)),
    ],
)
def test_a_difference_is_reported(
    written: Path, where: tuple[Any, ...], value: Any, changed: tuple[str, Any, Any]
) -> None:
    entries = [json.loads(line) for line in written.read_text().splitlines()]
    place = entries[1]
    for name in where[:-1]:
        place = place[name]
    place[where[-1]] = value
    result = replay_decisions(small(**RULES), enumerate(entries, 1))
    assert (result.same, result.reproduced) == (5, False)
    (found,) = result.differences
    assert (found.line, found.execution, found.point) == (2, "ticket-1", "attempt")
    assert changed in found.changes


def test_a_fact_that_is_gone_is_a_difference(written: Path) -> None:
    policy = small(**RULES, standard="allow when vip or risk is high")
    facts = policy.facts("admit", {"customer": "a", "outcome": "draft", "risk": "high"})
    decision = policy.admit(facts)
    entry = json.loads(line_of(entry_of(decision, facts, now_micros=0)))
    del entry["facts"]["given"]["risk"]
    result = replay_decisions(policy, [(1, entry)])
    assert [type(found) for found in result.differences] == [Difference]
    assert "risk" in result.differences[0].changes[0][2]


def test_another_policy_is_said_and_left_out(written: Path) -> None:
    other = small(outcome="ceiling $3 per outcome")
    result = replay_decisions(other, read_log(written))
    was = small(**RULES)
    assert dict(result.elsewhere) == {(was.digest, was.prices.digest): 6}
    assert (result.same, result.differences, result.reproduced) == (0, [], False)


def test_the_folder_of_a_policy_is_no_difference(tmp_path: Path) -> None:
    text = Path("tests/data/page.policy")
    texts = text.read_text(encoding="utf-8")
    entries: list[Entry] = []
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "support.policy").write_text(texts, encoding="utf-8")
    policy = load(tmp_path / "here")
    facts = policy.facts("admit", {"customer": "a", "outcome": "support_draft", "risk": "high", "region": "eu"})
    entries.append(json.loads(line_of(entry_of(policy.admit(facts), facts, now_micros=0))))
    assert "here" in line_of(entries[0])
    assert replay_decisions(load(tmp_path / "there"), [(1, entries[0])]).reproduced


@pytest.mark.parametrize(
    ("point", "effect", "reason", "again", "counted"),
    [
        ("attempt", "refuse", "over_ceiling", "go", True),  # somebody else took the amount in between
        ("attempt", "refuse", "store_silent", "go", True),
        ("attempt", "refuse", "estimate_unknown", "go", False),  # the policy alone says that
        ("failure", "stop", None, "hand_off", True),  # the desk's last place went to somebody else
        ("failure", "stop", None, "retry", False),
        ("admit", "deny", "limit_reached", "allow", True),
        ("admit", "deny", "store_silent", "allow", True),
        ("admit", "deny", "forbidden", "allow", False),
    ],
)
def test_answers_of_the_ledger_are_told_apart(
    point: str, effect: str, reason: str | None, again: str, counted: bool
) -> None:
    words = {"hand_off": "fallback human", "retry": "retry 1 on timeout", "go": "", "allow": ""}
    policy = small(outcome=words[again])
    asked: dict[str, Any] = {
        "customer": "a",
        "outcome": "draft",
        "lane": "standard",
        "route": "mini",
        "step": "s",
        "price": 2,
    }
    more: dict[str, dict[str, Any]] = {
        "failure": {"error": "timeout"},
        "attempt": {"input_tokens": 1, "max_output_tokens": 1},
    }
    asked = {"customer": "a", "outcome": "draft"} if point == "admit" else asked | more[point]
    facts = policy.facts(point, asked, assume_zero=True)
    decision = getattr(policy, point)(facts)
    assert decision.effect == again
    head = Head(effect, reason, decision.currency, decision.digests)
    instead = {"admit": AdmitDecision, "attempt": AttemptDecision, "failure": FailureDecision}[point](head)
    entry = json.loads(line_of(entry_of(instead, facts, now_micros=0)))
    result = replay_decisions(policy, [(1, entry)])
    assert (result.of_the_ledger, len(result.differences)) == ((1, 0) if counted else (0, 1))
    entry["decision"]["unknown"] = ["risk"]  # the runtime's own answers say nothing but what they are
    assert len(replay_decisions(policy, [(1, entry)]).differences) == 1


NEWER = "a newer version of policy_engine wrote it (format 2, this one reads 1): update to read it"


def entry_text(**changed: Any) -> bytes:
    policy = small()
    facts = policy.facts("admit", {"customer": "a", "outcome": "draft"})
    entry = entry_of(policy.admit(facts), facts, now_micros=0)
    return line_of(entry | changed).encode()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"{\0}\0", "not JSON"),  # UTF-16
        (b"[" * 100_000, "not JSON"),
        (b"[]", "not a line of a decision log"),
        (b"{}", "not a line of a decision log"),
        (entry_text(format=0), "not a line of a decision log"),
        (
            entry_text(format=2),
            "a newer version of policy_engine wrote it (format 2, this one reads 1): update to read it",
        ),
        (entry_text(point=["admit"]), "not a line of a decision log"),
        (entry_text(time="yesterday"), "not a line of a decision log"),
        (entry_text(mode="off"), "not a line of a decision log"),
        (entry_text(execution=7), "not a line of a decision log"),
        (entry_text(customer="b"), "it says its `customer` twice, and differently"),
        (entry_text(policy_digest="ab"), "it says its `policy_digest` twice, and differently"),
        (entry_text(decision=None), "not a line of a decision log"),
        (entry_text(facts=[]), "not a line of a decision log"),
        (entry_text(facts={}), "not the facts of `admit`"),
    ],
)
def test_a_line_that_cannot_be_used(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(entry_text() + b"\n\n" + line + b"\n")
    result = replay_decisions(small(), read_log(path))
    assert result.bad == [BadLine(3, message)]
    assert (result.same, result.reproduced) == (1, False)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("given", {"colour": 1}, "the policy has no fact `colour`"),
        ("meters", {"spent per fortnight": [0, 0]}, "the policy has no counter `spent per fortnight`"),
        ("meters", [], "`meters` among its facts cannot be read"),
        ("meters", {"spent per day": [1.5, 0]}, "`spent per day` among its facts cannot be read"),
        ("grants", [{"units": 3}], "`grants` among its facts cannot be read"),
        ("grants", "\ud800", "`grants` among its facts cannot be read"),
        ("given", {"risk": "extreme"}, "the fact `risk` cannot be read"),
        ("given", {"score": float("nan")}, "the fact `score` cannot be read"),
        ("given", {"size": True}, "the fact `size` cannot be read"),
        ("outcome", "letter", "the policy has no outcome `letter`"),
        ("outcome", [], "`outcome` among its facts cannot be read"),
        ("plan", "gone", "the policy has no plan `gone`"),
        ("lane", "gone", "the policy has no lane `gone`"),
    ],
)
def test_facts_that_cannot_be_read(name: str, value: Any, message: str) -> None:
    policy = small(file="ceiling $9 per day")
    facts = policy.facts("admit", {"customer": "a", "outcome": "draft"})
    entry = json.loads(line_of(entry_of(policy.admit(facts), facts, now_micros=0)))
    entry["facts"][name] = value
    (found,) = replay_decisions(policy, [(1, entry)]).bad
    assert found.message == message


def test_a_log_that_ends_in_the_midst_of_a_line(written: Path) -> None:
    written.write_bytes(written.read_bytes()[:-20])
    result = replay_decisions(small(**RULES), read_log(written))
    assert result.bad == [BadLine(6, "not JSON: the file ends in the midst of a line")]
    assert result.same == 5


def test_every_field_of_every_record_is_read() -> None:
    assert {name for record in RECORDS.values() for name in record.__struct_fields__} == set(READERS)


WRONG: tuple[Any, ...] = (None, True, -1, 1, 1.0, 10**30, "x", "\ud800", [], [[1]], {}, {"a": 1})
UNREAD = {"time", "execution", "execution_id", "sentence"}
"""What no decision is made from; the sentence says the same in words."""


def places(said: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    inside = said.items() if isinstance(said, dict) else enumerate(said) if isinstance(said, list) else ()
    for name, value in inside:
        yield (*at, name), value
        yield from places(value, (*at, name))


def with_changed(entry: Entry, at: tuple[str | int, ...], value: Any) -> Entry:
    changed: Any = json.loads(json.dumps(entry))
    place = changed
    for name in at[:-1]:
        place = place[name]
    place[at[-1]] = value
    return dict(changed)


def test_any_field_may_be_damaged() -> None:
    """No traceback whatever a field says; a decision that says anything else is always found out."""
    policy = small(**RULES)
    lines: list[Entry] = []
    worked(policy, DecisionLog(lines.append), PinnedClock(10**15))
    for number, entry in enumerate(json.loads(json.dumps(lines)), 1):
        for at, was in places(entry):
            for value in WRONG:
                if type(value) is type(was) and value == was:
                    continue
                result = replay_decisions(policy, [(number, with_changed(entry, at, value))])
                found: list[BadLine | Difference] = [*result.bad, *result.differences]
                assert [one.line for one in found] in ([], [number])
                if not found and not result.elsewhere:
                    assert at[0] == "facts" or at[-1] in UNREAD or (at == ("customer",) and entry["point"] == "settle")
