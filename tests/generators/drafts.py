"""Lives in the package: `policy_engine.testing.strategies.drafts`."""

from policy_engine.testing.strategies.drafts import Block, Draft, loaded

__all__ = ["Block", "Draft", "loaded"]
