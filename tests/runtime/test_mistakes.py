"""What a newcomer gets wrong: each mistake is told at once, by its name, before anything is asked or spent."""

from typing import Any

import pytest

from policy_engine.evaluation.facts import FactError
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.protocol import Ledger, LedgerError
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Denied, HandedOff, NoExecution, NotRunning, Stopped
from policy_engine.runtime.observing import Observer
from tests.runtime.desk import NOON, SECOND, ledger

__all__ = ["ledger"]  # a fixture

POLICY = """
currency USD
fact risk: low | high = low
route mini   { model "openai:mini"  rates $1 in, $2 out per 1M tokens }
route person { handoff "the desk"   cost $2 }
lane standard { mini -> person }
plan base { includes 10 reply }
pack more { 20 reply for $15 }
workflow desk {
  outcome reply { price $1  lanes standard  ceiling $0.10 per outcome  fallback next on any }
}
"""


def engine(**settings: Any) -> Engine:
    return Engine(POLICY, **{"ledger": MemoryLedger(), **settings})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"outcome": "repyl"}, "`repyl` is no outcome of this policy; did you mean `reply`?"),
        ({"outcome": None}, "`None` is no outcome of this policy; one of `reply`"),
        ({"plan": "bsae"}, "`bsae` is no plan of this policy; did you mean `base`?"),
        ({"lane": "fast"}, "`fast` is no lane of this policy; one of `standard`"),
        ({"customer": None}, "`customer`: `None` is not a text"),
        ({"customer": ""}, "`customer` is empty"),
        ({"customer": 42}, "`customer`: `42` is not a text"),
        ({"key": ""}, "`key` is empty"),
        ({"key": 4711}, "`key`: `4711` is not a text"),
        ({"facts": ["risk"]}, "`facts`: `['risk']` is no mapping of names to values"),
        ({"facts": {"plan": "base"}}, "`plan` is given beside the facts: execution(…, plan=…)"),
        ({"facts": {"rsik": "low"}}, "`rsik` is no fact of this policy; did you mean `risk`?"),
    ],
)
def test_an_execution_that_cannot_be(given: dict[str, Any], said: str) -> None:
    with pytest.raises(FactError) as told:
        engine().execution(**{"outcome": "reply", "customer": "acme", **given})
    assert str(told.value) == said


@pytest.mark.parametrize("value", [-1, 10.5, "10", True, 10**13])
@pytest.mark.parametrize("entry", ["input_tokens", "max_output_tokens", "min_output_tokens"])
def test_what_is_no_number_of_tokens(entry: str, value: Any) -> None:
    """A negative number would hold less than the call can cost."""
    with engine().execution("reply", customer="acme") as run:
        with pytest.raises(FactError, match=f"`{entry}`: `?{value}`? is"):
            run.step("draft", **{entry: value})
        with pytest.raises(FactError, match="`step`: `3` is not a text"):
            run.step(3)  # type: ignore[arg-type]  # the mistake


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"customer": None}, "`customer`: `None` is not a text"),
        ({"pack": "moer"}, "`moer` is no pack of this policy; did you mean `more`?"),
        ({"key": None}, "`key`: `None` is not a text"),
        ({"key": ""}, "`key` is empty"),
    ],
)
def test_a_purchase_that_cannot_be(given: dict[str, Any], said: str) -> None:
    """Without a key of its own, the second purchase would be taken for the first one told again."""
    with pytest.raises(FactError) as told:
        engine().top_up(**{"customer": "acme", "pack": "more", "key": "order 1", **given})
    assert str(told.value) == said


def test_a_plan_where_there_is_none() -> None:
    made = Engine(POLICY.replace("plan base { includes 10 reply }", ""), ledger=MemoryLedger())
    with pytest.raises(FactError, match="`base` is no plan of this policy; it declares none"):
        made.join("acme", "base")


class Seconds(PinnedClock):
    """A clock that counts in something else."""

    def now_micros(self) -> Any:
        return 1.5


class Half:
    """No observer: it was not made from `Observer`."""

    def decided(self, *about: object) -> None: ...


@pytest.mark.parametrize(
    ("settings", "kind", "said"),
    [
        ({"ledger": MemoryLedger}, TypeError, "a ledger is an object, not a class: MemoryLedger"),
        ({"ledger": 3}, TypeError, "a ledger or the path of an SQLite file is needed, not `3`"),
        ({"clock": PinnedClock}, TypeError, "a clock is an object with `now_micros`, `sleep` and `wait`"),
        ({"clock": lambda: 1}, TypeError, "a clock is an object with `now_micros`, `sleep` and `wait`"),
        ({"clock": Seconds()}, TypeError, "a clock answers whole microseconds since the epoch, not `1.5`"),
        ({"lease_seconds": 0}, ValueError, "`lease_seconds`: `0` is no number of seconds above 0"),
        ({"lease_seconds": -1}, ValueError, "`lease_seconds`: `-1` is no number of seconds above 0"),
        ({"lease_seconds": "60"}, ValueError, "`lease_seconds`: `60` is no number of seconds above 0"),
        (
            {"lease_seconds": 1e-9},
            ValueError,
            "`lease_seconds`: 1e-09 is not from 0.01 to 1,000,000,000",
        ),
        ({"lease_seconds": float("inf")}, ValueError, "`lease_seconds`: inf is not from 0.01 to 1,000,000,000"),
        ({"lease_seconds": float("nan")}, ValueError, "`lease_seconds`: `nan` is no number of seconds above 0"),
        ({"observers": Observer()}, TypeError, "observers are a list of them, not `<"),
        ({"observers": [Observer]}, TypeError, "an observer is an object, not a class: Observer"),
        ({"observers": [Half()]}, TypeError, "has no `began`"),
        ({"mode": "dry-run"}, ValueError, "there is no mode `dry-run`; modes are `enforce`, `shadow`"),
    ],
)
def test_an_engine_that_cannot_be(settings: dict[str, Any], kind: type[Exception], said: str) -> None:
    with pytest.raises(kind) as told:
        engine(**settings)
    assert said in str(told.value)


def run_once(made: Engine, **asks: Any) -> None:
    with made.execution("reply", customer="acme", plan="base", key="ticket 1") as run:
        for attempt in run.step("draft", **asks):
            with attempt:
                attempt.fail("invalid_output")
        run.deliver()


NO_PERSON = POLICY.replace("-> person", "")
UNPRICED = NO_PERSON.replace("rates $1 in, $2 out per 1M tokens", "")


FEW = {"input_tokens": 5, "max_output_tokens": 5}
NOWHERE = "the step `draft` has nowhere to go after "
REFUSED = "an attempt on `mini` was refused: "
UNKNOWN = REFUSED + "no estimate; unknown: estimate; "
NOT_PRICED = "nothing prices `mini`: give it `rates`, or lock its price (`policy prices lock`)"
TOO_MUCH = "over the ceiling; because `ceiling $0.10 per outcome` (limit $0.10, used $0, asked $1.00001) at <text>"


@pytest.mark.parametrize(
    ("policy", "asks", "said"),
    [
        (POLICY, {}, f"handed off to `the desk` after {UNKNOWN}the step was not given `input_tokens` and"),
        (NO_PERSON, {"input_tokens": 5}, f"{NOWHERE}{UNKNOWN}the step was not given `max_output_tokens`"),
        (UNPRICED, FEW, f"{NOWHERE}{UNKNOWN}{NOT_PRICED}"),
        (NO_PERSON, {**FEW, "input_tokens": 10**6}, f"{NOWHERE}{REFUSED}{TOO_MUCH}"),
        (POLICY, FEW, "handed off to `the desk` after `invalid_output` on `mini`"),
        (NO_PERSON, FEW, f"{NOWHERE}`invalid_output` on `mini`"),
    ],
)
def test_an_end_says_why(policy: str, asks: dict[str, int], said: str) -> None:
    """Above all where the caller forgot something, and a person is asked and paid for it."""
    with pytest.raises((HandedOff, Stopped)) as told:
        run_once(Engine(policy, ledger=MemoryLedger()), **asks)
    assert str(told.value).startswith(said)


def test_a_denial_says_what_was_asked() -> None:
    made = Engine(POLICY.replace("plan base {", "plan poor { fee $1 per month }\nplan base {"), ledger=MemoryLedger())
    with pytest.raises(Denied) as told:
        made.execution("reply", customer="acme", plan="poor")
    assert str(told.value) == "denied: not in plan; asked for `reply`, customer `acme` on plan `poor`"


def test_an_error_class_that_is_none() -> None:
    """A slip must not end a step that would have gone on."""
    with engine().execution("reply", customer="acme") as run:
        for attempt in run.step("draft", input_tokens=5, max_output_tokens=5):
            with pytest.raises(FactError, match="is no error class of this policy; did you mean `invalid_output`"):
                attempt.fail("invalid_outptu")
            with attempt:
                attempt.settle(input_tokens=1, output_tokens=1)
        run.deliver()


def test_a_key_that_has_been_used() -> None:
    made = engine()
    with pytest.raises(HandedOff):
        run_once(made, input_tokens=5, max_output_tokens=5)
    with pytest.raises(NotRunning) as told:
        run_once(made, input_tokens=5, max_output_tokens=5)
    assert str(told.value) == (
        "the execution `ticket 1` is handed off: see its `result`; more work is another execution, with another key"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, "a policy is a path, a text or a list of paths, not `None`"),
        ({"a": 1}, "a policy is a path, a text or a list of paths, not `{'a': 1}`"),
        (b"currency USD\n", "a policy is a path, a text or a list of paths, not `b'currency USD"),
    ],
)
def test_what_is_no_policy(given: Any, said: str) -> None:
    with pytest.raises(TypeError) as told:
        Engine(given, ledger=MemoryLedger())
    assert str(told.value).startswith(said)


def test_prices_that_are_a_path() -> None:
    with pytest.raises(TypeError, match="prices are a table, such as"):
        engine(prices="prices.lock.json")


def test_a_missing_fact_is_told_without_what_went_before() -> None:
    """The error that the evaluator came from is none of the caller's."""
    text = POLICY.replace("low | high = low", "low | high").replace("price $1", "price $1 forbid when risk is high")
    with pytest.raises(FactError, match="the fact `risk` is not given, and `forbid when") as told:
        Engine(text, ledger=MemoryLedger()).execution("reply", customer="acme")
    assert told.value.__suppress_context__


def test_a_key_of_an_outcome_that_is_none() -> None:
    with pytest.raises(
        NoExecution, match="has the key `k`: `repyl` is no outcome of this policy; did you mean `reply`"
    ):
        engine().accept("repyl", customer="acme", key="k")


def test_observers_that_come_one_by_one_are_all_told() -> None:
    told: list[str] = []

    class Listener(Observer):
        def began(self, run: Any) -> None:
            told.append(run.key)

    engine(observers=(kind() for kind in (Listener, Listener))).execution("reply", customer="acme", key="k")
    assert told == ["k", "k"]


@pytest.mark.parametrize(("customer", "key"), [("acme", 4711), ("acme", ""), (None, "k")])
def test_a_key_that_is_none(customer: Any, key: Any) -> None:
    for tell in (engine().accept, engine().find):
        with pytest.raises(FactError):
            tell("reply", customer=customer, key=key)


def test_a_model_without_a_price_is_told_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """Where the engine reads the policy itself, nobody else would say so before the first refusal."""
    Engine(UNPRICED, ledger=MemoryLedger())
    assert "nothing prices the route `mini`" in caplog.text


def test_one_ledger_counts_in_one_currency(ledger: Ledger) -> None:
    """Otherwise $9 and €9 would be $18 of a ceiling."""
    with Engine(POLICY, ledger=ledger).execution("reply", customer="acme"):
        pass
    euros = Engine(POLICY.replace("USD", "EUR").replace("$", "€"), ledger=ledger)
    with pytest.raises(LedgerError, match="this ledger counts in USD, and the policy in EUR: give it one of its own"):
        euros.execution("reply", customer="acme")


def test_a_purchase_that_is_told_again_is_the_first_one(ledger: Ledger) -> None:
    clock = PinnedClock(NOON)
    made = Engine(POLICY, ledger=ledger, clock=clock)
    first = made.top_up("acme", "more", key="order 1")
    with made.execution("reply", customer="acme") as run:
        run.deliver()
    clock.sleep(3600 * SECOND)
    again = made.top_up("acme", "more", key="order 1")
    assert (again.left, again.created_micros) == (19, first.created_micros)
    (joined,) = made.join("acme", "base")
    assert made.join("acme", "base") == (joined,)
