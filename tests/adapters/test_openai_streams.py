"""Streams of OpenAI's own client, guarded, over a local transport."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest

from policy_engine.adapters.openai import guard
from policy_engine.runtime.attempt import Attempt
from policy_engine.runtime.errors import Cut, HandedOff
from policy_engine.runtime.execution import Execution
from tests.adapters.desk import Broken, Provider, async_openai_client, begun, engine, sse
from tests.adapters.openai_says import chunks, failed_response, response, response_events
from tests.adapters.test_openai import ASKED, CENT, USED, WORST, complete, respond, sync, watching


def text_of(event: Any) -> str | None:
    if getattr(event, "type", None) == "response.output_text.delta":
        return str(event.delta)
    choices = getattr(event, "choices", None)
    return choices[0].delta.content if choices else None


class Streaming:
    """A stream of one of the interfaces, sync or async, read to its end or to so many texts."""

    def __init__(self, call: Callable[..., Any], *, is_async: bool) -> None:
        self._call = call
        self._async = is_async
        self.events = response_events if call is respond else chunks

    def __call__(self, provider: Provider, run: Execution, most: int = 1000, **options: Any) -> list[Any]:
        found: list[Any] = []
        if not self._async:
            with self._call(sync(provider, run, **options), stream=True) as stream:
                for event in stream:
                    found.append(event)
                    if len([e for e in found if text_of(e)]) == most:
                        break
            return found

        async def work() -> None:
            client = guard(async_openai_client(provider), run, "draft", **(ASKED | options))
            async with await self._call(client, stream=True) as stream:
                async for event in stream:
                    found.append(event)
                    if len([e for e in found if text_of(e)]) == most:
                        break

        self.found = found
        asyncio.run(work())
        return found


STREAMS = {
    "responses": Streaming(respond, is_async=False),
    "completions": Streaming(complete, is_async=False),
    "async responses": Streaming(respond, is_async=True),
    "async completions": Streaming(complete, is_async=True),
}
each_stream = pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS)


def said(events: list[Any]) -> str:
    return "".join(text for text in map(text_of, events) if text)


@each_stream
def test_a_stream_is_an_attempt(stream: Streaming) -> None:
    provider = Provider(stream.events("hel", "lo"))
    with begun("openai") as run:
        events = stream(provider, run)
        assert said(events) == "hello"
        assert (run.attempts, run.spent_nanos) == (1, USED)
    assert provider.closed
    if "stream_options" in provider.requests[0]:
        assert provider.requests[0]["stream_options"] == {"include_usage": True}
        assert all(event.choices for event in events)  # nobody asked for the last one


def test_usage_is_given_to_who_asks_for_it() -> None:
    with begun("openai") as run:
        client = sync(Provider(chunks("hi")), run)
        events = list(complete(client, stream=True, stream_options={"include_usage": True}))
    assert events[-1].usage.prompt_tokens == 100


@each_stream
def test_a_stream_that_says_no_usage_is_charged_by_what_came(stream: Streaming) -> None:
    events = chunks("a" * 40, usage=False)
    if stream.events is response_events:
        end = {"type": "response.completed", "response": response(usage=None)}
        events = response_events("a" * 40, end=end)
    with begun("openai") as run:
        stream(Provider(events), run)
        assert run.spent_nanos == (200 + 2 * 10) * 10**6


@each_stream
@pytest.mark.parametrize("first", [429, 500, "begun"])
def test_a_stream_that_never_began_to_answer_is_opened_again(stream: Streaming, first: Any) -> None:
    broken = Broken(*(sse(event) for event in stream.events("x")[:1]))
    provider = Provider(broken if first == "begun" else first, stream.events("hello"))
    seen: list[Attempt] = []
    with begun("openai", observers=[watching(seen)]) as run:
        assert said(stream(provider, run)) == "hello"
    expected = {429: "rate_limit", 500: "server_error", "begun": "connection"}[first]
    assert [attempt.error for attempt in seen] == [expected, None]


@each_stream
def test_a_stream_that_breaks_off_is_not_begun_again(stream: Streaming) -> None:
    opening = 2 if stream.events is response_events else 1
    broken = Broken(*(sse(event) for event in stream.events("a" * 40, "b" * 40, "c")[: opening + 2]))
    provider = Provider(broken)
    seen: list[Attempt] = []
    with begun("openai", observers=[watching(seen)]) as run:
        with pytest.raises(openai.APIConnectionError) as caught:
            stream(provider, run)
        assert caught.value.__notes__[0].startswith("policy: retry on mini")
        assert "a part of the answer was given out" in caught.value.__notes__[0]
        assert run.spent_nanos == (200 + 2 * 20) * 10**6
    assert [(attempt.error, attempt.ended) for attempt in seen] == [("connection", True)]
    assert len(provider.requests) == 1


@each_stream
def test_a_stream_that_breaks_off_may_end_in_a_handoff(stream: Streaming) -> None:
    opening = 2 if stream.events is response_events else 1
    broken = Broken(*(sse(event) for event in stream.events("a" * 40, "b")[: opening + 1]))
    with begun("openai", "fallback tier2 on over_ceiling") as run, pytest.raises(openai.APIConnectionError):
        stream(Provider(broken), run)
    text = "retry 0 on connection  fallback tier2 on connection"
    with begun("openai", text) as run, pytest.raises(HandedOff):
        stream(Provider(broken), run)
    assert run.state == "handed_off"


@each_stream
def test_a_stream_is_cut(stream: Streaming) -> None:
    provider = Provider(stream.events(*["a" * 320] * 10))  # twenty of the longest tokens each, of a hundred
    with begun("openai", "fallback next on over_ceiling") as run:
        with pytest.raises(Cut) as caught:
            stream(provider, run)
        assert caught.value.decision.reason == "output_cap"
        assert caught.value.__notes__[0].startswith("policy: go to route big")
        assert run.spent_nanos == (200 + 2 * 480) * 10**6
    assert provider.bodies[0].sent < 10
    assert provider.closed


@each_stream
def test_a_long_text_within_the_cap_is_not_cut(stream: Streaming) -> None:
    """A hundred tokens of Russian are more bytes than a hundred of English; the provider says how many they were."""
    texts = ["привет "] * 100
    with begun("openai") as run:
        assert said(stream(Provider(stream.events(*texts)), run)) == "".join(texts)
        assert run.spent_nanos == USED


@each_stream
def test_what_the_provider_was_told_not_to_pass_is_not_charged(stream: Streaming) -> None:
    opening = 2 if stream.events is response_events else 1
    broken = Broken(*(sse(event) for event in stream.events(*["привет "] * 100)[: opening + 90]))
    with begun("openai") as run:
        with pytest.raises(openai.APIConnectionError):
            stream(Provider(broken), run)
        assert run.spent_nanos == WORST


@each_stream
def test_a_stream_that_ends_before_its_answer_broke_off(stream: Streaming) -> None:
    opening = 2 if stream.events is response_events else 1
    for nothing in (stream.events("x")[:opening], []):
        provider = Provider(nothing, stream.events("hello"))
        seen: list[Attempt] = []
        with begun("openai", observers=[watching(seen)]) as run:
            assert said(stream(provider, run)) == "hello"
            assert run.spent_nanos == WORST + USED
        assert [attempt.error for attempt in seen] == ["connection", None]


@each_stream
def test_who_leaves_a_stream_pays_for_what_came(stream: Streaming) -> None:
    provider = Provider(stream.events("a" * 40, "b" * 40, "c" * 40))
    with begun("openai") as run:
        stream(provider, run, most=2)
        assert run.spent_nanos == (200 + 2 * 20) * 10**6
        assert run.attempts == 1
        run.deliver()
    assert provider.closed


@each_stream
def test_a_filtered_stream_is_a_failed_attempt(stream: Streaming) -> None:
    events = chunks("so", finish="content_filter")
    if stream.events is response_events:
        whole = response(status="incomplete", incomplete_details={"reason": "content_filter"})
        events = response_events("so", end={"type": "response.incomplete", "response": whole})
    seen: list[Attempt] = []
    with begun("openai", observers=[watching(seen)]) as run:
        assert said(stream(Provider(events), run)) == "so"  # as the client would
        assert run.spent_nanos == USED
    assert [attempt.error for attempt in seen] == ["content_filter"]


@each_stream
def test_a_failure_told_in_a_stream(stream: Streaming) -> None:
    told: list[Any] = [{"error": {"type": "server_error", "message": "no"}}]
    if stream.events is response_events:
        told = response_events(end={"type": "response.failed", "response": failed_response("rate_limit_exceeded")})
    provider = Provider(told, stream.events("hello"))
    seen: list[Attempt] = []
    with begun("openai", observers=[watching(seen)]) as run:
        assert said(stream(provider, run)) == "hello"
    assert [attempt.error for attempt in seen] == [
        "rate_limit" if stream.events is response_events else "server_error",
        None,
    ]


def test_a_failed_stream_with_nothing_after_it_is_given_as_it_is() -> None:
    told = response_events(end={"type": "response.failed", "response": failed_response("server_error")})
    with begun("openai", "fallback stop") as run:
        events = list(respond(sync(Provider(told, told, told), run), stream=True))
    assert events[-1].type == "response.failed"
    assert run.attempts == 3


def test_a_cancelled_stream_is_charged_by_what_came() -> None:
    async def work() -> None:
        class Hanging(httpx2.AsyncByteStream):
            async def __aiter__(self) -> Any:
                for event in response_events("a" * 40)[:3]:
                    yield sse(event)
                waiting.set()
                await asyncio.sleep(60)

        async def respond_so(request: httpx2.Request) -> httpx2.Response:
            return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=Hanging())

        waiting = asyncio.Event()
        transport = httpx2.AsyncClient(transport=httpx2.MockTransport(respond_so))
        client = guard(openai.AsyncOpenAI(api_key="k", http_client=transport), run, "draft", **ASKED)

        async def read() -> None:
            async for _ in await client.responses.create(input="hi", stream=True):
                pass

        task = asyncio.create_task(read())
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with begun("openai") as run:
        asyncio.run(work())
        assert run.spent_nanos == (200 + 2 * 10) * 10**6


def test_a_stream_nobody_reads_is_settled_with_the_run() -> None:
    with begun("openai") as run:
        respond(sync(Provider(response_events("a" * 40)), run), stream=True)
        assert run.spent_nanos == 0
    assert run.spent_nanos == (200 + 2 * 10) * 10**6


def test_chunks_before_the_answer_come_with_it() -> None:
    with begun("openai") as run:
        kinds = [event.type for event in respond(sync(Provider(response_events("hi")), run), stream=True)]
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_text.delta",
        "response.completed",
    ]
    with begun("openai") as run:
        events = list(complete(sync(Provider(chunks("a")), run), stream=True))
    assert [event.choices[0].delta.content for event in events] == ["", "a", None]


@each_stream
def test_a_filtered_stream_may_end_in_a_handoff(stream: Streaming) -> None:
    events = chunks("so", finish="content_filter")
    if stream.events is response_events:
        whole = response(status="incomplete", incomplete_details={"reason": "content_filter"})
        events = response_events("so", end={"type": "response.incomplete", "response": whole})
    rules = "retry 0 on content_filter  fallback tier2 on content_filter"
    with begun("openai", rules) as run, pytest.raises(HandedOff):
        stream(Provider(events), run)
    assert (run.state, run.spent_nanos, run.handoff_nanos) == ("handed_off", USED, 250 * CENT)


def test_a_stream_from_elsewhere_is_measured_too() -> None:
    def elsewhere(attempt: Attempt, request: dict[str, Any]) -> Any:
        assert request["stream"] is True
        return iter(["so", " and so"])

    with engine("openai").execution("other", customer="acme") as run:
        found = list(respond(sync(Provider(400), run, elsewhere=elsewhere), stream=True))
        assert found == ["so", " and so"]
        assert (run.attempts, run.spent_nanos) == (2, 3 * CENT)
