"""All an evaluator may read: one record per decision point.

The records hold what was validated at the boundary (context.py) or counted by the
runtime; nothing here is checked again. Money is in nano currency units, time in
microseconds. `None` stands for what is not known wherever the field says so.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, cast, final

from msgspec import Struct, defstruct, field

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


class Given(Struct, gc=False):
    """The declared facts of one policy, one field each: a value, `None` for an unknown one, or `MISSING`.

    Subclasses with the fields are made by `given_type`. Enum and text facts are `str`, booleans `bool`,
    money, durations and integers `int`, numbers and percents `float`.
    """


def slot_name(number: int) -> str:
    """The slot of a record's n-th fact. No policy can name it: names of policies are ASCII."""
    return f"ƒ{number}"


@lru_cache(maxsize=1024)
def given_type(names: tuple[str, ...]) -> type[Given]:
    """A record type with a field per fact name, made with keywords or in their order; what is left out is `MISSING`.

    Each field is reached by the fact's name and by `slot_name`, under which generated code reads it. The same names
    give the same type, so that code can tell a record of its own policy from another's.
    """
    made = defstruct("Given", [(name, Any, MISSING) for name in names], bases=(Given,), gc=False)
    for number, name in enumerate(names):
        setattr(made, slot_name(number), vars(made)[name])
    return cast("type[Given]", made)


class Reading(Struct, frozen=True, gc=False):
    """What a counter holds: settled and reserved, in the unit of its meter."""

    settled: int = 0
    reserved: int = 0

    @property
    def used(self) -> int:
        return self.settled + self.reserved


Readings = Mapping[Meter, Reading | None]
"""Counters by meter. `None`, or no entry, is a store that did not answer: unknown, never zero."""


class Grant(Struct, frozen=True, kw_only=True, gc=False):
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


# The records below are made with keywords; only the boundary's short way, which makes one per decision and
# writes out the order of the fields for itself, makes them without: that is five times as fast.


class _Execution(Struct, gc=False):
    """What every decision point knows of the execution."""

    customer: str
    outcome: str
    plan: str | None  # None: a customer without a plan, which is known
    given: Given


@final
class AdmitFacts(_Execution, gc=False):
    """May this execution start? `lane` is the one asked for, if any; `grants` is None where the store is silent.

    `escrow` is what was spent while the store did not answer; only under `on store failure allow`.
    """

    meters: Readings = field(default_factory=dict)
    escrow: Reading | None = None
    lane: str | None = None
    grants: tuple[Grant, ...] | None = ()


class _Running(_Execution, gc=False):
    """What the points after admission know. `elapsed` runs from admission, `step_elapsed` from the step's start."""

    lane: str
    route: str
    step: str
    price_nanos: int
    meters: Readings = field(default_factory=dict)
    escrow: Reading | None = None  # as in `AdmitFacts`
    attempt: int = 1
    failures: int = 0
    elapsed_micros: int = 0
    step_elapsed_micros: int = 0
    input_tokens: int | None = None


@final
class AttemptFacts(_Running, gc=False):
    """May this attempt be made, and with how much?

    `estimate_nanos` is a worst case that the caller states itself; without it the route's price decides.
    `max_output_tokens` is the cap asked for, `min_output_tokens` how far it may be shrunk (None: not at all).
    """

    max_output_tokens: int | None = None
    min_output_tokens: int | None = None
    estimate_nanos: int | None = None


@final
class ProgressFacts(_Running, gc=False):
    """May this attempt go on? The meters do not hold this attempt's own reservation.

    `output_tokens` were streamed so far, `output_cap` is what `attempt` answered (None: no cap),
    `estimate_nanos` what it was asked for.
    """

    output_tokens: int = 0
    output_cap: int | None = None
    attempt_elapsed_micros: int = 0
    estimate_nanos: int | None = None


@final
class FailureFacts(_Running, gc=False, kw_only=True):
    """Where does the step go now?

    `visited` are the routes this step was sent to, in order, this one included. `retries` counts, by the
    class that caused them, the retries this step has made on this route.
    """

    error: str
    visited: tuple[str, ...]
    retries: Mapping[str, int] = field(default_factory=dict)


@final
class SettleFacts(Struct, gc=False):
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
