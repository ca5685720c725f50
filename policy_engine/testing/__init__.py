"""Tests of policies: files of cases, and the same for tests written in Python.

    from policy_engine.testing import check, policy_fixture

    policy = policy_fixture("policies/customer_support")

    def test_hard_tickets_get_the_strong_model(policy):
        check(policy, "admit", {"plan": "growth", "outcome": "support_reply", "risk": "high", "region": "us"},
              lane="premium")

Each name is imported when it is first used; the strategies and `policy_fixture` need the extra `test`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from policy_engine.runtime.clock import PinnedClock
    from policy_engine.testing.asserting import check, check_decision, check_story, in_memory
    from policy_engine.testing.cases import Case, Failure, Result
    from policy_engine.testing.files import TestFile, collect
    from policy_engine.testing.fixtures import policy_fixture
    from policy_engine.testing.runner import Run, run

_HOMES = {
    "Case": "policy_engine.testing.cases",
    "Failure": "policy_engine.testing.cases",
    "PinnedClock": "policy_engine.runtime.clock",
    "Result": "policy_engine.testing.cases",
    "Run": "policy_engine.testing.runner",
    "TestFile": "policy_engine.testing.files",
    "check": "policy_engine.testing.asserting",
    "check_decision": "policy_engine.testing.asserting",
    "check_story": "policy_engine.testing.asserting",
    "collect": "policy_engine.testing.files",
    "in_memory": "policy_engine.testing.asserting",
    "policy_fixture": "policy_engine.testing.fixtures",
    "run": "policy_engine.testing.runner",
}

__all__ = [
    "Case",
    "Failure",
    "PinnedClock",
    "Result",
    "Run",
    "TestFile",
    "check",
    "check_decision",
    "check_story",
    "collect",
    "in_memory",
    "policy_fixture",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
