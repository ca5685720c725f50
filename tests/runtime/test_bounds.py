"""Two promises through the engine: every step ends, and shared ceilings hold however executions interleave."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy_engine.evaluation.facts import Reading
from policy_engine.language.checked import FILE_LEVEL, SPENT, Meter, Scope
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.policy import Policy, load
from policy_engine.runtime.attempt import Attempt
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Denied, HandedOff, Stopped
from policy_engine.runtime.step import Step
from tests.generators import Asking, Case, Shape, examples, policies
from tests.generators.rules import Kinds
from tests.generators.words import CUSTOMERS, ERRORS, STEPS

CENT = 10**7
PER_DAY = Meter("spent", FILE_LEVEL, Scope(window="day"))


def shared(*rules: str, route: str = "", lane: str = "", outcome: str = "") -> Policy:
    return load(
        f"""
        currency USD
        {" ".join(rules)}
        route flat {{ tool "flat"  cost $0.035  {route} }}
        route desk {{ handoff "desk"  limit 3 per day }}
        lane standard {{ flat -> desk  {lane} }}
        workflow support {{ outcome draft {{ price $1  lanes standard  fallback next on any  {outcome} }} }}
        """
    )


# ---------------------------------------------------------------- (c) every step ends


@examples(200)
@given(policies(Shape(kinds=Kinds(entries=False))), st.lists(st.sampled_from(ERRORS), min_size=1, max_size=4))
def test_every_step_ends(case: Case, errors: list[str]) -> None:
    """Every attempt fails; errors come round and round."""
    pick, checked = case.pick, case.policy.checked
    clock = PinnedClock()
    engine = Engine(load(case.text), ledger=MemoryLedger(), clock=clock)
    plan = pick.of((None, *checked.plans))
    given_ = Asking(pick, case.policy, case.text).given()
    try:
        execution = engine.execution(
            pick.of(list(checked.outcomes)), customer=pick.of(CUSTOMERS), plan=plan, facts=given_
        )
    except Denied:
        return
    for name in STEPS:
        if execution.state != "running":
            return
        step = execution.step(name)
        bound = most_attempts(step)
        while step.ended is None:
            attempt = step.ask(input_tokens=10, max_output_tokens=10)
            assert len(step.decisions) <= 2 * bound  # an answer to each ask, and one to its failure
            assert step.attempts <= bound
            if attempt is not None:
                attempt.fail(errors[step.attempts % len(errors)], cost_nanos=pick.of((0, attempt_cost(attempt))))
            clock.sleep(pick.of((0, 10**6, 10**11)))


CLIENTS: dict[str, type[Exception]] = {error: type(f"Client{error}", (Exception,), {}) for error in ERRORS}


@examples(100)
@given(policies(Shape(kinds=Kinds(entries=False))), st.lists(st.sampled_from(ERRORS), min_size=1, max_size=4))
def test_every_loop_ends(case: Case, errors: list[str]) -> None:
    """The same as callers write it: a loop of attempts, each of which raises."""
    mapped = {CLIENTS[error]: error for error in case.policy.checked.error_classes if error in CLIENTS}
    engine = Engine(load(case.text), ledger=MemoryLedger(), clock=PinnedClock(), errors=mapped)
    given_ = Asking(case.pick, case.policy, case.text).given()
    made = 0
    with suppress(Denied, Stopped, HandedOff, *CLIENTS.values()):
        outcome = case.pick.of(list(engine.checked.outcomes))
        with engine.execution(outcome, customer="acme", facts=given_) as run:
            step = run.step("draft", input_tokens=10, max_output_tokens=10)
            bound = most_attempts(step)
            for attempt in step:
                made += 1
                assert made <= bound
                with attempt:
                    raise CLIENTS[errors[made % len(errors)]]
            raise AssertionError("a step that never succeeds has no quiet end")


def attempt_cost(attempt: Attempt) -> int:
    return attempt.decision.reserved_nanos or 0


def most_attempts(step: Step) -> int:
    """Routes x (1 + retries)."""
    place, checked = step.execution.place, step.execution.engine.checked
    everywhere = (*checked.around(place.outcome, place.plan), checked.lanes[place.lane].rules)
    shared_ = sum(rule.count for rules in everywhere for rule in rules.retries)
    routes = [route for route in checked.routes.values() if route.kind != "handoff"]
    return sum(1 + shared_ + sum(rule.count for rule in route.rules.retries) for route in routes)


# ---------------------------------------------------------------- (d) shared ceilings


def run_all(threads: int, engine: Engine, runs: int) -> int:
    """Executions of one attempt each, on several threads at once; how many of them went."""
    start = Barrier(threads)

    def work(number: int) -> int:
        start.wait()
        went = 0
        for turn in range(number, runs, threads):
            try:
                execution = engine.execution("draft", customer=f"c{turn % 3}", key=f"run {turn}")
            except Denied:
                continue
            attempt = execution.step("write").attempt()
            if attempt is not None:
                attempt.succeed()
                went += 1
            if execution.state == "running":
                execution.deliver()
        return went

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(threads)))


@pytest.mark.parametrize("threads", [1, 8])
def test_a_shared_ceiling_holds(threads: int) -> None:
    """Twenty runs of $0.035 under $0.10 a day: two go, $0.07 is spent."""
    ledger = MemoryLedger()
    engine = Engine(shared("ceiling $0.10 per day"), ledger=ledger, clock=PinnedClock())
    assert run_all(threads, engine, 20) == 2
    assert list(day_of(ledger)) == [Reading(7 * CENT, 0)]


@pytest.mark.parametrize(
    ("where", "rule", "went"),
    [
        ("file", "ceiling $3.50 per day", 100),
        ("file", "ceiling $0.40 per customer per day", 33),  # eleven for each of three customers
        ("route", "ceiling 70 attempts per hour", 70),
        ("lane", "ceiling $1 per month alert at 50%", 28),
        ("outcome", "ceiling $1 per outcome per week", 28),
        ("outcome", "limit 40 per day", 40),
        ("lane", "limit 9 per customer per day", 27) ,
    ],
)  # fmt: skip
def test_threads_never_pass_a_ceiling_or_limit_together(where: str, rule: str, went: int) -> None:
    policy = shared(rule) if where == "file" else shared("ceiling $100 per day", **{where: rule})
    ledger = MemoryLedger()
    assert run_all(8, Engine(policy, ledger=ledger, clock=PinnedClock()), 240) == went
    assert sum(reading.settled for meter, reading in everything(ledger) if meter == SPENT) == went * 35 * CENT // 10
    assert all(reading.reserved == 0 for _, reading in everything(ledger))


def test_threads_hand_off_no_more_than_the_limit() -> None:
    """What the ceiling refuses goes to the desk, which takes three a day."""
    ledger = MemoryLedger()
    engine = Engine(shared("ceiling $0.10 per day"), ledger=ledger, clock=PinnedClock())
    run_all(8, engine, 40)
    counts = [reading for meter, reading in everything(ledger) if meter.quantity == "count"]
    assert counts == [Reading(3, 0)]


def test_a_handoff_ends_the_execution_once() -> None:
    """Two steps at once: the first hands off, the other one fails too late to hand off again."""
    engine = Engine(shared(), ledger=MemoryLedger(), clock=PinnedClock())
    execution = engine.execution("draft", customer="acme")
    first, second = execution.step("write").attempt(), execution.step("check").attempt()
    assert first is not None
    assert second is not None
    assert first.fail("timeout").effect == "hand_off"
    assert execution.state == "handed_off"
    assert second.fail("timeout").effect == "stop"
    assert execution.handoff_nanos == 0
    assert execution.spent_nanos == 7 * CENT


def test_delivering_once_more_does_not_open_the_window_again() -> None:
    clock = PinnedClock()
    execution = Engine(shared(outcome="accepted within 1h"), ledger=MemoryLedger(), clock=clock).execution(
        "draft", customer="acme"
    )
    assert execution.deliver().effect == "delivered"
    clock.sleep(3600 * 10**6)
    assert execution.deliver().effect == "refuse"
    assert execution.reject().reason == "window_closed"
    assert execution.lapse().effect == "accepted"


def day_of(ledger: MemoryLedger) -> list[Reading]:
    return [reading for meter, reading in everything(ledger) if meter == PER_DAY]


def everything(ledger: MemoryLedger) -> list[tuple[Meter, Reading]]:
    found = ledger.readings(list(ledger._counters))
    return [(counter.meter, reading) for counter, reading in found.items() if reading is not None]
