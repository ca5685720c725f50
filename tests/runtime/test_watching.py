"""Policy files are reloaded as they change; a bad edit is told and ignored."""

from collections.abc import Callable
from pathlib import Path
from threading import Event
from time import sleep

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


@pytest.mark.slow
def test_an_engine_of_a_path_can_be_watched(tmp_path: Path) -> None:
    path = tmp_path / "support.policy"
    path.write_text(text(PLAIN))
    made = Engine(path, ledger=MemoryLedger())
    path.write_text(text(CLOSED))  # before anybody watches
    with made.watch():
        eventually(lambda: "forbid" in made.policy.checked.sources[0].text)


@pytest.mark.slow
def test_a_link_that_is_replaced_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes mounts files: `support.policy -> ..data/support.policy`, and `..data` is what is replaced."""
    for version, rules in (("..1", PLAIN), ("..2", CLOSED)):
        (tmp_path / version).mkdir()
        (tmp_path / version / "support.policy").write_text(text(rules))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "support.policy").symlink_to("..data/support.policy")
    made = Engine(tmp_path / "support.policy", ledger=MemoryLedger())
    with made.watch():
        made.clock.sleep(1_000_000)  # past the first look
        (tmp_path / "..new").symlink_to("..2")
        (tmp_path / "..new").rename(tmp_path / "..data")
        eventually(lambda: "forbid" in made.policy.checked.sources[0].text)


@pytest.mark.slow
def test_what_lies_beside_the_policy_is_no_change_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "support.policy"
    path.write_text(text(PLAIN))
    live = LivePolicy(path)
    reloads: list[int] = []

    def reload() -> bool:
        reloads.append(1)
        return False

    monkeypatch.setattr(live, "reload", reload)
    made = Engine(live, ledger=tmp_path / "ledger.db")
    with made, made.watch():
        eventually(lambda: reloads)  # the first look
        for number in range(5):
            made.execution("draft", customer=f"customer {number}").abort()
            made.clock.sleep(200_000)
        assert reloads == [1]
        path.write_text(text(CLOSED))
        eventually(lambda: len(reloads) > 1)


def eventually(happened: Callable[[], object]) -> None:
    """Wait for what another thread sees."""
    for _ in range(400):
        if happened():
            return
        sleep(0.025)
    raise AssertionError("it was never seen")


@pytest.mark.parametrize("of", ["policy", "text"])
def test_what_is_from_no_file_cannot_be_watched(of: str) -> None:
    made = engine() if of == "policy" else Engine(text(PLAIN), ledger=MemoryLedger())
    with pytest.raises(TypeError, match="no file to watch"):
        made.watch()
