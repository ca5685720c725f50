"""What money ceilings have left, for whoever reads metrics."""

from collections import OrderedDict
from collections.abc import Iterator
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple
from weakref import ref

from policy_engine.language.checked import Meter
from policy_engine.language.units import NANOS
from policy_engine.ledger.protocol import Counter, LedgerError, LedgerUnavailable
from policy_engine.runtime.counting import Place
from policy_engine.runtime.edition import Edition
from policy_engine.telemetry.labels import Labels

if TYPE_CHECKING:
    from policy_engine.runtime.attempt import Attempt
    from policy_engine.runtime.engine import Engine

REMEMBERED = 1_000
"""So many ceilings are known; the least lately met one is forgotten."""

Key = tuple[int, Meter, str, str]
Left = tuple[float, Labels]
"""An amount in units of the currency, and whose it is."""


class Budget(NamedTuple):
    """A ceiling that an attempt has met: its limit, and where its counter is found."""

    engine: "ref[Engine]"
    place: Place
    meter: Meter
    limit: int
    rule: str
    edition: Edition


class Budgets:
    """The money ceilings over windows that attempts have met, of engines that are there and their newest policy."""

    def __init__(self, *, customers: bool) -> None:
        self._customers = customers
        self._lock = Lock()
        self._met: OrderedDict[Key, Budget] = OrderedDict()

    def forked(self) -> None:
        """In a process that was forked off: a thread that held the lock is not here."""
        self._lock = Lock()

    def note(self, attempt: "Attempt") -> None:
        """The ceilings that bound an attempt."""
        run = attempt.step.execution
        for charge in attempt.hold.charges:
            meter = charge.counter.meter
            if charge.limit is None or meter.quantity != "spent" or meter.scope.execution is not None:
                continue
            if meter.scope.key == "customer" and not self._customers:
                continue
            key = (id(run.engine), meter, charge.counter.key, charge.rule)
            place = attempt.step.standing.place
            with self._lock:
                self._met[key] = Budget(ref(run.engine), place, meter, charge.limit, charge.rule, run.edition)
                self._met.move_to_end(key)
                if len(self._met) > REMEMBERED:
                    self._met.popitem(last=False)

    def left(self) -> list[Left]:
        """What each has left in the window of now: one question to each ledger, nothing of one that is silent."""
        with self._lock:
            met = list(self._met.items())
        found: list[Left] = []
        by_engine: dict[Engine, list[Budget]] = {}
        for key, budget in met:
            engine = budget.engine()
            if engine is not None and engine.edition is budget.edition:
                by_engine.setdefault(engine, []).append(budget)
                continue
            with self._lock:  # the engine is gone, or its policy says something else by now
                self._met.pop(key, None)
        for engine, budgets in by_engine.items():
            found += _left(engine, budgets)
        return found


def _left(engine: "Engine", budgets: list[Budget]) -> Iterator[Left]:
    now = engine.clock.now_micros()
    counters = [_counter(budget, now) for budget in budgets]
    try:
        readings = engine.ledger.readings(dict.fromkeys(counters))
    except (LedgerError, LedgerUnavailable):
        return
    for budget, counter in zip(budgets, counters, strict=True):
        reading = readings.get(counter)
        if reading is None:
            continue
        labels: Labels = {
            "policy_engine.meter": str(budget.meter),
            "policy_engine.rule": _name(budget),
            "policy_engine.currency": budget.edition.currency,
        }
        if counter.key:
            labels["policy_engine.key"] = counter.key
        yield (budget.limit - reading.used) / NANOS, labels


def _counter(budget: Budget, now: int) -> Counter:
    return budget.place.counter(budget.meter, now, budget.edition.zone)


def _name(budget: Budget) -> str:
    """The rule's name, as decisions say it."""
    rules = budget.edition.checked.every_rule()
    return next((rule.ref.name for rule in rules if rule.ref.place == budget.rule), budget.rule)
