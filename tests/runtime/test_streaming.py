"""Streams are counted while they come, cut where the policy says, and settled however they are left."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Generator, Iterator
from types import SimpleNamespace as Thing
from typing import Any

import pytest

from policy_engine.ledger.protocol import Ledger
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Cut
from policy_engine.runtime.streaming import size_of
from tests.runtime.desk import ASKS, CENT, NOON, SECOND, Broken, engine, ledger, spent

__all__ = ["ledger"]  # a fixture

WORST = 30 * CENT
INPUT = 10 * CENT  # of 100 tokens on `mini`; an output token is $0.002
TOKEN = CENT // 5


def words(count: int, error: BaseException | None = None) -> Iterator[str]:
    """Chunks of one token each, then perhaps an error."""
    for _ in range(count):
        yield "word"
    if error is not None:
        raise error


async def words_async(count: int, error: BaseException | None = None) -> AsyncIterator[str]:
    for word in words(count, error):
        await asyncio.sleep(0)
        yield word


def stream(engine: Engine, chunks: Any, *, leave_after: int | None = None) -> list[str]:
    """A streamed call; `leave_after` chunks the caller has enough."""
    got: list[str] = []
    with engine.execution("draft", customer="acme") as run:
        for attempt in run.step("draft", **ASKS):
            with attempt:
                for chunk in attempt.meter(chunks):
                    got.append(chunk)
                    if len(got) == leave_after:
                        break
        run.deliver()
    return got


def stream_async(engine: Engine, chunks: Any, *, leave_after: int | None = None) -> list[str]:
    got: list[str] = []

    async def chunks_async() -> AsyncIterator[str]:
        for chunk in chunks:
            await asyncio.sleep(0)
            yield chunk

    async def main() -> None:
        async with engine.execution("draft", customer="acme") as run:
            async for attempt in run.step("draft", **ASKS):
                async with attempt:
                    async for chunk in attempt.meter(chunks_async()):
                        got.append(chunk)
                        if len(got) == leave_after:
                            break
            run.deliver()

    asyncio.run(main())
    return got


both = pytest.mark.parametrize("do", [stream, stream_async], ids=["sync", "async"])


@both
def test_what_was_streamed_is_settled(do: Any, ledger: Ledger) -> None:
    assert len(do(engine(ledger=ledger), words(40))) == 40
    assert spent(ledger) == (INPUT + 40 * TOKEN, 0)


@both
def test_a_caller_who_has_enough_pays_for_what_came(do: Any, ledger: Ledger) -> None:
    assert len(do(engine(ledger=ledger), words(40), leave_after=10)) == 10
    assert spent(ledger) == (INPUT + 10 * TOKEN, 0)


@both
@pytest.mark.parametrize("error", [Broken, asyncio.CancelledError, ConnectionResetError, KeyboardInterrupt])
def test_a_stream_that_breaks_off_is_settled_at_what_came(do: Any, ledger: Ledger, error: Any) -> None:
    with pytest.raises(error):
        do(engine(ledger=ledger), words(10, error()))
    assert spent(ledger) == (INPUT + 10 * TOKEN, 0)


@both
def test_a_stream_that_breaks_off_before_anything_came_is_charged_in_full(do: Any, ledger: Ledger) -> None:
    with pytest.raises(Broken):
        do(engine(ledger=ledger), words(0, Broken()))
    assert spent(ledger) == (WORST, 0)


@both
def test_a_stream_past_its_cap_is_cut(do: Any, ledger: Ledger) -> None:
    with pytest.raises(Cut, match="output cap") as raised:
        do(engine(ledger=ledger), words(1000))
    assert raised.value.__notes__ == ["policy: stop"]
    assert spent(ledger) == (WORST + TOKEN, 0)  # with the chunk that was one too many


@both
def test_after_a_cut_another_attempt_may_follow(do: Any, ledger: Ledger) -> None:
    chunks = words(150)
    got = do(engine({"outcome": "fallback next on over_ceiling"}, ledger=ledger), chunks)
    # The 101st was one too many. A stream that was cut is closed; the one inside `stream_async` goes on.
    assert len(got) == (100 if do is stream else 149)


@both
def test_a_stream_past_its_deadline_is_cut(do: Any, ledger: Ledger) -> None:
    clock = PinnedClock(NOON)

    def slow() -> Iterator[str]:
        for word in words(100):
            clock.sleep(SECOND)
            yield word

    with pytest.raises(Cut, match="deadline"):
        do(engine({"outcome": "ceiling 10s per outcome"}, ledger=ledger, clock=clock), slow())
    assert spent(ledger) == (INPUT + 10 * TOKEN, 0)


def test_counting_by_hand_says_go_on_or_cut(ledger: Ledger) -> None:
    run = engine(ledger=ledger).execution("draft", customer="acme")
    said = []
    with pytest.raises(Cut), run:  # noqa: PT012 - the loop is what raises
        for attempt in run.step("draft", **ASKS):
            with attempt:
                said = [attempt.meter.add(60), attempt.meter.add(60), attempt.meter.add(1)]
    assert said == [True, False, False]
    assert run.decisions[-2].effect == "stop"


def test_a_generator_that_is_closed_settles_what_came(ledger: Ledger) -> None:
    """A server streams to a browser, and the browser goes away."""
    made = engine(ledger=ledger)

    def serve() -> Generator[str, None, None]:
        with made.execution("draft", customer="acme") as run:
            for attempt in run.step("draft", **ASKS):
                with attempt:
                    yield from attempt.meter(words(50))
            run.deliver()

    serving = serve()
    assert [next(serving) for _ in range(7)] == ["word"] * 7
    assert spent(ledger) == (0, WORST)
    serving.close()
    assert spent(ledger) == (INPUT + 7 * TOKEN, 0)


def test_a_task_that_is_cancelled_settles_what_came(ledger: Ledger) -> None:
    made = engine({"outcome": "retry 3"}, ledger=ledger)
    came = asyncio.Event()

    async def endless() -> AsyncIterator[str]:
        for _ in range(5):
            yield "word"
        came.set()
        await asyncio.Event().wait()

    async def serve() -> None:
        async with made.execution("draft", customer="acme") as run:
            async for attempt in run.step("draft", **ASKS):
                async with attempt:
                    async for _ in attempt.meter(endless()):
                        pass

    async def main() -> None:
        task = asyncio.create_task(serve())
        await came.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert spent(ledger) == (INPUT + 5 * TOKEN, 0)


class Stream:
    """A client's stream, which says when it is closed."""

    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Iterator[str]:
        return words(3)

    def close(self) -> None:
        self.closed = True


class AsyncStream:
    """The same, async: it is closed by `aclose`."""

    closed = False

    def __aiter__(self) -> AsyncIterator[str]:
        return words_async(3)

    async def aclose(self) -> None:
        self.closed = True


def test_a_stream_is_closed_when_it_is_left() -> None:
    left = Stream()
    assert stream(engine(), left, leave_after=1) == ["word"]
    assert left.closed
    ended = AsyncStream()

    async def main() -> None:
        async with engine().execution("draft", customer="acme") as run:
            async for attempt in run.step("draft", **ASKS):
                async with attempt:
                    async for _ in attempt.meter(ended):
                        pass
            run.deliver()

    asyncio.run(main())
    assert ended.closed


# ---------------------------------------------------------------- chunks of clients

USAGE = {"input_tokens": 80, "output_tokens": 30}


@pytest.mark.parametrize(
    ("chunks", "charged"),
    [
        (  # OpenAI Responses
            [
                Thing(type="response.created", response=Thing(usage=None)),
                Thing(type="response.output_text.delta", delta="a reply of some length"),
                Thing(type="response.completed", response=Thing(usage=Thing(**USAGE))),
            ],
            8 * CENT + 30 * TOKEN,
        ),
        (  # OpenAI Chat, with usage in the last chunk
            [
                Thing(choices=[Thing(delta=Thing(content="a reply", tool_calls=None))], usage=None),
                Thing(choices=[], usage=Thing(prompt_tokens=80, completion_tokens=30)),
            ],
            8 * CENT + 30 * TOKEN,
        ),
        (  # OpenAI Chat without it: two texts of two tokens
            [Thing(choices=[Thing(delta=Thing(content="a reply"))], usage=None)] * 2,
            INPUT + 4 * TOKEN,
        ),
        (  # Anthropic: the input at the start, the output at the end
            [
                Thing(
                    type="message_start",
                    message=Thing(usage=Thing(input_tokens=80, cache_read_input_tokens=0, output_tokens=1)),
                ),
                Thing(type="content_block_delta", delta=Thing(type="text_delta", text="a reply")),
                Thing(type="message_delta", delta=Thing(stop_reason="end_turn"), usage=Thing(output_tokens=30)),
                Thing(type="message_stop"),
            ],
            8 * CENT + 30 * TOKEN,
        ),
    ],
    ids=["responses", "chat", "chat without usage", "anthropic"],
)
def test_what_the_client_reports_is_what_is_charged(chunks: list[Any], charged: int, ledger: Ledger) -> None:
    stream(engine(ledger=ledger), chunks)
    assert spent(ledger) == (charged, 0)


@pytest.mark.parametrize(
    ("chunk", "size"),
    [
        ("", 0),
        ("a", 1),
        ("words", 5),
        ("éé€", 7),
        (b"words", 5),
        ({"choices": [{"delta": {"content": "word"}}, {"delta": {"content": "word"}}]}, 8),
        ({"choices": [{"delta": {"tool_calls": [{"function": {"arguments": '{"a": 1}'}}]}}]}, 8),
        ({"choices": [{"delta": {"function_call": {"arguments": '{"a": 1}'}}}]}, 8),
        ({"choices": [{"delta": {"reasoning": "hm, well"}}]}, 8),
        ({"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "hm, well"}}, 8),
        (Thing(type="ping"), 0),
        (None, 0),
    ],
)
def test_the_size_of_a_chunk(chunk: Any, size: int) -> None:
    assert size_of(chunk) == size


@pytest.mark.parametrize(
    ("chunks", "tokens"), [(["a"] * 9, 3), (["word", "s"], 2), ([3, "word"], 4), (["éé€"] * 4, 7), ([], None)]
)
def test_texts_are_counted_as_one(chunks: list[Any], tokens: int | None) -> None:
    """However a text is cut into chunks, it has as many tokens."""
    made = engine()
    with made.execution("draft", customer="acme") as run:
        for attempt in run.step("draft", **ASKS):
            with attempt:
                list(attempt.meter(chunks))
        run.deliver()
    assert attempt.usage.output_tokens == tokens


@both
def test_chunks_without_a_text_take_their_time(do: Any, ledger: Ledger) -> None:
    clock = PinnedClock(NOON)

    def slow() -> Iterator[Any]:
        yield "word"
        for _ in range(100):
            clock.sleep(SECOND)
            yield Thing(type="ping")

    with pytest.raises(Cut, match="deadline"):
        do(engine({"outcome": "ceiling 10s per outcome"}, ledger=ledger, clock=clock), slow())
    assert spent(ledger) == (INPUT + TOKEN, 0)


def test_who_says_what_was_used_is_at_the_end(ledger: Ledger) -> None:
    """The last chunk comes late: nothing is cut any more, and its usage is what is charged."""
    clock = PinnedClock(NOON)

    def late() -> Iterator[Any]:
        yield "word"
        clock.sleep(11 * SECOND)
        yield Thing(usage=Thing(**USAGE))

    stream(engine({"outcome": "ceiling 10s per outcome"}, ledger=ledger, clock=clock), late())
    assert spent(ledger) == (8 * CENT + 30 * TOKEN, 0)


@pytest.mark.parametrize(("letters", "cut"), [(700, False), (1600, False), (1601, True)])
def test_a_provider_who_was_told_the_cap_is_cut_where_it_must_be_past_it(letters: int, cut: bool) -> None:
    made = engine()
    with contextlib.suppress(Cut), made.execution("draft", customer="acme") as run:
        for attempt in run.step("draft", **ASKS):  # at most 100 tokens out
            with attempt:
                attempt.meter.trust()
                list(attempt.meter(["x"] * letters))
        run.deliver()
    assert (attempt.error == "over_ceiling") is cut
    assert attempt.usage.output_tokens == (401 if cut else 100)


def test_the_caller_may_count() -> None:
    made = engine()
    with made.execution("draft", customer="acme") as run:
        for attempt in run.step("draft", **ASKS):
            with attempt:
                list(attempt.meter(["x", "y"], count=lambda _: 30))
        run.deliver()
    assert attempt.usage.output_tokens == 60


def test_what_is_told_before_anything_came_is_no_end(ledger: Ledger) -> None:
    """Anthropic tells a usage first of all. A stream that then breaks off may have cost what was reserved."""
    first = Thing(type="message_start", message=Thing(usage=Thing(**USAGE | {"output_tokens": 1})))

    def broken() -> Iterator[Any]:
        yield first
        raise Broken

    with pytest.raises(Broken):
        stream(engine(ledger=ledger), broken())
    assert spent(ledger) == (WORST, 0)


def test_a_cut_of_another_stream_is_no_failure_of_the_attempt_around_it(ledger: Ledger) -> None:
    """The call inside was cut, for its own cap. The one around it may have been billed, and goes nowhere."""
    went = []
    run = engine({"outcome": "fallback next on any"}, ledger=ledger).execution("draft", customer="acme")
    with pytest.raises(Cut), run:  # noqa: PT012 - the loops are what raise
        for attempt in run.step("around", **ASKS):
            with attempt:
                went.append(attempt.route)
                inner = next(iter(run.step("inside", **ASKS)))
                list(inner.meter(words(200)))
    assert went == ["mini"]
    assert (attempt.error, inner.error) == (None, None)
    assert run.state == "aborted"
    assert spent(ledger) == (WORST + INPUT + 101 * TOKEN, 0)
