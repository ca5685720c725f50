"""Lives in the package: `policy_engine.testing.strategies.whole`."""

from policy_engine.testing.strategies.whole import Case, Shape, extra_rule, generated, policies

__all__ = ["Case", "Shape", "extra_rule", "generated", "policies"]
