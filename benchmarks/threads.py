"""Decisions from several threads: total throughput, and how long the slowest take.

python -m benchmarks.threads
"""

import gc
import time
from collections.abc import Callable, Sequence
from statistics import median
from threading import Barrier, Thread
from typing import Any

from benchmarks import dozen
from benchmarks.cases import facts_of
from benchmarks.timing import ROUNDS, loop, nanos, surroundings, table, verdict

CASES = 1_000
PASSES = 200
THREADS = 8
SAMPLES = 400_000
WARM = 5
GOAL = 0.9


def per_second(threads: int, run: Callable[[], object]) -> tuple[float, float]:
    """Decisions of all threads together per second, and per second of processor time; the same number, shared out."""
    gate = Barrier(threads + 1)

    def work() -> None:
        gate.wait()
        for _ in range(PASSES // threads):
            run()

    workers = [Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    gate.wait()
    begun, used = time.perf_counter(), time.process_time()
    for worker in workers:
        worker.join()
    decisions = PASSES // threads * threads * CASES
    return decisions / (time.perf_counter() - begun), decisions / (time.process_time() - used)


def throughput(run: Callable[[], object]) -> str:
    for _ in range(WARM):
        run()
    rounds = [(per_second(1, run), per_second(THREADS, run)) for _ in range(ROUNDS)]
    rows = []
    for place, name in enumerate(("second", "second of processor time")):
        found = median(many[place] / one[place] for one, many in rounds)
        one, many = (median(side[place] for side in column) / 1e6 for column in zip(*rounds, strict=True))
        goal = [f"≥ {GOAL}", verdict(found, least=GOAL)] if place == 0 else ["", "–"]
        rows.append([f"decisions per {name}", f"{one:.2f} million", f"{many:.2f} million", f"{found:.2f}", *goal])
    return table(["", "one thread", f"{THREADS} threads", "ratio", "goal", ""], rows)


def latencies(
    decide: Callable[[Any], object], arguments: Sequence[Any], clock: Callable[[], int], samples: int = SAMPLES
) -> list[int]:
    """Nanoseconds of single calls, the clock's own cost included."""
    found = []
    for _ in range(samples // len(arguments)):
        for argument in arguments:
            begun = clock()
            decide(argument)
            found.append(clock() - begun)
    return sorted(found)


def nothing(_: Any) -> None:
    """The empty function: what is seen here is the machine."""


CLOCKS = {"by the clock on the wall": time.perf_counter_ns, "of processor time": time.thread_time_ns}
"""A busy machine takes the processor away for milliseconds: the second clock does not see that."""


def tails(subjects: dict[str, Callable[[Any], object]], arguments: Sequence[Any]) -> str:
    rows = []
    for told, clock in CLOCKS.items():
        for name, decide in subjects.items():
            latencies(decide, arguments, clock, WARM * CASES)
            gc.collect()
            found = latencies(decide, arguments, clock)
            shares = [found[int(len(found) * share)] for share in (0.5, 0.99, 0.999, 0.9999)]
            rows.append([f"{name}, {told}", *(nanos([value]) for value in shares)])
    return table(["one call at a time", "p50", "p99", "p99.9", "p99.99"], rows)


def main() -> None:
    facts = facts_of("attempt", CASES)
    decide = dozen.policy("compiled").evaluator.attempt
    print(f"{surroundings('policy_engine')}\n")
    print(throughput(loop(decide, facts)), end="\n\n")
    print(tails({"`attempt`": decide, "an empty function": nothing}, facts))


if __name__ == "__main__":
    main()
