"""Findings as SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format"; section numbers below are its own)."""

from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from pathlib import PurePosixPath, PureWindowsPath
from urllib.parse import quote

from policy_engine.analysis.lint.page import page_of
from policy_engine.analysis.lint.report import Report
from policy_engine.analysis.lint.rule import Edit, Finding, LintRule
from policy_engine.language.source import Source, Span

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT = "policyStatement/v1"
"""The key of our fingerprint: code, file, message and the underlined words, numbered where they repeat. Lines and
columns are not in it, so a finding keeps it while text above it changes.
"""

Json = dict[str, object]


def to_sarif(report: Report, version: str) -> Json:
    """The log with one run, by this version of the program."""
    codes = {rule.code: _rule(rule) for rule in report.rules}
    for finding in report.findings:
        codes.setdefault(finding.diagnostic.code, _bare_rule(finding))
    index = {code: number for number, code in enumerate(codes)}
    prints = _fingerprints(report.findings)
    run: Json = {
        "tool": {"driver": {"name": "policy lint", "version": version, "rules": list(codes.values())}},
        "invocations": [{"executionSuccessful": True}],
        "artifacts": [{"location": _artifact(source)} for source in report.sources],
        "columnKind": "utf16CodeUnits",  # §3.14.17
        "results": [
            _result(finding, index[finding.diagnostic.code], made)
            for finding, made in zip(report.findings, prints, strict=True)
        ],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


# ---------------------------------------------------------------- rules (§3.49)


def _rule(rule: LintRule) -> Json:
    page = page_of(rule)
    text = f"{page.what}\n\n{page.why}\n\nBad:\n\n{page.bad}\nGood:\n\n{page.good}"
    markdown = (
        f"{page.what}\n\n{page.why}\n\n**Bad**\n\n```policy\n{page.bad}```\n\n**Good**\n\n```policy\n{page.good}```\n"
    )
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": page.title},
        "fullDescription": {"text": page.what},
        "help": {"text": text, "markdown": markdown},
        "defaultConfiguration": {"level": rule.tier.value},
        "properties": {"tags": [rule.topic]},
    }


def _bare_rule(finding: Finding) -> Json:
    """A mistake that keeps the policy from loading has a code, and no page."""
    return {"id": finding.diagnostic.code, "defaultConfiguration": {"level": finding.diagnostic.severity.value}}


# ---------------------------------------------------------------- results (§3.27)


def _result(finding: Finding, rule_index: int, fingerprint: str) -> Json:
    said = finding.diagnostic
    result: Json = {
        "ruleId": said.code,
        "ruleIndex": rule_index,
        "level": said.severity.value,
        "message": {"text": f"{said.message}: {said.hint}"},
        "locations": [{"physicalLocation": _location(said.span)}],
        "partialFingerprints": {FINGERPRINT: fingerprint},
        # §3.27.23: an empty list says "not suppressed", a missing one "nobody knows".
        "suppressions": [{"kind": "inSource", "justification": finding.allowed_because}]
        if finding.allowed_because is not None
        else [],
    }
    places = [
        {"id": number, "message": {"text": note.message}, "physicalLocation": _location(note.span)}
        for number, note in enumerate(said.notes)
        if note.span is not None
    ]
    if places:
        result["relatedLocations"] = places
    if finding.edits:
        result["fixes"] = [{"description": {"text": said.hint}, "artifactChanges": _changes(finding.edits)}]
    return result


def _changes(edits: Iterable[Edit]) -> list[Json]:
    by_source: dict[Source, list[Json]] = {}
    for edit in edits:
        by_source.setdefault(edit.span.source, []).append(
            {"deletedRegion": _region(edit.span), "insertedContent": {"text": edit.text}}
        )
    return [{"artifactLocation": _artifact(source), "replacements": list_} for source, list_ in by_source.items()]


def _location(span: Span) -> Json:
    return {"artifactLocation": _artifact(span.source), "region": {**_region(span), "snippet": {"text": span.text}}}


def _artifact(source: Source) -> Json:
    return {"uri": uri(source.name)}


def uri(name: str) -> str:
    """A file's name as a URI reference (§3.4.3): relative to where the run began, unless it is absolute."""
    if PureWindowsPath(name).is_absolute():
        return "file:///" + quote(PureWindowsPath(name).as_posix(), safe="/:")
    if PurePosixPath(name).is_absolute():
        return "file://" + quote(name)
    first, slash, rest = name.replace("\\", "/").partition("/")
    return quote(first) + slash + quote(rest)  # a colon in the first part would read as a scheme; `quote` escapes it


def _region(span: Span) -> Json:
    end_line, end = _line_and_column(span, span.end)
    line, column = _line_and_column(span, span.start)
    return {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end}


def _line_and_column(span: Span, offset: int) -> tuple[int, int]:
    """1-based; columns count UTF-16 code units, of which signs beyond the basic plane take two."""
    line, column = span.source.line_and_column(offset)
    before = span.source.text[offset - column + 1 : offset]
    return line, column + sum(ord(sign) > 0xFFFF for sign in before)


def _fingerprints(findings: Iterable[Finding]) -> list[str]:
    seen: Counter[tuple[str, ...]] = Counter()
    made = []
    for finding in findings:
        said = finding.diagnostic
        words = " ".join(said.span.text.split())
        key = (said.code, said.span.source.name.replace("\\", "/"), said.message, words)
        seen[key] += 1
        made.append(sha256("\0".join((*key, str(seen[key]))).encode("utf-8", "surrogatepass")).hexdigest()[:32])
    return made
