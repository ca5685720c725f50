"""Compiling small sets in tests, and what is read off them."""

from policy_engine.language.checked import CheckedPolicy
from policy_engine.language.diagnostics import Diagnostic
from policy_engine.language.source import Source
from policy_engine.policy import compile_sources


def compiled(*texts: str) -> tuple[CheckedPolicy | None, tuple[Diagnostic, ...]]:
    """The set of files `a.policy`, `b.policy` and so on."""
    return compile_sources([Source(f"{name}.policy", text) for name, text in zip("abcdefgh", texts, strict=False)])


def checked(*texts: str) -> CheckedPolicy:
    """The policy of a set that must be valid."""
    policy, found = compiled(*texts)
    assert policy is not None, [str(item) for item in found]
    return policy


def codes(*texts: str) -> list[tuple[str, str]]:
    """Code and underlined words of every mistake."""
    return [(item.code, item.span.text) for item in compiled(*texts)[1]]


def shape(policy: CheckedPolicy | None) -> object:
    """All of a policy but its rules' identity, as plain data that can be compared."""
    if policy is None:
        return None
    rules = [(r.ref, r.block, r.condition, r.shadow, r.points, type(r)) for r in policy.every_rule()]
    names = [sorted(getattr(policy, kind)) for kind in ("routes", "lanes", "plans", "packs", "workflows", "outcomes")]
    return (policy.currency, policy.timezone, policy.facts, policy.error_classes, policy.digest, names, rules)
