"""Mutants tried per second, against the naive way: write the changed text, load it, run every case.

    python -m benchmarks.mutants

The policies and the tests are those of `policies/`. Both ways answer the same question of the same mutants, in one
process and one after the other; a naive run is one that stops at the first case that notices, as ours does. What is
timed of ours is a whole run: the parse, the cases under observation, every mutant made and tried.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.timing import Rounds, ratio, surroundings, table, verdict
from policy_engine.policy import load
from policy_engine.testing.files import TestFile, collect
from policy_engine.testing.mutation.edits import edited
from policy_engine.testing.mutation.mutants import Mutant, mutants
from policy_engine.testing.mutation.trial import Trial

POLICIES = Path(__file__).resolve().parent.parent / "policies"
GOAL = 20
NAIVE = 10
"""Mutants tried the naive way per round: every n-th of them."""


def naive(file: TestFile, chosen: list[Mutant]) -> int:
    """How many of these mutants a reload notices."""
    assert file.policy is not None  # noqa: S101 - the examples have no mistakes
    noticed = 0
    with TemporaryDirectory() as top:
        for mutant in chosen:
            for source in file.policy.checked.sources:
                Path(top, Path(source.name).name).write_text(edited(source, mutant.edits), encoding="utf-8")
            changed = load(top)
            noticed += not all(case.run(changed).passed for case in file.cases)
    return noticed


def ours(file: TestFile) -> int:
    """How many of all mutants are noticed."""
    assert file.policy is not None  # noqa: S101 - the examples have no mistakes
    trial = Trial(file.policy, file.cases)
    return sum(trial.noticed(mutant) is not None for mutant in mutants(file.policy.checked))


def timed(work: Callable[[], object], mutants_tried: int) -> float:
    """Nanoseconds per mutant of this process."""
    begun = time.process_time_ns()
    work()
    return (time.process_time_ns() - begun) / mutants_tried


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    rows = []
    for file in collect([POLICIES]):
        assert file.policy is not None  # noqa: S101 - the examples have no mistakes
        every = mutants(file.policy.checked)
        chosen = list(every[:: max(1, len(every) // NAIVE)])
        times: Rounds = {"naive": [], "ours": []}
        for _ in range(rounds):
            times["naive"].append(timed(lambda file=file, chosen=chosen: naive(file, chosen), len(chosen)))  # type: ignore[misc]  # bound now
            times["ours"].append(timed(lambda file=file: ours(file), len(every)))  # type: ignore[misc]  # bound now
        found = ratio(times, "naive", "ours")
        rates = [f"{10**9 / sorted(times[way])[rounds // 2]:,.0f}" for way in ("naive", "ours")]
        row = [file.path.parent.name, f"{len(file.cases)}", f"{len(every)}", *rates, f"{found:.0f}"]
        rows.append([*row, f"≥ {GOAL}", verdict(found, least=GOAL)])
    print(f"{surroundings('policy_engine')}; one process\n")
    heads = ["tests of", "cases", "mutants", "naive, per second", "tried, per second", "ratio", "goal", ""]
    print(table(heads, rows))


if __name__ == "__main__":
    main()
