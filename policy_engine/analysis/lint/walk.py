"""The way of one step while one class of failure persists: retry after retry, route after route.

Only what is certain is walked: a retry or fallback of which a condition is left open ends the walk (a fallback), or
takes retries away (a retry rule can only do that for the others). So a real step goes at least as far, for facts
that let it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from policy_engine.analysis.worst import Case, applies
from policy_engine.language.checked import RetryRule, Route

if TYPE_CHECKING:
    from policy_engine.analysis.lint.subject import Subject


@dataclass(frozen=True, slots=True)
class Stay:
    """A step on one route under one class of failure: `retries` of it at least, and the rules that count them."""

    route: Route
    retries: int
    rules: tuple[RetryRule, ...]

    @property
    def attempts(self) -> int:
        return 1 + self.retries

    @property
    def waiting_micros(self) -> int:
        """All its delays together: the longest of those that the rules ask for, each time."""
        return sum(self.delay_micros(number) for number in range(1, self.retries + 1))

    def delay_micros(self, number: int) -> int:
        """Before the `number`-th retry."""
        return max((_delay(rule, number) for rule in self.rules), default=0)


def typical_cases(subject: "Subject", outcome: str) -> Iterator[Case]:
    """One case for each lane of an outcome: for a customer without a plan, if one may enter, else of the first plan."""
    seen: set[str] = set()
    lanes = subject.checked.outcomes[outcome].lanes
    for case in subject.worst.cases(outcome):
        if case.lane not in seen:
            seen.add(case.lane)
            yield case
        if len(seen) == len(lanes):
            return


def stay(subject: "Subject", case: Case, route: str, error: str) -> Stay:
    """What happens on one route while a class persists."""
    who = {**subject.worst.who(case, route), "error": error}
    rules = [rule for rule in subject.worst.retry_rules(case, route) if error in rule.classes]
    held = {rule: applies(rule, who) for rule in rules}
    counted = tuple(rule for rule in rules if held[rule] is not False)
    permitted = any(held[rule] is True for rule in counted)
    retries = min(rule.count for rule in counted) if permitted else 0
    return Stay(subject.checked.routes[route], retries, tuple(rule for rule in counted if held[rule] is True))


def walk(subject: "Subject", case: Case, error: str) -> Iterator[Stay]:
    """Every route that a step surely comes to while a class of failure persists, in order."""
    path = subject.checked.lanes[case.lane].path
    visited = [path[0]]
    while True:
        here = stay(subject, case, visited[-1], error)
        yield here
        target = _moved_to(subject, case, error, path, visited)
        if target is None or subject.checked.routes[target].kind == "handoff":
            return
        visited.append(target)


def _moved_to(subject: "Subject", case: Case, error: str, path: tuple[str, ...], visited: list[str]) -> str | None:
    who = {**subject.worst.who(case, visited[-1]), "error": error}
    for rule in subject.worst.fallbacks(case):
        if error not in rule.classes:
            continue
        target: str | None = rule.target
        if target == "next":
            furthest = max((path.index(route) for route in visited if route in path), default=-1)
            target = path[furthest + 1] if furthest + 1 < len(path) else None
        if target is None or target in visited:
            continue
        holds = applies(rule, who)
        if holds is False:
            continue
        return target if holds and target != "stop" else None
    return None


def classes_apart(subject: "Subject", case: Case) -> tuple[str, ...]:
    """The classes that are retried somewhere in a case: of those that all its rules treat alike, only the first."""
    worst = subject.worst
    retries = list(dict.fromkeys(rule for route in worst.reached(case) for rule in worst.retry_rules(case, route)))
    classes = [rule.classes for rule in retries] + [rule.classes for rule in worst.fallbacks(case)]
    found: dict[frozenset[int], str] = {}
    for error in subject.checked.error_classes:
        if any(error in rule.classes for rule in retries):
            treated = frozenset(number for number, names in enumerate(classes) if error in names)
            found.setdefault(treated, error)
    return tuple(found.values())


def _delay(rule: RetryRule, number: int) -> int:
    if rule.longest_micros is None:
        return rule.first_micros
    return min(rule.longest_micros, rule.first_micros << (number - 1))
