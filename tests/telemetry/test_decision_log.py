"""The decision log: what is written can be asked again, to the letter."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Literal

import pytest

from policy_engine.evaluation.facts import FactError, Facts, SettleFacts
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.policy import Policy, load
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Denied
from policy_engine.runtime.execution import Execution
from policy_engine.telemetry.decision_log import DecisionLog
from policy_engine.telemetry.entries import Entry, entry_of, line_of, plain_facts
from policy_engine.telemetry.reading import facts_of
from policy_engine.telemetry.replaying import read_log, replay_decisions
from tests.building import policy as small
from tests.generators.facts import Asking
from tests.generators.picking import SeededPick
from tests.generators.policies import Shape, generated
from tests.runtime.test_forks import in_a_child
from tests.telemetry.working import RULES, worked


@pytest.fixture(autouse=True)
def nothing_is_lost(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """An observer that fails is only logged; here that fails the test."""
    yield
    if request.node.originalname != "test_a_log_that_cannot_be_written_stops_no_work":
        assert [record.message for record in caplog.records if record.name == "policy_engine.runtime"] == []


# ---------------------------------------------------------------- any policy, any facts


def every_point(asking: Asking, pick: SeededPick, policy: Policy) -> Iterator[tuple[str, Facts]]:
    yield "admit", asking.admit()
    yield "attempt", asking.attempt()
    yield "progress", asking.progress()
    yield "failure", asking.failure()
    settled = SettleFacts(
        outcome=pick.of(list(policy.checked.outcomes)),
        state=pick.of(("running", "delivered", "accepted", "rejected", "aborted", "handed_off")),
        event=pick.of(("deliver", "accept", "reject", "reverse", "lapse", "abort", "hand_off")),
        price_nanos=pick.number(10**10),
        since_delivery_micros=pick.number(10**12),
    )
    yield "settle", settled


@pytest.mark.parametrize("seed", range(30))
def test_whatever_was_decided_is_decided_again(each_engine: str, seed: int) -> None:
    pick = SeededPick(seed)
    case = generated(pick, Shape())
    asking = Asking(pick, case.policy, case.text)
    lines = []
    for _ in range(4):
        for point, facts in every_point(asking, pick, case.policy):
            decision = getattr(case.policy.evaluator, point)(facts)
            lines.append(line_of(entry_of(decision, facts, now_micros=seed, execution="e1")))
    asked_again = load(case.text, engine="reference" if each_engine == "compiled" else "compiled")
    for policy in (case.policy, asked_again):
        result = replay_decisions(policy, enumerate(map(json.loads, lines), 1))
        assert result.same == len(lines)
        assert result.reproduced, result.to_json()


@pytest.mark.parametrize("seed", range(30))
def test_facts_come_back_as_they_were(seed: int) -> None:
    pick = SeededPick(seed)
    case = generated(pick, Shape())
    asking = Asking(pick, case.policy, case.text, missing=True)
    for point, facts in every_point(asking, pick, case.policy):
        entry = {"format": 1, "point": point, "facts": json.loads(json.dumps(plain_facts(facts)))}
        found = facts_of(entry, case.policy)
        assert found == facts
        assert plain_facts(found) == plain_facts(facts)  # what was not given is told from what is unknown


# ---------------------------------------------------------------- an engine that writes


def test_a_run_is_written_and_reproduced(written: Path) -> None:
    entries = [json.loads(line) for line in written.read_text(encoding="ascii").splitlines()]
    said = [(entry["point"], entry["decision"]["effect"], entry["execution"]) for entry in entries]
    assert said == [
        ("admit", "allow", "ticket-1"),
        ("attempt", "go", "ticket-1"),
        ("failure", "retry", "ticket-1"),
        ("attempt", "go", "ticket-1"),
        ("settle", "accepted", "ticket-1"),
        ("admit", "deny", None),
    ]
    policy = small(**RULES)
    assert {entry["policy_digest"] for entry in entries} == {policy.digest}
    assert {entry["price_digest"] for entry in entries} == {policy.prices.digest}
    assert [entry["customer"] for entry in entries] == ["acme"] * 5 + ["bolt"]
    assert entries[0]["time"] == "2023-11-14T22:13:20.000000+00:00"
    assert entries[3]["time"] == "2023-11-14T22:13:21.000000+00:00"
    assert entries[3]["facts"]["elapsed_micros"] == 1_000_000
    assert entries[0]["facts"]["given"]["risk"] == "high"
    result = replay_decisions(policy, read_log(written))
    assert (result.lines, result.same, result.reproduced) == (6, 6, True)


# ---------------------------------------------------------------- where it goes


def test_what_shadow_mode_would_refuse_is_told_from_what_was_refused() -> None:
    entries: list[Entry] = []
    policy = small(outcome="ceiling $0.01 per outcome")
    engine = Engine(policy, ledger=MemoryLedger(), mode="shadow", observers=[DecisionLog(entries.append)])
    with engine.execution("draft", customer="acme") as run:
        assert run.step("main").attempt(input_tokens=100, max_output_tokens=100) is not None
    assert [(entry["point"], entry["decision"]["effect"], entry["mode"]) for entry in entries] == [
        ("admit", "allow", "shadow"),
        ("attempt", "refuse", "shadow"),
        ("settle", "aborted", "shadow"),
    ]


def test_to_a_logger(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "decisions"):
        worked(small(**RULES), DecisionLog(logging.getLogger("decisions")), PinnedClock())
    entries = [json.loads(record.getMessage()) for record in caplog.records]
    assert replay_decisions(small(**RULES), enumerate(entries, 1)).same == len(entries) == 6


def test_a_logger_that_takes_nothing_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "decisions"):
        worked(small(**RULES), DecisionLog(logging.getLogger("decisions")), PinnedClock())
    said = "decisions are lost: the logger `decisions` takes nothing of level INFO; set its level"
    assert [(record.name, record.getMessage()) for record in caplog.records] == [("policy_engine.runtime", said)]
    caplog.clear()


def test_to_a_function() -> None:
    entries: list[Entry] = []
    worked(small(**RULES), DecisionLog(entries.append), PinnedClock())
    assert replay_decisions(small(**RULES), enumerate(json.loads(json.dumps(entries)), 1)).same == 6


@pytest.mark.parametrize("fsync", [False, True])
def test_fsync_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: bool) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    with DecisionLog(tmp_path / "log", fsync=fsync) as log:
        worked(small(**RULES), log, PinnedClock())
    assert len(synced) == (6 if fsync else 0)


def test_only_a_file_is_synced() -> None:
    with pytest.raises(ValueError, match="only a file can be synced"):
        DecisionLog(print, fsync=True)


def test_a_torn_line_stays_the_only_bad_one(written: Path) -> None:
    whole = written.read_bytes()
    written.write_bytes(whole[:-20])  # the process died in the middle of a line
    with DecisionLog(written) as log:
        worked(small(**RULES), log, PinnedClock())
    result = replay_decisions(small(**RULES), read_log(written))
    assert [found.message for found in result.bad] == ["not JSON"]
    assert (result.lines, result.same) == (12, 11)


def test_a_line_that_another_process_tore_is_no_loss_of_the_next(tmp_path: Path) -> None:
    with DecisionLog(tmp_path / "log") as log:
        worked(small(**RULES), log, PinnedClock())
        with (tmp_path / "log").open("ab") as other:
            other.write(b'{"format":1,')  # the disk was full, or the power gone
        worked(small(**RULES), log, PinnedClock())
    result = replay_decisions(small(**RULES), read_log(tmp_path / "log"))
    assert (result.same, [found.line for found in result.bad]) == (12, [7])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_to_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with DecisionLog(tmp_path / "pipe") as log:
        worked(small(**RULES), log, PinnedClock())
        assert os.read(reader, 10**6).count(b"\n") == 6
    os.close(reader)


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    with DecisionLog(tmp_path / "log") as log:
        threads = [Thread(target=worked, args=(small(**RULES), log, PinnedClock())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    result = replay_decisions(small(**RULES), read_log(tmp_path / "log"))
    assert (result.same, result.bad) == (48, [])


@pytest.mark.slow
def test_processes_share_a_file(tmp_path: Path) -> None:
    code = (
        "import sys; from tests.telemetry.test_decision_log import *\n"
        "with DecisionLog(sys.argv[1]) as log:\n"
        "    for _ in range(20): worked(small(**RULES), log, PinnedClock())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "log")]
    working = [subprocess.Popen(command, cwd=Path(__file__).parents[2]) for _ in range(2)]
    assert [process.wait(60) for process in working] == [0, 0]
    result = replay_decisions(small(**RULES), read_log(tmp_path / "log"))
    assert (result.same, result.bad) == (2 * 20 * 6, [])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_writes_though_its_parent_was_writing(tmp_path: Path) -> None:
    with DecisionLog(tmp_path / "log") as log:
        engine = Engine(small(**RULES), ledger=MemoryLedger(), observers=[log])
        assert log._file is not None

        def child() -> None:
            thread = Thread(target=lambda: engine.execution("draft", customer="acme"), daemon=True)
            thread.start()
            thread.join(5)
            assert not thread.is_alive()

        with log._file._lock:  # as another thread would hold it that is not in the child
            in_a_child(child)
    assert [entry["point"] for _, entry in read_log(tmp_path / "log") if isinstance(entry, dict)] == ["admit"]


def test_a_log_that_cannot_be_written_stops_no_work(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = DecisionLog(tmp_path / "log")
    log.close()
    worked(small(**RULES), log, PinnedClock())
    assert [record.message for record in caplog.records] == ["an observer failed in `decided`"] * 6


# ---------------------------------------------------------------- whatever an engine asks


@pytest.mark.parametrize("mode", ["enforce", "shadow"])
@pytest.mark.parametrize("seed", range(20))
def test_whatever_an_engine_asks_can_be_asked_again(
    each_engine: str, seed: int, mode: Literal["enforce", "shadow"]
) -> None:
    pick = SeededPick(seed)
    case = generated(pick, Shape())
    asking = Asking(pick, case.policy, case.text)
    entries: list[Entry] = []
    clock = PinnedClock(10**15)
    engine = Engine(
        case.policy, ledger=MemoryLedger(), clock=clock, mode=mode, observers=[DecisionLog(entries.append, clock=clock)]
    )
    for number in range(12):
        outcome = pick.of(list(case.policy.checked.outcomes))
        plan = pick.of((None, *case.policy.checked.plans))
        try:
            run = engine.execution(outcome, customer=f"c{number % 2}", plan=plan, facts=asking.given())
        except (Denied, FactError):
            continue
        with suppress(FactError), run:
            played(run, pick, clock)
    result = replay_decisions(case.policy, enumerate(json.loads(json.dumps(entries)), 1))
    assert result.reproduced, result.to_json()
    assert result.same + result.of_the_ledger == len(entries)


def played(run: Execution, pick: SeededPick, clock: PinnedClock) -> None:
    """Two steps, with attempts that fail and succeed, some streamed; then perhaps a delivery."""
    for name in ("first", "second"):
        if not run.is_running:
            return
        step = run.step(name)
        while run.is_running:
            attempt = step.attempt(input_tokens=pick.of((100, 10_000)), max_output_tokens=pick.of((50, 900)))
            if attempt is None:
                break
            clock.sleep(pick.number(10**6))
            if pick.number(1):
                attempt.progress(pick.number(100))
            if pick.number(2):
                attempt.fail(pick.of(("timeout", "rate_limit", "bad_request", "over_ceiling")))
            else:
                attempt.succeed(input_tokens=100, output_tokens=40)
                break
    if run.is_running and pick.number(1):
        run.deliver()
        if pick.number(1):
            run.accept()
