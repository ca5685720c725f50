"""Try every mutant, on all cores, inside a time bound."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path
from random import Random

from policy_engine.policy import Policy
from policy_engine.testing.coverage.measure import Runnable
from policy_engine.testing.files import collect
from policy_engine.testing.mutation.equivalence import Equivalence
from policy_engine.testing.mutation.mutants import Mutant, mutants
from policy_engine.testing.mutation.report import Report, Survivor
from policy_engine.testing.mutation.suggesting import Suggesting
from policy_engine.testing.mutation.trial import Trial

CHUNK = 16
"""Mutants given to a process at a time."""

WORTH_PROCESSES = 2_000_000_000
"""Nanoseconds of work below which starting processes takes longer than it saves."""

Progress = Callable[[int], None]
"""Told how many mutants are done."""


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
    cases: Sequence[Runnable],
    policy: Policy,
    plan: Plan | None = None,
    *,
    paths: Sequence[Path] = (),
    suggestions: int | None = None,
    progress: Progress = lambda done: None,
) -> Report:
    """What these cases notice of every mutant of their policy.

    `paths` are the test files, where they are files: other processes read them again. Without them all is done in
    this process. `suggestions` is for how many survivors a case is looked for (None: for all). Raises
    `TestsFailError` if a case fails without any change.
    """
    plan = plan or Plan()
    begun = time.monotonic()
    until = None if plan.minutes is None else begun + plan.minutes * 60
    trial = Trial(policy, cases)
    made = mutants(policy.checked)
    noticed = _try(trial, _chosen(made, plan), plan, _Files(tuple(map(str, paths)), _names(cases)), until, progress)
    alive = [mutant for mutant in made if noticed.get(mutant.number, "") is None]
    equivalence = Equivalence(policy.checked)
    same = [mutant for mutant in alive if equivalence.proven(mutant)]
    kept = [mutant for mutant in alive if mutant not in same]
    return Report(
        made=len(made),
        noticed=sum(case is not None for case in noticed.values()),
        survivors=tuple(_survivors(kept, trial, suggestions, until)),
        equivalent=tuple(same),
        untried=len(made) - len(noticed),
        cases=len(cases),
        seconds=time.monotonic() - begun,
    )


def _survivors(kept: list[Mutant], trial: Trial, most: int | None, until: float | None) -> Iterator[Survivor]:
    suggesting = Suggesting(trial)
    for number, mutant in enumerate(kept):
        wanted = most is None or number < most
        in_time = until is None or time.monotonic() < until
        yield Survivor(mutant, suggesting(mutant) if wanted and in_time else None)


def _names(cases: Sequence[Runnable]) -> frozenset[str]:
    return frozenset(case.name for case in cases)


def _chosen(made: Sequence[Mutant], plan: Plan) -> list[Mutant]:
    order = list(made)
    if plan.seed is not None or plan.sample is not None:
        Random(plan.seed or 0).shuffle(order)  # noqa: S311 - an order, no secret
    return order if plan.sample is None else order[: plan.sample]


def _try(
    trial: Trial, chosen: list[Mutant], plan: Plan, files: "_Files", until: float | None, progress: Progress
) -> dict[int, str | None]:
    """The case that noticed each mutant that was tried."""
    found: dict[int, str | None] = {}
    waiting = iter(chosen)
    begun = time.monotonic_ns()
    jobs = min(plan.jobs or cpu_count() or 1, max(1, len(chosen) // CHUNK))
    for mutant in waiting:
        if until is not None and time.monotonic() >= until:
            return found
        found[mutant.number] = trial.noticed(mutant)
        progress(len(found))
        if jobs > 1 and files.paths and len(found) == CHUNK:
            left = (time.monotonic_ns() - begun) * (len(chosen) - CHUNK) // CHUNK
            if left > WORTH_PROCESSES:
                break
    else:
        return found
    try:
        for numbers in _in_processes(files, trial.policy.digest, [mutant.number for mutant in waiting], jobs, until):
            found.update(numbers)
            progress(len(found))
    except BrokenProcessPool:  # no room for another process, or none may be started here: go on alone
        for mutant in chosen:
            if until is not None and time.monotonic() >= until:
                break
            if mutant.number not in found:
                found[mutant.number] = trial.noticed(mutant)
                progress(len(found))
    return found


# ---------------------------------------------------------------- processes


@dataclass(frozen=True, slots=True)
class _Files:
    """Where the cases are read again, and which of them are meant."""

    paths: tuple[str, ...]
    names: frozenset[str]


def _in_processes(
    files: _Files, digest: str, numbers: list[int], jobs: int, until: float | None
) -> Iterator[dict[int, str | None]]:
    """Chunks of answers, in any order, until the time is up.

    The processes are spawned and read the files anew: nothing is inherited, whatever threads and locks there are.
    """
    chunks = [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)]
    pool = ProcessPoolExecutor(
        jobs,
        mp_context=get_context("spawn"),
        initializer=_begin,
        initargs=(files, digest),
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


def _begin(files: _Files, digest: str) -> None:
    found = [file for file in collect(map(Path, files.paths)) if file.policy and file.policy.digest == digest]
    policy = found[0].policy
    assert policy is not None  # noqa: S101 - chosen so
    cases: list[Runnable] = [case for file in found for case in file.cases if case.name in files.names]
    _TRIAL.append((Trial(policy, cases), mutants(policy.checked)))


def _answer(numbers: list[int]) -> dict[int, str | None]:
    trial, made = _TRIAL[0]
    return {number: trial.noticed(made[number]) for number in numbers}
