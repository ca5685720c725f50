"""The meaning of a policy, slow and obvious: straight from the checked policy, rule by rule.

The yardstick for every faster evaluator: same facts, same decision, word for word.
"""

from policy_engine.evaluation.decision import (
    AdmitDecision,
    AttemptDecision,
    Digests,
    FailureDecision,
    ProgressDecision,
    SettleDecision,
)
from policy_engine.evaluation.evaluator import Bound
from policy_engine.evaluation.facts import AdmitFacts, AttemptFacts, FailureFacts, ProgressFacts, SettleFacts
from policy_engine.evaluation.reference.admission import admit
from policy_engine.evaluation.reference.attempts import attempt, progress
from policy_engine.evaluation.reference.bounds import admission_bounds, attempt_bounds, handoff_bounds
from policy_engine.evaluation.reference.failures import failure
from policy_engine.evaluation.reference.settlement import settle
from policy_engine.evaluation.reference.view import View, Views
from policy_engine.language.checked import CheckedPolicy


class ReferenceEvaluator:
    """Every decision point as a pure function of facts: no clock, no ledger, no file.

    `views` makes what conditions see; one that takes notes shows what a decision looks at.
    """

    def __init__(self, policy: CheckedPolicy, digests: Digests, views: Views = View) -> None:
        self._policy = policy
        self._digests = digests
        self._views = views

    def admit(self, facts: AdmitFacts) -> AdmitDecision:
        """May this execution start? Raises `FactError` for a required fact that was not given."""
        return admit(self._policy, self._digests, facts, self._views)

    def attempt(self, facts: AttemptFacts) -> AttemptDecision:
        """May this attempt be made, and with how much? Raises `FactError` as `admit` does."""
        return attempt(self._policy, self._digests, facts, self._views)

    def progress(self, facts: ProgressFacts) -> ProgressDecision:
        """May this attempt go on? Raises `FactError` as `admit` does."""
        return progress(self._policy, self._digests, facts, self._views)

    def failure(self, facts: FailureFacts) -> FailureDecision:
        """Where does the step go now? Raises `FactError` as `admit` does."""
        return failure(self._policy, self._digests, facts, self._views)

    def settle(self, facts: SettleFacts) -> SettleDecision:
        """What becomes of the promised unit?"""
        return settle(self._policy, self._digests, facts)

    def admission_bounds(self, facts: AdmitFacts, lane: str, price_nanos: int) -> tuple[Bound, ...]:
        """The limits that an admission into this lane leans on."""
        return admission_bounds(self._policy, facts, lane, price_nanos, self._views)

    def attempt_bounds(self, facts: AttemptFacts, estimate_nanos: int | None) -> tuple[Bound, ...]:
        """The ceilings that an attempt leans on, those without a counter left out."""
        return attempt_bounds(self._policy, facts, estimate_nanos, self._views)

    def handoff_bounds(self, facts: FailureFacts, route: str) -> tuple[Bound, ...]:
        """The limits that a handoff leans on."""
        return handoff_bounds(self._policy, facts, route, self._views)
