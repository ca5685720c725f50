"""Try every mutant, on all cores, inside a time bound."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path
from random import Random

from policy_engine.policy import Policy
from policy_engine.testing.coverage.measure import CaseFile, Runnable
from policy_engine.testing.files import collect
from policy_engine.testing.mutation.equivalence import Equivalence
from policy_engine.testing.mutation.mutants import Mutant, mutants
from policy_engine.testing.mutation.report import Report, Suggestion, Survivor
from policy_engine.testing.mutation.trial import Trial

CHUNK = 16
"""Mutants given to a process at a time."""

WORTH_PROCESSES = 2_000_000_000
"""Nanoseconds of work below which starting processes takes longer than it saves."""

Progress = Callable[[int, int], None]
"""Told how many mutants are done, of how many."""

Suggest = Callable[[Mutant], Suggestion | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to run. `jobs` processes at most (0: one a processor); `minutes` is the time bound; with a `seed` the
    mutants are tried in an order of its own, and `sample` of them at most.
    """

    jobs: int = 0
    minutes: float | None = None
    seed: int | None = None
    sample: int | None = None


def mutate(
    files: Sequence[CaseFile],
    policy: Policy,
    plan: Plan | None = None,
    *,
    paths: Sequence[Path] = (),
    suggest: Suggest | None = None,
    progress: Progress = lambda done, total: None,
) -> Report:
    """What the cases of these files notice of every mutant of their policy.

    `paths` are the test files, where they are files: other processes read them again. Without them all is done in
    this process. Raises `TestsFailError` if a case fails without any change.
    """
    plan = plan or Plan()
    begun = time.monotonic()
    until = None if plan.minutes is None else begun + plan.minutes * 60
    cases = [case for file in files for case in file.cases]
    trial = Trial(policy, cases)
    made = mutants(policy.checked)
    chosen = _chosen(made, plan)
    noticed = _try(trial, chosen, plan, paths, until, progress)
    alive = [mutant for mutant in made if noticed.get(mutant.number, "") is None]
    equivalence = Equivalence(policy.checked)
    same = [mutant for mutant in alive if equivalence.proven(mutant)]
    kept = [mutant for mutant in alive if mutant not in same]
    survivors = [Survivor(mutant, suggest(mutant) if suggest is not None else None) for mutant in kept]
    return Report(
        made=len(made),
        noticed=sum(case is not None for case in noticed.values()),
        survivors=tuple(survivors),
        equivalent=tuple(same),
        untried=len(made) - len(noticed),
        cases=len(cases),
        seconds=time.monotonic() - begun,
    )


def _chosen(made: Sequence[Mutant], plan: Plan) -> list[Mutant]:
    order = list(made)
    if plan.seed is not None or plan.sample is not None:
        Random(plan.seed or 0).shuffle(order)  # noqa: S311 - an order, no secret
    return order if plan.sample is None else order[: plan.sample]


def _try(
    trial: Trial, chosen: list[Mutant], plan: Plan, paths: Sequence[Path], until: float | None, progress: Progress
) -> dict[int, str | None]:
    """The case that noticed each mutant that was tried."""
    found: dict[int, str | None] = {}
    progress(0, len(chosen))
    waiting = iter(chosen)
    begun = time.monotonic_ns()
    jobs = min(plan.jobs or cpu_count() or 1, max(1, len(chosen) // CHUNK))
    for mutant in waiting:
        if until is not None and time.monotonic() >= until:
            return found
        found[mutant.number] = trial.noticed(mutant)
        progress(len(found), len(chosen))
        if jobs > 1 and paths and len(found) == CHUNK:
            left = (time.monotonic_ns() - begun) * (len(chosen) - CHUNK) // CHUNK
            if left > WORTH_PROCESSES:
                break
    else:
        return found
    for numbers in _in_processes(trial.policy, [mutant.number for mutant in waiting], jobs, paths, until):
        found.update(numbers)
        progress(len(found), len(chosen))
    return found


# ---------------------------------------------------------------- processes


def _in_processes(
    policy: Policy, numbers: list[int], jobs: int, paths: Sequence[Path], until: float | None
) -> Iterator[dict[int, str | None]]:
    """Chunks of answers, in any order, until the time is up.

    The processes are spawned and read the files anew: nothing is inherited, whatever threads and locks there are.
    """
    chunks = [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)]
    pool = ProcessPoolExecutor(
        jobs,
        mp_context=get_context("spawn"),
        initializer=_begin,
        initargs=([str(path) for path in paths], policy.digest),
    )
    try:
        running: set[Future[dict[int, str | None]]] = {pool.submit(_answer, chunk) for chunk in chunks}
        while running:
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return
            done, running = wait(running, left, FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_TRIAL: list[tuple[Trial, tuple[Mutant, ...]]] = []
"""Of a process that was spawned: made once, before its first chunk."""


def _begin(paths: list[str], digest: str) -> None:
    files = [file for file in collect(map(Path, paths)) if file.policy is not None and file.policy.digest == digest]
    policy = files[0].policy
    assert policy is not None  # noqa: S101 - chosen so
    cases: list[Runnable] = [case for file in files for case in file.cases]
    _TRIAL.append((Trial(policy, cases), mutants(policy.checked)))


def _answer(numbers: list[int]) -> dict[int, str | None]:
    trial, made = _TRIAL[0]
    return {number: trial.noticed(made[number]) for number in numbers}
