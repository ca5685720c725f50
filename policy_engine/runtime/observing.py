"""Who listens to the engine: telemetry and decision logs.

Observers are told after the fact and decide nothing. What one of them raises is logged and goes no further: no
listener stops work or loses money.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from policy_engine.evaluation.decision import Decision
from policy_engine.evaluation.facts import Facts

if TYPE_CHECKING:
    from policy_engine.runtime.attempt import Attempt
    from policy_engine.runtime.execution import Execution
    from policy_engine.runtime.step import Step

log = logging.getLogger("policy_engine.runtime")


class Observer:
    """Override what is of interest. Calls come from whichever thread does the work, in the order of each execution."""

    def decided(self, decision: Decision, facts: Facts, run: "Execution | None", step: "Step | None") -> None:
        """The policy was asked: `facts` are all it read (point, customer, meters …), enough to ask it again.

        `run` is None for an admission, `step` for what concerns no step.
        """

    def began(self, run: "Execution") -> None:
        """An execution was admitted, or taken over (`run.resumed`)."""

    def attempt_began(self, attempt: "Attempt") -> None:
        """An amount is reserved; the call comes next."""

    def attempt_ended(self, attempt: "Attempt") -> None:
        """It is settled: `attempt.cost_nanos`, `.usage`, `.error` (an error class, or None), `.over`."""

    def ended(self, run: "Execution") -> None:
        """The caller has left the execution; `run.state`, `run.spent_nanos`, `run.revenue_nanos` say how."""

    def store_failed(self, error: Exception) -> None:
        """The ledger did not answer."""


class Observers:
    """All of them, as one."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self.all = tuple(observers)

    def tell(self, what: str, *about: Any) -> None:
        """Call one method of each."""
        for observer in self.all:
            try:
                getattr(observer, what)(*about)
            except Exception:
                log.exception("an observer failed in `%s`", what)
