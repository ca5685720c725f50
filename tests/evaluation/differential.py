"""The compiled evaluator against the reference, on generated policies and facts: equal decisions, equal errors.

A case is one policy, the facts of one decision point, one answer of each. A policy is drawn from a
seed, so that a seed is all it takes to see a case again:

    python -m tests.evaluation.differential --cases 1000000           # a seed of its own, printed
    POLICY_ENGINE_SEED=7 python -m tests.evaluation.differential      # this one
"""

import argparse
import os
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom
from typing import Any
from unittest.mock import patch

from policy_engine.evaluation.compiler import CompiledEvaluator, attempts, cache, index
from policy_engine.evaluation.decision import Decision, Digests
from policy_engine.evaluation.evaluator import Bound, Evaluator
from policy_engine.evaluation.facts import AdmitFacts, AttemptFacts, FactError, Facts, FailureFacts, ProgressFacts
from policy_engine.evaluation.guard import BoundTo
from policy_engine.evaluation.reference import ReferenceEvaluator
from policy_engine.language.checked import CheckedPolicy
from policy_engine.policy import load
from tests.evaluation.crowds import drawn
from tests.evaluation.kept import Plain, to_plain
from tests.evaluation.leaning import Leaning, Who
from tests.generators.drafts import Draft, prices_of
from tests.generators.picking import SeededPick

POINTS = ("admit", "attempt", "progress", "failure", "settle")
GUARDED = {"attempt": "guard.attempt", "progress": "guard.progress"}
BOUNDED = {"admit": "bounds.admit", "attempt": "bounds.attempt", "failure": "bounds.failure"}
"""The same facts asked another way: of a guard bound to an execution, and for the limits that a decision leans on."""

ASKED = {"admit": 16, "attempt": 14, "progress": 12, "failure": 14, "settle": 4}
"""How often one combination of names is asked at each point."""

IN_VAIN = 4
"""After so many answers that all came from the fallback, another combination is asked."""

TIERED_IN = 3
"""One policy in so many may have routes that are priced by the length of a request."""

COMBINATIONS = 4
"""Combinations of names per policy."""

DIGESTS = Digests("policy", "prices")
DEFAULT_SEED = 20_240_229


@dataclass(frozen=True)
class Variant:
    """How the compiled evaluator is set up: whether small blocks are indexed too, how many functions and shapes it
    keeps.
    """

    narrow: bool = False
    cache_size: int = 4096
    shapes: int = 256


VARIANTS = (Variant(), Variant(narrow=True, shapes=1), Variant(narrow=True, cache_size=2))


@dataclass(frozen=True)
class Raised:
    """An answer that is an exception: bad input, equal by name and message; anything else is never equal."""

    name: str
    message: str
    trace: str = ""


Bounds = tuple[Bound, ...]
Answer = Decision | Bounds | Raised


@dataclass(frozen=True)
class Difference:
    """One case on which the two disagree."""

    seed: int
    draft: Draft
    point: str
    facts: Plain
    expected: str
    found: str

    def __str__(self) -> str:
        return (
            f"the compiled evaluator disagrees with the reference at `{self.point}` (seed {self.seed})\n"
            f"reference: {self.expected}\ncompiled:  {self.found}\n"
            f"facts: {self.facts}\n\n{self.draft.text}"
        )


@dataclass
class Report:
    """What was asked, how much of it compiled code answered by itself, and the first difference."""

    asked: Counter[str] = field(default_factory=Counter)
    compiled: Counter[str] = field(default_factory=Counter)
    difference: Difference | None = None

    @property
    def cases(self) -> int:
        return sum(self.asked[point] for point in POINTS)

    def share(self, point: str) -> float:
        """How much of a point compiled code answered, from 0 to 1."""
        return self.compiled[point] / self.asked[point] if self.asked[point] else 0.0

    def add(self, other: "Report") -> None:
        self.asked += other.asked
        self.compiled += other.compiled
        self.difference = self.difference or other.difference

    def __str__(self) -> str:
        points = (*POINTS, *GUARDED.values())
        lines = [f"  {point:15} {self.asked[point]:9,}  {self.share(point):6.1%} by compiled code" for point in points]
        return "\n".join([f"{self.cases:,} cases", *lines])


class Counting(ReferenceEvaluator):
    """The fallback of a compiled evaluator; knows whether it was asked."""

    answered = 0

    def admit(self, facts: Any) -> Any:
        Counting.answered += 1
        return super().admit(facts)

    def attempt(self, facts: Any) -> Any:
        Counting.answered += 1
        return super().attempt(facts)

    def progress(self, facts: Any) -> Any:
        Counting.answered += 1
        return super().progress(facts)

    def failure(self, facts: Any) -> Any:
        Counting.answered += 1
        return super().failure(facts)


@contextmanager
def compiling(variant: Variant) -> Iterator[None]:
    """Functions are made at the first request, and blocks of any size are indexed if so wanted."""
    small = 0 if variant.narrow else index.SMALL
    with (
        patch.object(cache, "ASKED_AGAIN", 1),
        patch.object(cache, "ASKED_OFTEN", 2),
        patch.object(index, "SMALL", small),
    ):
        yield


# ---------------------------------------------------------------- one case


class Pair:
    """Both evaluators of one policy."""

    def __init__(self, checked: CheckedPolicy, variant: Variant) -> None:
        self.checked = checked
        self.reference = ReferenceEvaluator(checked, DIGESTS)
        self.compiled = CompiledEvaluator(
            checked, DIGESTS, Counting, cache_size=variant.cache_size, shapes=variant.shapes
        )

    def expected(self, way: str, facts: Facts) -> Answer:
        try:
            return _bounds(self.reference, facts) if way in BOUNDED.values() else _decision(self.reference, way, facts)
        except FactError as error:
            return Raised(error.name, error.message)

    def found(self, way: str, facts: Facts) -> Answer:
        try:
            if way in GUARDED.values():
                return self._guarded(facts)
            return _bounds(self.compiled, facts) if way in BOUNDED.values() else _decision(self.compiled, way, facts)
        except FactError as error:
            return Raised(error.name, error.message)
        except Exception as error:
            return Raised(type(error).__name__, str(error), traceback.format_exc())

    def _guarded(self, facts: Facts) -> Decision:
        assert isinstance(facts, AttemptFacts | ProgressFacts)
        guard = self.compiled.guard(BoundTo(**{name: getattr(facts, name) for name in BoundTo.__slots__}))
        ask, arguments = (
            (guard.attempt, attempts.ATTEMPT_ARGUMENTS)
            if isinstance(facts, AttemptFacts)
            else (guard.progress, attempts.PROGRESS_ARGUMENTS)
        )
        decision: Decision = ask(**{name: getattr(facts, name) for name in arguments})
        return decision


def point_of(way: str) -> str:
    """The decision point whose facts a way of asking takes."""
    return way.partition(".")[2] or way


def _decision(evaluator: Evaluator, way: str, facts: Facts) -> Decision:
    decision: Decision = getattr(evaluator, point_of(way))(facts)
    return decision


def _bounds(evaluator: Evaluator, facts: Facts) -> Bounds:
    policy: CheckedPolicy = getattr(evaluator, "_policy")  # noqa: B009 - both have it, the protocol does not
    if isinstance(facts, AdmitFacts):
        outcome = policy.outcomes[facts.outcome]
        return evaluator.admission_bounds(facts, facts.lane or outcome.lanes[0], outcome.price_nanos)
    if isinstance(facts, AttemptFacts):
        return evaluator.attempt_bounds(facts, facts.estimate_nanos)
    assert isinstance(facts, FailureFacts)
    desks = [name for name, route in policy.routes.items() if route.kind == "handoff"]
    return tuple(bound for desk in desks for bound in evaluator.handoff_bounds(facts, desk))


def agree(expected: Answer, found: Answer) -> bool:
    """Equal as a whole, in words and as plain data."""
    if not isinstance(expected, Decision) or not isinstance(found, Decision):
        return expected == found
    try:
        return expected == found and str(expected) == str(found) and expected.to_json() == found.to_json()
    except (TypeError, ValueError):  # numbers that no decision has
        return False


def shown(answer: Answer) -> str:
    if isinstance(answer, Raised):
        return answer.trace or f"bad input: {answer.message}"
    return repr(answer)


# ---------------------------------------------------------------- many cases


def run(seed: int, cases: int) -> Report:
    """Ask at least so many cases, from the policies of this seed and those after it; stops at a difference."""
    report = Report()
    while report.cases < cases and report.difference is None:
        report.add(one_policy(seed))
        seed += 1
    return report


def one_policy(seed: int) -> Report:
    """All cases of one seed."""
    pick = SeededPick(seed)
    draft = drawn(pick, tiered=seed % TIERED_IN == 0)
    policy = load(draft.text, prices=prices_of(draft.text))
    variant = pick.of(VARIANTS)
    facts = Leaning(pick, policy, unknown=pick.one_in(4), missing=pick.one_in(4), calm=3)
    report = Report()
    with compiling(variant):
        pair = Pair(policy.checked, variant)
        for who in facts.whos(COMBINATIONS):
            for point in POINTS:
                _ask(pair, facts, who, point, report, seed, draft)
                if report.difference is not None:
                    return report
    return report


def _ask(pair: Pair, facts: Leaning, who: Who, point: str, report: Report, seed: int, draft: Draft) -> None:
    answered = 0
    for number in range(ASKED[point]):
        if number == IN_VAIN and not answered:
            return
        asked = facts.facts(point, who)
        expected = pair.expected(point, asked)
        before = Counting.answered
        if not _agrees(pair, point, asked, expected, report, seed, draft):
            return
        answered += Counting.answered == before
        # A guard stands for a store that answers.
        if point in GUARDED and getattr(asked, "escrow", None) is None:
            _agrees(pair, GUARDED[point], asked, expected, report, seed, draft)
        if point in BOUNDED and number % 8 == 0 and facts.complete:  # only what could be decided has bounds
            _agrees(pair, BOUNDED[point], asked, pair.expected(BOUNDED[point], asked), report, seed, draft)
        if report.difference is not None:
            return


def _agrees(pair: Pair, way: str, facts: Facts, expected: Answer, report: Report, seed: int, draft: Draft) -> bool:
    before = Counting.answered
    found = pair.found(way, facts)
    report.asked[way] += 1
    report.compiled[way] += Counting.answered == before
    if agree(expected, found):
        return True
    report.difference = Difference(seed, draft, way, to_plain(pair.checked, facts), shown(expected), shown(found))
    return False


# ---------------------------------------------------------------- from the command line


def base_seed(default: int | None = DEFAULT_SEED) -> int:
    """The seed that the environment asks for, else the default, else one of chance."""
    asked = os.environ.get("POLICY_ENGINE_SEED", "")
    if asked:
        return int(asked)
    return SystemRandom().randrange(2**48) if default is None else default


def _share(task: tuple[int, int]) -> Report:
    return run(*task)


def main() -> int:
    """Run so many cases; 1 where the two disagree."""
    from tests.evaluation.shrinking import keep, shrunk

    parser = argparse.ArgumentParser(description="compiled evaluator against reference")
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--keep", type=Path, help="where a shrunk difference is written")
    parser.add_argument("--as-found", action="store_true", help="do not shrink a difference")
    asked = parser.parse_args()
    seed, report, batch = base_seed(None), Report(), 10_000
    print(f"POLICY_ENGINE_SEED={seed}", flush=True)
    with ProcessPoolExecutor(asked.workers) as pool:
        tasks = [(seed + 10_000 * number, batch) for number in range(-(-asked.cases // batch))]
        for done in pool.map(_share, tasks) if asked.workers > 1 else map(_share, tasks):
            report.add(done)
            if report.difference is not None:
                pool.shutdown(wait=False, cancel_futures=True)
                break
    print(report, flush=True)
    if report.difference is None:
        return 0
    found = report.difference if asked.as_found else shrunk(report.difference)
    print(found)
    if asked.keep is not None:
        print(f"kept as {keep(found, asked.keep)}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
