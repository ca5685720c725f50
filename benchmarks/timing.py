"""How everything here is timed: in turn, in one process, medians of rounds, ratios inside a round.

A shared machine is slow at times. Every round measures all subjects one after the other, so that a slow moment
hits them alike; a ratio is made inside each round, and its median is what a table shows.
"""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from platform import machine, python_implementation, python_version
from statistics import median
from types import FunctionType
from typing import Any

ROUNDS = 15
MIN_ROUND_NANOS = 20_000_000
"""One subject runs at least so long per round."""

Run = Callable[[], object]
Rounds = dict[str, list[float]]
"""Nanoseconds per call by subject, one entry per round."""


def loop(decide: Callable[[Any], object], arguments: Sequence[Any]) -> Run:
    """One call per argument.

    Each loop has a code object of its own: CPython specialises calls per place in the code, and subjects that
    share the place would undo each other's specialisation.
    """

    def run() -> None:
        for argument in arguments:
            decide(argument)

    return _own_code(run)


def spread(decide: Callable[..., object], arguments: Sequence[tuple[Any, ...]]) -> Run:
    """As `loop`, with nine positional arguments per call: those of a bound guard."""

    def run() -> None:
        for a, b, c, d, e, f, g, h, i in arguments:
            decide(a, b, c, d, e, f, g, h, i)

    return _own_code(run)


def _own_code(run: Run) -> Run:
    assert isinstance(run, FunctionType)  # noqa: S101 - made above
    return FunctionType(run.__code__.replace(), run.__globals__, run.__name__, None, run.__closure__)


def interleaved(
    subjects: Mapping[str, Run], calls: int, *, rounds: int = ROUNDS, clock: Callable[[], int] = time.thread_time_ns
) -> Rounds:
    """Nanoseconds per call of each subject in each round, the empty loop included.

    The clock counts this thread's processor time, so what else the machine does is left out as far as it can be;
    what may work in threads of its own is measured with `time.process_time_ns`.
    """
    repeats = {}
    for name, run in subjects.items():
        run()  # warm: caches filled, code specialised
        begun = clock()
        run()
        repeats[name] = max(1, MIN_ROUND_NANOS // max(1, clock() - begun))
    gc.collect()
    gc.freeze()
    times: Rounds = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, run in subjects.items():
            times[name].append(_once(run, repeats[name], clock) / (repeats[name] * calls))
    gc.unfreeze()
    return times


def _once(run: Run, repeats: int, clock: Callable[[], int]) -> int:
    begun = clock()
    for _ in range(repeats):
        run()
    return clock() - begun


def ratio(times: Rounds, subject: str, yardstick: str) -> float:
    """The median over the rounds of subject / yardstick."""
    return median(a / b for a, b in zip(times[subject], times[yardstick], strict=True))


# ---------------------------------------------------------------- tables


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A markdown table: the first column to the left, the others to the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def verdict(value: float | None, most: float | None = None, least: float | None = None) -> str:
    """`met` or `missed`; a dash where nothing is promised or nothing was measured."""
    if value is None or (most is None and least is None):
        return "–"
    fits = (most is None or value <= most) and (least is None or value >= least)
    return "met" if fits else "**missed**"


def nanos(values: Sequence[float]) -> str:
    """The median, in a unit that reads well."""
    middle = median(values)
    for unit, size, least in (("s", 1e9, 1e9), ("ms", 1e6, 1e6), ("µs", 1e3, 1e4)):
        if middle >= least:
            return f"{middle / size:,.1f} {unit}"
    return f"{middle:,.0f} ns"


def surroundings(*packages: str) -> str:
    """What was measured with: the interpreter and the versions of packages."""
    names = ", ".join(f"{name} {version(name)}" for name in packages)
    python = f"{python_implementation()} {python_version()}, {machine()}"
    return f"{python}{'; ' + names if names else ''}"
