"""A decision log as a file."""

from pathlib import Path

import pytest

from policy_engine.runtime.clock import PinnedClock
from policy_engine.telemetry.decision_log import DecisionLog
from tests.building import policy as small
from tests.telemetry.working import RULES, worked


@pytest.fixture
def written(tmp_path: Path) -> Path:
    clock = PinnedClock(1_700_000_000_000_000)
    with DecisionLog(tmp_path / "decisions.jsonl", clock=clock) as log:
        worked(small(**RULES), log, clock)
    return tmp_path / "decisions.jsonl"
