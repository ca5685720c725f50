"""Which counters one execution reads and feeds.

A meter is a kind of counter; customer, window and execution make it one. A block's meter
is fed only by what happens inside the block, but read by whoever asks for it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from policy_engine.evaluation.evaluator import Bound
from policy_engine.evaluation.facts import Reading
from policy_engine.language.checked import Meter
from policy_engine.ledger.protocol import Charge, Counter, Ledger, LedgerUnavailable
from policy_engine.ledger.windows import window_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something happens: all that a counter may be kept by."""

    execution: str
    customer: str
    plan: str | None
    workflow: str
    outcome: str
    lane: str = ""
    route: str = ""
    step: str = ""

    def inside(self, meter: Meter) -> bool:
        """Whether what happens here is counted by the meter's block."""
        kind = meter.block.kind
        return kind == "file" or getattr(self, kind) == meter.block.name

    def counter(self, meter: Meter, now_micros: int, zone: str) -> Counter:
        """The counter of this meter for this place and time."""
        scope = meter.scope
        if scope.execution is not None:
            key = self.execution if scope.execution == "outcome" else f"{self.execution}\n{self.step}"
            return Counter(meter, key)
        key = (getattr(self, scope.key) or "") if scope.key else ""
        assert scope.window is not None  # noqa: S101 - a scope without an execution has a window
        return Counter(meter, key, window_name(scope.window, now_micros, zone))

    def at(self, **changed: str) -> "Place":
        return replace(self, **changed)


def readings(
    ledger: Ledger, meters: Iterable[Meter], place: Place, now_micros: int, zone: str
) -> Mapping[Meter, Reading | None]:
    """What the ledger says of these meters, here and now. Raises `LedgerUnavailable` if it says nothing of one."""
    counters = {meter: place.counter(meter, now_micros, zone) for meter in meters}
    found = ledger.readings(counters.values())
    read = {meter: found.get(counter) for meter, counter in counters.items()}
    if None in read.values():
        raise LedgerUnavailable("the store did not say what its counters hold")
    return read


def charges(
    meters: Iterable[Meter],
    amounts: Mapping[str, int],
    bounds: Iterable[Bound],
    place: Place,
    now_micros: int,
    zone: str,
    *,
    rule: Callable[[Meter, int], str],
) -> Iterator[Charge]:
    """What to hold: for every meter that counts this place, the amount of its quantity under its tightest bound.

    `rule` finds the place of the rule that sets a limit.
    """
    limits: dict[Meter, int] = {}
    for bound in bounds:
        limits[bound.meter] = min(bound.limit, limits.get(bound.meter, bound.limit))
    for meter in meters:
        if meter.quantity in amounts and place.inside(meter):
            limit = limits.get(meter)
            said = "" if limit is None else rule(meter, limit)
            yield Charge(place.counter(meter, now_micros, zone), amounts[meter.quantity], limit, said)


def own_readings(
    meters: Iterable[Meter], held: Iterable[tuple[Charge, int | None]], place: Place, now_micros: int, zone: str
) -> Mapping[Meter, Reading | None]:
    """What is known without a store: what this execution itself has incurred and reserved.

    `held` are its charges, each with what it came to, None while it is reserved. Counters of windows are unknown.
    """
    sums: dict[Counter, Reading] = {}
    for charge, incurred in held:
        so_far = sums.get(charge.counter, _ZERO)
        sums[charge.counter] = (
            Reading(so_far.settled, so_far.reserved + charge.amount)
            if incurred is None
            else Reading(so_far.settled + incurred, so_far.reserved)
        )
    return {
        meter: sums.get(place.counter(meter, now_micros, zone), _ZERO) if meter.scope.execution else None
        for meter in meters
    }


_ZERO = Reading()
