"""What a call says beside its text: nothing in it slips past the policy, and what cannot be bounded is refused."""

from collections.abc import Callable
from typing import Any, assert_type

import anthropic
import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

from policy_engine.adapters import anthropic as guarding_anthropic
from policy_engine.adapters.openai import guard
from policy_engine.adapters.requests import USUAL
from policy_engine.runtime.errors import HandedOff
from tests.adapters.desk import Provider, anthropic_client, begun, openai_client
from tests.adapters.openai_says import chunks, completion, response, response_events
from tests.adapters.test_anthropic import message
from tests.adapters.test_openai import reserved

ASKED: dict[str, Any] = {"max_output_tokens": 100, "input_tokens": 200}
HI: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}


def respond(client: Any, **request: Any) -> Any:
    return client.responses.create(input="hi", **request)


def complete(client: Any, **request: Any) -> Any:
    return client.chat.completions.create(**HI, **request)


def speak(client: Any, **request: Any) -> Any:
    return client.messages.create(**HI, **request)


CALLS: list[tuple[Callable[..., Any], str, dict[str, Any], str]] = [
    (respond, "openai", response(), "max_output_tokens"),
    (complete, "openai", completion(), "max_completion_tokens"),
    (speak, "anthropic", message(), "max_tokens"),
]
each_call = pytest.mark.parametrize(("call", "provider_name", "answer", "cap"), CALLS)


def guarded(provider: Provider, run: Any, **options: Any) -> Any:
    options = ASKED | options
    if run.edition.checked.routes["mini"].reference.startswith("anthropic"):
        return guarding_anthropic.guard(anthropic_client(provider), run, "draft", **options)
    return guard(openai_client(provider), run, "draft", **options)


# ---------------------------------------------------------------- what is laid over a request


@each_call
def test_extra_body_does_not_slip_past_the_policy(
    call: Callable[..., Any], provider_name: str, answer: Any, cap: str
) -> None:
    provider = Provider(answer)
    with begun(provider_name, "ceiling $1 per attempt") as run:
        client = guarded(provider, run, min_output_tokens=1)
        call(client, extra_body={"model": "huge", cap: 90_000, "top_k": 3})
        assert reserved(run) == 10**9
    (sent,) = provider.requests
    assert (sent["model"], sent[cap], sent["top_k"]) == ("small", 400, 3)


def test_the_number_of_answers_is_counted_wherever_it_is_said() -> None:
    provider = Provider(completion())
    with begun("openai") as run:
        complete(guarded(provider, run), extra_body={"n": 7})
        assert reserved(run) == (200 + 2 * 7 * 100) * 10**6
    assert provider.requests[0]["n"] == 7


def test_a_stream_is_one_wherever_it_is_said() -> None:
    with begun("openai") as run:
        events = list(respond(guarded(Provider(response_events("hi")), run), extra_body={"stream": True}))
    assert events[-1].type == "response.completed"


@pytest.mark.parametrize("extra", [{"previous_response_id": "r"}, {"tools": [{"type": "web_search"}]}])
def test_input_in_extra_body_is_seen(extra: dict[str, Any]) -> None:
    provider = Provider(response())
    with begun("openai") as run:
        client = guarded(provider, run, input_tokens=None)
        with pytest.raises(HandedOff) as caught:
            respond(client, extra_body=extra)
        assert caught.value.__notes__[0].startswith("the input tokens are unknown, because ")
    assert not provider.requests


def test_two_names_of_the_cap_are_one_cap() -> None:
    provider = Provider(completion())
    with begun("openai") as run:
        complete(guarded(provider, run), max_tokens=90_000, max_completion_tokens=50)
    assert (provider.requests[0]["max_tokens"], provider.requests[0]["max_completion_tokens"]) == (50, 50)


@each_call
def test_what_can_be_read_once_is_counted_and_sent_again(
    call: Callable[..., Any], provider_name: str, answer: Any, cap: str
) -> None:
    said = [{"role": "user", "content": "hi"}]
    provider = Provider(429, answer)
    with begun(provider_name) as run:
        client = guarded(provider, run, input_tokens=None)
        if call is respond:
            client.responses.create(input=iter(said))
        elif call is complete:
            client.chat.completions.create(messages=(each for each in said))
        else:
            client.messages.create(messages=map(dict, said))
    assert [sent["input" if call is respond else "messages"] for sent in provider.requests] == [said, said]


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("value", [0, -5, True, 10.0, "100000"])
@each_call
def test_a_cap_is_a_whole_number(
    call: Callable[..., Any], provider_name: str, answer: Any, cap: str, value: Any
) -> None:
    with begun(provider_name) as run:
        for request in ({cap: value}, {"extra_body": {cap: value}}):
            with pytest.raises(ValueError, match=f"`{cap}` is {value!r}: a whole number from 1 on is needed"):
                call(guarded(Provider(), run), **request)
        assert run.attempts == 0


@pytest.mark.parametrize("value", [0, -3, 7.0, "7"])
def test_so_is_the_number_of_answers(value: Any) -> None:
    with begun("openai") as run:
        with pytest.raises(ValueError, match=f"`n` is {value!r}"):
            complete(guarded(Provider(), run), n=value)
        assert run.attempts == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"input_tokens": -5}, "`input_tokens` is -5"),
        ({"input_tokens": 1.5}, "`input_tokens` is 1.5"),
        ({"max_output_tokens": 0}, "`max_output_tokens` is 0"),
        ({"min_output_tokens": "1"}, "`min_output_tokens` is '1'"),
        ({"rates_cover": ["speeds"]}, "`speeds` in `rates_cover` is none of service_tier, speed"),
    ],
)
def test_a_guards_own_numbers(options: dict[str, Any], said: str) -> None:
    with begun("openai") as run, pytest.raises(ValueError, match=said):
        guarded(Provider(), run, **options)


def test_one_name_need_not_be_in_a_list() -> None:
    provider = Provider(response())
    with begun("azure") as run:
        client = guard(openai_client(provider), run, "draft", **ASKED, providers="azure", rates_cover="service_tier")
        respond(client, service_tier="priority")
    assert provider.models == ["small"]


def test_what_a_function_counts_is_a_number() -> None:
    with begun("openai", "fallback stop") as run:
        with pytest.raises(ValueError, match="`input_tokens` is -3"):
            respond(guarded(Provider(), run, input_tokens=lambda _: -3))
        assert run.attempts == 0


def test_a_guard_is_for_an_execution() -> None:
    with begun("openai") as run, pytest.raises(TypeError, match="for an execution, not for a `Engine`"):
        guard(openai_client(Provider()), run.engine)  # type: ignore[call-overload] # the mistake


DEAR: list[tuple[Callable[..., Any], str, Any, dict[str, Any]]] = [
    (respond, "openai", response(), {"service_tier": "priority"}),
    (complete, "openai", completion(), {"service_tier": "fast"}),
    (complete, "openai", completion(), {"modalities": ["text", "audio"]}),
    (complete, "openai", completion(), {"prediction": {"type": "content", "content": "x"}}),
    (respond, "openai", response(), {"reasoning": {"mode": "pro"}}),
    (speak, "anthropic", message(), {"speed": "fast"}),
    (speak, "anthropic", message(), {"inference_geo": "us"}),
]


@pytest.mark.parametrize(("call", "provider_name", "answer", "dear"), DEAR)
def test_what_costs_more_than_the_rates_say(
    call: Callable[..., Any], provider_name: str, answer: Any, dear: dict[str, Any]
) -> None:
    (parameter,) = dear
    name = "reasoning.mode" if parameter == "reasoning" else parameter
    provider = Provider(answer, answer)
    with begun(provider_name) as run:
        for request in (dear, {"extra_body": dear}):
            with pytest.raises(ValueError, match=rf"`{name}` .* `rates_cover=\('{name}',\)`"):
                call(guarded(provider, run), **request)
        assert (run.attempts, provider.requests) == (0, [])
        call(guarded(provider, run, rates_cover=[name]), **dear)
    assert provider.requests[0][parameter] == dear[parameter]


@pytest.mark.parametrize(("call", "provider_name", "answer", "cap"), CALLS)
def test_what_costs_no_more(call: Callable[..., Any], provider_name: str, answer: Any, cap: str) -> None:
    usual = {"service_tier": "standard_only" if call is speak else "flex"}
    assert usual["service_tier"] in USUAL["service_tier"]
    provider = Provider(answer, answer)
    with begun(provider_name) as run:
        call(guarded(provider, run), **usual)
        call(guarded(provider, run), service_tier=(anthropic if call is speak else openai).NOT_GIVEN)
    assert [sent.get("service_tier") for sent in provider.requests] == [usual["service_tier"], None]


@pytest.mark.parametrize("request_", [{"background": True}, {"extra_body": {"background": True}}])
@pytest.mark.parametrize("method", ["create", "parse"])
def test_nothing_runs_in_the_background(method: str, request_: dict[str, Any]) -> None:
    with begun("openai") as run, pytest.raises(ValueError, match="in the background"):
        getattr(guarded(Provider(), run).responses, method)(input="hi", **request_)


def test_what_is_parsed_is_not_streamed() -> None:
    with begun("openai") as run, pytest.raises(ValueError, match="comes in one piece"):
        guarded(Provider(), run).responses.parse(input="hi", stream=True)


@each_call
def test_what_the_client_does_not_take_costs_nothing(
    call: Callable[..., Any], provider_name: str, answer: Any, cap: str
) -> None:
    with begun(provider_name) as run:
        with pytest.raises(TypeError, match="got an unexpected keyword argument 'max_token'"):
            call(guarded(Provider(), run), max_token=5)
        assert run.attempts == 0


def test_a_method_that_was_replaced_takes_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those do that record calls."""

    class Recorded:
        __signature__ = "none"

        def __call__(self, **request: Any) -> Any:
            return Response.construct(**response())

    client = openai_client(Provider())
    with begun("openai") as run:
        guard_of_it = guard(client.with_options(max_retries=0), run, "draft", **ASKED)
        monkeypatch.setattr(guard_of_it._client.responses, "create", Recorded())
        respond(guard_of_it, extra=1)
        assert run.attempts == 1


def test_nor_does_what_is_missing() -> None:
    with begun("anthropic") as run:
        with pytest.raises(TypeError, match="stream`: missing a required argument: 'messages'"):
            guarded(Provider(), run).messages.stream().__enter__()
        assert run.attempts == 0


# ---------------------------------------------------------------- timeouts


@pytest.mark.parametrize(
    ("own", "asked", "sent"),
    [
        (5, {}, 5),  # the client's own is no longer than the deadline
        (90, {}, 30),
        (None, {}, 30),
        (5, {"timeout": 8}, 8),  # the call's comes before the client's
        (5, {"timeout": None}, 30),
        (5, {"timeout": openai.NOT_GIVEN}, 5),
        (5, {"timeout": httpx2.Timeout(90, read=7)}, 7),
        (httpx2.Timeout(90, connect=2), {}, 30),
        (httpx2.Timeout(None), {}, 30),
    ],
)
def test_a_deadline_makes_no_timeout_longer(own: Any, asked: dict[str, Any], sent: float) -> None:
    provider = Provider(response())
    client = openai_client(provider).with_options(timeout=own)
    with begun("openai", "ceiling 30s per outcome") as run:
        respond(guard(client, run, "draft", **ASKED), **asked)
    assert provider.timeouts == [sent]


def test_each_phase_keeps_its_own_timeout() -> None:
    seen: list[dict[str, float]] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.extensions["timeout"])
        return httpx2.Response(200, json=response())

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    client = openai.OpenAI(api_key="k", http_client=http, timeout=httpx2.Timeout(90, connect=2))
    with begun("openai", "ceiling 30s per outcome") as run:
        respond(guard(client, run, "draft", **ASKED))
    assert seen == [{"connect": 2, "read": 30, "write": 30, "pool": 30}]


# ---------------------------------------------------------------- types


def test_types_are_those_of_the_client() -> None:
    """A type checker sees what a call answers, and that the rest is not guarded."""
    provider = Provider(response(), response_events("hi"), completion(), chunks("hi"))
    with begun("openai") as run:
        client = guard(openai_client(provider), run, "draft", **ASKED)
        assert_type(client.responses.create(input="hi"), Response)
        for event in client.responses.create(input="hi", stream=True):
            assert_type(event, ResponseStreamEvent)
        assert_type(client.chat.completions.create(messages=[]), ChatCompletion)
        for chunk in client.chat.completions.create(messages=[], stream=True):
            assert_type(chunk, ChatCompletionChunk)
        with pytest.raises(AttributeError, match="`embeddings` is not guarded"):
            client.embeddings.create()  # type: ignore[attr-defined] # the mistake
    with begun("anthropic") as run:
        claude = guarding_anthropic.guard(anthropic_client(Provider(message())), run, "draft", **ASKED)
        assert_type(claude.messages.create(messages=[], stream=False), anthropic.types.Message)
