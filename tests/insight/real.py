"""The real traces: where they are, and the count of tests that ran on them."""

import os
from pathlib import Path

import pytest

DEFAULT = Path(__file__).parents[3] / "shared" / "data"
PROPERTY = "real_trace"


def folder() -> Path:
    """`POLICY_ENGINE_DATA`, else the folder beside the checkout."""
    return Path(os.environ.get("POLICY_ENGINE_DATA") or DEFAULT)


def real_trace(request: pytest.FixtureRequest, name: str) -> Path:
    """The path of one real trace; skips, saying so, where it is absent."""
    path = folder() / name
    if not path.exists():
        pytest.skip(f"no real traces here: {name} is not in POLICY_ENGINE_DATA or its default")
    request.node.user_properties.append((PROPERTY, name))
    return path
