"""What every ledger must do, as a state machine against a plain model.

The clock goes where it wants: every time is drawn anew, so it steps back as often as forward. A store is run
through it by a subclass that makes one:

    class TestMemory(LedgerMachine.TestCase): ...
"""

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from policy_engine.evaluation.facts import Grant
from policy_engine.language.checked import FILE_LEVEL, BlockId, Meter, Scope
from policy_engine.ledger.protocol import (
    FINAL,
    MOST,
    Balance,
    Charge,
    Counter,
    Document,
    ExecutionRecord,
    Hold,
    Ledger,
    LedgerError,
    Pruned,
)
from policy_engine.ledger.verification import contradictions, differences
from tests.ledger.model import Model, Units

SPENT = Meter("spent", FILE_LEVEL, Scope(window="day"))
TOKENS = Meter("tokens", BlockId("lane", "premium"), Scope(key="customer", window="day"))
COUNT = Meter("count", FILE_LEVEL, Scope(window="month"))
OWN = Meter("spent", FILE_LEVEL, Scope(execution="outcome"))

COUNTERS = (
    Counter(SPENT, "", "2026-11-22"),
    Counter(SPENT, "", "2026-11-23"),
    Counter(TOKENS, "acme", "2026-11-22"),
    Counter(TOKENS, "bolt", "2026-11-22"),
    Counter(COUNT, "", "2026-11"),
)
EXECUTIONS = ("e1", "e2", "e3")
OWN_COUNTERS = tuple(Counter(OWN, execution) for execution in EXECUTIONS)
KEYS = ("ticket 1", "ticket 2")
OWNERS = (("acme", "draft"), ("acme", "summary"), ("bolt", "draft"))
GRANTS = ("g1", "g2", "g3")
FIRST_GRANT = Grant(id="g1", kind="pack", left=4, price_nanos=1)
"""There from the beginning."""
IDS = tuple(f"h{number}" for number in range(12))

times = st.integers(0, 10)
actuals = st.dictionaries(st.sampled_from(("spent", "tokens", "count")), st.integers(0, 9), max_size=3)


def charges_on(counters: Sequence[Counter]) -> st.SearchStrategy[tuple[Charge, ...]]:
    made = st.builds(
        Charge,
        counter=st.sampled_from(counters),
        amount=st.integers(0, 6),
        limit=st.none() | st.integers(0, 12),
        rule=st.sampled_from(("", "a.policy:3:1")),
    )
    return st.lists(made, max_size=3).map(tuple)


@st.composite
def requests(draw: st.DrawFn, execution: str | None = None) -> list[Hold]:
    """Holds of one request. Only the holds of an execution are on its own counters."""
    holds = []
    for name in draw(st.lists(st.sampled_from(IDS), max_size=3, unique=True)):
        of = execution if execution is not None else draw(st.sampled_from(("", *EXECUTIONS)))
        own = tuple(counter for counter in OWN_COUNTERS if counter.key == of)
        hold = Hold(
            id=name,
            charges=draw(charges_on((*COUNTERS, *own))),
            grant=draw(st.sampled_from((None, *GRANTS))),
            owner=draw(st.sampled_from(("", "worker 1"))),
            expires_micros=draw(st.none() | times),
            execution=of,
            policy_digest="p",
            price_digest="q",
        )
        holds.append(hold)
    return holds


class LedgerMachine(RuleBasedStateMachine):
    """Every method of a ledger, in any order, next to the model. `make` is given by the store's own test."""

    def make(self) -> Ledger:
        raise NotImplementedError

    @initialize()
    def start(self) -> None:
        self.ledger = self.make()
        self.model = Model()
        self.begun = 0
        assert self.ledger.add_grant(*OWNERS[0], FIRST_GRANT)
        self.model.lots["g1"] = Units(OWNERS[0], FIRST_GRANT)

    # ------------------------------------------------------------ holds

    @rule(holds=requests(), now=times, odd=st.integers(0, 7))
    def reserve(self, holds: list[Hold], now: int, odd: int) -> None:
        holds = self.usual(holds) if odd else holds
        if not self.possible(holds):
            self.refused(lambda: self.ledger.reserve(holds, now))
            return
        self.model.lapse(now)
        fits = self.model.fits(holds)
        self.look_at(self.ledger.reserve(holds, now), fits=fits)
        if fits:
            self.model.reserve(holds, now)

    @rule(
        name=st.sampled_from(IDS),
        counter=st.sampled_from(COUNTERS),
        amount=st.sampled_from((-1, MOST + 1, 2**70, MOST, 1.0, True)),
    )
    def reserve_what_cannot_be_counted(self, name: str, counter: Counter, amount: Any) -> None:
        """Also an amount that is possible, where something has the counter already."""
        if name in self.model.stories or (amount == MOST and not self.model.reading(counter).used):
            return
        holds = [Hold("another", (Charge(COUNTERS[0], 1),)), Hold(name, (Charge(counter, amount),))]
        if not self.model.lapse(-1):
            self.refused(lambda: self.ledger.reserve(holds, -1))

    @precondition(lambda self: self.model.stories)
    @rule(data=st.data(), actual=st.none() | actuals)
    def settle(self, data: st.DataObject, actual: dict[str, int] | None) -> None:
        name = self.one_of(data)
        over = self.ledger.settle(name, actual)
        assert len(over) == len(set(over))
        assert set(over) == self.model.settle(name, actual or {})

    @precondition(lambda self: self.model.stories)
    @rule(data=st.data(), amount=st.sampled_from((-1, MOST + 1, 2**70, 0.5)))
    def settle_what_cannot_be_counted(self, data: st.DataObject, amount: Any) -> None:
        name = self.one_of(data)
        if self.model.stories[name].state in ("held", "lapsed"):
            self.refused(lambda: self.ledger.settle(name, {"spent": amount}))

    @precondition(lambda self: self.model.stories)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        name = self.one_of(data)
        self.ledger.release(name)
        self.model.release(name)

    @precondition(lambda self: self.model.stories)
    @rule(data=st.data())
    def reverse(self, data: st.DataObject) -> None:
        name = self.one_of(data)
        self.ledger.reverse(name)
        self.model.reverse(name)

    @precondition(lambda self: self.model.stories)
    @rule(data=st.data(), expires=st.none() | times)
    def renew(self, data: st.DataObject, expires: int | None) -> None:
        names = self.some_of(data)
        assert set(self.ledger.renew(names, expires)) == self.model.renew(names, expires)

    @rule(now=times)
    def lapse(self, now: int) -> None:
        lapsed = self.ledger.lapse(now)
        assert len(lapsed) == len(set(lapsed))
        assert set(lapsed) == self.model.lapse(now)

    @rule(name=st.sampled_from(IDS), method=st.sampled_from(("settle", "release", "reverse", "renew")))
    def end_what_never_began(self, name: str, method: str) -> None:
        if name in self.model.stories:
            return
        if method == "renew":
            self.refused(lambda: self.ledger.renew([*self.model.stories, name], 99))
        else:
            self.refused(lambda: getattr(self.ledger, method)(name))

    # ------------------------------------------------------------ executions

    @rule(data=st.data(), execution=st.sampled_from(EXECUTIONS), key=st.sampled_from(KEYS), now=times)
    def begin(self, data: st.DataObject, execution: str, key: str, now: int) -> None:
        customer, outcome = data.draw(st.sampled_from(OWNERS))
        record = ExecutionRecord(
            id=execution,
            customer=customer,
            outcome=outcome,
            key=key,
            plan=data.draw(st.sampled_from((None, "growth"))),
            lane="premium",
            draw_kind="pack",
            price_nanos=7,
            given='{"risk": "high"}',
            policy_digest="p",
            price_digest="q",
            admitted_micros=now,
            owner="worker 1",
            lease_micros=now + 3,
        )
        holds = data.draw(requests(execution=execution))
        holds = self.usual(holds) if data.draw(st.integers(0, 7)) else holds
        known = self.model.with_key(customer, outcome, key)
        if known is not None:
            before = self.everything()
            begun = self.ledger.begin(record, holds, now)
            assert (begun.record, begun.new, begun.crossed) == (known, False, ())
            assert self.everything() == before
            return
        if execution in self.model.records or not self.possible(holds):
            self.refused(lambda: self.ledger.begin(record, holds, now))
            return
        self.model.lapse(now)
        fits = self.model.fits(holds)
        begun = self.ledger.begin(record, holds, now)
        self.look_at(begun.crossed, fits=fits)
        assert (begun.record, begun.new) == ((record, True) if fits else (None, False))
        if fits:
            self.model.records[execution] = record
            self.model.reserve(holds, now)

    @rule(owner=st.sampled_from(OWNERS), key=st.sampled_from(KEYS))
    def look_up(self, owner: tuple[str, str], key: str) -> None:
        assert self.ledger.execution(*owner, key) == self.model.with_key(*owner, key)
        delivered = {record.id: record for record in self.ledger.delivered()}
        assert delivered == {id: record for id, record in self.model.records.items() if record.state == "delivered"}

    @precondition(lambda self: self.model.records)
    @rule(
        data=st.data(),
        state=st.sampled_from(("running", "delivered", *FINAL)),
        delivered=st.none() | times,
        stale=st.integers(0, 3),
        unknown=st.integers(0, 5),
    )
    def change(self, data: st.DataObject, state: str, delivered: int | None, stale: int, unknown: int) -> None:
        stored = self.model.records[data.draw(st.sampled_from(sorted(self.model.records)))]
        changed = replace(
            stored, state=state, delivered_micros=delivered, spent_nanos=stored.spent_nanos + 5, owner="worker 2"
        )
        methods = ("settle", "release", "reverse", "renew")
        ends: dict[str, Any] = {name: self.some_of(data) for name in methods} if self.model.stories else {}
        if not stale:
            before = self.everything()
            assert self.ledger.change(replace(changed, version=stored.version + 1), **ends) is False
            assert self.everything() == before
        elif not unknown:
            self.refused(lambda: self.ledger.change(changed, **{**ends, "release": ["nobody"]}))
            self.refused(lambda: self.ledger.change(replace(changed, id="nobody")))
        else:
            assert self.ledger.change(changed, **ends, expires_micros=6) is True
            for method in methods[:-1]:
                for name in ends.get(method, ()):
                    getattr(self.model, method)(name, *([{}] if method == "settle" else []))
            self.model.renew(ends.get("renew", []), 6)
            self.model.records[stored.id] = replace(changed, version=stored.version + 1)

    @rule(execution=st.sampled_from(EXECUTIONS))
    def entries(self, execution: str) -> None:
        expected = [self.model.entry(name) for name in self.model.of(execution)]
        assert list(self.ledger.entries(execution)) == expected

    # ------------------------------------------------------------ grants and documents

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
            priority=effective,
            effective_micros=effective,
            expires_micros=None if lasts is None else effective + lasts,
            created_micros=left,
        )
        added = self.ledger.add_grant(*owner, grant)
        assert added == (name not in self.model.lots)
        if added:
            self.model.lots[name] = Units(owner, grant)

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

    @rule(kind=st.sampled_from(("policy", "prices")), digest=st.sampled_from("pq"), text=st.text(max_size=5))
    def keep(self, kind: str, digest: str, text: str) -> None:
        self.ledger.keep(kind, digest, text)
        self.model.documents.setdefault((kind, digest), text)
        assert self.ledger.kept(kind, digest) == self.model.documents[kind, digest]
        assert self.ledger.kept(kind, "never") is None

    @rule(before=times)
    def prune(self, before: int) -> None:
        pruned = self.ledger.prune(before)
        assert isinstance(pruned, Pruned)
        assert (pruned.executions, pruned.entries) == self.model.prune(before)

    # ------------------------------------------------------------ always

    @invariant()
    def readings_are_the_sum_of_their_story(self) -> None:
        if hasattr(self, "model"):
            counters = (*COUNTERS, *OWN_COUNTERS)
            assert dict(self.ledger.readings(counters)) == {c: self.model.reading(c) for c in counters}

    @invariant()
    def the_book_tells_the_story(self) -> None:
        if not hasattr(self, "model"):
            return
        model = self.model
        with self.ledger.book() as book:
            assert {entry.hold.id: entry for entry in book.entries()} == {n: model.entry(n) for n in model.stories}
            assert {record.id: record for record in book.executions()} == model.records
            assert {lot.grant.id: lot for lot in book.lots()} == {name: model.lot(name) for name in model.lots}
            assert set(book.documents()) == {Document(*known, text) for known, text in model.documents.items()}
            expected = {}
            for counter in (*COUNTERS, *OWN_COUNTERS):
                reading = model.reading(counter)
                expected[counter] = Balance(counter, reading.settled, reading.reserved, model.carried.get(counter, 0))
            found = {balance.counter: balance for balance in book.balances()}
            assert {counter: found.get(counter, Balance(counter, 0, 0)) for counter in expected} == expected
            assert set(found) <= set(expected)
            assert list(differences(book)) == []
            assert list(contradictions(book)) == []

    @invariant()
    def no_unit_is_taken_twice(self) -> None:
        if hasattr(self, "model"):
            assert all(self.model.left(name) >= 0 for name in self.model.lots)

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.close()

    # ------------------------------------------------------------ words

    def usual(self, holds: list[Hold]) -> list[Hold]:
        """Under ids that are new, on grants that are there."""
        named = []
        for hold in holds:
            self.begun += 1
            grant = hold.grant if hold.grant in self.model.lots or hold.grant is None else "g1"
            named.append(replace(hold, id=f"n{self.begun:03}", grant=grant))
        return named

    def possible(self, holds: list[Hold]) -> bool:
        return all(
            hold.id not in self.model.stories and (hold.grant is None or hold.grant in self.model.lots)
            for hold in holds
        )

    def look_at(self, crossed: Sequence[Any], *, fits: bool) -> None:
        assert (not crossed) == fits
        for refusal in crossed:
            if refusal.charge is not None:
                assert refusal.charge.limit is not None
                assert refusal.used + refusal.charge.amount > refusal.charge.limit

    def refused(self, ask: Callable[[], object]) -> None:
        """What cannot be is an error and changes nothing."""
        before = self.everything()
        try:
            ask()
        except LedgerError:
            pass
        else:
            raise AssertionError("what cannot be was done")
        assert self.everything() == before

    def everything(self) -> list[Any]:
        with self.ledger.book() as book:
            return [
                sorted(map(repr, part))
                for part in (book.entries(), book.balances(), book.executions(), book.lots(), book.documents())
            ]

    def one_of(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.model.stories)))

    def some_of(self, data: st.DataObject) -> list[str]:
        return data.draw(st.lists(st.sampled_from(sorted(self.model.stories)), max_size=2, unique=True))
