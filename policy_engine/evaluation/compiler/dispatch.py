"""From facts to the function that answers them, by no more names than make a difference.

A policy whose plans say nothing about attempts needs no plan to choose an attempt's function;
with one outcome, the outcome chooses nothing. What is left is often one name, and looking it
up one dictionary read.
"""

import ast
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from types import FunctionType
from typing import Any

from policy_engine.evaluation.compiler.cache import Functions, Key
from policy_engine.evaluation.compiler.conditions import NotCompiled
from policy_engine.evaluation.compiler.quoting import branch, expression, function, load, statements
from policy_engine.evaluation.compiler.shapes import Made, Names, Shapes, Written
from policy_engine.language.checked import CeilingRule, CheckedPolicy, RetryRule, Rule, reads
from policy_engine.language.vocabulary import Point


def names_of_attempts(policy: CheckedPolicy, customers: frozenset[str]) -> Names:
    """What attempts and their progress differ by."""
    ceilings = [rule for rule in policy.every_rule() if isinstance(rule, CeilingRule)]
    found = _common(policy)
    found += ["lane"] if _stands_in("lane", ceilings) or _reads("lane", ceilings) else []
    found += ["route"] if len(policy.routes) > 1 else []
    found += ["plan"] if _stands_in("plan", ceilings) or _reads("plan", ceilings) else []
    return (*found, *_named(customers)) or ("route",)


def names_of_failures(policy: CheckedPolicy, customers: frozenset[str]) -> Names:
    """What failures differ by."""
    rules = [rule for rule in policy.every_rule() if Point.FAILURE in rule.points or isinstance(rule, CeilingRule)]
    found = ["error", *_common(policy)]
    found += ["lane"] if len(policy.lanes) > 1 else []
    retries = [rule for rule in rules if isinstance(rule, RetryRule)]
    found += ["route"] if _stands_in("route", retries) or _reads("route", rules) else []
    found += ["plan"] if _stands_in("plan", rules) or _reads("plan", rules) else []
    return (*found, *_named(customers))


def names_of_admission(policy: CheckedPolicy, customers: frozenset[str]) -> Names:
    """What admissions differ by: the lane asked for and, for what they draw on, the plan."""
    return (*_common(policy), "lane", *(["plan"] if policy.plans else []), *_named(customers))


def _common(policy: CheckedPolicy) -> list[str]:
    return ["outcome"] if len(policy.outcomes) > 1 else []


def _named(customers: frozenset[str]) -> list[str]:
    return ["customer"] if customers else []


def _stands_in(kind: str, rules: Iterable[Rule]) -> bool:
    return any(rule.block.kind == kind for rule in rules)


def _reads(known: str, rules: Iterable[Rule]) -> bool:
    return any(read.name == known and not read.is_fact for rule in rules for read in reads(rule.condition))


class Asking:
    """One decision point: `ask` finds the function of a record, and makes it where it is worth it.

    `write` writes the function for a record; it raises `NotCompiled` where there is nothing to write.
    `left` answers what functions leave out; one function is made at a time, under `lock`. Functions of one
    shape share their code, so the first shape's is put into `ask` itself: most policies have no other, and
    then a decision is one call.
    """

    def __init__(
        self,
        title: str,
        names: Names,
        customers: frozenset[str],
        sizes: tuple[int, int],
        lock: AbstractContextManager[object],
        write: Callable[[Any, Shapes], Written],
        left: Callable[[Any], Any],
    ) -> None:
        self.functions = Functions(sizes[0])
        self._customers = customers
        self._write = write
        self._left = left
        self._lock = lock
        self.shapes = Shapes(
            title, names, ["f"], sizes[1], {"ready": self.functions.ready, "slow": self.slow, "customers": customers}
        )
        found = ["f"] + (["row"] if len(names) > 1 else []) + ["more"]
        self._found = statements(f"return made({', '.join(found)})")
        body = [*_looked_up(names), *self._found]
        self.ask: FunctionType = load(function(title, ["f"], body), self.shapes.objects, title)
        self._is_inlined = False

    def slow(self, facts: Any) -> Any:
        """The answer that no function gave: because there is none, or because it left it out."""
        key = self._key(facts)
        with self._lock:
            wanted = key not in self.functions and self.functions.is_worth_making(key)
            made = self._make(key, facts) if wanted else None
        if made is None:
            return self._left(facts)
        # By its rows and not by asking again: another thread may have pushed it out.
        return made.call(facts, *self.shapes.rows(made))

    def _key(self, facts: Any) -> Key:
        return tuple(
            None if known == "customer" and facts.customer not in self._customers else getattr(facts, known)
            for known in self.shapes.names
        )

    def _make(self, key: Key, facts: Any) -> Made:
        try:
            written = self._write(facts, self.shapes)
        except NotCompiled:
            made = Made(self._always_left, (), ())
        else:
            made = self.shapes.made(written)
            split = self.functions.takes(key, made)
            if not split:
                made = self.shapes.made(written, split=False)
            if not self._is_inlined:
                self._inline(written, made, split)
        self.functions.keep(key, made)
        return made

    def _always_left(self, facts: Any, *rows: Any) -> Any:
        return self._left(facts)

    def _inline(self, written: Written, made: Made, split: bool) -> None:
        """Put the code of a shape into `ask`, which those who hold it keep: from the next call on it runs the new code.

        What is looked up may be another shape's, and then it is called as before.
        """
        self.shapes.objects["own"] = made.call
        opening = [*_looked_up(self.shapes.names), branch(expression("made is not own"), self._found)]
        self.ask.__code__ = self.shapes.inlined(written, opening, split=split).__code__
        self._is_inlined = True


def _looked_up(names: Names) -> list[ast.stmt]:
    """The function and its rows; where there is none, the answer of `slow`."""
    *before, last = [_part(known) for known in names]
    found = expression("ready")
    for part in before:
        found = expression("FOUND[PART]", FOUND=found, PART=part)
    text = "row, found = FOUND\n    made, more = found[LAST]" if before else "made, more = FOUND[LAST]"
    return statements(f"try:\n    {text}\nexcept KeyError:\n    return slow(f)", FOUND=found, LAST=last)


def _part(known: str) -> ast.expr:
    if known == "customer":
        return expression("f.customer if f.customer in customers else None")
    return ast.Attribute(expression("f"), known, ast.Load())
