"""The seam between what a policy means and how fast it is answered.

Every evaluator is made from a checked policy and answers the same five questions with
equal decisions; the reference is the yardstick.
"""

from typing import Protocol

from policy_engine.evaluation.decision import (
    AdmitDecision,
    AttemptDecision,
    FailureDecision,
    ProgressDecision,
    SettleDecision,
)
from policy_engine.evaluation.facts import AdmitFacts, AttemptFacts, FailureFacts, ProgressFacts, SettleFacts


class Evaluator(Protocol):
    """The decision points as pure functions of facts. Each raises `FactError` for bad input, before deciding."""

    def admit(self, facts: AdmitFacts) -> AdmitDecision: ...

    def attempt(self, facts: AttemptFacts) -> AttemptDecision: ...

    def progress(self, facts: ProgressFacts) -> ProgressDecision: ...

    def failure(self, facts: FailureFacts) -> FailureDecision: ...

    def settle(self, facts: SettleFacts) -> SettleDecision: ...
