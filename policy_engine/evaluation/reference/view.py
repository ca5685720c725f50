"""What a condition sees at a decision point, and Kleene's logic over it.

`True`, `False` and `None` are the three truth values; `None` is "not known".
"""

from collections.abc import Iterable
from fractions import Fraction

from policy_engine.evaluation.facts import (
    MISSING,
    AdmitFacts,
    AttemptFacts,
    FactError,
    FailureFacts,
    ProgressFacts,
)
from policy_engine.language.checked import (
    ATTEMPTS,
    SPENT,
    AllOf,
    AnyOf,
    CheckedPolicy,
    Inverse,
    Linear,
    Member,
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
        """Raise `FactError` for a required fact that one of these rules reads and the caller did not give."""
        for rule in rules:
            for read in reads(rule.condition):
                if read.is_fact and getattr(self.facts.given, read.name) is MISSING:
                    raise FactError(
                        read.name,
                        f"the fact `{read.name}` is not given, and `{rule.ref.name}` at {rule.ref.place} reads it",
                    )

    def holds(self, rule: Rule) -> bool | None:
        """Whether a rule's condition holds; a rule without one always applies."""
        return True if rule.condition is None else self.truth(rule.condition)

    def truth(self, test: Test) -> bool | None:
        """Kleene's value of a condition. Every part is looked at, so that all that is unknown is named."""
        if isinstance(test, AllOf):
            parts = [self.truth(part) for part in test.parts]
            return False if False in parts else None if None in parts else True
        if isinstance(test, AnyOf):
            parts = [self.truth(part) for part in test.parts]
            return True if True in parts else None if None in parts else False
        if isinstance(test, Inverse):
            part = self.truth(test.part)
            return None if part is None else not part
        if isinstance(test, Truth):
            value = self.value(test.read)
            return None if value is None else value is True
        if isinstance(test, Member):
            value = self.value(test.read)
            return None if value is None else value in test.values
        return self._compare(test)

    def _compare(self, test: Linear) -> bool | None:
        total = Fraction(0)
        known = True
        for coefficient, read in test.terms:
            value = self.value(read)
            if value is None:
                known = False  # go on: the other names may be unknown too
            else:
                total += coefficient * exact(value)
        if not known:
            return None
        if test.op == "is":
            return total == test.bound
        if test.op == "<":
            return total < test.bound
        if test.op == "<=":
            return total <= test.bound
        return total > test.bound if test.op == ">" else total >= test.bound

    def value(self, read: Read) -> object:
        """The value of one name, None if it is not known."""
        value = self._look_up(read)
        if value is None:
            self.unknown.add(read.name)
        return value

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


def exact(value: object) -> Fraction:
    """A number fact is a float whose `repr` is what the caller meant; everything else is a whole number."""
    return Fraction(repr(value)) if isinstance(value, float) else Fraction(int(value))  # type: ignore[call-overload]
