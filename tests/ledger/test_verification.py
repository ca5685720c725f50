"""Verification finds whatever balance is not the sum of its entries: each number of a ledger, moved by one."""

from collections.abc import Callable, Iterator

import pytest

from policy_engine.evaluation.facts import Grant
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.protocol import MOST, Charge, Counter, Hold
from policy_engine.ledger.verification import Difference, differences
from tests.ledger.conformance import COUNTERS

DAY, TOKENS = COUNTERS[0], COUNTERS[2]


def grant(name: str) -> Grant:
    return Grant(id=name, kind="pack", left=9, price_nanos=0)


@pytest.fixture
def ledger() -> Iterator[MemoryLedger]:
    """One with holds in every state, some of them pruned; it is sound."""
    made = MemoryLedger()
    made.add_grant("acme", "draft", grant("g"))
    made.add_grant("acme", "draft", grant("other"))
    for name in ("pruned", "settled", "lapsed", "reversed", "released", "held"):
        expires = 50 if name == "lapsed" else None
        made.reserve([Hold(name, (Charge(DAY, 10), Charge(TOKENS, 3), Charge(DAY, 1)), "g", expires_micros=expires)], 9)
        if name == "pruned":
            made.settle("pruned", {"spent": 4})
            made.prune(10)
    made.settle("settled", {"spent": 7})
    made.lapse(50)
    made.settle("reversed")
    made.reverse("reversed")
    made.release("released")
    yield made
    made.close()


def found(ledger: MemoryLedger) -> list[Difference]:
    with ledger.book() as book:
        return list(differences(book))


def test_a_sound_ledger_has_none(ledger: MemoryLedger) -> None:
    assert found(ledger) == []
    with ledger.book() as book:
        assert {(b.counter, b.settled, b.reserved, b.carried) for b in book.balances()} == {
            (DAY, 4 + 4 + 7 + 7 + 10 + 1, 11, 8),
            (TOKENS, 3 * 3, 3, 3),
        }
        lots = {lot.grant.id: (lot.held, lot.consumed, lot.carried) for lot in book.lots()}
        assert lots == {"g": (1, 3, 1), "other": (0, 0, 0)}


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize("what", ["settled", "reserved"])
@pytest.mark.parametrize("counter", [DAY, TOKENS], ids=["day", "tokens"])
def test_a_balance_that_was_moved(ledger: MemoryLedger, counter: Counter, what: str, by: int) -> None:
    amounts = ledger._counters[counter]
    true = getattr(amounts, what)
    setattr(amounts, what, true + by)
    assert found(ledger) == [Difference(what, true + by, true, counter=counter)]


@pytest.mark.parametrize("by", [-1, 1])
@pytest.mark.parametrize("what", ["held", "consumed"])
@pytest.mark.parametrize("name", ["g", "other"])
def test_units_that_were_moved(ledger: MemoryLedger, name: str, what: str, by: int) -> None:
    units = ledger._units[name]
    true = getattr(units, what)
    setattr(units, what, true + by)
    assert found(ledger) == [Difference(what, true + by, true, grant=name)]


def _carry_more(ledger: MemoryLedger) -> Difference:
    ledger._counters[DAY].carried += 1
    return Difference("settled", 33, 34, counter=DAY)


def _carry_a_unit(ledger: MemoryLedger) -> Difference:
    ledger._units["g"].carried -= 1
    return Difference("consumed", 3, 2, grant="g")


def _incur_more(ledger: MemoryLedger) -> Difference:
    ledger._accounts.entries["settled"].incurred = (8, 3, 7)
    return Difference("settled", 33, 34, counter=DAY)


def _lose_a_hold(ledger: MemoryLedger) -> Difference:
    kept = ledger._accounts.entries["held"]
    kept.hold = Hold("held", kept.hold.charges[1:], "g")
    return Difference("reserved", 11, 1, counter=DAY)


def _lose_a_unit(ledger: MemoryLedger) -> Difference:
    kept = ledger._accounts.entries["lapsed"]
    kept.hold = Hold("lapsed", kept.hold.charges)
    return Difference("consumed", 3, 2, grant="g")


@pytest.mark.parametrize("change", [_carry_more, _carry_a_unit, _incur_more, _lose_a_hold, _lose_a_unit])
def test_an_entry_that_was_changed(ledger: MemoryLedger, change: Callable[[MemoryLedger], Difference]) -> None:
    expected = change(ledger)
    assert found(ledger) == [expected]


def test_entries_whose_balance_is_gone(ledger: MemoryLedger) -> None:
    """What nobody charged is no difference: a counter at zero may be missing."""
    ledger.reserve([Hold("nothing", (Charge(COUNTERS[4], 0, MOST),))], 0)
    del ledger._counters[COUNTERS[4]]
    del ledger._counters[TOKENS]
    del ledger._units["g"]
    assert found(ledger) == [
        Difference("settled", 0, 6, counter=TOKENS),
        Difference("reserved", 0, 3, counter=TOKENS),
        Difference("held", 0, 1, grant="g"),
        Difference("consumed", 0, 2, grant="g"),
    ]
