"""What linting costs: every rule over a set, against loading that set.

    python -m benchmarks.linting [ROUNDS]

`lint` is the whole run, parse and check included, as `policy lint` does it; `rules` is what comes on top.
"""

import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.decisions import ENGINE
from benchmarks.generated import texts, written
from benchmarks.timing import Rounds, nanos, ratio, surroundings, table, verdict
from policy_engine.analysis.lint.discovery import every_rule
from policy_engine.analysis.lint.rule import LintRule
from policy_engine.analysis.lint.runner import lint, subject_of
from policy_engine.analysis.lint.subject import Subject
from policy_engine.policy import load, policy_files, read_files

SIZES = (100, 1_000, 10_000)
GOAL, LINEAR = 2.0, 1.2


def timed(work: Callable[[], object]) -> float:
    gc.collect()
    begun = time.thread_time_ns()
    kept = work()
    spent = float(time.thread_time_ns() - begun)
    del kept
    return spent


def linting(directory: Path) -> Callable[[], object]:
    """Read, checked and linted."""
    return lambda: lint(subject_of(read_files(policy_files([directory]))[0]))


def loading(directory: Path) -> Callable[[], object]:
    return lambda: load(directory, engine=ENGINE)


def by_rule(directory: Path) -> list[tuple[float, str]]:
    """Nanoseconds of each rule alone, dearest first; what it asks of the set for the first time is on its bill."""
    subject = subject_of(read_files(policy_files([directory]))[0])
    rules = [rule for rule in every_rule() if not rule.opt_in]
    spent = [(timed(checking(rule, subject)), rule.code) for rule in rules]
    return sorted(spent, reverse=True)


def checking(rule: LintRule, subject: Subject) -> Callable[[], object]:
    return lambda: list(rule.check(subject))


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    times: Rounds = {}
    with TemporaryDirectory() as top:
        works: dict[str, Callable[[], object]] = {}
        for rules in SIZES:
            directory = Path(top) / str(rules)
            directory.mkdir()
            written(directory, texts(rules))
            works[f"lint {rules}"] = linting(directory)
            works[f"load {rules}"] = loading(directory)
        for work in works.values():
            work()
        for _ in range(rounds):
            for name, work in works.items():
                times.setdefault(name, []).append(timed(work))
        dearest = by_rule(Path(top) / str(SIZES[-1]))[:5]
    report(times, dearest)


def report(times: Rounds, dearest: list[tuple[float, str]]) -> None:
    print(f"{surroundings('policy_engine')}; engine `{ENGINE}`, {len(every_rule())} lint rules\n")
    per_rule = {name: [value / int(name.split()[1]) for value in values] for name, values in times.items()}
    rows = []
    for rules in SIZES:
        names = (f"lint {rules}", f"load {rules}")
        found = ratio(times, *names)
        goal = [f"≤ {GOAL:.0f}", verdict(found, GOAL)] if rules == 1_000 else ["", ""]
        rows.append([f"{rules:,}", *(nanos(per_rule[name]) for name in names), f"{found:.2f}", *goal])
    print(table(["rules", "lint, per rule", "load, per rule", "ratio", "goal", ""], rows), end="\n\n")
    linear = ratio(per_rule, f"lint {SIZES[-1]}", f"lint {SIZES[1]}")
    row = ["lint per rule, 1,000 to 10,000", f"{linear:.2f}", f"≤ {LINEAR}", verdict(linear, LINEAR)]
    print(table(["linear", "ratio", "goal", ""], [row]), end="\n\n")
    listed = ", ".join(f"{code} {spent / 1e6:.0f} ms" for spent, code in dearest)
    print(f"The dearest lint rules on {SIZES[-1]:,} rules: {listed}.")


if __name__ == "__main__":
    main()
