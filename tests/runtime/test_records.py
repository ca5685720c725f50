"""The record of an execution: whose it is, also where an answer was lost, and what stands in it."""

from typing import Any

import pytest

from policy_engine.evaluation.facts import FactError
from policy_engine.ledger.protocol import ExecutionRecord, Ledger, LedgerError, LedgerUnavailable
from policy_engine.policy import load
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import NotRunning
from policy_engine.runtime.execution import Execution
from policy_engine.runtime.observing import Observer
from tests.runtime.desk import ASKS, CENT, LEASE, SECOND, TEXT, Faulty, Odd, engine, ledger, spent, units

__all__ = ["ledger"]  # a fixture

WINDOW = {"outcome": "accepted within 1h"}
MINI = 10 * CENT


def begin(made: Engine, key: str = "k", plan: str | None = None) -> Execution:
    return made.execution("draft", customer="acme", plan=plan, key=key)


def call(run: Execution) -> None:
    for attempt in run.step("write", **ASKS):
        with attempt:
            attempt.settle(input_tokens=50, output_tokens=25)


def record(ledger: Ledger, key: str = "k") -> ExecutionRecord:
    found = ledger.execution("acme", "draft", key)
    assert found is not None
    return found


def over(ledger: Ledger, rules: dict[str, str] | None = None, **options: Any) -> tuple[Engine, Faulty]:
    faulty: Any = Faulty(ledger)
    return engine(rules, ledger=faulty, **options), faulty


# ---------------------------------------------------------------- answers that are lost


@pytest.mark.parametrize("lost", [1, 3])
def test_a_renewal_that_was_not_confirmed_takes_nothing_from_its_owner(ledger: Ledger, lost: int) -> None:
    made, faulty = over(ledger, lease_seconds=LEASE)
    with begin(made, plan="base") as run:
        for _ in range(lost):
            made.clock.sleep(20 * SECOND)
            faulty.after = {"change"}
            made.leases.renew()
            faulty.after, faulty.silent = set(), {"change"}
            made.leases.renew()  # and this one is not made at all
            faulty.silent = False
        made.leases.renew()
        call(run)
        run.deliver()
    assert (record(ledger).state, record(ledger).spent_nanos) == ("accepted", MINI)
    assert units(ledger) == [(0, 1)]


def test_an_end_that_was_not_confirmed_is_kept_once(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    made, faulty = over(ledger, WINDOW)
    with begin(made, plan="base") as run:
        call(run)
        faulty.after = {"change"}
        assert run.deliver().permits
    faulty.after = set()
    assert made.reconcile()
    assert not caplog.records  # nobody has taken it over
    assert made.accept("draft", customer="acme", key="k").permits
    assert record(ledger).version == 2
    assert units(ledger) == [(0, 1)]


def test_who_was_taken_over_while_nobody_answered_is_told_so(ledger: Ledger) -> None:
    made, faulty = over(ledger, lease_seconds=LEASE)
    other = engine(ledger=ledger, clock=made.clock, lease_seconds=LEASE)
    with begin(made) as run:
        faulty.after = {"change"}
        made.leases.renew()
        faulty.after = set()
        made.clock.sleep(int(LEASE + 1) * SECOND)
        with begin(other) as resumed:
            with pytest.raises(NotRunning, match="was taken over"):
                run.deliver()
            assert resumed.deliver().permits
    assert record(ledger).state == "accepted"


# ---------------------------------------------------------------- what is told later


def test_what_arrives_by_key_is_not_put_off(ledger: Ledger) -> None:
    """Said to be accepted and told later, it would be lost if somebody else were faster; so it can be told again."""
    made, faulty = over(ledger, WINDOW)
    with begin(made) as run:
        run.deliver()
    with begin(made, "other") as other:
        attempt = next(other.step("write", **ASKS))
        with attempt:
            faulty.silent = {"settle", "change", "reserve", "release"}
        assert made.escrow.owes
        with pytest.raises(LedgerUnavailable):
            made.accept("draft", customer="acme", key="k")
        faulty.silent = False
        assert made.accept("draft", customer="acme", key="k").effect == "accepted"
    assert record(ledger).state == "accepted"


def test_an_acceptance_inside_the_window_is_not_too_late_for_a_silent_store(ledger: Ledger) -> None:
    made, faulty = over(ledger, WINDOW)
    with begin(made) as run:
        faulty.silent = {"change"}
        run.deliver()
        with pytest.raises(LedgerUnavailable):
            run.accept()
        faulty.silent = False
        assert run.accept().effect == "accepted"
    assert record(ledger).state == "accepted"


# ---------------------------------------------------------------- what stands in it


def test_a_call_that_ends_after_the_delivery_is_in_the_record(ledger: Ledger) -> None:
    made = engine(WINDOW, ledger=ledger)
    with begin(made) as run:
        for attempt in run.step("write", **ASKS):
            with attempt:
                run.deliver()
                assert record(ledger).spent_nanos == 0
                attempt.settle(input_tokens=50, output_tokens=25)
    assert (record(ledger).attempts, record(ledger).spent_nanos) == (1, MINI)
    assert spent(ledger) == (MINI, 0)


def test_a_record_that_somebody_has_changed_meanwhile_keeps_what_they_changed(ledger: Ledger) -> None:
    made = engine(WINDOW, ledger=ledger)
    with begin(made) as run:
        for attempt in run.step("write", **ASKS):
            with attempt:
                run.deliver()
                engine(ledger=ledger).accept("draft", customer="acme", key="k")
                attempt.settle(input_tokens=50, output_tokens=25)
    assert (record(ledger).state, record(ledger).spent_nanos) == ("accepted", MINI)


def test_to_read_a_result_again_changes_no_record(ledger: Ledger) -> None:
    """Also where a call was corrected by an owner who was only slow: whoever reads has not ended it."""
    made = engine(ledger=ledger, lease_seconds=LEASE)
    other = engine(ledger=ledger, clock=made.clock, lease_seconds=LEASE)
    with begin(made) as slow:
        attempt = next(slow.step("write", **ASKS))
        made.clock.sleep(int(LEASE + 1) * SECOND)
        with begin(other) as run:
            run.deliver()
        with attempt:
            attempt.settle(input_tokens=50, output_tokens=25)
    before = record(ledger)
    with begin(other) as again:
        assert again.result is not None
    with other.find("draft", customer="acme", key="k"):
        pass
    assert record(ledger) == before


# ---------------------------------------------------------------- what is only looked at


def test_what_is_looked_at_is_not_touched(ledger: Ledger) -> None:
    """To look at an execution that somebody works on, and to leave it, is no abort."""
    made, other = engine(ledger=ledger), engine(ledger=ledger)
    with begin(made) as run:
        call(run)
        with other.find("draft", customer="acme", key="k") as found:
            assert (found.state, found.spent_nanos) == ("running", MINI)
            for work in (lambda: found.step("write", **ASKS), found.deliver, found.abort):
                with pytest.raises(NotRunning, match="can only be looked at"):
                    work()
            assert found.accept().reason == "not_possible"
        assert run.deliver().permits
    assert other.find("draft", customer="acme", key="k").state == "accepted"


def test_what_is_found_after_its_end_says_how_it_ended(ledger: Ledger) -> None:
    made = engine({"outcome": "accepted within 1h"}, ledger=ledger)
    with begin(made) as run:
        run.deliver()
    with made.find("draft", customer="acme", key="k") as found:
        with pytest.raises(NotRunning, match="is delivered: see its `result`"):
            found.step("write")
        assert found.accept().permits
        with pytest.raises(NotRunning, match="is accepted: see its `result`"):
            found.step("write")


def test_observers_hear_of_an_end_once_and_from_who_began_it(ledger: Ledger) -> None:
    heard: list[str] = []

    class Listening(Observer):
        def ended(self, run: Execution) -> None:
            heard.append(run.state)

    made = engine(ledger=ledger, observers=[Listening()])
    run = begin(made)
    with made.find("draft", customer="acme", key="k"):
        pass
    assert heard == []
    with run:
        run.leave()
    with made.find("draft", customer="acme", key="k") as found:
        found.leave()
    assert heard == ["aborted"]


class Refusing(Faulty):
    """A ledger that keeps no end: not for want of an answer, but because it cannot."""

    def change(self, *_: Any, **__: Any) -> bool:
        raise LedgerError("there is no execution")


@pytest.mark.parametrize("error", [None, Odd("as it came")])
def test_an_end_that_cannot_be_kept_hides_no_error_of_the_caller(
    ledger: Ledger, error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Without one it is raised; beside one it is logged."""
    refusing: Any = Refusing(ledger)
    run = begin(engine(ledger=refusing))
    with pytest.raises(LedgerError if error is None else Odd) as raised, run:  # noqa: PT012 - one case in two raises
        if error is not None:
            raise error
    assert raised.value is error or error is None
    assert [record.getMessage() for record in caplog.records] == (
        ["the execution `k` could not be ended in the ledger"] if error is not None else []
    )


# ---------------------------------------------------------------- under another policy


class Forgetful(Faulty):
    """A ledger that has lost the text of a policy."""

    digest = ""

    def kept(self, kind: str, digest: str) -> str | None:
        return None if digest == self.digest else self._ledger.kept(kind, digest)


def renamed(ledger: Ledger, **options: Any) -> Engine:
    """The same, where the outcome has another name."""
    text = TEXT.format(**dict.fromkeys(("file", "mini", "big", "tier2", "outcome", "lookup"), ""), lanes="short")
    return Engine(load(text.replace(" draft", " sketch")), ledger=ledger, **options)


def test_what_has_ended_comes_back_whatever_has_become_of_its_policy(ledger: Ledger) -> None:
    """A message that is delivered once more asks for names of the policy that it was sent under."""
    made = engine(ledger=ledger)
    with begin(made, plan="base") as run:
        call(run)
        run.deliver()
    later = renamed(ledger, clock=made.clock)
    again = later.execution("draft", customer="acme", plan="gone", lane="gone", facts={"gone": 1}, key="k")
    assert again.result == run.result
    with pytest.raises(FactError, match="`draft` is no outcome of this policy"):
        later.execution("draft", customer="acme", key="another")


def test_what_was_left_is_taken_over_whatever_has_become_of_its_policy(ledger: Ledger) -> None:
    made = engine(ledger=ledger, lease_seconds=LEASE)
    begin(made)
    made.clock.sleep(int(LEASE + 1) * SECOND)
    with begin(renamed(ledger, clock=made.clock, lease_seconds=LEASE)) as run:
        assert run.resumed
        call(run)
        run.deliver()
    assert record(ledger).state == "accepted"


def test_a_window_that_cannot_be_closed_keeps_no_other_open(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    made = engine(WINDOW, ledger=ledger)
    other = engine({"outcome": "accepted within 2h"}, ledger=ledger, clock=made.clock)
    for key, by in (("lost", other), ("k", made)):
        with begin(by, key) as run:
            run.deliver()
    forgetful: Any = Forgetful(ledger)
    forgetful.digest = other.policy.digest
    made.clock.sleep(3 * 3600 * SECOND)
    assert engine(WINDOW, ledger=forgetful, clock=made.clock).close_windows() == 1
    assert record(ledger).state == "accepted"
    assert record(ledger, "lost").state == "delivered"
    assert "the window of the execution `lost` cannot be closed" in caplog.text


# ---------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    "errors", [{TimeoutError: "slow"}, {"timeout": TimeoutError}, {TimeoutError: 5}, [TimeoutError]]
)
def test_a_wrong_mapping_is_told_before_anything_is_begun(ledger: Ledger, errors: Any) -> None:
    with pytest.raises(ValueError, match=r"error class|subclass|mapping"):
        engine(ledger=ledger).execution("draft", customer="acme", plan="base", key="k", errors=errors)
    assert ledger.execution("acme", "draft", "k") is None
    assert units(ledger) == []
