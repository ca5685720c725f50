"""`policy test --new`: starter cases that pass, cover, and overwrite nothing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import policy_engine
from policy_engine.cli.app import app
from policy_engine.testing.files import read
from policy_engine.testing.runner import run
from policy_engine.testing.starters import starters
from tests.testing.desk import POLICY, written

ROOT = Path(__file__).parents[2]
SETS = [path for path in sorted((ROOT / "policies").iterdir()) if path.is_dir()]
New = Callable[..., Result]


@pytest.fixture
def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> New:
    monkeypatch.chdir(tmp_path)
    shutil.copy(POLICY, tmp_path / "desk.policy")
    return lambda *arguments: CliRunner().invoke(app, ["test", *arguments])


def test_what_is_written_passes_and_leaves_nothing_out(new: New, tmp_path: Path) -> None:
    result = new("--new", "desk.policy")
    assert result.exit_code == 0
    assert "desk.policytest.yaml: 8 cases written, to be reviewed" in result.stdout
    assert new(".").exit_code == 0
    text = (tmp_path / "desk.policytest.yaml").read_text(encoding="utf-8")
    assert "to be reviewed" in result.stdout
    assert "not what it should" in text
    for said in ("  - case: reply under plan base", "      - fail: timeout", "{effect: retry, route: mini,"):
        assert said in text
    again = new("--new", "desk.policy")
    assert again.exit_code == 0
    assert "nothing to add" in again.stdout
    assert (tmp_path / "desk.policytest.yaml").read_text(encoding="utf-8") == text


@pytest.mark.parametrize("folder", SETS, ids=lambda path: path.name)
def test_the_example_policies_get_tests_that_pass(folder: Path, tmp_path: Path) -> None:
    policy = policy_engine.load(folder)
    made = starters(policy, [])
    path = tmp_path / "it.policytest.yaml"
    path.write_text(made.text(folder.as_posix()), encoding="utf-8")
    file = read(path)
    assert not file.diagnostics
    assert run([file]).passed
    assert len(starters(policy, file.cases)) == 0, "and they cover what they were written for"


def test_what_is_tested_already_is_left_out(new: New, tmp_path: Path) -> None:
    mine = written(
        tmp_path,
        """
        decisions:
          - case: a reply under plan base
            admit: {outcome: reply, plan: base, risk: low}
            expect: allow
        """,
    )
    before = mine.read_text(encoding="utf-8")
    assert new("--new", "desk.policy").exit_code == 0
    more = (tmp_path / "desk.more.policytest.yaml").read_text(encoding="utf-8")
    assert "policy: desk.policy" in more
    assert "under plan base" not in more
    assert mine.read_text(encoding="utf-8") == before
    assert new(".").exit_code == 0


def test_a_folder_is_one_policy(new: New, tmp_path: Path) -> None:
    folder = tmp_path / "support"
    folder.mkdir()
    shutil.move(tmp_path / "desk.policy", folder / "desk.policy")
    assert new("--new", "support").exit_code == 0
    assert (folder / "support.policytest.yaml").exists()
    assert "nothing to add" in new("--new", "support/desk.policy").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--new", "desk.policytest.yaml"], "this is a test file"),
        (["--new", "help.policy"], "no such file or directory"),
        (["--new", "desk.policy", "."], "--new runs nothing"),
        (["--new", "desk.policy", "-k", "reply"], "--new runs nothing"),
        (["--new", ""], "a path is empty"),
        (["--new", "broken.policy"], "the policy has 2 errors"),
    ],
)
def test_what_cannot_be_done(arguments: list[str], said: str, new: New, tmp_path: Path) -> None:
    (tmp_path / "broken.policy").write_text("ceiling $9 per monht\n", encoding="utf-8")
    result = new(*arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert not list(tmp_path.glob("*.yaml"))


def test_nothing_is_overwritten(new: New, tmp_path: Path) -> None:
    one_case = "policy: desk.policy\ndecisions:\n  - {case: NAME, admit: {outcome: reply, risk: low}, expect: allow}\n"
    for name in ("desk", "desk.more"):
        (tmp_path / f"{name}.policytest.yaml").write_text(one_case.replace("NAME", name), encoding="utf-8")
    result = new("--new", "desk.policy")
    assert result.exit_code == 2
    assert "is not overwritten" in result.output
    assert (tmp_path / "desk.more.policytest.yaml").read_text(encoding="utf-8") == one_case.replace("NAME", "desk.more")


def test_a_broken_test_file_is_mended_first(new: New, tmp_path: Path) -> None:
    written(tmp_path, "decisions: [{case: it, admit: {outcome: repyl}, expect: alow}]")
    result = new("--new", "desk.policy")
    assert result.exit_code == 2
    assert "did you mean `allow`?" in result.output
    assert not (tmp_path / "desk.more.policytest.yaml").exists()
