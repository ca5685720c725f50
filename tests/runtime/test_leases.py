"""Who renews: one thread of each engine, whatever happens to one of its executions."""

from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

import pytest

from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.protocol import Ledger, LedgerError, LedgerUnavailable
from policy_engine.runtime import leases
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import InProgress
from policy_engine.runtime.execution import Execution
from tests.runtime.desk import ASKS, CENT, LEASE, SECOND, Faulty, engine, ledger, policy, spent

__all__ = ["ledger"]  # a fixture

SHORT = 0.15


class Odd(MemoryLedger):
    """Fails at the renewal of one execution, in a way that is no ledger's."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def change(self, record: Any, **ends: Any) -> bool:
        if record.key == "odd" and record.state == "running":
            raise self.error
        return super().change(record, **ends)


def until(comes: Callable[[], bool]) -> bool:
    end = monotonic() + 5
    while not comes() and monotonic() < end:
        sleep(0.01)
    return comes()


def begin(made: Engine, key: str) -> Execution:
    return made.execution("draft", customer="acme", key=key)


@pytest.mark.parametrize("error", [LedgerError("no"), ValueError("whatever"), OSError(24, "too many open files")])
def test_one_that_cannot_be_renewed_keeps_no_other_from_it(error: Exception) -> None:
    made = Engine(policy(), ledger=Odd(error), lease_seconds=SHORT)
    odd, run = begin(made, "odd"), begin(made, "even")
    assert until(lambda: run.record.version >= 3)
    assert odd.record.version == 0
    made.close()


def test_an_engine_that_was_closed_and_is_used_again_renews() -> None:
    made = Engine(policy(), ledger=MemoryLedger(), lease_seconds=SHORT)
    first = begin(made, "first")
    made.close()
    second = begin(made, "second")
    assert until(lambda: second.record.version >= 2)
    assert first.record.version == 0
    made.close()


ESCROW = {"file": "on store failure allow within $50"}


def test_what_was_begun_in_a_long_silence_is_its_owners_when_the_store_answers(ledger: Ledger) -> None:
    """Its lease begins when the store is told: else anybody could take it over at that moment."""
    store: Any = Faulty(ledger)
    made = engine(ESCROW, ledger=store, lease_seconds=LEASE)
    other = engine(ESCROW, ledger=ledger, clock=made.clock, lease_seconds=LEASE)
    store.silent = True
    with begin(made, "k") as run:
        attempt = next(run.step("write", **ASKS))
        with attempt:
            made.clock.sleep(int(10 * LEASE) * SECOND)
            store.silent = False
            assert made.reconcile()
            with pytest.raises(InProgress):
                begin(other, "k")
            assert [entry.state for entry in ledger.entries(run.id)] == ["held"] * 3
            attempt.settle(input_tokens=10, output_tokens=10)
        run.deliver()
    assert run.state == "accepted"
    assert spent(ledger) == (3 * CENT, 0)


def test_leases_are_renewed_as_soon_as_the_store_answers_again() -> None:
    store: Any = Faulty(MemoryLedger())
    made = Engine(policy(**ESCROW), ledger=store, lease_seconds=30.0)
    run = begin(made, "k")
    with next(run.step("write", **ASKS)):
        store.silent = True
    assert made.escrow.owes
    store.silent = False
    assert made.reconcile()
    assert until(lambda: run.record.version == 1)
    run.leave()
    made.close()


def test_a_silent_store_is_asked_for_leases_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends while it is silent may be taken by others from the moment it answers."""
    monkeypatch.setattr(leases, "AGAIN", 0.05)
    asked: list[str] = []

    class Silent(MemoryLedger):
        def change(self, record: Any, **ends: Any) -> bool:
            asked.append(record.state)
            if asked.count("running") < 5:
                raise LedgerUnavailable("nobody there")
            return super().change(record, **ends)

    made = Engine(policy(), ledger=Silent(), lease_seconds=4.5)
    run = begin(made, "k")
    assert until(lambda: run.record.version == 1)
    run.leave()
    made.close()
