"""From facts to the function that answers them, by no more names than make a difference.

A policy whose plans say nothing about attempts needs no plan to choose an attempt's function;
with one outcome, the outcome chooses nothing. What is left is often one name, and looking it
up one dictionary read.
"""

import ast
from collections.abc import Callable, Iterable
from typing import Any

from policy_engine.evaluation.compiler.quoting import (
    Namespace,
    expression,
    function,
    load,
    name,
    row,
    statements,
)
from policy_engine.language.checked import CeilingRule, CheckedPolicy, Rule, reads
from policy_engine.language.vocabulary import Point

Names = tuple[str, ...]


def names_of_attempts(policy: CheckedPolicy, customers: frozenset[str]) -> Names:
    """What attempts and their progress differ by."""
    ceilings = [rule for rule in policy.every_rule() if isinstance(rule, CeilingRule)]
    found = _common(policy, customers)
    found += ["plan"] if _stands_in("plan", ceilings) or _reads("plan", ceilings) else []
    found += ["lane"] if _stands_in("lane", ceilings) or _reads("lane", ceilings) else []
    found += ["route"] if len(policy.routes) > 1 else []
    return tuple(found) or ("route",)


def names_of_failures(policy: CheckedPolicy, customers: frozenset[str]) -> Names:
    """What failures differ by."""
    rules = [rule for rule in policy.every_rule() if Point.FAILURE in rule.points or isinstance(rule, CeilingRule)]
    found = ["error", *_common(policy, customers)]
    found += ["plan"] if _stands_in("plan", rules) or _reads("plan", rules) else []
    found += ["lane"] if len(policy.lanes) > 1 else []
    found += ["route"] if len(policy.routes) > 1 else []
    return tuple(found)


def names_of_admission(policy: CheckedPolicy, customers: frozenset[str]) -> Names:
    """What admissions differ by: the lane asked for and, for what they draw on, the plan."""
    return (*_common(policy, customers), *(["plan"] if policy.plans else []), "lane")


def asking(
    title: str, names: Names, ready: dict[Any, Any], make: Callable[..., Any], customers: frozenset[str]
) -> Callable[..., Any]:
    """The function that finds the function: `make` is asked with the key and the facts where there is none yet."""
    parts: list[ast.expr] = [
        expression("f.customer if f.customer in customers else None")
        if known == "customer"
        else ast.Attribute(name("f"), known, ast.Load())
        for known in names
    ]
    key = parts[0] if len(parts) == 1 else row(parts)
    body = statements(
        "key = KEY\ntry:\n    made = ready[key]\nexcept KeyError:\n    made = make(key, f)\nreturn made(f)", KEY=key
    )
    namespace = Namespace(ready=ready, make=make, customers=customers)
    found: Callable[..., Any] = load(function(title, ["f"], body), namespace, title)
    return found


def _common(policy: CheckedPolicy, customers: frozenset[str]) -> list[str]:
    return [*(["outcome"] if len(policy.outcomes) > 1 else []), *(["customer"] if customers else [])]


def _stands_in(kind: str, rules: Iterable[Rule]) -> bool:
    return any(rule.block.kind == kind for rule in rules)


def _reads(known: str, rules: Iterable[Rule]) -> bool:
    return any(read.name == known and not read.is_fact for rule in rules for read in reads(rule.condition))
