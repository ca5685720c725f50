"""A desk with policies, facts and a trace on it, and a way to run the program there."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from policy_engine.cli.app import app

ROOT = Path(__file__).resolve().parent.parent.parent
Run = Callable[..., Result]

BAD = """\
currency USD
route a { model "x:y" rates $1 in, $2 out per 1M tokens }
ceiling $9 per monht
lane l { a -> bb }
"""
BROKEN = "currency USD\nceiling $9 per\n"
UNPRICED = 'route a { model "x:y" }\nlane l { a }\n'
UNTIDY = "currency   USD\nceiling  $9 per day   # all work\n"
TIDY = "currency USD\nceiling $9 per day  # all work\n"

TICKET = '{"customer": "acme", "plan": "growth", "outcome": "support_draft", "risk": "high", "region": "us"}'
LOW = '{"customer": "acme", "plan": "growth", "outcome": "support_draft", "risk": "low", "region": "us"}'

TRACE = """\
execution,customer,plan,outcome,route,cost,error,accepted,time,risk
e1,acme,growth,support_draft,mini,0.01,,false,2025-03-03T09:00:00+01:00,low
e1,acme,growth,support_draft,mini,0.02,,true,2025-03-03T09:00:05+01:00,low
e2,bolt,,account_summary,search,0.01,,true,2025-03-03T10:00:00+01:00,low
e3,bolt,,support_draft,mini,0.9,,true,2025-03-03T11:00:00+01:00,low
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a test."""
    shutil.copy(ROOT / "tests" / "data" / "page.policy", tmp_path / "support.policy")
    texts = {
        "bad.policy": BAD,
        "broken.policy": BROKEN,
        "unpriced.policy": UNPRICED,
        "untidy.policy": UNTIDY,
        "tidy.policy": TIDY,
        "ticket.json": TICKET,
        "trace.csv": TRACE,
    }
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text.encode())
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "one.policy").write_bytes(TIDY.encode())
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def run(desk: Path) -> Run:
    def run(*words: str, stdin: str | bytes = b"") -> Result:
        result = CliRunner().invoke(app, words, input=stdin, prog_name="policy")
        assert isinstance(result.exception, SystemExit | None), result.exception
        return result

    return run
