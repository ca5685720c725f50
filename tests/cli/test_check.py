"""`policy check`: what it prints, and when it is content."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import BAD, TIDY, Run


@pytest.mark.parametrize(
    ("words", "stdin", "exit_code", "last"),
    [
        (["support.policy"], "", 0, "1 file, 20 rules: clean"),
        (["tidy.policy"], "", 0, "1 file, 1 rule: clean"),
        (["folder"], "", 0, "1 file, 1 rule: clean"),
        (["folder", "folder/one.policy"], "", 0, "1 file, 1 rule: clean"),  # each file once
        (["-"], TIDY, 0, "1 file, 1 rule: clean"),
        (["-"], "", 0, "1 file, 0 rules: clean"),
        (["bad.policy"], "", 1, "1 file: 2 errors"),
        (["-"], BAD, 1, "1 file: 2 errors"),
        (["tidy.policy", "folder"], "", 1, "2 files: 1 error"),  # one policy, so one currency
        (["unpriced.policy"], "", 0, "1 file, 0 rules: 1 warning"),
        (["unpriced.policy", "--strict"], "", 1, "1 file, 0 rules: 1 warning"),
        (["support.policy", "--strict"], "", 0, "1 file, 20 rules: clean"),
        (["broken.policy"], "", 1, "1 file: 1 error"),
    ],
)
def test_verdicts(run: Run, words: list[str], stdin: str, exit_code: int, last: str) -> None:
    result = run("check", *words, stdin=stdin)
    assert result.exit_code == exit_code
    assert result.stdout.splitlines()[-1] == last
    assert result.stderr == ""


def test_a_mistake_is_shown_with_its_place_and_what_to_do(run: Run) -> None:
    assert run("check", "bad.policy").stdout == (
        "error[P203]: `monht` is not a window\n"
        "  bad.policy:3:16\n"
        "3 | ceiling $9 per monht\n"
        "  |                ^^^^^ did you mean `month`?\n"
        "\n"
        "error[P209]: there is no route `bb`\n"
        "  bad.policy:4:15\n"
        "4 | lane l { a -> bb }\n"
        "  |               ^^ choose from `a`\n"
        "\n"
        "1 file: 2 errors\n"
    )


def test_standard_input_is_called_so(run: Run) -> None:
    assert "  <stdin>:3:16\n" in run("check", "-", stdin=BAD).stdout


@pytest.mark.parametrize("paths", [["bad.policy"], ["support.policy"], ["-"], ["unpriced.policy", "bad.policy"]])
def test_json(run: Run, paths: list[str]) -> None:
    data = json.loads(run("check", *paths, "--format", "json", stdin=BAD).stdout)
    assert list(data) == ["files", "rules", "digest", "prices", "diagnostics"]
    assert data["files"] == ["<stdin>" if path == "-" else path for path in paths]
    clean = paths == ["support.policy"]
    assert (data["rules"] == 20, len(data["digest"] or "") == 64) == (clean, clean)
    for item in data["diagnostics"]:
        keys = ["code", "severity", "message", "hint", "file", "line", "column", "end_line", "end_column", "notes"]
        assert list(item) == keys
    assert bool(data["diagnostics"]) != clean


@pytest.mark.parametrize(
    "data",
    [b"currency USD\n\xff\n", b"\xff\xfec\x00u\x00", b"\x7fELF\x00\x01\x02\x80"],
    ids=["latin", "utf-16", "binary"],
)
def test_what_is_no_utf8_text_is_a_finding_alone(run: Run, desk: Path, data: bytes) -> None:
    (desk / "odd.policy").write_bytes(data)
    result = run("check", "odd.policy", "unpriced.policy", "--format", "json")
    assert result.exit_code == 1
    codes = {item["code"] for item in json.loads(result.stdout)["diagnostics"]}
    assert codes <= {"P101", "P102"}
    assert codes


def test_syntax_is_looked_at_beside_a_file_that_cannot_be_decoded(run: Run, desk: Path) -> None:
    (desk / "odd.policy").write_bytes(b"\xff")
    result = run("check", "odd.policy", "broken.policy", "bad.policy")
    assert "odd.policy:1:1" in result.stdout
    assert "broken.policy:2" in result.stdout
    assert "bad.policy" not in result.stdout  # its mistakes are of meaning, which cannot be judged now
