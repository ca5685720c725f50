"""Run every benchmark, each in a process of its own, and write the tables into docs/benchmarks.md.

    python -m benchmarks [--write] [NAME …]

With names, those alone are run and printed; with `--write`, their tables take the place of the old ones.
"""

import os
import re
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
    arguments = sys.argv[1:]
    chosen = [name for name in arguments if name != "--write"]
    if unknown := [name for name in chosen if name not in BENCHMARKS]:
        sys.exit(f"there is no benchmark `{unknown[0]}`; benchmarks are {', '.join(BENCHMARKS)}")
    parts = {}
    for name, title in BENCHMARKS.items():
        if not chosen or name in chosen:
            parts[name] = f"### {title}\n\n`python -m benchmarks.{name}`\n\n{tables(name)}\n"
            print(parts[name], flush=True)
    if not chosen or "--write" in arguments:
        write(parts)


def write(parts: dict[str, str]) -> None:
    """Put these parts into the page, in their order among those that stay."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    old, after = rest.split(END)
    parts_before = re.split(r"^(?=### )", old, flags=re.MULTILINE)
    written = {part.partition("\n")[0]: part.rstrip() + "\n" for part in parts_before}
    kept = {name: written[f"### {title}"] for name, title in BENCHMARKS.items() if f"### {title}" in written}
    made = "\n".join((kept | parts)[name] for name in BENCHMARKS if name in kept | parts)
    PAGE.write_text(f"{before}{BEGIN}\nMeasured on {machine()}.\n\n{made}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
