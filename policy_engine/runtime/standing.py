"""One step of one execution on one route: which counters it reads and feeds, and under which limits.

Worked out once and asked at every attempt. Windows begin on whole minutes, so counters are the same within one.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from policy_engine.evaluation.facts import AttemptFacts, Reading
from policy_engine.evaluation.terms import IDENTITY
from policy_engine.language.checked import CeilingRule, Meter, reads
from policy_engine.ledger.protocol import Charge, Counter, Ledger, LedgerUnavailable

if TYPE_CHECKING:
    from policy_engine.runtime.execution import Execution

MINUTE = 60_000_000
INCURRED = ("spent", "attempts", "tokens")
_FIXED = IDENTITY | {"price", "step"}
"""Names that do not change while a step stands on a route. Facts do not either."""

Limits = Mapping[Meter, tuple[int, str]]


class Standing:
    """`place` is where it is; the rest is asked with a time."""

    def __init__(self, execution: "Execution", step: str, route: str) -> None:
        edition = self._edition = execution.edition
        self._price_nanos = execution.price_nanos
        self.place = place = execution.place.at(step=step, route=route)
        self.read = edition.meters_running(place.outcome, place.plan, place.lane)
        self._fed = [meter for meter in edition.meters if meter.quantity in INCURRED and place.inside(meter)]
        self._counters: tuple[int | None, dict[Meter, Counter]] = (None, {})
        self._limits: Limits | None = None
        around = (*edition.checked.around(place.outcome, place.plan), edition.checked.lanes[place.lane].rules)
        ceilings = (rule for rules in (*around, edition.checked.routes[route].rules) for rule in rules.ceilings)
        self._steady = all(_is_steady(rule) for rule in ceilings)

    def counters(self, now_micros: int) -> dict[Meter, Counter]:
        """The counter of every meter that is read or fed here."""
        minute, counters = self._counters  # at once: other threads may be here in another minute
        if now_micros // MINUTE != minute:
            place, zone = self.place, self._edition.zone
            counters = {m: place.counter(m, now_micros, zone) for m in dict.fromkeys((*self.read, *self._fed))}
            self._counters = now_micros // MINUTE, counters
        return counters

    def readings(self, ledger: Ledger, now_micros: int) -> Mapping[Meter, Reading | None]:
        """What the ledger says of all that is read. Raises `LedgerUnavailable` if it says nothing of one."""
        counters = self.counters(now_micros)
        found = ledger.readings([counters[meter] for meter in self.read])
        read = {meter: found.get(counters[meter]) for meter in self.read}
        if None in read.values():
            raise LedgerUnavailable("the store did not say what its counters hold")
        return read

    def charges(
        self, asked: AttemptFacts, amounts: Mapping[str, int], now_micros: int, *, bounded: bool
    ) -> list[Charge]:
        """What an attempt holds: the amount of its quantity on every meter that counts it, under its tightest limit."""
        counters = self.counters(now_micros)
        limits = self._limits_of(asked, amounts["spent"]) if bounded else {}
        return [Charge(counters[meter], amounts[meter.quantity], *limits.get(meter, (None, ""))) for meter in self._fed]

    def _limits_of(self, asked: AttemptFacts, reserved_nanos: int) -> Limits:
        if self._limits is not None:
            return self._limits
        tightest: dict[Meter, int] = {}
        for bound in self._edition.evaluator.attempt_bounds(asked, reserved_nanos):
            tightest[bound.meter] = min(bound.limit, tightest.get(bound.meter, bound.limit))
        price = self._price_nanos
        limits = {meter: (limit, self._edition.rule_of(meter, limit, price)) for meter, limit in tightest.items()}
        if self._steady:
            self._limits = limits
        return limits


def _is_steady(rule: CeilingRule) -> bool:
    """Whether its condition comes out the same at every attempt here."""
    return all(read.is_fact or (read.meter is None and read.name in _FIXED) for read in reads(rule.condition))
