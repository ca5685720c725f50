"""What loading costs: parse, check and index, against lark's bare parse of the same text.

    python -m benchmarks.load

The bare parse is lark with the same grammar, its parser built, positions and tree on, nothing made of the tree.
"""

import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from lark import Lark

from benchmarks.decisions import ENGINE
from benchmarks.generated import texts, written
from benchmarks.timing import Rounds, nanos, ratio, surroundings, table, verdict
from policy_engine.language.parser import grammar_path
from policy_engine.policy import load

SIZES = (100, 1_000, 10_000)
GOAL, LINEAR = 3.0, 1.2


def bare() -> Lark:
    return Lark(
        grammar_path().read_text(encoding="utf-8"),
        parser="lalr",
        lexer="basic",
        propagate_positions=True,
        maybe_placeholders=True,
    )


def parse(lark: Lark, files: list[str]) -> None:
    """Every file, the trees kept as `load` keeps its policy, the garbage collector switched as `load` does."""
    _kept = [lark.parse(text) for text in files]


def timed(work: Callable[[], object]) -> float:
    gc.collect()
    begun = time.thread_time_ns()
    kept = work()
    spent = float(time.thread_time_ns() - begun)
    del kept
    return spent


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    lark = bare()
    times: Rounds = {}
    with TemporaryDirectory() as top:
        works: dict[str, Callable[[], object]] = {}
        for rules in SIZES:
            directory = Path(top) / str(rules)
            directory.mkdir()
            files = texts(rules)
            written(directory, files)
            works[f"load {rules}"] = _loading(directory)
            works[f"bare {rules}"] = _parsing(lark, files)
        for work in works.values():
            work()
        for _ in range(rounds):
            for name, work in works.items():
                times.setdefault(name, []).append(timed(work))
    report(times)


def _loading(directory: Path) -> Callable[[], object]:
    return lambda: load(directory, engine=ENGINE)


def _parsing(lark: Lark, files: list[str]) -> Callable[[], object]:
    return lambda: parse(lark, files)


def report(times: Rounds) -> None:
    print(f"{surroundings('policy_engine', 'lark')}; engine `{ENGINE}`\n")
    per_rule = {name: [value / int(name.split()[1]) for value in values] for name, values in times.items()}
    rows = []
    for rules in SIZES:
        names = (f"load {rules}", f"bare {rules}")
        found = ratio(times, *names)
        each = [nanos(per_rule[name]) for name in names]
        rows.append([f"{rules:,}", *each, f"{found:.2f}", f"≤ {GOAL:.0f}", verdict(found, GOAL)])
    print(table(["rules", "load, per rule", "bare parse, per rule", "ratio", "goal", ""], rows), end="\n\n")
    linear = ratio(per_rule, f"load {SIZES[-1]}", f"load {SIZES[0]}")
    row = ["load per rule, 100 to 10,000", f"{linear:.2f}", f"≤ {LINEAR}", verdict(linear, LINEAR)]
    print(table(["linear", "ratio", "goal", ""], [row]))


if __name__ == "__main__":
    main()
