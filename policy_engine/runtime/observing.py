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

    def attempt_entered(self, attempt: "Attempt") -> None:
        """Its call is made now, in this thread and task, until `attempt_left`."""

    def attempt_left(self, attempt: "Attempt") -> None:
        """The call has returned or failed, and is not settled yet. Said of each `attempt_entered`, if not only once."""

    def attempt_ended(self, attempt: "Attempt") -> None:
        """It is settled: `attempt.cost_nanos`, `.usage`, `.error` (an error class, or None), `.over`, `.left_by`."""

    def attempt_released(self, attempt: "Attempt") -> None:
        """It was given back, and nothing is charged: the call was never made."""

    def ended(self, run: "Execution") -> None:
        """The caller has left the execution; `run.state`, `.spent_nanos`, `.revenue_nanos`, `.left_by` say how."""

    def store_failed(self, error: Exception) -> None:
        """The ledger did not answer."""

    def forked(self) -> None:
        """Here in a process that was forked off: what is under way is its parent's, and who held a lock is not here."""


class Observers:
    """All of them, as one."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self.all = tuple(observers)

    def tell(self, what: str, *about: Any) -> None:
        """Call one method of each."""
        for observer in self.all:
            try:
                getattr(observer, what)(*about)
            except Exception:  # whatever is the matter with who only listens: the call is made, and paid for
                log.exception("an observer failed in `%s`", what)
