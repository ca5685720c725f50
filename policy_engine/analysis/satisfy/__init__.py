"""Do facts exist that make these conditions come out so? A witness, a proof that there are none, or a plain no answer.

Conditions are linear and their values are enums, texts, whole amounts, decimals and the unknown, so every
question is decidable. An own procedure answers what a domain per name can tell and small systems of sums;
what it leaves open is asked of z3, where the extra `prove` is installed.
"""

from collections.abc import Iterable, Mapping

from policy_engine.analysis.satisfy.answers import Answer, Impossible, Undecided, Value, Want, Witness
from policy_engine.analysis.satisfy.ceiling import CEILING, REMAINING, SPENT, goals_of, makers, names_of
from policy_engine.analysis.satisfy.domains import FALSE, TRUE, UNKNOWN, Domain
from policy_engine.analysis.satisfy.kleene import truth_of
from policy_engine.analysis.satisfy.prove import prove
from policy_engine.analysis.satisfy.rows import Row
from policy_engine.analysis.satisfy.split import Goal, Known, Question, Split, Splitter
from policy_engine.analysis.satisfy.world import STRUCTURE, World
from policy_engine.evaluation.reference.view import NO_PLAN
from policy_engine.language.checked import CeilingRule, CheckedPolicy, Member, Read, Test, atoms, reads
from policy_engine.language.vocabulary import Unit

__all__ = [
    "NO_PLAN",
    "Answer",
    "Impossible",
    "Satisfier",
    "Undecided",
    "Value",
    "Want",
    "Witness",
    "truth_of",
]

_BITS = {True: TRUE, False: FALSE, None: UNKNOWN}
_NOT_TRUE = FALSE | UNKNOWN
_NOTHING: Mapping[str, Value] = {}


class Satisfier:
    """Answers questions about the conditions of one policy. Worlds are those of `satisfy/world.py`."""

    def __init__(self, policy: CheckedPolicy) -> None:
        self._policy = policy
        self._world = World(policy)
        self._splitter = Splitter(self._world)
        self._ceilings: dict[tuple[CeilingRule, ...], tuple[tuple[Goal, ...], tuple[Split, ...]]] = {}

    def satisfy(self, wants: Iterable[Want], *, fixed: Mapping[str, Value] = _NOTHING, known: bool = False) -> Answer:
        """Facts under which all wants come out as wanted at once.

        `fixed` are names (facts, built-ins, counters as they are written) with their values; with `known`, no
        value may be unknown.
        """
        return self._ask([(want.test, _BITS[want.truth]) for want in wants], fixed, known)

    def always(self, test: Test, *, fixed: Mapping[str, Value] = _NOTHING, known: bool = False) -> bool | None:
        """Whether a condition is true whatever the facts; one that may be unknown is not. None: not decided."""
        return _none_found(self._ask([(test, _NOT_TRUE)], fixed, known))

    def never(self, test: Test, *, fixed: Mapping[str, Value] = _NOTHING, known: bool = False) -> bool | None:
        """Whether a condition is true under no facts at all. None: not decided."""
        return _none_found(self._ask([(test, TRUE)], fixed, known))

    def implies(self, a: Test, b: Test, *, fixed: Mapping[str, Value] = _NOTHING, known: bool = False) -> bool | None:
        """Whether `b` is true wherever `a` is. None: not decided."""
        return _none_found(self._ask([(a, TRUE), (b, _NOT_TRUE)], fixed, known))

    def _ask(self, goals: list[tuple[Test, int]], fixed: Mapping[str, Value], known: bool) -> Answer:
        question = self._question(goals, fixed, known)
        if question is None:
            return Impossible()
        answer = self._splitter.answer(question)
        if isinstance(answer, Undecided):
            answer = prove(question, self._world, answer)
        if isinstance(answer, Witness):
            values = {read.name: value for read, value in answer.values.items()}
            if not all(_BITS[truth_of(test, values)] & truth for test, truth in goals):
                return Undecided("what was found does not hold when it is tried")
        return answer

    def _question(self, goals: list[tuple[Test, int]], fixed: Mapping[str, Value], known: bool) -> Question | None:
        """The question with its domains; None where a fixed value is none of its name."""
        asked: list[Goal] = list(goals)
        splits: tuple[Split, ...] = ()
        found: dict[str, Read] = {}
        tests = [test for test, _ in goals]
        for test in tests:
            found.update((read.name, read) for read in reads(test))
        silent: frozenset[str] = frozenset()
        if "remaining" in found:
            found.update((read.name, read) for read in (CEILING, SPENT))
        if "ceiling" in found:
            rules = makers(self._policy, fixed)
            if rules is not None:
                silent = frozenset({"estimate"} - found.keys())  # at a failure, where it is read, there is none
                found.update((read.name, read) for read in names_of(rules))
                tests += [rule.condition for rule in rules if rule.condition is not None]
                more, splits = self._tied(rules)
                asked += more
        domains = self._domains(found, _texts(tests), fixed, known=known)
        if domains is None:
            return None
        for name in silent & domains.keys():
            domains[name] = self._world.domain(found[name], (), known=False).unknown_only()
        places = {name: frozenset({fixed[name]}) for name in STRUCTURE if name in fixed and name not in found}
        if places and self._world.place({name: frozenset(values) for name, values in places.items()}) is None:
            return None
        order = tuple(self._world.order(found.values())) if len(found) > 1 else ()
        if "remaining" in found:
            splits, order = (*splits, _REMAINING_KNOWN), (*order, _REMAINING_LEFT)
        return Question(tuple(asked), found, domains, places, splits, order)

    def _tied(self, rules: tuple[CeilingRule, ...]) -> tuple[tuple[Goal, ...], tuple[Split, ...]]:
        """The goals of these rules, made once."""
        if rules not in self._ceilings:
            self._ceilings[rules] = goals_of(rules)
        return self._ceilings[rules]

    def _domains(
        self, found: Mapping[str, Read], texts: Mapping[str, list[str]], fixed: Mapping[str, Value], *, known: bool
    ) -> dict[str, Domain] | None:
        """The domain of every name; None where a fixed value is none of its name."""
        domains = {}
        for name, read in found.items():
            domain = self._world.domain(read, texts.get(name, ()), known=known)
            if name in fixed:
                pinned = self._world.pinned(domain, read, fixed[name])
                if pinned is None:
                    return None
                domain = pinned
            domains[name] = domain
        return domains


def _texts(tests: Iterable[Test]) -> dict[str, list[str]]:
    """The texts that conditions compare each name with."""
    texts: dict[str, list[str]] = {}
    for test in tests:
        for atom in atoms(test):
            if isinstance(atom, Member) and atom.read.unit is Unit.TEXT:
                texts.setdefault(atom.read.name, []).extend(atom.values)
    return texts


def _none_found(answer: Answer) -> bool | None:
    if isinstance(answer, Impossible):
        return True
    return False if isinstance(answer, Witness) else None


def _known(read: Read, known: bool) -> Goal:
    return Known(read, known), TRUE


_REMAINING_KNOWN: Split = (
    tuple(_known(read, True) for read in (REMAINING, CEILING, SPENT)),
    *((_known(REMAINING, False), _known(read, False)) for read in (CEILING, SPENT)),
)
"""`remaining` is known where `ceiling` and `spent` are."""

_REMAINING_LEFT = Row(((1, "remaining"), (1, "spent"), (-1, "ceiling")), 0)
"""What is reserved is not below zero."""
