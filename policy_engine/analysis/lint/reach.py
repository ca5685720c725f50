"""How far the work of one execution can come: the most that attempts, tokens and money may add up to.

Upper bounds that hold whatever fails and whatever the conditions say, from counts and stated costs alone: no money
ceiling takes part, because it is money ceilings that are held against them. None is "nothing bounds it".
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from policy_engine.analysis.worst import Case, applies
from policy_engine.language.checked import CeilingRule, RetryRule, Route
from policy_engine.language.units import PICOS_PER_NANO

if TYPE_CHECKING:
    from policy_engine.analysis.lint.subject import Subject

_WITHIN = {
    "attempt": ("attempt", "step", "outcome"),
    "step": ("step", "outcome"),
    "outcome": ("outcome",),
}
"""The scopes whose ceilings bound what happens within a scope."""


def most_attempts(subject: "Subject", case: Case, scope: str, routes: Iterable[str]) -> int | None:
    """The most attempts on these routes in one step or execution. Steps are as many as the caller likes."""
    bounds = [_tightest(subject, case, "attempts", scope)]
    if scope == "attempt":
        return 1
    if scope == "step":
        bounds.append(sum(1 + most_retries(subject, case, route) for route in routes))
    return _least(bounds)


def most_nanos(subject: "Subject", case: Case, scope: str, routes: tuple[str, ...]) -> int | None:
    """The most that attempts on these routes cost, by the rates and costs that the routes state."""
    declared = [subject.checked.routes[route] for route in routes]
    if any(route.cost_nanos is None and route.rates is None for route in declared):
        return None  # an attempt without a price is refused, unless its caller states an estimate
    by_attempts = _by_attempts(subject, case, scope, declared)
    return _least([by_attempts, _by_tokens(subject, case, scope, declared)])


def _by_attempts(subject: "Subject", case: Case, scope: str, routes: list[Route]) -> int | None:
    each = [_attempt_nanos(subject, case, route) for route in routes]
    dearest = None if None in each else max((nanos for nanos in each if nanos is not None), default=0)
    if scope == "step" and dearest is not None:
        pairs = zip(routes, each, strict=True)
        one_by_one = sum((1 + most_retries(subject, case, route.name)) * (nanos or 0) for route, nanos in pairs)
        attempts = _tightest(subject, case, "attempts", scope)
        return one_by_one if attempts is None else min(one_by_one, attempts * dearest)
    attempts = most_attempts(subject, case, scope, [route.name for route in routes])
    if dearest == 0:
        return 0
    return None if attempts is None or dearest is None else attempts * dearest


def _by_tokens(subject: "Subject", case: Case, scope: str, routes: list[Route]) -> int | None:
    """Tokens x the dearest rate. Each attempt is rounded up, and no attempt that costs anything has no token."""
    tokens = _tightest(subject, case, "tokens", scope)
    if tokens is None or any(route.cost_nanos for route in routes):
        return None
    dearest = max((_dearest_picos(route) for route in routes), default=0)
    return -(-dearest * tokens // PICOS_PER_NANO) + (tokens if scope != "attempt" else 0)


def _attempt_nanos(subject: "Subject", case: Case, route: Route) -> int | None:
    if route.cost_nanos is not None:
        return route.cost_nanos
    tokens = _tightest(subject, case, "tokens", "attempt", route.name)
    return None if tokens is None else -(-_dearest_picos(route) * tokens // PICOS_PER_NANO)


def most_retries(subject: "Subject", case: Case, route: str) -> int:
    """The most retries of one step on a route.

    A class has at most the least count of the rules that surely apply to it, else the greatest of those that
    may; all classes of a rule that surely applies have its count together; and every retry uses up a count of the
    rule that permits it, so there are no more than the sum of the counts.
    """
    who = subject.worst.who(case, route)
    sure, maybe = dict[str, int](), dict[str, int]()
    certain: list[RetryRule] = []
    rules = subject.worst.retry_rules(case, route)
    for rule in rules:
        if applies(rule, who) is True:
            certain.append(rule)
            sure.update((name, min(sure.get(name, rule.count), rule.count)) for name in rule.classes)
        else:
            maybe.update((name, max(maybe.get(name, 0), rule.count)) for name in rule.classes)
    by_class = maybe | sure
    whole = sum(by_class.values())
    together = [rule.count + whole - sum(by_class[name] for name in rule.classes) for rule in certain]
    return min(whole, sum(rule.count for rule in rules), *together)


def _tightest(subject: "Subject", case: Case, quantity: str, scope: str, route: str | None = None) -> int | None:
    """The tightest ceiling that surely applies to a case, in this scope or one around it."""
    held: tuple[CeilingRule, ...] = subject.worst.held(case, route).surely
    return _least(rule.limit for rule in held if rule.quantity == quantity and rule.scope.execution in _WITHIN[scope])


def _dearest_picos(route: Route) -> int:
    return 0 if route.rates is None else route.rates.dearest_picos


def _least(bounds: Iterable[int | None]) -> int | None:
    return min((bound for bound in bounds if bound is not None), default=None)
