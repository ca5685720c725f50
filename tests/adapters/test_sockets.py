"""The clients as they are used, over real connections: torn down, cut short, slow, or answered by some gateway."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

from policy_engine.adapters import anthropic as guarding_anthropic
from policy_engine.adapters.openai import guard
from policy_engine.runtime.attempt import Attempt
from policy_engine.runtime.clock import SystemClock
from policy_engine.runtime.errors import Cut
from policy_engine.runtime.execution import Execution
from tests.adapters.desk import begun
from tests.adapters.openai_says import chunk, chunks, completion, response, response_events
from tests.adapters.sockets import Act, Server, half, resets, says, streams, until_gone
from tests.adapters.test_anthropic import events, message
from tests.adapters.test_openai import watching

ASKED: dict[str, Any] = {"max_output_tokens": 100, "input_tokens": 200}
HI: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
CENT = 10**7
USED, WORST = 20 * CENT, 40 * CENT


class Way:
    """A method of a client, and what its provider answers. Retries of its own are left on, as they are by default."""

    def __init__(self, name: str, provider: str, answer: Any, said: Callable[..., list[Any]], opening: int) -> None:
        self.name = name
        self.provider = provider
        self.answer = answer
        self.events = said
        self.opening = opening

    def client(self, server: Server, run: Execution, **options: Any) -> Any:
        if self.provider == "anthropic":
            made = anthropic.Anthropic(api_key="k", base_url=server.url, **options)
            return guarding_anthropic.guard(made, run, "draft", **ASKED)
        return guard(openai.OpenAI(api_key="k", base_url=f"{server.url}/v1", **options), run, "draft", **ASKED)

    def client_async(self, server: Server, run: Execution) -> Any:
        if self.provider == "anthropic":
            return guarding_anthropic.guard(
                anthropic.AsyncAnthropic(api_key="k", base_url=server.url), run, "draft", **ASKED
            )
        return guard(openai.AsyncOpenAI(api_key="k", base_url=f"{server.url}/v1"), run, "draft", **ASKED)

    def call(self, client: Any, **request: Any) -> Any:
        if self.name == "responses":
            return client.responses.create(input="hi", **request)
        return (client.chat.completions if self.name == "completions" else client.messages).create(**HI, **request)


WAYS = [
    Way("responses", "openai", response(), response_events, 2),
    Way("completions", "openai", completion(), chunks, 1),
    Way("messages", "anthropic", message(), events, 2),
]
each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)


@each_way
@pytest.mark.parametrize(
    ("first", "error", "charged", "models"),
    [
        (resets, "connection", WORST, ["small", "small"]),
        (half, "connection", WORST, ["small", "small"]),
        (says({}, 429, retry_after="9"), "rate_limit", 0, ["small", "small"]),
        (says({}, 503, retry_after="9", x_should_retry="true"), "unavailable", WORST, ["small", "small"]),
        (says({}, 402), "auth", 0, ["small", "large"]),
        (says({}, 410), "bad_request", 0, ["small", "large"]),
        (says("<html>busy</html>", kind="text/html"), "invalid_output", WORST, ["small", "large"]),
        (says("{garbled"), "invalid_output", WORST, ["small", "large"]),
        (says([]), "invalid_output", WORST, ["small", "large"]),
    ],
    ids="reset half 429 503 402 410 html garbled list".split(),
)
def test_what_no_answer_is(way: Way, first: Act, error: str, charged: int, models: list[str]) -> None:
    seen: list[Attempt] = []
    with Server(first, says(way.answer)) as server, begun(way.provider, observers=[watching(seen)]) as run:
        way.call(way.client(server, run))
        assert (seen[0].error, seen[0].cost_nanos) == (error, charged)
        assert run.spent_nanos == charged + (USED if models[1] == "small" else 10 * USED)
    assert server.models == models
    assert all("x-stainless-retry-count: 0" in head for head, _ in server.requests)


@each_way
def test_a_connection_that_is_refused_costs_nothing(way: Way) -> None:
    """While a provider is not reached, nothing is spent on it, however often it is tried."""
    gone = Server()
    gone.close()
    with begun(way.provider, "fallback stop") as run:
        for request in ({}, {"stream": True}):
            with pytest.raises((openai.APIConnectionError, anthropic.APIConnectionError)):
                way.call(way.client(gone, run), **request)
        assert (run.attempts, run.spent_nanos) == (6, 0)


def test_an_error_under_a_status_of_success() -> None:
    """As gateways tell it."""
    seen: list[Attempt] = []
    told = says({"error": {"code": 429, "message": "slow down"}})
    for way in WAYS[:2]:
        with Server(told, says(way.answer)) as server, begun("openai", observers=[watching(seen)]) as run:
            way.call(way.client(server, run))
    assert [attempt.error for attempt in seen] == ["rate_limit", None] * 2


@pytest.mark.parametrize(
    "odd",
    [
        chunk(choices="so"),
        chunk(choices=[7, None]),
        chunk(choices=7),
        chunk(choices=[{"delta": {"tool_calls": 3}}]),
        {"type": {"a": 1}},
        {"type": "response.failed"},
    ],
    ids=str,
)
def test_events_of_no_known_shape_are_given_as_they_came(odd: dict[str, Any]) -> None:
    """A client passes on what it does not understand, and so does a guard."""
    for way in WAYS[:2]:
        said = [*way.events("hello"), "[DONE]"]
        with Server(streams([said[0], odd, *said[1:]]), streams(said)) as server, begun("openai") as run:
            list(way.call(way.client(server, run), stream=True))
            assert run.spent_nanos >= USED


@each_way
@pytest.mark.parametrize("end", ["short", "half", "reset"])
def test_a_stream_that_breaks_off(way: Way, end: str) -> None:
    seen: list[Attempt] = []
    came = way.events("a" * 40, "b" * 40)[: way.opening + (2 if way.name == "messages" else 1)]
    with Server(streams(came, end)) as server, begun(way.provider, observers=[watching(seen)]) as run:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the client's own, of whichever client
            list(way.call(way.client(server, run), stream=True))
        assert "a part of the answer was given out" in caught.value.__notes__[0]
        told = 100 if way.name == "messages" else 200  # Anthropic tells the input at the start
        assert run.spent_nanos == (told + 2 * 10) * 10**6
    assert [attempt.error for attempt in seen] == ["connection"]
    assert len(server.requests) == 1


@each_way
@pytest.mark.parametrize("end", ["short", "half", "reset", "whole"])
def test_a_stream_that_breaks_off_before_its_answer_is_opened_again(way: Way, end: str) -> None:
    first = streams(way.events("a" * 40)[:1], end)
    with Server(first, streams(way.events("hello"))) as server, begun(way.provider) as run:
        list(way.call(way.client(server, run), stream=True))
        assert run.spent_nanos == WORST + USED
    assert len(server.requests) == 2


@each_way
@pytest.mark.parametrize("stream", [True, False])
def test_a_cancelled_task_hangs_up(way: Way, stream: bool) -> None:
    """The provider sees that nobody waits, and what may be billed is charged."""
    gone = threading.Event()
    came = way.events("a" * 40)[: way.opening + 2] if stream else []

    def hangs(connection: Any) -> None:
        streams(came, "never")(connection)
        gone.set()

    async def work(server: Server, run: Execution) -> None:
        async def call() -> None:
            answer = await way.call(way.client_async(server, run), **({"stream": True} if stream else {}))
            async for _ in answer:
                pass

        task = asyncio.create_task(call())
        while not server.requests:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with Server(hangs) as server, begun(way.provider) as run:
        asyncio.run(work(server, run))
        assert run.attempts == 1
        assert run.spent_nanos == WORST if not stream else 0 < run.spent_nanos < WORST
    assert gone.wait(5)
    assert len(server.requests) == 1


@each_way
def test_who_leaves_a_stream_hangs_up(way: Way) -> None:
    gone = threading.Event()

    def hangs(connection: Any) -> None:
        streams(way.events("a" * 40)[: way.opening + 2], "never")(connection)
        gone.set()

    with Server(hangs) as server, begun(way.provider) as run:
        with way.call(way.client(server, run), stream=True) as stream:
            for _ in zip(range(way.opening + 1), stream, strict=False):
                pass
        assert gone.wait(5)
        assert 0 < run.spent_nanos < WORST


def test_a_deadline_ends_a_stream_that_says_nothing_more() -> None:
    """Chunks without a text are chunks: a stream is not kept alive by them."""
    said = [chunk(), chunk("so"), *[chunk("")] * 100]
    with (
        Server(streams(said, gap=0.05)) as server,
        begun("openai", "ceiling 1s per outcome  fallback stop", clock=SystemClock()) as run,
    ):
        with pytest.raises(Cut, match="deadline"):
            list(WAYS[1].call(WAYS[1].client(server, run), stream=True))
        assert run.spent_nanos == (200 + 2) * 10**6


@each_way
def test_a_client_keeps_its_shorter_timeout_under_a_deadline(way: Way) -> None:
    seen: list[Attempt] = []
    with (
        Server(until_gone, says(way.answer)) as server,
        begun(
            way.provider, "ceiling 30s per outcome  fallback next", clock=SystemClock(), observers=[watching(seen)]
        ) as run,
    ):
        way.call(way.client(server, run, timeout=0.3), **({"max_tokens": 100} if way.name == "messages" else {}))
    assert [attempt.error for attempt in seen] == ["timeout", None]


def test_threads_share_one_guarded_client() -> None:
    """Ten at once, under a ceiling that two of them fit in: two are made, and what they cost is what is spent."""
    said: list[str] = []
    with (
        Server(*[says(response())] * 10) as server,
        begun("openai", "ceiling $0.59 per outcome  fallback stop") as run,
    ):
        client = WAYS[0].client(server, run)

        def call() -> None:
            try:
                said.append(client.responses.create(input="hi").output_text)
            except Exception as error:
                said.append(type(error).__name__)

        threads = [threading.Thread(target=call) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert said.count("hello") == len(server.requests) <= 2
        assert run.spent_nanos == len(server.requests) * USED <= 59 * CENT
