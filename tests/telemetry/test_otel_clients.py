"""What a guarded client sends is below the attempt that sent it: calls and streams, sync and async."""

import asyncio
from typing import Any

import httpx2
import openai
import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from policy_engine.adapters.openai import guard
from tests.adapters.desk import Broken, Provider, async_openai_client, engine, openai_client, sse
from tests.adapters.openai_says import chunks, completion
from tests.telemetry.seeing import Seen

pytestmark = pytest.mark.usefixtures("nothing_fails")

ASKED: dict[str, Any] = {"max_output_tokens": 100, "input_tokens": 200}
HI: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}


class Traced(Provider):
    """A provider, and what was current when its client called it: what an instrumented transport sees."""

    def __init__(self, *answers: Any) -> None:
        super().__init__(*answers)
        self.below: list[int] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.below.append(trace.get_current_span().get_span_context().span_id)
        return super().__call__(request)


def nothing_is_current() -> None:
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.parametrize("stream", [False, True], ids=["call", "stream"])
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_each_request_is_below_its_attempt(stream: bool, is_async: bool) -> None:
    seen = Seen()
    provider = Traced(503, 429, chunks("a", "b") if stream else completion())
    run = engine("openai", observers=[seen.observer]).execution("draft", customer="acme")

    async def work() -> None:
        client = guard(async_openai_client(provider), run, "draft", **ASKED)
        async with run:
            reply: Any = await client.chat.completions.create(**HI, stream=stream)
            nothing_is_current()
            if stream:
                async for _ in reply:
                    nothing_is_current()

    if is_async:
        asyncio.run(work())
    else:
        with run:
            reply = guard(openai_client(provider), run, "draft", **ASKED).chat.completions.create(**HI, stream=stream)
            nothing_is_current()
            for _ in reply if stream else ():
                nothing_is_current()
    made = seen.named("chat small")
    assert provider.below == [span.context.span_id for span in made]
    assert [span.attributes.get("error.type") for span in made] == ["unavailable", "rate_limit", None]
    assert made[-1].attributes["gen_ai.usage.output_tokens"] == 50


def test_a_stream_that_breaks_off_says_by_what() -> None:
    seen = Seen()
    provider = Traced(Broken(*map(sse, chunks("a")[:2])))
    with engine("openai", observers=[seen.observer]).execution("draft", customer="acme") as run:
        client = guard(openai_client(provider), run, "draft", **ASKED)
        with pytest.raises(openai.APIConnectionError):
            list(client.chat.completions.create(**HI, stream=True))
    (made,) = seen.named("chat")
    assert (made.status.status_code, made.attributes["error.type"]) == (StatusCode.ERROR, "connection")
    (noted,) = [event for event in made.events if event.name == "exception"]
    assert noted.attributes["exception.type"].endswith("APIConnectionError")
