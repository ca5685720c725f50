"""L088: a lock and a policy that do not fit, and where it is said."""

import datetime as dt
from xml.etree import ElementTree as ET

import pytest

from policy_engine.analysis.lint.choice import Choice
from policy_engine.analysis.lint.outputs.junit import to_junit
from policy_engine.analysis.lint.report import Report
from policy_engine.analysis.lint.runner import lint, subject_of
from policy_engine.language.diagnostics import render
from policy_engine.language.source import Source
from policy_engine.language.units import Rates
from policy_engine.prices.lock import Lock, LockedModel
from policy_engine.prices.records import PriceError
from policy_engine.prices.table import PriceTable

POLICY = Source(
    "support.policy",
    """\
currency USD
route mini { model "m:mini" }
route other_mini { model "m:mini" }
route own { model "m:own" rates $1 in, $2 out per 1M tokens }
route flat { model "m:flat" cost $1 }
route web { tool "m:web" }
lane l { mini -> own -> flat -> other_mini -> web }
workflow w { outcome o { price $1 lanes l } }
""",
)


def lock(*models: str) -> Source:
    entry = LockedModel.of(Rates(1, 2), catalogue="m/x", source="genai-prices 0.2.3", on=dt.date(2026, 11, 22))
    return Source("prices.lock.json", Lock.of("USD", dict.fromkeys(models, entry)).text)


@pytest.mark.parametrize(
    ("models", "found"),
    [
        (["m:mini"], []),
        (["m:mini", "m:own", "m:flat"], []),  # they are named, if not looked up
        (["m:mini", "m:more"], ['"m:more"']),
        (["m:mini", "m:web"], ['"m:web"']),  # a tool is no model
        (["m:mini", 'm:"ü"\\'], ['"m:\\"ü\\"\\\\"']),
        ([], ["mini", "other_mini"]),
        (["m:Mini"], ['"m:Mini"', "mini", "other_mini"]),
    ],
)
def test_a_lock_has_what_the_routes_name(models: list[str], found: list[str]) -> None:
    findings = lint(subject_of([POLICY, lock(*models)]), Choice(select=("L088", "L085")))
    assert sorted(item.diagnostic.span.text for item in findings if item.diagnostic.code == "L088") == sorted(found)
    # what the lock lacks is said once; the tool without a cost is no matter of the lock
    assert [item.diagnostic.span.text for item in findings if item.diagnostic.code == "L085"] == ["web"]


def test_how_it_is_said() -> None:
    findings = lint(subject_of([POLICY, lock("m:gone")]), Choice(select=("L088",)))
    assert (
        render([item.diagnostic for item in findings])
        == """\
warning[L088]: no route names the model `m:gone` of the price lock
  prices.lock.json:5:5
5 |     "m:gone": {
  |     ^^^^^^^^ run `policy prices lock` again

warning[L088]: `prices.lock.json` has no price for `mini`: every attempt on it is refused
  support.policy:2:7
2 | route mini { model "m:mini" }
  |       ^^^^ run `policy prices lock` again, or write `rates`

warning[L088]: `prices.lock.json` has no price for `other_mini`: every attempt on it is refused
  support.policy:3:7
3 | route other_mini { model "m:mini" }
  |       ^^^^^^^^^^ run `policy prices lock` again, or write `rates`

3 warnings"""
    )


def test_a_lock_that_was_laid_out_anew_is_underlined_at_its_beginning() -> None:
    source = lock("m:mini", "m:gone")
    flat = Source(source.name, source.text.replace("\n", " "))
    (finding,) = lint(subject_of([POLICY, flat]), Choice(select=("L088",)))
    assert finding.diagnostic.span.text == "{"


def test_prices_without_a_file_are_no_lock() -> None:
    subject = subject_of([POLICY], PriceTable(rates={"m:gone": Rates(1, 2)}))
    assert subject.prices_lock is None
    assert lint(subject, Choice(select=("L088",))) == ()


def test_a_damaged_lock_is_an_error() -> None:
    with pytest.raises(PriceError, match=r"^prices\.lock\.json: line 1 is not JSON"):
        subject_of([POLICY, Source("prices.lock.json", "{")])


def test_a_finding_in_a_lock_is_in_the_junit_report() -> None:
    findings = lint(subject_of([POLICY, lock("m:mini", "m:gone")]), Choice(select=("L088",)))
    text = to_junit(Report(sources=(POLICY,), rules=(), findings=findings))
    suites = ET.fromstring(text)  # noqa: S314 - our own report
    assert [(suite.get("name"), suite.get("failures")) for suite in suites] == [
        ("support.policy", "0"),
        ("prices.lock.json", "1"),
    ]
