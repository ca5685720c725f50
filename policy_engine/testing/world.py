"""What can be expected of the world after an event: the execution's state and money, counters, units left."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from policy_engine.evaluation.facts import Reading
from policy_engine.language.units import UnitError, print_money
from policy_engine.testing.aspects import NOTHING, Aspect, Count, Money, Names, Word, nanos, shown

if TYPE_CHECKING:
    from policy_engine.testing.play import Told

STATES = ("running", "delivered", "accepted", "rejected", "expired", "reversed", "aborted", "handed_off")
_ENDS = ("succeeded", "stopped", "handed_off")


def _of_execution(name: str) -> Any:
    def take(told: "Told") -> Any:
        return getattr(told.execution, name) if told.execution is not None else None

    return take


WORLD: dict[str, Aspect] = {
    "state": Word(lambda told: "denied" if told.execution is None else told.execution.state, words=(*STATES, "denied")),
    "spent": Money(_of_execution("spent_nanos")),
    "earned": Money(_of_execution("revenue_nanos")),
    "handoff_cost": Money(_of_execution("handoff_nanos")),
    "attempts": Count(_of_execution("attempts")),
    "step": Word(
        lambda told: "running" if told.step and not told.step.ended else told.step and told.step.ended,
        words=("running", *_ENDS),
    ),
    "over": Names(lambda told: told.over),
}
"""Every key of an expectation that is not about the decision just made."""


@dataclass(frozen=True)
class Counter(Aspect):
    """A counter, by its written form, as the execution that is talked about reads it now."""

    money: bool = False

    @classmethod
    def called(cls, name: str) -> "Counter":
        return cls(lambda told: told.reading(name), "counter", money=name.startswith(("spent", "overage")))

    def _read(self, value: Any) -> Any:
        if isinstance(value, Mapping) and not set(value) <= {"settled", "reserved"}:
            raise UnitError("cannot be read; a counter has `settled` and `reserved`")
        if isinstance(value, bool | list):
            raise UnitError(f"cannot be {shown(value)}; write an amount")
        return value

    def _differs(self, want: Any, got: Reading, currency: str) -> bool:
        if isinstance(want, Mapping):
            return any(self._exact(amount, currency) != getattr(got, part) for part, amount in want.items())
        return self._exact(want, currency) != got.used

    def wanted(self, want: Any, currency: str) -> str:
        if want is NOTHING:
            return "none"
        if isinstance(want, Mapping):
            return ", ".join(f"{self._said(self._exact(v, currency), currency)} {part}" for part, v in want.items())
        return self._said(self._exact(want, currency), currency)

    def _shown(self, value: Reading, currency: str) -> str:
        said = self._said(value.used, currency)
        return f"{said} ({self._said(value.reserved, currency)} of it reserved)" if value.reserved else said

    def _exact(self, value: Any, currency: str) -> int:
        if self.money:
            return nanos(value, currency)
        if not isinstance(value, int):
            raise UnitError(f"cannot be {shown(value)}; write a whole number")
        return value

    def _said(self, value: int, currency: str) -> str:
        return print_money(value, currency) if self.money else str(value)


class Units(Count):
    """Units that the customer has left: of the plan's `allowance`, or of a pack by its name."""

    @classmethod
    def called(cls, name: str) -> "Units":
        return cls(lambda told: told.units(name), "units")
