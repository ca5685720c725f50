"""`policy fmt`: what it rewrites, what it leaves alone."""

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import BROKEN, TIDY, UNTIDY, Run

DIFF = """\
--- untidy.policy
+++ untidy.policy (formatted)
@@ -1,2 +1,2 @@
-currency   USD
-ceiling  $9 per day   # all work
+currency USD
+ceiling $9 per day  # all work
"""


def texts(desk: Path) -> dict[str, bytes]:
    return {str(path.relative_to(desk)): path.read_bytes() for path in desk.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("words", "exit_code", "stdout", "rewritten"),
    [
        (["untidy.policy"], 0, "reformatted untidy.policy\n1 file reformatted\n", ["untidy.policy"]),
        (["tidy.policy"], 0, "1 file unchanged\n", []),
        (["tidy.policy", "folder"], 0, "2 files unchanged\n", []),
        (
            ["untidy.policy", "folder", "tidy.policy"],
            0,
            "reformatted untidy.policy\n1 file reformatted, 2 unchanged\n",
            ["untidy.policy"],
        ),
        (
            ["--check", "untidy.policy", "tidy.policy"],
            1,
            "would reformat untidy.policy\n1 file would be reformatted, 1 unchanged\n",
            [],
        ),
        (["--check", "tidy.policy"], 0, "1 file unchanged\n", []),
        (["broken.policy"], 1, "1 file not formatted\n", []),
        (
            ["broken.policy", "untidy.policy"],
            1,
            "reformatted untidy.policy\n1 file reformatted, 1 not formatted\n",
            ["untidy.policy"],
        ),
        (["--diff", "tidy.policy"], 0, "", []),
        (
            ["--diff", "untidy.policy"],
            1,
            DIFF,
            [],
        ),
    ],
)
def test_files(run: Run, desk: Path, words: list[str], exit_code: int, stdout: str, rewritten: list[str]) -> None:
    before = texts(desk)
    result = run("fmt", *words)
    assert (result.exit_code, result.stdout) == (exit_code, stdout)
    assert texts(desk) == {**before, **dict.fromkeys(rewritten, TIDY.encode())}


@pytest.mark.parametrize(
    "before",
    [UNTIDY.replace("\n", "\r\n"), TIDY.replace("\n", "\r\n"), "\ufeff" + TIDY, TIDY.rstrip("\n")],
    ids=["crlf and blanks", "crlf", "byte order mark", "no last line break"],
)
def test_encodings_and_line_ends_are_part_of_the_form(run: Run, desk: Path, before: str) -> None:
    path = desk / "untidy.policy"
    path.write_bytes(before.encode())
    shown = run("fmt", "--diff", "untidy.policy")
    assert (shown.exit_code, "\N{REPLACEMENT CHARACTER}" in shown.stdout) == (1, False)
    assert run("fmt", "--check", "untidy.policy").exit_code == 1
    assert run("fmt", "untidy.policy").exit_code == 0
    assert path.read_bytes() == TIDY.encode()
    assert run("fmt", "--check", "untidy.policy").exit_code == 0


@pytest.mark.parametrize(
    ("words", "stdin", "exit_code", "stdout"),
    [
        (["-"], UNTIDY, 0, TIDY),
        (["-"], "", 0, ""),
        (["-"], BROKEN, 1, ""),
        (["-", "--check"], UNTIDY, 1, "would reformat <stdin>\n1 file would be reformatted\n"),
        (["-", "--check"], TIDY, 0, "1 file unchanged\n"),
        (["-", "tidy.policy"], UNTIDY, 2, ""),
    ],
)
def test_standard_input(run: Run, words: list[str], stdin: str, exit_code: int, stdout: str) -> None:
    result = run("fmt", *words, stdin=stdin)
    assert (result.exit_code, result.stdout) == (exit_code, stdout)
    assert bool(result.stderr) == (exit_code != 0 and "--check" not in words)


def test_a_syntax_mistake_is_shown_on_the_error_stream(run: Run) -> None:
    assert "error[P133]" in run("fmt", "broken.policy").stderr


def test_an_empty_path_rewrites_nothing(run: Run, desk: Path) -> None:
    """`policy fmt "$UNSET"` is a slip, not the working directory."""
    before = texts(desk)
    result = run("fmt", "")
    assert (result.exit_code, texts(desk)) == (2, before)
    assert "a path is empty" in result.stderr


def test_mode_and_links_stay(run: Run, desk: Path) -> None:
    path = desk / "untidy.policy"
    path.chmod(0o640)
    link = desk / "link.policy"
    link.symlink_to(path)
    assert run("fmt", "link.policy").exit_code == 0
    assert link.is_symlink()
    assert path.read_bytes() == TIDY.encode()
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = texts(desk)

    def full(self: Path, target: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    result = run("fmt", "untidy.policy", "tidy.policy")
    assert (result.exit_code, texts(desk)) == (2, before)
    assert result.stderr == "Error: untidy.policy: no space left on device\n"
    assert result.stdout == "1 file unchanged, 1 not formatted\n"


def test_a_read_only_file_is_not_replaced(run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = texts(desk)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    result = run("fmt", "untidy.policy")
    assert (result.exit_code, texts(desk)) == (2, before)
    assert "the file is read-only" in result.stderr


def test_json(run: Run) -> None:
    result = run("fmt", "--diff", "untidy.policy", "tidy.policy", "broken.policy", "--format", "json")
    data = json.loads(result.stdout)
    assert [(row["file"], row["state"]) for row in data["files"]] == [
        ("untidy.policy", "changed"),
        ("tidy.policy", "unchanged"),
        ("broken.policy", "broken"),
    ]
    assert data["files"][0]["diff"].startswith("--- untidy.policy\n")
    assert [item["code"] for item in data["diagnostics"]] == ["P133"]
    stdin = json.loads(run("fmt", "-", "--format", "json", stdin=UNTIDY).stdout)
    assert stdin["files"] == [{"file": "<stdin>", "state": "changed", "text": TIDY}]
