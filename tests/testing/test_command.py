"""`policy test`: what it prints in each form, and its exit codes."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from policy_engine.cli.app import app
from policy_engine.testing.runner import BadExpression, matching
from policy_engine.testing.runner import run as run_files
from tests.testing.desk import opened, written
from tests.testing.test_plugin import CASES

PASSING = CASES.replace("risk: high}\n    expect: {lane: standard}", "risk: high}\n    expect: {lane: premium}")
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["test", *arguments])

    return run


@pytest.mark.parametrize(
    ("text", "arguments", "code", "said"),
    [
        (PASSING, [], 0, "5 cases: 5 passed"),
        (PASSING, ["."], 0, "desk.policytest.yaml: 5 passed"),
        (PASSING, ["desk.policytest.yaml"], 0, "5 passed"),
        (PASSING, ["desk.policy"], 0, "desk.policytest.yaml: 5 passed"),
        (PASSING, ["desk.policy", ".", "desk.policytest.yaml"], 0, "5 cases: 5 passed"),
        (CASES, [], 1, "5 cases: 1 failed, 4 passed"),
        (CASES, ["-k", "replies"], 0, "2 cases: 2 passed, 3 left out by -k"),
        (CASES, ["-k", "not risky"], 0, "4 cases: 4 passed, 1 left out by -k"),
        (CASES, ["-v"], 1, "  passed  replies [medium]  line 13"),
        # never passed with nothing run
        (CASES, ["-k", "refund"], 2, "no case fits `refund`, so nothing was tested"),
        ("", [], 2, "this file tests nothing"),
        ("fixtures: {a: {outcome: reply}}", [], 2, "this file tests nothing"),
        (CASES, ["-k", "(" * 5000 + "a"], 2, "cannot be read: it has more than 100 words and signs"),
        (CASES, ["-k", "not " * 5000 + "a"], 2, "cannot be read: it has more than 100 words and signs"),
        # options that would be looked at by nobody
        (PASSING, ["--fail-under", "90"], 2, "--fail-under needs --coverage or --mutate"),
        (PASSING, ["--coverage", "--fail-under", "nan"], 2, "`nan` is no number"),
        (PASSING, ["--mutate", "--timeout-minutes", "nan"], 2, "`nan` is no number"),
        (PASSING, ["--sample", "3"], 2, "--sample needs --mutate"),
        (PASSING, ["--jobs", "2"], 2, "--jobs needs --mutate"),
        (PASSING, ["--html", ""], 2, "the directory has no name"),
        (CASES, ["-k", "("], 2, "`(` cannot be read: something is missing at its end"),
        (CASES, ["elsewhere"], 2, "no such file or directory"),
        (CASES, [""], 2, "a path is empty"),
        (CASES.replace("expect: {lane", "expects: {lane"), [], 2, "1 file cannot be used"),
        (CASES.replace("medium,", "lowest,"), [], 1, "`lowest` is no value of `risk`"),
    ],
)
def test_what_it_says_and_how_it_ends(
    text: str, arguments: list[str], code: int, said: str, run: Run, tmp_path: Path
) -> None:
    written(tmp_path, text)
    result = run(*arguments)
    assert said in result.output
    assert result.exit_code == code
    assert "Traceback" not in result.output


def test_no_test_file_is_no_success(run: Run) -> None:
    result = run()
    assert result.exit_code == 2
    assert "nothing was tested" in result.output


def test_a_policy_without_tests_is_no_success(run: Run, tmp_path: Path) -> None:
    written(tmp_path, PASSING).unlink()
    result = run("desk.policy")
    assert result.exit_code == 2
    assert "desk.policy: no test file desk.policytest.yaml beside it" in result.output


def test_no_file_is_passed_over_for_how_its_name_ends(run: Run, tmp_path: Path) -> None:
    path = written(tmp_path, PASSING)
    path.rename(path.with_suffix(".yml"))
    assert "desk.policytest.yml: 5 passed" in run().output


def test_a_failure_is_explained(run: Run, tmp_path: Path) -> None:
    written(tmp_path, CASES)
    printed = run("-k", "risky").output
    head, _, rest = printed.partition("\n\n")
    assert head.split("\n") == [
        "FAILED a risky one is not",
        "  desk.policytest.yaml:8:20",
        "8 |     expect: {lane: standard}",
        "  |                    ^^^^^^^^ `lane` is `premium`",
        "  admit: allowed in lane premium, first route big, drawn from list at $1, at most $0.20",
        "   desk.policy:13:28",
        "13 | lane premium { big -> mini allow when risk >= high }",
        "   |                            ^^^^^^^^^^^^^^^^^^^^^^^ decides",
        "  it would be `standard` with risk: medium",
    ]
    assert "1 failed, 0 passed" in rest


def test_two_failures_of_one_line_show_it_once(run: Run, tmp_path: Path) -> None:
    written(
        tmp_path,
        """
        decisions:
          - case: it
            admit: {outcome: reply, risk: high}
            expect: {lane: standard, route: mini}
        """,
    )
    assert run().output.split("\n")[1:5] == [
        "  desk.policytest.yaml:5:20",
        "5 |     expect: {lane: standard, route: mini}",
        "  |                    ^^^^^^^^ `lane` is `premium`",
        "  |                                     ^^^^ `route` is `big`",
    ]


def test_a_run_of_nothing_has_not_passed(run: Run, tmp_path: Path) -> None:
    written(tmp_path, PASSING)
    assert not run_files([]).passed
    assert json.loads(run("-k", "refund", "--format", "json").stdout)["passed"] is False


def test_json_has_everything(run: Run, tmp_path: Path) -> None:
    written(tmp_path, CASES)
    result = run("--format", "json")
    assert result.exit_code == 1
    data = json.loads(result.stdout)
    assert (data["passed"], data["cases"], data["failed"]) == (False, 5, 1)
    (file,) = data["files"]
    assert (file["file"], file["policy"]) == ("desk.policytest.yaml", ["desk.policy"])
    assert [(case["name"], case["kind"], case["passed"]) for case in file["cases"]] == [
        ("a reply is standard", "decision", True),
        ("a risky one is not", "decision", False),
        ("replies [medium]", "decision", True),
        ("replies [high]", "decision", True),
        ("a story", "scenario", True),
    ]
    (failure,) = file["cases"][1]["failures"]
    assert (failure["line"], failure["key"], failure["expected"], failure["got"]) == (8, "lane", "standard", "premium")
    assert failure["decision"]["lane"] == "premium"
    assert failure["facts"]["risk"] == "high"


def test_junit_is_xml_with_every_case(run: Run, tmp_path: Path) -> None:
    written(
        tmp_path,
        CASES.replace("a story", 'a "story" <of> & \\u2028 more')
        .replace('case: a "', "case: 'a \"")
        .replace("more\n", "more'\n"),
    )
    written(tmp_path, "decisions:\n  - case: it\n", "broken")
    result = run("--format", "junit")
    assert result.exit_code == 2
    root = ET.fromstring(result.stdout)  # noqa: S314 - written just now
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("6", "1", "1")
    assert len(list(root.iter("testcase"))) == 6
    assert [suite.get("name") for suite in root] == ["broken.policytest.yaml", "desk.policytest.yaml"]
    (failure,) = root.iter("failure")
    assert failure.get("message") == "lane: expected standard, got premium"
    assert "desk.policytest.yaml:8:20" in (failure.text or "")


@pytest.mark.parametrize("arguments", [("--format", "json"), ("--format", "junit")])
def test_a_program_reads_nothing_but_the_answer(arguments: tuple[str, ...], run: Run, tmp_path: Path) -> None:
    written(tmp_path, CASES)
    result = run("-k", "refund", *arguments)
    assert result.exit_code == 2
    assert "nothing was tested" in result.stderr
    assert "nothing was tested" not in result.stdout


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("reply", ["a reply is standard"]),
        ("REPLY", ["a reply is standard"]),
        ("a and standard", ["a reply is standard"]),
        ("a standard", ["a reply is standard"]),
        ("risky or story", ["a risky one is not", "a story"]),
        ("not a", []),
        ("not (reply or story)", ["a risky one is not", "replies [medium]", "replies [high]"]),
        ("'is standard'", ["a reply is standard"]),
        ('"not"', ["a risky one is not"]),
        ("[high]", ["replies [high]"]),
        ("desk and story", ["a story"]),
        ("not not story", ["a story"]),
    ],
)
def test_which_cases_an_expression_means(expression: str, names: list[str], tmp_path: Path) -> None:
    wanted = matching(expression)
    assert [case.name for case in opened(tmp_path, CASES).cases if wanted(case)] == names


@pytest.mark.parametrize("expression", ["", "  ", "(", ")", "and", "a or", "a) b", "not", "(a"])
def test_an_expression_that_means_nothing(expression: str) -> None:
    with pytest.raises(BadExpression):
        matching(expression)


@pytest.mark.parametrize("name", ["desk.policy", "desk.policytest.yaml"])
def test_a_report_takes_the_place_of_reports_alone(name: str, run: Run, tmp_path: Path) -> None:
    written(tmp_path, PASSING)
    before = (tmp_path / name).read_bytes()
    result = run("--cobertura", name)
    assert result.exit_code == 2
    assert f"{name}: this file is no report, and is not overwritten" in result.output
    assert (tmp_path / name).read_bytes() == before
    assert [run("--cobertura", "c.xml").exit_code for _ in range(2)] == [0, 0]
