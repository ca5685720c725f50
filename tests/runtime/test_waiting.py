"""A store that lets everybody wait: how often it is waited for."""

from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from time import sleep
from typing import Any

from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.protocol import LedgerUnavailable
from policy_engine.runtime.escrow import LONG
from policy_engine.runtime.execution import Execution
from tests.runtime.desk import ASKS, CENT, Faulty, engine, spent

WORKERS = 8


class Waiting(Faulty):
    """While it is silent, whoever asks waits for a while; `waits` is how often somebody did."""

    def __init__(self) -> None:
        super().__init__(MemoryLedger())
        self.waits = 0
        self._counting = Lock()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ledger, name)

        def call(*args: Any, **values: Any) -> Any:
            if not self.silent:
                return found(*args, **values)
            with self._counting:
                self.waits += 1
            sleep(LONG + 0.05)
            raise LedgerUnavailable("it does not answer")

        return call if callable(found) else found


def test_who_works_on_the_escrow_waits_once_and_not_for_the_others() -> None:
    store: Any = Waiting()
    made = engine({"file": "ceiling $100 per day  on store failure allow within $50"}, ledger=store)

    def work(number: int) -> Execution:
        with made.execution("draft", customer=f"customer {number}") as run:
            for _ in range(3):
                for attempt in run.step("write", **ASKS):
                    with attempt:
                        attempt.settle(input_tokens=10, output_tokens=10)
            run.deliver()
        return run

    work(0)
    store.silent = True
    work(1)  # from here on something is owed
    store.waits = 0
    with ThreadPoolExecutor(WORKERS) as pool:
        runs = list(pool.map(work, range(2, WORKERS + 2)))
    assert store.waits <= WORKERS + 4
    assert {run.state for run in runs} == {"accepted"}
    store.silent = False
    assert made.reconcile()
    assert spent(store) == ((WORKERS + 2) * 3 * 3 * CENT, 0)


def test_a_store_that_answers_again_is_told_at_once_where_that_is_asked_for() -> None:
    store: Any = Waiting()
    made = engine({"file": "on store failure allow within $50"}, ledger=store)
    store.silent = True
    with made.execution("draft", customer="acme", key="k") as run:
        assert not made.reconcile()
        store.silent = False
        assert not made.escrow.reconcile()
        assert made.reconcile()
        run.deliver()
    assert store.execution("acme", "draft", "k").state == "accepted"


def test_a_stream_waits_once_and_goes_on_with_what_is_reserved() -> None:
    store: Any = Waiting()
    made = engine({"file": "ceiling $100 per day"}, ledger=store)
    with made.execution("draft", customer="acme") as run:
        for attempt in run.step("write", **ASKS):
            with attempt:
                for number, _ in enumerate(attempt.meter(iter(["word"] * 20))):
                    store.silent = number < 18
        run.deliver()
    assert store.waits == 1
    assert spent(store) == (10 * CENT + 20 * 2 * CENT // 10, 0)
