"""What starting costs: help against importing click, building the parser against a whole `policy check`.

    python benchmarks/startup.py [ROUNDS]

Every round starts each program once, in turn, so that a slow moment of the machine hits all of them. The
package `interegular` makes lark compare all terminals, which takes long; it is installed for development
only, so it is hidden here, and shown beside in its own row. Prints markdown tables: medians, the fastest rounds
(those least disturbed), and ratios of both.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "tests" / "data" / "page.policy"

HIDE = "import sys; sys.modules['interegular'] = None\n"
RUN = "import sys; from policy_engine.cli import main; sys.argv = ['policy', *{words!r}]; main()"
BUILD = """
import time
from policy_engine.language import parser
begun = time.perf_counter()
parser._parser()
print(time.perf_counter() - begun)
"""

HELP_GOAL, BUILD_GOAL = 3.0, 0.5


def wall(code: str) -> float:
    """Seconds from start to end of a fresh process."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def printed(code: str) -> float:
    """Seconds that a fresh process measured inside."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    return float(done.stdout)


CHECK = RUN.format(words=["check", str(PAGE)])
PROGRAMS: dict[str, Callable[[], float]] = {
    "python -c pass": lambda: wall("pass"),
    "python -c 'import click'": lambda: wall("import click"),
    "policy --help": lambda: wall(RUN.format(words=["--help"])),
    "policy check page.policy": lambda: wall(HIDE + CHECK),
    "building the parser": lambda: printed(HIDE + BUILD),
    "policy check page.policy (interegular)": lambda: wall(CHECK),
    "building the parser (interegular)": lambda: printed(BUILD),
}
RATIOS = [
    ("policy --help", "python -c 'import click'", HELP_GOAL),
    ("building the parser", "policy check page.policy", BUILD_GOAL),
    ("building the parser (interegular)", "policy check page.policy (interegular)", None),
]


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    for measure in PROGRAMS.values():
        measure()  # so that compiled files are there
    times = [{name: measure() for name, measure in PROGRAMS.items()} for _ in range(rounds)]
    print(f"| program | median of {rounds} | fastest |\n| --- | ---: | ---: |")
    for name in PROGRAMS:
        column = [row[name] for row in times]
        print(f"| `{name}` | {median(column) * 1000:.0f} ms | {min(column) * 1000:.0f} ms |")
    print("\n| ratio | median of rounds | of the fastest | goal | |\n| --- | ---: | ---: | ---: | --- |")
    for part, whole, goal in RATIOS:
        ratio = median(row[part] / row[whole] for row in times)
        fastest = min(row[part] for row in times) / min(row[whole] for row in times)
        verdict = ("met" if fastest <= goal else "missed") if goal else ""
        print(f"| `{part}` / `{whole}` | {ratio:.2f} | {fastest:.2f} | {f'≤ {goal}' if goal else ''} | {verdict} |")


if __name__ == "__main__":
    main()
