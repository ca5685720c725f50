"""Which ledger an engine counts in: what it is given, else a file that outlives it."""

from pathlib import Path

import pytest

from policy_engine.ledger.protocol import LedgerError, LedgerUnavailable
from policy_engine.ledger.sqlite import SqliteLedger
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Denied
from tests.runtime import desk

ONE_A_DAY = {"outcome": "limit 1 per customer per day"}


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POLICY_ENGINE_LEDGER", raising=False)
    return tmp_path


def work(engine: Engine) -> None:
    with engine.execution("draft", customer="acme") as run:
        for attempt in run.step("main", **desk.ASKS):
            with attempt:
                attempt.settle(cost="0.10")
        run.deliver()


def test_without_a_word_it_is_a_file_of_the_working_directory(workplace: Path) -> None:
    with Engine(desk.policy(**ONE_A_DAY)) as engine:
        work(engine)
    assert (workplace / "policy_engine.db").is_file()
    with Engine(desk.policy(**ONE_A_DAY)) as second, pytest.raises(Denied):  # another process would see the same
        work(second)


def test_the_environment_names_another_file(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLICY_ENGINE_LEDGER", str(workplace / "spending.db"))
    with Engine(desk.policy()) as engine:
        work(engine)
    assert sorted(path.name for path in workplace.iterdir()) == ["spending.db"]


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_a_file_that_the_engine_closes(workplace: Path, kind: type) -> None:
    engine = Engine(desk.policy(), ledger=kind(workplace / "mine.db"))
    work(engine)
    engine.close()
    with pytest.raises(LedgerError, match="is closed"):
        engine.ledger.lapse(0)
    assert [path.name for path in workplace.iterdir()] == ["mine.db"]


def test_a_ledger_that_was_given_stays_open(workplace: Path) -> None:
    with SqliteLedger(workplace / "given.db") as ledger:
        with Engine(desk.policy(), ledger=ledger) as engine:
            work(engine)
        assert ledger.lapse(0) == ()


def test_a_file_that_cannot_be_used_is_an_error_before_anything_begins(workplace: Path) -> None:
    (workplace / "policy_engine.db").write_text("no ledger at all, and long enough to be looked at as a file")
    with pytest.raises(LedgerUnavailable, match=r"policy_engine\.db"):
        Engine(desk.policy())
