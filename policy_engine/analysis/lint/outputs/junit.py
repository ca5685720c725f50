"""Findings as a JUnit report: a suite per file, a case per finding, and one case for a file without any.

What fails the run is a failure, what a comment allows is skipped, any lighter finding passes and says so.
"""

import re
from xml.etree import ElementTree as ET

from policy_engine.analysis.lint.report import Report
from policy_engine.analysis.lint.rule import Finding

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_junit(report: Report) -> str:
    """The XML text, with its declaration."""
    suites = ET.Element("testsuites", {"name": "policy lint"})
    beside = (finding.diagnostic.span.source for finding in report.findings)  # a price lock is no source of a policy
    for source in dict.fromkeys((*report.sources, *beside)):
        found = [finding for finding in report.findings if finding.diagnostic.span.source is source]
        failed = sum(report.is_fault(finding) for finding in found)
        skipped = sum(finding.allowed_because is not None for finding in found)
        counts = {"tests": max(1, len(found)), "failures": failed, "errors": 0, "skipped": skipped}
        said = {"name": _text(source.name)} | {key: str(number) for key, number in counts.items()}
        suite = ET.SubElement(suites, "testsuite", said)
        if not found:
            ET.SubElement(suite, "testcase", {"classname": _text(source.name), "name": "lint"})
        for finding in found:
            _case(suite, finding, report)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _case(suite: ET.Element, finding: Finding, report: Report) -> None:
    said = finding.diagnostic
    span = said.span
    case = ET.SubElement(
        suite,
        "testcase",
        {
            "classname": _text(span.source.name),
            "name": _text(f"{said.code} at {span.line}:{span.column}"),
            "file": _text(span.source.name),
            "line": str(span.line),
        },
    )
    if finding.allowed_because is not None:
        ET.SubElement(case, "skipped", {"message": _text(finding.allowed_because)})
    elif report.is_fault(finding):
        failure = ET.SubElement(case, "failure", {"type": said.code, "message": _text(said.message)})
        failure.text = _text(str(said))
    else:
        ET.SubElement(case, "system-out").text = _text(str(said))


def _text(text: str) -> str:
    """What XML can hold; other signs become the replacement character."""
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
