"""Findings as plain data, for programs."""

from policy_engine.analysis.lint.report import Report
from policy_engine.analysis.lint.rule import Edit, Finding
from policy_engine.language.diagnostics import place


def to_json(report: Report) -> dict[str, object]:
    """The files, the codes that ran, and every finding: a diagnostic with its rule, its fix and what allows it."""
    return {
        "files": [source.name for source in report.sources],
        "rules": [rule.code for rule in report.rules],
        "findings": [_finding(finding, report) for finding in report.findings],
    }


def _finding(finding: Finding, report: Report) -> dict[str, object]:
    return {
        **finding.diagnostic.to_json(),
        "rule": finding.rule.name if finding.rule is not None else None,
        "fault": report.is_fault(finding),
        "allowed_because": finding.allowed_because,
        "fix": [_edit(edit) for edit in finding.edits],
    }


def _edit(edit: Edit) -> dict[str, object]:
    return {**place(edit.span), "text": edit.text}
