"""A policy, an engine that stands still, and providers that answer over a local transport as they are told."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic
import httpx2
import openai

from policy_engine.ledger.memory import MemoryLedger
from policy_engine.policy import load
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.execution import Execution

TEXT = """
currency USD
route mini  {{ model "{provider}:small"  rates $1 in, $2 out per 1k tokens
               retry 2 on timeout, rate_limit, unavailable, connection, server_error, content_filter }}
route big   {{ model "{provider}:large"  rates $10 in, $20 out per 1k tokens  ceiling $50 per attempt }}
route web   {{ tool "web"  cost $0.03 }}
route tier2 {{ handoff "tier 2"  cost $2.50 }}
lane standard {{ mini -> big -> tier2 }}
lane mixed    {{ mini -> web }}
workflow support {{
  outcome draft  {{ price $20  lanes standard  {rules} }}
  outcome other {{ price $20  lanes mixed  fallback next on any }}
}}
"""


def engine(provider: str, rules: str = "fallback next", **options: Any) -> Engine:
    options.setdefault("clock", PinnedClock(10**15))
    return Engine(load(TEXT.format(provider=provider, rules=rules)), ledger=MemoryLedger(), **options)


def begun(provider: str, rules: str = "fallback next", **options: Any) -> Execution:
    return engine(provider, rules, **options).execution("draft", customer="acme", key="t1")


class Broken:
    """A body that breaks off after some of its chunks: the connection is gone."""

    def __init__(self, *chunks: bytes, error: Exception | None = None) -> None:
        self.chunks = chunks
        self.error = error if error is not None else httpx2.ReadError("the connection was reset")


class Body(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """What a provider streams; notes whether it was closed before its end."""

    def __init__(self, chunks: tuple[bytes, ...], error: Exception | None, provider: "Provider") -> None:
        self._chunks = chunks
        self._error = error
        self._provider = provider
        self.sent = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.sent += 1
            yield chunk
        if self._error is not None:
            raise self._error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk

    def close(self) -> None:
        self._provider.closed += 1

    async def aclose(self) -> None:
        self.close()


Answer = dict[str, Any] | list[dict[str, Any]] | Broken | Exception | int | tuple[int, dict[str, Any]]
"""JSON, events, a broken body, an error of the transport, a status, or a status with its JSON."""


class Provider:
    """Answers requests in order; `requests` are the bodies that came."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.requests: list[dict[str, Any]] = []
        self.timeouts: list[Any] = []
        self.closed = 0
        self.bodies: list[Body] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(json.loads(request.content))
        self.timeouts.append(request.extensions.get("timeout", {}).get("read"))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, int):
            return httpx2.Response(answer, json={"error": {"message": "no", "type": "x"}})
        if isinstance(answer, tuple):
            return httpx2.Response(answer[0], json=answer[1])
        if isinstance(answer, dict):
            return httpx2.Response(200, json=answer)
        error = answer.error if isinstance(answer, Broken) else None
        chunks = answer.chunks if isinstance(answer, Broken) else tuple(sse(event) for event in answer)
        body = Body(chunks, error, self)
        self.bodies.append(body)
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, stream=body)

    async def respond(self, request: httpx2.Request) -> httpx2.Response:
        return self(request)

    @property
    def models(self) -> list[str]:
        return [request["model"] for request in self.requests]


def sse(event: dict[str, Any] | str) -> bytes:
    if isinstance(event, str):
        return f"data: {event}\n\n".encode()
    name = f"event: {event['type']}\n" if "type" in event else ""
    return f"{name}data: {json.dumps(event)}\n\n".encode()


def openai_client(provider: Provider) -> openai.OpenAI:
    return openai.OpenAI(api_key="k", http_client=httpx2.Client(transport=httpx2.MockTransport(provider)))


def async_openai_client(provider: Provider) -> openai.AsyncOpenAI:
    transport = httpx2.MockTransport(provider.respond)
    return openai.AsyncOpenAI(api_key="k", http_client=httpx2.AsyncClient(transport=transport))


def anthropic_client(provider: Provider) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="k", http_client=httpx2.Client(transport=httpx2.MockTransport(provider)))


def async_anthropic_client(provider: Provider) -> anthropic.AsyncAnthropic:
    transport = httpx2.MockTransport(provider.respond)
    return anthropic.AsyncAnthropic(api_key="k", http_client=httpx2.AsyncClient(transport=transport))
