"""Policy files are reloaded as they change; a bad edit is told and ignored."""

from pathlib import Path
from threading import Event

import pytest

from policy_engine.language.diagnostics import PolicyError
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.policy import LivePolicy
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Denied
from tests.runtime.desk import TEXT, engine

PLAIN = dict.fromkeys(("file", "mini", "big", "tier2", "outcome", "lookup"), "") | {"lanes": "short"}
CLOSED = PLAIN | {"outcome": 'forbid when customer is "acme"'}


def text(rules: dict[str, str]) -> str:
    return TEXT.format(**rules)


@pytest.mark.slow
@pytest.mark.parametrize("of", ["file", "folder"])
def test_an_edit_is_seen_and_a_bad_one_ignored(tmp_path: Path, of: str) -> None:
    path = tmp_path / "support.policy"
    path.write_text(text(PLAIN))
    live = LivePolicy(path if of == "file" else tmp_path)
    made = Engine(live, ledger=MemoryLedger())
    made.execution("draft", customer="acme").abort()
    told: list[Exception] = []
    was_told = Event()

    def tell(error: Exception) -> None:
        told.append(error)
        was_told.set()

    with made.watch(on_error=tell):
        path.write_text("route {")
        assert was_told.wait(10)
        assert isinstance(told[0], PolicyError)
        made.execution("draft", customer="acme").abort()
        path.write_text(text(CLOSED))
        for _ in range(200):
            if "forbid" in live.policy.checked.sources[0].text:
                break
            made.clock.sleep(50_000)
        with pytest.raises(Denied):
            made.execution("draft", customer="acme")


def test_a_bad_edit_is_logged_where_nobody_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "support.policy"
    path.write_text(text(PLAIN))
    live = LivePolicy(path)
    before = live.policy
    with Engine(live, ledger=MemoryLedger()).watch() as watching:
        path.write_text("route {")
        watching.reload()
    assert "an edit of the policy is ignored" in caplog.text
    assert live.policy is before


def test_only_a_live_policy_can_be_watched() -> None:
    with pytest.raises(TypeError, match="only a LivePolicy can be watched"):
        engine().watch()
