"""The compiler broken on purpose, one token at a time: the differential test must notice each.

Run with `python -m tests.evaluation.mutations`. Each mutation is made in a copy of the package, and the
differential driver runs against that copy, with a tenth of the cases that an ordinary run has. The table
below is the list; a mutation whose text is no longer in the compiler fails its test and wants another one.
"""

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
COMPILER = Path("policy_engine") / "evaluation" / "compiler"
CASES = 10_000
FOUND = "disagrees with the reference"


@dataclass(frozen=True)
class Mutation:
    """One token of one file made another: `before` stands there once."""

    name: str
    file: str
    before: str
    after: str

    @property
    def path(self) -> Path:
        return COMPILER / self.file

    def applied_to(self, text: str) -> str:
        """The file's text with the mutation made. Raises `ValueError` where it has not exactly one place for it."""
        if text.count(self.before) != 1:
            raise ValueError(f"{self.file} has {text.count(self.before)} places for the mutation {self.name}")
        return text.replace(self.before, self.after)


MUTATIONS = (
    Mutation(
        "a ceiling may not be reached",
        "ceilings.py",
        'over = expression("T > L"',
        'over = expression("T >= L"',
    ),
    Mutation(
        "an attempt ceiling may not be reached",
        "ceilings.py",
        'over = expression("A > L"',
        'over = expression("A >= L"',
    ),
    Mutation(
        "time may be used up",
        "ceilings.py",
        'over = expression("U >= L", U=used, L=limit)\n        elif rule.scope',
        'over = expression("U > L", U=used, L=limit)\n        elif rule.scope',
    ),
    Mutation(
        "the condition of a crossed ceiling is dropped",
        "ceilings.py",
        "if conditional else []",
        "if not conditional else []",
    ),
    Mutation(
        "a shadow ceiling asks its condition the other way round",
        "ceilings.py",
        '"REFUSES if CROSSED else PASSES"',
        '"REFUSES if not CROSSED else PASSES"',
    ),
    Mutation(
        "limit and used change places in a line",
        "ceilings.py",
        "return row([part, self.limit(rule), self.used(rule), self.asked(rule, asked, tokens)])",
        "return row([part, self.used(rule), self.used(rule), self.asked(rule, asked, tokens)])",
    ),
    Mutation(
        "an alert comes again at its threshold",
        "ceilings.py",
        'crossing = expression("U < T <= V"',
        'crossing = expression("U <= T <= V"',
    ),
    Mutation(
        "a share of the price is not rounded",
        "ceilings.py",
        '"PRICE * N // D"',
        '"PRICE * N / D"',
    ),
    Mutation(
        "a limit lets one more in",
        "admission.py",
        'reached = expression("U >= C"',
        'reached = expression("U > C"',
    ),
    Mutation(
        "a grant that is used up is drawn on",
        "drawing.py",
        '"    if grant.left > 0:',
        '"    if grant.left >= 0:',
    ),
    Mutation(
        "the last grant is drawn first",
        "drawing.py",
        "return burn_down(one) < burn_down(other)",
        "return burn_down(one) > burn_down(other)",
    ),
    Mutation(
        "the last priority is drawn first",
        "drawing.py",
        "return one.priority < other.priority",
        "return one.priority > other.priority",
    ),
    Mutation(
        "the widest ceiling is told at admission",
        "admission.py",
        'return ast.Call(name("min"), [*kept, *choices], [])',
        'return ast.Call(name("max"), [*kept, *choices], [])',
    ),
    Mutation(
        "a lane is turned away for another reason",
        "admission.py",
        'LaneRefusal(lane, "not_allowed"',
        'LaneRefusal(lane, "forbidden"',
    ),
    Mutation(
        "a retry too many",
        "failures.py",
        'expression("N < C", N=count',
        'expression("N <= C", N=count',
    ),
    Mutation(
        "the shortest delay wins",
        "failures.py",
        'ast.Call(name("max"), delays',
        'ast.Call(name("min"), delays',
    ),
    Mutation(
        "a delay has no longest",
        "failures.py",
        "tuple(min(rule.longest_micros",
        "tuple(max(rule.longest_micros",
    ),
    Mutation(
        "a fallback to where the step has been",
        "failures.py",
        '"R not in visited"',
        '"R in visited"',
    ),
    Mutation(
        "retries of other classes count",
        "failures.py",
        "if error in classes:",
        "if error not in classes:",
    ),
    Mutation(
        "the route that failed comes next",
        "failures.py",
        "behind = self._arrive(self.path[place + 1], rule)",
        "behind = self._arrive(self.path[place + 0], rule)",
    ),
    Mutation(
        "`and` is read as `or`",
        "conditions.py",
        "return both([self._expression(part) for part in test.parts])",
        "return either([self._expression(part) for part in test.parts])",
    ),
    Mutation(
        "reserved is left out of what is used",
        "conditions.py",
        '"R.settled + R.reserved"',
        '"R.settled - R.reserved"',
    ),
    Mutation(
        "`<` is read as `<=`",
        "conditions.py",
        '"<": ast.Lt()',
        '"<": ast.LtE()',
    ),
    Mutation(
        "a threshold is rounded down",
        "ceilings.py",
        "bind(ceil(rule.limit * percent / 100), rule)",
        "bind(int(rule.limit * percent / 100), rule)",
    ),
    Mutation(
        "the output cap may not be reached",
        "attempts.py",
        '"C is not None and O > C"',
        '"C is not None and O >= C"',
    ),
    Mutation(
        "the latest deadline wins",
        "refusals.py",
        "if deadline is None or left < deadline:",
        "if deadline is None or left > deadline:",
    ),
    Mutation(
        "a rule for another lane is forgotten too early",
        "index.py",
        'elif name in ("lane", "route")',
        'elif name in ("route", "route")',
    ),
    Mutation(
        "a shadow forbid has its say of some alone",
        "index.py",
        "isinstance(rule, ForbidRule) and rule.shadow",
        "isinstance(rule, LimitRule) and rule.shadow",
    ),
    Mutation(
        "a row is another combination's",
        "cache.py",
        "return found is None or found[0] == made.row",
        "return found is None or found[0] != made.row",
    ),
    Mutation(
        "what is not to be split is",
        "shapes.py",
        "return self.split and not",
        "return self.split or not",
    ),
    Mutation(
        "another shape is taken for the first one",
        "dispatch.py",
        "elif made.call is not self._only",
        "elif made.call is self._only",
    ),
    Mutation(
        "two outcomes are one",
        "dispatch.py",
        '["outcome"] if len(policy.outcomes) > 1',
        '["outcome"] if len(policy.outcomes) > 2',
    ),
)


def tokens(text: str) -> list[str]:
    """The tokens of a piece of code, those of the templates in it too."""
    return re.findall(r"\w+|//|<<|[<>=!]=|[^\w\s]", text)


def survives(mutation: Mutation, seed: int, cases: int = CASES) -> str | None:
    """What the driver printed where it noticed nothing; None where it did."""
    with TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copytree(ROOT / "policy_engine", copy / "policy_engine")
        for shared in ("tests", "grammar"):
            (copy / shared).symlink_to(ROOT / shared, target_is_directory=True)
        file = copy / mutation.path
        file.write_text(mutation.applied_to(file.read_text(encoding="utf-8")), encoding="utf-8")
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.evaluation.differential",
                "--cases",
                str(cases),
                "--workers",
                "1",
                "--as-found",
            ],
            cwd=copy,
            env={**os.environ, "POLICY_ENGINE_SEED": str(seed), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    return None if done.returncode == 1 and FOUND in done.stdout else done.stdout + done.stderr


def main() -> int:
    """Make every mutation; 1 where one was not noticed."""
    from tests.evaluation.differential import base_seed

    seed, missed = base_seed(), 0
    print(f"POLICY_ENGINE_SEED={seed}")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [pool.submit(survives, mutation, seed) for mutation in MUTATIONS]
        for mutation, done in zip(MUTATIONS, runs, strict=True):
            said = str(done.exception() or "") or done.result()
            print(f"{'noticed' if said is None else 'MISSED':8} {mutation.file}: {mutation.name}", flush=True)
            missed += said is not None
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
