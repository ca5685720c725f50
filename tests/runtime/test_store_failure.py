"""What happens while the store is silent, and what it is told afterwards."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, local
from typing import Any

import pytest

from policy_engine.evaluation.decision import Decision
from policy_engine.evaluation.facts import Reading
from policy_engine.ledger.protocol import Ledger, LedgerUnavailable
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Denied, InProgress, NotRunning, Stopped
from policy_engine.runtime.escrow import Escrow
from policy_engine.runtime.execution import Execution
from policy_engine.runtime.observing import Observer
from tests.runtime.desk import ASKS, CENT, LEASE, NOON, SECOND, Faulty, engine, ledger, spent, units

__all__ = ["ledger"]  # a fixture

WORST = 30 * CENT
MINI = 10 * CENT
WITHIN = {"file": "ceiling $5 per day  on store failure allow within $1"}
DENY = {"file": "ceiling $5 per day"}


def over(ledger: Ledger, rules: dict[str, str], **options: Any) -> tuple[Engine, Faulty]:
    faulty: Any = Faulty(ledger)
    return engine(rules, ledger=faulty, **options), faulty


def begin(engine: Engine, key: str | None = None) -> Execution:
    return engine.execution("draft", customer="acme", key=key)


def call(run: Execution) -> None:
    for attempt in run.step("draft", **ASKS):
        with attempt:
            attempt.settle(input_tokens=50, output_tokens=25)


def day(ledger: Ledger) -> tuple[int, int]:
    with ledger.book() as book:
        of = [b for b in book.balances() if str(b.counter.meter) == "spent per day"]
        return sum(b.settled for b in of), sum(b.reserved for b in of)


# ---------------------------------------------------------------- deny, which is the default


def test_observers_hear_of_a_denial_that_the_policy_did_not_make(ledger: Ledger) -> None:
    heard: list[str | None] = []

    class Listener(Observer):
        def decided(self, decision: Decision, *_: Any) -> None:
            heard.append(decision.reason)

    made, faulty = over(ledger, {}, observers=[Listener()])
    faulty.silent = {"begin"}
    with pytest.raises(Denied):
        begin(made)
    assert heard == ["store_silent"]


@pytest.mark.parametrize("silent", [True, {"begin"}, {"keep", "begin"}], ids=["all", "begin", "keep"])
def test_nothing_begins_while_the_store_is_silent(ledger: Ledger, silent: Any) -> None:
    for rules in (DENY, {}):
        made, faulty = over(ledger, rules)
        faulty.silent = silent
        with pytest.raises(Denied) as raised:
            begin(made)
        assert raised.value.decision.reason in ("store_silent", "ceiling_reached")
        assert made.escrow.owes == 0
    assert spent(ledger) == (0, 0)


@pytest.mark.parametrize(
    ("rules", "silent"),
    [(DENY, True), (DENY, {"reserve"}), (DENY, {"readings"}), ({}, True), ({}, {"reserve"})],
    ids=["all", "reserve", "readings", "all, no ceiling", "reserve, no ceiling"],
)
def test_no_attempt_is_made_while_the_store_is_silent(ledger: Ledger, silent: Any, rules: dict[str, str]) -> None:
    """Even where the policy has no ceiling: nothing is spent that is not held."""
    made, faulty = over(ledger, rules)
    run = begin(made)
    faulty.silent = silent
    with pytest.raises(Stopped), run:
        call(run)
    faulty.silent = False
    assert made.reconcile()
    assert spent(ledger) == (0, 0)


def test_what_is_read_stops_nothing_that_no_rule_reads(ledger: Ledger) -> None:
    """What is held is held."""
    made, faulty = over(ledger, {})
    with begin(made) as run:
        faulty.silent = {"readings"}
        call(run)
    assert spent(ledger) == (MINI, 0)


def test_a_counter_that_is_not_said_is_no_zero(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store may answer with nothing, too. What the execution has spent itself is known all the same."""
    made = engine(WITHIN | {"outcome": "ceiling $0.35 per outcome"}, ledger=ledger)
    run = begin(made)
    call(run)
    monkeypatch.setattr(ledger, "readings", dict.fromkeys)
    with pytest.raises(Stopped, match="used \\$0.10"), run:  # noqa: RUF043 - an escaped dollar
        call(run)


def test_a_call_that_was_made_is_settled_when_the_store_answers_again(ledger: Ledger) -> None:
    made, faulty = over(ledger, DENY)
    with begin(made) as run:
        for attempt in run.step("draft", **ASKS):
            with attempt:
                faulty.silent = True
                attempt.settle(input_tokens=50, output_tokens=25)
        assert run.spent_nanos == MINI
        run.deliver()
    assert run.state == "accepted"
    assert spent(ledger) == (0, WORST)
    assert made.escrow.owes == 2
    faulty.silent = False
    assert made.reconcile()
    assert spent(ledger) == (MINI, 0)
    assert made.find("draft", customer="acme", key=run.key).state == "accepted"


def test_what_has_lapsed_meanwhile_is_corrected(ledger: Ledger) -> None:
    made, faulty = over(ledger, DENY, lease_seconds=LEASE)
    with begin(made) as run:
        for attempt in run.step("draft", **ASKS):
            with attempt:
                faulty.silent = True
                attempt.settle(input_tokens=50, output_tokens=25)
        run.deliver()
    made.clock.sleep(61 * SECOND)
    ledger.lapse(made.clock.now_micros())
    assert spent(ledger) == (WORST, 0)
    faulty.silent = False
    made.leases.renew()
    assert spent(ledger) == (MINI, 0)


def test_a_request_whose_answer_was_lost_ends_at_its_expiry(ledger: Ledger) -> None:
    """Nobody knows whether it is held. It is not spent, so it is charged once its time has passed: the strict side."""
    made, faulty = over(ledger, DENY, lease_seconds=LEASE)
    run = begin(made)
    faulty.after = {"reserve"}
    with pytest.raises(Stopped), run:
        call(run)
    faulty.after = set()
    assert spent(ledger) == (0, WORST)
    made.clock.sleep(61 * SECOND)
    ledger.lapse(made.clock.now_micros())
    assert spent(ledger) == (WORST, 0)


def test_what_arrives_later_is_refused_loudly(ledger: Ledger) -> None:
    made, faulty = over(ledger, {"outcome": "accepted within 1h"})
    with begin(made, "k") as run:
        run.deliver()
    for silent in (True, {"change"}):
        faulty.silent = silent
        with pytest.raises(LedgerUnavailable):
            made.accept("draft", customer="acme", key="k")
    faulty.silent = False
    assert made.accept("draft", customer="acme", key="k").permits


def test_a_stream_goes_on_with_what_is_reserved(ledger: Ledger) -> None:
    made, faulty = over(ledger, DENY)
    with begin(made) as run:
        for attempt in run.step("draft", **ASKS):
            with attempt:
                faulty.silent = True
                assert attempt.meter.add(50)
                faulty.silent = False
        run.deliver()
    assert spent(ledger) == (20 * CENT, 0)


# ---------------------------------------------------------------- allow within an amount


def test_work_goes_on_within_the_escrow(ledger: Ledger) -> None:
    """$1 has room for a worst case of $0.30 until seven calls have spent $0.10 each: the eighth is the last."""
    made, faulty = over(ledger, WITHIN)
    faulty.silent = True
    went = 0
    for _ in range(12):
        try:
            with begin(made) as run:
                call(run)
                run.deliver()
        except (Stopped, Denied):
            continue
        assert run.admission.draw is not None
        went += 1
    assert went == 8
    assert made.escrow.reading().used == 8 * MINI
    faulty.silent = False
    assert made.reconcile()
    assert made.escrow.reading().used == 0
    assert spent(ledger) == (8 * MINI, 0)
    assert day(ledger) == (8 * MINI, 0)


def test_four_who_saw_the_same_escrow_do_not_pass_it(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them were told that nothing is taken yet. $1 has room for three worst cases of $0.30."""
    made, faulty = over(ledger, WITHIN)
    faulty.silent = True
    runs = [begin(made) for _ in range(4)]
    seen, mine = Barrier(4), local()
    reading = made.escrow.reading

    def read_together() -> Reading:
        found = reading()
        if not hasattr(mine, "asked"):
            mine.asked = True
            seen.wait()
        return found

    monkeypatch.setattr(made.escrow, "reading", read_together)

    def ask(run: Execution) -> bool:
        try:
            return next(iter(run.step("draft", **ASKS))) is not None
        except Stopped:
            return False

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(ask, runs)) == 3
    assert reading() == Reading(0, 3 * WORST)


def test_open_attempts_are_held_in_escrow_and_then_in_the_ledger(ledger: Ledger) -> None:
    made, faulty = over(ledger, WITHIN)
    faulty.silent = True
    with begin(made) as run:
        for attempt in run.step("draft", **ASKS):
            with attempt:
                assert made.escrow.reading().reserved == WORST
                faulty.silent = False
                assert made.reconcile()
                assert made.escrow.reading().used == 0
                assert day(ledger) == (0, WORST)
                attempt.settle(input_tokens=50, output_tokens=25)
        assert day(ledger) == (MINI, 0)
        run.deliver()
    found = made.find("draft", customer="acme", key=run.key)
    assert (found.state, found.spent_nanos, found.attempts) == ("accepted", MINI, 1)


def test_escrow_does_not_lift_what_is_known_without_the_store(ledger: Ledger) -> None:
    rules = WITHIN | {"outcome": "ceiling $0.35 per outcome"}
    made, faulty = over(ledger, rules)
    faulty.silent = True
    run = begin(made)
    with pytest.raises(Stopped, match="ceiling \\$0.35 per outcome"), run:  # noqa: PT012, RUF043 - the loop raises
        call(run)
        call(run)
    assert made.escrow.reading().used == MINI


def test_a_request_whose_answer_was_lost_is_not_held_twice(ledger: Ledger) -> None:
    made, faulty = over(ledger, WITHIN)
    with begin(made) as run:
        faulty.after = {"reserve"}
        attempt = next(iter(run.step("draft", **ASKS)))
        faulty.after = set()
        with attempt:
            assert made.reconcile()
            assert spent(ledger) == (0, WORST)
            attempt.settle(input_tokens=50, output_tokens=25)
        run.deliver()
    assert spent(ledger) == (MINI, 0)


@pytest.mark.parametrize(("rules", "mode"), [(WITHIN, "enforce"), (WITHIN, "shadow"), (DENY, "shadow")])
def test_an_execution_whose_beginning_was_not_confirmed_is_its_owners(
    ledger: Ledger, rules: dict[str, str], mode: str
) -> None:
    """It was begun, and nobody said so: told again, the store answers the owner's own execution."""
    made, faulty = over(ledger, rules, mode=mode)
    faulty.after = {"begin"}
    with begin(made, "k") as run:
        faulty.after = set()
        call(run)
        run.deliver()
    assert made.find("draft", customer="acme", key="k").result == run.result
    assert spent(ledger) == (MINI, 0)


def test_while_the_ledger_has_not_been_told_it_counts_as_silent(ledger: Ledger) -> None:
    """It answers readings again, and cannot be written to: what was spent meanwhile is not in them."""
    made, faulty = over(ledger, {"file": "ceiling $0.50 per day  on store failure allow within $0.35"})
    faulty.silent = True
    with begin(made) as run:
        call(run)
        run.deliver()
    faulty.silent = {"reserve", "begin", "keep"}
    run = begin(made)
    with pytest.raises(Stopped), run:
        call(run)


def test_what_is_owed_counts_where_the_ledger_answers_readings_alone(ledger: Ledger) -> None:
    """The call that it was not told of stands in no counter; the ceiling of the execution holds all the same."""
    heard: list[str] = []

    class Listener(Observer):
        def store_failed(self, *_: Any) -> None:
            heard.append("store_failed")

    rules = WITHIN | {"outcome": "ceiling $0.35 per outcome"}
    made, faulty = over(ledger, rules, observers=[Listener()])
    run = begin(made)
    assert heard == []
    faulty.silent = {"reserve", "settle"}
    call(run)
    assert spent(ledger) == (0, 0)
    told = len(heard)
    assert told
    with pytest.raises(Stopped, match="used \\$0.10"), run:  # noqa: RUF043 - an escaped dollar
        call(run)
    assert len(heard) > told
    assert run.spent_nanos == MINI


def test_nothing_begins_before_the_ledger_has_been_told(ledger: Ledger) -> None:
    """It answers everything but settlements: its counters are not what they would be."""
    made, faulty = over(ledger, DENY)
    faulty.silent = {"settle"}
    with begin(made) as run:
        call(run)
    with pytest.raises(Denied):
        begin(made)
    faulty.silent = False
    begin(made).abort()
    assert spent(ledger) == (MINI, 0)


def test_units_are_not_drawn_while_the_store_is_silent(ledger: Ledger) -> None:
    made, faulty = over(ledger, WITHIN)
    with made.execution("draft", customer="acme", plan="base") as run:
        run.deliver()
    faulty.silent = True
    with made.execution("draft", customer="acme", plan="base") as run:
        assert run.admission.draw is not None
        assert run.admission.draw.kind == "escrow"
        call(run)
        run.deliver()
    faulty.silent = False
    assert made.reconcile()
    assert units(ledger) == [(0, 1)]


def test_a_key_is_not_begun_twice_by_what_is_told_later(ledger: Ledger) -> None:
    made, faulty = over(ledger, WITHIN, clock=PinnedClock(NOON))
    faulty.silent = True
    run = begin(made, "k")
    faulty.silent = False
    with pytest.raises(InProgress):
        begin(made, "k")
    with run:
        call(run)
        run.deliver()
    assert begin(made, "k").result == run.result


def test_of_two_who_began_the_same_key_in_silence_one_has_it(ledger: Ledger) -> None:
    """What the other one has spent is booked all the same; it goes no further, and is told why."""
    sides = [over(ledger, WITHIN) for _ in range(2)]
    runs = []
    for made, faulty in sides:
        faulty.silent = True
        runs.append(begin(made, "k"))
        call(runs[-1])
        faulty.silent = False
    first, second = runs
    assert all(made.reconcile() for made, _ in sides)
    assert spent(ledger) == (2 * MINI, 0)
    with pytest.raises(NotRunning, match="begun by somebody else"), second:
        call(second)
    with first:
        call(first)
        first.deliver()
    found = sides[1][0].find("draft", customer="acme", key="k")
    assert (found.id, found.state, found.spent_nanos) == (first.id, "accepted", 2 * MINI)
    assert spent(ledger) == (3 * MINI, 0)


def test_who_takes_over_does_not_settle_what_the_last_owner_has_yet_to_tell(ledger: Ledger) -> None:
    """Both have made their first attempt: one is in the ledger, of the other it will be told."""
    clock = PinnedClock(NOON)
    made, faulty = over(ledger, WITHIN, clock=clock, lease_seconds=LEASE)
    lost = begin(made, "k")
    faulty.silent = {"reserve"}
    attempt = next(iter(lost.step("draft", **ASKS)))
    clock.sleep(61 * SECOND)
    with begin(engine(WITHIN, ledger=ledger, clock=clock, lease_seconds=LEASE), "k") as run:
        other = next(iter(run.step("draft", **ASKS)))
        assert other.hold.id != attempt.hold.id
        faulty.silent = False
        with attempt:
            attempt.settle(input_tokens=50, output_tokens=25)
        with other:
            attempt_cost = spent(ledger)
            other.settle(input_tokens=100, output_tokens=100)
        assert attempt_cost == (MINI, WORST)
        run.deliver()
    assert spent(ledger) == (MINI + WORST, 0)


def test_no_two_take_the_last_of_the_escrow() -> None:
    """The policy was asked before; what counts is what is held."""
    escrow = Escrow()
    with ThreadPoolExecutor(8) as pool:
        went = list(pool.map(lambda number: escrow.hold(str(number), 30, 100), range(40)))
    assert sum(went) == 3
    assert escrow.reading() == Reading(0, 90)
    escrow.settle(str(went.index(True)), 10)
    assert escrow.reading() == Reading(10, 60)
    assert escrow.hold("more", 30, 100)
    assert not escrow.hold("too much", 1, 100)
    assert escrow.hold("shadow", 1000, None)
