"""What policy tests cost: 1,000 decision cases, against their YAML composed and their facts evaluated in a loop.

    python -m benchmarks.policytests [ROUNDS]

`test` is all that `policy test` does with a file whose policy is loaded: read, shape, check, run.
"""

import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from benchmarks.timing import Rounds, ratio, surroundings, table, verdict
from policy_engine.policy import Policy, load
from policy_engine.testing.decisions import DecisionCase
from policy_engine.testing.files import TEST_SUFFIX, Loaded, read
from policy_engine.testing.runner import run

SUPPORT = Path(__file__).resolve().parent.parent / "policies" / "customer_support"
CASES, GOAL = 1_000, 2.0
PLANS, RISKS = ("starter", "growth", "enterprise"), ("low", "medium", "high")


def case(number: int) -> str:
    """One admission of the example policy, and its lane."""
    plan, risk = PLANS[number % 3], RISKS[number // 3 % 3]
    lane = "premium" if plan != "starter" and risk == "high" else "standard"
    return f"""  - case: ticket {number}
    admit:
      customer: c{number % 50}
      plan: {plan}
      outcome: support_reply
      risk: {risk}
      region: us
      spent per day: ${number % 150}
    expect:
      effect: allow
      lane: {lane}
"""


def timed(work: Callable[[], object]) -> float:
    gc.collect()
    begun = time.thread_time_ns()
    kept = work()
    spent = float(time.thread_time_ns() - begun)
    del kept
    return spent


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    text = "decisions:\n" + "".join(map(case, range(CASES)))
    policy = load(SUPPORT)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"tickets{TEST_SUFFIX}"
        path.write_text(f"policy: {SUPPORT.as_posix()}\n{text}", encoding="utf-8")
        works = subjects(path, policy)
        times: Rounds = {}
        for work in works.values():
            work()
        for _ in range(rounds):
            for name, work in works.items():
                times.setdefault(name, []).append(timed(work))
    report(times)


def subjects(path: Path, policy: Policy) -> dict[str, Callable[[], object]]:
    """The runner, and the two things that any runner must do."""
    text = path.read_text(encoding="utf-8")
    loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    loaded: Loaded = {read(path).policy_paths: policy}

    def test() -> object:
        found = read(path, loaded)
        done = run([found])
        assert done.passed  # noqa: S101 - what fails measures something else
        return done

    facts = [
        {**case.mapping(policy), "meters": {"spent per day": case.mapping(policy)["meters"]["spent per day"]}}
        for case in read(path).cases
        if isinstance(case, DecisionCase)
    ]
    return {
        "test": test,
        "compose": lambda: yaml.compose(text, Loader=loader),
        "decide": lambda: [policy.admit(policy.facts("admit", given, assume_zero=True)) for given in facts],
    }


def report(times: Rounds) -> None:
    times["both"] = [a + b for a, b in zip(times["compose"], times["decide"], strict=True)]
    found = ratio(times, "test", "both")
    print(f"{surroundings('policy_engine', 'PyYAML')}; {CASES:,} decision cases of ten lines each\n")
    rows = [
        [name, f"{sorted(times[key])[len(times[key]) // 2] / 1e6:.0f} ms"]
        for key, name in (
            ("test", "`policy test`, policy loaded"),
            ("compose", "the YAML composed, places kept"),
            ("decide", "the facts decided in a loop, as mappings"),
        )
    ]
    print(table(["what", "time"], rows), end="\n\n")
    row = ["test : compose + decide", f"{found:.2f}", f"≤ {GOAL:.0f}", verdict(found, GOAL)]
    print(table(["", "ratio", "goal", ""], [row]))


if __name__ == "__main__":
    main()
