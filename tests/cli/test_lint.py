"""`policy lint` from outside: what it prints, what it writes, how it ends."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from policy_engine.cli.app import COMMANDS
from tests.cli.conftest import ROOT, Run

HEAD = """currency USD
route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
lane standard { mini }
"""
OPEN = HEAD + "workflow support { outcome reply { price $0.99  lanes standard } }\n"
SHUT = OPEN.replace("lanes standard }", "lanes standard  ceiling $0.30 per outcome }")
UNUSED = SHUT + "error slow  # answered late\n"
STALE = SHUT + "# lint: allow L001 because it is a trial\nerror slow\n"


@pytest.fixture
def put(desk: Path) -> Path:
    for name, text in {"open": OPEN, "shut": SHUT, "unused": UNUSED, "stale": STALE}.items():
        (desk / f"{name}.policy").write_text(text, encoding="utf-8")
    return desk


def test_a_clean_policy(put: Path, run: Run) -> None:
    result = run("lint", "shut.policy")
    assert (result.exit_code, result.stdout) == (0, "1 file, 1 rule: clean\n")


def test_a_finding_is_underlined_and_leads_to_its_page(put: Path, run: Run) -> None:
    result = run("lint", "open.policy")
    assert result.exit_code == 1
    assert result.stdout.startswith("warning[L001]: nothing bounds the cost of one `reply` in lane `standard`\n")
    assert re.search(r"^  \| +\^{5} add a ceiling per outcome", result.stdout, re.MULTILINE)
    assert "\n  = more: policy lint --explain L001\n" in result.stdout
    assert result.stdout.endswith("1 file, 0 rules: 1 warning\n")


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (["open.policy"], 1),
        (["open.policy", "--fail-on", "error"], 0),
        (["open.policy", "--ignore", "L001"], 0),
        (["open.policy", "--select", "L07,L09"], 0),
        (["unused.policy"], 0),  # a note does not fail
        (["unused.policy", "--fail-on", "note"], 1),
        (["bad.policy"], 1),
        (["nowhere.policy"], 2),
        (["open.policy", "--select", "L0x"], 2),
        (["open.policy", "--fail-on", "never"], 2),
        (["open.policy", "--config", "nowhere.toml"], 2),
        ([], 2),
        (["--explain", "L001"], 0),
        (["--explain", "l001"], 0),
        (["--explain", "outcome-without-money-ceiling"], 0),
        (["--explain", "L0"], 2),
        (["--list"], 0),
        (["-", "--fix"], 2),
    ],
)
def test_exit_codes(put: Path, run: Run, words: list[str], exit_code: int) -> None:
    result = run("lint", *words)
    assert result.exit_code == exit_code, result.output
    assert "Traceback" not in result.output


def test_a_policy_that_does_not_load_says_so(put: Path, run: Run) -> None:
    result = run("lint", "bad.policy")
    assert "error[P203]" in result.stdout
    assert "it does not load, so no lint rule looked at it" in result.stdout


def test_settings_of_the_project(put: Path, run: Run) -> None:
    (put / "policy.toml").write_text('[lint]\nignore = ["L001"]\nfail-on = "note"\n', encoding="utf-8")
    assert run("lint", "open.policy").exit_code == 0
    assert run("lint", "unused.policy").exit_code == 1
    assert run("lint", "unused.policy", "--fail-on", "warning").exit_code == 0
    assert run("lint", "open.policy", "--isolated").exit_code == 1
    (put / "other.toml").write_text('[lint]\nselct = ["L001"]\n', encoding="utf-8")
    result = run("lint", "open.policy", "--config", "other.toml")
    assert result.exit_code == 2
    assert result.stderr == "Error: other.toml: lint.selct: `selct` is no setting\n  did you mean `select`?\n"


def test_fix_writes_and_diff_does_not(put: Path, run: Run) -> None:
    result = run("lint", "stale.policy", "--diff")
    assert result.exit_code == 1
    assert "-# lint: allow L001 because it is a trial\n" in result.stdout
    assert (put / "stale.policy").read_text(encoding="utf-8") == STALE
    result = run("lint", "stale.policy", "--fix")
    assert result.exit_code == 0
    assert "fixed" in result.stdout
    assert "lint: allow" not in (put / "stale.policy").read_text(encoding="utf-8")
    assert run("lint", "stale.policy", "--diff").stdout == ""


def test_a_fix_keeps_comments(put: Path, run: Run) -> None:
    run("lint", "unused.policy", "--fix")
    assert "# answered late" in (put / "unused.policy").read_text(encoding="utf-8")


def test_forms_for_programs(put: Path, run: Run) -> None:
    data = json.loads(run("lint", "open.policy", "--format", "json").stdout)
    assert [item["code"] for item in data["findings"]] == ["L001"]
    log = json.loads(run("lint", "open.policy", "--format", "sarif").stdout)
    assert log["version"] == "2.1.0"
    assert run("lint", "open.policy", "--format", "github").stdout.startswith("::warning file=open.policy,line=4")
    assert run("lint", "open.policy", "--format", "junit").stdout.startswith("<?xml")


def test_a_page_on_the_screen(run: Run) -> None:
    page = run("lint", "--explain", "L001").stdout
    assert page.startswith("L001 outcome-without-money-ceiling  (warning, money)\n")
    heads = [line for line in page.split("\n") if line in ("What", "Why", "Bad", "Good")]
    assert heads == ["What", "Why", "Bad", "Good"]
    assert all(len(line) <= 100 for line in page.split("\n"))


def test_standard_input(put: Path, run: Run) -> None:
    result = run("lint", "-", "--diff", stdin=STALE)
    assert result.stdout.startswith("--- <stdin>\n+++ <stdin> (fixed)\n")


# ---------------------------------------------------------------- what docs/linting.md tells a project to write

PAGE = (ROOT / "docs" / "linting.md").read_text(encoding="utf-8")


def written_as(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def test_the_settings_of_the_page_are_settings(put: Path, run: Run) -> None:
    (text,) = written_as("toml")
    (put / "pyproject.toml").write_text(text, encoding="utf-8")
    result = run("lint", "open.policy")
    assert result.exit_code == 1
    assert result.stdout.startswith("error[L001]")


def test_the_hooks_of_the_page_are_ours() -> None:
    hooks = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))}
    config = yaml.safe_load(written_as("yaml")[0])
    assert {hook["id"] for repository in config["repos"] for hook in repository["hooks"]} == set(hooks)
    assert {hook["entry"].removeprefix("policy ") for hook in hooks.values()} <= set(COMMANDS)
    # what is given folders must not be given the files that changed: they are a part of a policy
    assert {name for name, hook in hooks.items() if hook.get("pass_filenames", True)} == {"policy-fmt"}


def test_the_workflow_of_the_page_runs(run: Run, tmp_path: Path) -> None:
    workflow = yaml.safe_load(written_as("yaml")[1])
    shutil.copytree(ROOT / "policies", tmp_path / "policies")
    steps = [step["run"].partition(" > ")[0] for step in workflow["jobs"]["policies"]["steps"] if "run" in step]
    commands = [step.split()[1:] for step in steps if step.startswith("policy ")]
    assert [command[0] for command in commands] == ["fmt", "check", "lint", "lint"]
    for command in commands:
        result = run(*command)
        assert result.exit_code == 0, result.output
