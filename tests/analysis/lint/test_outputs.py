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
    log: Any = to_sarif(made, "1.2.3")
    return log["runs"][0]


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


# ---------------------------------------------------------------- SARIF, field by field
#
# What §3 of SARIF 2.1.0 asks of each object that is written here: its properties with their shapes, an
# exclamation mark behind those that are required. No object but a property bag may have any other property.

TEXT, WHOLE, FROM_ONE, YES = "text", "whole", "from one", "true or false"
LEVEL = ("none", "note", "warning", "error")
SARIF: dict[str, dict[str, Any]] = {
    "log": {"$schema": TEXT, "version!": ("2.1.0",), "runs!": ["run"]},  # §3.13
    "run": {  # §3.14
        "tool!": "tool",
        "invocations": ["invocation"],
        "artifacts": ["artifact"],
        "columnKind": ("utf16CodeUnits", "unicodeCodePoints"),
        "results": ["result"],
    },
    "tool": {"driver!": "toolComponent"},  # §3.18
    "toolComponent": {"name!": TEXT, "version": TEXT, "rules": ["reportingDescriptor"]},  # §3.19
    "invocation": {"executionSuccessful!": YES},  # §3.20
    "artifact": {"location": "artifactLocation"},  # §3.24
    "artifactLocation": {"uri": TEXT},  # §3.4
    "reportingDescriptor": {  # §3.49
        "id!": TEXT,
        "name": TEXT,
        "shortDescription": "multiformatMessageString",
        "fullDescription": "multiformatMessageString",
        "help": "multiformatMessageString",
        "defaultConfiguration": "reportingConfiguration",
        "properties": "propertyBag",
    },
    "multiformatMessageString": {"text!": TEXT, "markdown": TEXT},  # §3.12
    "reportingConfiguration": {"level": LEVEL},  # §3.50
    "result": {  # §3.27
        "ruleId": TEXT,
        "ruleIndex": WHOLE,
        "level": LEVEL,
        "message!": "message",
        "locations": ["location"],
        "relatedLocations": ["location"],
        "partialFingerprints": "texts",
        "suppressions": ["suppression"],
        "fixes": ["fix"],
    },
    "message": {"text": TEXT},  # §3.11
    "location": {"id": WHOLE, "message": "message", "physicalLocation": "physicalLocation"},  # §3.28
    "physicalLocation": {"artifactLocation!": "artifactLocation", "region": "region"},  # §3.29
    "region": {  # §3.30
        "startLine": FROM_ONE,
        "startColumn": FROM_ONE,
        "endLine": FROM_ONE,
        "endColumn": FROM_ONE,
        "snippet": "artifactContent",
    },
    "artifactContent": {"text": TEXT},  # §3.3
    "suppression": {"kind!": ("inSource", "external"), "justification": TEXT},  # §3.35
    "fix": {"description": "message", "artifactChanges!": ["artifactChange"]},  # §3.55
    "artifactChange": {"artifactLocation!": "artifactLocation", "replacements!": ["replacement"]},  # §3.56
    "replacement": {"deletedRegion!": "region", "insertedContent": "artifactContent"},  # §3.57
}


def misfits(value: Any, shape: Any, where: str) -> list[str]:
    """Every place where a value is not of its shape."""
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{where} is no list"]
        return [bad for number, item in enumerate(value) for bad in misfits(item, shape[0], f"{where}[{number}]")]
    if isinstance(shape, tuple):
        return [] if value in shape else [f"{where} is {value!r}"]
    if shape in (TEXT, WHOLE, FROM_ONE, YES):
        fits = {
            TEXT: isinstance(value, str),
            WHOLE: type(value) is int and value >= 0,
            FROM_ONE: type(value) is int and value >= 1,
            YES: isinstance(value, bool),
        }
        return [] if fits[shape] else [f"{where} is {value!r}"]
    if not isinstance(value, dict):
        return [f"{where} is no object"]
    if shape in ("texts", "propertyBag"):
        return [] if shape == "propertyBag" or all(isinstance(item, str) for item in value.values()) else [where]
    properties = {name.removesuffix("!"): of for name, of in SARIF[shape].items()}
    found = [f"{where}.{name[:-1]} is missing" for name in SARIF[shape] if name[-1] == "!" and name[:-1] not in value]
    for name, item in value.items():
        found += (
            misfits(item, properties[name], f"{where}.{name}") if name in properties else [f"{where}.{name} is new"]
        )
    return found


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.code) for rule in every_rule()])
def test_the_log_of_every_bad_is_sarif(rule: LintRule) -> None:
    sources = tuple(sources_of(page_of(rule).bad))
    findings = lint(subject_of(sources), Choice(select=("L", rule.code)))
    log: Any = to_sarif(Report(sources=sources, rules=every_rule(), findings=findings), "1.2.3")
    assert misfits(log, "log", "log") == []
    (found,) = log["runs"]
    codes = [item["id"] for item in found["tool"]["driver"]["rules"]]
    assert len(set(codes)) == len(codes)
    for result in found["results"]:
        assert len(result["locations"]) == 1
        region = result["locations"][0]["physicalLocation"]["region"]
        assert (region["startLine"], region["startColumn"]) <= (region["endLine"], region["endColumn"])


def test_the_checker_of_shapes_sees_what_is_wrong() -> None:
    log: Any = to_sarif(report(FLAWED), "1.2.3")
    found = log["runs"][0]
    del found["tool"]["driver"]["name"]
    found["results"][0]["level"] = "grave"
    found["results"][1]["colour"] = "red"
    found["results"][2]["locations"][0]["physicalLocation"]["region"]["startLine"] = 0
    assert misfits(log, "log", "log") == [
        "log.runs[0].tool.driver.name is missing",
        "log.runs[0].results[0].level is 'grave'",
        "log.runs[0].results[1].colour is new",
        "log.runs[0].results[2].locations[0].physicalLocation.region.startLine is 0",
    ]
