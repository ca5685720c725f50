"""What programs read: SARIF, GitHub annotations, JUnit, JSON."""

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from policy_engine.analysis.lint.choice import Choice
from policy_engine.analysis.lint.discovery import every_rule
from policy_engine.analysis.lint.outputs.github import to_github
from policy_engine.analysis.lint.outputs.junit import to_junit
from policy_engine.analysis.lint.outputs.plain import to_json
from policy_engine.analysis.lint.outputs.sarif import FINGERPRINT, to_sarif, uri
from policy_engine.analysis.lint.page import page_of, sources_of
from policy_engine.analysis.lint.report import Report, mistakes
from policy_engine.analysis.lint.rule import LintRule, Tier
from policy_engine.analysis.lint.runner import lint, subject_of
from policy_engine.language.diagnostics import PolicyError
from policy_engine.language.source import Source

FLAWED = """currency USD
route mini "𝒎𝒊𝒏𝒊" { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
lane standard { mini }
workflow support "𝒔" { outcome reply { price $0.99  lanes standard }
  # lint: allow L001 because it is a trial
  outcome draft { price $0.99  lanes standard }
}
error slow
"""
CHOICE = Choice(select=("L001", "L073", "L09"), tiers={"L073": Tier.NOTE})


def report(*texts: str, fail_on: Tier = Tier.WARNING, choice: Choice = CHOICE) -> Report:
    sources = [Source(f"my folder/{number}.policy", text) for number, text in enumerate(texts)]
    rules = tuple(rule for rule in every_rule() if choice.takes(rule))
    try:
        findings = lint(subject_of(sources), choice)
    except PolicyError as error:
        findings = mistakes(error.diagnostics)
    return Report(sources=tuple(sources), rules=rules, findings=findings, fail_on=fail_on)


def run(made: Report) -> Any:
    (found,) = to_sarif(made, "1.2.3")["runs"]  # type: ignore[misc]  # plain JSON
    return found


def test_the_report_counts_what_fails() -> None:
    made = report(FLAWED)
    assert [item.diagnostic.code for item in made.findings] == ["L001", "L001", "L073"]
    assert [item.diagnostic.code for item in made.reported] == ["L001", "L073"]
    assert [item.diagnostic.code for item in made.faults] == ["L001"]
    assert len(report(FLAWED, fail_on=Tier.NOTE).faults) == 2
    assert len(report(FLAWED, fail_on=Tier.ERROR).faults) == 0


# ---------------------------------------------------------------- SARIF


def test_columns_count_utf_16_code_units() -> None:
    found = run(report(FLAWED))
    assert found["columnKind"] == "utf16CodeUnits"
    first = found["results"][0]["locations"][0]["physicalLocation"]
    line = FLAWED.split("\n")[3]
    column = len(line[: line.index("reply")].encode("utf-16-le")) // 2 + 1
    assert column == line.index("reply") + 2, "one sign before it takes two code units"
    assert first["region"] == {
        "startLine": 4,
        "startColumn": column,
        "endLine": 4,
        "endColumn": column + 5,
        "snippet": {"text": "reply"},
    }
    assert first["artifactLocation"] == {"uri": "my%20folder/0.policy"}


def test_a_run_names_its_rules_and_files() -> None:
    found = run(report(FLAWED))
    driver = found["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("policy lint", "1.2.3")
    for result in found["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    rule = driver["rules"][0]
    assert rule["id"] == "L001"
    assert rule["name"] == "OutcomeWithoutMoneyCeiling"
    assert rule["defaultConfiguration"] == {"level": "warning"}
    assert "```policy" in rule["help"]["markdown"]
    assert found["artifacts"] == [{"location": {"uri": "my%20folder/0.policy"}}]
    assert found["invocations"] == [{"executionSuccessful": True}]


def test_what_a_comment_allows_is_a_suppressed_result() -> None:
    results = run(report(FLAWED))["results"]
    expected = [[], [{"kind": "inSource", "justification": "it is a trial"}], []]
    assert [result["suppressions"] for result in results] == expected


def test_levels_are_the_tiers() -> None:
    assert [result["level"] for result in run(report(FLAWED))["results"]] == ["warning", "warning", "note"]


def test_a_fingerprint_outlives_moves_and_tells_repetitions_apart() -> None:
    def prints(text: str) -> list[str]:
        return [result["partialFingerprints"][FINGERPRINT] for result in run(report(text))["results"]]

    before = prints(FLAWED)
    assert len(set(before)) == len(before)
    assert prints("# moved\n\n" + FLAWED.replace("error slow", "\n\n  error   slow")) == before
    assert prints(FLAWED.replace("reply", "answer"))[0] != before[0]


def test_fixes_are_replacements() -> None:
    text = FLAWED.replace(
        "price $0.99  lanes standard }\n}", "price $0.99  lanes standard  ceiling $1 per outcome }\n}"
    )
    (unused,) = [result for result in run(report(text))["results"] if result["ruleId"] == "L090"]
    (fix,) = unused["fixes"]
    (change,) = fix["artifactChanges"]
    assert change["artifactLocation"] == {"uri": "my%20folder/0.policy"}
    region = {"startLine": 5, "startColumn": 1, "endLine": 6, "endColumn": 1}
    assert change["replacements"] == [{"deletedRegion": region, "insertedContent": {"text": ""}}]


def test_a_policy_that_does_not_load_is_reported_too() -> None:
    found = run(report("currency USD\nceiling $9 per monht\n"))
    assert [(result["ruleId"], result["level"]) for result in found["results"]] == [("P203", "error")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b c.policy", "a/b%20c.policy"),
        ("a:b.policy", "a%3Ab.policy"),
        ("/top/é.policy", "file:///top/%C3%A9.policy"),
        ("C:\\in\\x.policy", "file:///C:/in/x.policy"),
        ("<stdin>", "%3Cstdin%3E"),
    ],
)
def test_names_as_uri_references(name: str, expected: str) -> None:
    assert uri(name) == expected


# ---------------------------------------------------------------- GitHub


def test_an_annotation_has_a_place_a_title_and_escaped_text() -> None:
    lines = list(to_github(report(FLAWED)))
    column = FLAWED.split("\n")[3].index("reply") + 1
    where = f"file=my folder/0.policy,line=4,endLine=4,col={column},endColumn={column + 5}"
    assert lines[0].startswith(f"::warning {where},title=L001 outcome-without-money-ceiling::nothing bounds")
    assert "40%25 of price" in lines[0]
    assert [line.partition(" ")[0] for line in lines] == ["::warning", "::notice"]


def test_signs_of_the_command_itself_are_escaped() -> None:
    sources = (Source("a,b:c%.policy", FLAWED),)
    made = Report(sources=sources, rules=(), findings=lint(subject_of(sources), CHOICE))
    assert next(to_github(made)).startswith("::warning file=a%2Cb%3Ac%25.policy,line=")


# ---------------------------------------------------------------- JUnit and JSON


def test_junit_has_a_suite_per_file_and_a_case_per_finding() -> None:
    suites = ET.fromstring(to_junit(report(FLAWED, "# nothing\n")))  # noqa: S314 - our own
    first, second = suites
    assert first.attrib == {"name": "my folder/0.policy", "tests": "3", "failures": "1", "errors": "0", "skipped": "1"}
    assert [[child.tag for child in case] for case in first] == [["failure"], ["skipped"], ["system-out"]]
    assert second.attrib["tests"] == "1"
    clean = ET.fromstring(to_junit(report("currency USD\n")))  # noqa: S314 - our own
    assert [case.attrib["name"] for suite in clean for case in suite] == ["lint"]


def test_junit_is_xml_whatever_the_policy_holds() -> None:
    sources = [Source("a\x01.policy", FLAWED.replace("𝒔", "\x02"))]
    try:
        findings = lint(subject_of(sources), CHOICE)
    except PolicyError as error:
        findings = mistakes(error.diagnostics)
    made = Report(sources=tuple(sources), rules=(), findings=findings)
    assert ET.fromstring(to_junit(made)).tag == "testsuites"  # noqa: S314 - our own


def test_json_has_every_finding_with_its_fix() -> None:
    data: Any = to_json(report(FLAWED))
    assert data["files"] == ["my folder/0.policy"]
    assert [(item["code"], item["fault"], item["allowed_because"]) for item in data["findings"]] == [
        ("L001", True, None),
        ("L001", False, "it is a trial"),
        ("L073", False, None),
    ]


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.code) for rule in every_rule()])
def test_every_rule_is_told_in_every_form(rule: LintRule) -> None:
    sources = tuple(sources_of(page_of(rule).bad))
    made = Report(
        sources=sources, rules=every_rule(), findings=lint(subject_of(sources), Choice(select=("L", rule.code)))
    )
    assert rule.code in {result["ruleId"] for result in run(made)["results"]}
    assert all(line.startswith("::") and "\n" not in line for line in to_github(made))
    assert rule.code in to_junit(made)
    assert rule.code in str(to_json(made))
