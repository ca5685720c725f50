"""Each store in turn."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.protocol import Ledger
from policy_engine.ledger.sqlite import SqliteLedger


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    made: Ledger = MemoryLedger()
    if request.param == "sqlite":
        made = SqliteLedger(tmp_path / "ledger.db", synchronous="OFF", wait_seconds=60)
    yield made
    made.close()
