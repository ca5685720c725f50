"""What ends work for good. None of these is retryable, and none is an instance of any client's error."""

from typing import Any

from policy_engine.evaluation.decision import AdmitDecision, Decision, FailureDecision, ProgressDecision
from policy_engine.ledger.protocol import ExecutionRecord


class Terminal(Exception):
    """What the policy ended. `decision` says which rules decided, None where none was asked.

    No attempt absorbs one of these, whatever its errors are mapped to.
    """

    decision: Decision | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # As it is, whatever its `__init__` takes: what a worker raises has to come through to whoever waits for it.
        return _as_it_was, (type(self), self.args, self.__dict__)


def _as_it_was(kind: type[Terminal], args: tuple[Any, ...], state: dict[str, Any]) -> Terminal:
    made = kind.__new__(kind, *args)
    made.__dict__.update(state)
    return made


class Denied(Terminal):
    """The policy does not let this execution start. `decision` says which rules decided; nothing was spent."""

    def __init__(self, decision: AdmitDecision, asked: str = "") -> None:
        super().__init__(f"{decision}; {asked}" if asked else str(decision))
        self.decision: AdmitDecision = decision


class HandedOff(Terminal):
    """The execution has ended in a handoff.

    `route` is its name in the policy, `target` the text after `handoff`, `cost_nanos` its flat cost.
    """

    def __init__(self, decision: FailureDecision, *, route: str, target: str, cost_nanos: int, why: str) -> None:
        super().__init__(f"handed off to `{target}` after {why}")
        self.decision: FailureDecision = decision
        self.route = route
        self.target = target
        self.cost_nanos = cost_nanos


class Stopped(Terminal):
    """A step has nowhere to go, and no error of a client says why: its attempts were refused, or failed by word.

    `decision` is the last one, `refusal` what the policy said before it of the attempt that was not made.
    """

    def __init__(self, step: str, decision: Decision, refusal: Decision | None = None, *, why: str) -> None:
        super().__init__(f"the step `{step}` has nowhere to go after {why}")
        self.decision: Decision = decision
        self.refusal = refusal


class Cut(Terminal):
    """A stream was cut. Its attempt has failed with `over_ceiling`; seen outside only if no other follows."""

    def __init__(self, decision: ProgressDecision) -> None:
        super().__init__(str(decision))
        self.decision: ProgressDecision = decision


class InProgress(Terminal):
    """Somebody else works on the execution with this key. `record` is its state, `record.lease_micros` until when."""

    def __init__(self, record: ExecutionRecord) -> None:
        super().__init__(f"the execution `{record.key}` is in progress: its owner is alive, or its lease has not ended")
        self.record = record


class NoExecution(LookupError):
    """Nothing was begun with this key, or it was pruned from the ledger."""


class NotRunning(Exception):
    """An execution, a step or an attempt was used after its end, or in an order that cannot be."""
