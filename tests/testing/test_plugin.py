"""pytest runs policy tests: each case an item, with everything that pytest does with items."""

import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from textwrap import dedent

import pytest

from tests.testing.desk import written

CASES = """
decisions:
  - case: a reply is standard
    admit: {outcome: reply, risk: low}
    expect: {lane: standard}
  - case: a risky one is not
    admit: {outcome: reply, risk: high}
    expect: {lane: standard}
  - case: replies
    admit: {outcome: reply}
    table:
      - [risk,   =>, lane]
      - [medium, =>, standard]
      - [high,   =>, premium]
scenarios:
  - case: a story
    timeline:
      - admit: {outcome: reply, risk: low}
        expect: allow
"""
SLOW = pytest.mark.slow


def run(folder: Path, *arguments: str) -> tuple[str, int]:
    """pytest in a process of its own, with the plugin as it is installed and without the settings of this project."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir=.", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr, done.returncode


def test_the_plugin_is_installed(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.pluginmanager.hasplugin("policy_engine"), "install the project again: pip install -e ."


@SLOW
def test_each_case_is_a_test(tmp_path: Path) -> None:
    written(tmp_path, CASES)
    said, code = run(tmp_path, "-v")
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "4 passed" in said
    assert "1 failed" in said
    assert "desk.policytest.yaml::replies [medium] PASSED" in said
    assert "desk.policytest.yaml::a story PASSED" in said
    for line in (
        " desk.policytest.yaml:8:20",
        "8 |     expect: {lane: standard}",
        "  |                    ^^^^^^^^ `lane` is `premium`",
        "   desk.policy:13:28",
        "13 | lane premium { big -> mini allow when risk >= high }",
    ):
        assert line in said
    assert "Traceback" not in said
    assert "FAILED desk.policytest.yaml::a risky one is not - lane: expected standard" in said


@SLOW
@pytest.mark.parametrize(
    ("arguments", "counts"),
    [
        (["-k", "replies"], "2 passed, 3 deselected"),
        (["-k", "risky or story"], "1 failed, 1 passed, 3 deselected"),
        (["-x"], "1 failed, 1 passed"),
        (["desk.policytest.yaml::a story"], "1 passed"),
        (["-n", "2"], "1 failed, 4 passed"),
    ],
)
def test_what_pytest_can_do_works(arguments: list[str], counts: str, tmp_path: Path) -> None:
    written(tmp_path, CASES)
    said, _ = run(tmp_path, *arguments)
    assert counts in said


@SLOW
def test_junit_has_every_case(tmp_path: Path) -> None:
    written(tmp_path, CASES)
    run(tmp_path, "--junitxml=report.xml")
    cases = list(ET.parse(tmp_path / "report.xml").iter("testcase"))  # noqa: S314 - written just now
    (failed,) = (case for case in cases if case.find("failure") is not None)
    assert failed.get("name") == "a risky one is not"
    failure = failed.find("failure")
    assert failure is not None
    assert failure.get("message") == "lane: expected standard, got premium"
    assert "lane premium { big -> mini allow when risk >= high }" in (failure.text or "")
    assert len(cases) == 5


@SLOW
def test_a_broken_file_is_an_error_of_collection(tmp_path: Path) -> None:
    written(tmp_path, CASES.replace("expect: {lane", "expects: {lane"))
    said, code = run(tmp_path)
    assert code == pytest.ExitCode.INTERRUPTED
    assert "did you mean `expect`?" in said
    assert "Traceback" not in said


@SLOW
def test_a_case_that_breaks_is_no_failed_case(tmp_path: Path) -> None:
    """What is no expectation that was not met keeps its traceback."""
    written(tmp_path, CASES)
    (tmp_path / "conftest.py").write_text(
        dedent(
            """
            def pytest_collection_modifyitems(items):
                for item in items:
                    item.case = None
            """
        ),
        encoding="utf-8",
    )
    said, _ = run(tmp_path, "-k", "story")
    assert "AttributeError" in said


@SLOW
def test_without_policy_tests_the_plugin_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        dedent(
            """
            import sys

            def test_it():
                ours = sorted(name for name in sys.modules if name.split(".")[0] == "policy_engine")
                assert ours == ["policy_engine", "policy_engine.pytest_plugin"]
                assert not {"yaml", "pydantic", "lark"} & set(sys.modules)
            """
        ),
        encoding="utf-8",
    )
    said, code = run(tmp_path, "-p", "no:hypothesispytest")
    assert code == pytest.ExitCode.OK, said
