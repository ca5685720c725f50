"""A case that is a story: a timeline of one execution or several, with expectations after any event."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policy_engine.evaluation.decision import Decision
from policy_engine.evaluation.facts import FactError, Facts
from policy_engine.language.source import Span
from policy_engine.language.units import UnitError
from policy_engine.policy import Policy
from policy_engine.testing import given, mistakes
from policy_engine.testing.cases import Failure, Kind, Result
from policy_engine.testing.expectation import Expectation, Unfit
from policy_engine.testing.play import Moment, OutOfOrder, Play
from policy_engine.testing.timeline import POINT_OF, Event


@dataclass(slots=True, eq=False)
class ScenarioCase:
    """The story ends at the first event after which something is not as expected."""

    name: str
    file: Path
    span: Span
    start: str
    timeline: tuple[Event, ...]

    kind: Kind = "scenario"

    @property
    def line(self) -> int:
        return self.span.line

    def run(self, policy: Policy) -> Result:
        play = Play(policy, self.start)
        moment = Moment(None)
        for event in self.timeline:
            try:
                moment = play.happen(event)
            except OutOfOrder as error:
                return Result(case=self, failures=(_stuck(event, str(error), moment),))
            except (FactError, UnitError) as error:
                return Result(case=self, problem=mistakes.bad_value(_wrong(event, error), str(error)))
            try:
                failures = _differences(policy, event, moment)
            except Unfit as error:
                return Result(case=self, problem=mistakes.bad_value(error.span, str(error)))
            if failures:
                return Result(case=self, failures=failures)
        return Result(case=self)


def _differences(policy: Policy, event: Event, moment: Moment) -> tuple[Failure, ...]:
    currency = policy.checked.currency
    point = POINT_OF.get(event.kind)
    failures: tuple[Failure, ...] = ()
    if event.decision is not None:
        failures += _compared(policy, event, event.decision, moment.decision, moment.facts, point)
    if event.then is not None:
        failures += _compared(policy, event, event.then, moment.then, None, "failure")
    if event.world is not None:
        if moment.told is None:
            failures += (_stuck(event, "nothing was admitted yet", moment),)
        else:
            failures += event.world.differences(moment.told, currency, lambda: {"event": event.title})
    return failures


def _compared(
    policy: Policy, event: Event, wanted: Expectation, decision: Decision | None, facts: Facts | None, point: str | None
) -> tuple[Failure, ...]:
    if decision is None:
        return (Failure(where=wanted.span, key="then", expected="a decision", got="the attempt was not refused"),)

    def details() -> dict[str, Any]:
        return {"event": event.title, "facts": None if facts is None else given.mapping(policy, facts)}

    return wanted.differences(decision, policy.checked.currency, details, point=point)


def _stuck(event: Event, why: str, before: Moment) -> Failure:
    """An event that cannot happen: the story went another way before."""
    decision = before.told.decision if before.told is not None else None
    return Failure(
        where=event.span,
        key=event.kind or "expect",
        expected="it happens",
        got=why,
        event=event.title,
        decision=decision,
    )


def _wrong(event: Event, error: Exception) -> Span:
    """The entry that an error is about, if the event has it."""
    name = getattr(error, "name", "")
    entry = event.given.own.get(name) or event.given.shared.get(name)
    return entry.span if entry is not None else event.span
