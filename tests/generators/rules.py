"""Lives in the package: `policy_engine.testing.strategies.rules`."""

from policy_engine.testing.strategies.rules import Kinds, Rules

__all__ = ["Kinds", "Rules"]
