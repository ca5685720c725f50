"""`policy ledger`: rows that cannot be, files that may only be read, and what an export writes over."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from policy_engine.ledger.sqlite import SqliteLedger
from tests.cli.conftest import ROOT, Run
from tests.cli.test_ledger import file, spoil

__all__ = ["file"]

NOBODY = 65_534


# ---------------------------------------------------------------- tampering


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE holds SET state = 'gone' WHERE id = 'e1/1'", "hold `e1/1` is `gone`, which is no state"),
        (
            "UPDATE charges SET incurred = NULL WHERE hold = 3 AND place = 1",
            "hold `e1/1` is settled, and 2 of 3 charges say what they came to",
        ),
        (
            "UPDATE charges SET incurred = 1 WHERE hold = 4 AND place = 0",
            "hold `e1/2` is held, and 1 of 3 charges say what they came to",
        ),
        ("UPDATE charges SET amount = -1 WHERE hold = 4 AND place = 0", "hold `e1/2` has an amount below zero"),
        ("DELETE FROM holds WHERE id = 'e1/1'", "3 charges belong to no hold"),
        ("UPDATE charges SET hold = 99 WHERE hold = 4 AND place = 2", "1 charges belong to no hold"),
        ("UPDATE executions SET state = 'paid'", "execution `e1` is `paid`, which is no state"),
        ("UPDATE executions SET spent_nanos = -1", "execution `e1` has an amount below zero"),
        ("UPDATE grants SET units = 0", "grant `burst/acme/order 7` has 0 units, and 1 are taken"),
        (
            "INSERT INTO documents SELECT 'prices', replace(hex(zeroblob(32)), '0', 'a'), '{}'",
            "the text kept as prices aaaaaaaaaaaa is another one by now",
        ),
        (
            "INSERT INTO documents SELECT 'policy', replace(hex(zeroblob(32)), '0', 'b'), '[[\"a\", \"\"]]'",
            "the text kept as policy bbbbbbbbbbbb is another one by now",
        ),
        (
            "INSERT INTO documents SELECT 'policy', replace(hex(zeroblob(32)), '0', 'b'), 'no json'",
            "the text kept as policy bbbbbbbbbbbb is",
        ),
    ],
)
def test_rows_that_cannot_be(run: Run, file: Path, statement: str, said: str) -> None:
    spoil(file, statement)
    result = run("ledger", "verify", "ledger.db")
    assert result.exit_code == 1
    assert f"damage: {said}" in result.stdout
    assert "everything adds up" not in result.stdout
    assert any(
        said in line for line in json.loads(run("ledger", "verify", "ledger.db", "--format", "json").stdout)["damage"]
    )


@pytest.mark.parametrize("action", ["show", "export", "verify"])
def test_a_meter_that_is_not_there(run: Run, file: Path, action: str) -> None:
    """Nothing that is counted by it can be told, but what is wrong can."""
    spoil(file, "DELETE FROM meters WHERE quantity = 'tokens'")
    result = run("ledger", action, "ledger.db")
    assert result.exit_code == 2
    assert "Error: ledger.db: the file is damaged (S104)" in result.stderr
    if action == "verify":
        assert "damage: 2 charges are on a meter that is not there" in result.stderr
        assert "damage: 1 counters are of a meter that is not there" in result.stderr


def declared(file: Path, table: str, sql: str = "") -> str:
    """What a table is said to hold, changed to that if anything is given."""
    connection = sqlite3.connect(file)
    (before,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (sql or before, table))
    connection.commit()
    connection.close()
    return str(before)


@pytest.mark.parametrize(("action", "words"), [("show", []), ("export", ["--what", "grants"])])
def test_a_value_that_a_disk_has_changed(run: Run, file: Path, action: str, words: list[str]) -> None:
    """No statement can write it; a flipped bit can."""
    run("ledger", "show", "ledger.db")
    sql = declared(file, "grants")
    declared(file, "grants", sql.replace("STRICT", "").replace("NOT NULL", ""))
    spoil(file, "UPDATE grants SET effective_micros = 'x', price_nanos = NULL")
    declared(file, "grants", sql)
    result = run("ledger", action, "ledger.db", *words)
    assert result.exit_code == 2
    assert "the file is damaged: NULL value in grants.price_nanos (S104)" in result.stderr


@pytest.mark.parametrize("micros", [2**62, -(2**62)])
@pytest.mark.parametrize("what", ["entries", "executions", "grants"])
def test_times_that_no_calendar_has(run: Run, file: Path, what: str, micros: int) -> None:
    run("ledger", "show", "ledger.db")
    spoil(
        file,
        f"CREATE TEMP TABLE far AS SELECT {micros} AS time",
        "UPDATE holds SET at_micros = far.time, expires_micros = far.time FROM far",
        "UPDATE executions SET admitted_micros = far.time, lease_micros = far.time FROM far",
        "UPDATE grants SET effective_micros = far.time, expires_micros = far.time FROM far",
    )
    assert run("ledger", "show", "ledger.db").exit_code == 0
    for output in ([], ["--parquet", "--output", "rows.parquet"]):
        assert run("ledger", "export", "ledger.db", "--what", what, *output).exit_code == 0


# ---------------------------------------------------------------- who may only read


AS_NOBODY = f"""
import contextlib, os, sys
from policy_engine.cli import main
import policy_engine.cli.ledger_export, policy_engine.cli.ledger_tables, policy_engine.ledger.listing
import policy_engine.ledger.sqlite.copying, policy_engine.ledger.verification, policy_engine.cli.ledger
words = sys.argv[1:]
for action in ("show", "verify", "export", "prune", "look"):  # a refusal of each, and a slip in the words
    sys.argv = ["policy", "ledger", action, "none.db"]
    with open(os.devnull, "w") as hole, contextlib.redirect_stderr(hole), contextlib.suppress(SystemExit):
        main()
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
sys.argv = ["policy", *words]
main()
"""
"""All that is imported is there before: nobody may not read everybody's Python."""


def as_nobody(*words: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", AS_NOBODY, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root may become somebody else")
@pytest.mark.parametrize(("in_use", "folder_mode"), [(False, 0o755), (True, 0o755), (False, 0o777)])
@pytest.mark.parametrize("older", [False, True])
def test_who_may_only_read_is_shown_everything(in_use: bool, folder_mode: int, older: bool, file: Path) -> None:
    """SQLite writes beside what it reads, where it may; a file of an older version would have to be changed."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.db"
        path.write_bytes(file.read_bytes())
        if not older:
            SqliteLedger(path).close()
        Path(directory).chmod(folder_mode)
        path.chmod(0o644)
        before = path.read_bytes()
        user = sqlite3.connect(path)
        if in_use:
            user.execute("PRAGMA journal_mode = WAL")
            user.execute("UPDATE counters SET settled = settled + 1000000 WHERE window = '2026-11-22' AND key = ''")
            user.commit()
            before = path.read_bytes()
        shown = as_nobody("ledger", "show", path)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert shown.stdout.startswith(f"{path}: 1 execution (1 open), 4 holds (3 open)")
        assert ("0.021" if in_use else "0.02 ") in shown.stdout
        assert as_nobody("ledger", "verify", path).returncode == (1 if in_use else 0)
        assert len(as_nobody("ledger", "export", path).stdout.splitlines()) == 8
        pruned = as_nobody("ledger", "prune", path, "--before", "1d")
        assert "it cannot be written (S103)" in pruned.stderr or "forgot 0 executions, 0 holds" in pruned.stdout
        assert path.read_bytes() == before
        user.close()
        path.chmod(0o600)
        refused = as_nobody("ledger", "show", path)
        assert refused.returncode == 2
        assert "Traceback" not in refused.stderr


# ---------------------------------------------------------------- what is written over


@pytest.mark.parametrize("form", [[], ["--parquet"]])
@pytest.mark.parametrize("name", ["ledger.db", "./ledger.db", "link.db", "hard.db"])
def test_the_ledger_is_not_written_over(run: Run, file: Path, desk: Path, form: list[str], name: str) -> None:
    run("ledger", "show", "ledger.db")
    (desk / "link.db").symlink_to("ledger.db")
    (desk / "hard.db").hardlink_to(file)
    before = file.read_bytes()
    result = run("ledger", "export", "ledger.db", *form, "--output", name)
    assert result.exit_code == 2
    assert "this is the ledger itself" in result.stderr
    assert file.read_bytes() == before


def test_what_sqlite_keeps_beside_it_is_not_written_over(run: Run, file: Path) -> None:
    with SqliteLedger(file) as ledger:
        ledger.keep("policy", "x", "text")
        for beside in ("ledger.db-wal", "ledger.db-shm"):
            assert run("ledger", "export", "ledger.db", "--output", beside).exit_code == 2
    assert run("ledger", "verify", "ledger.db").exit_code == 0


@pytest.mark.parametrize("form", [[], ["--parquet"]])
def test_an_export_is_whole_or_not_at_all(run: Run, file: Path, desk: Path, form: list[str]) -> None:
    target = desk / "rows"
    target.write_text("what was here before", encoding="utf-8")
    target.chmod(0o640)
    spoil(file, "UPDATE charges SET meter = 77 WHERE hold = 4")  # found only on the way
    assert run("ledger", "export", "ledger.db", *form, "--output", "rows").exit_code == 2
    assert target.read_text(encoding="utf-8") == "what was here before"
    spoil(file, "DELETE FROM charges WHERE hold = 4")
    assert run("ledger", "export", "ledger.db", *form, "--output", "rows").exit_code == 0
    assert target.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in desk.iterdir() if "rows" in path.name) == ["rows"]


@pytest.mark.parametrize("form", [[], ["--parquet"]])
@pytest.mark.parametrize("output", ["/dev/full", "none/rows", "."])
def test_where_nothing_can_be_written(run: Run, output: str, form: list[str]) -> None:
    result = run("ledger", "export", "ledger.db", *form, "--output", output)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"Error: {output}: ")


def test_an_export_to_a_device(run: Run) -> None:
    assert run("ledger", "export", "ledger.db", "--output", "/dev/null").exit_code == 0


# ---------------------------------------------------------------- how old is old


@pytest.mark.parametrize(
    ("before", "message"),
    [("-5d", "is no date, time or age"), ("999999999999d", "a number has more than 64 bits")],
)
def test_ages_that_cannot_be(run: Run, before: str, message: str) -> None:
    result = run("ledger", "prune", "ledger.db", "--before", before)
    assert result.exit_code == 2
    assert message in result.stderr
