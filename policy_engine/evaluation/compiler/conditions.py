"""Conditions → expressions: what is fixed is folded away, what is read is read once.

Generated code answers the case in which everything is known. A value that is not known (or
not given) sends the decision to the reference, which resolves it rule by rule.
"""

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from typing import Any

from policy_engine.evaluation.compiler.index import Who
from policy_engine.evaluation.compiler.quoting import (
    both,
    branch,
    constant,
    either,
    expression,
    name,
    row,
    statements,
)
from policy_engine.evaluation.compiler.shapes import Decider, Namespace
from policy_engine.evaluation.facts import MISSING, given_type, slot_name
from policy_engine.evaluation.terms import exact
from policy_engine.language.checked import (
    ATTEMPTS,
    SPENT,
    AllOf,
    AnyOf,
    Atom,
    CheckedPolicy,
    Inverse,
    Linear,
    Member,
    Meter,
    Read,
    Test,
    Truth,
    reads,
)
from policy_engine.language.vocabulary import Unit

FLOATS = (Unit.NUMBER, Unit.PERCENT)


def identity(who: Who, error: str | None = None) -> dict[str, str | None]:
    """What is fixed for a decision, by name. A lane or route that is not settled yet is left open."""
    known: dict[str, str | None] = {
        "plan": who.plan,
        "workflow": who.workflow,
        "outcome": who.outcome,
    }
    if not who.any_customer:
        known["customer"] = who.customer
    known |= {key: value for key, value in (("lane", who.lane), ("route", who.route), ("error", error)) if value}
    return known


def take_given(policy: CheckedPolicy, namespace: Namespace, given: ast.expr, give_up: list[ast.stmt]) -> list[ast.stmt]:
    """The facts in a local, if they are a record of this policy's facts: slots are read by their place."""
    own = namespace.everywhere(given_type(tuple(policy.facts)))
    test = expression("type(given) is not OWN", OWN=own)  # a third of what `given.__class__` costs
    return [ast.Assign([ast.Name("given", ast.Store())], given), branch(test, give_up)]


class NotCompiled(Exception):
    """A condition that is left to the reference evaluator: it reads what this point does not know."""


@dataclass(slots=True)
class Reader:
    """Where generated code reads from, and what it has read already.

    `fields` are the expressions of what a decision point knows, by built-in name. `give_up` is the
    statement for a value that is not known. Facts are read in `prelude`, everything else in `body`: a
    bound guard runs the first once and the second per decision.
    """

    namespace: Namespace
    numbers: Mapping[str, int]  # of the declared facts, in the order of their slots
    fields: Mapping[str, ast.expr]
    optional: frozenset[str]
    give_up: Callable[[], list[ast.stmt]]
    give_up_early: Callable[[], list[ast.stmt]]
    prelude: list[ast.stmt] = field(default_factory=list)
    body: list[ast.stmt] = field(default_factory=list)
    _locals: dict[object, str] = field(default_factory=dict)
    _tests: dict[Test, str] = field(default_factory=dict)
    _of: Decider = None
    where_it_stands: bool = False
    """Whether what is neither a fact nor optional is read in place, so that `and` and `or` may pass it by."""

    def fact(self, fact: str) -> ast.expr:
        """A declared fact, read and checked once."""
        key = ("fact", fact)
        if key not in self._locals:
            local = self._locals[key] = f"g{len(self._locals)}"
            read = ast.Attribute(name("given"), slot_name(self.numbers[fact]), ast.Load())
            self.prelude.append(ast.Assign([ast.Name(local, ast.Store())], read))
            unknown = expression("V is None or V is X", V=name(local), X=self.namespace.everywhere(MISSING))
            self.prelude.append(branch(unknown, self.give_up_early()))
        return name(self._locals[key])

    def ask_for(self, tests: Iterable[Test | None]) -> None:
        """Read the declared facts of conditions that decide nothing, for what is not given is bad input."""
        for test in tests:
            for read in reads(test):
                if read.is_fact:
                    self.fact(read.name)

    def builtin(self, built_in: str) -> ast.expr:
        """A built-in name of this point."""
        if built_in == "spent":
            return self.settled(SPENT)
        if built_in == "attempts":
            return self.settled(ATTEMPTS)
        if built_in not in self.fields:
            raise NotCompiled(built_in)
        if self.where_it_stands and built_in not in self.optional:
            return self.fields[built_in]
        key = ("built-in", built_in)
        if key not in self._locals:
            local = self._locals[key] = f"b{len(self._locals)}"
            self.body.append(ast.Assign([ast.Name(local, ast.Store())], self.fields[built_in]))
            if built_in in self.optional:
                self.body.append(branch(expression("V is None", V=name(local)), self.give_up()))
        return name(self._locals[key])

    def reading(self, meter: Meter) -> ast.expr:
        """A counter's reading. One that is not there ends in `or_slow`."""
        counter = self.namespace.bind(meter, counted_by(meter))
        if self.where_it_stands:
            return expression("f.meters[METER]", METER=counter)
        value = expression("meters[METER]", METER=counter)
        return self._kept(("reading", meter), "r", value)

    def used(self, meter: Meter) -> ast.expr:
        """Incurred plus reserved."""
        value = expression("R.settled + R.reserved", R=self.reading(meter))
        return value if self.where_it_stands else self._kept(("used", meter), "u", value)

    def _kept(self, key: object, letter: str, value: ast.expr) -> ast.expr:
        """A local for what was read or worked out, the same one each time."""
        if key not in self._locals:
            local = self._locals[key] = f"{letter}{len(self._locals)}"
            self.body.append(ast.Assign([ast.Name(local, ast.Store())], value))
        return name(self._locals[key])

    def with_asked(self, meter: Meter, asked: str) -> ast.expr:
        """Incurred plus reserved plus what is asked for, which is fixed from here on."""
        return self._kept(("with", meter, asked), "t", expression("U + A", U=self.used(meter), A=name(asked)))

    def settled(self, meter: Meter) -> ast.expr:
        return expression("R.settled", R=self.reading(meter))

    def value(self, read: Read) -> ast.expr:
        """The value of a name, read once."""
        if read.is_fact:
            return self.fact(read.name)
        if read.meter is not None:
            return self.used(read.meter) if read.meter.quantity == "count" else self.settled(read.meter)
        return self.builtin(read.name)

    def test(self, test: Test, of: Decider = None) -> ast.expr:
        """The truth of a condition, worked out once however many rules share it; `of` decides its constants."""
        if test not in self._tests:
            self._of = of
            value = self._expression(test)
            if self.where_it_stands and not reads_facts_alone(test):
                return value
            local = f"c{len(self._tests)}"
            self._tests[test] = local
            assign = ast.Assign([ast.Name(local, ast.Store())], value)
            if reads_facts_alone(test):
                self.prelude.append(assign)
            else:
                self.body.append(assign)
        return name(self._tests[test])

    def guarded(self, guard: ast.expr, test: Test, of: Decider) -> ast.expr:
        """The truth of a condition that is looked at only where `guard` holds, and reads declared facts alone."""
        outside, known = self.prelude, dict(self._locals)
        self.prelude, self._of = [], of
        value = self._expression(test)
        inside, self.prelude, self._locals = self.prelude, outside, known
        local = f"c{len(self._tests)}"
        self._tests[AllOf((test, test))] = local  # under no condition that is asked for
        there = statements(f"{local} = VALUE", VALUE=value)
        self.prelude.append(branch(guard, [*inside, *there], statements(f"{local} = False")))
        return name(local)

    # ------------------------------------------------------------ expressions

    def _expression(self, test: Test) -> ast.expr:
        if isinstance(test, AllOf):
            return both([self._expression(part) for part in test.parts])
        if isinstance(test, AnyOf):
            return either([self._expression(part) for part in test.parts])
        if isinstance(test, Inverse):
            return _negated(self._expression(test.part))
        return self._atom(test)

    def _atom(self, atom: Atom) -> ast.expr:
        if isinstance(atom, Truth):
            return expression("V is True", V=self.value(atom.read))
        if isinstance(atom, Member):
            value = self.value(atom.read)
            if len(atom.values) == 1:
                return expression("V == X", V=value, X=self._bound(atom.values[0]))
            if len(atom.values) <= 4:
                return expression("V in X", V=value, X=self._bound(atom.values))
            return expression("V in X", V=value, X=self._bound(frozenset(atom.values)))
        return self._linear(atom)

    def _linear(self, atom: Linear) -> ast.expr:
        values = [self.value(read) for _, read in atom.terms]
        if all(read.unit in FLOATS for _, read in atom.terms) and atom.unit in FLOATS:
            return self._compare_numbers(atom, values)
        scale = lcm(atom.bound.denominator, *(coefficient.denominator for coefficient, _ in atom.terms))
        terms = []
        for (coefficient, _), value in zip(atom.terms, values, strict=True):
            factor = int(coefficient * scale)
            terms.append(value if factor == 1 else expression("V * F", V=value, F=self._bound(factor)))
        total = terms[0]
        for term in terms[1:]:
            total = ast.BinOp(total, ast.Add(), term)
        return _comparison(total, atom.op, self._bound(int(atom.bound * scale)))

    def _compare_numbers(self, atom: Linear, values: list[ast.expr]) -> ast.expr:
        """Numbers are floats that stand for their decimal spelling. One of them compares as it is with a constant that
        is such a float too; anything more is worked out exactly.
        """
        (coefficient, _), *more = atom.terms
        limit = atom.bound / coefficient
        if not more and coefficient > 0 and Fraction(repr(float(limit))) == limit:
            return _comparison(values[0], atom.op, self._bound(float(limit)))
        # Numbers and operator are arguments, so that it is one function whatever they are.
        coefficients = self._bound(tuple(coefficient for coefficient, _ in atom.terms))
        return self.namespace.call(compare, coefficients, row(values), constant(atom.op), self._bound(atom.bound))

    def _bound(self, value: Any) -> ast.expr:
        return self.namespace.bind(value, self._of)


def _negated(test: ast.expr) -> ast.expr:
    """`not test`, as the opposite comparison where there is one."""
    opposite = {ast.Eq: ast.NotEq, ast.In: ast.NotIn}
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and type(test.ops[0]) in opposite:
        return ast.Compare(test.left, [opposite[type(test.ops[0])]()], test.comparators)
    return ast.UnaryOp(ast.Not(), test)


def _comparison(left: ast.expr, op: str, right: ast.expr) -> ast.expr:
    operators: dict[str, ast.cmpop] = {"<": ast.Lt(), "<=": ast.LtE(), ">": ast.Gt(), ">=": ast.GtE(), "is": ast.Eq()}
    return ast.Compare(left, [operators[op]], [right])


def compare(coefficients: tuple[Fraction, ...], values: tuple[float, ...], op: str, bound: Fraction) -> bool:
    """A comparison of numbers worked out exactly."""
    total = sum((factor * exact(value) for factor, value in zip(coefficients, values, strict=True)), Fraction(0))
    if op == "is":
        return total == bound
    if op == "<":
        return total < bound
    if op == "<=":
        return total <= bound
    return total > bound if op == ">" else total >= bound


def counted_by(meter: Meter) -> tuple[str, ...]:
    """The names that decide which counter this is: the kind of block that it belongs to."""
    return ("outcome",) if meter.block.kind == "workflow" else (meter.block.kind,)


def reads_facts_alone(test: Test) -> bool:
    """Whether the condition is fixed once the declared facts are."""
    if isinstance(test, AllOf | AnyOf):
        return all(reads_facts_alone(part) for part in test.parts)
    if isinstance(test, Inverse):
        return reads_facts_alone(test.part)
    if isinstance(test, Linear):
        return all(read.is_fact for _, read in test.terms)
    return test.read.is_fact
