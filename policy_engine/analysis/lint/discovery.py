"""Finds the lint rules: every module of `rules/` has one, in `RULE`."""

import pkgutil
from functools import cache
from importlib import import_module

from policy_engine.analysis.lint import rules
from policy_engine.analysis.lint.rule import LintRule


@cache
def every_rule() -> tuple[LintRule, ...]:
    """All rules, by code. Raises `ValueError` for a code or name given twice: a fault of the package itself."""
    found: dict[str, LintRule] = {}
    for module in pkgutil.iter_modules(rules.__path__):
        rule: LintRule = import_module(f"{rules.__name__}.{module.name}").RULE
        for key in (rule.code, rule.name):
            if key in found:
                raise ValueError(f"`{key}` is the code or name of two rules")
            found[key] = rule
    return tuple(sorted(set(found.values()), key=lambda rule: rule.code))


@cache
def by_code_or_name() -> dict[str, LintRule]:
    """Every rule under its code and under its name."""
    return {key: rule for rule in every_rule() for key in (rule.code, rule.name)}
