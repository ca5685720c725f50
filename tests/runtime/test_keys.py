"""The same key is one execution: in progress, taken over, or ended with its result. And what arrives later, by key."""

import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.protocol import Ledger
from policy_engine.ledger.sqlite import SqliteLedger
from policy_engine.policy import LivePolicy, load
from policy_engine.prices.table import PriceTable
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Denied, InProgress, NoExecution, NotRunning
from policy_engine.runtime.execution import Execution
from tests.runtime.desk import ASKS, CENT, LEASE, NOON, SECOND, TEXT, Broken, engine, ledger, policy, spent, units

__all__ = ["ledger"]  # a fixture

WORST = 30 * CENT
MINI = 10 * CENT
WINDOW = {"outcome": "accepted within 1h"}


def two(ledger: Ledger, rules: dict[str, str] | None = None, **options: Any) -> tuple[Engine, Engine, PinnedClock]:
    """Two engines as two processes have them: one ledger, one time."""
    clock = PinnedClock(NOON)
    options = {"ledger": ledger, "clock": clock, "lease_seconds": LEASE} | options
    return engine(rules, **options), engine(rules, **options), clock


def begin(engine: Engine, key: str | None = "k", **asked: Any) -> Execution:
    return engine.execution("draft", **{"customer": "acme", "plan": "base", "key": key} | asked)


def work(run: Execution) -> Execution:
    for attempt in run.step("draft", **ASKS):
        with attempt:
            attempt.settle(input_tokens=50, output_tokens=25)
    run.deliver()
    return run


def test_an_owner_that_is_alive_is_not_disturbed(ledger: Ledger) -> None:
    here, there, _ = two(ledger)
    run = begin(here)
    for other in (here, there):
        with pytest.raises(InProgress) as raised:
            begin(other)
        assert raised.value.record.lease_micros == NOON + 60 * SECOND
    with run:
        work(run)
    assert units(ledger) == [(0, 1)]


def test_one_that_has_ended_comes_back_with_its_result(ledger: Ledger) -> None:
    here, there, _ = two(ledger)
    with begin(here) as run:
        work(run)
    with begin(there) as again:
        assert again.result == run.result
        assert again.result is not None
        assert (again.result.state, again.result.spent_nanos, again.result.attempts) == ("accepted", MINI, 1)
        assert (again.id, again.lane, again.price_nanos) == (run.id, run.lane, run.price_nanos)
        assert (run.resumed, again.resumed) == (False, False)
        admissions = [(each.lane, each.route, each.draw) for each in (run.admission, again.admission)]
        assert admissions[0] == admissions[1]
        assert again.admission.draw is not None
        assert again.admission.draw.kind == "allowance"
        with pytest.raises(NotRunning, match="is accepted: see its `result`"):
            again.step("draft")
    assert spent(ledger) == (MINI, 0)
    assert units(ledger) == [(0, 1)]


def test_an_abort_is_an_end(ledger: Ledger) -> None:
    here, there, _ = two(ledger)
    with begin(here):
        pass
    result = begin(there).result
    assert result is not None
    assert result.state == "aborted"
    assert units(ledger) == [(0, 0)]


def test_keys_are_unique_per_customer_and_outcome(ledger: Ledger) -> None:
    here, _, _ = two(ledger)
    runs = [
        begin(here, plan=None),
        begin(here, customer="other", plan=None),
        here.execution("lookup", customer="acme", key="k"),
        begin(here, key="l", plan=None),
        begin(here, key=None, plan=None),
        begin(here, key=None, plan=None),
    ]
    assert len({run.id for run in runs}) == 6
    assert all(run.result is None for run in runs)


def test_a_lapsed_one_is_taken_over_and_its_hold_settled(ledger: Ledger) -> None:
    here, there, clock = two(ledger)
    lost = begin(here)
    next(iter(lost.step("draft", **ASKS)))
    clock.sleep(61 * SECOND)
    with begin(there) as run:
        assert units(ledger) == [(1, 0)]
        assert (run.resumed, run.id) == (True, lost.id)
        assert (run.attempts, run.spent_nanos) == (1, WORST)
        assert spent(ledger) == (WORST, 0)
        work(run)
    assert spent(ledger) == (WORST + MINI, 0)
    assert run.result is not None
    assert (run.result.state, run.result.attempts, run.result.spent_nanos) == ("accepted", 2, WORST + MINI)
    assert units(ledger) == [(0, 1)]


def test_what_was_swept_before_the_take_over_is_not_charged_twice(ledger: Ledger) -> None:
    here, there, clock = two(ledger)
    next(iter(begin(here).step("draft", **ASKS)))
    clock.sleep(61 * SECOND)
    assert len(ledger.lapse(clock.now_micros())) == 3
    with begin(there) as run:
        work(run)
    assert spent(ledger) == (WORST + MINI, 0)
    assert units(ledger) == [(0, 1)]


def test_a_swept_unit_is_given_back_if_the_one_who_took_over_aborts(ledger: Ledger) -> None:
    here, there, clock = two(ledger)
    begin(here)
    clock.sleep(61 * SECOND)
    ledger.lapse(clock.now_micros())
    assert units(ledger) == [(0, 1)]
    with begin(there):
        pass
    assert units(ledger) == [(0, 0)]


def test_a_lost_owner_is_told_and_corrects_its_charge(ledger: Ledger) -> None:
    """It was only slow. Its call is settled at what it used; the execution is the other one's."""
    here, there, clock = two(ledger)
    lost = begin(here)
    attempt = next(iter(lost.step("draft", **ASKS)))
    clock.sleep(61 * SECOND)
    with begin(there) as run:
        with attempt:
            attempt.settle(input_tokens=50, output_tokens=25)
        with pytest.raises(NotRunning, match="taken over"):
            lost.deliver()
        with pytest.raises(NotRunning, match="taken over"):
            lost.step("more")
        lost.leave()
        run.deliver()
    assert run.state == "accepted"
    assert spent(ledger) == (MINI, 0)
    assert units(ledger) == [(0, 1)]


def test_a_lost_owner_hands_nothing_off(ledger: Ledger) -> None:
    """Its call fails; what the policy says then is not its own to do any more."""
    here, there, clock = two(ledger, {"lanes": "standard", "outcome": "fallback tier2 on any"})
    lost = begin(here)
    attempt = next(iter(lost.step("draft", **ASKS)))
    clock.sleep(61 * SECOND)
    with begin(there) as run:
        with pytest.raises(Broken), attempt:
            raise Broken
        work(run)
    assert (run.state, run.handoff_nanos) == ("accepted", 0)
    assert lost.handoff_nanos == 0


def test_a_call_made_shortly_before_the_end_lapses_when_its_time_comes(ledger: Ledger) -> None:
    """The lease was renewed at noon, the call made 30 s later. Who takes over sees it as spent; nobody renews it."""
    here, there, clock = two(ledger)
    lost = begin(here)
    clock.sleep(30 * SECOND)
    next(iter(lost.step("draft", **ASKS)))
    clock.sleep(31 * SECOND)
    with begin(there) as run:
        assert run.spent_nanos == WORST
        assert spent(ledger) == (0, WORST)
        clock.sleep(30 * SECOND)
        there.leases.renew()
        ledger.lapse(clock.now_micros())
        assert spent(ledger) == (WORST, 0)


def test_the_time_of_a_time_ceiling_runs_on(ledger: Ledger) -> None:
    here, there, clock = two(ledger, {"outcome": "ceiling 90s per outcome"})
    begin(here)
    clock.sleep(70 * SECOND)
    attempt = next(iter(begin(there).step("draft", **ASKS)))
    assert attempt.timeout_seconds == 20.0


def test_only_one_of_many_takes_over(ledger: Ledger) -> None:
    here, there, clock = two(ledger)
    begin(here)
    clock.sleep(61 * SECOND)
    ready, won = threading.Barrier(8), []

    def take() -> None:
        ready.wait()
        with suppress(InProgress):
            won.append(begin(there))

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_only_one_of_many_begins(ledger: Ledger) -> None:
    here, there, _ = two(ledger)
    ready, won = threading.Barrier(8), []

    def take(engine: Engine) -> None:
        ready.wait()
        with suppress(InProgress):
            won.append(begin(engine))

    threads = [threading.Thread(target=take, args=(engine,)) for engine in (here, there) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert units(ledger) == [(1, 0)]


# ---------------------------------------------------------------- leases


def test_what_is_renewed_does_not_lapse(ledger: Ledger) -> None:
    here, there, clock = two(ledger)
    run = begin(here)
    attempt = next(iter(run.step("draft", **ASKS)))
    for _ in range(5):
        clock.sleep(40 * SECOND)
        here.leases.renew()
    assert ledger.lapse(clock.now_micros()) == ()
    with pytest.raises(InProgress):
        begin(there)
    with run:
        with attempt:
            attempt.settle(input_tokens=50, output_tokens=25)
        run.deliver()
    assert spent(ledger) == (MINI, 0)


def test_a_delivered_unit_is_held_however_long_nobody_accepts(ledger: Ledger) -> None:
    here, _, clock = two(ledger, {"outcome": "accepted within 72h"})
    with begin(here) as run:
        work(run)
    clock.sleep(71 * 3600 * SECOND)
    ledger.lapse(clock.now_micros())
    assert units(ledger) == [(1, 0)]


def test_leaked_holds_are_gone_after_their_time(ledger: Ledger) -> None:
    here, _, clock = two(ledger)
    for number in range(5):
        run = here.execution("draft", customer="acme", key=str(number))
        next(iter(run.step("draft", **ASKS)))
    assert spent(ledger) == (0, 5 * WORST)
    clock.sleep(61 * SECOND)
    ledger.lapse(clock.now_micros())
    assert spent(ledger) == (5 * WORST, 0)


@pytest.mark.parametrize("step", [-3600, 3600])
def test_a_clock_that_steps_loses_no_charge(ledger: Ledger, step: int) -> None:
    here, _, clock = two(ledger, WINDOW)
    with begin(here) as run:
        for attempt in run.step("draft", **ASKS):
            with attempt:
                clock.set(clock.now_micros() + step * SECOND)
                ledger.lapse(clock.now_micros())
                attempt.settle(input_tokens=50, output_tokens=25)
        run.deliver()
    assert spent(ledger) == (MINI, 0)
    assert run.state == "delivered"


@pytest.mark.slow
def test_the_renewer_keeps_what_is_alive_and_ends_by_itself(tmp_path: Path) -> None:
    """On the machine's clock, with a lease of a quarter of a second."""
    ledger = SqliteLedger(tmp_path / "ledger.sqlite", synchronous="NORMAL")
    here = Engine(policy(), ledger=ledger, lease_seconds=0.25)
    there = Engine(policy(), ledger=ledger, lease_seconds=0.25)
    with here.execution("draft", customer="acme", key="k"):
        here.clock.sleep(SECOND)
        with pytest.raises(InProgress):
            there.execution("draft", customer="acme", key="k")
    thread = here.leases._thread
    assert thread is not None
    thread.join(5)
    assert not thread.is_alive()
    ledger.close()


def test_no_lease_on_a_clock_that_nobody_moves() -> None:
    run = engine().execution("draft", customer="acme")
    assert run.record.lease_micros is None


# ---------------------------------------------------------------- later, by key


@pytest.mark.parametrize(
    ("events", "state", "unit", "revenue"),
    [
        (["accept"], "accepted", (0, 1), 200),
        (["accept", "accept"], "accepted", (0, 1), 200),
        (["reject"], "rejected", (0, 0), 0),
        (["accept", "reverse"], "reversed", (0, 0), 0),
        (["reverse"], "delivered", (1, 0), 0),
        (["accept", "reject"], "accepted", (0, 1), 200),
        (["lapse"], "delivered", (1, 0), 0),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else None,
)
def test_what_becomes_of_it_arrives_by_key(
    ledger: Ledger, events: list[str], state: str, unit: tuple[int, int], revenue: int
) -> None:
    here, there, _ = two(ledger, WINDOW)
    with begin(here) as run:
        work(run)
    for event in events:
        getattr(there, event)("draft", customer="acme", key="k")
    found = here.find("draft", customer="acme", key="k")
    assert (found.state, found.revenue_nanos) == (state, revenue * CENT)
    assert units(ledger) == [unit]


def test_silence_closes_the_window(ledger: Ledger) -> None:
    here, there, clock = two(ledger, WINDOW)
    for key in ("a", "b"):
        with begin(here, key=key) as run:
            work(run)
    assert there.close_windows() == 0
    clock.sleep(3600 * SECOND)
    assert there.close_windows() == 2
    assert there.close_windows() == 0
    assert units(ledger) == [(0, 2)]
    assert not there.reject("draft", customer="acme", key="a").permits


def test_nothing_has_this_key(ledger: Ledger) -> None:
    with pytest.raises(NoExecution, match="no execution of `draft` for `acme` has the key `k`"):
        engine(ledger=ledger).accept("draft", customer="acme", key="k")


# ---------------------------------------------------------------- policies that change


def test_each_policy_and_price_table_is_stored_once_by_digest(ledger: Ledger) -> None:
    for engine_ in two(ledger)[:2]:
        for _ in range(2):
            with engine_.execution("draft", customer="acme"):
                pass
    with ledger.book() as book:
        kinds = sorted(document.kind for document in book.documents())
    assert kinds == ["currency", "policy", "prices"]


def test_what_was_begun_keeps_its_policy_wherever_it_goes_on(ledger: Ledger) -> None:
    """The second process has never seen the policy that the first began under."""
    old = "ceiling $0.40 per outcome  retry 3 on server_error"
    here, _, clock = two(ledger, {"outcome": old})
    _, there, _ = two(ledger, {"outcome": "forbid when plan is base"}, clock=clock)
    begin(here)
    clock.sleep(61 * SECOND)
    with pytest.raises(Denied):
        begin(there, key="another")
    with pytest.raises(Broken), begin(there) as run:  # noqa: PT012 - the loop is what raises
        for attempt in run.step("draft", **ASKS):
            with attempt:
                raise Broken
    assert run.edition.digests == here.edition.digests
    assert "retry" in [said.effect for said in run.decisions]
    assert spent(ledger) == (WORST, 0)  # the retry would have passed the ceiling


def test_what_was_begun_keeps_its_prices_wherever_it_goes_on(ledger: Ledger) -> None:
    """The same policy in both processes; in the second one, everything has become ten times as dear."""
    text = """
    currency USD
    route mini { model "openai:mini" }
    lane standard { mini }
    workflow support { outcome draft { price $2  lanes standard  ceiling $9 per outcome } }
    """
    clock = PinnedClock(NOON)

    def at(input_rate: str, output_rate: str) -> Engine:
        prices = PriceTable.per_million({"openai:mini": (input_rate, output_rate)})
        return Engine(load(text, prices=prices), ledger=ledger, clock=clock, lease_seconds=LEASE)

    here, there = at("1000", "2000"), at("10000", "20000")
    begin(here, plan=None)
    with begin(there, key="another", plan=None) as run:
        assert next(iter(run.step("draft", **ASKS))).reserved_nanos == 10 * WORST
    before, _ = spent(ledger)
    clock.sleep(61 * SECOND)
    with begin(there, plan=None) as run:
        assert run.resumed
        work(run)
    assert spent(ledger)[0] - before == MINI


def test_running_executions_keep_the_version_they_began_under(tmp_path: Path) -> None:
    rules = dict.fromkeys(("file", "mini", "big", "tier2", "outcome", "lookup"), "") | {"lanes": "short"}
    path = tmp_path / "support.policy"
    path.write_text(TEXT.format(**rules))
    live = LivePolicy(path)
    made = Engine(live, ledger=MemoryLedger(), clock=PinnedClock(NOON))
    run = begin(made)
    path.write_text(TEXT.format(**rules | {"outcome": "forbid when plan is base"}))
    assert live.reload()
    with pytest.raises(Denied):
        begin(made, key="l")
    work(run)
    assert run.state == "accepted"


def test_facts_come_back_as_they_were_given(ledger: Ledger) -> None:
    """Also those that cannot be known, and numbers that are no floats of base two."""
    text = """
    currency USD
    fact risk: low < high
    fact region?: eu | us
    fact score: number 0..1 = 0.5
    fact share: percent = 45%
    fact vip: boolean = false
    fact note: text = "none"
    fact worth: money = $1
    route web { tool "web" cost $0.01 }
    lane tools { web }
    workflow support { outcome draft { price $1 lanes tools forbid when score > 0.35 } }
    """
    clock = PinnedClock(NOON)
    here = Engine(load(text), ledger=ledger, clock=clock, lease_seconds=LEASE)
    there = Engine(load(text), ledger=ledger, clock=clock, lease_seconds=LEASE)
    given = {"risk": "high", "score": 0.3, "note": 'a "quoted" é', "worth": "2.5"}
    first = here.execution("draft", customer="acme", key="k", facts=given)
    clock.sleep(61 * SECOND)
    assert there.execution("draft", customer="acme", key="k", facts=given).given == first.given


# ---------------------------------------------------------------- killed


WORKER = """
import sys
from policy_engine.ledger.sqlite import SqliteLedger
from policy_engine.runtime.engine import Engine
from tests.runtime.desk import ASKS, policy

engine = Engine(policy(), ledger=SqliteLedger(sys.argv[1]), lease_seconds=0.5)
with engine.execution("draft", customer="acme", plan="base", key="k") as run:
    for attempt in run.step("draft", **ASKS):
        with attempt:
            print("calling", flush=True)
            sys.stdin.read()
"""


@pytest.mark.slow
def test_a_killed_worker_is_followed_by_another(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    root = Path(__file__).parents[2]
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(path)], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdout is not None
    assert worker.stdin is not None
    assert worker.stdout.readline() == "calling\n"
    ledger = SqliteLedger(path)
    made = Engine(policy(), ledger=ledger, lease_seconds=0.5)
    made.clock.sleep(SECOND)  # it renews what it holds
    with pytest.raises(InProgress):
        begin(made)
    worker.kill()
    worker.wait()
    worker.stdin.close()
    worker.stdout.close()
    made.clock.sleep(SECOND)
    with begin(made) as run:
        assert run.resumed
        assert spent(ledger) == (WORST, 0)
        work(run)
    assert spent(ledger) == (WORST + MINI, 0)
    assert units(ledger) == [(0, 1)]
    ledger.close()
