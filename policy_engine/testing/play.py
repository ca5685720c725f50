"""A story, played: executions through the runtime, over a ledger in memory and a clock that is moved by hand."""

from copy import copy
from dataclasses import dataclass, field
from typing import Any

from policy_engine.evaluation.decision import Decision
from policy_engine.evaluation.facts import Facts, Reading
from policy_engine.language.units import UnitError
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.protocol import LedgerError
from policy_engine.policy import Policy
from policy_engine.runtime.attempt import Attempt
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.counting import Place
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Denied, NotRunning
from policy_engine.runtime.execution import Execution
from policy_engine.runtime.step import Step
from policy_engine.runtime.usage import UsageError
from policy_engine.testing.aspects import nanos
from policy_engine.testing.entries import CUSTOMER, STEP
from policy_engine.testing.timeline import LAST_YEAR, SETTLING, Event, moment_micros

_LATEST = moment_micros(f"{LAST_YEAR}-12-31", "UTC")
_NUMBERS = ("input_tokens", "max_output_tokens", "min_output_tokens")


class OutOfOrder(Exception):
    """An event that cannot happen where the story has come to. Its text says what is the matter."""


@dataclass(slots=True)
class Told:
    """One execution of a story, as far as it has been told; `decision` is the last one about it."""

    engine: Engine
    place: Place
    decision: Decision
    execution: Execution | None = None
    step: Step | None = None
    attempt: Attempt | None = None
    asked: dict[str, int] = field(default_factory=dict)
    over: tuple[str, ...] = ()

    def reading(self, name: str) -> Reading | None:
        """A counter by its written form, for this execution and now; None if the policy has none like it."""
        meter = self.engine.policy.boundary.meters.get(" ".join(name.split()))
        if meter is None:
            return None
        place = self.place if self.step is None else self.place.at(step=self.step.name, route=self.step.route)
        counter = place.counter(meter, self.engine.clock.now_micros(), self.engine.zone)
        return self.engine.ledger.readings([counter]).get(counter)

    def units(self, name: str) -> int | None:
        """Units left of the allowance, or of a pack."""
        packs = self.engine.checked.packs
        outcome = packs[name].outcome if name in packs else self.place.outcome
        grants = self.engine.ledger.grants(self.place.customer, outcome, self.engine.clock.now_micros()) or ()
        if name in packs:
            found = [grant.left for grant in grants if grant.id.startswith(f"{name}/")]
        else:
            found = [grant.left for grant in grants if grant.kind == name]
        return sum(found) if found else None


@dataclass(slots=True)
class Moment:
    """What an event led to: decisions (the policy's answer, and where a refusal leads to), and whom it is about."""

    told: Told | None
    decision: Decision | None = None
    facts: Facts | None = None
    then: Decision | None = None


class Listening:
    """An evaluator that remembers what it was asked last. All else goes to the one it stands for."""

    def __init__(self, evaluator: Any) -> None:
        self._evaluator = evaluator
        self.heard: dict[str, Facts] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._evaluator, name)
        if name not in ("admit", "attempt", "progress", "failure", "settle"):
            return found

        def ask(facts: Facts, *rest: Any) -> Any:
            self.heard[name] = facts
            return found(facts, *rest)

        return ask


class Play:
    """Makes the events of a story happen, one after the other."""

    def __init__(self, policy: Policy, start: str) -> None:
        _ = policy.boundary  # made once, and shared with the copy
        self.policy = copy(policy)
        self._listening = Listening(policy.evaluator)
        self.policy.evaluator = self._listening
        self.clock = PinnedClock(moment_micros(start, policy.checked.timezone))
        self.engine = Engine(self.policy, ledger=MemoryLedger(), clock=self.clock)
        self.told: dict[str, Told] = {}
        self._last = ""
        self._bought = 0

    def happen(self, event: Event) -> Moment:
        """Let it happen. Raises `OutOfOrder`, and `FactError` for what the policy cannot use."""
        kind = event.kind
        if kind == "admit":
            return self._admit(event)
        if kind in ("wait", "clock", "top_up", "") and not event.of and not self.told:
            self._elsewhere(event, None)
            return Moment(None)
        told = self._whom(event)
        if kind in ("wait", "clock", "top_up", ""):
            self._elsewhere(event, told)
            return Moment(told)
        if kind == "attempt":
            return self._attempt(event, told)
        execution = _admitted(told)
        if kind in SETTLING:
            told.decision = getattr(execution, kind)()
            return Moment(told, told.decision, self._listening.heard.get("settle"))
        attempt = told.attempt
        if attempt is None:
            refused = told.decision.point == "attempt" and not told.decision.permits
            raise OutOfOrder("the attempt was refused" if refused else "no attempt is running")
        if kind == "progress":
            told.decision = attempt.progress(event.values["output_tokens"])
            return Moment(told, told.decision, self._listening.heard["progress"])
        return self._end(event, told, attempt)

    # ------------------------------------------------------------ events

    def _admit(self, event: Event) -> Moment:
        values = {name: node.plain() for name, node in {**event.given.shared, **event.given.own}.items()}
        facts = {name: value for name, value in values.items() if name in self.policy.checked.facts}
        customer = str(values.get("customer") or CUSTOMER)
        outcome = str(values.get("outcome"))
        plan, lane = (str(values[key]) if values.get(key) is not None else None for key in ("plan", "lane"))
        name = event.name or f"execution {len(self.told) + 1}"
        try:
            execution = self.engine.execution(outcome, customer=customer, plan=plan, facts=facts, lane=lane, key=name)
        except Denied as denied:
            workflow = self.policy.checked.outcomes[outcome].workflow
            place = Place(execution=name, customer=customer, plan=plan, workflow=workflow, outcome=outcome)
            told = Told(self.engine, place, denied.decision)
        else:
            told = Told(self.engine, execution.place, execution.decision, execution)
        self.told[name] = told
        self._last = name
        return Moment(told, told.decision, self._listening.heard.get("admit"))

    def _attempt(self, event: Event, told: Told) -> Moment:
        execution = _admitted(told)
        if told.step is None or (event.step and event.step != told.step.name):
            told.step = _in_order(execution.step, event.step or STEP)
        if "again" not in event.values:
            told.asked = {name: event.values[name] for name in _NUMBERS if name in event.values}
            if "estimate" in event.values:
                told.asked["estimate_nanos"] = nanos(event.values["estimate"], self.policy.checked.currency)
        said = len(told.step.decisions)
        told.attempt = _in_order(told.step.ask, **told.asked)
        decision, *then = told.step.decisions[said:]
        told.decision = decision
        return Moment(told, decision, self._listening.heard["attempt"], then[0] if then else None)

    def _end(self, event: Event, told: Told, attempt: Attempt) -> Moment:
        used: dict[str, int] = {
            name: event.values[name] for name in ("input_tokens", "output_tokens") if name in event.values
        }
        if "cost" in event.values:
            used["cost_nanos"] = nanos(event.values["cost"], self.policy.checked.currency)
            if used["cost_nanos"] < 0:
                raise UnitError("`cost` is below zero; write what the attempt cost")
        told.attempt = None
        if event.kind == "succeed":
            told.over = _in_order(attempt.succeed, **used)
            return Moment(told)
        told.decision = _in_order(attempt.fail, event.values["error"], **used)
        return Moment(told, told.decision, self._listening.heard.get("failure"))

    def _elsewhere(self, event: Event, told: Told | None) -> None:
        """What happens to the world and to no execution."""
        if event.kind == "wait":
            if self.clock.now_micros() + event.values["micros"] > _LATEST:
                raise OutOfOrder(f"the clock would stand behind the year {LAST_YEAR}")
            self.clock.sleep(event.values["micros"])
        elif event.kind == "clock":
            self.clock.set(moment_micros(event.values["for"], self.policy.checked.timezone))
        elif event.kind == "top_up":
            customer = event.values.get("customer") or (told.place.customer if told is not None else CUSTOMER)
            self._bought += 1
            self.engine.top_up(customer, event.values["pack"], key=str(self._bought))

    def _whom(self, event: Event) -> Told:
        """The execution an event is about: the one it names, else the one last spoken of."""
        name = event.of or self._last
        if name not in self.told:
            raise OutOfOrder(f"nothing was admitted as `{name}`" if name else "nothing was admitted yet")
        self._last = name
        return self.told[name]


def _admitted(told: Told) -> Execution:
    if told.execution is None:
        raise OutOfOrder("it was not admitted")
    return told.execution


def _in_order(do: Any, *args: Any, **values: Any) -> Any:
    try:
        return do(*args, **values)
    except NotRunning as error:
        raise OutOfOrder(str(error)) from None
    except (LedgerError, UsageError):
        raise OutOfOrder("it used more than a ledger counts") from None
