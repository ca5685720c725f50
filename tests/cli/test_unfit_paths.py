"""Paths that no command can use: said in a line, with exit code 2, and nothing is passed over or overwritten."""

import os
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from policy_engine.policy import files_below, load
from tests.cli.conftest import TIDY, Run


def locked(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A directory that cannot be listed; its mode alone would not stop root."""
    for function in ("scandir", "listdir"):
        listing: Callable[..., Any] = getattr(os, function)

        def refuse(path: Any = ".", listing: Callable[..., Any] = listing) -> Any:
            if Path(path).name == name:
                raise PermissionError(13, "Permission denied", str(path))
            return listing(path)

        monkeypatch.setattr(os, function, refuse)


@pytest.mark.parametrize("words", [["check"], ["lint"], ["fmt", "--check"], ["test"]])
def test_a_folder_that_cannot_be_listed_is_not_passed_over(
    words: list[str], run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `forbid` may stand in it."""
    (desk / "folder" / "shut").mkdir()
    locked(monkeypatch, "shut")
    result = run(*words, "folder")
    assert result.exit_code == 2
    assert "shut: permission denied" in result.stderr
    with pytest.raises(PermissionError):
        load(desk / "folder")


def test_files_below_a_folder(desk: Path) -> None:
    (desk / "folder" / "deeper").mkdir()
    (desk / "folder" / "deeper" / "two.policy").write_text(TIDY, encoding="utf-8")
    (desk / "folder" / ".#two.policy").symlink_to("somebody@editing")  # an editor's lock leads nowhere
    (desk / "folder" / "named.policy").mkdir()
    found = [path.relative_to(desk).as_posix() for path in files_below(desk / "folder", ".policy")]
    assert found == ["folder/deeper/two.policy", "folder/one.policy"]


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no such device here")
@pytest.mark.parametrize("command", ["check", "lint", "fmt"])
def test_what_has_no_end_is_not_read_to_it(command: str, run: Run) -> None:
    result = run(command, "/dev/zero")
    assert result.exit_code == 1
    assert "this file is longer than" in result.output or "a zero byte" in result.output


@pytest.mark.parametrize("sign", ["x", "é", "€", "😀"])
def test_a_long_file_is_said_to_be_long(sign: str, run: Run, desk: Path) -> None:
    (desk / "long.policy").write_text("# " + sign * 5_000_000, encoding="utf-8")
    assert "this file is longer than" in run("check", "long.policy").output


@pytest.mark.parametrize("command", [["check"], ["lint"], ["fmt"], ["lint", "--fix"]])
def test_a_link_to_itself(command: list[str], run: Run, desk: Path) -> None:
    (desk / "loop.policy").symlink_to("loop.policy")
    result = run(*command, "loop.policy")
    assert (result.exit_code, result.stderr) == (2, "Error: no such file or directory: loop.policy\n")


def test_a_read_only_file_is_not_fixed(run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "currency USD\n# lint: allow L001 because it was so\nerror slow\n"
    (desk / "stale.policy").write_text(text, encoding="utf-8")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    result = run("lint", "stale.policy", "--fix")
    assert (result.exit_code, result.stderr) == (2, "Error: stale.policy: the file is read-only\n")
    assert (desk / "stale.policy").read_text(encoding="utf-8") == text


def test_a_pipe_is_not_rewritten(run: Run, desk: Path) -> None:
    """What stood in it is gone when it is read, and nobody takes what would be put in its place."""
    pipe = desk / "pipe.policy"
    os.mkfifo(pipe)
    Thread(target=pipe.write_text, args=("currency   USD\n",)).start()
    result = run("fmt", "pipe.policy")
    assert "pipe.policy: is no file that can be replaced" in result.stderr
    assert result.exit_code == 2
    assert pipe.is_fifo()
