"""`policy replay`: the tables, the numbers behind them, and rows that cannot be read."""

import json
from fractions import Fraction
from pathlib import Path

import pytest

from policy_engine.cli.replay_tables import Money, _percent, _points
from policy_engine.insight.replay import replay
from policy_engine.insight.trace import TraceReader
from policy_engine.policy import load
from tests.cli.conftest import ROOT, TRACE, Run

SUPPORT = ("--policy", "support.policy")
SETS = sorted(path.parent for path in (ROOT / "policies").glob("*/trace.csv"))


SHOWN = """\
trace.csv: 4 attempts in 3 executions

                  as recorded  under the policy        change
executions                  3                 3             -
attempts                    4                 2            -2
cost                  $0.9400           $0.0200      -$0.9200
accepted results            3                 1            -2
revenue               $5.5896           $4.0000      -$1.5896
gross margin            83.2%             99.5%  +16.3 points

accepted: 1 of 3 kept, 2 lost
attempts: 2 avoided ($0.9200), 1 refused by a rule

refusals by rule     executions  attempts  place
margin at least 45%           -         1  support.policy:38:5
draft_cap                     -         1  support.policy:40:5

margin per outcome                    executions  accepted  revenue  delivery cost  margin
account_summary     as recorded                1         1  $4.0000        $0.0100   99.8%
                    under the policy           1         1  $4.0000        $0.0100   99.8%
support_draft       as recorded                2         2  $1.5896        $0.9300   41.5%
                    under the policy           2         0  $0.0000        $0.0100       -
"""


def test_the_tables(run: Run) -> None:
    result = run("replay", "trace.csv", *SUPPORT)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == SHOWN


@pytest.mark.parametrize("folder", SETS, ids=lambda path: path.name)
def test_examples(run: Run, folder: Path) -> None:
    """The tables fit a hundred columns and say what the result says."""
    result = run("replay", str(folder / "trace.csv"), "--policy", str(folder))
    assert result.exit_code == 0
    assert all(len(line) <= 100 or str(folder) in line for line in result.stdout.splitlines())
    policy = load(folder)
    found = replay(policy, TraceReader(policy).read(folder / "trace.csv"))
    whole = found.summary()
    rows = {line.split("  ")[0]: line.split() for line in result.stdout.splitlines()[3:10]}
    assert rows["executions"][1:3] == [f"{whole.executions:,}", f"{whole.admitted:,}"]
    assert rows["attempts"][1:3] == [f"{whole.attempts_recorded:,}", f"{whole.attempts_made:,}"]
    assert rows["accepted results"][2:4] == [f"{whole.accepted_recorded:,}", f"{whole.accepted:,}"]
    for refusal in found.refusals:
        assert sum(line.endswith(refusal.rule.place) for line in result.stdout.splitlines()) == 1
    for name, row in found.outcomes.items():
        assert (f"\n{name} " in result.stdout) == bool(row.executions)
    data = json.loads(run("replay", str(folder / "trace.csv"), "--policy", str(folder), "--format", "json").stdout)
    assert data == json.loads(json.dumps(found.to_json()))


HEADERS = TRACE.replace("execution,", "ticket,").replace("time,", "at,")


@pytest.mark.parametrize(
    "words",
    [
        ["--map", "execution=ticket", "--map", "time=at"],
        ["--map", "execution=ticket", "time=at"],
        ["--map=execution=ticket", "time=at", "--set", "step=main", "--format", "json"],
        ["--set", "step=main", "input_tokens=1", "--map", "execution=ticket", "time=at"],
    ],
)
def test_columns_by_other_names(run: Run, desk: Path, words: list[str]) -> None:
    (desk / "named.csv").write_text(HEADERS, encoding="utf-8")
    json_words = [word for word in words if word not in ("--format", "json")] + ["--format", "json"]
    named = run("replay", "named.csv", *SUPPORT, *json_words)
    assert named.exit_code == 0, named.stderr
    assert json.loads(named.stdout) == json.loads(run("replay", "trace.csv", *SUPPORT, "--format", "json").stdout)


def test_several_words_after_one_option_may_stand_before_the_trace(run: Run) -> None:
    plain = run("replay", "trace.csv", *SUPPORT, "--set", "risk=high", "--set", "plan=base")
    assert plain.exit_code == 0
    for words in (
        ["--set", "risk=high", "plan=base", "trace.csv", *SUPPORT],
        ["-p", "support.policy", "trace.csv", "--set", "risk=high", "plan=base"],
        [*SUPPORT, "--set", "risk=high", "plan=base", "--", "trace.csv"],
    ):
        assert run("replay", *words).stdout == plain.stdout


def test_several_policies_after_one_option(run: Run, desk: Path) -> None:
    (desk / "more.policy").write_text("ceiling $1 per customer per day\n", encoding="utf-8")
    spread = run("replay", "--policy", "support.policy", "more.policy", "trace.csv")
    assert spread.exit_code == 0, spread.stderr
    assert spread.stdout == run("replay", "trace.csv", "-p", "support.policy", "-p", "more.policy").stdout


def test_jsonl(run: Run, desk: Path) -> None:
    head, *rows = TRACE.splitlines()
    objects = [dict(zip(head.split(","), row.split(","), strict=True)) for row in rows]
    (desk / "trace.jsonl").write_text("".join(json.dumps(row) + "\n" for row in objects), encoding="utf-8")
    same = run("replay", "trace.jsonl", *SUPPORT, "--format", "json").stdout
    assert json.loads(same) == json.loads(run("replay", "trace.csv", *SUPPORT, "--format", "json").stdout)


BAD_ROWS = TRACE + "".join(f"e{n},acme,,support_drafts,mini,0.01,,,2025-03-03T12:00:00Z,low\n" for n in range(30))


@pytest.mark.parametrize(
    ("words", "shown", "last"),
    [
        ([], 20, "30 rows of 34 left out, 10 of them not shown"),
        (["--max-bad", "0"], 0, "30 rows of 34 left out, 30 of them not shown"),
        (["--max-bad", "99"], 30, "30 rows of 34 left out"),
    ],
)
def test_bad_rows_are_reported_by_line_and_counted(
    run: Run, desk: Path, words: list[str], shown: int, last: str
) -> None:
    (desk / "rows.csv").write_text(BAD_ROWS, encoding="utf-8")
    result = run("replay", "rows.csv", *SUPPORT, *words)
    *rows, count = result.stderr.splitlines()
    assert result.exit_code == 0
    assert count == last
    assert [row.partition(": `outcome`")[0] for row in rows] == [f"Error: rows.csv:{n}" for n in range(6, 6 + shown)]
    assert "left out: 30 of 34 rows" in result.stdout
    data = json.loads(run("replay", "rows.csv", *SUPPORT, *words, "--format", "json").stdout)
    assert (data["bad_rows"], len(data["bad"])) == (30, 30)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the trace is empty: the first line names the columns"),
        (TRACE.splitlines()[0].encode() + b"\n", "rows.csv: there are no rows in it"),
        (BAD_ROWS.replace("support_draft,", "x,").replace("account_summary", "x").encode(), "not one row of it can"),
        (b"\x7fELF\x01\x02\xff\n\xff\xfe", "the trace has no column `execution`"),
        (b"\x00\x00", "rror"),
        (b"customer,outcome\na,b\n", "--map COLUMN=NAME"),
    ],
)
def test_a_trace_of_which_nothing_can_be_used(run: Run, desk: Path, text: bytes, message: str) -> None:
    (desk / "rows.csv").write_bytes(text)
    result = run("replay", "rows.csv", *SUPPORT)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert "\x7f" not in result.stderr


@pytest.mark.parametrize(
    ("amounts", "shown"),
    [
        ([17_849_322_500, 455_925_000], ["$17.8493", "$0.4559"]),
        ([1_234_567_890_000_000, 5_000_000], ["$1,234,567.89", "$0.01"]),
        ([990_000_000, -2_000_000_000], ["$0.99", "-$2.00"]),
        ([0, 1], ["$0.0000", "$0.0000"]),
        ([99_999_950_000], ["$100.0000"]),
    ],
)
def test_money_has_two_decimals_or_four(amounts: list[int], shown: list[str]) -> None:
    money = Money("USD", amounts)
    assert [money(amount) for amount in amounts] == shown


@pytest.mark.parametrize(
    ("currency", "nanos", "shown"),
    [("EUR", 1_500_000_000, "+€1.50"), ("CHF", -1_500_000_000, "-1.50 CHF"), ("USD", 0, "$0.00")],
)
def test_signed_money(currency: str, nanos: int, shown: str) -> None:
    assert Money(currency, [nanos])(nanos, signed=True) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [(Fraction(1, 3), "33.3%"), (None, "-"), (Fraction(-5), "-500.0%"), (Fraction(0), "0.0%")],
)
def test_no_revenue_is_no_margin(share: Fraction | None, shown: str) -> None:
    assert _percent(share) == shown


@pytest.mark.parametrize(
    ("before", "after", "points"),
    [
        (Fraction(1, 2), Fraction(3, 4), 25.0),
        (Fraction(1, 2), Fraction(49_999, 100_000), 0.0),  # less than is shown is no change
        (None, Fraction(1), 0.0),
    ],
)
def test_points_are_gained_as_they_are_shown(before: Fraction | None, after: Fraction, points: float) -> None:
    assert _points(before, after) == points
