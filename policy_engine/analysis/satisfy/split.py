"""The own procedure: split over the structure of the conditions, a domain per name.

A goal is a condition and the truth values it may come out as. Goals about one name narrow its domain; an
`or` that shall hold (and its kin) is a split, tried one alternative after the other. What is left of the
sums of several names is solved together at the end of a branch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from policy_engine.analysis.satisfy.answers import Answer, Impossible, Undecided, Value, Witness
from policy_engine.analysis.satisfy.domains import (
    EVERY,
    FALSE,
    TRUE,
    UNKNOWN,
    Choices,
    Domain,
    Interval,
    NoneFits,
    Nothing,
    Region,
    regions,
)
from policy_engine.analysis.satisfy.rows import Gap, Row, TooManyRows, excluded, solve
from policy_engine.analysis.satisfy.world import STRUCTURE, World
from policy_engine.language.checked import AllOf, AnyOf, Inverse, Linear, Member, Read, Test, Truth

MAX_CASES = 4_000
"""Branches that are looked at before a question is given up."""

MAX_SUMS = 400
"""Branches with several sums that are looked at: each is an elimination."""

_SWAPPED = tuple((mask & UNKNOWN) | (mask & TRUE and FALSE) | (mask & FALSE and TRUE) for mask in range(8))
_KNOWN = TRUE | FALSE


@dataclass(frozen=True, slots=True)
class Known:
    """A goal about a name itself: it shall be known, or not."""

    read: Read
    known: bool


Goal = tuple[Test | Known | Row, int]
Split = tuple[tuple[Goal, ...], ...]
"""Alternatives; each is goals that shall all be met."""


@dataclass(frozen=True, slots=True)
class Question:
    """Goals to be met at once, every name they read, and what each may be at the start.

    `places` are the values that names of the structure are fixed to and no goal reads; `order` are sums that
    hold wherever all of their names are known.
    """

    goals: tuple[Goal, ...]
    reads: Mapping[str, Read]
    domains: Mapping[str, Domain]
    places: Mapping[str, frozenset[object]]
    splits: tuple[Split, ...] = ()
    order: tuple[Row, ...] = ()


class _Dead(Exception):
    """Nothing is left of a branch."""


class Branch:
    """The state of one branch: domains, sums, and what is still to be looked at."""

    __slots__ = ("domains", "goals", "rows", "splits")

    def __init__(
        self, domains: dict[str, Domain], rows: tuple[Row, ...], goals: list[Goal], splits: tuple[Split, ...]
    ) -> None:
        self.domains = domains
        self.rows = rows
        self.goals = goals
        self.splits = splits


class Splitter:
    """Answers questions about one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._regions: dict[int, tuple[Linear, Region, Region]] = {}
        self._members: dict[int, tuple[Member, frozenset[object]]] = {}

    def answer(self, question: Question) -> Answer:
        """A witness, a proof that there is none, or why neither was found."""
        doubt: str | None = None
        start = Branch(dict(question.domains), (), list(question.goals), question.splits)
        open_branches = [start]
        cases = sums = 0
        while open_branches:
            branch = open_branches.pop()
            cases += 1
            sums += len(branch.rows) > 1
            if cases > MAX_CASES or sums > MAX_SUMS:
                return Undecided("there are too many cases to look at each")
            before = len(branch.rows)
            try:
                self._settle(branch)
                split = self._next_split(branch)
            except _Dead:
                continue
            if split is not None and len(branch.rows) > max(before, 1) and excluded(branch.rows, _numbers(branch)):
                continue
            if split is not None:
                open_branches += [
                    Branch(dict(branch.domains), branch.rows, list(goals), branch.splits) for goals in reversed(split)
                ]
                continue
            try:
                values = self._values(question, branch)
            except Nothing:
                continue
            except NoneFits:
                doubt = "the values that fit have more digits than a number may be given with"
            except (Gap, TooManyRows):
                doubt = "several sums have to be met at once"
            else:
                if values is not None:
                    return Witness({read: values[name] for name, read in question.reads.items()})
        return Impossible() if doubt is None else Undecided(doubt)

    # ------------------------------------------------------------ goals

    def _settle(self, branch: Branch) -> None:
        """Meet every goal that leaves no choice; the others become splits. Raises `_Dead`."""
        goals = branch.goals
        while goals:
            test, truth = goals.pop()
            if truth == EVERY:
                continue
            if truth == 0:
                raise _Dead
            if isinstance(test, Inverse):
                goals.append((test.part, _SWAPPED[truth]))
            elif isinstance(test, AllOf | AnyOf):
                _join(branch, test, truth)
            elif isinstance(test, Row):
                branch.rows += (test,)
            elif isinstance(test, Linear) and len(test.terms) > 1:
                _sum(branch, test, truth)
            else:
                name = _name_of(test)
                left = self._narrowed(branch.domains[name], test, truth)
                if left is None:
                    raise _Dead
                branch.domains[name] = left

    def _narrowed(self, domain: Domain, test: Truth | Member | Linear | Known, truth: int) -> Domain | None:
        """What a goal about one name leaves of its domain: the same object if it takes nothing."""
        if isinstance(test, Known):
            return domain.only(known=test.known)
        if isinstance(domain, Choices):
            assert not isinstance(test, Linear)  # noqa: S101 - sums are of numbers, and numbers are no choices
            return domain.among(self._members_of(test), truth)
        assert isinstance(test, Linear)  # noqa: S101 - as above
        holds, fails = self._regions_of(test)
        return domain.compared(holds, fails, truth)

    def _members_of(self, test: Truth | Member) -> frozenset[object]:
        if isinstance(test, Truth):
            return _TRUTH
        kept = self._members.get(id(test))
        if kept is None:
            kept = self._members[id(test)] = (test, frozenset(test.values))  # the test, so that its id stays its own
        return kept[1]

    def _regions_of(self, test: Linear) -> tuple[Region, Region]:
        kept = self._regions.get(id(test))
        if kept is None:
            kept = self._regions[id(test)] = (test, *regions(test))
        return kept[1:]

    # ------------------------------------------------------------ splits

    def _next_split(self, branch: Branch) -> Split | None:
        """The open split with the fewest alternatives left, taken out of the branch; None where none is open.

        Those with one alternative left are met at once. Raises `_Dead`.
        """
        while True:
            left: list[Split] = []
            forced = False
            for split in branch.splits:
                alternatives = self._open(branch, split)
                if alternatives is None:
                    continue
                if not alternatives:
                    raise _Dead
                if len(alternatives) == 1:
                    branch.goals += alternatives[0]
                    forced = True
                else:
                    left.append(alternatives)
            branch.splits = tuple(left)
            if not forced:
                break
            self._settle(branch)
        if not left:
            return None
        chosen = min(range(len(left)), key=lambda place: len(left[place]))
        branch.splits = (*left[:chosen], *left[chosen + 1 :])
        return left[chosen]

    def _open(self, branch: Branch, split: Split) -> Split | None:
        """The alternatives of a split that may still be met; None where one is met already."""
        left = []
        for goals in split:
            states = [self._state(branch, goal) for goal in goals]
            if all(states):
                return None
            if False not in states:
                left.append(goals)
        return tuple(left)

    def _state(self, branch: Branch, goal: Goal) -> bool | None:
        """Whether a goal is met (True) or cannot be met (False) by what is left; None where that is open."""
        test, truth = goal
        if isinstance(test, Inverse | AllOf | AnyOf | Row) or (isinstance(test, Linear) and len(test.terms) > 1):
            return None
        domain = branch.domains[_name_of(test)]
        left = self._narrowed(domain, test, truth)
        return False if left is None else True if left is domain else None

    # ------------------------------------------------------------ values

    def _values(self, question: Question, branch: Branch) -> dict[str, Value] | None:
        """A value for every name, once no split is open; None: there are none.

        Raises `Nothing`, `NoneFits`, `Gap` and `TooManyRows`.
        """
        domains = branch.domains
        if not self._placed(question, domains):
            return None
        if not branch.rows and not question.order:
            return {name: domain.pick() for name, domain in domains.items()}  # type: ignore[misc]  # of its kind
        try:
            values = _summed(branch.rows, question.order, domains)
        except Gap:
            values = None
            relaxed = _relaxed(branch.rows, question.order, domains)
            if relaxed is None or (values := _summed(branch.rows, question.order, relaxed)) is None:
                raise
            return values
        if values is None and (relaxed := _relaxed(branch.rows, question.order, domains)) is not None:
            return _summed(branch.rows, question.order, relaxed)
        return values

    def _placed(self, question: Question, domains: dict[str, Domain]) -> bool:
        """Whether outcome, workflow, lane and route go together; those read are then narrowed to one that does."""
        left = dict(question.places)
        for name in STRUCTURE:
            domain = domains.get(name)
            if isinstance(domain, Choices):
                left[name] = domain.left & left[name] if name in left else domain.left
        if len(left) < 2:
            return True  # every value of one name alone goes with something
        place = self._world.place(left)
        if place is None:
            return False
        for name, value in zip(STRUCTURE, place, strict=True):
            if name in domains:
                domains[name] = Choices((value,), frozenset({value}), unknown=False)
        return True


_TRUTH: frozenset[object] = frozenset({True})


def _name_of(test: Truth | Member | Linear | Known) -> str:
    return test.terms[0][1].name if isinstance(test, Linear) else test.read.name


def _join(branch: Branch, test: AllOf | AnyOf, truth: int) -> None:
    """An `and`; an `or` is the same with true and false exchanged."""
    yes, no = (TRUE, FALSE) if isinstance(test, AllOf) else (FALSE, TRUE)
    parts = test.parts
    if truth == UNKNOWN:
        branch.goals += [(part, UNKNOWN | yes) for part in parts]
        branch.splits += (tuple(((part, UNKNOWN),) for part in parts),)
    elif not truth & no:
        branch.goals += [(part, truth) for part in parts]
    elif not truth & yes:
        branch.splits += (tuple(((part, truth),) for part in parts),)
    else:
        branch.splits += ((tuple((part, yes) for part in parts), *(((part, no),) for part in parts)),)


def _sum(branch: Branch, test: Linear, truth: int) -> None:
    """A comparison of several names: rows where all of them are known, or one of them is not."""
    known: tuple[Goal, ...] = tuple((Known(read, True), TRUE) for _, read in test.terms)
    cases: list[tuple[Row, ...]] = [()]
    if truth & _KNOWN != _KNOWN:
        cases = [rows for side in (TRUE, FALSE) if truth & side for rows in _rows(test, holds=side == TRUE)]
    alternatives: list[tuple[Goal, ...]] = [(*known, *((row, TRUE) for row in rows)) for rows in cases]
    if truth & UNKNOWN:
        alternatives += [((Known(read, False), TRUE),) for _, read in test.terms]
    if len(alternatives) == 1:
        branch.goals += alternatives[0]
    else:
        branch.splits += (tuple(alternatives),)


def _rows(test: Linear, *, holds: bool) -> list[tuple[Row, ...]]:
    """A comparison, or its opposite, as cases of rows that hold together."""
    below = tuple((_plain(coefficient), read.name) for coefficient, read in test.terms)
    above = tuple((-coefficient, name) for coefficient, name in below)
    at_most, at_least = Row(below, test.bound), Row(above, -test.bound)
    under, over = replace(at_most, strict=True), replace(at_least, strict=True)
    match test.op, holds:
        case "is", True:
            return [(at_most, at_least)]
        case "is", False:
            return [(under,), (over,)]
        case ("<", True) | (">=", False):
            return [(under,)]
        case ("<=", True) | (">", False):
            return [(at_most,)]
        case (">", True) | ("<=", False):
            return [(over,)]
    return [(at_least,)]


def _plain(coefficient: Fraction) -> Fraction | int:
    return coefficient.numerator if coefficient.denominator == 1 else coefficient


def _numbers(branch: Branch) -> dict[str, Interval]:
    return {name: domain for name, domain in branch.domains.items() if isinstance(domain, Interval)}


def _summed(rows: Sequence[Row], order: Sequence[Row], domains: Mapping[str, Domain]) -> dict[str, Value] | None:
    """Values that meet the sums, and the order of what is known; None: proven that there are none."""
    numbers = {name: domain for name, domain in domains.items() if isinstance(domain, Interval) and domain.known}
    holding = [row for row in order if all(name in numbers for _, name in row.terms)]
    found = solve((*rows, *holding), numbers)
    if found is None:
        return None
    return {name: found[name] if name in found else domain.pick() for name, domain in domains.items()}  # type: ignore[misc]  # of its kind


def _relaxed(rows: Sequence[Row], order: Sequence[Row], domains: Mapping[str, Domain]) -> dict[str, Domain] | None:
    """The domains with everything unknown that may be, so that no order binds it; None where nothing may be."""
    ordered = {name for row in order for _, name in row.terms} - {name for row in rows for _, name in row.terms}
    changed = {}
    for name in ordered:
        domain = domains[name]
        if domain.known and domain.unknown and (left := domain.only(known=False)) is not None:
            changed[name] = left
    return {**domains, **changed} if changed else None
