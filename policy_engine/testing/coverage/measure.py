"""Run policy tests under observation, and say what they have and have not seen."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from policy_engine.language.checked import CheckedPolicy
from policy_engine.policy import Policy
from policy_engine.testing.coverage.observer import Observing
from policy_engine.testing.coverage.tally import ATOM_MARKS, RULE_MARKS, Goal, Mark, Subject, Tally, goals, subjects
from policy_engine.testing.probing.writing import flat, inline


class Outcome(Protocol):
    """What is asked of a case's result."""

    @property
    def passed(self) -> bool: ...


class Runnable(Protocol):
    """What is asked of a case: that it does everything through the policy it is given, and never raises."""

    @property
    def name(self) -> str: ...

    def run(self, policy: Policy) -> Outcome: ...


class CaseFile(Protocol):
    """What is asked of a test file."""

    @property
    def cases(self) -> Iterable[Runnable]: ...


class Reach(Protocol):
    """Finds facts for goals, or the proof that there are none."""

    def facts(self, subject: Subject, goal: Goal) -> tuple[str, dict[str, Any]] | None:
        """A decision point and its entries that reach a goal, tried; None where none were found."""

    def never(self, subject: Subject, goal: Goal) -> bool:
        """Whether it is proven that no facts reach it."""


@dataclass(frozen=True)
class Gap:
    """One goal that no test has seen. `impossible` says that none can: such a gap counts against nobody."""

    subject: Subject
    goal: Goal
    impossible: bool = False
    reach: Reach | None = field(default=None, repr=False)

    @property
    def words(self) -> str:
        """What has not been seen, as the end of a sentence that begins with the rule."""
        if self.goal.atom is not None:
            return f"`{written(self.subject, self.goal.atom)}` never {self.goal.mark.value}"
        return _WORDS[self.goal.mark]

    @cached_property
    def _found(self) -> tuple[str, dict[str, Any]] | None:
        return None if self.reach is None or self.impossible else self.reach.facts(self.subject, self.goal)

    @property
    def point(self) -> str | None:
        """The decision point at which `facts` would reach it."""
        return self._found[0] if self._found is not None else None

    @property
    def facts(self) -> dict[str, Any] | None:
        """The entries that would reach it, replayed before they are said; looked for when they are asked for."""
        return self._found[1] if self._found is not None else None

    @property
    def shown(self) -> str:
        """The facts on one line, as they are written in a test file."""
        return inline(flat(self.facts)) if self.facts is not None else ""


_WORDS = {Mark.EVALUATED: "never evaluated", Mark.DECIDED: "never decided", Mark.PASSED_OVER: "never passed over"}


@dataclass(frozen=True)
class Coverage:
    """What a run of policy tests has seen of a policy."""

    policy: CheckedPolicy
    tally: Tally
    cases: int
    failed: int
    reach: Reach | None = field(default=None, repr=False)

    @cached_property
    def subjects(self) -> tuple[Subject, ...]:
        return subjects(self.policy)

    @cached_property
    def gaps(self) -> tuple[Gap, ...]:
        """Everything not seen, in (file, place) order, with the facts that would show it."""
        return tuple(
            self._gap(subject, goal)
            for subject in self.subjects
            for goal in goals(subject)
            if not self.tally.seen[goal]
        )

    def _gap(self, subject: Subject, goal: Goal) -> Gap:
        never = self.reach is not None and self.reach.never(subject, goal)
        return Gap(subject, goal, never, self.reach)

    @cached_property
    def impossible(self) -> frozenset[Goal]:
        """Goals that are proven to be out of reach."""
        return frozenset(gap.goal for gap in self.gaps if gap.impossible)

    def counted(self, *marks: Mark, among: Iterable[Subject] | None = None) -> tuple[int, int]:
        """How many goals of these marks (all, if none is said) were seen, and how many could be."""
        wanted = frozenset(marks or (*RULE_MARKS, *ATOM_MARKS))
        possible = [
            goal
            for subject in (self.subjects if among is None else among)
            for goal in goals(subject)
            if goal.mark in wanted and goal not in self.impossible
        ]
        return sum(1 for goal in possible if self.tally.seen[goal]), len(possible)

    @property
    def percent(self) -> float:
        """All goals together, rounded down to a tenth: 100.0 means that nothing is left."""
        return percent(*self.counted())

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "digest": self.policy.digest,
            "cases": self.cases,
            "failed": self.failed,
            "decisions": {str(point): number for point, number in sorted(self.tally.decisions.items())},
            "percent": self.percent,
            "totals": {mark.value: _share(*self.counted(mark)) for mark in (*RULE_MARKS, *ATOM_MARKS)},
            "rules": [self._rule_json(subject) for subject in self.subjects],
            "gaps": [gap_json(gap) for gap in self.gaps],
        }

    def _rule_json(self, subject: Subject) -> dict[str, Any]:
        seen, ref = self.tally.seen, subject.ref
        return {
            "name": ref.name,
            "text": ref.text,
            "file": ref.file,
            "line": ref.line,
            "column": ref.column,
            "block": {"kind": subject.block.kind, "name": subject.block.name},
            **{mark.value: seen[Goal(ref, mark)] for mark in RULE_MARKS},
            "comparisons": [
                {
                    "text": written(subject, number),
                    "line": atom.span.line,
                    "column": atom.span.column,
                    **{mark.value: seen[Goal(ref, mark, number)] for mark in ATOM_MARKS},
                    "unknown": self.tally.unknown[ref, number],
                }
                for number, atom in enumerate(subject.atoms)
            ],
        }


def gap_json(gap: Gap) -> dict[str, Any]:
    """One gap as plain data."""
    ref = gap.subject.ref
    comparison = None if gap.goal.atom is None else written(gap.subject, gap.goal.atom)
    return {
        "rule": ref.name,
        "place": ref.place,
        "missing": gap.goal.mark.value,
        "comparison": comparison,
        "impossible": gap.impossible,
        "point": gap.point,
        "facts": gap.facts,
    }


def written(subject: Subject, atom: int) -> str:
    """A comparison's own words on one line."""
    return " ".join(subject.atoms[atom].span.text.split())


def percent(seen: int, possible: int) -> float:
    """Rounded down to a tenth of a percent; of nothing, all."""
    return 1000 * seen // possible / 10 if possible else 100.0


def _share(seen: int, possible: int) -> dict[str, Any]:
    return {"seen": seen, "possible": possible, "percent": percent(seen, possible)}


def watched(case: Runnable, observing: Observing) -> tuple[Tally, bool]:
    """What one case looks at, and whether it passed."""
    tally = Tally()
    return tally, case.run(observing.by(tally)).passed


def measure(files: Iterable[CaseFile], policy: Policy, *, reach: Reach | None = None) -> Coverage:
    """Run every case of these files under observation. Failed cases count too: their decisions were made."""
    return measured(list(_cases(files)), policy, reach=reach)


def measured(cases: Sequence[Runnable], policy: Policy, *, reach: Reach | None = None) -> Coverage:
    """As `measure`, of cases."""
    whole, failed, observing = Tally(), 0, Observing(policy)
    for case in cases:
        tally, passed = watched(case, observing)
        whole.add(tally)
        failed += not passed
    return Coverage(policy.checked, whole, len(cases), failed, reach)


def _cases(files: Iterable[CaseFile]) -> Iterator[Runnable]:
    for file in files:
        yield from file.cases
