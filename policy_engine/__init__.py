"""Policy as code for priced AI outcomes.

    policy = policy_engine.load("support.policy")
    decision = policy.admit({"customer": "acme", "plan": "growth", "outcome": "support_draft", ...})

Importing the package is cheap: each public name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from policy_engine.evaluation.decision import (
        AdmitDecision,
        AttemptDecision,
        Decision,
        FailureDecision,
        ProgressDecision,
        SettleDecision,
    )
    from policy_engine.evaluation.facts import FactError
    from policy_engine.language.diagnostics import Diagnostic, PolicyError
    from policy_engine.ledger.memory import MemoryLedger
    from policy_engine.ledger.protocol import LedgerError, LedgerUnavailable
    from policy_engine.ledger.sqlite import SqliteLedger
    from policy_engine.policy import LivePolicy, Policy, load
    from policy_engine.prices.records import PriceError
    from policy_engine.prices.table import PriceTable
    from policy_engine.runtime.engine import Engine
    from policy_engine.runtime.errors import Cut, Denied, HandedOff, InProgress, NoExecution, NotRunning, Stopped
    from policy_engine.runtime.usage import UsageError

__version__ = "0.1.0"

_HOMES = {
    "AdmitDecision": "policy_engine.evaluation.decision",
    "AttemptDecision": "policy_engine.evaluation.decision",
    "Cut": "policy_engine.runtime.errors",
    "Decision": "policy_engine.evaluation.decision",
    "Denied": "policy_engine.runtime.errors",
    "Diagnostic": "policy_engine.language.diagnostics",
    "Engine": "policy_engine.runtime.engine",
    "FactError": "policy_engine.evaluation.facts",
    "FailureDecision": "policy_engine.evaluation.decision",
    "HandedOff": "policy_engine.runtime.errors",
    "InProgress": "policy_engine.runtime.errors",
    "LedgerError": "policy_engine.ledger.protocol",
    "LedgerUnavailable": "policy_engine.ledger.protocol",
    "LivePolicy": "policy_engine.policy",
    "MemoryLedger": "policy_engine.ledger.memory",
    "NoExecution": "policy_engine.runtime.errors",
    "NotRunning": "policy_engine.runtime.errors",
    "Policy": "policy_engine.policy",
    "PolicyError": "policy_engine.language.diagnostics",
    "PriceError": "policy_engine.prices.records",
    "PriceTable": "policy_engine.prices.table",
    "ProgressDecision": "policy_engine.evaluation.decision",
    "SettleDecision": "policy_engine.evaluation.decision",
    "SqliteLedger": "policy_engine.ledger.sqlite",
    "Stopped": "policy_engine.runtime.errors",
    "UsageError": "policy_engine.runtime.usage",
    "load": "policy_engine.policy",
}

__all__ = [
    "AdmitDecision",
    "AttemptDecision",
    "Cut",
    "Decision",
    "Denied",
    "Diagnostic",
    "Engine",
    "FactError",
    "FailureDecision",
    "HandedOff",
    "InProgress",
    "LedgerError",
    "LedgerUnavailable",
    "LivePolicy",
    "MemoryLedger",
    "NoExecution",
    "NotRunning",
    "Policy",
    "PolicyError",
    "PriceError",
    "PriceTable",
    "ProgressDecision",
    "SettleDecision",
    "SqliteLedger",
    "Stopped",
    "UsageError",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
