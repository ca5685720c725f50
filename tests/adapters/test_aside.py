"""A task that calls a guarded client leaves its loop to others while a ledger on a disk is asked."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from policy_engine.adapters import anthropic as guarding_anthropic
from policy_engine.adapters.openai import guard
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.policy import load
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.execution import Execution
from tests.adapters.desk import TEXT, Answer, Broken, Provider, async_anthropic_client, async_openai_client, sse
from tests.adapters.openai_says import chunks, completion, response_events
from tests.adapters.test_anthropic import events

ASKED: dict[str, Any] = {"max_output_tokens": 100, "input_tokens": 200}
HI: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}


class Watched:
    """A ledger in memory that notes in which threads an attempt is settled, as one that may wait."""

    waits = True

    def __init__(self) -> None:
        self._ledger = MemoryLedger()
        self.threads: list[bool] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def settle(self, *args: Any, **values: Any) -> Any:
        self.threads.append(threading.current_thread() is threading.main_thread())
        return self._ledger.settle(*args, **values)


async def complete(provider: Provider, run: Execution) -> None:
    await guard(async_openai_client(provider), run, "draft", **ASKED).chat.completions.create(**HI)


async def read_to_the_end(provider: Provider, run: Execution) -> None:
    client = guard(async_openai_client(provider), run, "draft", **ASKED)
    async for _ in await client.responses.create(input="hi", stream=True):
        pass


async def leave(provider: Provider, run: Execution) -> None:
    client: Any = guard(async_openai_client(provider), run, "draft", **ASKED)
    async with await client.chat.completions.create(**HI, stream=True) as stream:
        async for _ in stream:
            break


async def leave_messages(provider: Provider, run: Execution) -> None:
    client = guarding_anthropic.guard(async_anthropic_client(provider), run, "draft", **ASKED)
    async with client.messages.stream(**HI) as stream:
        async for _ in stream.text_stream:
            break


@pytest.mark.parametrize(
    ("name", "work", "answers", "settled"),
    [
        ("openai", complete, [completion()], 1),
        ("openai", complete, [completion(finish="content_filter"), completion()], 2),
        ("openai", complete, [500, completion()], 2),
        ("openai", read_to_the_end, [response_events("hi")], 1),
        ("openai", read_to_the_end, [[], response_events("hi")], 2),
        ("openai", read_to_the_end, [Broken(*map(sse, response_events("hi")[:3]))], 1),
        ("openai", leave, [chunks("hi", "ho")], 1),
        ("anthropic", leave_messages, [events("hi", "ho")], 1),
    ],
    ids="whole filtered failed stream nothing broken left messages".split(),
)
def test_attempts_are_settled_aside(
    name: str, work: Callable[[Provider, Execution], Awaitable[None]], answers: list[Answer], settled: int
) -> None:
    ledger = Watched()
    made = Engine(load(TEXT.format(provider=name, rules="fallback next")), ledger=ledger)

    async def main() -> None:
        async with made.execution("draft", customer="acme") as run:
            try:
                await work(Provider(*answers), run)
            except Exception as error:
                assert "a part of the answer was given out" in error.__notes__[0]  # noqa: PT017 - only one of them is broken
            assert ledger.threads == [False] * settled

    asyncio.run(main())


class Hanging:
    """A stream that says something and then nothing."""

    def __init__(self) -> None:
        self._said = False

    def __aiter__(self) -> "Hanging":
        return self

    async def __anext__(self) -> str:
        if self._said:
            await asyncio.Event().wait()
        self._said = True
        return "so"


def test_a_coroutine_that_is_closed_settles_where_it_is() -> None:
    """Whoever closes it lets it await nothing more."""
    ledger = Watched()
    made = Engine(load(TEXT.format(provider="openai", rules="")), ledger=ledger)

    async def main() -> None:
        async with made.execution("other", customer="acme") as run:
            client = guard(
                async_openai_client(Provider(400)), run, "draft", **ASKED, elsewhere=lambda *asked: Hanging()
            )
            stream: Any = await client.responses.create(input="hi", stream=True)
            assert await anext(stream) == "so"
            ledger.threads.clear()
            waiting = anext(stream).__await__()
            next(waiting)
            waiting.close()
            assert ledger.threads == [True]
            assert (run.attempts, run.spent_nanos) == (2, 3 * 10**7)

    asyncio.run(main())
