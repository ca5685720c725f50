"""A process that is forked off in the midst of work: what was begun stays its parent's."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.protocol import Ledger
from policy_engine.ledger.sqlite import SqliteLedger
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import NotRunning
from policy_engine.runtime.execution import Execution
from tests.runtime.desk import ASKS, CENT, Faulty, engine, policy, spent

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def in_a_child(work: Callable[[], object]) -> None:
    """Do it in a forked process, and wait for its end; fails if the work fails there."""
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        except BaseException as error:
            sys.stderr.write(f"in the child: {error!r}\n")
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def ledger_of(path: Path) -> Ledger:
    return SqliteLedger(path / "ledger.sqlite", synchronous="NORMAL")


def test_a_child_ends_nothing_of_its_parents(tmp_path: Path) -> None:
    """It leaves every `with` it was forked in, as `sys.exit` does: no abort, and nothing charged."""
    ledger = ledger_of(tmp_path)
    made = engine(ledger=ledger)
    with made.execution("draft", customer="acme", key="k") as run:
        for attempt in run.step("write", **ASKS):
            with attempt:
                child = os.fork()
                if not child:
                    try:
                        with run, attempt:
                            sys.exit(0)
                    except BaseException:
                        os._exit(0)
                os.waitpid(child, 0)
                assert spent(ledger) == (0, 30 * CENT)
                attempt.settle(input_tokens=10, output_tokens=10)
        run.deliver()
    assert run.state == "accepted"
    assert spent(ledger) == (3 * CENT, 0)


def test_a_child_works_on_nothing_of_its_parents() -> None:
    made = engine(ledger=MemoryLedger())
    run = made.execution("draft", customer="acme", key="k")
    attempt = next(run.step("write", **ASKS))

    def child() -> None:
        refused: tuple[Callable[[], object], ...] = (
            lambda: run.step("more", **ASKS),
            run.deliver,
            run.abort,
            lambda: attempt.settle(input_tokens=1, output_tokens=1),
        )
        for work in refused:
            with pytest.raises(NotRunning):
                work()

    in_a_child(child)


def test_a_child_does_not_renew_what_its_parent_has(tmp_path: Path) -> None:
    """Whoever renews changes the record: the parent would find it changed by somebody else."""
    ledger = ledger_of(tmp_path)
    made = engine(ledger=ledger, lease_seconds=60.0)
    run = made.execution("draft", customer="acme", key="k")
    before = ledger.execution("acme", "draft", "k")
    in_a_child(made.leases.renew)
    assert ledger.execution("acme", "draft", "k") == before
    made.leases.renew()
    assert run.deliver().permits


@pytest.mark.slow
def test_a_child_has_leases_of_its_own(tmp_path: Path) -> None:
    ledger = ledger_of(tmp_path)
    made = Engine(policy(), ledger=ledger, lease_seconds=0.3)
    with made.execution("draft", customer="acme", key="parent") as run:

        def child() -> None:
            with made.execution("draft", customer="acme", key="child") as own:
                time.sleep(1)
                assert own.deliver().permits

        in_a_child(child)
        run.deliver()
    assert run.state == "accepted"


def test_a_child_does_not_tell_what_its_parent_owes(tmp_path: Path) -> None:
    """Told twice, the second one would find the execution begun already."""
    ledger = ledger_of(tmp_path)
    store = Faulty(ledger)
    made = engine({"file": "on store failure allow within $20"}, ledger=store)
    store.silent = True
    with made.execution("draft", customer="acme", key="k") as run:
        for attempt in run.step("write", **ASKS):
            with attempt:
                attempt.settle(input_tokens=10, output_tokens=10)
        store.silent = False

        def child() -> None:
            assert not made.escrow.owes
            assert not made.escrow.reading().used
            assert made.reconcile()

        in_a_child(child)
        assert ledger.execution("acme", "draft", "k") is None
        run.deliver()
    assert run.state == "accepted"
    assert spent(ledger) == (3 * CENT, 0)


def test_a_lock_that_was_held_at_the_fork_stops_no_child() -> None:
    made = engine(ledger=MemoryLedger(), lease_seconds=60.0)
    run = made.execution("draft", customer="acme")
    locks = (made.leases._lock, made.escrow._lock, made.editions._lock, run.lock)
    for lock in locks:
        lock.acquire()  # as another thread would that is not in the child

    def child() -> None:
        from threading import Thread

        def work() -> None:
            with made.execution("draft", customer="acme") as own:
                own.deliver()

        thread = Thread(target=work, daemon=True)
        thread.start()
        thread.join(5)
        assert not thread.is_alive()

    in_a_child(child)
    for lock in locks:
        lock.release()
    assert isinstance(run, Execution)
