"""Whole executions in any order, over each store, against a plain sum of what was done.

Two engines stand for two processes with one ledger. They begin executions by key, call, fail, stream, deliver,
abort, vanish and are followed by others; time passes, leases are renewed or not, and the store falls silent. After
every one of these the ledger's balances are what its entries come to and no ceiling is passed; in the end nothing is
reserved, and what was spent is the sum of what each call has cost: once, and never less.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from policy_engine.ledger.protocol import LedgerUnavailable
from policy_engine.ledger.verification import contradictions, differences
from policy_engine.runtime.attempt import Attempt
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Cut, Denied, HandedOff, InProgress, NoExecution, NotRunning, Stopped
from policy_engine.runtime.execution import Execution
from policy_engine.runtime.step import Step
from tests.generators import examples
from tests.runtime.desk import (
    ASKS,
    CENT,
    LEASE,
    NOON,
    SECOND,
    STORES,
    Broken,
    Faulty,
    Odd,
    RateLimited,
    policy,
    spent,
    units,
)

PER_OUTCOME, PER_DAY, ESCROW = 500 * CENT, 900 * CENT, 400 * CENT
RULES = {
    "file": "ceiling $9 per day  on store failure allow within $4",
    "lanes": "standard",
    "outcome": "accepted within 1h  ceiling $5 per outcome  retry 2 on rate_limit, server_error  fallback next on any",
}
POLICY = policy(**RULES)
WORSTS = {"mini": 30 * CENT, "big": 300 * CENT}
MINI_NANOS, PER_OUTPUT = 10**6, 2 * 10**6


@dataclass
class Work:
    """One execution in the hands of one engine."""

    engine: Engine
    run: Execution
    open: list[tuple[Step, Attempt]] = field(default_factory=list)


class Executions(RuleBasedStateMachine):
    """See the module. A subclass says which store."""

    store = "memory"

    @initialize()
    def start(self) -> None:
        self.folder = TemporaryDirectory()
        self.ledger = STORES[self.store](Path(self.folder.name))
        self.faulty: Any = Faulty(self.ledger)
        self.clock = PinnedClock(NOON)
        self.engines = [self.process(), self.process()]
        self.works: list[Work] = []
        self.cost: dict[str, int] = {}  # by hold: what an attempt came to, or would if nobody settled it
        self.escrowed = 0

    def process(self) -> Engine:
        return Engine(POLICY, ledger=self.faulty, clock=self.clock, lease_seconds=LEASE)

    # ------------------------------------------------------------ what happens

    @rule(
        which=st.integers(0, 1),
        customer=st.sampled_from("ab"),
        key=st.sampled_from(["k", "l", None]),
        plan=st.sampled_from([None, "base"]),
    )
    def begin(self, which: int, customer: str, key: str | None, plan: str | None) -> None:
        maker = self.engines[which]
        alive = [w for w in self.works if w.run.is_running and (w.run.key, w.run.place.customer) == (key, customer)]
        run = lease = reason = None
        try:
            run = maker.execution("draft", customer=customer, plan=plan, key=key)
        except InProgress as progress:
            lease = progress.record.lease_micros
        except Denied as denial:
            reason = denial.decision.reason
        if run is None:
            assert lease is None or lease > self.clock.now_micros()
            assert reason in (None, "allowance_spent", "ceiling_reached", "store_silent")
            return
        if run.result is not None:
            return
        if not self.faulty.silent and not run.resumed:
            assert not [w for w in alive if not maker.escrow.owes and w.engine is maker], "one key, two executions"
        self.works.append(Work(maker, run))

    @precondition(lambda self: any(w.run.is_running for w in self.works))
    @rule(data=st.data(), name=st.sampled_from(["draft", "check"]))
    def attempt(self, data: st.DataObject, name: str) -> None:
        work = data.draw(st.sampled_from([w for w in self.works if w.run.is_running]))
        with suppress(Stopped, HandedOff, NotRunning):
            step = work.run.step(name, **ASKS)
            self.opened(work, step, next(iter(step)))

    def opened(self, work: Work, step: Step, attempt: Attempt) -> None:
        assert attempt.reserved_nanos == WORSTS[attempt.route]
        assert attempt.hold.id not in self.cost
        self.cost[attempt.hold.id] = attempt.reserved_nanos
        if work.engine.escrow.owes:
            self.escrowed += attempt.reserved_nanos
        work.open.append((step, attempt))

    @precondition(lambda self: any(w.open for w in self.works))
    @rule(
        data=st.data(),
        error=st.sampled_from([None, None, None, RateLimited, Broken, TimeoutError, Odd, asyncio.CancelledError]),
        told=st.sampled_from([None, (0, 0), (50, 25), (100, 100)]),
        streamed=st.sampled_from([0, 0, 10, 100, 150]),
    )
    def leave_attempt(
        self, data: st.DataObject, error: type[BaseException] | None, told: tuple[int, int] | None, streamed: int
    ) -> None:
        """As a `with` does it."""
        work = data.draw(st.sampled_from([w for w in self.works if w.open]))
        step, attempt = work.open.pop(data.draw(st.integers(0, len(work.open) - 1)))
        rate = WORSTS[attempt.route] // WORSTS["mini"] * MINI_NANOS
        cost = attempt.reserved_nanos
        attempt.__enter__()
        cut = bool(streamed) and not attempt.meter.add(streamed)
        if streamed:
            cost = 100 * rate + 2 * streamed * rate
        if told is not None:
            attempt.settle(input_tokens=told[0], output_tokens=told[1])
            cost = told[0] * rate + 2 * told[1] * rate
        elif error is RateLimited and not streamed:
            cost = 0
        raised = error() if error is not None else None
        absorbed, ended = False, None
        try:
            absorbed = attempt.__exit__(error, raised, None)
        except (HandedOff, Stopped, Cut) as terminal:
            ended = terminal
        assert ended is None or error is not None or cut
        assert attempt.ended
        assert attempt.cost_nanos == cost
        self.cost[attempt.hold.id] = cost
        if absorbed or step.pending is not None:
            assert error in (RateLimited, Broken, TimeoutError) or cut
            self.opened(work, step, next(step))
        if raised is not None and not absorbed and step.ended == "stopped":
            assert raised.__notes__ == ["policy: stop"]

    @precondition(lambda self: self.works)
    @rule(data=st.data(), deliver=st.booleans())
    def leave(self, data: st.DataObject, deliver: bool) -> None:
        work = data.draw(st.sampled_from(self.works))
        with suppress(NotRunning):
            if deliver:
                work.run.deliver()
        self.left(work)

    def left(self, work: Work) -> None:
        work.run.leave()
        assert not work.run.is_running
        self.works.remove(work)

    @precondition(lambda self: self.works)
    @rule(which=st.integers(0, 1))
    def vanish(self, which: int) -> None:
        """The process ends in the middle; nothing that it has open is settled by anybody."""
        gone = self.engines[which]
        if gone.escrow.owes:
            return  # what it owes would be lost with it
        gone.leases.close()
        self.works = [work for work in self.works if work.engine is not gone]
        self.engines[which] = self.process()

    @rule(
        which=st.integers(0, 1),
        event=st.sampled_from(["accept", "reject", "reverse", "lapse"]),
        customer=st.sampled_from("ab"),
        key=st.sampled_from("kl"),
    )
    def later(self, which: int, event: str, customer: str, key: str) -> None:
        with suppress(NoExecution, LedgerUnavailable):
            getattr(self.engines[which], event)("draft", customer=customer, key=key)

    @rule(seconds=st.sampled_from([1, 30, 61, 1800]))
    def pass_time(self, seconds: int) -> None:
        self.clock.sleep(seconds * SECOND)

    @rule(which=st.integers(0, 1))
    def renew(self, which: int) -> None:
        self.engines[which].leases.renew()

    @rule()
    def sweep(self) -> None:
        self.ledger.lapse(self.clock.now_micros())

    @rule(silent=st.sampled_from([False, False, True, frozenset({"reserve"}), frozenset({"settle", "change"})]))
    def fall_silent(self, silent: Any) -> None:
        self.faulty.silent = silent

    # ------------------------------------------------------------ what always holds

    @invariant()
    def balances_are_what_entries_come_to(self) -> None:
        if hasattr(self, "ledger"):
            with self.ledger.book() as book:
                assert list(differences(book)) == []
                assert list(contradictions(book)) == []

    @invariant()
    def no_ceiling_is_passed(self) -> None:
        """By more than what was cut too late (a chunk of at most 150 tokens), or was spent from escrow."""
        if not hasattr(self, "ledger"):
            return
        more = self.escrowed + sum(
            max(0, cost - worst)
            for cost in self.cost.values()
            for worst in [WORSTS["mini"] if cost < 100 * CENT else WORSTS["big"]]
        )
        with self.ledger.book() as book:
            for balance in book.balances():
                used, meter = balance.settled + balance.reserved, str(balance.counter.meter)
                if meter == "spent per day":
                    assert used <= PER_DAY + more
                elif meter.startswith("spent") and "outcome" in meter:
                    assert used <= PER_OUTCOME + more
        for each in self.engines:
            assert each.escrow.reading().used <= ESCROW + more

    def teardown(self) -> None:
        """Everybody leaves, the store answers, time passes: nothing is left over."""
        if not hasattr(self, "ledger"):
            return
        self.faulty.silent = False
        for work in list(self.works):
            self.left(work)
        for each in self.engines:
            assert each.reconcile()
            assert each.escrow.reading().used == 0
            each.close()
        self.clock.sleep(61 * SECOND)
        self.ledger.lapse(self.clock.now_micros())
        assert spent(self.ledger) == (sum(self.cost.values()), 0)
        with self.ledger.book() as book:
            delivered = sum(record.state == "delivered" for record in book.executions())
        assert sum(held for held, _ in units(self.ledger)) <= delivered
        self.balances_are_what_entries_come_to()
        self.ledger.close()
        self.folder.cleanup()


class OnSqlite(Executions):
    store = "sqlite"


TestInMemory = Executions.TestCase
TestInMemory.settings = settings(examples(80), stateful_step_count=40)
TestOnSqlite = OnSqlite.TestCase
TestOnSqlite.settings = settings(examples(25), stateful_step_count=30)
