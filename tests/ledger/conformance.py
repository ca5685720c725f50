"""What every ledger must do, as a state machine against plain dictionaries.

A store is run through it by a subclass that makes one:

    class TestMemory(LedgerMachine.TestCase): ...
"""

from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from policy_engine.evaluation.facts import Grant, Reading
from policy_engine.language.checked import FILE_LEVEL, BlockId, Meter, Scope
from policy_engine.ledger.protocol import Charge, Counter, Hold, Ledger, LedgerError

SPENT = Meter("spent", FILE_LEVEL, Scope(window="day"))
TOKENS = Meter("tokens", BlockId("lane", "premium"), Scope(key="customer", window="day"))
COUNT = Meter("count", FILE_LEVEL, Scope(window="month"))

COUNTERS = (
    Counter(SPENT, "", "2026-11-22"),
    Counter(SPENT, "", "2026-11-23"),
    Counter(TOKENS, "acme", "2026-11-22"),
    Counter(TOKENS, "bolt", "2026-11-22"),
    Counter(COUNT, "", "2026-11"),
)
OWNERS = (("acme", "draft"), ("acme", "summary"), ("bolt", "draft"))
GRANTS = ("g1", "g2", "g3")
IDS = tuple(f"h{number}" for number in range(12))


@dataclass
class Lot:
    """A grant as the model keeps it: `left` says what was granted, `taken` by which holds."""

    owner: tuple[str, str]
    grant: Grant
    taken: set[str]


class Model:
    """What a ledger holds, worked out anew from the whole story at every question."""

    def __init__(self) -> None:
        self.holds: dict[str, Hold] = {}
        self.state: dict[str, str] = {}  # held, settled, released, lapsed, reversed
        self.incurred: dict[str, list[int]] = {}
        self.lots: dict[str, Lot] = {}

    def reading(self, counter: Counter) -> Reading:
        settled = reserved = 0
        for name, hold in self.holds.items():
            for place, charge in enumerate(hold.charges):
                if charge.counter == counter and self.state[name] == "held":
                    reserved += charge.amount
                if charge.counter == counter and self.state[name] in ("settled", "lapsed"):
                    settled += self.incurred[name][place]
        return Reading(settled, reserved)

    def left(self, grant: str) -> int:
        lot = self.lots[grant]
        return lot.grant.left - len(lot.taken)

    def fits(self, holds: list[Hold]) -> bool:
        """Whether they fit one after another: each sees what those before it take."""
        amounts: dict[Counter, int] = {}
        units: dict[str, int] = {}
        for hold in holds:
            if hold.grant is not None:
                units[hold.grant] = units.get(hold.grant, 0) + 1
                if units[hold.grant] > self.left(hold.grant):
                    return False
            for charge in hold.charges:
                # The charges of one hold are on different counters.
                used = self.reading(charge.counter).used + amounts.get(charge.counter, 0)
                if charge.limit is not None and used + charge.amount > charge.limit:
                    return False
            for charge in hold.charges:
                amounts[charge.counter] = amounts.get(charge.counter, 0) + charge.amount
        return True

    def hold(self, holds: list[Hold]) -> None:
        for hold in holds:
            self.holds[hold.id] = hold
            self.state[hold.id] = "held"
            if hold.grant is not None:
                self.lots[hold.grant].taken.add(hold.id)

    def settle(self, name: str, actual: Mapping[str, int]) -> set[str]:
        if self.state[name] not in ("held", "lapsed"):
            return set()
        charges = self.holds[name].charges
        self.incurred[name] = [actual.get(charge.counter.meter.quantity, charge.amount) for charge in charges]
        self.state[name] = "settled"
        return {
            charge.counter.meter.quantity
            for charge, amount in zip(charges, self.incurred[name], strict=True)
            if amount > charge.amount
        }

    def give_back(self, name: str, state: str) -> None:
        self.state[name] = state
        grant = self.holds[name].grant
        if grant is not None:
            self.lots[grant].taken.discard(name)

    def lapse(self, now: int) -> set[str]:
        due = {
            name
            for name, hold in self.holds.items()
            if self.state[name] == "held" and hold.expires_micros is not None and hold.expires_micros <= now
        }
        for name in due:
            self.settle(name, {})
            self.state[name] = "lapsed"
        return due


charges = st.lists(
    st.builds(
        Charge,
        counter=st.sampled_from(COUNTERS),
        amount=st.integers(0, 6),
        limit=st.none() | st.integers(0, 12),
    ),
    max_size=3,
    unique_by=lambda charge: charge.counter,
).map(tuple)
times = st.integers(0, 10)
actuals = st.dictionaries(st.sampled_from(("spent", "tokens", "count")), st.integers(0, 9), max_size=3)


class LedgerMachine(RuleBasedStateMachine):
    """Every method of a ledger, in any order, next to the model. `make` is given by the store's own test."""

    @staticmethod
    def make() -> Ledger:
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        self.ledger = self.make()
        self.model = Model()

    # ------------------------------------------------------------ holds

    @rule(
        wanted=st.lists(
            st.tuples(st.sampled_from(IDS), charges, st.none() | st.sampled_from(GRANTS), st.none() | times),
            max_size=3,
            unique_by=lambda entry: entry[0],
        )
    )
    def hold(self, wanted: list[tuple[str, tuple[Charge, ...], str | None, int | None]]) -> None:
        holds = [Hold(id=name, charges=c, grant=g, expires_micros=e) for name, c, g, e in wanted]
        before = self.everything()
        reused = any(hold.id in self.model.holds for hold in holds)
        unknown = any(hold.grant is not None and hold.grant not in self.model.lots for hold in holds)
        if reused or unknown:
            try:
                self.ledger.hold(holds)
            except LedgerError:
                pass
            else:
                raise AssertionError("a reused id, or a grant that is not there, was taken")
            assert self.everything() == before
            return
        fits = self.model.fits(holds)
        crossed = self.ledger.hold(holds)
        assert (not crossed) == fits
        for refusal in crossed:
            if refusal.charge is not None:
                assert refusal.charge.limit is not None
                assert refusal.used + refusal.charge.amount > refusal.charge.limit
        if fits:
            self.model.hold(holds)
        else:
            assert self.everything() == before

    @precondition(lambda self: self.model.holds)
    @rule(data=st.data(), actual=st.none() | actuals)
    def settle(self, data: st.DataObject, actual: dict[str, int] | None) -> None:
        name = self.one_of(data)
        over = self.ledger.settle(name, actual)
        assert len(over) == len(set(over))
        assert set(over) == self.model.settle(name, actual or {})

    @precondition(lambda self: self.model.holds)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        name = self.one_of(data)
        self.ledger.release(name)
        if self.model.state[name] == "held":
            self.model.give_back(name, "released")

    @precondition(lambda self: self.model.holds)
    @rule(data=st.data())
    def reverse(self, data: st.DataObject) -> None:
        name = self.one_of(data)
        self.ledger.reverse(name)
        if self.model.state[name] in ("settled", "lapsed"):
            self.model.give_back(name, "reversed")

    @rule(now=times)
    def lapse(self, now: int) -> None:
        lapsed = self.ledger.lapse(now)
        assert len(lapsed) == len(set(lapsed))
        assert set(lapsed) == self.model.lapse(now)

    @rule(name=st.sampled_from(IDS), method=st.sampled_from(("settle", "release", "reverse")))
    def end_what_never_began(self, name: str, method: str) -> None:
        if name in self.model.holds:
            return
        before = self.everything()
        try:
            getattr(self.ledger, method)(name)
        except LedgerError:
            pass
        else:
            raise AssertionError(f"`{method}` of a hold that is not there")
        assert self.everything() == before

    # ------------------------------------------------------------ grants

    @rule(
        name=st.sampled_from(GRANTS),
        owner=st.sampled_from(OWNERS),
        left=st.integers(0, 3),
        effective=st.integers(0, 3),
        lasts=st.none() | st.integers(1, 9),
    )
    def add_grant(self, name: str, owner: tuple[str, str], left: int, effective: int, lasts: int | None) -> None:
        grant = Grant(
            id=name,
            kind="pack",
            left=left,
            price_nanos=1,
            effective_micros=effective,
            expires_micros=None if lasts is None else effective + lasts,
        )
        added = self.ledger.add_grant(*owner, grant)
        assert added == (name not in self.model.lots)
        if added:
            self.model.lots[name] = Lot(owner, grant, set())

    @rule(owner=st.sampled_from(OWNERS), now=times)
    def grants(self, owner: tuple[str, str], now: int) -> None:
        expected = {
            replace(lot.grant, left=self.model.left(name))
            for name, lot in self.model.lots.items()
            if lot.owner == owner
            and lot.grant.effective_micros <= now
            and (lot.grant.expires_micros is None or now < lot.grant.expires_micros)
        }
        found = self.ledger.grants(*owner, now)
        assert found is not None
        assert len(found) == len(expected)
        assert set(found) == expected

    # ------------------------------------------------------------ always

    @invariant()
    def counters_are_the_sum_of_their_story(self) -> None:
        if hasattr(self, "model"):
            assert self.everything()[0] == {counter: self.model.reading(counter) for counter in COUNTERS}

    @invariant()
    def no_unit_is_taken_twice(self) -> None:
        if hasattr(self, "model"):
            assert all(self.model.left(name) >= 0 for name in self.model.lots)

    def everything(self) -> tuple[Mapping[Counter, Reading | None], list[tuple[Grant, ...] | None]]:
        return dict(self.ledger.readings(COUNTERS)), [self.ledger.grants(*owner, 5) for owner in OWNERS]

    def one_of(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.model.holds)))
