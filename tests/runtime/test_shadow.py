"""Shadow mode: everything is decided and recorded, nothing is refused or cut."""

from typing import Any

import pytest

from policy_engine.ledger.protocol import Ledger
from policy_engine.runtime.errors import HandedOff
from policy_engine.runtime.execution import Execution
from tests.runtime.desk import ASKS, CENT, SECOND, Broken, Faulty, engine, ledger, spent, units

__all__ = ["ledger"]  # a fixture

WORST = 30 * CENT
MINI = 10 * CENT


def work(run: Execution, **asks: Any) -> None:
    for attempt in run.step("draft", **ASKS | asks):
        with attempt:
            assert attempt.max_output_tokens == 100
            assert attempt.meter.add(500)
            attempt.settle(input_tokens=50, output_tokens=25)


@pytest.mark.parametrize(
    ("rules", "effects"),
    [
        ({}, ["allow", "go", "cut", "accepted"]),
        ({"outcome": "allow when plan is base"}, ["deny", "go", "cut", "accepted"]),
        ({"outcome": "forbid when customer is \"acme\""}, ["deny", "go", "cut", "accepted"]),
        ({"file": "ceiling $0.01 per day"}, ["allow", "refuse", "cut", "accepted"]),
        ({"file": "ceiling $0.01 per outcome"}, ["allow", "refuse", "cut", "accepted"]),
    ],
    ids=["nothing", "allow", "forbid", "day", "outcome"],
)  # fmt: skip
def test_what_would_have_been_refused_goes_on(ledger: Ledger, rules: dict[str, str], effects: list[str]) -> None:
    made = engine(rules, ledger=ledger, mode="shadow")
    with made.execution("draft", customer="acme") as run:
        work(run)
        run.deliver()
    assert [said.effect for said in run.decisions] == effects
    assert spent(ledger) == (MINI, 0)


def test_a_long_stream_is_cut_once(ledger: Ledger) -> None:
    """Each chunk past the cap would be: a log or a metric of refusals with one line for each is of no use."""
    with engine(ledger=ledger, mode="shadow").execution("draft", customer="acme") as run:
        for _ in range(2):
            for attempt in run.step("draft", **ASKS):
                with attempt:
                    assert all(attempt.meter.add(60) for _ in range(50))
    assert [said.effect for said in run.decisions[:-1]] == ["allow", "go", "cut", "go", "cut"]


def test_a_stream_that_a_shadow_rule_would_cut_is_said_once(ledger: Ledger) -> None:
    made = engine({"outcome": "shadow ceiling 2s per attempt as slow"}, ledger=ledger)
    with made.execution("draft", customer="acme") as run:
        for attempt in run.step("draft", **ASKS):
            with attempt:
                for _ in range(5):
                    made.clock.sleep(SECOND)
                    assert attempt.meter.add(1)
    (said,) = [decision for decision in run.decisions if decision.point == "progress"]
    assert (said.effect, [verdict.ruling.rule.name for verdict in said.shadow if verdict.refuses]) == ("go", ["slow"])


def test_what_nobody_can_estimate_is_called_and_counted(ledger: Ledger) -> None:
    made = engine(ledger=ledger, mode="shadow")
    with made.execution("draft", customer="acme") as run:
        for attempt in run.step("draft"):
            with attempt:
                attempt.settle(input_tokens=50, output_tokens=25)
        run.deliver()
    assert [said.reason for said in run.decisions if said.effect == "refuse"] == ["estimate_unknown"]
    assert spent(ledger) == (MINI, 0)


def test_a_cap_is_not_shrunk(ledger: Ledger) -> None:
    made = engine({"file": "ceiling $0.25 per outcome"}, ledger=ledger, mode="shadow")
    with made.execution("draft", customer="acme") as run:
        work(run, min_output_tokens=10)
    assert spent(ledger) == (MINI, 0)


def test_no_deadline_is_passed_on() -> None:
    made = engine({"outcome": "ceiling 90s per outcome"}, mode="shadow")
    with made.execution("draft", customer="acme") as run:
        attempt = next(iter(run.step("draft", **ASKS)))
        assert attempt.decision.deadline_micros == 90 * SECOND
        assert (attempt.deadline, attempt.timeout_seconds) == (None, None)


def test_more_units_than_there_are(ledger: Ledger) -> None:
    made = engine(ledger=ledger, mode="shadow")
    runs = [made.execution("draft", customer="acme", plan="base") for _ in range(4)]
    assert [run.admission.effect for run in runs] == ["allow", "allow", "deny", "deny"]
    assert units(ledger) == [(2, 0)]


def test_limits_are_passed_and_counted(ledger: Ledger) -> None:
    made = engine({"outcome": "limit 1 per day"}, ledger=ledger, mode="shadow")
    for _ in range(3):
        with made.execution("draft", customer="acme") as run:
            work(run)
    with ledger.book() as book:
        counts = [b.settled for b in book.balances() if b.counter.meter.quantity == "count"]
    assert counts == [3]


def test_where_a_step_goes_is_still_the_policys(ledger: Ledger) -> None:
    made = engine({"lanes": "standard", "outcome": "retry 1  fallback next on any"}, ledger=ledger, mode="shadow")
    routes = []
    run = made.execution("draft", customer="acme")
    with pytest.raises(HandedOff), run:  # noqa: PT012 - the loop is what raises
        for attempt in run.step("draft", **ASKS):
            with attempt:
                routes.append(attempt.route)
                raise Broken
    assert routes == ["mini", "mini", "big", "big"]


def test_a_silent_store_refuses_nothing(ledger: Ledger) -> None:
    faulty: Any = Faulty(ledger)
    made = engine({"file": "ceiling $0.01 per day"}, ledger=faulty, mode="shadow")
    faulty.silent = True
    for _ in range(3):
        with made.execution("draft", customer="acme") as run:
            work(run)
            run.deliver()
    faulty.silent = False
    assert made.reconcile()
    assert spent(ledger) == (3 * MINI, 0)


def test_there_is_no_other_mode() -> None:
    with pytest.raises(ValueError, match="no mode `dry`; modes are"):
        engine(mode="dry")
