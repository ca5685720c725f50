"""Ten rules to ten thousand, the same number applicable: what a decision, a cold evaluator and memory cost.

python -m benchmarks.scale
"""

import gc
import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from benchmarks.generated import SHAPES, Key, by_customer, by_hand, customer_keys, drawn, keys, texts, written
from benchmarks.timing import Rounds, Run, interleaved, loop, nanos, ratio, surroundings, table, verdict
from policy_engine.evaluation.compiler import CompiledEvaluator
from policy_engine.evaluation.decision import Digests
from policy_engine.evaluation.evaluator import Evaluator
from policy_engine.evaluation.facts import AttemptFacts
from policy_engine.evaluation.reference import ReferenceEvaluator
from policy_engine.policy import Policy, load

DRAWS = 8_000
WARM_PASSES = 20
"""CPython specialises a function's bytecode while it is called the first dozens of times."""
COLD_DRAWS = 400
CRAMPED_KEYS = 200
STEADY_ASKS = 80
"""How often each key is asked for before a cache that is too small counts as being in its steady state."""
GOAL = 1.3
CUSTOMERS = (10, 1_000)


def loaded(rules: int) -> Policy:
    with TemporaryDirectory() as directory:
        return load(written(Path(directory), texts(rules)), engine="reference")


def evaluator(policy: Policy, cache_size: int) -> Evaluator:
    """A fresh evaluator whose cache holds so many specialised functions per decision point."""
    digests = Digests(policy.digest, policy.prices.digest)
    return CompiledEvaluator(policy.checked, digests, ReferenceEvaluator, cache_size=cache_size)


class Set:
    """One policy set and the attempts drawn over all its keys."""

    def __init__(self, name: str, policy: Policy, among: list[Key]) -> None:
        self.name = name
        self.policy = policy
        self.keys = among
        self.facts = drawn(policy, among, DRAWS)

    def warm(self) -> Run:
        """Decisions while every function fits into the cache."""
        run = loop(evaluator(self.policy, len(self.keys) + 1).attempt, self.facts)
        for _ in range(WARM_PASSES):
            run()
        return run

    def cramped(self) -> Run:
        """Decisions while a tenth fits: each run takes the next draws, as a service would.

        The keys are some drawn uniformly over all, so that the cache can be brought into its steady state.
        """
        among = Random(0).sample(self.keys, min(CRAMPED_KEYS, len(self.keys)))
        decide = evaluator(self.policy, max(1, len(among) // 10)).attempt
        coming = cycle(drawn(self.policy, among, DRAWS, seed=1))
        for facts in islice(coming, STEADY_ASKS * len(among)):
            decide(facts)
        return _next(decide, coming)

    def cold(self) -> tuple[list[float], list[float]]:
        """Nanoseconds of the first decision of each of some keys, and of the one that makes its function."""
        fresh = evaluator(self.policy, len(self.keys) + 1)
        fresh.attempt(self.facts[0])
        firsts, makings = [], []
        for facts in _one_per_key(self.facts[1:]):
            firsts.append(_timed(fresh.attempt, facts))
            makings.append(_timed(fresh.attempt, facts))
        return firsts, makings


def _timed(decide: Callable[[AttemptFacts], object], facts: AttemptFacts) -> float:
    begun = time.thread_time_ns()
    decide(facts)
    return float(time.thread_time_ns() - begun)


def _next(decide: Callable[[AttemptFacts], object], coming: Iterator[AttemptFacts]) -> Run:
    def run() -> None:
        for facts in islice(coming, COLD_DRAWS):
            decide(facts)

    return run


def _one_per_key(facts: list[AttemptFacts]) -> list[AttemptFacts]:
    return list({(f.customer, f.outcome, f.plan, f.route): f for f in facts}.values())[:COLD_DRAWS]


# ---------------------------------------------------------------- memory


def bytes_of(make: Callable[[], object]) -> int:
    """What is held by a result, everything that it needs to be kept included."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = make()
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    del kept
    return held


def memory_row(rules: int) -> list[str]:
    policies: list[Policy] = []
    per_set = bytes_of(lambda: policies.append(loaded(rules)))
    (policy,) = policies
    facts = _one_per_key(drawn(policy, keys(rules), DRAWS))
    fresh = evaluator(policy, len(keys(rules)) + 1)
    index = bytes_of(lambda: [fresh.attempt(facts[0]) for _ in range(2)])

    def warm() -> None:
        for record in (*facts[1:], *facts[1:]):
            fresh.attempt(record)

    per_evaluator = f"{bytes_of(warm) / (len(facts) - 1):,.0f}" if len(facts) > 1 else "–"
    return [f"{rules:,}", f"{per_set / rules:,.0f}", per_evaluator, f"{index:,}"]


# ---------------------------------------------------------------- tables


def growth(times: Rounds, first: str, last: str, promised: bool) -> list[str]:
    found = ratio(times, last, first)
    return [f"{found:.2f}", f"≤ {GOAL}" if promised else "", verdict(found, GOAL) if promised else "–"]


def main() -> None:
    print(f"{surroundings('policy_engine', 'cachetools')}\n")
    sets = {rules: Set(f"{rules:,} rules", loaded(rules), keys(rules)) for rules in SHAPES}
    clients = [
        Set(f"{rules:,} rules, one per customer", load(by_customer(rules)), customer_keys(rules)) for rules in CUSTOMERS
    ]
    hand = {rules: by_hand(one.policy, rules) for rules, one in sets.items()}
    subjects = {one.name: one.warm() for one in (*sets.values(), *clients)}
    for rules, one in sets.items():
        expected = evaluator(one.policy, 1).attempt
        assert all(expected(facts) == hand[rules](facts) for facts in one.facts[:500])  # noqa: S101 - the same rules
        subjects[f"{one.name} by hand"] = loop(hand[rules], one.facts)
    fitting = interleaved(subjects, DRAWS)
    cramped = interleaved({one.name: one.cramped() for one in sets.values()}, COLD_DRAWS)
    rows = []
    for one in (*sets.values(), *clients):
        tight = nanos(cramped[one.name]) if one.name in cramped else "–"
        table_driven = nanos(fitting[f"{one.name} by hand"]) if one.name in cramped else "–"
        first, making = map(nanos, one.cold())
        rows.append([one.name, f"{len(one.keys):,}", nanos(fitting[one.name]), table_driven, tight, first, making])
    heads = ["set", "keys", "cache fits", "table by hand", "cache a tenth", "first decision of a key"]
    print(table([*heads, "the one that makes its function"], rows), end="\n\n")

    first, second, *_, last = [one.name for one in sets.values()]
    print(
        table(
            ["from first to last", "ratio", "goal", ""],
            [
                ["cache fits, 10 to 10,000 rules", *growth(fitting, first, last, True)],
                ["table by hand, 10 to 10,000 rules", *growth(fitting, f"{first} by hand", f"{last} by hand", False)],
                ["cache a tenth, 10 to 10,000 rules", *growth(cramped, first, last, True)],
                ["cache a tenth, 100 to 10,000 rules", *growth(cramped, second, last, False)],
                ["one rule per customer, 10 to 1,000", *growth(fitting, clients[0].name, clients[1].name, True)],
            ],
        ),
        end="\n\n",
    )
    heads = ["rules", "bytes per rule, loaded", "bytes per further evaluator", "bytes of the first, index included"]
    print(table(heads, [memory_row(rules) for rules in SHAPES]))


if __name__ == "__main__":
    main()
