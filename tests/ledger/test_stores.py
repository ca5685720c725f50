"""Each store: the conformance machine, tables of single requests."""

from typing import Any

import pytest
from hypothesis import settings
from msgspec.structs import replace

from policy_engine.evaluation.facts import Grant, Reading
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.protocol import (
    LAPSED_AT_ONCE,
    MOST,
    Balance,
    Charge,
    Counter,
    ExecutionRecord,
    Hold,
    Ledger,
    LedgerError,
    Pruned,
)
from policy_engine.ledger.verification import differences
from tests.generators.settings import examples
from tests.ledger.conformance import COUNTERS, OWN, OWN_COUNTERS, LedgerMachine


class MemoryMachine(LedgerMachine):
    def make(self) -> MemoryLedger:
        return MemoryLedger()


TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(examples(60), stateful_step_count=40)

DAY, OTHER_DAY, ACME = COUNTERS[0], COUNTERS[1], COUNTERS[2]


def reserved(*charges: Charge, id: str = "h", grant: str | None = None) -> Hold:
    return Hold(id=id, charges=charges, grant=grant)


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize(
    ("used", "asked", "limit", "taken"),
    [
        (9, 1, 10, True),  # a limit may be reached ...
        (9, 2, 10, False),  # ... but not crossed
        (10, 0, 10, True),
        (0, 10, None, True),
        (0, 1, 0, False),
    ],
)
def test_limit(used: int, asked: int, limit: int | None, taken: bool, ledger: Ledger) -> None:
    ledger.reserve([reserved(Charge(DAY, used), id="before")], 0)
    ledger.settle("before")
    crossed = ledger.reserve([reserved(Charge(DAY, asked, limit))], 0)
    assert (not crossed) == taken
    assert [c.used for c in crossed] == ([] if taken else [used])
    assert ledger.readings([DAY])[DAY] == Reading(used, asked if taken else 0)


def test_all_or_nothing_over_several_holds(ledger: Ledger) -> None:
    """The second hold does not fit beside the first, so neither is taken; what each lacks is said."""
    ledger.add_grant("acme", "draft", Grant(id="g", kind="pack", left=1, price_nanos=0))
    holds = [
        reserved(Charge(DAY, 6, 10), id="first", grant="g"),
        reserved(Charge(DAY, 6, 10), Charge(ACME, 1), id="second", grant="g"),
    ]
    crossed = ledger.reserve(holds, 0)
    assert [(c.charge, c.used) for c in crossed] == [(holds[1].charges[0], 6), (None, 1)]
    assert ledger.readings([DAY, ACME]) == {DAY: Reading(), ACME: Reading()}
    assert ledger.grants("acme", "draft", 0) == (Grant(id="g", kind="pack", left=1, price_nanos=0),)
    assert ledger.reserve(holds[:1], 0) == ()


@pytest.mark.parametrize(
    ("first", "second", "settled"),
    [
        ("settle", "settle", 5),
        ("settle", "release", 5),
        ("release", "settle", 0),
        ("release", "release", 0),
        ("reverse", "settle", 5),  # what is held has not been settled: nothing to reverse
        ("settle", "reverse", 0),
    ],
)
def test_a_hold_ends_once(first: str, second: str, settled: int, ledger: Ledger) -> None:
    ledger.reserve([reserved(Charge(DAY, 5))], 0)
    for method in (first, second, second):
        getattr(ledger, method)("h")
    assert ledger.readings([DAY])[DAY] == Reading(settled, 0)


@pytest.mark.parametrize(("actual", "settled", "over"), [(3, 3, ()), (5, 5, ()), (8, 8, ("spent",)), (None, 5, ())])
def test_an_actual_replaces_the_reservation(
    actual: int | None, settled: int, over: tuple[str, ...], ledger: Ledger
) -> None:
    ledger.reserve([reserved(Charge(DAY, 5, 5))], 0)
    assert ledger.settle("h", None if actual is None else {"spent": actual}) == over
    assert ledger.readings([DAY])[DAY] == Reading(settled, 0)


@pytest.mark.parametrize("others", ["held", "settled"])
@pytest.mark.parametrize("lapsed", [False, True])
def test_no_balance_passes_what_can_be_kept(others: str, lapsed: bool, ledger: Ledger) -> None:
    """The last unit of room may be taken. Beyond it, what a call came to is refused, and nothing of it is booked."""
    ledger.reserve([reserved(Charge(DAY, MOST - 10), id="other")], 0)
    if others == "settled":
        ledger.settle("other")
    ledger.reserve([Hold("h", (Charge(ACME, 1), Charge(DAY, 5)), expires_micros=10)], 0)
    if lapsed:
        ledger.lapse(10)
    before = ledger.readings([DAY, ACME])
    with pytest.raises(LedgerError, match=str(MOST)):
        ledger.settle("h", {"tokens": 2, "spent": 11})
    assert ledger.readings([DAY, ACME]) == before
    assert ledger.settle("h", {"spent": 10}) == ("spent",)
    reading = ledger.readings([DAY])[DAY]
    assert reading is not None
    assert reading.used == MOST
    with pytest.raises(LedgerError, match=str(MOST)):
        ledger.reserve([reserved(Charge(DAY, 1), id="more")], 0)
    assert ledger.reserve([reserved(Charge(DAY, 0), id="nothing")], 0) == ()


def test_a_late_settlement_corrects_a_lapse_and_charges_once(ledger: Ledger) -> None:
    ledger.reserve([Hold(id="h", charges=(Charge(DAY, 5),), expires_micros=10)], 0)
    assert ledger.lapse(9) == ()
    assert ledger.lapse(10) == ("h",)
    assert ledger.readings([DAY])[DAY] == Reading(5, 0)
    assert ledger.settle("h", {"spent": 2}) == ()
    assert ledger.lapse(11) == ()
    assert ledger.readings([DAY])[DAY] == Reading(2, 0)


def test_a_clock_that_steps_forward_and_back(ledger: Ledger) -> None:
    """Forward: what is open is settled in full, until its owner comes. Back: nothing ends before its time."""
    ledger.reserve([Hold("first", (Charge(DAY, 5, 20),), expires_micros=100)], 50)
    ledger.reserve([Hold("second", (Charge(DAY, 5, 20),), expires_micros=100)], 10**9)  # lapses the first on its way
    assert ledger.readings([DAY])[DAY] == Reading(5, 5)
    assert ledger.lapse(50) == ()
    ledger.reserve([Hold("third", (Charge(DAY, 5, 20),), expires_micros=150)], 50)
    assert ledger.readings([DAY])[DAY] == Reading(5, 10)
    assert ledger.settle("first", {"spent": 2}) == ()
    assert ledger.renew(["first", "second", "third"], 200) == ("first",)
    assert ledger.lapse(199) == ()
    assert ledger.readings([DAY])[DAY] == Reading(2, 10)
    assert set(ledger.lapse(10**12)) == {"second", "third"}
    ledger.release("second")
    ledger.settle("third", {"spent": 6})
    assert ledger.readings([DAY])[DAY] == Reading(8, 0)


def test_a_lapse_on_the_way_takes_a_few_and_refuses_nobody(ledger: Ledger) -> None:
    """What lapses counts as before: the limit sees no difference."""
    number = 3 * LAPSED_AT_ONCE
    ledger.reserve([Hold(str(n), (Charge(DAY, 1),), expires_micros=n) for n in range(number)], 0)
    assert ledger.reserve([Hold("last", (Charge(DAY, 1, number + 1),))], number) == ()
    reading = ledger.readings([DAY])[DAY]
    assert reading == Reading(LAPSED_AT_ONCE, number + 1 - LAPSED_AT_ONCE)
    assert ledger.reserve([Hold("more", (Charge(DAY, 1, number + 1),))], 0) != ()
    assert len(ledger.lapse(number)) == number - LAPSED_AT_ONCE


@pytest.mark.parametrize("method", ["settle", "release", "reverse"])
def test_an_unknown_hold(method: str, ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no hold `h`"):
        getattr(ledger, method)("h")


def test_an_id_twice_in_one_request(ledger: Ledger) -> None:
    with pytest.raises(LedgerError):
        ledger.reserve([reserved(Charge(DAY, 1)), reserved(Charge(OTHER_DAY, 1))], 0)
    assert ledger.readings([DAY, OTHER_DAY]) == {DAY: Reading(), OTHER_DAY: Reading()}


@pytest.mark.parametrize("ids", [("before", "h"), ("h", "before"), ("h", "h")])
def test_an_id_twice_is_told_where_there_is_no_room_either(ids: tuple[str, str], ledger: Ledger) -> None:
    ledger.reserve([reserved(Charge(DAY, 5), id="before")], 0)
    with pytest.raises(LedgerError, match="exists"):
        ledger.reserve([reserved(Charge(DAY, 6, 10), id=id) for id in ids], 0)
    assert ledger.readings([DAY]) == {DAY: Reading(0, 5)}


def test_what_has_no_end_does_not_lapse_at_the_end_of_time(ledger: Ledger) -> None:
    ledger.reserve([reserved(Charge(DAY, 5)), Hold("due", (Charge(DAY, 1),), expires_micros=MOST - 1)], 0)
    assert ledger.lapse(MOST) == ("due",)
    assert ledger.readings([DAY]) == {DAY: Reading(1, 5)}


def test_a_grant_that_is_not_there_takes_nothing(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="no grant `g`"):
        ledger.reserve([reserved(Charge(DAY, 1), id="first"), reserved(id="second", grant="g")], 0)
    assert ledger.readings([DAY]) == {DAY: Reading()}


def test_an_ended_execution_with_something_open_is_not_forgotten(ledger: Ledger) -> None:
    record = ExecutionRecord(id="e", customer="acme", outcome="draft", key="k", state="accepted", admitted_micros=1)
    ledger.begin(record, [Hold("e/1", (Charge(DAY, 5),), execution="e")], 1)
    assert ledger.prune(100) == Pruned(0, 0, 0)
    ledger.settle("e/1", {"spent": 3})
    assert ledger.prune(1) == Pruned(0, 0, 0)
    assert ledger.prune(2) == Pruned(1, 1, 0)
    assert ledger.readings([DAY])[DAY] == Reading(3, 0)


def test_what_is_delivered_waits_in_the_order_of_delivery(ledger: Ledger) -> None:
    for name in ("first", "second", "third"):
        ledger.begin(ExecutionRecord(id=name, customer="acme", outcome="draft", key=name), [], 0)
    assert ledger.delivered() == ()
    kept = {}
    for at, name in enumerate(("third", "first")):
        record = ledger.execution("acme", "draft", name)
        assert record is not None
        assert ledger.change(replace(record, state="delivered", delivered_micros=at))
        kept[name] = replace(record, state="delivered", delivered_micros=at, version=1)
    assert ledger.delivered() == (kept["third"], kept["first"])
    assert ledger.change(replace(kept["third"], state="accepted"))
    assert ledger.delivered() == (kept["first"],)


@pytest.mark.parametrize(
    ("state", "admitted", "delivered", "held", "gone"),
    [
        ("accepted", 4, None, None, True),
        ("accepted", 5, None, None, False),  # before 5 is not at 5
        ("accepted", 1, 4, None, True),
        ("accepted", 1, 5, None, False),
        ("accepted", 1, None, 4, True),
        ("accepted", 1, None, 5, False),
        ("aborted", 1, None, 4, True),
        ("delivered", 1, 4, 4, False),
        ("running", 1, None, 4, False),
    ],
)
def test_what_is_pruned_ended_and_began_before(
    state: str, admitted: int, delivered: int | None, held: int | None, gone: bool, ledger: Ledger
) -> None:
    record = ExecutionRecord(
        id="e",
        customer="acme",
        outcome="draft",
        key="k",
        state=state,
        admitted_micros=admitted,
        delivered_micros=delivered,
    )
    ledger.begin(record, [], 0)
    if held is not None:
        ledger.reserve([Hold("e/1", (Charge(DAY, 5),), execution="e")], held)
        ledger.settle("e/1")
    assert ledger.prune(5) == (Pruned(1, 1 if held else 0, 0) if gone else Pruned(0, 0, 0))
    assert (ledger.execution("acme", "draft", "k") is None) == gone


@pytest.mark.parametrize(("end", "at", "gone"), [(None, 4, 0), ("settle", 4, 1), ("settle", 5, 0), ("release", 4, 1)])
def test_holds_of_no_execution_are_pruned_once_they_have_ended(
    end: str | None, at: int, gone: int, ledger: Ledger
) -> None:
    ledger.reserve([reserved(Charge(DAY, 5))], at)
    if end is not None:
        getattr(ledger, end)("h")
    before = ledger.readings([DAY])
    assert ledger.prune(5) == Pruned(0, gone, 0)
    assert ledger.readings([DAY]) == before
    with ledger.book() as book:
        assert list(differences(book)) == []


@pytest.mark.parametrize("left", [-1, MOST + 1, 1.0, 1.5, True, "1", None])
def test_units_that_cannot_be_counted_are_no_grant(left: Any, ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="units of the grant `g` are no whole number"):
        ledger.add_grant("acme", "draft", Grant(id="g", kind="pack", left=left, price_nanos=0))
    assert ledger.grants("acme", "draft", 0) == ()
    assert ledger.add_grant("acme", "draft", Grant(id="g", kind="pack", left=MOST, price_nanos=0))


def test_a_pruned_execution_takes_its_own_counters_along(ledger: Ledger) -> None:
    """A counter of a window stays, and so does what others hold on it; a unit that was consumed stays consumed."""
    own, step = OWN_COUNTERS[0], Counter(OWN, "e1\nstep")
    ledger.add_grant("acme", "draft", Grant(id="g", kind="pack", left=2, price_nanos=0))
    record = ExecutionRecord(id=own.key, customer="acme", outcome="draft", key="k", state="accepted")
    holds = [
        Hold("e1/unit", grant="g", execution=own.key),
        Hold("e1/1", (Charge(own, 5), Charge(DAY, 5), Charge(DAY, 1)), execution=own.key),
        Hold("e1/2", (Charge(step, 7), Charge(DAY, 7)), execution=own.key),
    ]
    ledger.begin(record, holds, 0)
    ledger.reserve([reserved(Charge(DAY, 2))], 0)
    ledger.settle("e1/unit")
    ledger.settle("e1/1")
    ledger.release("e1/2")
    assert ledger.prune(1) == Pruned(executions=1, entries=3, counters=2)
    assert ledger.readings([own, step, DAY]) == {own: Reading(), step: Reading(), DAY: Reading(6, 2)}
    with ledger.book() as book:
        assert list(book.balances()) == [Balance(DAY, settled=6, reserved=2, carried=6)]
        assert [(lot.held, lot.consumed, lot.carried) for lot in book.lots()] == [(0, 1, 1)]
        assert list(differences(book)) == []
    assert ledger.entries(own.key) == ()
    assert ledger.execution("acme", "draft", "k") is None


def test_nothing_of_a_pruned_execution_stays_in_memory() -> None:
    """A ledger that lives for long is no larger for what it has forgotten."""
    ledger = MemoryLedger()
    record = ExecutionRecord(id="e1", customer="acme", outcome="draft", key="k", state="delivered")
    ledger.begin(record, [Hold("e1/1", (Charge(OWN_COUNTERS[0], 5),), expires_micros=5, execution="e1")], 0)
    assert ledger.change(replace(record, state="accepted"), settle=["e1/1"])
    assert ledger.prune(1) == Pruned(1, 1, 1)
    ledger.reserve([], 5)  # the time of its hold has come
    accounts = ledger._accounts
    for kept in (ledger._records, ledger._keys, ledger._delivered, accounts.entries, accounts.of, accounts.due):
        assert not kept
    assert not accounts.counters


@pytest.mark.parametrize("limit", [MOST, MOST + 1, 10**22])
def test_a_limit_that_no_balance_reaches(limit: int, ledger: Ledger) -> None:
    """`ceiling 10000000000 VND per month` can be said."""
    assert ledger.reserve([Hold("h", (Charge(COUNTERS[0], 5, limit),), execution="e1")], 0) == ()
    (entry,) = ledger.entries("e1")
    assert (entry.hold.charges[0].limit or 0) >= MOST
    with pytest.raises(LedgerError, match="would pass"):
        ledger.reserve([Hold("i", (Charge(COUNTERS[0], MOST, limit),))], 0)
