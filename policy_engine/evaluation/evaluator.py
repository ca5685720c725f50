"""The seam between what a policy means and how fast it is answered.

Every evaluator is made from a checked policy and answers the same five questions with
equal decisions; the reference is the yardstick. Beside each decision that takes something,
it names the limits that a ledger has to check again when it reserves.
"""

from dataclasses import dataclass
from typing import Protocol

from policy_engine.evaluation.decision import (
    AdmitDecision,
    AttemptDecision,
    FailureDecision,
    ProgressDecision,
    SettleDecision,
)
from policy_engine.evaluation.facts import AdmitFacts, AttemptFacts, FailureFacts, ProgressFacts, SettleFacts
from policy_engine.language.checked import Meter


@dataclass(frozen=True, slots=True)
class Bound:
    """At most `limit` on a counter of this meter."""

    meter: Meter
    limit: int


class Evaluator(Protocol):
    """The decision points as pure functions of facts. Each raises `FactError` for bad input, before deciding."""

    def admit(self, facts: AdmitFacts) -> AdmitDecision: ...

    def attempt(self, facts: AttemptFacts) -> AttemptDecision: ...

    def progress(self, facts: ProgressFacts) -> ProgressDecision: ...

    def failure(self, facts: FailureFacts) -> FailureDecision: ...

    def settle(self, facts: SettleFacts) -> SettleDecision: ...

    def admission_bounds(self, facts: AdmitFacts, lane: str, price_nanos: int) -> tuple[Bound, ...]: ...

    def attempt_bounds(self, facts: AttemptFacts, estimate_nanos: int | None) -> tuple[Bound, ...]: ...

    def handoff_bounds(self, facts: FailureFacts, route: str) -> tuple[Bound, ...]: ...
