"""What importing costs, measured inside fresh processes, in turn.

python -m benchmarks.imports [ROUNDS]
"""

import subprocess
import sys

from benchmarks.startup import ROOT
from benchmarks.timing import Rounds, nanos, ratio, surroundings, table, verdict

GOAL = 2.0
TIMED = "import time; begun = time.perf_counter_ns(); {}; print(time.perf_counter_ns() - begun)"
YARDSTICK = "import dataclasses, decimal"
PROMISED = "import policy_engine"
LOADING = "from policy_engine import load"


def fresh(statement: str) -> float:
    """Nanoseconds of one statement in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", TIMED.format(statement)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return float(done.stdout)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    statements = (YARDSTICK, PROMISED, LOADING)
    for statement in statements:
        fresh(statement)  # so that compiled files are there
    times: Rounds = {statement: [] for statement in statements}
    for _ in range(rounds):
        for statement in statements:
            times[statement].append(fresh(statement))
    rows = []
    for statement in statements:
        found = ratio(times, statement, YARDSTICK)
        goal = GOAL if statement == PROMISED else None
        told = f"≤ {GOAL:.0f}" if goal else ""
        rows.append([f"`{statement}`", nanos(times[statement]), f"{found:.2f}", told, verdict(found, goal)])
    print(f"{surroundings('policy_engine')}\n")
    print(table(["statement", "time", "ratio", "goal", ""], rows))


if __name__ == "__main__":
    main()
