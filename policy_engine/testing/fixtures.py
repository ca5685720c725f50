"""pytest fixtures of policies."""

from typing import TYPE_CHECKING, Any, Literal

from policy_engine.policy import DEFAULT_ENGINE, Policy, PolicyPath, load
from policy_engine.prices.table import PriceTable
from policy_engine.testing.extra import missing

if TYPE_CHECKING:
    from collections.abc import Callable

    Fixture = Callable[..., Policy]

Scope = Literal["session", "package", "module", "class", "function"]


def policy_fixture(
    *paths: PolicyPath, scope: Scope = "session", prices: PriceTable | None = None, engine: str = DEFAULT_ENGINE
) -> Any:
    """A fixture that is the policy of these paths, loaded once per `scope`.

    `support = policy_fixture("support.policy")` in a module or a `conftest.py` gives its tests `support`. A policy
    never changes, so tests may share it. Raises `ImportError` without the extra `test`.
    """
    try:
        import pytest
    except ModuleNotFoundError as error:
        raise missing("policy_fixture", error) from error

    @pytest.fixture(scope=scope)
    def policy() -> Policy:
        return load(paths, prices=prices, engine=engine)

    return policy
