"""What is logged in bad times is asked again: a store that stutters, vanished owners, changed policies, odd names."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from policy_engine.evaluation.facts import FactError
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.protocol import LedgerUnavailable
from policy_engine.policy import Policy, load
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import NotRunning, Terminal
from policy_engine.runtime.execution import Execution
from policy_engine.telemetry.decision_log import DecisionLog
from policy_engine.telemetry.entries import Entry
from policy_engine.telemetry.replaying import kept_in, replay_decisions
from tests.generators.facts import Asking
from tests.generators.picking import SeededPick
from tests.generators.policies import Shape, generated

NAMES = ("acme", "a\nb", "é\u2028名", "`x`", "💥")
GONE = (LedgerUnavailable, Terminal, NotRunning, FactError)


class Stuttering(MemoryLedger):
    """Silent now and then: `silent` is how often, of four times."""

    def __init__(self, pick: SeededPick) -> None:
        super().__init__()
        self._pick = pick
        self.silent = 0

    def _asked(self, call: Callable[..., Any], *about: Any, **named: Any) -> Any:
        if self._pick.number(3) < self.silent:
            raise LedgerUnavailable("silent")
        return call(*about, **named)


def stutters(name: str) -> None:
    was = getattr(MemoryLedger, name)
    setattr(Stuttering, name, lambda self, *about, **named: self._asked(was, self, *about, **named))


for _name in ("readings", "grants", "add_grant", "reserve", "settle", "release", "begin", "execution", "change"):
    stutters(_name)


def with_escrow(text: str) -> list[Policy]:
    """A policy, and a later version of it that goes on within an amount where the store is silent."""
    found = [load(text)]
    with suppress(Exception):  # it says already what is done then
        found.append(load(text + "\non store failure allow within $5\n"))
    return found


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_each_decision_is_made_again(each_engine: str, seed: int, caplog: Any) -> None:
    pick = SeededPick(seed)
    policies = with_escrow(generated(pick, Shape()).text)
    entries: list[Entry] = []
    clock = PinnedClock(10**15)
    ledger = Stuttering(pick)
    observers = [DecisionLog(entries.append, clock=clock)]
    for number in range(16):
        policy = pick.of(policies)
        asking = Asking(pick, policy, "")
        ledger.silent = pick.of((0, 0, 1, 4))
        mode: Any = pick.of(("enforce", "enforce", "shadow"))
        engine = Engine(policy, ledger=ledger, clock=clock, mode=mode, lease_seconds=30, observers=observers)
        outcome, plan = pick.of(list(policy.checked.outcomes)), pick.of((None, *policy.checked.plans))
        with suppress(*GONE):
            run = engine.execution(
                outcome,
                customer=pick.of(NAMES),
                plan=plan,
                facts=asking.given(),
                key=pick.of((f"k{number}", "same\n")),
            )
            worked_on(run, ledger, pick, clock)
            if pick.number(2):
                run.leave()
        clock.sleep(pick.of((0, 10**6, 10**8)))  # who has not left it is gone then
    ledger.silent = 0
    kept = {(policy.digest, policy.prices.digest): policy for policy in policies}
    result = replay_decisions(
        policies[0], enumerate(json.loads(json.dumps(entries)), 1), kept=lambda *digests: kept.get(digests)
    )
    assert result.reproduced, result.to_json()
    assert not [record for record in caplog.records if "an observer failed" in record.getMessage()]


def worked_on(run: Execution, ledger: Stuttering, pick: SeededPick, clock: PinnedClock) -> None:
    for name in ("first", "second\n"):
        step = run.step(name)
        while run.is_running:
            ledger.silent = pick.of((0, 0, 1, 4))
            tokens = {"input_tokens": pick.of((None, 100, 2**40)), "max_output_tokens": pick.of((None, 50, 900))}
            attempt = step.attempt(**tokens)
            if attempt is None:
                break
            clock.sleep(pick.number(10**6))
            if pick.number(1):
                attempt.progress(pick.number(2_000))
            if pick.number(9) == 0:
                return  # its owner is gone in the midst of a call
            if pick.number(2):
                attempt.fail(pick.of(("timeout", "rate_limit", "bad_request", "over_ceiling")))
            else:
                attempt.succeed(input_tokens=100, output_tokens=40)
                break
    if run.is_running and pick.number(2):
        run.deliver()
        if pick.number(1):
            run.accept()


def test_what_a_ledger_keeps_is_found_by_its_digests() -> None:
    text = generated(SeededPick(3), Shape()).text
    policy, ledger = load(text), MemoryLedger()
    with suppress(*GONE):
        Engine(policy, ledger=ledger).execution(next(iter(policy.checked.outcomes)), customer="a").leave()
    kept = kept_in(ledger)
    found = kept(policy.digest, policy.prices.digest)
    assert found is not None
    assert found.digest == policy.digest
    assert kept(policy.digest, "ab" * 32) is None
    assert kept("ab" * 32, policy.prices.digest) is None
