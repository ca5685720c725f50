"""The program as a whole: help, exit codes, colour, and what a shell sees."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from policy_engine.cli.app import COMMANDS, LazyGroup, app
from policy_engine.cli.render import ROLES, Screen
from policy_engine.cli.tables import Column, Table
from policy_engine.language.vocabulary import Point
from tests.cli.conftest import ROOT, Run

PROGRAM = [sys.executable, "-m", "policy_engine.cli"]
ESCAPE = "\x1b["
SUPPORT = ["-p", "support.policy"]


def context() -> click.Context:
    return click.Context(app, info_name="policy")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_what_the_list_says(name: str) -> None:
    command = app.get_command(context(), name)
    assert command is not None
    assert command.name == name
    assert (command.help or "").startswith(COMMANDS[name].removesuffix("."))


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_and_both_shared_options(run: Run, name: str) -> None:
    for flag in ("-h", "--help"):
        result = run(name, flag)
        assert result.exit_code == 0
        assert f"policy {name}" in result.stdout.partition("\n")[2]
        for words in ("--format [", "--color [auto|always|never]"):
            assert words in result.stdout
        assert "\b" not in result.stdout


def test_top_level_help_has_the_exit_codes_and_every_command(run: Run) -> None:
    shown = run("--help").stdout
    for line in ("0  clean", "1  findings", "2  wrong usage", *COMMANDS):
        assert line in shown
    assert run("--version").stdout.startswith("policy 0.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["chekc"], "no such command `chekc`; did you mean `check`?"),
        (["xyz"], "no such command `xyz`; commands are `check`, `fmt`, "),
        (["--verbose"], "No such option"),
        (["check"], "Missing argument 'PATH...'"),
        (["check", ""], "a path is empty; write `.` for the working directory"),
        (["check", "none.policy"], "Error: no such file or directory: none.policy"),
        (["check", "tidy.policy", "none"], "Error: no such file or directory: none"),
        (["check", "empty"], "Error: no *.policy file in empty"),
        (["check", "support.policy", "--format", "yaml"], "--format"),
        (["fmt", "none.policy"], "Error: no such file or directory: none.policy"),
        (["fmt", "empty"], "Error: no *.policy file in empty"),
        (["fmt", ""], "a path is empty"),
        (["eval"], "Missing argument 'POINT'"),
        (["eval", "admitt", *SUPPORT], "admitt"),
        (["eval", "admit", "--facts", "ticket.json"], "--policy"),
        (["eval", "admit", *SUPPORT], "give --facts FILE, or --schema"),
        (["eval", "admit", *SUPPORT, "--facts", "none.json"], "Error: none.json: no such file or directory"),
        (["eval", "admit", *SUPPORT, "--facts", "empty"], "Error: empty: is a directory"),
        (["eval", "admit", "-p", "-", "--facts", "-"], "standard input cannot be both"),
        (
            ["eval", "admit", *SUPPORT, "--engine", "fast", "--schema"],
            "`fast` is no engine; engines are compiled, reference",
        ),
        (["eval", "admit", "-p", "", "--schema"], "a path is empty"),
        (["eval", "admit", *SUPPORT, "--facts", ""], "a path is empty"),
        (["replay", *SUPPORT], "name a TRACE, or a decision log"),
        (["replay", "none.csv", *SUPPORT], "Error: none.csv: no such file or directory"),
        (["replay", "empty", *SUPPORT], "Error: empty: is a directory"),
        (["replay", "trace.csv", "-p", "bad.policy"], "the policy has 2 errors, so nothing was asked"),
        (["replay", "trace.csv", *SUPPORT, "--set", "risk"], "`risk` is not of the form name=value"),
        (["replay", "trace.csv", *SUPPORT, "--set", "=x"], "`=x` is not of the form name=value"),
        (["replay", "trace.csv", *SUPPORT, "--set", "rsk=high"], "did you mean `risk`?"),
        (["replay", "trace.csv", *SUPPORT, "--map", "tme=at"], "did you mean `time`?"),
        (["replay", "trace.csv", *SUPPORT, "--map", "time=at", "cost=at"], "--map names the column `at` twice"),
        (["replay", "trace.csv", *SUPPORT, "--max-bad", "-1"], "--max-bad"),
        (["completion", "tcsh"], "tcsh"),
    ],
)
def test_wrong_usage_and_unreadable_input(run: Run, words: list[str], message: str) -> None:
    result = run(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_interruption_has_its_own_exit_code(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: LazyGroup, ctx: click.Context) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(LazyGroup, "invoke", interrupted)
    assert run("check", "support.policy").exit_code == 130


# ---------------------------------------------------------------- colour


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["check", "bad.policy"], 1),
        (["fmt", "--diff", "untidy.policy"], 1),
        (["eval", "admit", *SUPPORT, "--facts", "ticket.json"], 1),
        (["replay", "trace.csv", *SUPPORT], 0),
    ],
)
def test_colour_adds_nothing_but_colour(run: Run, words: list[str], code: int) -> None:
    plain, coloured = run(*words), run(*words, "--color", "always")
    assert ESCAPE not in plain.stdout
    assert ESCAPE in coloured.stdout
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured.stdout) == plain.stdout
    assert (plain.exit_code, coloured.exit_code) == (code, code)


def test_json_is_never_coloured(run: Run) -> None:
    assert ESCAPE not in run("check", "bad.policy", "--format", "json", "--color", "always").stdout


def test_every_role_is_a_style_of_rich() -> None:
    from rich.style import Style

    for style in ROLES.values():
        Style.parse(style)


def test_signs_that_steer_a_terminal_are_not_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().say("a\x1b[2Jb\rc\u202ed")
    Screen("always").say(("a\x1b]0;x\x07b", "error"))
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == "a\ufffd[2Jb\ufffdc\ufffdd"
    assert "\x1b]" not in shown
    assert "\x07" not in shown


def test_a_table_keeps_to_its_width_and_loses_no_word(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table([Column("rule", wrapped=True), Column("count", right=True), Column("empty")])
    words = "ceiling one two three four five six seven eight nine ten eleven twelve".split()
    table.rows += [(" ".join(words), "1,000", ""), ("short", "7", "")]
    table.show(Screen().say, 40)
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 40 for line in lines)
    assert [word for line in lines for word in line.split() if word in words] == words
    assert lines[0].split() == ["rule", "count"]  # a column without a word in it is left out
    assert lines[-1].endswith("7")


# ---------------------------------------------------------------- real processes


def started(words: list[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    return subprocess.run(
        [*PROGRAM, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def on_terminal(words: list[str], folder: Path, **more: str) -> str:
    """What a command shows on a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "90", **more}
    process = subprocess.Popen([*PROGRAM, *words], cwd=folder, env=environment, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # the other side is gone
        pass
    os.close(ours)
    process.wait(timeout=60)
    return shown.decode()


@pytest.mark.slow
def test_help_imports_nothing_heavy(desk: Path) -> None:
    code = (
        "import sys\nfrom policy_engine.cli import main\nsys.argv = ['policy', {words}]\n"
        "try:\n    main()\nexcept SystemExit: pass\n"
        "found = sorted({{name.partition('.')[0] for name in sys.modules}} & {{'lark', 'pydantic', 'rich', 'yaml'}})\n"
        "found += [name for name in sys.modules if name.startswith('policy_engine.') and '.cli' not in name]\n"
        "print(found, file=sys.stderr)\n"
    )
    for words in ("'--help'", "'--version'", "'replay', '--help'", "'eval', '--help'", "'completion', 'zsh'"):
        done = subprocess.run(
            [sys.executable, "-c", code.format(words=words)], cwd=ROOT, capture_output=True, text=True, check=True
        )
        assert done.stderr.strip() == "[]", words


@pytest.mark.slow
def test_plain_output_imports_no_rich(desk: Path) -> None:
    code = (
        "import sys\nfrom policy_engine.cli import main\nsys.argv = ['policy', 'replay', 'trace.csv', '-p', "
        "'support.policy']\ntry:\n    main()\nexcept SystemExit: pass\nprint('rich' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=desk,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "False\n"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="there is no such signal here")
@pytest.mark.parametrize("words", [["--help"], ["check", "bad.policy"], ["replay", "trace.csv", *SUPPORT]])
def test_a_closed_pipe_ends_it_in_silence(desk: Path, words: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [*PROGRAM, *words],
        cwd=desk,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


@pytest.mark.slow
def test_control_c_is_exit_code_130_without_a_traceback(desk: Path) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "eval", "admit", *SUPPORT, "--facts", "-"],
        cwd=desk,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(b'{"customer": "acme"}\n')
    process.stdin.flush()
    assert process.stderr is not None
    process.stderr.readline()  # the line was answered: it is at work and waits for the next one
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in said


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no such device here")
def test_a_full_disk_is_a_message(desk: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, "check", "support.policy"],
            cwd=desk,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, "Error: no space left on device\n")


@pytest.mark.slow
def test_an_encoding_that_lacks_a_sign_is_no_reason_to_fail(desk: Path) -> None:
    (desk / "euro.policy").write_text("currency EUR\nceiling €9 per monht\n", encoding="utf-8")
    done = started(["check", "euro.policy"], desk, PYTHONIOENCODING="ascii")
    assert done.returncode == 1
    assert r"ceiling \u20ac9 per monht" in done.stdout
    assert done.stderr == ""


@pytest.mark.slow
def test_a_terminal_gets_colour_unless_it_asks_for_none(desk: Path) -> None:
    words = ["check", "bad.policy"]
    assert ESCAPE in on_terminal(words, desk)
    for plain in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert ESCAPE not in on_terminal(words, desk, **plain)
    assert ESCAPE not in on_terminal([*words, "--color", "never"], desk)


@pytest.mark.slow
def test_long_work_on_a_terminal_shows_a_bar_and_then_only_the_result(desk: Path) -> None:
    folder = ROOT / "policies" / "customer_support"
    shown = on_terminal(["replay", str(folder / "trace.csv"), "-p", str(folder)], desk)
    assert "replaying" in shown
    assert "replaying" not in started(["replay", str(folder / "trace.csv"), "-p", str(folder)], desk).stderr


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_program(desk: Path, shell: str) -> None:
    script = started(["completion", shell], desk)
    assert script.returncode == 0
    assert "_POLICY_COMPLETE" in script.stdout
    assert f"{shell}_complete" in script.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("policy ", set(COMMANDS)),
        ("policy re", {"replay"}),
        ("policy eval ", {str(point) for point in Point}),
        ("policy check --fo", {"--format"}),
        ("policy check --format ", {"text", "json"}),
    ],
)
def test_completion_answers(desk: Path, line: str, expected: set[str]) -> None:
    count = str(len(line.split(" ")) - 1)
    done = started([], desk, _POLICY_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=count)
    assert {answer.partition(",")[2] for answer in done.stdout.split()} == expected


@pytest.mark.slow
def test_lines_are_answered_as_they_come(desk: Path) -> None:
    """A stream of facts is not held back to its end."""
    process = subprocess.Popen(
        [*PROGRAM, "eval", "admit", *SUPPORT, "--format", "json", "--facts", "-"],
        cwd=desk,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write((desk / "ticket.json").read_bytes() + b"\n")
    process.stdin.flush()
    begun = time.monotonic()
    assert process.stdout.readline().startswith(b'{"line": 1')
    assert time.monotonic() - begun < 30
    process.stdin.close()
    assert process.wait(timeout=30) == 1
    process.stdout.close()


def test_who_has_put_something_in_the_place_of_a_stream_gets_what_is_said() -> None:
    """As notebooks and test runners do."""
    code = (
        "import contextlib, io, sys\nfrom policy_engine.cli import main\n"
        "said = io.StringIO()\nsys.argv = ['policy', '--version']\n"
        "with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit): main()\n"
        "print(len(said.getvalue()) > 5)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
