"""How many examples a property gets, and whether they are the same ones every time.

An ordinary run is repeatable. `POLICY_ENGINE_EXAMPLES=20` asks for twenty times as many examples, fresh ones:
for a soak.
"""

import os

from hypothesis import HealthCheck, settings

_ASKED = os.environ.get("POLICY_ENGINE_EXAMPLES", "")
MULTIPLIER = int(_ASKED) if _ASKED.isdigit() and int(_ASKED) > 0 else 1


def examples(count: int) -> settings:
    """Settings for a property that wants so many examples in an ordinary run."""
    return settings(
        max_examples=count * MULTIPLIER,
        deadline=None,
        derandomize=not _ASKED,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )
