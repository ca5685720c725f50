"""An evaluator bound to one route of one execution: what is fixed is given once.

A guard answers `attempt` and `progress` for an execution whose customer, plan, lane, price
and facts do not change while it runs. Both are plain functions of what does change.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from policy_engine.evaluation.decision import AttemptDecision, ProgressDecision
from policy_engine.evaluation.evaluator import Evaluator
from policy_engine.evaluation.facts import AttemptFacts, Given, ProgressFacts, Readings


class AskAttempt(Protocol):
    """May this attempt be made, and with how much? The arguments are those of `AttemptFacts`."""

    def __call__(
        self,
        meters: Readings,
        input_tokens: int | None,
        max_output_tokens: int | None,
        min_output_tokens: int | None,
        estimate_nanos: int | None,
        attempt: int,
        failures: int,
        elapsed_micros: int,
        step_elapsed_micros: int,
    ) -> AttemptDecision: ...


class AskProgress(Protocol):
    """May this attempt go on? The arguments are those of `ProgressFacts`."""

    def __call__(
        self,
        meters: Readings,
        input_tokens: int | None,
        output_tokens: int,
        output_cap: int | None,
        estimate_nanos: int | None,
        attempt: int,
        failures: int,
        elapsed_micros: int,
        step_elapsed_micros: int,
        attempt_elapsed_micros: int,
    ) -> ProgressDecision: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundTo:
    """What a guard is bound to."""

    customer: str
    outcome: str
    plan: str | None
    lane: str
    route: str
    step: str
    price_nanos: int
    given: Given

    def fields(self) -> dict[str, Any]:
        """The same as fields of a facts record."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Guard:
    """`attempt` and `progress` of one route of one execution. Both raise `FactError` as the evaluator does."""

    attempt: AskAttempt
    progress: AskProgress


def unbound_attempt(evaluator: Evaluator, to: BoundTo) -> AskAttempt:
    """An `attempt` that makes the facts record and asks the evaluator."""
    fixed = to.fields()

    def attempt(
        meters: Readings,
        input_tokens: int | None,
        max_output_tokens: int | None,
        min_output_tokens: int | None,
        estimate_nanos: int | None,
        attempt: int,
        failures: int,
        elapsed_micros: int,
        step_elapsed_micros: int,
    ) -> AttemptDecision:
        return evaluator.attempt(
            AttemptFacts(
                **fixed,
                meters=meters,
                input_tokens=input_tokens,
                max_output_tokens=max_output_tokens,
                min_output_tokens=min_output_tokens,
                estimate_nanos=estimate_nanos,
                attempt=attempt,
                failures=failures,
                elapsed_micros=elapsed_micros,
                step_elapsed_micros=step_elapsed_micros,
            )
        )

    return attempt


def unbound_progress(evaluator: Evaluator, to: BoundTo) -> AskProgress:
    """A `progress` that makes the facts record and asks the evaluator."""
    fixed = to.fields()

    def progress(
        meters: Readings,
        input_tokens: int | None,
        output_tokens: int,
        output_cap: int | None,
        estimate_nanos: int | None,
        attempt: int,
        failures: int,
        elapsed_micros: int,
        step_elapsed_micros: int,
        attempt_elapsed_micros: int,
    ) -> ProgressDecision:
        return evaluator.progress(
            ProgressFacts(
                **fixed,
                meters=meters,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                output_cap=output_cap,
                estimate_nanos=estimate_nanos,
                attempt=attempt,
                failures=failures,
                elapsed_micros=elapsed_micros,
                step_elapsed_micros=step_elapsed_micros,
                attempt_elapsed_micros=attempt_elapsed_micros,
            )
        )

    return progress


def plain_guard(evaluator: Evaluator, to: BoundTo) -> Guard:
    """A guard over any evaluator."""
    return Guard(unbound_attempt(evaluator, to), unbound_progress(evaluator, to))
