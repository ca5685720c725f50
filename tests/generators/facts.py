"""Lives in the package: `policy_engine.testing.strategies.asking`."""

from policy_engine.policy import Policy
from policy_engine.testing.strategies import asking
from policy_engine.testing.strategies.asking import _SCALES, Edges
from policy_engine.testing.strategies.picking import Pick

__all__ = ["_SCALES", "Asking", "Edges"]


class Asking(asking.Asking):
    """As in the package. `text` is what the policy was loaded from; the tests here know both."""

    def __init__(self, pick: Pick, policy: Policy, text: str, *, unknown: bool = True, missing: bool = False) -> None:
        del text
        super().__init__(pick, policy, unknown=unknown, missing=missing)
