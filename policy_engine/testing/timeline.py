"""The timeline of a scenario as it is written: one event after the other, each perhaps with an expectation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from policy_engine.language.diagnostics import Diagnostic
from policy_engine.language.source import Span
from policy_engine.language.units import UnitError
from policy_engine.ledger.windows import micros_of
from policy_engine.testing import expectation, mistakes
from policy_engine.testing.aspects import ASPECTS, Aspect, micros, shown
from policy_engine.testing.entries import Entries, resolve
from policy_engine.testing.expectation import Expectation
from policy_engine.testing.forms import AskForm, Form, ProgressForm, TopUpForm, UseForm, shape
from policy_engine.testing.nodes import Node
from policy_engine.testing.world import WORLD, Counter, Units

START = "2026-01-05 09:00"
"""Where the clock stands if a story does not say: a Monday morning in the policy's time zone."""

FIRST_YEAR, LAST_YEAR = 1900, 2999
"""Where the clock of a story may stand; the calendar ends at the year 9999, and windows look ahead."""

SETTLING = ("deliver", "accept", "reject", "reverse", "lapse", "abort")
EVENTS = ("admit", "attempt", "progress", "succeed", "fail", *SETTLING, "wait", "clock", "top_up")
MODIFIERS = ("as", "of", "step", "expect")
POINT_OF = {"admit": "admit", "attempt": "attempt", "progress": "progress", "fail": "failure"} | dict.fromkeys(
    SETTLING, "settle"
)
"""The decision point at which an event asks the policy."""

AGAIN = "again"


@dataclass(slots=True)
class Event:
    """One thing that happens. `kind` is one of `EVENTS`, or empty for a mere look; `values` is what it needs."""

    kind: str
    span: Span
    node: Node
    name: str = ""
    of: str = ""
    step: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    given: Entries = field(default_factory=Entries)
    decision: Expectation | None = None
    then: Expectation | None = None  # after a refused attempt: where the step goes
    world: Expectation | None = None

    @property
    def title(self) -> str:
        """The event in one word or two, for reports."""
        what = next(
            (str(v) for v in (self.values.get("error"), self.values.get("for"), self.values.get("pack")) if v), ""
        )
        who = f" of {self.of}" if self.of else ""
        return f"{self.kind or 'look'}{' ' + what if what else ''}{who}"


def moment_micros(text: str, zone: str) -> int:
    """A time of the clock, in the policy's time zone if it names none. Raises `UnitError`."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UnitError(f"cannot be `{text}`; write a time such as `2026-01-31 09:00`") from None
    if not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise UnitError(f"cannot be `{text}`; write a time between the years {FIRST_YEAR} and {LAST_YEAR}")
    return micros_of(time if time.tzinfo is not None else time.replace(tzinfo=ZoneInfo(zone)))


def read_event(node: Node, fixtures: Mapping[str, Node], found: list[Diagnostic]) -> Event | None:
    """One item of a timeline; None and a mistake where it is none."""
    if not isinstance(node.value, dict):
        # `- deliver` says all that `- deliver:` does.
        if isinstance(node.value, str) and node.value in EVENTS:
            return _checked(Event(node.value, node.span, Node({}, node.span)), Node({}, node.span), fixtures, found)
        found.append(mistakes.wrong_shape(node.span, "this is no event", f"write one of {_listed()}"))
        return None
    entries = node.value
    before = len(found)
    for key, entry in entries.items():
        if key not in EVENTS and key not in MODIFIERS:
            found.append(mistakes.no_key(key, entry.named, (*EVENTS, *MODIFIERS), "an event"))
        elif key in ("as", "of", "step") and not (isinstance(entry.value, str) and entry.value):
            found.append(mistakes.wrong_shape(entry.named, f"`{key}` takes a name", f"write `{key}: NAME`"))
    kinds = [kind for kind in EVENTS if kind in entries]
    if len(kinds) > 1:
        place = entries[kinds[1]].named
        found.append(
            mistakes.wrong_shape(place, "two things happen at once", "begin a new item with `-` for the second")
        )
    if not kinds and "expect" not in entries:
        found.append(mistakes.wrong_shape(node.span, "nothing happens here", f"write one of {_listed()}"))
    if len(found) > before:
        return None
    kind = kinds[0] if kinds else ""
    words = {key: str(entries[key].value) if key in entries else "" for key in ("as", "of", "step")}
    what = entries.get(kind, Node({}, node.span))
    event = Event(kind, what.named, node, words["as"], words["of"], words["step"])
    if words["as"] and kind != "admit":
        found.append(mistakes.wrong_shape(entries["as"].named, "only an `admit` gives a name", "use `of:` afterwards"))
    if words["step"] and kind != "attempt":
        found.append(
            mistakes.wrong_shape(entries["step"].named, "only an `attempt` begins a step", "leave it out here")
        )
    return _checked(event, what, fixtures, found)


def _checked(event: Event, what: Node, fixtures: Mapping[str, Node], found: list[Diagnostic]) -> Event | None:
    before = len(found)
    _read_values(event, what, fixtures, found)
    entries = event.node.value if isinstance(event.node.value, dict) else {}
    if "expect" in entries:
        _read_expectation(event, entries["expect"], found)
    return event if len(found) == before else None


def _read_values(event: Event, what: Node, fixtures: Mapping[str, Node], found: list[Diagnostic]) -> None:
    """What the event needs to happen, in the runtime's units where the policy is not needed for that."""
    kind = event.kind
    empty = what.value is None or what.value == {}
    if kind == "admit":
        event.given = resolve(what, fixtures, found)
    elif kind == "attempt":
        if what.value == AGAIN:
            event.values["again"] = True
        elif not empty:
            _fill(event, AskForm, what, found)
    elif kind == "progress":
        _fill(event, ProgressForm, what, found)
    elif kind in ("succeed", "fail"):
        if kind == "fail" and isinstance(what.value, str):
            event.values["error"] = what.value
        elif not empty:
            _fill(event, UseForm, what, found)
        if kind == "fail" and "error" not in event.values:
            found.append(mistakes.key_missing("error", event.span, "`fail`", "error: timeout"))
        if kind == "succeed" and "error" in event.values:
            found.append(mistakes.wrong_shape(what.span, "what succeeds has no error", "write `fail:` instead"))
    elif kind in SETTLING:
        if not empty:
            found.append(mistakes.wrong_shape(what.span, f"`{kind}` takes no value", "say whose with `of:`"))
    elif kind == "wait":
        try:
            event.values |= {"micros": _forward(what.value), "for": what.value}
        except UnitError as error:
            found.append(mistakes.bad_value(what.span, f"`wait` {error}"))
    elif kind == "clock":
        try:
            moment_micros(str(what.value), "UTC")
            event.values["for"] = str(what.value)
        except UnitError as error:
            found.append(mistakes.bad_value(what.span, f"`clock` {error}"))
    elif kind == "top_up":
        if isinstance(what.value, str):
            event.values["pack"] = what.value
        else:
            _fill(event, TopUpForm, what, found)


def _forward(value: Any) -> int:
    """How long to wait, in microseconds. Raises `UnitError` also where that would be back."""
    found = micros(value)
    if found < 0:
        raise UnitError(f"cannot be {shown(value)}; time only goes on, and `clock` sets it")
    return found


def _fill(event: Event, form: type[Form], node: Node, found: list[Diagnostic]) -> None:
    read = shape(form, node, found)
    if read is not None:
        event.values |= {name: getattr(read, name) for name in read.model_fields_set if getattr(read, name) is not None}


def _read_expectation(event: Event, node: Node, found: list[Diagnostic]) -> None:
    """Splits what is expected into the decision, what a refusal leads to, and the state of the world."""
    point = POINT_OF.get(event.kind)
    of_decision = ASPECTS[point] if point is not None else {}
    where = f"an expectation after `{event.kind}`" if event.kind else "an expectation"
    if isinstance(node.value, str) and of_decision:
        event.decision = expectation.read(node, of_decision, where, found)
        return
    if not isinstance(node.value, dict):
        found.append(mistakes.wrong_shape(node.span, "an expectation is a mapping", "write `expect: {state: running}`"))
        return
    if not node.value:
        found.append(mistakes.expects_nothing(node.named))
    decision: list[tuple[str, Node]] = []
    world: list[tuple[str, Node]] = []
    aspects: dict[str, Aspect] = dict(WORLD)
    for key, entry in node.value.items():
        if key == "then" and event.kind == "attempt":
            event.then = expectation.read(entry, ASPECTS["failure"], "an expectation of `then`", found)
        elif key in ("counters", "units") and isinstance(entry.value, dict):
            for name, amount in entry.value.items():
                aspects[name] = Counter.called(name) if key == "counters" else Units.called(name)
                world.append((name, amount))
        elif key in ("counters", "units"):
            found.append(mistakes.wrong_shape(entry.span, f"`{key}` are several", f"write `{key}: {{name: amount}}`"))
        elif key in of_decision:
            decision.append((key, entry))
        elif key in WORLD:
            world.append((key, entry))
        else:
            extra = ["then"] if event.kind == "attempt" else []
            known = [*of_decision, *extra, *WORLD, "counters", "units"]
            found.append(mistakes.no_key(key, entry.named, known, where))
    if decision:
        event.decision = expectation.of(decision, node.span, of_decision, where, found)
    if world:
        event.world = expectation.of(world, node.span, aspects, where, found)


def _listed() -> str:
    return ", ".join(f"`{kind}`" for kind in EVENTS)
