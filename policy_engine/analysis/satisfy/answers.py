"""What is asked of the answerer, and what it may say."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from policy_engine.evaluation.reference.view import NoPlan
from policy_engine.language.checked import Read, Test

Value = Fraction | int | str | bool | NoPlan | None
"""What a name may hold: whole nano units, microseconds and counts are `int`, numbers and percents `Fraction`.

None is what is not known: an optional fact, a counter without an answer. `NO_PLAN` is a customer without a plan.
"""


@dataclass(frozen=True, slots=True)
class Want:
    """A condition that shall come out true, false, or not known (None)."""

    test: Test
    truth: bool | None


@dataclass(frozen=True, slots=True)
class Witness:
    """Facts that do it: a value for every name and counter that the wants read. All others are free.

    Where `ceiling` or `remaining` is read, so are the names that decide what it is.
    """

    values: Mapping[Read, Value] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Impossible:
    """Proven: no facts of a consistent world do it."""


@dataclass(frozen=True, slots=True)
class Undecided:
    """Neither found nor excluded; `reason` says why in one plain line."""

    reason: str


Answer = Witness | Impossible | Undecided
