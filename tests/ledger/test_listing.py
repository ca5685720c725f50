"""Lists of a ledger: exact, whatever is in it."""

import json
from decimal import Decimal, localcontext

import pytest

from policy_engine.ledger.listing import LISTS, counters, money
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.protocol import MOST, Charge, Counter, Hold
from tests.ledger.conformance import COUNTERS, OWN


@pytest.mark.parametrize(
    ("nanos", "said"),
    [
        (0, "0"),
        (1, "0.000000001"),
        (-35_000_000, "-0.035"),
        (10**9, "1"),
        (123_000_000_000, "123"),
        (2**53 + 1, "9007199.254740993"),
        (MOST, "9223372036.854775807"),
    ],
)
def test_money_is_exact_in_every_arithmetic(nanos: int, said: str) -> None:
    with localcontext() as context:
        context.prec = 3
        found = money(nanos)
    assert f"{found:f}" == said
    assert found == Decimal(nanos) / 10**9


def test_counters_of_single_executions_can_be_left_out() -> None:
    ledger = MemoryLedger()
    ledger.reserve([Hold("h", (Charge(COUNTERS[2], MOST), Charge(Counter(OWN, "e1"), MOST)), execution="e1")], 0)
    with ledger.book() as book:
        assert [row["reserved"] for row in counters(book)] == [MOST, Decimal("9223372036.854775807")]
        assert [row["reserved"] for row in counters(book, own=False)] == [MOST]
        assert all(json.dumps(row, default=str) for rows in LISTS.values() for row in rows(book))
