"""Findings as GitHub workflow commands, which become annotations of a pull request.

Form and escaping: "Workflow commands for GitHub Actions" in GitHub's documentation.
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.report import Report
from policy_engine.analysis.lint.rule import Finding
from policy_engine.language.diagnostics import Severity, place

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def to_github(report: Report) -> Iterator[str]:
    """One line for each finding that no comment allows."""
    for finding in report.reported:
        yield _line(finding)


def _line(finding: Finding) -> str:
    said = finding.diagnostic
    where = place(said.span)
    properties: dict[str, object] = {"file": where["file"], "line": where["line"], "endLine": where["end_line"]}
    if where["line"] == where["end_line"]:  # over several lines, columns are not taken
        properties |= {"col": where["column"], "endColumn": where["end_column"]}
    name = f" {finding.rule.name}" if finding.rule is not None else ""
    properties["title"] = f"{said.code}{name}"
    listed = ",".join(f"{key}={_property(str(value))}" for key, value in properties.items())
    text = "\n".join([f"{said.message}: {said.hint}", *(f"note: {note.message}" for note in said.notes)])
    return f"::{_COMMANDS[said.severity]} {listed}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
