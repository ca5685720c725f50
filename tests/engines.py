"""Both engines for one test: what a table says of the meaning holds for each."""

import pytest

from policy_engine import policy as policies
from policy_engine.evaluation.compiler import cache
from policy_engine.evaluation.reference import ReferenceEvaluator


@pytest.fixture(params=["reference", "compiled"])
def each_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run with the reference in the compiled engine's place, then with functions generated at the first request."""
    name: str = request.param
    if name == "reference":
        monkeypatch.setitem(policies.ENGINES, policies.DEFAULT_ENGINE, ReferenceEvaluator)
    else:
        monkeypatch.setattr(cache, "ASKED_AGAIN", 1)
    return name
