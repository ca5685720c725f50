"""The example policies: clean, formatted, and their synthetic traces reproducible and replayable."""

import csv
import importlib.util
import sys
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from policy_engine.cli.app import app
from policy_engine.evaluation.reference.ceilings import limit_of
from policy_engine.insight.replay import replay
from policy_engine.insight.trace import TraceReader
from policy_engine.language.checked import Inverse, Member, Test
from policy_engine.language.diagnostics import render
from policy_engine.language.formatter import format_file
from policy_engine.language.parser import parse
from policy_engine.language.pricing import included_price_nanos
from policy_engine.language.source import Source
from policy_engine.policy import Policy, load
from policy_engine.testing import collect
from policy_engine.testing.scenario import ScenarioCase

FOLDER = Path(__file__).resolve().parent.parent / "policies"
SETS = sorted(path.name for path in FOLDER.iterdir() if path.is_dir() and not path.name.startswith(("_", ".")))
FILES = sorted(FOLDER.glob("*/*.policy"))


@pytest.fixture(scope="module", params=SETS)
def policy(request: pytest.FixtureRequest) -> Policy:
    return load(FOLDER / request.param)


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_traces", FOLDER / "generate_traces.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def rows_of(name: str) -> list[dict[str, str]]:
    with (FOLDER / name / "trace.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_there_are_four_sets_and_one_of_several_files() -> None:
    assert len(SETS) == 4
    assert any(len(list((FOLDER / name).glob("*.policy"))) > 1 for name in SETS)


def test_a_set_has_no_diagnostics(policy: Policy) -> None:
    assert not policy.warnings, render(policy.warnings)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_policy_is_formatted(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    file, _ = parse(Source(path.name, text))
    assert format_file(file) == text, f"run `policy fmt {path.parent.name}`"


@pytest.mark.parametrize("name", SETS)
def test_the_tests_of_a_set_have_seen_its_rules(name: str) -> None:
    result = CliRunner().invoke(app, ["test", str(FOLDER / name), "--coverage", "--fail-under", "95"])
    assert result.exit_code == 0, result.output


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_the_tests_of_a_set_notice_small_changes(name: str) -> None:
    # A set takes a second or, with survivors, a few. What the bound leaves out is not in the percentage.
    bounds = ["--jobs", "1", "--timeout-minutes", "2"]
    result = CliRunner().invoke(app, ["test", str(FOLDER / name), "--mutate", "--fail-under", "85", *bounds])
    assert result.exit_code == 0, result.output
    assert "not tried" not in result.output


@pytest.mark.parametrize("name", SETS)
def test_the_tests_of_a_set_tell_stories(name: str) -> None:
    [file] = collect([FOLDER / name])
    assert sum(isinstance(case, ScenarioCase) for case in file.cases) >= 3


@pytest.mark.parametrize("name", SETS)
def test_the_generator_reproduces_a_trace_byte_for_byte(name: str, generator: ModuleType) -> None:
    assert (FOLDER / name / "trace.csv").read_bytes() == generator.generate(name).encode()


def test_the_seed_is_written_down(generator: ModuleType) -> None:
    assert f"**{generator.SEED}**" in (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SETS)
def test_a_trace_fits_its_policy(name: str) -> None:
    """Every outcome, plan, route, error and fact value that it names is one that the policy knows."""
    checked = load(FOLDER / name).checked
    rows = rows_of(name)
    models = {route.reference for route in checked.routes.values()}
    assert {row["outcome"] for row in rows} == set(checked.outcomes)
    assert {row["plan"] for row in rows} <= {"", *checked.plans}
    assert {row["route"] for row in rows} <= {"", *checked.routes}
    assert all(row["route"] or row["model"] in models for row in rows)
    assert {row["error"] for row in rows} <= {"", *checked.error_classes}
    assert set(checked.facts) <= set(rows[0])
    for fact in checked.facts.values():
        if fact.values:
            assert {row[fact.name] for row in rows} <= {"", *fact.values}


@pytest.mark.parametrize("name", SETS)
def test_a_trace_is_in_order_of_time_execution_by_execution(name: str) -> None:
    rows = rows_of(name)
    times = [datetime.fromisoformat(row["time"]) for row in rows]
    assert all(time.utcoffset() is not None for time in times)
    assert times == sorted(times)
    changes = sum(before["execution"] != after["execution"] for before, after in pairwise(rows))
    assert changes + 1 == len({row["execution"] for row in rows})


@pytest.mark.parametrize("name", SETS)
def test_a_replay_saves_money_and_costs_few_accepted_results(name: str) -> None:
    policy = load(FOLDER / name)
    result = replay(policy, TraceReader(policy).read(FOLDER / name / "trace.csv"))
    whole = result.summary()
    assert result.bad == []
    assert whole.executions == len({row["execution"] for row in rows_of(name)})
    assert whole.delivery_cost_nanos < whole.cost_recorded_nanos
    assert 0 < whole.accepted_lost < whole.accepted_recorded * 0.15
    assert whole.margin is not None
    assert whole.margin_recorded is not None
    assert whole.margin > whole.margin_recorded


def holds_for_plan(test: Test | None, plan: str) -> bool:
    """Whether a condition about nothing but the plan holds; any other is taken not to."""
    if isinstance(test, Inverse):
        return isinstance(test.part, Member) and not holds_for_plan(test.part, plan)
    return test is None or (isinstance(test, Member) and test.read.name == "plan" and plan in test.values)


@pytest.mark.parametrize("name", SETS)
def test_a_plan_pays_for_what_it_includes(name: str) -> None:
    """If every included unit cost as much as its ceilings allow, the fee would still cover it."""
    checked = load(FOLDER / name).checked
    for plan in checked.plans.values():
        worst = 0
        for outcome, units in plan.includes.items():
            price = included_price_nanos(checked, plan, outcome)
            worst += units * min(
                limit_of(rule, price)
                for rules in checked.around(outcome, plan.name)
                for rule in rules.ceilings
                if rule.quantity == "spent" and rule.scope.execution == "outcome" and not rule.shadow
                if holds_for_plan(rule.condition, plan.name)
            )
        assert worst < plan.fee_nanos or plan.name == "trial"
