"""Anthropic's own client, guarded, over a local transport. What it shares with OpenAI's is tested there."""

import asyncio
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import pydantic
import pytest

from policy_engine.adapters.anthropic import guard
from policy_engine.runtime.attempt import Attempt
from policy_engine.runtime.errors import Cut, HandedOff, Stopped
from policy_engine.runtime.execution import Execution
from tests.adapters.desk import Broken, Provider, anthropic_client, async_anthropic_client, begun, sse
from tests.adapters.test_openai import watching

CENT = 10**7
ASKED: dict[str, Any] = {"max_output_tokens": 100, "input_tokens": 200}  # $0.40 on `mini` at most
HI: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
USAGE = {"input_tokens": 60, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 0, "output_tokens": 50}
USED, WORST = 20 * CENT, 40 * CENT


def message(text: str = "hello", *, usage: Any = USAGE, stop: str | None = "end_turn") -> dict[str, Any]:
    return {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "small-2026",
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage,
    }


def events(*texts: str, stop: str = "end_turn", end: bool = True) -> list[dict[str, Any]]:
    said = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}} for text in texts
    ]
    ending: list[dict[str, Any]] = [
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": stop, "stop_sequence": None},
            "usage": {"output_tokens": 50},
        },
        {"type": "message_stop"},
    ]
    return [
        {"type": "message_start", "message": message("", usage=USAGE | {"output_tokens": 1}, stop=None)},
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *said,
        *(ending if end else []),
    ]


def sync(provider: Provider, run: Execution, **options: Any) -> Any:
    return guard(anthropic_client(provider), run, "draft", **(ASKED | options))


def create(provider: Provider, run: Execution, **request: Any) -> Any:
    return sync(provider, run).messages.create(**HI, **request)


def create_async(provider: Provider, run: Execution, **request: Any) -> Any:
    async def work() -> Any:
        client = guard(async_anthropic_client(provider), run, "draft", **ASKED)
        return await client.messages.create(**HI, **request)

    return asyncio.run(work())


each_way = pytest.mark.parametrize("call", [create, create_async])
Call = Callable[..., Any]


@each_way
def test_a_call_is_an_attempt(call: Call) -> None:
    provider = Provider(message())
    seen: list[Attempt] = []
    with begun("anthropic", observers=[watching(seen)]) as run:
        assert call(provider, run, max_tokens=80).content[0].text == "hello"
    assert (provider.requests[0]["model"], provider.requests[0]["max_tokens"]) == ("small", 80)
    assert run.spent_nanos == USED
    (attempt,) = seen
    assert (attempt.usage.input_tokens, attempt.usage.cached_read_tokens, attempt.usage.output_tokens) == (100, 40, 50)


def error(kind: str, message: str = "no") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}}


FAILURES: list[tuple[Any, str, int]] = [
    (429, "rate_limit", 0),
    ((529, error("overloaded_error")), "unavailable", WORST),
    (500, "server_error", WORST),
    (httpx2.ReadTimeout("slow"), "timeout", WORST),
    (httpx2.ConnectError("nobody"), "connection", 0),
    (httpx2.ReadError("reset"), "connection", WORST),
]


@each_way
@pytest.mark.parametrize(("answer", "kind", "charged"), FAILURES, ids=str)
def test_a_failure_is_retried(call: Call, answer: Any, kind: str, charged: int) -> None:
    provider = Provider(answer, message())
    seen: list[Attempt] = []
    with begun("anthropic", observers=[watching(seen)]) as run:
        assert call(provider, run).model == "small-2026"
    assert [attempt.error for attempt in seen] == [kind, None]
    assert run.spent_nanos == charged + USED


@each_way
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((400, error("invalid_request_error")), "bad_request"),
        ((400, error("invalid_request_error", "prompt is too long: 210000 tokens > 200000")), "context_length"),
        ((413, error("request_too_large")), "context_length"),
        ((401, error("authentication_error")), "auth"),
        ((403, error("permission_error")), "auth"),
        ((404, error("not_found_error")), "bad_request"),
    ],
    ids=str,
)
def test_what_is_no_use_to_retry_goes_to_another_route(call: Call, answer: Any, kind: str) -> None:
    provider = Provider(answer, message())
    seen: list[Attempt] = []
    with begun("anthropic", f"fallback next on {kind}", observers=[watching(seen)]) as run:
        call(provider, run)
    assert seen[0].error == kind
    assert provider.models == ["small", "large"]


@each_way
def test_hidden_retries_are_off_and_the_original_is_raised(call: Call) -> None:
    provider = Provider(500, 500, 500)
    with begun("anthropic", "fallback stop") as run:
        with pytest.raises(anthropic.InternalServerError) as caught:
            call(provider, run)
        assert caught.value.__notes__[0].startswith("policy: stop; because `retry 2 on timeout")
        assert run.attempts == len(provider.requests) == 3


@each_way
def test_a_handoff_is_raised(call: Call) -> None:
    with begun("anthropic", "fallback tier2") as run, pytest.raises(HandedOff, match="tier 2"):
        call(Provider(400), run)


@each_way
def test_what_says_no_usage_is_charged_as_reserved(call: Call) -> None:
    with begun("anthropic") as run:
        call(Provider(message(usage=None)), run)
        assert run.spent_nanos == WORST


@each_way
def test_a_refused_answer_is_a_failure(call: Call) -> None:
    seen: list[Attempt] = []
    with begun("anthropic", observers=[watching(seen)]) as run:
        assert call(Provider(message("", stop="refusal"), message()), run).stop_reason == "end_turn"
    assert [attempt.error for attempt in seen] == ["content_filter", None]


@pytest.mark.parametrize("is_async", [False, True])
def test_parsing(is_async: bool) -> None:
    class Verdict(pydantic.BaseModel):
        good: bool

    provider = Provider(message("no json"), message('{"good": true}'))
    seen: list[Attempt] = []
    with begun("anthropic", observers=[watching(seen)]) as run:
        if is_async:
            client = guard(async_anthropic_client(provider), run, "draft", **ASKED)
            found = asyncio.run(client.messages.parse(**HI, output_format=Verdict))
        else:
            found = sync(provider, run).messages.parse(**HI, output_format=Verdict)
        assert found.parsed_output == Verdict(good=True)
    assert [attempt.error for attempt in seen] == ["invalid_output", None]


def test_what_the_client_refuses_to_send_costs_nothing() -> None:
    """An answer so long has to be streamed."""
    with begun("anthropic", "fallback stop") as run:
        with pytest.raises(ValueError, match="Streaming is required"):
            create(Provider(), run, max_tokens=60_000)
        assert (run.attempts, run.spent_nanos) == (1, 0)


# ---------------------------------------------------------------- streams


def by_create(provider: Provider, run: Execution, most: int = 1000) -> str:
    said: list[str] = []
    with sync(provider, run).messages.create(**HI, stream=True) as stream:
        for event in stream:
            said += [event.delta.text] if event.type == "content_block_delta" else []
            if len(said) == most:
                break
    return "".join(said)


def by_stream(provider: Provider, run: Execution, most: int = 1000) -> str:
    said: list[str] = []
    with sync(provider, run).messages.stream(**HI) as stream:
        for text in stream.text_stream:
            said.append(text)
            if len(said) == most:
                break
    return "".join(said)


def by_create_async(provider: Provider, run: Execution, most: int = 1000) -> str:
    async def work() -> str:
        said: list[str] = []
        client: Any = guard(async_anthropic_client(provider), run, "draft", **ASKED)
        async with await client.messages.create(**HI, stream=True) as stream:
            async for event in stream:
                said += [event.delta.text] if event.type == "content_block_delta" else []
                if len(said) == most:
                    break
        return "".join(said)

    return asyncio.run(work())


def by_stream_async(provider: Provider, run: Execution, most: int = 1000) -> str:
    async def work() -> str:
        said: list[str] = []
        client = guard(async_anthropic_client(provider), run, "draft", **ASKED)
        async with client.messages.stream(**HI) as stream:
            async for text in stream.text_stream:
                said.append(text)
                if len(said) == most:
                    break
        return "".join(said)

    return asyncio.run(work())


each_stream = pytest.mark.parametrize("read", [by_create, by_stream, by_create_async, by_stream_async])
Read = Callable[..., str]


@each_stream
def test_a_stream_is_an_attempt(read: Read) -> None:
    provider = Provider(events("hel", "lo"))
    seen: list[Attempt] = []
    with begun("anthropic", observers=[watching(seen)]) as run:
        assert read(provider, run) == "hello"
        assert (run.attempts, run.spent_nanos) == (1, USED)
    assert seen[0].usage.cached_read_tokens == 40
    assert provider.closed


@each_stream
@pytest.mark.parametrize("first", [429, "begun", "told"])
def test_a_stream_that_never_began_to_answer_is_opened_again(read: Read, first: Any) -> None:
    answers: dict[Any, tuple[Any, str]] = {
        429: (429, "rate_limit"),
        "begun": (Broken(sse(events()[0])), "connection"),
        "told": (Broken(sse(events()[0]), sse(error("overloaded_error")), error=None), "unavailable"),
    }
    answer, kind = answers[first]
    seen: list[Attempt] = []
    with begun("anthropic", observers=[watching(seen)]) as run:
        assert read(Provider(answer, events("hello")), run) == "hello"
    assert [attempt.error for attempt in seen] == [kind, None]


@each_stream
def test_a_stream_that_breaks_off_is_not_begun_again(read: Read) -> None:
    provider = Provider(Broken(*(sse(event) for event in events("a" * 40, "b" * 40, end=False))))
    seen: list[Attempt] = []
    with begun("anthropic", observers=[watching(seen)]) as run:
        with pytest.raises(httpx2.ReadError) as caught:
            read(provider, run)
        assert caught.value.__notes__[0].startswith("policy: retry on mini")
        assert run.spent_nanos == (100 + 2 * 20) * 10**6  # the input as it was told, the output as it came
    assert [attempt.error for attempt in seen] == ["connection"]
    assert len(provider.requests) == 1


@each_stream
def test_an_error_told_in_a_stream(read: Read) -> None:
    told = Broken(*(sse(event) for event in [*events("a" * 40, end=False), error("overloaded_error")]))
    seen: list[Attempt] = []
    with begun("anthropic", observers=[watching(seen)]) as run, pytest.raises(anthropic.APIStatusError):
        read(Provider(told), run)
    assert [attempt.error for attempt in seen] == ["unavailable"]


@each_stream
def test_a_stream_is_cut(read: Read) -> None:
    provider = Provider(events(*["a" * 320] * 10))
    with begun("anthropic", "fallback next on over_ceiling") as run:
        with pytest.raises(Cut) as caught:
            read(provider, run)
        assert caught.value.decision.reason == "output_cap"
        assert run.spent_nanos == (100 + 2 * 480) * 10**6
    assert provider.bodies[0].sent < 12
    assert provider.closed


@each_stream
def test_who_leaves_a_stream_pays_for_what_came(read: Read) -> None:
    provider = Provider(events("a" * 40, "b" * 40, "c" * 40))
    with begun("anthropic") as run:
        read(provider, run, most=2)
        assert run.spent_nanos == (100 + 2 * 20) * 10**6
    assert provider.closed


@each_stream
def test_a_refused_stream_is_a_failed_attempt(read: Read) -> None:
    seen: list[Attempt] = []
    with begun("anthropic", observers=[watching(seen)]) as run:
        assert read(Provider(events("so", stop="refusal")), run) == "so"
        assert run.spent_nanos == USED
    assert [attempt.error for attempt in seen] == ["content_filter"]


def test_the_final_message() -> None:
    with begun("anthropic") as run:
        client = sync(Provider(events("hel", "lo"), events("hel", "lo"), events("hel", "lo")), run)
        with client.messages.stream(**HI) as stream:
            assert stream.get_final_message().content[0].text == "hello"
            assert stream.response.status_code == 200
        with client.messages.stream(**HI) as stream:
            assert stream.get_final_text() == "hello"
            assert stream.current_message_snapshot.stop_reason == "end_turn"
        assert (run.attempts, run.spent_nanos) == (2, 2 * USED)


def test_the_final_message_async() -> None:
    async def work() -> None:
        client: Any = guard(
            async_anthropic_client(Provider(events("hel", "lo"), events("hel", "lo"))), run, "draft", **ASKED
        )
        async with client.messages.stream(**HI) as stream:
            assert (await stream.get_final_message()).content[0].text == "hello"
        async with client.messages.stream(**HI) as stream:
            assert await stream.get_final_text() == "hello"

    with begun("anthropic") as run:
        asyncio.run(work())
        assert (run.attempts, run.spent_nanos) == (2, 2 * USED)


# ---------------------------------------------------------------- several calls, and what is not guarded


def test_a_tool_loop() -> None:
    call = {"type": "tool_use", "id": "t1", "name": "look", "input": {"type": "thing"}}
    provider = Provider(message(stop="tool_use") | {"content": [call]}, message("done"))
    with begun("anthropic", "ceiling 3 attempts per step") as run:
        client: Any = guard(anthropic_client(provider), run, "draft", max_output_tokens=10)
        said: list[Any] = [{"role": "user", "content": "hi"}]
        tools = [{"name": "look", "input_schema": {"type": "object", "properties": {}}}]
        reply = client.messages.create(messages=said, tools=tools)
        said += [
            {"role": "assistant", "content": reply.content},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "42"}]},
        ]
        assert client.messages.create(messages=said, tools=tools).content[0].text == "done"
        assert run.attempts == 2


def test_an_image_is_not_bounded_by_its_bytes() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    with begun("anthropic", "fallback stop") as run:
        client = guard(anthropic_client(Provider(message())), run, "draft", max_output_tokens=10)
        with pytest.raises(Stopped) as caught:
            client.messages.create(messages=[{"role": "user", "content": [image]}])
        assert "`messages` holds a part of type `image`" in caught.value.__notes__[0]


def test_counting_tokens_is_no_attempt() -> None:
    with begun("anthropic") as run:
        found = sync(Provider({"input_tokens": 7}), run).messages.count_tokens(model="small", **HI)
        assert (found.input_tokens, run.attempts) == (7, 0)


@pytest.mark.parametrize("name", ["completions", "beta", "with_options"])
def test_the_rest_is_not_reached(name: str) -> None:
    with begun("anthropic") as run, pytest.raises(AttributeError, match=f"`{name}` is not guarded"):
        getattr(sync(Provider(), run), name)


def test_only_its_own_clients() -> None:
    with begun("anthropic") as run, pytest.raises(TypeError, match="a client of Anthropic is guarded here"):
        guard(object(), run)  # type: ignore[call-overload]
