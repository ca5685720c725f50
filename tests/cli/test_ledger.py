"""`policy ledger`: what it shows, exports, verifies and forgets."""

import json
import sqlite3
from pathlib import Path

import pytest

from policy_engine.ledger.listing import COLUMNS
from policy_engine.ledger.sqlite import SqliteLedger
from tests.cli.conftest import ROOT, Run

WRITTEN = (ROOT / "tests" / "ledger" / "schema_1.sql").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def file(desk: Path) -> Path:
    """One execution that runs, one attempt settled at $0.02, one open at $0.035."""
    path = desk / "ledger.db"
    connection = sqlite3.connect(path)
    connection.executescript(WRITTEN)
    connection.close()
    return path


def spoil(file: Path, *statements: str) -> None:
    connection = sqlite3.connect(file)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


# ---------------------------------------------------------------- show


def test_show(run: Run) -> None:
    assert run("ledger", "show", "ledger.db").stdout.splitlines() == [
        "ledger.db: 1 execution (1 open), 4 holds (3 open)",
        "",
        "counter                                 key   window      settled  reserved",
        "count per month                               2026-11           0         1",
        "spent per day                                 2026-11-22     0.02     0.035",
        "tokens of premium per customer per day  acme  2026-11-22      700       900",
        "",
        "grant               outcome  left  held  consumed   of  each  expires",
        "burst/acme/order 7  draft      99     1         0  100  0.65  2027-02-20 12:00",
        "",
        "open execution  customer  outcome  state    spent  admitted",
        "ticket 1        acme      draft    running      0  2026-11-22 12:00",
    ]


def test_without_a_file_it_is_the_one_of_an_engine(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLICY_ENGINE_LEDGER", raising=False)
    assert "policy_engine.db" in run("ledger", "verify").stderr
    monkeypatch.setenv("POLICY_ENGINE_LEDGER", str(file))
    assert "everything adds up" in run("ledger", "verify").stdout
    monkeypatch.delenv("POLICY_ENGINE_LEDGER")
    file.rename(file.with_name("policy_engine.db"))
    assert "everything adds up" in run("ledger", "verify").stdout


@pytest.mark.parametrize(
    ("words", "has", "lacks"),
    [
        (["--customer", "acme"], "tokens of premium", "spent per day"),
        (["--customer", "bolt"], "0 executions (0 open), 0 holds (0 open)", "burst/acme"),
        (["--most", "1"], "2 more; see `policy ledger export`", "tokens of premium"),
    ],
)
def test_show_less(run: Run, words: list[str], has: str, lacks: str) -> None:
    shown = run("ledger", "show", "ledger.db", *words).stdout
    assert has in shown
    assert lacks not in shown


def test_show_begins_with_the_newest(run: Run, file: Path) -> None:
    """A ledger of years has more windows than a screen has lines."""
    spoil(
        file,
        "WITH RECURSIVE n (n) AS (SELECT 100 UNION ALL SELECT n + 1 FROM n WHERE n < 160)"
        " INSERT INTO counters (meter, key, window, settled)"
        " SELECT meters.id, '', '2026-0' || n, 0 FROM n, meters WHERE quantity = 'spent' AND window = 'day'",
        "INSERT INTO grants SELECT NULL, 'older', customer, outcome, kind, units, price_nanos, priority,"
        " effective_micros, expires_micros - 1, created_micros, 0, 0 FROM grants",
    )
    lines = run("ledger", "show", "ledger.db", "--most", "4").stdout.splitlines()
    assert [line.split("  ")[0] for line in lines[3:7]] == [
        "count per month",
        "spent per day",
        "spent per day",
        "tokens of premium per customer per day",
    ]
    assert "2026-11-22" in lines[4]
    assert "2026-0160" in lines[5]
    assert lines[7] == "60 more; see `policy ledger export`, or say --most"
    assert [line.split()[0] for line in lines[10:12]] == ["burst/acme/order", "older"]


def test_show_keeps_to_its_lines(run: Run, file: Path) -> None:
    """Whatever a customer is called."""
    spoil(file, "UPDATE counters SET key = 'a' || char(10) || 'b' || char(9) || char(27) || '[31m' WHERE key = 'acme'")
    assert "tokens of premium per customer per day  a b \ufffd[31m  2026" in run("ledger", "show", "ledger.db").stdout
    spoil(file, "UPDATE counters SET key = replace(hex(zeroblob(300)), '0', 'x') WHERE key LIKE 'a%'")
    assert max(map(len, run("ledger", "show", "ledger.db").stdout.splitlines())) < 150


def test_show_in_json_and_in_the_currency_that_is_known(run: Run, file: Path) -> None:
    assert json.loads(run("ledger", "show", "ledger.db", "--format", "json").stdout)["currency"] is None
    spoil(file, "INSERT INTO documents VALUES ('currency', 'p1', 'USD')")
    data = json.loads(run("ledger", "show", "ledger.db", "--format", "json").stdout)
    assert list(data) == ["currency", "holds", "executions", "counters", "grants"]
    assert data["currency"] == "USD"
    assert data["counters"][1] == {
        "counter": "spent per day",
        "key": None,
        "window": "2026-11-22",
        "settled": "0.02",
        "reserved": "0.035",
        "carried": "0",
    }
    assert "money in USD" in run("ledger", "show", "ledger.db").stdout


# ---------------------------------------------------------------- export


def test_export_says_who_what_and_by_which_rule(run: Run) -> None:
    rows = lines(run("ledger", "export", "ledger.db").stdout)
    assert len(rows) == 8
    assert rows[2] == {
        "hold": "e1/1",
        "execution": "e1",
        "state": "settled",
        "at": "2026-11-22T12:00:00.000001+00:00",
        "expires": "2026-11-22T12:01:00+00:00",
        "owner": "worker 1",
        "grant": None,
        "counter": "spent per day",
        "key": None,
        "window": "2026-11-22",
        "amount": "0.035",
        "limit": "0.1",
        "incurred": "0.02",
        "over": False,
        "rule": "support.policy:4:1",
        "policy_digest": "p1",
        "price_digest": "q1",
    }
    assert (rows[0]["hold"], rows[0]["grant"], rows[0]["counter"]) == ("e1/unit", "burst/acme/order 7", None)


@pytest.mark.parametrize(("what", "count"), [("entries", 8), ("executions", 1), ("counters", 4), ("grants", 1)])
def test_export_of_every_list_to_both_forms(run: Run, desk: Path, what: str, count: int) -> None:
    polars = pytest.importorskip("polars")
    printed = run("ledger", "export", "ledger.db", "--what", what).stdout
    assert run("ledger", "export", "ledger.db", "--what", what, "--output", "rows.jsonl").exit_code == 0
    assert (desk / "rows.jsonl").read_text(encoding="utf-8") == printed
    result = run("ledger", "export", "ledger.db", "--what", what, "--parquet", "--output", "rows.parquet")
    assert (result.exit_code, result.stdout) == (0, "")
    rows, table = lines(printed), polars.read_parquet(desk / "rows.parquet")
    assert table.height == len(rows) == count
    assert table.columns == list(rows[0])
    for place, row in enumerate(table.iter_rows(named=True)):
        for name, value in row.items():
            plain = f"{value.normalize():f}" if hasattr(value, "normalize") else value
            assert (plain.isoformat() if hasattr(plain, "isoformat") else plain) == rows[place][name]


@pytest.mark.parametrize("what", list(COLUMNS))
def test_an_export_of_nothing_has_its_columns(run: Run, desk: Path, what: str) -> None:
    """So that the files of several days can be read as one."""
    polars = pytest.importorskip("polars")
    run("ledger", "export", "ledger.db", "--what", what, "--parquet", "--output", "some.parquet")
    with SqliteLedger(desk / "empty.db"):
        pass
    result = run("ledger", "export", "empty.db", "--what", what, "--parquet", "--output", "none.parquet")
    assert result.exit_code == 0
    some, none = polars.read_parquet(desk / "some.parquet"), polars.read_parquet(desk / "none.parquet")
    assert (none.height, none.schema) == (0, some.schema)
    assert none.columns == list(COLUMNS[what])
    assert run("ledger", "export", "empty.db", "--what", what).stdout == ""


# ---------------------------------------------------------------- verify


def test_a_sound_ledger(run: Run) -> None:
    result = run("ledger", "verify", "ledger.db")
    assert result.exit_code == 0
    assert result.stdout == "ledger.db: 4 balances and 1 grant against 4 holds: everything adds up\n"
    found = json.loads(run("ledger", "verify", "ledger.db", "--format", "json").stdout)
    assert found == {"entries": 4, "balances": 4, "grants": 1, "damage": [], "differences": []}


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE counters SET settled = settled + 35000000 WHERE key = 'e1'",
            ["spent per outcome e1: 0.055 settled, and its entries come to 0.02"],
        ),
        (
            "UPDATE counters SET reserved = 0 WHERE window = '2026-11'",
            ["count per month 2026-11: 0 reserved, and its entries come to 1"],
        ),
        ("UPDATE grants SET held = 0", ["burst/acme/order 7: 0 held, and its entries come to 1"]),
        ("UPDATE grants SET consumed = 3", ["burst/acme/order 7: 3 consumed, and its entries come to 0"]),
        ("DELETE FROM grants", ["burst/acme/order 7: 0 held, and its entries come to 1"]),
        (
            "DELETE FROM counters WHERE key = 'e1'",
            [
                "spent per outcome e1: 0 settled, and its entries come to 0.02",
                "spent per outcome e1: 0 reserved, and its entries come to 0.035",
            ],
        ),
        (
            "UPDATE holds SET state = 'released' WHERE id = 'e1/entry'",
            ["count per month 2026-11: 1 reserved, and its entries come to 0"],
        ),
        (
            "UPDATE charges SET incurred = 0 WHERE hold = 3 AND place = 1",
            ["tokens of premium per customer per day acme 2026-11-22: 700 settled, and its entries come to 0"],
        ),
    ],
)
def test_every_difference_is_said(run: Run, file: Path, statement: str, said: list[str]) -> None:
    spoil(file, statement)
    result = run("ledger", "verify", "ledger.db")
    assert result.exit_code == 1
    *found, last = result.stdout.splitlines()
    assert sorted(found) == sorted(f"difference: {line}" for line in said)
    assert last.endswith(f"{len(said)} difference{'s' * (len(said) > 1)}")
    data = json.loads(run("ledger", "verify", "ledger.db", "--format", "json").stdout)
    assert len(data["differences"]) == len(said)


def test_damage_that_sqlite_finds(run: Run, file: Path) -> None:
    """An index that has lost a row."""
    spoil(
        file,
        "PRAGMA writable_schema = ON",
        "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'holds_due')"
        " WHERE name = 'grants_of'",
    )
    result = run("ledger", "verify", "ledger.db")
    assert result.exit_code == 1
    assert "damage: " in result.stdout
    assert "everything adds up" not in result.stdout


# ---------------------------------------------------------------- prune


@pytest.mark.parametrize(
    ("before", "removed"), [("2027-01-01", 1), ("2026-11-22T13:00:00+01:00", 0), ("2026-11-22T13:00+00:00", 1)]
)
def test_prune(run: Run, file: Path, before: str, removed: int) -> None:
    run("ledger", "show", "ledger.db")  # brings the file up to date
    spoil(
        file,
        "UPDATE executions SET state = 'aborted'",
        "UPDATE holds SET state = 'released' WHERE state = 'held'",
        "UPDATE counters SET reserved = 0",
        "UPDATE grants SET held = 0",
    )
    result = run("ledger", "prune", "ledger.db", "--before", before, "--format", "json")
    assert json.loads(result.stdout) == {"executions": removed, "holds": 4 * removed, "counters": removed}
    assert run("ledger", "verify", "ledger.db").exit_code == 0
    shown = run("ledger", "show", "ledger.db").stdout
    assert "spent per day                                 2026-11-22     0.02         0" in shown


def test_what_is_open_is_not_forgotten(run: Run) -> None:
    result = run("ledger", "prune", "ledger.db", "--before", "2030-01-01")
    assert result.stdout == "ledger.db: forgot 0 executions, 0 holds and 0 counters; balances stay\n"


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "none.db"], "Error: none.db: there is no such file (S105)"),
        (["verify", "support.policy"], "Error: support.policy: the file is damaged, or no ledger (S104)"),
        (["show", "ledger.db", "--before", "90d"], "--before belongs to `policy ledger prune`"),
        (["prune", "ledger.db", "--parquet"], "--parquet belongs to `policy ledger export`"),
        (["export", "ledger.db", "--parquet"], "--parquet needs --output FILE"),
        (["export", "ledger.db", "--output", "none/rows"], "Error: none/rows: no such file or directory"),
        (["prune", "ledger.db"], "say how old is old: --before 90d"),
        (["prune", "ledger.db", "--before", "soon"], "`soon` is no date, time or age"),
        (["look", "ledger.db"], "look"),
    ],
)
def test_mistakes(run: Run, words: list[str], message: str) -> None:
    result = run("ledger", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_damaged_file(run: Run, file: Path) -> None:
    run("ledger", "show", "ledger.db")
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(b"\xa5" * (size - 4096))
    for action in ("show", "export", "verify"):
        result = run("ledger", action, "ledger.db")
        assert result.exit_code == 2
        assert "Error: ledger.db: the file is damaged (S104)" in result.stderr
        assert "restore a backup" in result.stderr
