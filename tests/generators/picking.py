"""Lives in the package: `policy_engine.testing.strategies.picking`."""

from policy_engine.testing.strategies.picking import Pick, SeededPick

__all__ = ["Pick", "SeededPick"]
