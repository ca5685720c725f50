"""Who renews: one thread of each engine, whatever happens to one of its executions."""

from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

import pytest

from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.protocol import LedgerError
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.execution import Execution
from tests.runtime.desk import policy

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
