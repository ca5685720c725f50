"""Run every benchmark, each in a process of its own, and write the tables into docs/benchmarks.md.

    python -m benchmarks [NAME …]

With names, those alone are run and printed, and nothing is written.
"""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
BEGIN, END = "<!-- tables -->\n", "<!-- end of tables -->\n"

BENCHMARKS = {
    "decisions": "A dozen rules, each decision point",
    "scale": "Ten rules to ten thousand",
    "peers": "Other engines",
    "threads": "Threads",
    "batch": "A million rows",
    "ledgers": "Ledgers",
    "load": "Loading",
    "mutants": "Mutants",
    "linting": "Linting",
    "policytests": "Policy tests",
    "imports": "Importing",
    "startup": "Starting",
}


def tables(name: str) -> str:
    """What one benchmark prints."""
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def machine() -> str:
    return f"{os.cpu_count()} processors, {datetime.now(UTC):%Y-%m-%d}"


def main() -> None:
    chosen = sys.argv[1:]
    if unknown := [name for name in chosen if name not in BENCHMARKS]:
        sys.exit(f"there is no benchmark `{unknown[0]}`; benchmarks are {', '.join(BENCHMARKS)}")
    parts = []
    for name, title in BENCHMARKS.items():
        if chosen and name not in chosen:
            continue
        part = f"### {title}\n\n`python -m benchmarks.{name}`\n\n{tables(name)}\n"
        print(part, flush=True)
        parts.append(part)
    if chosen:
        return
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    made = "\n".join(parts)
    PAGE.write_text(f"{before}{BEGIN}\nMeasured on {machine()}.\n\n{made}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
