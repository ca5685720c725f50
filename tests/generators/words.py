"""Lives in the package: `policy_engine.testing.strategies.words`."""

from policy_engine.testing.strategies.words import (
    CUSTOMERS,
    ERRORS,
    MONEY,
    POOLS,
    STEPS,
    WINDOWS,
    Choice,
    Names,
    literal,
)

__all__ = ["CUSTOMERS", "ERRORS", "MONEY", "POOLS", "STEPS", "WINDOWS", "Choice", "Names", "literal"]
