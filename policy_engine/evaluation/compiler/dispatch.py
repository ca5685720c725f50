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
from policy_engine.evaluation.compiler.quoting import expression, function, load, name, statements
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


Implied = dict[str, tuple[str, dict[str, str]]]
"""A name → the one that it follows from, and how."""


def without_implied(policy: CheckedPolicy, names: Names) -> tuple[Names, Implied]:
    """The names that do not follow from another one of them: a lane of one outcome alone says which that is."""
    combinations = [
        {"outcome": outcome.name, "lane": lane, "route": route}
        for outcome in policy.outcomes.values()
        for lane in outcome.lanes
        for route in policy.lanes[lane].path
    ]
    kept, implied = list(names), Implied()
    for known, others in (("outcome", ("route", "lane")), ("lane", ("route",))):
        for by in others:
            follows = {(each[by], each[known]) for each in combinations}
            if known in kept and by in kept and len(follows) == len({value for value, _ in follows}):
                kept.remove(known)
                implied[known] = (by, dict(follows))
    return tuple(kept), implied


def followed(implied: Implied) -> dict[str, str]:
    """A name → the one that it follows from."""
    return {known: by for known, (by, _) in implied.items()}


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

    Functions are looked up by the names that differ, other names are implied by those; `customers` are those who
    are named. `write` writes the function for a record; it raises `NotCompiled` where there is nothing to write.
    `left` answers what functions leave out; one function is made at a time, under `lock`.

    While all functions are of one shape, `ask` is itself the function behind its look-up, which saves a call:
    most policies have one shape of attempts. Who holds `ask` keeps it; its code is exchanged.
    """

    def __init__(
        self,
        title: str,
        by: tuple[Names, Implied],
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
        self._only: Any = None
        self._are_several = False
        known = {"ready": self.functions.ready, "slow": self.slow, "customers": customers}
        names, self._implied = by
        self.shapes = Shapes(title, names, ["f"], sizes[1], known, followed(self._implied))
        call = "return made(f, row, more)" if len(names) > 1 else "return made(f, more)"
        body = [*_looked_up(names, "ready", "made, more"), *statements(call)]
        self.ask: FunctionType = load(function(title, ["f"], body), self.shapes.objects, title)
        self._asking = self.ask.__code__

    def slow(self, facts: Any) -> Any:
        """The answer that no function gave: because there is none, or because it left it out."""
        key = self._key(facts)
        made = None
        if key not in self.functions and self._fits(facts):
            with self._lock:
                # Another thread may have made it meanwhile; then this once the reference answers.
                if key not in self.functions and self.functions.is_worth_making(key):
                    made = self._make(key, facts)
        if made is None:
            return self._left(facts)
        # By its rows and not by asking again: another thread may have pushed it out.
        return made.call(facts, *self.shapes.rows(made))

    def _key(self, facts: Any) -> Key:
        return tuple(
            None if known == "customer" and facts.customer not in self._customers else getattr(facts, known)
            for known in self.shapes.names
        )

    def _fits(self, facts: Any) -> bool:
        """Whether what is implied by the names of the key is what these facts say."""
        return all(how.get(getattr(facts, by)) == getattr(facts, known) for known, (by, how) in self._implied.items())

    def _written(self, facts: Any) -> Written:
        """The function, which first makes sure that what is implied is so: facts may be of no execution there is."""
        written = self._write(facts, self.shapes)
        checks = [
            statement
            for known in self._implied
            for statement in statements(
                "if KNOWN is not SAID and KNOWN != SAID:\n    return slow(f)",
                KNOWN=_part(known),
                SAID=written.namespace.bind(getattr(facts, known), (known,)),
            )
        ]
        return Written([*checks, *written.body], written.namespace)

    def _make(self, key: Key, facts: Any) -> Made | None:
        """The function of a combination, kept; None where the combination has none, which is kept as well."""
        try:
            written = self._written(facts)
        except NotCompiled:
            self.functions.keep(key, None)
            return None
        made = self.shapes.made(written)
        split = self.functions.takes(key, made)
        if not split:
            made = self.shapes.made(written, split=False)
        if self._only is None:
            self._only = made.call
            self._be(written, split)
        elif made.call is not self._only and not self._are_several:
            self._look_for_functions()
        self.functions.keep(key, made)
        return made

    def _be(self, written: Written, split: bool) -> None:
        """Let `ask` be the first function: from the next call on, its code is what those run who hold it."""
        objects = self.shapes.objects
        objects["alone"] = self.functions.alone
        opening = _looked_up(self.shapes.names, "alone", "more")
        self.ask.__code__ = self.shapes.inlined(written, opening, split=split).__code__

    def _look_for_functions(self) -> None:
        """Let `ask` look up functions. Who is in the old code still finds nothing but rows for it, or none."""
        self._are_several = True
        self.functions.tell_apart()
        objects = self.shapes.objects
        objects["alone"] = self.functions.alone
        self.ask.__code__ = self._asking


def _looked_up(names: Names, place: str, found: str) -> list[ast.stmt]:
    """The function and its rows, or the rows by themselves; where there are none, the answer of `slow`."""
    *before, last = [_part(known) for known in names]
    level: ast.expr = name(place)
    for part in before:
        level = expression("LEVEL[PART]", LEVEL=level, PART=part)
    text = f"row, level = LEVEL\n    {found} = level[LAST]" if before else f"{found} = LEVEL[LAST]"
    return statements(f"try:\n    {text}\nexcept KeyError:\n    return slow(f)", LEVEL=level, LAST=last)


def _part(known: str) -> ast.expr:
    if known == "customer":
        return expression("f.customer if f.customer in customers else None")
    return ast.Attribute(name("f"), known, ast.Load())
