"""The dozen-rule set, loaded, and its own words: rules by name, counters, digests.

What a hand-written program would keep as constants beside its functions.
"""

from pathlib import Path

from policy_engine.evaluation.decision import Digests
from policy_engine.language.checked import ATTEMPTS, SPENT, BlockId, Meter, RuleRef, Scope
from policy_engine.policy import Policy, load

PATH = Path(__file__).with_name("dozen.policy")
TEXT = PATH.read_text(encoding="utf-8")
"""The policy as a text: its rules then name the file `<text>`, wherever the checkout is."""


def policy(engine: str = "reference") -> Policy:
    """The set under one of `policy_engine.policy.ENGINES`."""
    return load(TEXT, engine=engine)


_POLICY = policy()
DIGESTS = Digests(_POLICY.checked.digest, _POLICY.prices.digest)
CURRENCY = _POLICY.checked.currency
_NAMES = {rule.ref.name: rule.ref for rule in _POLICY.checked.every_rule()}


def rule(beginning: str) -> RuleRef:
    """The one rule whose name begins so."""
    (found,) = (ref for name, ref in _NAMES.items() if name.startswith(beginning))
    return found


MINI_CEILING = rule("ceiling $0.02")
SONNET_CEILING = rule("ceiling $0.12")
OPUS_CEILING = rule("ceiling $0.25")
PREMIUM_ALLOW = rule("allow")
DENY_LIST = rule("deny_list")
BUDGET = rule("ceiling $20")
MARGIN = rule("margin")
MOST_ATTEMPTS = rule("ceiling 6 attempts")
MOST_TIME = rule("ceiling 90s")
SHADOW = rule("shadow")
RETRY_BASE = rule("retry 1")
RETRY_ALL = rule("retry 3")
GIVE_UP = rule("fallback stop")
GO_ON = rule("fallback next")
_BASE_OVERAGE = _POLICY.checked.plans["base"].overage
assert _BASE_OVERAGE is not None  # noqa: S101 - the policy says so
OVERAGE_CAP = _BASE_OVERAGE.ref

SUPPORT_PER_DAY = Meter("spent", BlockId("workflow", "support"), Scope(key="customer", window="day"))
BASE_BILLED = Meter("overage", BlockId("plan", "base"), Scope(key="customer", window="month"))
METERS = (SPENT, ATTEMPTS, SUPPORT_PER_DAY, BASE_BILLED)
