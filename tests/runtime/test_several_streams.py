"""An attempt that meters more than one stream, and counts that are none."""

from itertools import chain, zip_longest
from typing import Any

import pytest

from policy_engine.ledger.protocol import Ledger
from policy_engine.runtime.usage import UsageError
from tests.runtime.desk import ASKS, engine, ledger, spent

__all__ = ["ledger"]  # a fixture

TOLD = {"usage": {"input_tokens": 100, "output_tokens": 40}}
TOLD_LESS = {"usage": {"input_tokens": 60, "output_tokens": 10}}
BEGUN = {"type": "message_start", "message": None, "usage": {"input_tokens": 60, "output_tokens": 1}}


@pytest.mark.parametrize(
    ("streams", "sent", "came"),
    [
        ([["abcd", TOLD], ["abcd", TOLD_LESS]], 160, 50),
        ([["abcd", TOLD], ["abcd" * 3]], 200, 43),  # the second did not say: it may have sent what was asked for
        ([["abcd" * 2], ["abcd" * 3]], 100, 5),  # so may both of them, together
        ([["abcd", TOLD], [BEGUN]], 160, 41),
        ([["abcd", TOLD], []], 200, 40),  # it was called, and broke off at once
        ([[], []], None, None),
    ],
)
@pytest.mark.parametrize("at_once", [False, True])
def test_every_stream_of_an_attempt_is_charged(
    streams: list[list[Any]], sent: int | None, came: int | None, at_once: bool, ledger: Ledger
) -> None:
    """A call that was made twice was billed twice, whatever the last one says of itself."""
    with engine(ledger=ledger).execution("draft", customer="acme") as run:
        for attempt in run.step("draft", **ASKS):
            with attempt:
                metered = [attempt.meter(iter(chunks)) for chunks in streams]
                for _ in zip_longest(*metered) if at_once else chain(*metered):
                    pass
        run.deliver()
    assert (attempt.usage.input_tokens, attempt.usage.output_tokens) == (sent, came)
    assert spent(ledger) == (run.spent_nanos, 0)


@pytest.mark.parametrize("count", [-5, 1.5, float("nan"), None, "4", True, 10**13])
def test_what_is_no_number_of_tokens_is_told(count: Any, ledger: Ledger) -> None:
    """Else it would lower what is charged, or could not be booked at all."""
    with engine(ledger=ledger).execution("draft", customer="acme") as run:
        for attempt in run.step("draft", **ASKS):
            with attempt:
                attempt.meter.add(20)
                with pytest.raises(UsageError, match="no number of tokens"):
                    attempt.meter.add(count)
                with pytest.raises(UsageError, match="no number of tokens"):
                    next(attempt.meter(iter(["word"]), count=lambda _: count))
        run.deliver()
    assert attempt.usage.output_tokens == 20
