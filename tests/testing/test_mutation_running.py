"""A whole mutation run: suggestions that hold, processes, bounds, the command; and that filtering loses nothing."""

import json
import re
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
from click.testing import CliRunner

from policy_engine.cli.app import app
from policy_engine.language.source import Source
from policy_engine.testing.files import TestFile, collect, read_source
from policy_engine.testing.mutation import running
from policy_engine.testing.mutation.mutants import mutants
from policy_engine.testing.mutation.report import Report
from policy_engine.testing.mutation.running import Plan, mutate
from policy_engine.testing.mutation.suggesting import Suggesting
from policy_engine.testing.mutation.trial import Trial
from tests.building import policy
from tests.testing.test_mutation import POLICIES, SETS, reloaded


def file_of(name: str) -> TestFile:
    (file,) = collect([POLICIES / name])
    return file


@pytest.mark.parametrize("name", SETS)
def test_what_the_cases_left_out_would_not_have_noticed_either(name: str) -> None:
    """Only cases that look at what a mutant touches are run: the others pass under it."""
    file = file_of(name)
    assert file.policy is not None
    trial = Trial(file.policy, file.cases)
    alive = [mutant for mutant in mutants(file.policy.checked) if trial.noticed(mutant) is None]
    assert alive
    for mutant in alive[::5]:
        changed = trial.mutated(mutant)
        noticing = [case.name for case in file.cases if not case.run(changed).passed]
        assert not noticing, mutant.diff


@pytest.mark.parametrize("name", SETS)
def test_what_is_noticed_is_noticed_in_the_text_too(name: str) -> None:
    """A naive reload of the changed text fails a case wherever the fast way does."""
    file = file_of(name)
    assert file.policy is not None
    trial = Trial(file.policy, file.cases)
    noticed = [mutant for mutant in mutants(file.policy.checked) if trial.noticed(mutant) is not None]
    for mutant in noticed[::12]:
        by_text = reloaded(file.policy, mutant)
        assert by_text is not None
        assert any(not case.run(by_text).passed for case in file.cases), mutant.diff


@pytest.mark.parametrize("name", SETS)
def test_every_suggested_case_passes_and_notices(name: str) -> None:
    """Against the mutant as its text says it, and after a trip through a file."""
    file = file_of(name)
    assert file.policy is not None
    trial = Trial(file.policy, ())
    suggesting = Suggesting(trial)
    silent = 0
    for mutant in mutants(file.policy.checked)[::7]:
        found = suggesting(mutant)
        if found is None:
            silent += 1
            continue
        source = Source("suggested", f"decisions:\n{found.yaml}\n")
        case = read_source(source, Path("suggested.policytest.yaml"), {(Path(),): file.policy}).cases[0]
        by_text = reloaded(file.policy, mutant)
        assert by_text is not None
        assert case.run(file.policy).passed, found.yaml
        assert not case.run(by_text).passed, found.yaml
    assert silent <= 3, "packs are bought in scenarios; of everything else a decision tells"


TESTS = """policy: support.policy
decisions:
  - case: "up to five a day go in"
    admit: {outcome: draft, lane: standard}
    table:
      - [count per day, =>, effect]
      - [4,             =>, allow]
      - [5,             =>, deny]
"""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = policy(file="limit 5 per day as door\nceiling $3 per outcome as cap")
    (tmp_path / "support.policy").write_text(made.checked.sources[0].text, encoding="utf-8")
    (tmp_path / "support.policytest.yaml").write_text(TESTS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(plan: Plan | None = None, **more: int | None) -> Report:
    (file,) = collect([Path("support.policytest.yaml")])
    assert file.policy is not None
    return mutate(file.cases, file.policy, plan, paths=[file.path], suggestions=more.get("suggestions", 0))


def test_a_run_counts_what_was_noticed(desk: Path) -> None:
    report = run(suggestions=1)
    about_door = [
        survivor for survivor in report.survivors if survivor.mutant.ref and survivor.mutant.ref.name == "door"
    ]
    assert not about_door
    assert report.noticed >= 3
    assert report.made == report.noticed + len(report.survivors) + len(report.equivalent)
    assert (report.untried, report.cases) == (0, 2)
    assert report.percent == 1000 * report.noticed // (report.noticed + len(report.survivors)) / 10
    assert [survivor.suggestion is not None for survivor in report.survivors[:2]] == [True, False]
    data = report.to_json()
    assert (data["mutants"], data["noticed"], len(data["survivors"])) == (
        report.made,
        report.noticed,
        len(report.survivors),
    )


@pytest.mark.slow
def test_processes_find_the_same(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = run(Plan(jobs=1))
    monkeypatch.setattr(running, "WORTH_PROCESSES", 0)
    monkeypatch.setattr(running, "CHUNK", 8)
    done: list[int] = []
    (file,) = collect([Path("support.policytest.yaml")])
    assert file.policy is not None
    plan = Plan(jobs=2)
    together = mutate(file.cases, file.policy, plan, paths=[file.path], suggestions=0, progress=done.append)
    numbers = [[survivor.mutant.number for survivor in report.survivors] for report in (alone, together)]
    assert numbers[0] == numbers[1]
    assert (together.noticed, together.untried) == (alone.noticed, 0)
    assert done == sorted(done)
    assert done[-1] == together.made


def test_where_no_process_lives_all_is_tried_alone(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = run(Plan(jobs=1))
    monkeypatch.setattr(running, "WORTH_PROCESSES", 0)

    def broken(*_: object) -> Iterator[dict[int, str | None]]:
        raise BrokenProcessPool
        yield {}

    monkeypatch.setattr(running, "_in_processes", broken)
    report = run(Plan(jobs=2))
    assert (report.noticed, report.untried) == (alone.noticed, 0)


def test_a_time_bound_leaves_the_rest_untried(desk: Path) -> None:
    report = run(Plan(minutes=1e-9))
    assert report.untried == report.made
    assert (report.noticed, report.survivors, report.percent) == (0, (), None)
    assert not report.reaches(0, sampled=False), "nothing was tried, so nothing is shown"


def test_a_sample_is_the_same_for_the_same_seed(desk: Path) -> None:
    first, again, other = (run(Plan(seed=seed, sample=12)) for seed in (1, 1, 2))
    tried = [[s.mutant.number for s in report.survivors] for report in (first, again, other)]
    assert tried[0] == tried[1] != tried[2]
    assert first.untried == first.made - 12
    assert first.percent is not None
    assert first.reaches(first.percent, sampled=True)
    assert not first.reaches(first.percent, sampled=False)


def ran(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["test", *words])
    return result.exit_code, result.output


def test_the_command_shows_survivors_as_diffs_with_cases(desk: Path) -> None:
    code, said = ran("--mutate", "--show", "0")
    assert code == 0
    assert "  -ceiling $3 per outcome as cap\n  +ceiling $4 per outcome as cap\n" in said
    case = '    - case: "cap: $3, not $4"\n      attempt:\n        outcome: draft\n'
    assert case in said
    assert "      expect: {effect: go" in said
    assert "limit 6 per day" not in said, "the tests notice that"
    assert ran("--mutate", "--fail-under", "99")[0] == 1
    assert ran("--mutate", "--fail-under", "1")[0] == 0
    names = re.findall(r"^ +- case: (.*)", said, re.MULTILINE)
    assert len(names) == len(set(names)) > 3
    code, said = ran("--mutate", "--fail-under", "0", "--timeout-minutes", "1e-9")
    assert code == 1
    assert "not tried, too few to say" in said


def test_the_command_says_it_in_json(desk: Path) -> None:
    code, said = ran("--mutate", "--sample", "20", "--seed", "3", "--format", "json")
    (report,) = json.loads(said)["mutation"].values()
    assert code == 0
    assert report["untried"] == report["mutants"] - 20
    assert {"change", "file", "line", "column", "rule", "diff", "suggestion"} == set(report["survivors"][0])


def test_the_command_does_not_mutate_under_failing_cases(desk: Path) -> None:
    (desk / "support.policytest.yaml").write_text(TESTS.replace("deny", "allow"), encoding="utf-8")
    code, said = ran("--mutate")
    assert code == 2
    assert "1 of the cases fail, so what they notice says nothing" in said
