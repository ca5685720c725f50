"""What ends work for good. None of these is retryable, and none is an instance of any client's error."""

from policy_engine.evaluation.decision import AdmitDecision


class Denied(Exception):
    """The policy does not let this execution start. `decision` says which rules decided; nothing was spent."""

    def __init__(self, decision: AdmitDecision) -> None:
        super().__init__(str(decision))
        self.decision = decision


class NotRunning(Exception):
    """An execution, a step or an attempt was used after its end, or in an order that cannot be."""
