"""All an evaluator may read: one slotted record per decision point.

The records hold what was validated at the boundary (context.py) or counted by the
runtime; nothing here is checked again. Money is in nano currency units, time in
microseconds. `None` stands for what is not known wherever the field says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from policy_engine.language.checked import Meter


class _Missing:
    """A required fact that the caller did not give; reading it is bad input, not a denial."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


class FactError(ValueError):
    """Bad input at a decision point: a fact that is missing, of the wrong type or out of range.

    Not a decision: nothing was refused, nothing was spent. `name` is the fact's, `message` says what is wrong.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message


class Given:
    """The declared facts of one policy, one slot each: a value, `None` for an unknown one, or `MISSING`.

    Subclasses with the slots are made by `given_type`. Enum and text facts are `str`, booleans `bool`,
    money, durations and integers `int`, numbers and percents `float`.
    """

    __slots__ = ()


def slot_name(number: int) -> str:
    """The slot of a record's n-th fact. No policy can name it: names of policies are ASCII."""
    return f"ƒ{number}"


@lru_cache(maxsize=1024)
def given_type(names: tuple[str, ...]) -> type[Given]:
    """A record type with a slot per fact name; its instances are built with keywords, the rest is `MISSING`.

    Each slot is reached by the fact's name and by `slot_name`, under which generated code reads it. The same names
    give the same type, so that code can tell a record of its own policy from another's.
    """
    slots = tuple(map(slot_name, range(len(names))))

    def init(self: Given, **values: Any) -> None:
        for slot, name in zip(slots, names, strict=True):
            setattr(self, slot, values.pop(name, MISSING))
        if values:
            raise TypeError(f"no such fact: {', '.join(sorted(values))}")

    def repr_(self: Given) -> str:
        return "Given(" + ", ".join(f"{name}={getattr(self, name)!r}" for name in names) + ")"

    def eq(self: Given, other: object) -> bool:
        return type(other) is type(self) and all(getattr(self, slot) == getattr(other, slot) for slot in slots)

    body = {"__slots__": slots, "__init__": init, "__repr__": repr_, "__eq__": eq, "__hash__": None}
    made = type("Given", (Given,), body)
    for slot, name in zip(slots, names, strict=True):
        setattr(made, name, getattr(made, slot))
    return made


@dataclass(frozen=True, slots=True)
class Reading:
    """What a counter holds: settled and reserved, in the unit of its meter."""

    settled: int = 0
    reserved: int = 0

    @property
    def used(self) -> int:
        return self.settled + self.reserved


Readings = Mapping[Meter, Reading | None]
"""Counters by meter. `None`, or no entry, is a store that did not answer: unknown, never zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One lot of units of the asked outcome that a customer holds. Times are microseconds since the epoch.

    `kind` is `allowance`, `pack` or `promotion`; `left` is what is neither held nor consumed.
    """

    id: str
    kind: str
    left: int
    price_nanos: int
    priority: int = 0
    expires_micros: int | None = None
    effective_micros: int = 0
    created_micros: int = 0


@dataclass(slots=True, kw_only=True)
class _Execution:
    """What every decision point knows of the execution."""

    customer: str
    outcome: str
    plan: str | None  # None: a customer without a plan, which is known
    given: Given
    meters: Readings = field(default_factory=dict)
    escrow: Reading | None = None  # what was spent while the store did not answer; only under `on store failure allow`


@dataclass(slots=True, kw_only=True)
class AdmitFacts(_Execution):
    """May this execution start? `lane` is the one asked for, if any; `grants` is None where the store is silent."""

    lane: str | None = None
    grants: tuple[Grant, ...] | None = ()


@dataclass(slots=True, kw_only=True)
class _Running(_Execution):
    """What the points after admission know. `elapsed` runs from admission, `step_elapsed` from the step's start."""

    lane: str
    route: str
    step: str
    price_nanos: int
    attempt: int = 1
    failures: int = 0
    elapsed_micros: int = 0
    step_elapsed_micros: int = 0
    input_tokens: int | None = None


@dataclass(slots=True, kw_only=True)
class AttemptFacts(_Running):
    """May this attempt be made, and with how much?

    `estimate_nanos` is a worst case that the caller states itself; without it the route's price decides.
    `max_output_tokens` is the cap asked for, `min_output_tokens` how far it may be shrunk (None: not at all).
    """

    max_output_tokens: int | None = None
    min_output_tokens: int | None = None
    estimate_nanos: int | None = None


@dataclass(slots=True, kw_only=True)
class ProgressFacts(_Running):
    """May this attempt go on? The meters do not hold this attempt's own reservation.

    `output_tokens` were streamed so far, `output_cap` is what `attempt` answered (None: no cap),
    `estimate_nanos` what it was asked for.
    """

    output_tokens: int = 0
    output_cap: int | None = None
    attempt_elapsed_micros: int = 0
    estimate_nanos: int | None = None


@dataclass(slots=True, kw_only=True)
class FailureFacts(_Running):
    """Where does the step go now?

    `visited` are the routes this step was sent to, in order, this one included. `retries` counts, by the
    class that caused them, the retries this step has made on this route.
    """

    error: str
    visited: tuple[str, ...]
    retries: Mapping[str, int] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class SettleFacts:
    """What becomes of the promised unit?

    `state` is `running`, `delivered`, `accepted`, `rejected`, `expired`, `reversed`, `aborted` or
    `handed_off`; `event` is `deliver`, `accept`, `reject`, `reverse`, `lapse`, `abort` or `hand_off`.
    """

    outcome: str
    state: str
    event: str
    price_nanos: int
    since_delivery_micros: int = 0


Facts = AdmitFacts | AttemptFacts | ProgressFacts | FailureFacts | SettleFacts
