"""A decision log as a file, and a look at what observers could not take."""

from collections.abc import Iterator
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


@pytest.fixture
def nothing_fails(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """An observer that fails is only logged; here that fails the test."""
    yield
    assert [record.message for record in caplog.records] == []
