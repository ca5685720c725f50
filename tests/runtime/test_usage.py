"""Usages of every client, read without importing one."""

from decimal import Decimal, localcontext
from types import SimpleNamespace
from typing import Any

import pytest

from policy_engine.language.units import Rates
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.policy import load
from policy_engine.prices.table import PriceTable
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.usage import Usage, UsageError, later, nanos, read_usage, stated
from tests.runtime import desk


def thing(**values: Any) -> Any:
    """An object as clients have them, all the way down."""
    return SimpleNamespace(**{n: thing(**v) if isinstance(v, dict) else v for n, v in values.items()})


SHAPES: list[tuple[str, dict[str, Any], Usage]] = [
    (
        "openai responses",
        {
            "input_tokens": 1000,
            "input_tokens_details": {"cached_tokens": 600},
            "output_tokens": 50,
            "output_tokens_details": {"reasoning_tokens": 20},
            "total_tokens": 1050,
        },
        Usage(1000, 50, 600),
    ),
    (
        "openai responses, written to the cache",
        {
            "input_tokens": 1000,
            "input_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 800},
            "output_tokens": 50,
        },
        Usage(1000, 50, 100, 800),
    ),
    (
        "openai chat, written to the cache",
        {
            "prompt_tokens": 1000,
            "completion_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 800},
        },
        Usage(1000, 50, 100, 800),
    ),
    (
        "openai chat",
        {
            "prompt_tokens": 1000,
            "completion_tokens": 50,
            "total_tokens": 1050,
            "prompt_tokens_details": {"cached_tokens": 600, "audio_tokens": 0},
        },
        Usage(1000, 50, 600),
    ),
    ("openai chat, no details", {"prompt_tokens": 10, "completion_tokens": 5}, Usage(10, 5)),
    ("openai embeddings", {"prompt_tokens": 10, "total_tokens": 10}, Usage(10, 0)),
    ("openai chat, half of it said", {"prompt_tokens": 10}, Usage(10, None)),
    ("anthropic, half of it said", {"input_tokens": 10, "cache_read_input_tokens": 0}, Usage(10, None)),
    ("details of nothing", {"input_tokens": 1, "output_tokens": 2, "input_tokens_details": None}, Usage(1, 2)),
    (
        "anthropic",
        {
            "input_tokens": 100,
            "cache_read_input_tokens": 600,
            "cache_creation_input_tokens": 300,
            "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
            "output_tokens": 50,
            "service_tier": "standard",
        },
        Usage(1000, 50, 600, 200, 100),
    ),
    (
        "anthropic, nothing cached",
        {
            "input_tokens": 100,
            "cache_read_input_tokens": None,
            "cache_creation_input_tokens": 0,
            "cache_creation": None,
            "output_tokens": 50,
        },
        Usage(100, 50),
    ),
    ("our own words", {"input_tokens": 10, "output_tokens": 5, "cached_tokens": 4}, Usage(10, 5, 4)),
    (
        "openai responses, written to the cache for long",
        {
            "input_tokens": 1000,
            "input_tokens_details": {
                "cached_tokens": 0,
                "cache_write_tokens": 800,
                "cache_write_tokens_details": {"ttl_12h_tokens": 500, "ttl_30m_tokens": 300},
            },
            "output_tokens": 50,
        },
        Usage(1000, 50, 0, 300, 500),
    ),
    (
        "openai chat, heard, seen and spoken",
        {
            "prompt_tokens": 1000,
            "completion_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": None, "audio_tokens": 700, "image_tokens": 100},
            "completion_tokens_details": {"audio_tokens": 40, "reasoning_tokens": 5, "rejected_prediction_tokens": 5},
        },
        Usage(1000, 50, media_input_tokens=800, media_output_tokens=40),
    ),
    (
        "openai transcription",
        {
            "type": "tokens",
            "input_tokens": 90,
            "input_token_details": {"audio_tokens": 80, "text_tokens": 10},
            "output_tokens": 5,
            "total_tokens": 95,
        },
        Usage(90, 5, media_input_tokens=80),
    ),
    (
        "x-ai chat, whose completion leaves out what was reasoned",
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "total_tokens": 450,
            "completion_tokens_details": {"reasoning_tokens": 300},
        },
        Usage(100, 350),
    ),
    (
        "a gateway that speaks both",
        {
            "prompt_tokens": 1000,
            "completion_tokens": 50,
            "prompt_tokens_details": {"cached_tokens": 600},
            "cache_read_input_tokens": 600,
            "cache_creation_input_tokens": 300,
        },
        Usage(1000, 50, 600, 300),
    ),
    (
        "anthropic, for how long in the cache but not how much",
        {
            "input_tokens": 100,
            "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
            "output_tokens": 50,
        },
        Usage(400, 50, 0, 200, 100),
    ),
    (
        "anthropic, with what is billed beside it",
        {
            "input_tokens": 100,
            "cache_read_input_tokens": 10,
            "output_tokens": 50,
            "iterations": [
                {"type": "message", "input_tokens": 100, "cache_read_input_tokens": 10, "output_tokens": 50},
                {"type": "compaction", "input_tokens": 1000, "cache_creation_input_tokens": 20, "output_tokens": 300},
                {"type": "advisor_message", "model": "other", "input_tokens": 40, "output_tokens": 8},
            ],
        },
        Usage(1170, 358, 10, 20),
    ),
    ("a total that leaves something out", {"input_tokens": 9, "output_tokens": 5, "total_tokens": 10}, Usage(9, 5)),
    (
        "our own record, of what is no text",
        {"input_tokens": 9, "output_tokens": 5, "media_input_tokens": 4, "media_output_tokens": 2},
        Usage(9, 5, media_input_tokens=4, media_output_tokens=2),
    ),
    (
        "our own record",
        {"input_tokens": 9, "output_tokens": 5, "cached_write_tokens": 4, "cached_hour_write_tokens": 2},
        Usage(9, 5, 0, 4, 2),
    ),
]


@pytest.mark.parametrize(("shape", "usage"), [s[1:] for s in SHAPES], ids=[s[0] for s in SHAPES])
def test_every_shape_is_read(shape: dict[str, Any], usage: Usage) -> None:
    assert read_usage(shape) == usage
    assert read_usage(thing(**shape)) == usage
    assert read_usage({"id": "r1", "usage": shape}) == usage
    assert read_usage(thing(id="r1", usage=shape)) == usage


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        (None, "`NoneType`"),
        ({}, "an empty mapping"),
        ({"tokens": 3}, "a mapping of `tokens`"),
        (object(), "`object`"),
        ({"input_tokens": -1, "output_tokens": 0}, "`input_tokens` is -1"),
        ({"input_tokens": 1.5, "output_tokens": 0}, "`input_tokens` is 1.5"),
        ({"prompt_tokens": True}, "`prompt_tokens` is True"),
        ({"prompt_tokens": 10**12 + 1}, "no number of tokens"),
        ({"prompt_tokens": 10**5000}, "no number of tokens"),
        ({"type": "duration", "seconds": 3.5}, "a mapping of `type`, `seconds`"),
        ({"input_tokens": 1, "output_tokens": 2, "input_tokens_details": {"cached_tokens": "1"}}, "`cached_tokens`"),
    ],
)
def test_what_cannot_be_read_is_named(shape: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_usage(shape)


@pytest.mark.parametrize(
    ("amount", "found"),
    [
        ("$0.10", 10**8),
        ("0.1", 10**8),
        (0.1, 10**8),
        (1, 10**9),
        (1e-10, 1),
        ("$0.0000000001", 1),
        (Decimal("1.0000000000000000000000000000000000001"), 10**9 + 1),
        ("0.00", 0),
        (10**9, 10**18),
    ],
)
def test_a_cost_is_rounded_up(amount: Any, found: int) -> None:
    assert nanos(amount, "USD") == found
    assert stated("USD", cost=amount) == Usage(cost_nanos=found)


@pytest.mark.parametrize(
    "amount", ["€1", "much", "--1", -1, -1e-10, float("nan"), float("inf"), 1e300, 10**9 + 1, "$10000000000"]
)
def test_a_cost_that_is_none(amount: Any) -> None:
    with pytest.raises(UsageError):
        nanos(amount, "USD")


# ---------------------------------------------------------------- batches

PRICED = """
currency USD
route mini { model "acme:mini" }
lane standard { mini }
workflow support { outcome draft { price $2  lanes standard } }
"""
HALF = Rates(1_000_000, 5_000_000, batch=Rates(500_000, 2_500_000))
WHOLE = Rates(1_000_000, 5_000_000)


@pytest.mark.parametrize(
    ("rates", "said", "nanos"),
    [
        (HALF, {"input_tokens": 100, "output_tokens": 10}, 150_000),
        (HALF, {"input_tokens": 100, "output_tokens": 10, "batch": True}, 75_000),
        (HALF, {"usage": {"input_tokens": 100, "output_tokens": 10}, "batch": True}, 75_000),
        (HALF, {"cost": "0.01", "batch": True}, 10_000_000),
        (WHOLE, {"input_tokens": 100, "output_tokens": 10, "batch": True}, 150_000),
    ],
    ids=["single", "batch", "batch-of-a-usage", "a-cost-wins", "no-rate-of-its-own"],
)
def test_one_of_a_batch_is_charged_at_its_rate(rates: Rates, said: dict[str, Any], nanos: int) -> None:
    policy = load(PRICED, prices=PriceTable(rates={"acme:mini": rates}))
    engine = Engine(policy, ledger=MemoryLedger(), clock=PinnedClock(desk.NOON))
    with engine.execution("draft", customer="acme") as run:
        for attempt in run.step("main", **desk.ASKS):
            with attempt:
                assert attempt.reserved_nanos == 600_000  # it may not be one of a batch: the dearer is held
                attempt.settle(**said)
        run.deliver()
    assert (attempt.cost_nanos, run.spent_nanos) == (nanos, nanos)


def test_a_cost_is_exact_whatever_precision_the_caller_computes_in() -> None:
    with localcontext(prec=2):
        assert nanos("$1.123456789", "USD") == nanos(1.123456789, "USD") == 1_123_456_789
        assert nanos(Decimal("1.1234567891"), "USD") == 1_123_456_790


class Whole:
    """A whole number of another library."""

    def __index__(self) -> int:
        return 7


def test_whole_numbers_of_other_libraries_are_numbers_of_tokens() -> None:
    assert read_usage({"input_tokens": Whole(), "output_tokens": 1}) == Usage(7, 1)
    assert stated("USD", input_tokens=7, output_tokens=1, cached_tokens=None) == Usage(7, 1)


@pytest.mark.parametrize(
    ("before", "told", "known"),
    [
        (None, Usage(100, 5), Usage(100, 5)),
        (Usage(100, 1, 40, 30), Usage(None, 50), Usage(100, 50, 40, 30)),  # only how much has come
        (Usage(100, 1, 40, 30), Usage(100, 50, 40, 30), Usage(100, 50, 40, 30)),
        # For how long it is kept is told once.
        (Usage(100, 1, 40, 10, 20), Usage(100, 50, 40, 30), Usage(100, 50, 40, 10, 20)),
        (Usage(100, 1, 40, 10, 20), Usage(150, 50, 40, 80), Usage(150, 50, 40, 10, 70)),
    ],
)
def test_a_stream_tells_its_usage_in_parts(before: Usage | None, told: Usage, known: Usage) -> None:
    assert later(told, before) == known
