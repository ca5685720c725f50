"""A little work under small rules, told to a decision log."""

import pytest

from policy_engine.ledger.memory import MemoryLedger
from policy_engine.policy import Policy
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Denied
from policy_engine.telemetry.decision_log import DecisionLog

RULES = {
    "outcome": "ceiling $3 per outcome alert at 5% as cap  fallback next on timeout",
    "file": "ceiling $4 per customer per day  retry 1 on timeout",
    "premium": "forbid",
}


def worked(policy: Policy, log: DecisionLog, clock: PinnedClock) -> None:
    """Two executions: one delivered after a failure, one denied."""
    engine = Engine(policy, ledger=MemoryLedger(), clock=clock, observers=[log])
    run = engine.execution("draft", customer="acme", plan="base", key="ticket-1", facts={"risk": "high"})
    with run:
        step = run.step("main")
        first = step.attempt(input_tokens=100, max_output_tokens=100)
        assert first is not None
        first.progress(10)
        first.fail("timeout", input_tokens=100, output_tokens=0)
        clock.sleep(1_000_000)
        second = step.attempt(input_tokens=100, max_output_tokens=100)
        assert second is not None
        second.succeed(input_tokens=100, output_tokens=80)
        run.deliver()
    with pytest.raises(Denied):
        engine.execution("draft", customer="bolt", plan="other")
