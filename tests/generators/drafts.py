"""Lives in the package: `policy_engine.testing.strategies.drafts`."""

from policy_engine.testing.strategies.drafts import Block, Draft, loaded, prices_of

__all__ = ["Block", "Draft", "loaded", "prices_of"]
