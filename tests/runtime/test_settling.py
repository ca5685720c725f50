"""What `settle` is told becomes what is charged."""

import sys
from collections.abc import Mapping
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from policy_engine.language.units import Rates
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.policy import load
from policy_engine.prices.table import PriceTable
from policy_engine.runtime.attempt import Attempt
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.usage import UsageError
from tests.runtime.desk import CENT, NOON, spent

TEXT = """
currency USD
route voice { model "openai:gpt-audio" }
lane standard { voice }
workflow support { outcome draft { price $2  lanes standard  ceiling $1 per outcome } }
"""
PICOS = 1_000_000_000  # of a tenth of a cent per token
RATES = Rates(PICOS, 2 * PICOS, PICOS // 2, dearest_input_picos=8 * PICOS, dearest_output_picos=16 * PICOS)
SENT = {"prompt_tokens": 10, "completion_tokens": 5}
RESERVED = 10 * 8 * CENT // 10 + 5 * 16 * CENT // 10


def settle(ledger: MemoryLedger, *said: Any, **options: Any) -> Attempt:
    """One attempt of 10 input and at most 5 output tokens, settled at this."""
    policy = load(TEXT, prices=PriceTable("USD", {"openai:gpt-audio": RATES}))
    with Engine(policy, ledger=ledger, clock=PinnedClock(NOON)).execution("draft", customer="acme") as run:
        for attempt in run.step("draft", input_tokens=10, max_output_tokens=5):
            with attempt:
                attempt.settle(*said, **options)
        run.deliver()
    return attempt


@pytest.mark.parametrize(
    ("usage", "options", "cents"),
    [
        (SENT, {}, 2),
        (SENT | {"prompt_tokens_details": {"cached_tokens": 4}}, {}, 1.8),
        # Of what is heard and said, it is known that it is no text.
        (SENT | {"prompt_tokens_details": {"audio_tokens": 6}}, {}, 2 + 6 * 0.7),
        (SENT | {"completion_tokens_details": {"audio_tokens": 5}}, {}, 1 + 5 * 1.6),
        (SENT, {"cost": "$0.05"}, 5),  # a cost wins over prices, whatever else is said
        (None, {"cost": "$0.05"}, 5),
        (SENT, {"cost": 0}, 0),
        (None, {"input_tokens": 10, "output_tokens": 5, "cached_tokens": None}, 2),
    ],
)
def test_what_is_said_is_charged(usage: Mapping[str, Any] | None, options: Mapping[str, Any], cents: float) -> None:
    ledger = MemoryLedger()
    attempt = settle(ledger, usage, **options)
    assert attempt.cost_nanos == round(cents * CENT)
    assert spent(ledger) == (round(cents * CENT), 0)


@pytest.mark.parametrize(
    ("usage", "options"),
    [
        (SENT, {"output_tokens": 5}),
        (SENT, {"cached_tokens": 5}),
        (None, {"input_tokens": 10**13, "output_tokens": 1}),
        (None, {"cost": 10**12}),
        (None, {"cost": 1e300}),
    ],
)
def test_what_cannot_be_meant_costs_what_was_reserved(usage: Mapping[str, Any] | None, options: dict[str, Any]) -> None:
    ledger = MemoryLedger()
    with pytest.raises(UsageError):
        settle(ledger, usage, **options)
    assert spent(ledger) == (RESERVED, 0)


def test_a_stream_that_tells_its_usage_in_parts_is_charged_by_all_of_them() -> None:
    """For how long what is written stays in the cache, Anthropic says at the start alone."""
    rates = Rates(PICOS, 2 * PICOS, cached_write_picos=PICOS, cached_hour_write_picos=4 * PICOS)
    policy = load(TEXT, prices=PriceTable("USD", {"openai:gpt-audio": rates}))
    began: dict[str, Any] = {"input_tokens": 2, "output_tokens": 1, "cache_creation_input_tokens": 8}
    began["cache_creation"] = {"ephemeral_1h_input_tokens": 8, "ephemeral_5m_input_tokens": 0}
    ended = {"input_tokens": 2, "output_tokens": 5, "cache_creation_input_tokens": 8, "cache_read_input_tokens": 0}
    events = [
        SimpleNamespace(type="message_start", message=SimpleNamespace(usage=began)),
        SimpleNamespace(type="content_block_delta", delta=SimpleNamespace(text="Dear customer")),
        SimpleNamespace(type="message_delta", delta=SimpleNamespace(stop_reason="end_turn"), usage=ended),
    ]
    with Engine(policy, ledger=MemoryLedger(), clock=PinnedClock(NOON)).execution("draft", customer="acme") as run:
        for attempt in run.step("draft", input_tokens=10, max_output_tokens=5):
            with attempt:
                assert len(list(attempt.meter(events))) == 3
        run.deliver()
    assert attempt.cost_nanos == (2 + 8 * 4 + 5 * 2) * CENT // 10


def test_an_attempt_is_charged_in_integers_and_asks_no_catalogue() -> None:
    """Decimals and fractions are made where amounts are read, and a catalogue is read where a lock is written."""
    seen: set[tuple[str, str]] = set()

    def watch(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            seen.add((frame.f_globals.get("__name__", "").partition(".")[0], frame.f_code.co_name))

    policy = load(TEXT, prices=PriceTable("USD", {"openai:gpt-audio": RATES}))
    with Engine(policy, ledger=MemoryLedger(), clock=PinnedClock(NOON)).execution("draft", customer="acme") as run:
        before = sys.getprofile()
        sys.setprofile(watch)
        try:
            for attempt in run.step("draft", input_tokens=10, max_output_tokens=5):
                with attempt:
                    attempt.settle(SENT)
        finally:
            sys.setprofile(before)
        run.deliver()
    assert ("policy_engine", "read_usage") in seen
    assert not {module for module, _ in seen} & {"fractions", "_pydecimal", "genai_prices", "pydantic"}
    assert not {name for _, name in seen} & {"decimal", "money", "money_nanos", "scaled"}


EVERY = Rates(
    PICOS,
    10 * PICOS,
    cached_read_picos=PICOS // 2,
    cached_write_picos=2 * PICOS,
    cached_hour_write_picos=3 * PICOS,
    dearest_input_picos=5 * PICOS,
    dearest_output_picos=20 * PICOS,
    batch=Rates(PICOS // 10, PICOS),
)
USED = {"input_tokens": 10, "output_tokens": 5}


@pytest.mark.parametrize(
    ("actual", "tenths"),
    [
        (USED, 10 + 50),
        (USED | {"cached_read_tokens": 4}, 6 + 2 + 50),
        (USED | {"cached_write_tokens": 4}, 6 + 8 + 50),
        (USED | {"cached_hour_write_tokens": 4}, 6 + 12 + 50),
        (USED | {"media_input_tokens": 4}, 6 + 20 + 50),
        (USED | {"media_output_tokens": 4}, 10 + 10 + 80),
        (USED | {"batch": True}, 1 + 5),
        (USED | {"cost_nanos": 7 * CENT // 10}, 7),
        ({"input_tokens": 10}, 50 + 100),  # half of it is not known: what was reserved
        ({"output_tokens": 5}, 50 + 100),
        ({"batch": True}, 50 + 100),
    ],
)
def test_every_kind_of_token_has_its_rate(actual: Any, tenths: int) -> None:
    """In tenths of a cent. What is not said costs what was reserved, the dearest there is, in tokens as in money."""
    ledger = MemoryLedger()
    text = TEXT.replace("ceiling $1 per outcome", "ceiling $1 per outcome  ceiling 1000 tokens per day")
    policy = load(text, prices=PriceTable("USD", {"openai:gpt-audio": EVERY}))
    with Engine(policy, ledger=ledger, clock=PinnedClock(NOON)).execution("draft", customer="acme") as run:
        attempt = next(iter(run.step("draft", input_tokens=10, max_output_tokens=5)))
        assert attempt.succeed(**actual) == ()
        run.deliver()
    assert attempt.cost_nanos == tenths * CENT // 10
    assert spent(ledger) == (tenths * CENT // 10, 0)
    with ledger.book() as book:
        assert {b.settled for b in book.balances() if b.counter.meter.quantity == "tokens"} == {15}


@pytest.mark.parametrize("said", [{}, USED, {"input_tokens": 10**6, "output_tokens": 10**6}])
def test_a_flat_cost_is_one_whatever_was_estimated_and_used(said: Any) -> None:
    ledger = MemoryLedger()
    policy = load(TEXT.replace('model "openai:gpt-audio"', 'tool "voice"  cost $0.07'))
    with Engine(policy, ledger=ledger, clock=PinnedClock(NOON)).execution("draft", customer="acme") as run:
        attempt = next(iter(run.step("draft", estimate="0.50")))
        assert spent(ledger) == (0, 50 * CENT)
        attempt.succeed(**said)
        run.deliver()
    assert spent(ledger) == (7 * CENT, 0)
