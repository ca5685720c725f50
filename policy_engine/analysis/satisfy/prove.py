"""What the own procedure leaves open, asked of z3 (the extra `prove`).

Every name becomes a number and a truth value that says whether it is known; every condition becomes two
formulas, for true and for false. Numbers and percents are reals first: where those cannot be met, nothing
can. What is found must be decimals that can be given, so it is looked for among those of few places.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from threading import Lock
from typing import Any

from policy_engine.analysis.satisfy.answers import Answer, Impossible, Undecided, Value, Witness
from policy_engine.analysis.satisfy.domains import FALSE, TRUE, UNKNOWN, Choices, Domain, Interval
from policy_engine.analysis.satisfy.rows import Row
from policy_engine.analysis.satisfy.split import Goal, Known, Question
from policy_engine.analysis.satisfy.world import STRUCTURE, World
from policy_engine.language.checked import AllOf, AnyOf, Inverse, Linear, Test, Truth

MISSING = "needs the extra `prove`: pip install 'policy_engine[prove]'"
MILLISECONDS = 2_000
"""How long z3 may take for one question."""

_PLACES = (0, 1, 2, 4, 6)
_ONE_AT_A_TIME = Lock()
"""z3 keeps what it makes in one place for the whole process."""


def prove(question: Question, world: World, left_open: Undecided) -> Answer:
    """z3's answer to a question that was left open; without z3, that it needs it."""
    try:
        import z3
    except ModuleNotFoundError as error:
        if error.name != "z3":
            raise
        return Undecided(f"{left_open.reason}: {MISSING}")
    with _ONE_AT_A_TIME:
        return _Proof(z3, question, world).answer()


class _Proof:
    """One question as formulas."""

    def __init__(self, z3: Any, question: Question, world: World) -> None:
        self._z3 = z3
        self._question = question
        self._world = world
        self._numbers: dict[str, Any] = {}
        self._known: dict[str, Any] = {}
        self._solver = z3.Solver()
        self._solver.set("timeout", MILLISECONDS)
        for name, domain in question.domains.items():
            self._declare(name, domain)
        self._solver.add(*self._together())

    def answer(self) -> Answer:
        verdict = self._solver.check()
        if verdict == self._z3.unsat:
            return Impossible()
        broken = [
            name for name, domain in self._question.domains.items() if isinstance(domain, Interval) and not domain.whole
        ]
        if verdict == self._z3.sat and (found := self._witness()) is not None:
            return found
        for places in _PLACES if broken else ():
            self._solver.push()
            for name in broken:
                tens = self._z3.Int(f"tens of {name}")
                self._solver.add(self._numbers[name] * 10**places == self._z3.ToReal(tens))
            verdict = self._solver.check()
            found = self._witness() if verdict == self._z3.sat else None
            self._solver.pop()
            if found is not None:
                return found
        if verdict == self._z3.unknown:
            return Undecided(f"z3 does not decide it within {MILLISECONDS // 1000} seconds")
        return Undecided("no values that can be given were found")

    # ------------------------------------------------------------ names

    def _declare(self, name: str, domain: Domain) -> None:
        z3, add = self._z3, self._solver.add
        known = z3.Bool(f"known {name}") if domain.known and domain.unknown else z3.BoolVal(domain.known)
        self._known[name] = known
        whole = isinstance(domain, Choices) or domain.whole
        number = self._numbers[name] = z3.Int(name) if whole else z3.Real(name)
        if isinstance(domain, Choices):
            add(z3.Implies(known, z3.Or([number == place for place in self._places_of(domain, domain.left)])))
            return
        if domain.low is not None:
            low = self._exact(domain.low)
            add(number > low if domain.low_open else number >= low)
        if domain.high is not None:
            high = self._exact(domain.high)
            add(number < high if domain.high_open else number <= high)
        add(*(number != self._exact(hole) for hole in domain.holes))

    def _places_of(self, domain: Choices, values: frozenset[object]) -> Iterator[int]:
        return (place for place, value in enumerate(domain.every) if value in values)

    def _exact(self, value: Fraction | int) -> Any:
        exact = Fraction(value)
        return self._z3.Q(exact.numerator, exact.denominator) if exact.denominator != 1 else exact.numerator

    # ------------------------------------------------------------ goals

    def _together(self) -> Iterator[Any]:
        """All that has to hold at once."""
        z3, question = self._z3, self._question
        yield from (self._goal(goal) for goal in question.goals)
        for split in question.splits:
            yield z3.Or([z3.And([self._goal(goal) for goal in goals]) for goals in split])
        for row in question.order:
            yield z3.Implies(self._all_known(row.terms), self._row(row))
        read = [name for name in STRUCTURE if name in question.domains]
        if read:
            yield z3.Or([z3.And(self._at(place)) for place in self._world.places(question.places, read)])

    def _at(self, place: Mapping[str, str]) -> list[Any]:
        found = []
        for name, value in place.items():
            domain = self._question.domains[name]
            assert isinstance(domain, Choices)  # noqa: S101 - names of the structure are enums
            found.append(self._numbers[name] == domain.every.index(value))
        return found

    def _goal(self, goal: Goal) -> Any:
        test, truth = goal
        if isinstance(test, Row):
            return self._row(test)
        if isinstance(test, Known):
            known = self._known[test.read.name]
            return known if test.known else self._z3.Not(known)
        holds, fails = self._test(test)
        cases = [holds] if truth & TRUE else []
        cases += [fails] if truth & FALSE else []
        cases += [self._z3.Not(self._z3.Or(holds, fails))] if truth & UNKNOWN else []
        return self._z3.Or(cases)

    def _row(self, row: Row) -> Any:
        total = self._sum(row.terms)
        return total < self._exact(row.bound) if row.strict else total <= self._exact(row.bound)

    def _sum(self, terms: tuple[tuple[Fraction | int, str], ...]) -> Any:
        return self._z3.Sum([self._exact(coefficient) * self._numbers[name] for coefficient, name in terms])

    def _all_known(self, terms: tuple[tuple[Fraction | int, str], ...]) -> Any:
        return self._z3.And([self._known[name] for _, name in terms])

    def _test(self, test: Test) -> tuple[Any, Any]:
        """Two formulas: that it is true, and that it is false."""
        z3 = self._z3
        if isinstance(test, AllOf | AnyOf):
            holds, fails = zip(*map(self._test, test.parts), strict=True)
            return (z3.And(holds), z3.Or(fails)) if isinstance(test, AllOf) else (z3.Or(holds), z3.And(fails))
        if isinstance(test, Inverse):
            holds, fails = self._test(test.part)
            return fails, holds
        if isinstance(test, Linear):
            terms = tuple((coefficient, read.name) for coefficient, read in test.terms)
            known, total, bound = self._all_known(terms), self._sum(terms), self._exact(test.bound)
            compared = {
                "<": lambda: total < bound,
                "<=": lambda: total <= bound,
                ">": lambda: total > bound,
                ">=": lambda: total >= bound,
                "is": lambda: total == bound,
            }[test.op]()
            return z3.And(known, compared), z3.And(known, z3.Not(compared))
        name = test.read.name
        domain = self._question.domains[name]
        assert isinstance(domain, Choices)  # noqa: S101 - only these have members
        values: frozenset[object] = frozenset({True} if isinstance(test, Truth) else test.values)
        inside = z3.Or([self._numbers[name] == place for place in self._places_of(domain, values)])
        known = self._known[name]
        return z3.And(known, inside), z3.And(known, z3.Not(inside))

    # ------------------------------------------------------------ the model

    def _witness(self) -> Witness | None:
        """The values of the model; None where one of them cannot be given."""
        model = self._solver.model()
        values: dict[str, Value] = {}
        for name, domain in self._question.domains.items():
            known = self._z3.is_true(model.eval(self._known[name], model_completion=True))
            values[name] = None
            if known:
                number = Fraction(model.eval(self._numbers[name], model_completion=True).as_string())
                if isinstance(domain, Choices):
                    values[name] = domain.every[int(number)]  # type: ignore[assignment]  # of its kind
                elif domain.whole:
                    values[name] = int(number)
                elif Fraction(repr(float(number))) == number:
                    values[name] = number
                else:
                    return None
        return Witness({read: values[name] for name, read in self._question.reads.items()})
