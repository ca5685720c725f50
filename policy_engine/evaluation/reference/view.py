"""What a condition sees at a decision point, and Kleene's logic over it.

`True`, `False` and `None` are the three truth values; `None` is "not known".
"""

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction

from policy_engine.evaluation.facts import (
    MISSING,
    AdmitFacts,
    AttemptFacts,
    FactError,
    FailureFacts,
    ProgressFacts,
)
from policy_engine.evaluation.terms import exact, fold
from policy_engine.language.checked import (
    ATTEMPTS,
    SPENT,
    AllOf,
    AnyOf,
    CheckedPolicy,
    Inverse,
    Linear,
    Meter,
    Read,
    Rule,
    Test,
    Truth,
    reads,
)
from policy_engine.language.vocabulary import Point

PointFacts = AdmitFacts | AttemptFacts | ProgressFacts | FailureFacts


class NoPlan:
    """The plan of a customer without one: known, and equal to no name."""


NO_PLAN = NoPlan()


class View:
    """The facts of one decision by the names that conditions use. It remembers what was asked for and not known."""

    def __init__(
        self,
        policy: CheckedPolicy,
        point: Point,
        facts: PointFacts,
        *,
        lane: str | None,
        price_nanos: int,
        estimate_nanos: int | None = None,
    ) -> None:
        self.policy = policy
        self.point = point
        self.facts = facts
        self.lane = lane
        self.price_nanos = price_nanos
        self.estimate_nanos = estimate_nanos
        self.ceiling_nanos: int | None = None  # set before fallbacks are read, known to them alone
        self.unknown: set[str] = set()

    def require(self, rules: Iterable[Rule]) -> None:
        """Raise `FactError` for a required fact that a rule which can apply reads and the caller did not give."""
        for rule in rules:
            for read in self.reads_of(rule):
                if read.is_fact and getattr(self.facts.given, read.name) is MISSING:
                    raise FactError(
                        read.name,
                        f"the fact `{read.name}` is not given, and `{rule.ref.name}` at {rule.ref.place} reads it",
                    ) from None  # whoever asked may come from a table without this case: no business of the caller's

    def reads_of(self, rule: Rule) -> Iterator[Read]:
        """What a rule's condition reads here: nothing, where who and what this is about decides it."""
        left = self._left_of(rule)
        return iter(()) if isinstance(left, bool) else reads(left)

    def holds(self, rule: Rule) -> bool | None:
        """Whether a rule's condition holds; a rule without one always applies.

        What is not known is noted where it leaves the condition undecided, and only there.
        """
        left = self._left_of(rule)
        if isinstance(left, bool):
            return left
        truth = self._truth(left, self._look_up)
        if truth is None:
            self.unknown.update(read.name for read in reads(left) if self._look_up(read) is None)
        return truth

    def _left_of(self, rule: Rule) -> Test | bool:
        """What is left of a rule's condition once it is known who and what this is about."""
        return True if rule.condition is None else fold(rule.condition, self._who())

    def _who(self) -> dict[str, str | None]:
        """Who and what this is about: the names that decide whether a rule can apply."""
        known = {name: getattr(self.facts, name, None) for name in ("customer", "plan", "outcome")}
        known["workflow"] = self.policy.outcomes[self.facts.outcome].workflow
        settled = {
            "lane": self.lane,
            "route": getattr(self.facts, "route", None),
            "error": getattr(self.facts, "error", None),
        }
        return known | {name: value for name, value in settled.items() if value is not None}

    def _truth(self, test: Test, value_of: Callable[[Read], object]) -> bool | None:
        """Kleene's value of a condition."""
        if isinstance(test, AllOf):
            parts = [self._truth(part, value_of) for part in test.parts]
            return False if False in parts else None if None in parts else True
        if isinstance(test, AnyOf):
            parts = [self._truth(part, value_of) for part in test.parts]
            return True if True in parts else None if None in parts else False
        if isinstance(test, Inverse):
            part = self._truth(test.part, value_of)
            return None if part is None else not part
        if isinstance(test, Linear):
            return _compare(test, value_of)
        value = value_of(test.read)
        if value is None:
            return None
        return value is True if isinstance(test, Truth) else value in test.values

    def _look_up(self, read: Read) -> object:
        facts = self.facts
        if read.is_fact:
            return getattr(facts.given, read.name)
        if read.meter is not None:
            reading = facts.meters.get(read.meter)
            if reading is None:
                return None
            # An admission counts from its admission on; money, tokens and attempts count once they are settled.
            return reading.used if read.meter.quantity == "count" else reading.settled
        match read.name:
            case "customer" | "outcome":
                return getattr(facts, read.name)
            case "plan":
                return NO_PLAN if facts.plan is None else facts.plan
            case "workflow":
                return self.policy.outcomes[facts.outcome].workflow
            case "lane":
                return self.lane
            case "price":
                return self.price_nanos
            case "estimate":
                return self.estimate_nanos
            case "spent":
                return self._settled(SPENT)
            case "attempts":
                return self._settled(ATTEMPTS)
            case "ceiling":
                return self.ceiling_nanos
            case "remaining":
                reading = facts.meters.get(SPENT)
                if self.ceiling_nanos is None or reading is None:
                    return None
                return self.ceiling_nanos - reading.used
            case "elapsed":
                return getattr(facts, "elapsed_micros", None)
        return getattr(facts, read.name, None)

    def _settled(self, meter: Meter) -> int | None:
        reading = self.facts.meters.get(meter)
        return None if reading is None else reading.settled

    def used(self, meter: Meter) -> int | None:
        """Incurred plus reserved, None (and noted as unknown) where the store did not answer."""
        reading = self.facts.meters.get(meter)
        if reading is None:
            self.unknown.add(str(meter))
            return None
        return reading.used


Views = Callable[..., View]
"""How a decision makes its view. `View` itself, or one that takes notes of what is looked at."""


def _compare(test: Linear, value_of: Callable[[Read], object]) -> bool | None:
    total = Fraction(0)
    for coefficient, read in test.terms:
        value = value_of(read)
        if value is None:
            return None
        total += coefficient * exact(value)
    if test.op == "is":
        return total == test.bound
    if test.op == "<":
        return total < test.bound
    if test.op == "<=":
        return total <= test.bound
    return total > test.bound if test.op == ">" else total >= test.bound
