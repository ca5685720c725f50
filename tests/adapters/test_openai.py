"""OpenAI's own client, guarded, over a local transport."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pydantic
import pytest

from policy_engine.adapters.errors import WrongClient
from policy_engine.adapters.openai import guard
from policy_engine.evaluation.decision import AttemptDecision
from policy_engine.runtime.attempt import Attempt
from policy_engine.runtime.errors import HandedOff, Stopped
from policy_engine.runtime.execution import Execution
from policy_engine.runtime.observing import Observer
from tests.adapters.desk import Provider, async_openai_client, begun, engine, openai_client
from tests.adapters.openai_says import (
    completion,
    failed_response,
    response,
)

CENT = 10**7
ASKED: dict[str, Any] = {"max_output_tokens": 100, "input_tokens": 200}  # $0.40 on `mini` at most, $4 on `big`
USED = 20 * CENT  # 100 tokens in, 50 out, on `mini`
WORST = 40 * CENT
HI: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}


class Verdict(pydantic.BaseModel):
    good: bool


def sync(provider: Provider, run: Execution, **options: Any) -> Any:
    return guard(openai_client(provider), run, "draft", **(ASKED | options))


def respond(client: Any, **request: Any) -> Any:
    return client.responses.create(input="hi", **request)


def complete(client: Any, **request: Any) -> Any:
    return client.chat.completions.create(**HI, **request)


class Way:
    """One of the two interfaces, sync or async: the same tests for all four."""

    def __init__(self, name: str, call: Callable[..., Any], answer: Any, *, is_async: bool) -> None:
        self.name = name
        self._call = call
        self.answer = answer
        self._async = is_async

    def __call__(
        self, provider: Provider, run: Execution, options: dict[str, Any] | None = None, **request: Any
    ) -> Any:
        if not self._async:
            return self._call(sync(provider, run, **(options or {})), **request)
        client = guard(async_openai_client(provider), run, "draft", **(ASKED | (options or {})))

        async def work() -> Any:
            return await self._call(client, **request)

        return asyncio.run(work())


WAYS = [
    Way("responses", respond, response(), is_async=False),
    Way("completions", complete, completion(), is_async=False),
    Way("async responses", respond, response(), is_async=True),
    Way("async completions", complete, completion(), is_async=True),
]
each_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)


# ---------------------------------------------------------------- one call


@each_way
def test_a_call_is_an_attempt(way: Way) -> None:
    provider = Provider(way.answer)
    with begun("openai") as run:
        reply = way(provider, run)
        assert reply.model == "small-2026"
        assert (run.attempts, run.spent_nanos) == (1, USED)
        run.deliver()
    (sent,) = provider.requests
    assert sent["model"] == "small"
    assert sent.get("max_output_tokens", sent.get("max_completion_tokens")) == 100
    assert run.state == "accepted"


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"max_tokens": 30}, {"max_tokens": 30}),
        ({"max_completion_tokens": 30}, {"max_completion_tokens": 30}),
        ({"max_completion_tokens": 30, "n": 2}, {"max_completion_tokens": 30, "n": 2}),
        ({}, {"max_completion_tokens": 100}),
    ],
)
def test_the_cap_goes_by_the_callers_name(asked: dict[str, int], sent: dict[str, int]) -> None:
    provider = Provider(completion())
    with begun("openai") as run:
        complete(sync(provider, run), model="ignored", **asked)
        cap = sent.get("max_tokens") or sent["max_completion_tokens"]
        assert reserved(run) == (200 + 2 * cap * sent.get("n", 1)) * 10**6
    (request,) = provider.requests
    names = ("max_tokens", "max_completion_tokens", "n")
    assert {name: request[name] for name in names if name in request} == sent
    assert request["model"] == "small"


def test_the_cap_is_shrunk_to_what_is_left() -> None:
    provider = Provider(response(), completion())
    with begun("openai", "ceiling $0.36 per attempt") as run:
        respond(sync(provider, run, min_output_tokens=10), max_output_tokens=100)
        complete(sync(provider, run, min_output_tokens=10), n=4, max_tokens=25)
    assert provider.requests[0]["max_output_tokens"] == 80
    assert provider.requests[1]["max_tokens"] == 20


@each_way
def test_what_says_no_usage_is_charged_as_reserved(way: Way) -> None:
    with begun("openai") as run:
        way(Provider(way.answer | {"usage": None}), run)
        assert run.spent_nanos == WORST


def test_cached_tokens_are_read() -> None:
    seen: list[Attempt] = []
    with begun("openai", observers=[watching(seen)]) as run:
        respond(sync(Provider(response()), run))
        complete(sync(Provider(completion()), run))
    assert [(a.usage.input_tokens, a.usage.output_tokens, a.usage.cached_read_tokens) for a in seen] == [
        (100, 50, 40)
    ] * 2


def reserved(run: Execution) -> int | None:
    """What the first attempt reserved."""
    decision = run.decisions[1]
    assert isinstance(decision, AttemptDecision)
    return decision.reserved_nanos


def watching(seen: list[Attempt]) -> Observer:
    class Watching(Observer):
        def attempt_ended(self, attempt: Attempt) -> None:
            seen.append(attempt)

    return Watching()


def test_the_deadline_is_the_clients_timeout() -> None:
    provider = Provider(response(), response(), response())
    with begun("openai", "ceiling 30s per outcome") as run:
        respond(sync(provider, run))
        respond(sync(provider, run), timeout=5)
        respond(sync(provider, run), timeout=90)
    assert provider.timeouts == [30, 5, 30]


# ---------------------------------------------------------------- what fails

TURNED_AWAY, MAYBE_BILLED = 0, WORST
FAILURES = [
    (429, "rate_limit", TURNED_AWAY),
    (503, "unavailable", MAYBE_BILLED),
    (500, "server_error", MAYBE_BILLED),
    (httpx2.ReadTimeout("slow"), "timeout", MAYBE_BILLED),
    (httpx2.ConnectError("nobody"), "connection", TURNED_AWAY),
    (httpx2.ReadError("reset"), "connection", MAYBE_BILLED),
]


@each_way
@pytest.mark.parametrize(("answer", "error", "charged"), FAILURES, ids=str)
def test_a_failure_is_retried(way: Way, answer: Any, error: str, charged: int) -> None:
    provider = Provider(answer, way.answer)
    seen: list[Attempt] = []
    with begun("openai", observers=[watching(seen)]) as run:
        assert way(provider, run).model == "small-2026"
    assert provider.models == ["small", "small"]
    assert [attempt.error for attempt in seen] == [error, None]
    assert run.spent_nanos == charged + USED


@each_way
def test_hidden_retries_are_off(way: Way) -> None:
    provider = Provider(*[500] * 3, way.answer)
    with begun("openai") as run:
        way(provider, run)
        assert run.attempts == len(provider.requests) == 4  # one, two retries, then the other route
    assert provider.models == ["small"] * 3 + ["large"]


REFUSED: list[tuple[Any, str]] = [
    (400, "bad_request"),
    (401, "auth"),
    (403, "auth"),
    (404, "bad_request"),
    (422, "bad_request"),
    ((400, {"error": {"message": "long", "code": "context_length_exceeded"}}), "context_length"),
    ((400, {"error": {"message": "no", "code": "content_filter"}}), "content_filter"),
]


@each_way
@pytest.mark.parametrize(("answer", "error"), REFUSED, ids=str)
def test_what_is_no_use_to_retry_goes_to_another_route(way: Way, answer: Any, error: str) -> None:
    seen: list[Attempt] = []
    provider = Provider(*[answer] * (3 if error == "content_filter" else 1), way.answer)
    with begun("openai", f"fallback next on {error}", observers=[watching(seen)]) as run:
        way(provider, run)
    assert seen[0].error == error
    assert provider.models[-2:] == ["small", "large"]


@each_way
def test_the_original_is_raised_at_the_end(way: Way) -> None:
    with begun("openai", "fallback stop") as run:
        with pytest.raises(openai.BadRequestError) as caught:
            way(Provider(400), run)
        assert caught.value.__notes__ == ["policy: stop; because `fallback stop` at <text>:11:47"]
    assert run.state == "aborted"


@each_way
def test_a_handoff_is_raised(way: Way) -> None:
    with begun("openai", "fallback tier2") as run, pytest.raises(HandedOff, match="tier 2") as caught:
        way(Provider(400), run)
    assert isinstance(caught.value.__cause__, openai.BadRequestError)
    assert (run.state, run.handoff_nanos) == ("handed_off", 250 * CENT)


@each_way
def test_a_refusal_makes_no_call(way: Way) -> None:
    provider = Provider()
    with begun("openai", "ceiling $0.10 per outcome") as run, pytest.raises(Stopped):
        way(provider, run)
    assert provider.requests == []


def test_what_nobody_maps_is_raised() -> None:
    def explode(attempt: Attempt, request: dict[str, Any]) -> Any:
        raise ZeroDivisionError

    with engine("openai").execution("other", customer="acme") as run:
        with pytest.raises(ZeroDivisionError):
            respond(sync(Provider(400), run, elsewhere=explode))
        assert run.spent_nanos == 3 * CENT


@each_way
def test_the_callers_mapping_comes_first(way: Way) -> None:
    seen: list[Attempt] = []
    errors = {openai.BadRequestError: "timeout"}
    with begun("openai", observers=[watching(seen)]) as run:
        way(Provider(400, way.answer), run, {"errors": errors})
    assert [attempt.error for attempt in seen] == ["timeout", None]


def test_so_does_that_of_the_engine() -> None:
    seen: list[Attempt] = []
    provider = Provider(response("no json"), response())
    with begun("openai", observers=[watching(seen)], errors={pydantic.ValidationError: None}) as run:
        with pytest.raises(pydantic.ValidationError):
            sync(provider, run).responses.parse(input="hi", text_format=Verdict)
        assert [attempt.error for attempt in seen] == [None]
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("answer", "call", "error"),
    [
        (failed_response("server_error"), respond, "server_error"),
        (failed_response("rate_limit_exceeded"), respond, "rate_limit"),
        (response(status="incomplete", incomplete_details={"reason": "content_filter"}), respond, "content_filter"),
        (completion(finish="content_filter"), complete, "content_filter"),
    ],
)
def test_an_answer_that_is_a_failure(answer: Any, call: Callable[..., Any], error: str) -> None:
    seen: list[Attempt] = []
    good = response() if call is respond else completion()
    with begun("openai", observers=[watching(seen)]) as run:
        assert call(sync(Provider(answer, good), run)).model == "small-2026"
    assert [attempt.error for attempt in seen] == [error, None]
    with begun("openai", "fallback stop") as run:  # the last one is handed on as it is
        last = call(sync(Provider(answer, answer, answer), run))
        assert last.to_dict()["usage"] == answer["usage"]
        assert run.spent_nanos == 3 * USED


def test_a_short_answer_is_an_answer() -> None:
    cut_off = response(status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    with begun("openai") as run:
        assert respond(sync(Provider(cut_off), run)).status == "incomplete"
        assert run.attempts == 1


def test_parsing() -> None:
    provider = Provider(response("nonsense"), response('{"good": true}'), completion('{"good": true}'))
    rules = "retry 1 on invalid_output"
    with begun("openai", rules) as run:
        client = sync(provider, run)
        assert client.responses.parse(input="hi", text_format=Verdict).output_parsed == Verdict(good=True)
        reply = client.chat.completions.parse(**HI, response_format=Verdict)
        assert reply.choices[0].message.parsed == Verdict(good=True)
        assert run.attempts == 3


def test_what_was_cut_off_is_billed_as_used() -> None:
    answer = completion('{"good"', finish="length")
    with begun("openai", "fallback stop") as run, pytest.raises(openai.LengthFinishReasonError):
        sync(Provider(answer), run).chat.completions.parse(**HI, response_format=Verdict)
    assert run.spent_nanos == USED


def test_cancellation_is_charged_as_reserved() -> None:
    started = asyncio.Event()

    async def work() -> None:
        async def hang(request: httpx2.Request) -> httpx2.Response:
            started.set()
            await asyncio.sleep(60)
            raise AssertionError

        transport = httpx2.AsyncClient(transport=httpx2.MockTransport(hang))
        client = guard(openai.AsyncOpenAI(api_key="k", http_client=transport), run, "draft", **ASKED)
        task = asyncio.create_task(client.responses.create(input="hi"))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with begun("openai") as run:
        asyncio.run(work())
    assert (run.attempts, run.spent_nanos) == (1, WORST)


# ---------------------------------------------------------------- several calls


def test_a_tool_loop_is_a_step_for_each_call() -> None:
    call = {
        "type": "function_call",
        "id": "f",
        "call_id": "f1",
        "name": "look",
        "arguments": "{}",
        "status": "completed",
    }
    provider = Provider(response(output=[call]), 429, response("done"))
    with begun("openai", "ceiling 5 attempts per step  fallback next") as run:
        client = guard(openai_client(provider), run, "draft", max_output_tokens=10)
        said: list[Any] = [{"role": "user", "content": "hi"}]
        while True:
            reply = client.responses.create(input=said, tools=[{"type": "function", "name": "look", "parameters": {}}])
            said += reply.output
            calls = [item for item in reply.output if item.type == "function_call"]
            said += [{"type": "function_call_output", "call_id": item.call_id, "output": "42"} for item in calls]
            if not calls:
                break
        assert reply.output_text == "done"
        assert run.attempts == 3
    assert provider.requests[1]["input"][1]["name"] == "look"


def test_calls_of_one_name_share_what_is_counted_per_step() -> None:
    with begun("openai", "ceiling 2 attempts per step as twice  fallback stop") as run:
        client = sync(Provider(response(), response(), response()), run)
        respond(client)
        respond(client)
        with pytest.raises(Stopped, match="twice"):
            respond(client)
        respond(guard(openai_client(Provider(response())), run, "verify", **ASKED))


# ---------------------------------------------------------------- which routes


def test_a_lane_that_this_client_cannot_serve() -> None:
    run = engine("openai").execution("other", customer="acme")
    with run, pytest.raises(WrongClient, match=r"the route `web` \(tool `web`\)"):
        sync(Provider(), run)
    with begun("anthropic") as run, pytest.raises(WrongClient, match="`openai:`"):
        sync(Provider(), run)
    with begun("azure") as run:
        respond(sync(Provider(response()), run, providers=["openai", "azure"]))


def test_routes_of_others() -> None:
    asked: list[tuple[str, Any]] = []

    def elsewhere(attempt: Attempt, request: dict[str, Any]) -> Any:
        asked.append((attempt.route, request["input"]))
        return "found"

    run = engine("openai").execution("other", customer="acme")
    with run:
        assert respond(sync(Provider(400), run, elsewhere=elsewhere)) == "found"
        assert run.spent_nanos == 3 * CENT
    assert asked == [("web", "hi")]


def test_who_serves_another_route_may_say_what_it_used() -> None:
    def elsewhere(attempt: Attempt, request: dict[str, Any]) -> Any:
        attempt.settle(cost="0.5")
        return openai.types.responses.Response.construct(**response())

    with engine("openai").execution("other", customer="acme") as run:
        respond(sync(Provider(400), run, elsewhere=elsewhere))
        assert run.spent_nanos == 50 * CENT


def test_a_fallback_beyond_the_lane_calls_nothing() -> None:
    provider = Provider(400)
    with begun("openai", "fallback web") as run:
        with pytest.raises(WrongClient) as caught:
            respond(sync(provider, run))
        assert isinstance(caught.value, LookupError)
        assert (run.attempts, run.spent_nanos) == (1, 0)


# ---------------------------------------------------------------- what is not guarded


@pytest.mark.parametrize("name", ["embeddings", "images", "with_options", "beta"])
def test_the_rest_is_not_reached(name: str) -> None:
    with begun("openai") as run, pytest.raises(AttributeError, match=f"`{name}` is not guarded"):
        getattr(sync(Provider(), run), name)


@pytest.mark.parametrize("name", ["close", "with_options", "__enter__"])
def test_what_is_for_the_client_itself(name: str) -> None:
    with begun("openai") as run, pytest.raises(AttributeError, match=f"`{name}` is not guarded; it is for the client"):
        getattr(sync(Provider(), run), name)


def test_a_client_that_cannot_be_copied() -> None:
    class Ours(openai.OpenAI):
        def __init__(self, tenant: str, **options: Any) -> None:
            super().__init__(api_key=tenant, **options)

    http = httpx2.Client(transport=httpx2.MockTransport(Provider(500, response())))
    with begun("openai") as run:
        with pytest.raises(TypeError, match=r"a `Ours` cannot be copied .*; make it with `max_retries=0`"):
            guard(Ours("acme", http_client=http), run)
        respond(guard(Ours("acme", http_client=http, max_retries=0), run, "draft", **ASKED))
        assert run.attempts == 2


def test_what_cannot_be_guarded() -> None:
    with begun("openai") as run:
        with pytest.raises(ValueError, match="in the background"):
            respond(sync(Provider(), run), background=True)
        with pytest.raises(TypeError, match="a client of OpenAI is guarded here, not a `object`"):
            guard(object(), run)  # type: ignore[call-overload]


def test_unknown_input_is_refused_with_its_reason() -> None:
    with begun("openai", "fallback stop") as run:
        client = guard(openai_client(Provider(response())), run, "draft", max_output_tokens=10)
        with pytest.raises(Stopped) as caught:
            client.responses.create(input="go on", previous_response_id="r1")
        expected = (
            "the input tokens are unknown, because `previous_response_id` stands for text that is not in the request"
        )
        assert caught.value.__notes__ == [expected + "; give `input_tokens`"]
        given = guard(openai_client(Provider(response())), run, "again", input_tokens=10, max_output_tokens=10)
        given.responses.create(input="go on", previous_response_id="r1")


def test_input_tokens_may_be_counted() -> None:
    with begun("openai") as run:
        client = sync(Provider(response()), run, input_tokens=lambda request: len(request["input"]))
        respond(client)
        assert reserved(run) == (2 + 200) * 10**6
