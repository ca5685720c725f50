"""Steps and executions side by side, in threads and tasks: never above any ceiling, and all that fits goes."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from policy_engine.ledger.protocol import Ledger
from policy_engine.runtime.attempt import Attempt
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Denied, HandedOff, InProgress, NotRunning, Stopped
from policy_engine.runtime.escrow import Escrow
from policy_engine.runtime.execution import Execution
from tests.locks import Guarded, Taken
from tests.runtime.desk import ASKS, CENT, LEASE, SECOND, Broken, engine, ledger, spent, units

__all__ = ["ledger"]  # a fixture

COST = 35 * CENT // 10
DAY = {"file": "ceiling $0.10 per day"}


def look_up(engine: Engine, number: int) -> bool:
    """One run of $0.035; whether it went."""
    try:
        with engine.execution("lookup", customer=f"c{number % 3}", key=f"run {number}") as run:
            for attempt in run.step("look"):
                with attempt:
                    pass
            run.deliver()
    except (Denied, Stopped):
        return False
    return True


def in_threads(engine: Engine, runs: int, threads: int) -> int:
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(lambda number: look_up(engine, number), range(runs)))


def in_tasks(engine: Engine, runs: int, _: int) -> int:
    async def one(number: int) -> bool:
        try:
            async with engine.execution("lookup", customer=f"c{number % 3}", key=f"run {number}") as run:
                async for attempt in run.step("look"):
                    async with attempt:
                        await asyncio.sleep(0)
                run.deliver()
        except (Denied, Stopped):
            return False
        return True

    async def main() -> int:
        return sum(await asyncio.gather(*map(one, range(runs))))

    return asyncio.run(main())


@pytest.mark.parametrize(("run", "side_by_side"), [(in_threads, 2), (in_threads, 8), (in_threads, 64), (in_tasks, 20)])
def test_twenty_runs_under_a_shared_ceiling(ledger: Ledger, run: Any, side_by_side: int) -> None:
    """Each costs $0.035, all together may cost $0.10: two go, $0.07 is spent."""
    assert run(engine(DAY, ledger=ledger), 20, side_by_side) == 2
    assert spent(ledger) == (2 * COST, 0)


def test_two_engines_share_what_one_ledger_holds(ledger: Ledger) -> None:
    """As two processes would: 30 of $0.035 fit into $1.05."""
    engines = [engine({"file": "ceiling $1.05 per day"}, ledger=ledger) for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        went = list(pool.map(lambda number: look_up(engines[number % 2], number), range(60)))
    assert sum(went) == 30
    assert spent(ledger) == (30 * COST, 0)


# ---------------------------------------------------------------- inside one execution


def test_steps_side_by_side_draw_on_what_is_left(ledger: Ledger) -> None:
    """Eight steps of $0.30 at worst, all held at once, under $1 for the execution: three go."""
    made = engine({"outcome": "ceiling $1 per outcome"}, ledger=ledger)
    asked, asked_all = threading.Barrier(8), threading.Barrier(3)
    seen: list[int] = []

    def step(number: int) -> bool:
        attempt = None
        try:
            attempt = next(iter(run.step(f"part {number}", **ASKS)))
        except Stopped:
            return False
        finally:
            asked.wait()
        seen.append(spent(ledger)[1])
        asked_all.wait()
        with attempt:
            attempt.settle(input_tokens=50, output_tokens=25)
        return True

    with made.execution("draft", customer="acme") as run:
        with ThreadPoolExecutor(8) as pool:
            went = list(pool.map(step, range(8)))
        run.deliver()
    assert sum(went) == 3
    assert max(seen) == 90 * CENT
    assert (run.attempts, run.spent_nanos) == (3, 30 * CENT)
    assert spent(ledger) == (30 * CENT, 0)


def test_tasks_side_by_side_draw_on_what_is_left(ledger: Ledger) -> None:
    """As above: none is settled before all have asked."""
    made = engine({"outcome": "ceiling $1 per outcome"}, ledger=ledger)
    asked: list[int] = []

    async def step(run: Any, number: int, asked_all: asyncio.Event) -> bool:
        def ask() -> None:
            asked.append(number)
            if len(asked) == 8:
                asked_all.set()

        try:
            async for attempt in run.step(f"part {number}", **ASKS):
                async with attempt:
                    ask()
                    await asked_all.wait()
                    attempt.settle(input_tokens=50, output_tokens=25)
        except Stopped:
            ask()
            return False
        return True

    async def main() -> tuple[int, int]:
        asked_all = asyncio.Event()
        async with made.execution("draft", customer="acme") as run:
            went = await asyncio.gather(*(step(run, number, asked_all) for number in range(8)))
            run.deliver()
        return sum(went), run.spent_nanos

    assert asyncio.run(main()) == (3, 30 * CENT)
    assert spent(ledger) == (30 * CENT, 0)


def test_steps_may_nest(ledger: Ledger) -> None:
    """A tool is looked up in the middle of a call: both draw on the same $0.40."""
    made = engine({"outcome": "ceiling $0.40 per outcome"}, ledger=ledger)
    with made.execution("draft", customer="acme") as run:
        for attempt in run.step("draft", **ASKS):
            with attempt:
                for inner in run.step("look", estimate="0.10"):
                    with inner:
                        assert spent(ledger) == (0, 40 * CENT)
                with pytest.raises(Stopped):
                    next(iter(run.step("again", estimate="0.01")))
                attempt.settle(input_tokens=50, output_tokens=25)
        next(iter(run.step("again", estimate="0.01"))).release()
        run.deliver()
    assert spent(ledger) == (20 * CENT, 0)


def test_a_handoff_ends_the_steps_beside_it(ledger: Ledger) -> None:
    rules = {"lanes": "standard", "outcome": "fallback tier2 on any"}
    made = engine(rules, ledger=ledger)
    with pytest.raises(HandedOff), made.execution("draft", customer="acme") as run:  # noqa: PT012 - the loop raises
        beside = iter(run.step("beside", **ASKS))
        other = next(beside)
        for attempt in run.step("draft", **ASKS):
            with attempt:
                raise Broken
    assert other.ended
    assert run.state == "handed_off"
    with pytest.raises(NotRunning):
        next(beside)
    assert spent(ledger) == (60 * CENT, 0)


@pytest.mark.parametrize("ends", ["succeed", "release"])
def test_an_attempt_that_another_thread_ends_while_its_execution_is_left(
    ledger: Ledger, ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes first has it; the other attempts are settled all the same, and the execution ends."""
    made = engine(ledger=ledger)
    with made.execution("lookup", customer="acme") as run:
        first, second = (next(iter(run.step(name))) for name in ("first", "second"))

        def overtaken() -> Any:
            monkeypatch.undo()
            getattr(first, ends)()
            return first.usage

        monkeypatch.setattr(first, "_known", overtaken)
    assert (first.ended, second.ended, run.state) == (True, True, "aborted")
    cost = 2 * COST if ends == "succeed" else COST
    assert (run.spent_nanos, spent(ledger)) == (cost, (cost, 0))


def test_threads_keep_the_sums_of_one_execution(ledger: Ledger) -> None:
    """What threads add up is not lost: 200 steps on eight threads."""
    made = engine(ledger=ledger)

    def step(number: int) -> None:
        for attempt in run.step(f"part {number % 5}"):
            with attempt:
                pass

    with made.execution("lookup", customer="acme") as run:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(step, range(200)))
        run.deliver()
    assert (run.attempts, run.spent_nanos) == (200, 200 * COST)
    assert spent(ledger) == (200 * COST, 0)
    assert made.find("lookup", customer="acme", key=run.key).result == run.result


# ---------------------------------------------------------------- what is done under a lock


@pytest.mark.parametrize(
    "work",
    [
        lambda run, attempt: attempt.succeed(),
        lambda run, attempt: attempt.fail("timeout"),
        lambda run, attempt: attempt.release(),
        lambda run, attempt: run.deliver(),
        lambda run, attempt: run.abort(),
        lambda run, attempt: run.hand_off(run.edition.checked.routes["tier2"]),
        lambda run, attempt: run.renew(0, 1),
        lambda run, attempt: run.step("more"),
        lambda run, attempt: run.next_hold(),
        lambda run, attempt: run.reserved("h", ()),
        lambda run, attempt: run.incurred(attempt.hold.id, {}, 0),
        lambda run, attempt: run.released(attempt.hold.id),
        lambda run, attempt: run.own_charges(),
        lambda run, attempt: run.open_holds(),
    ],
    ids=lambda work: str(work.__code__.co_names[0]),
)
def test_one_thread_at_a_time_changes_an_execution(work: Callable[[Execution, Attempt], object]) -> None:
    """Nothing is changed before the lock is had."""
    run = engine().execution("draft", customer="acme")
    attempt = next(iter(run.step("draft", **ASKS)))
    before = (run.state, run.attempts, run.spent_nanos, attempt.ended)
    lock, guarded = run.lock, Guarded()
    run.lock = guarded  # type: ignore[assignment]  # it only has to be entered
    with pytest.raises(Taken):
        work(run, attempt)
    run.lock = lock
    assert (run.state, run.attempts, run.spent_nanos, attempt.ended) == before
    attempt.succeed()
    assert (run.attempts, run.spent_nanos) == (1, 30 * CENT)


@pytest.mark.parametrize(
    "work",
    [
        lambda escrow: escrow.reading(),
        lambda escrow: escrow.hold("h", 1, None),
        lambda escrow: escrow.settle("h", 1),
        lambda escrow: escrow.forget("h"),
        lambda escrow: escrow.owe(list),
        lambda escrow: escrow.reconcile(),
    ],
    ids=lambda work: str(work.__code__.co_names[0]),
)
def test_one_thread_at_a_time_changes_the_escrow(work: Callable[[Escrow], object]) -> None:
    escrow: Any = Escrow()
    escrow.owe(list)
    escrow._lock = Guarded()
    with pytest.raises(Taken):
        work(escrow)
    assert escrow.owes == 1


@pytest.mark.parametrize("work", ["keep", "let_go", "close", "renew"])
def test_one_thread_at_a_time_changes_the_leases(work: str) -> None:
    made = engine(lease_seconds=60)
    run = made.execution("draft", customer="acme")
    leases: Any = made.leases
    leases._lock = Guarded()
    with pytest.raises(Taken):
        getattr(leases, work)(*([run] if work in ("keep", "let_go") else []))
    assert run in leases._runs


# ---------------------------------------------------------------- somebody else comes first


class Overtaken:
    """A ledger: right before it is asked for `method` for the first time, somebody else does something."""

    def __init__(self, ledger: Ledger, method: str, first: Callable[[], object]) -> None:
        self._ledger = ledger
        self._method = method
        self._first: Callable[[], object] | None = first

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ledger, name)
        if name != self._method:
            return found

        def after_another(*asked: Any, **named: Any) -> Any:
            first, self._first = self._first, None
            if first is not None:
                first()
            return found(*asked, **named)

        return after_another


def overtaken(ledger: Ledger, method: str, rules: dict[str, str], first: Callable[[Engine], object]) -> Engine:
    """An engine, and what another one on the same ledger does in between."""
    other = engine(rules, ledger=ledger, lease_seconds=LEASE)
    behind: Any = Overtaken(ledger, method, lambda: first(other))
    return engine(rules, ledger=behind, clock=other.clock, lease_seconds=LEASE)


@pytest.mark.parametrize(
    "limits", ["limit 1 per day", "limit 1 per day  limit 9 per day", "limit 9 per day  limit 1 per day"]
)
def test_the_last_of_a_limit_is_taken_once(ledger: Ledger, limits: str) -> None:
    """Both were allowed, as neither had begun. Who comes second is asked again, and denied: the tightest decides."""
    made = overtaken(ledger, "begin", {"outcome": limits}, lambda other: other.execution("draft", customer="b"))
    with pytest.raises(Denied) as raised:
        made.execution("draft", customer="acme")
    assert raised.value.decision.reason == "limit_reached"
    assert raised.value.decision.rulings
    with ledger.book() as book:
        assert [b.reserved for b in book.balances() if b.counter.meter.quantity == "count"] == [1]


def test_the_last_unit_is_drawn_once(ledger: Ledger) -> None:
    """The plan has two. Who comes third is asked again, and has none."""

    def draw(engine: Engine) -> object:
        return engine.execution("draft", customer="acme", plan="base")

    draw(engine(ledger=ledger))
    made = overtaken(ledger, "begin", {}, draw)
    with pytest.raises(Denied, match="allowance spent"):
        draw(made)
    assert units(ledger) == [(2, 0)]


@pytest.mark.parametrize("more", ["", "ceiling $9 per day  ", "ceiling $8 per day when price > $1  "])
@pytest.mark.parametrize("first", [True, False])
def test_the_last_of_a_ceiling_is_reserved_once(ledger: Ledger, more: str, first: bool) -> None:
    """The tightest decides, wherever it stands."""
    tight = "ceiling $0.50 per day  "
    rules = {"file": tight + more if first else more + tight}

    def reserve(other: Engine) -> None:
        next(iter(other.execution("draft", customer="b").step("write", **ASKS)))

    run = overtaken(ledger, "reserve", rules, reserve).execution("draft", customer="acme")
    with pytest.raises(Stopped, match="used \\$0.30"), run:  # noqa: RUF043 - an escaped dollar
        next(iter(run.step("write", **ASKS)))
    assert spent(ledger) == (0, 30 * CENT)


def test_every_row_says_which_rule_bounds_it(ledger: Ledger) -> None:
    """The tightest one, by its place; nothing where nothing bounds it."""
    rules = {
        "file": "ceiling $9 per day  ceiling $5 per day",
        "outcome": "limit 9 per day  limit 3 per day  fallback tier2 on timeout",
        "lanes": "standard",
        "tier2": "limit 7 per day",
    }
    made = engine(rules, ledger=ledger)
    with pytest.raises(HandedOff), made.execution("draft", customer="acme") as run:  # noqa: PT012 - the loop raises
        for attempt in run.step("write", **ASKS):
            with attempt:
                raise TimeoutError
    charges = [charge for entry in ledger.entries(run.id) for charge in entry.hold.charges]
    text = run.edition.checked.sources[0].text.splitlines()
    said = set()
    for charge in charges:
        assert (charge.limit is None) == (charge.rule == "")
        if charge.rule:
            line, column = map(int, charge.rule.split(":")[-2:])
            words = text[line - 1][column - 1 :].split()[:4]
            said.add((charge.counter.meter.quantity, " ".join(words)))
    assert said == {("spent", "ceiling $5 per day"), ("count", "limit 3 per day"), ("count", "limit 7 per day")}
    assert {(entry.hold.policy_digest, entry.hold.price_digest) for entry in ledger.entries(run.id)} == {
        run.edition.digests
    }


def test_the_last_of_a_desk_is_counted_once(ledger: Ledger) -> None:
    """Who finds it taken goes where the policy sends him then, or stops."""
    rules = {"lanes": "standard", "outcome": "fallback tier2 on timeout", "tier2": "limit 1 per day"}

    def hand_off(other: Engine) -> None:
        with pytest.raises(HandedOff):
            fail(other.execution("draft", customer="b"))

    def fail(run: Execution) -> None:
        with run:
            for attempt in run.step("write", **ASKS):
                with attempt:
                    raise TimeoutError

    other = engine(rules, ledger=ledger)
    run = engine(rules, ledger=ledger, clock=other.clock).execution("draft", customer="acme")
    behind: Any = Overtaken(ledger, "reserve", lambda: hand_off(other))
    attempt = next(iter(run.step("write", **ASKS)))
    run.engine.ledger = behind
    with pytest.raises(TimeoutError), run, attempt:
        raise TimeoutError
    assert run.state == "aborted"


def test_who_is_overtaken_taking_over_sees_who_was_first(ledger: Ledger) -> None:
    found: list[Execution] = []
    made = overtaken(
        ledger, "change", {}, lambda other: found.append(other.execution("draft", customer="acme", key="k"))
    )
    vanished = engine(ledger=ledger, clock=made.clock, lease_seconds=LEASE)
    vanished.execution("draft", customer="acme", key="k")
    made.clock.sleep(61 * SECOND)
    with pytest.raises(InProgress):
        made.execution("draft", customer="acme", key="k")
    assert [run.resumed for run in found] == [True]


def test_two_threads_end_an_execution_once(ledger: Ledger) -> None:
    """The second waits for the first, and is told that it has ended."""
    said: list[Any] = []
    threads: list[threading.Thread] = []

    def deliver_too() -> None:
        threads.append(threading.Thread(target=lambda: said.append(run.deliver())))
        threads[0].start()
        threads[0].join(0.2)  # it cannot come through before the first is done

    made = engine(ledger=ledger)
    run = made.execution("draft", customer="acme", plan="base")
    behind: Any = Overtaken(ledger, "change", deliver_too)
    run._recording._ledger = behind
    said.append(run.deliver())
    threads[0].join()
    assert [decision.permits for decision in said] == [True, False]
    assert (run.state, units(ledger)) == ("accepted", [(0, 1)])
