"""A small policy, engines over every store, and clients that fail as they are told."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.protocol import Ledger, LedgerUnavailable
from policy_engine.ledger.sqlite import SqliteLedger
from policy_engine.ledger.verification import contradictions, differences
from policy_engine.policy import Policy, load
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine

CENT = 10**7
NOON = 1_795_348_800_000_000  # 2026-11-22 12:00 UTC, in microseconds
SECOND = 10**6
LEASE = 60.0

TEXT = """
currency USD
{file}
route mini  {{ model "openai:gpt-4o-mini"  rates $1 in, $2 out per 1k tokens  {mini} }}
route big   {{ model "anthropic:claude"  rates $10 in, $20 out per 1k tokens  {big} }}
route web   {{ tool "web"  cost $0.035 }}
route tier2 {{ handoff "tier 2"  cost $2.50  {tier2} }}
lane standard {{ mini -> big -> tier2 }}
lane short    {{ mini -> big }}
lane searching {{ web }}
plan base {{ fee $10 per month  includes 2 draft }}
workflow support {{
  outcome draft  {{ price $2  lanes {lanes}  {outcome} }}
  outcome lookup {{ price $1  lanes searching  {lookup} }}
}}
"""


def policy(**rules: str) -> Policy:
    """The policy above with rules put into its blocks."""
    places = dict.fromkeys(("file", "mini", "big", "tier2", "outcome", "lookup"), "") | {"lanes": "short"}
    return load(TEXT.format(**places | rules))


def engine(rules: dict[str, str] | None = None, **options: Any) -> Engine:
    """An engine over that policy, on a clock that stands still."""
    options.setdefault("clock", PinnedClock(NOON))
    options.setdefault("ledger", MemoryLedger())
    return Engine(policy(**rules or {}), **options)


ASKS: dict[str, Any] = {"input_tokens": 100, "max_output_tokens": 100}
"""What every call of the tests asks for: $0.30 on `mini` at worst, $3 on `big`."""


class RateLimited(Exception):
    status_code = 429


class Broken(Exception):
    status_code = 500


class Odd(Exception):
    """Mapped to nothing."""


STORES: dict[str, Callable[[Path], Ledger]] = {
    "memory": lambda _: MemoryLedger(),
    "sqlite": lambda path: SqliteLedger(path / "ledger.sqlite", synchronous="NORMAL"),
}


@pytest.fixture(params=STORES)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """Each store, empty; in the end its balances are what its entries come to."""
    store = STORES[request.param](tmp_path)
    yield store
    with store.book() as book:
        assert list(differences(book)) == []
        assert list(contradictions(book)) == []
    store.close()


def spent(ledger: Ledger) -> tuple[int, int]:
    """What all executions have settled and reserved, in nano units."""
    with ledger.book() as book:
        of = [b for b in book.balances() if str(b.counter.meter) == "spent per outcome"]
        return sum(b.settled for b in of), sum(b.reserved for b in of)


def units(ledger: Ledger) -> list[tuple[int, int]]:
    """Held and consumed units of every grant."""
    with ledger.book() as book:
        return [(lot.held, lot.consumed) for lot in book.lots()]


class Faulty:
    """A ledger that may be silent: `silent` names the methods that do not answer, or is True for all."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.silent: bool | set[str] = False
        self.after: set[str] = set()  # methods that do what they are asked and then do not answer

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._ledger, name)
        if not callable(found):
            return found

        def call(*args: Any, **values: Any) -> Any:
            if self.silent is True or (self.silent and name in self.silent):
                raise LedgerUnavailable("nobody there")
            answer = found(*args, **values)
            if name in self.after:
                raise LedgerUnavailable("the answer was lost")
            return answer

        return call
