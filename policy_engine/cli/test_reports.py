"""`policy test --coverage` and `--mutate`: what they are asked for, and where it goes.

Both look at the policies that the run has tested, by the cases that it ran.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from policy_engine.cli.problems import Problem
from policy_engine.cli.render import Screen

if TYPE_CHECKING:
    from policy_engine.testing.coverage import Coverage
    from policy_engine.testing.mutation.report import Report
    from policy_engine.testing.runner import FileRun, Run

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked for beside the run itself."""

    coverage: bool
    cobertura: Path | None
    html: Path | None
    mutate: bool
    fail_under: float | None
    timeout_minutes: float | None
    seed: int | None
    sample: int | None
    jobs: int
    show: int

    @property
    def covers(self) -> bool:
        return self.coverage or self.cobertura is not None or self.html is not None

    @property
    def anything(self) -> bool:
        return self.covers or self.mutate


class _Folder(click.Path):
    """A directory to write to. An empty name is a variable that was not set, not the working directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value):
            self.fail("the directory has no name; write `.` for the working directory", param, ctx)
        return super().convert(value, param, ctx)


def report_options(command: F) -> F:
    """The options of both reports."""
    file = click.Path(path_type=Path, dir_okay=False)
    for option in reversed(
        (
            click.option("--coverage", is_flag=True, help="Say which rules and comparisons no case has seen."),
            click.option("--cobertura", type=file, metavar="FILE", help="Coverage as Cobertura XML."),
            click.option(
                "--html",
                type=_Folder(path_type=Path, file_okay=False),
                metavar="DIR",
                help="Coverage as a page per policy, in this directory.",
            ),
            click.option("--mutate", is_flag=True, help="Change the policy in small ways; say what no case notices."),
            click.option(
                "--fail-under",
                type=click.FloatRange(0, 100),
                metavar="PERCENT",
                help="Exit with 1 where less is covered, or less is noticed.",
            ),
            click.option(
                "--timeout-minutes",
                type=click.FloatRange(0, min_open=True),
                metavar="N",
                help="With --mutate: stop trying after so long.",
            ),
            click.option("--seed", type=int, help="With --mutate: try in another order, the same for the same seed."),
            click.option("--sample", type=click.IntRange(1), metavar="N", help="With --mutate: try at most so many."),
            click.option(
                "--jobs", type=click.IntRange(0), default=0, help="With --mutate: processes, 0 for one a core."
            ),
            click.option(
                "--show", type=click.IntRange(0), default=10, help="Gaps and survivors to show; 0 shows them all."
            ),
        )
    ):
        command = option(command)
    return command


@dataclass(slots=True)
class Reports:
    """What came of it, by policy set."""

    coverage: "dict[str, Coverage]" = field(default_factory=dict)
    mutation: "dict[str, Report]" = field(default_factory=dict)
    below: bool = False

    def to_json(self) -> dict[str, Any]:
        """Keys beside those of the run."""
        found: dict[str, Any] = {}
        if self.coverage:
            found["coverage"] = {name: coverage.to_json() for name, coverage in self.coverage.items()}
        if self.mutation:
            found["mutation"] = {name: report.to_json() for name, report in self.mutation.items()}
        return found

    def show(self, screen: Screen, asked: Asked) -> None:
        """Tables and lists for people."""
        from policy_engine.cli.coverage_tables import show_coverage
        from policy_engine.cli.mutation_tables import show_mutation

        for name, coverage in self.coverage.items():
            show_coverage(screen, name, coverage, asked.show, asked.fail_under)
        for name, report in self.mutation.items():
            show_mutation(screen, name, report, asked.show, asked.fail_under, sampled=asked.sample is not None)


def report(done: "Run", asked: Asked, screen: Screen, *, whole: bool) -> Reports:
    """Everything that was asked for; files are written, nothing is shown. `whole`: as if all of it were shown."""
    made = Reports()
    for name, files in _by_policy(done).items():
        if asked.covers:
            made.coverage[name] = _covered(files)
        if asked.mutate and not any(file.failed for file in files):
            made.mutation[name] = _mutated(name, files, asked, screen, None if whole else asked.show or None)
    if asked.fail_under is not None:
        covered = all(coverage.percent >= asked.fail_under for coverage in made.coverage.values())
        sampled = asked.sample is not None
        noticed = all(found.reaches(asked.fail_under, sampled=sampled) for found in made.mutation.values())
        made.below = not (covered and noticed)
    _write(made, asked)
    return made


def _by_policy(done: "Run") -> "dict[str, list[FileRun]]":
    """The files that were run, by the name of the policy they are about."""
    found: dict[str, list[FileRun]] = {}
    for file in done.files:
        if not file.broken:
            found.setdefault(" ".join(path.as_posix() for path in file.file.policy_paths), []).append(file)
    return found


def _covered(files: "list[FileRun]") -> "Coverage":
    from policy_engine.testing.coverage import measured
    from policy_engine.testing.coverage.reaching import Reaching

    policy = files[0].file.policy
    assert policy is not None  # noqa: S101 - a file that was run has one
    return measured([result.case for file in files for result in file.results], policy, reach=Reaching(policy))


def _mutated(name: str, files: "list[FileRun]", asked: Asked, screen: Screen, suggestions: int | None) -> "Report":
    from policy_engine.testing.mutation.mutants import mutants
    from policy_engine.testing.mutation.running import Plan, mutate

    policy = files[0].file.policy
    assert policy is not None  # noqa: S101 - a file that was run has one
    total = len(mutants(policy.checked))
    with screen.progress(name, min(total, asked.sample or total), least=1) as tell:
        return mutate(
            [result.case for file in files for result in file.results],
            policy,
            Plan(jobs=asked.jobs, minutes=asked.timeout_minutes, seed=asked.seed, sample=asked.sample),
            paths=[file.file.path for file in files],
            suggestions=suggestions,
            progress=tell,
        )


def _write(made: Reports, asked: Asked) -> None:
    if asked.cobertura is not None:
        import time

        from policy_engine.testing.coverage.cobertura import cobertura

        asked.cobertura.write_text(cobertura(made.coverage, timestamp=time.time_ns() // 10**6), encoding="utf-8")
    if asked.html is not None:
        from policy_engine.testing.coverage.page import page

        asked.html.mkdir(parents=True, exist_ok=True)
        for name, coverage in made.coverage.items():
            (asked.html / f"{_file_name(name, made.coverage)}.html").write_text(page(name, coverage), encoding="utf-8")


def _file_name(name: str, every: "dict[str, Coverage]") -> str:
    """The last part of a policy's path; the whole of it where two end alike."""
    last = Path(name).stem
    alike = sum(Path(other).stem == last for other in every)
    return (last if alike == 1 else name.replace("/", "_").replace(" ", "_")) or "policy"


def require_passing(done: "Run") -> None:
    """Refuse to mutate where cases fail without any change."""
    if done.failed:
        raise Problem(
            f"{len(done.failed):,} of the cases fail, so what they notice says nothing",
            hint="make them pass, then run --mutate again",
        )


def require_sense(asked: Asked) -> None:
    """Refuse options that would say nothing, and a report in the place of what is no report."""
    if asked.fail_under is not None and not asked.anything:
        raise click.UsageError("--fail-under needs --coverage or --mutate, or it holds nothing to account")
    for name in ("fail_under", "timeout_minutes"):
        if isnan(getattr(asked, name) or 0):
            raise click.UsageError(f"--{name.replace('_', '-')}: `nan` is no number")
    for name in ("timeout_minutes", "seed", "sample", "jobs"):
        if getattr(asked, name) and not asked.mutate:
            raise click.UsageError(f"--{name.replace('_', '-')} needs --mutate")
    file = asked.cobertura
    if file is not None and file.is_file():
        with file.open("rb") as there:
            head = there.read(5)
        if head not in (b"", b"<?xml"):
            raise Problem("this file is no report, and is not overwritten", file, hint="name another one")
