"""`policy explain`."""

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Run

SUPPORT = ("--policy", "support.policy")
EXTRACTION = ROOT / "policies" / "document_extraction"


def test_one_outcome_with_every_place(run: Run) -> None:
    result = run("explain", "support_draft", *SUPPORT, "--plan", "growth", "--lane", "premium")
    assert result.exit_code == 0
    assert result.stdout.startswith(
        'support_draft "policy-safe support response draft": workflow support, plan growth, lane premium\n'
    )
    assert "draft_cap" not in result.stdout  # it stands for the other lane
    assert re.search(r"An attempt on route opus may cost at most \$0\.25\. +support\.policy:11:89\n", result.stdout)
    assert re.search(r"\(\$0\.32979878 from the allowance, \$0\.44 beyond the +\n?", result.stdout.replace("    ", " "))


def test_every_outcome(run: Run) -> None:
    result = run("explain", *SUPPORT)
    assert [line.split(" ")[0] for line in result.stdout.splitlines() if ": workflow " in line] == [
        "support_draft",
        "account_summary",
    ]
    assert "Rules that govern nothing" not in result.stdout


def test_of_a_lane_the_outcomes_that_list_it(run: Run) -> None:
    result = run("explain", "--lane", "research", *SUPPORT, "--format", "json")
    assert [found["outcome"] for found in json.loads(result.stdout)["outcomes"]] == ["account_summary"]


def test_rules_that_govern_nothing_are_listed(run: Run, desk: Path) -> None:
    text = 'currency USD\nroute a { model "m:a" cost $1 }\nlane l { a } lane m { a limit 3 per day }\n'
    (desk / "spare.policy").write_text(text + "workflow w { outcome o { price $2 lanes l } }\n", encoding="utf-8")
    assert (
        "`limit 3 per day`: no outcome lists lane m  spare.policy:3:25" in run("explain", "-p", "spare.policy").stdout
    )
    record = json.loads(run("explain", "-p", "spare.policy", "--format", "json").stdout)
    assert record["governs_nothing"] == [
        {
            "rule": "limit 3 per day",
            "text": "limit 3 per day",
            "place": {"file": "spare.policy", "line": 3, "column": 25},
            "reason": "no outcome lists lane m",
        }
    ]


def test_idle_ceilings_are_marked(run: Run, desk: Path) -> None:
    text = 'currency USD\nroute a { model "m:a" cost $1 }\nlane l { a }\n'
    text += "workflow w { outcome o { price $2 lanes l margin at least 50% ceiling $2 per step } }\n"
    (desk / "idle.policy").write_text(text, encoding="utf-8")
    said = " ".join(run("explain", "-p", "idle.policy").stdout.replace("idle.policy:4:63", "").split())
    assert "It never decides: `margin at least 50%` is at every price as tight or tighter." in said


def test_json_has_every_sentence_with_its_place(run: Run) -> None:
    record = json.loads(run("explain", "support_draft", *SUPPORT, "--format", "json").stdout)
    (found,) = record["outcomes"]
    assert (found["outcome"], found["workflow"], found["plan"], found["lane"]) == (
        "support_draft",
        "support",
        None,
        None,
    )
    money = next(section for section in found["sections"] if section["kind"] == "spent")
    assert money["lines"][2] == {
        "sentence": "An execution may cost at most $0.30, only in lane standard.",
        "place": {"file": "support.policy", "line": 40, "column": 5},
        "rule": "draft_cap",
        "text": "ceiling $0.30 per outcome when lane is standard as draft_cap",
        "enforced": True,
        "never_decides_because_of": [],
    }
    shadow = next(section for section in found["sections"] if section["kind"] == "shadow")
    assert [line["enforced"] for line in shadow["lines"]] == [False]
    assert {"draw": "pack", "pack": "burst", "amount": "$0.65", "nanos": 650_000_000} in found["prices"]


# ---------------------------------------------------------------- paths


def test_a_path(run: Run) -> None:
    result = run("explain", "account_summary", "--path", *SUPPORT)
    assert result.stdout == (
        "account_summary, lane research\n"
        'search, tool "web"\n'
        '└─ any failure → sonnet, model "anthropic:claude-sonnet-4-5"\n'
        "   └─ any failure → stop\n"
    )


def test_a_terminal_without_line_drawing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("policy_engine.cli.render.Screen.is_unicode", False)
    result = run("explain", "account_summary", "--path", *SUPPORT)
    assert result.stdout.splitlines()[2:] == [
        '`- any failure -> sonnet, model "anthropic:claude-sonnet-4-5"',
        "   `- any failure -> stop",
    ]
    euro = run("explain", "--for", "buyer", "-p", str(EXTRACTION), "--format", "html").stdout
    assert euro.isascii()
    assert "&#8364;79 a month" in euro


def test_paths_of_one_lane_for_programs(run: Run) -> None:
    flowchart = run("explain", "support_draft", "--lane", "premium", "--path", *SUPPORT, "--format", "mermaid").stdout
    assert flowchart.startswith('flowchart TD\n  subgraph lane0["support_draft, lane premium"]\n')
    assert flowchart.count("subgraph") == 1
    record = json.loads(run("explain", "--lane", "research", "--path", *SUPPORT, "--format", "json").stdout)
    (found,) = record["paths"]
    assert [(route["route"], [move["to"] for move in route["moves"]]) for route in found["routes"]] == [
        ("search", ["sonnet"]),
        ("sonnet", ["stop"]),
    ]
    assert found["routes"][0]["moves"][0]["rule"]["line"] == 56
    assert found["routes"][1]["moves"][0]["rule"] is None


# ---------------------------------------------------------------- buyers

GROWTH = (
    "Growth, $1,490 a month: 2,000 support drafts and 120 account summaries; advanced reasoning for high-risk"
    " tasks, 50 a month; beyond that $0.80 a draft and $4 a summary."
)


def test_a_buyer(run: Run) -> None:
    result = run("explain", "--for", "buyer", "--plan", "growth", *SUPPORT)
    assert result.stdout.splitlines()[0] == GROWTH
    assert result.stderr == ""
    markdown = run("explain", "--for", "buyer", "--plan", "growth", *SUPPORT, "--format", "markdown").stdout
    assert f"**Growth**{GROWTH.removeprefix('Growth')}" in markdown
    page = run("explain", "--for", "buyer", "--plan", "growth", *SUPPORT, "--format", "html").stdout
    assert f"<p><strong>Growth</strong>{GROWTH.removeprefix('Growth')}</p>" in page
    record = json.loads(run("explain", "--for", "buyer", "--plan", "growth", *SUPPORT, "--format", "json").stdout)
    assert record["offers"][0] == {"kind": "plan", "name": "growth", "sentence": GROWTH}


def test_what_a_buyer_is_not_told_goes_to_the_author(run: Run, desk: Path) -> None:
    text = (desk / "support.policy").read_text(encoding="utf-8").replace("advanced reasoning for", "opus for")
    (desk / "told.policy").write_text(text, encoding="utf-8")
    result = run("explain", "--for", "buyer", "-p", "told.policy")
    assert "opus" not in result.stdout
    assert result.stderr == "Note: lane `premium` is left out: its title says `opus`, which is not for a buyer\n"


# ---------------------------------------------------------------- wrong usage


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["support_drat"], "there is no outcome `support_drat`", "did you mean `support_draft`?"),
        (["xyz"], "there is no outcome `xyz`", "outcomes are `support_draft`, `account_summary`"),
        (["--plan", "growht"], "there is no plan `growht`", "did you mean `growth`?"),
        (["--lane", "premum"], "there is no lane `premum`", "did you mean `premium`?"),
        (
            ["support_draft", "--lane", "research"],
            "outcome `support_draft` does not list lane `research`",
            "its lanes are `premium`, `standard`",
        ),
    ],
)
def test_names_that_are_not_there(run: Run, words: list[str], message: str, hint: str) -> None:
    result = run("explain", *words, *SUPPORT)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"Error: {message}\n  {hint}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--for", "buyer", "--path"], "--path shows routes, which are not for a buyer"),
        (["--for", "buyer", "--lane", "premium"], "--lane is not for a buyer"),
        (["--format", "html"], "`html` is no format here; formats are text, json"),
        (["--path", "--format", "markdown"], "`markdown` is no format here; formats are text, json, mermaid"),
    ],
)
def test_options_that_do_not_go_together(run: Run, words: list[str], message: str) -> None:
    result = run("explain", *words, *SUPPORT)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_policy_with_a_mistake_or_without_an_outcome(run: Run) -> None:
    assert run("explain", "-p", "bad.policy").exit_code == 2
    result = run("explain", "-p", "tidy.policy")
    assert (result.exit_code, result.stderr) == (2, "Error: the policy has no outcome\n")
    nothing = run("explain", "o", "-p", "tidy.policy")
    assert nothing.stderr == "Error: there is no outcome `o`\n  the policy has no outcome\n"
