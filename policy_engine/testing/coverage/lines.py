"""Coverage by line of the text, for reports that know lines and branches.

A rule is a line that was hit if it was evaluated. Its branches are whether it decided and was passed over; each
comparison has two more, true and false, on the line where it stands. What is proven out of reach is no branch.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from policy_engine.language.source import Source
from policy_engine.testing.coverage.measure import Coverage
from policy_engine.testing.coverage.tally import Goal, Mark, Subject, goals


@dataclass(slots=True)
class Line:
    """One line with something to cover. `branches` are in the order of rules and comparisons, each seen or not."""

    number: int
    hits: int = 0
    is_rule: bool = False
    branches: list[tuple[Goal, bool]] = field(default_factory=list)

    @property
    def taken(self) -> int:
        return sum(seen for _, seen in self.branches)


@dataclass(frozen=True, slots=True)
class Counts:
    """Lines and branches, those seen and those there are."""

    lines_seen: int
    lines: int
    branches_seen: int
    branches: int

    @property
    def line_rate(self) -> float:
        return self.lines_seen / self.lines if self.lines else 1.0

    @property
    def branch_rate(self) -> float:
        return self.branches_seen / self.branches if self.branches else 1.0


def lines_of(coverage: Coverage, source: Source) -> list[Line]:
    """The lines of one file that have something to cover, in order."""
    found: dict[int, Line] = {}
    for subject in coverage.subjects:
        if subject.span.source is source:
            for goal in goals(subject):
                _count(found, coverage, subject, goal)
    return [found[number] for number in sorted(found)]


def _count(found: dict[int, Line], coverage: Coverage, subject: Subject, goal: Goal) -> None:
    if goal in coverage.impossible:
        return
    number = subject.span.line if goal.atom is None else subject.atoms[goal.atom].span.line
    line = found.setdefault(number, Line(number))
    seen = coverage.tally.seen[goal]
    if goal.mark is Mark.EVALUATED:
        line.hits, line.is_rule = line.hits + seen, True
        return
    line.branches.append((goal, bool(seen)))
    if not line.is_rule:  # a comparison on a line of its own
        line.hits = max(line.hits, seen)


def counts(lines: Iterable[Line]) -> Counts:
    """The sums over lines."""
    listed = list(lines)
    return Counts(
        lines_seen=sum(line.hits > 0 for line in listed),
        lines=len(listed),
        branches_seen=sum(line.taken for line in listed),
        branches=sum(len(line.branches) for line in listed),
    )


def sources(coverage: Coverage) -> Iterator[Source]:
    """The files of the policy, by name."""
    yield from sorted(coverage.policy.sources, key=lambda source: source.name)
