"""A run for programs: JSON, and JUnit's XML as build servers read it."""

import re
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from policy_engine.language.diagnostics import Diagnostic, Severity
from policy_engine.testing.cases import Failure, Result
from policy_engine.testing.explanation import explain, first_line
from policy_engine.testing.runner import FileRun, Run

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_json(run: Run) -> dict[str, Any]:
    """Plain data of a whole run; keys are added to, never renamed."""
    return {
        "passed": run.passed,
        "cases": len(run.results),
        "failed": len(run.failed),
        "left_out": run.left_out,
        "seconds": round(run.seconds, 6),
        "files": [
            {
                "file": file.file.path.as_posix(),
                "policy": [path.as_posix() for path in file.file.policy_paths],
                "diagnostics": [item.to_json() for item in file.file.diagnostics],
                "cases": [_case(result) for result in file.results],
            }
            for file in run.files
        ],
    }


def _case(result: Result) -> dict[str, Any]:
    return {
        "name": result.case.name,
        "kind": result.case.kind,
        "line": result.case.line,
        "passed": result.passed,
        "seconds": round(result.seconds, 6),
        "problem": None if result.problem is None else result.problem.to_json(),
        "failures": [_failure(failure) for failure in result.failures],
    }


def _failure(failure: Failure) -> dict[str, Any]:
    return {
        "file": failure.file,
        "line": failure.line,
        "column": failure.where.column,
        "key": failure.key,
        "event": failure.event or None,
        "expected": failure.expected,
        "got": failure.got,
        "point": failure.point,
        "facts": failure.facts,
        "decision": None if failure.decision is None else failure.decision.to_json(),
    }


def to_junit(run: Run) -> str:
    """One suite per file. A file that cannot be read, and a case with bad input, is an error; the rest are failures."""
    suites = [_suite(file) for file in run.files]
    errors = sum(result.problem is not None for result in run.results) + len(run.broken)
    failures = len(run.failed) - sum(result.problem is not None for result in run.results)
    head = (
        f'tests="{len(run.results) + len(run.broken)}" failures="{failures}" errors="{errors}" time="{run.seconds:.3f}"'
    )
    body = "\n".join(suites)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="policy test" {head}>\n{body}\n</testsuites>\n'


def _suite(run: FileRun) -> str:
    cases = [_junit_case(run, result) for result in run.results]
    errors = sum(result.problem is not None for result in run.results)
    failures = len(run.failed) - errors
    if run.broken:
        found = [item for item in run.file.diagnostics if item.severity is Severity.ERROR]
        cases.append(_broken(run, found))
        errors += 1
    time = sum(result.seconds for result in run.results)
    counts = f'tests="{len(cases)}" failures="{failures}" errors="{errors}" skipped="0" time="{time:.3f}"'
    return (
        f"  <testsuite name={_attribute(run.file.path.as_posix())} {counts}>\n" + "\n".join(cases) + "\n  </testsuite>"
    )


def _junit_case(run: FileRun, result: Result) -> str:
    path = run.file.path.as_posix()
    head = (
        f"    <testcase classname={_attribute(path)} name={_attribute(result.case.name)} file={_attribute(path)} "
        f'line="{result.case.line}" time="{result.seconds:.3f}"'
    )
    if result.passed:
        return head + "/>"
    kind = "failure" if result.problem is None else "error"
    return head + ">\n" + _said(kind, first_line(result), "\n".join(explain(result, run.file.policy)))


def _broken(run: FileRun, found: list[Diagnostic]) -> str:
    path = _attribute(run.file.path.as_posix())
    head = f'    <testcase classname={path} name="the file" file={path} time="0.000">\n'
    return head + _said("error", found[0].message if found else "nothing ran", "\n\n".join(map(str, found)))


def _said(kind: str, message: str, text: str) -> str:
    return f"      <{kind} message={_attribute(message)}>{escape(_NOT_XML.sub('�', text))}</{kind}>\n    </testcase>"


def _attribute(text: str) -> str:
    return quoteattr(_NOT_XML.sub("�", text), {"\n": "&#10;"})
