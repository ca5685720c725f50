"""OpenAI's client, with every call an attempt.

    with engine.execution("support_draft", customer="acme", key="ticket-4711") as run:
        client = guard(OpenAI(), run, step="draft")
        reply = client.responses.create(input="…", max_output_tokens=800)
        run.deliver()

Guarded are `responses.create`, `responses.parse`, `chat.completions.create` and `chat.completions.parse`, streamed or
not, of `OpenAI` and `AsyncOpenAI` (so also of `AzureOpenAI`, and of servers that speak the same: name their prefix in
`providers`). Nothing else can be reached through a guarded client: what is not guarded is called on the client itself.
"""

from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, overload

from policy_engine.adapters.calls import Counting, Elsewhere, Guard, Guarded, Method, unretried
from policy_engine.adapters.errors import told
from policy_engine.adapters.requests import names
from policy_engine.adapters.streams import AsyncGuardedStream, GuardedStream, Kind
from policy_engine.runtime.execution import Execution
from policy_engine.runtime.mapping import Errors, Failure

try:
    import openai
except ModuleNotFoundError as error:
    if error.name != "openai":
        raise
    raise ImportError(
        "`policy_engine.adapters.openai` needs the extra `openai`: pip install 'policy_engine[openai]'"
    ) from error

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion, ChatCompletionChunk, ParsedChatCompletion
    from openai.types.responses import ParsedResponse, Response, ResponseStreamEvent

_BY_CODE = {
    "rate_limit_exceeded": Failure("rate_limit"),
    "rate_limit_error": Failure("rate_limit"),
    "context_length_exceeded": Failure("context_length"),
    "content_filter": Failure("content_filter"),
    "invalid_request_error": Failure("bad_request"),
    "invalid_prompt": Failure("bad_request"),
    "429": Failure("rate_limit"),
}
_ANSWERS = "content refusal reasoning_content reasoning tool_calls function_call audio".split()
_OPENING = ("response.created", "response.queued", "response.in_progress")


@overload
def guard(
    client: "openai.OpenAI",
    run: Execution,
    step: str = ...,
    *,
    input_tokens: Counting = ...,
    max_output_tokens: int | None = ...,
    min_output_tokens: int | None = ...,
    estimate: Decimal | int | float | str | None = ...,
    errors: Errors | None = ...,
    providers: Sequence[str] = ...,
    elsewhere: Elsewhere | None = ...,
    rates_cover: Collection[str] = ...,
) -> "GuardedOpenAI": ...


@overload
def guard(
    client: "openai.AsyncOpenAI",
    run: Execution,
    step: str = ...,
    *,
    input_tokens: Counting = ...,
    max_output_tokens: int | None = ...,
    min_output_tokens: int | None = ...,
    estimate: Decimal | int | float | str | None = ...,
    errors: Errors | None = ...,
    providers: Sequence[str] = ...,
    elsewhere: Elsewhere | None = ...,
    rates_cover: Collection[str] = ...,
) -> "AsyncGuardedOpenAI": ...


def guard(
    client: "openai.OpenAI | openai.AsyncOpenAI",
    run: Execution,
    step: str = "main",
    *,
    input_tokens: Counting = None,
    max_output_tokens: int | None = None,
    min_output_tokens: int | None = None,
    estimate: Decimal | int | float | str | None = None,
    errors: Errors | None = None,
    providers: Sequence[str] = ("openai",),
    elsewhere: Elsewhere | None = None,
    rates_cover: Collection[str] = (),
) -> "GuardedOpenAI | AsyncGuardedOpenAI":
    """A client whose calls are attempts of `run`, in steps named `step`. The client's own retries are off.

    `model` is set by the policy, and the output cap to what it grants; what the call asks for is the cap of the call,
    else `max_output_tokens`; it may be lowered to `min_output_tokens`. `input_tokens` is a number or counts a request;
    left out, an upper bound is taken (`adapters/inputs.py`). `estimate` is the most a call can cost, in money.

    `providers` are the prefixes of the models this client serves. `elsewhere` is called with the attempt and the
    request for every other route, and answers as this client would (a stream for a stream, or an awaitable); without
    it a lane with such a route raises `WrongClient`. `errors` maps exceptions as in `Engine`. `rates_cover` names
    parameters of a call that change its price, as `service_tier` does, and that the rates of the routes take in.
    """
    made = Guard(
        run=run,
        step=step,
        providers=names(providers),
        read=failure_of_error,
        input_tokens=input_tokens,
        max_output_tokens=max_output_tokens,
        min_output_tokens=min_output_tokens,
        estimate=estimate,
        errors=errors,
        elsewhere=elsewhere,
        rates_cover=names(rates_cover),
        timeout=getattr(client, "timeout", None),
    )
    made.check()
    if isinstance(client, openai.AsyncOpenAI):
        return AsyncGuardedOpenAI(unretried(client), made)
    if not isinstance(client, openai.OpenAI):
        raise TypeError(f"a client of OpenAI is guarded here, not a `{type(client).__name__}`")
    return GuardedOpenAI(unretried(client), made)


def failure_of_error(error: Exception) -> Failure | None:
    """Errors told inside a stream: they have no status of their own."""
    if type(error) is openai.APIError:
        body = told(error.body)
        found = _BY_CODE.get(str(body.get("code"))) or _BY_CODE.get(str(body.get("type")))
        return found or Failure("server_error")
    return None


# ---------------------------------------------------------------- how answers are read


def _response_failed(answer: Any) -> str | None:
    """Of a response, or of an event of a stream."""
    kind = getattr(answer, "type", None)
    if kind == "error":
        return _class_of(answer)
    if kind in ("response.failed", "response.incomplete"):
        answer = getattr(answer, "response", None)
    status, told_error = getattr(answer, "status", None), getattr(answer, "error", None)
    if status == "failed" or (status is None and told_error):
        return _class_of(told_error)
    details = getattr(answer, "incomplete_details", None)
    if status == "incomplete" and getattr(details, "reason", None) == "content_filter":
        return "content_filter"
    return None


def _class_of(error: Any) -> str:
    """The class of an error that is told in an answer, by its code."""
    code = error.get("code") if isinstance(error, dict) else getattr(error, "code", None)
    found = _BY_CODE.get(str(code))
    return found.error if found is not None else "server_error"


def _completion_failed(answer: Any) -> str | None:
    """Of a completion, or of a chunk of one. Some gateways tell an error under a status of success."""
    if getattr(answer, "error", None) and not getattr(answer, "choices", None):
        return _class_of(answer.error)
    reasons = [getattr(choice, "finish_reason", None) for choice in _choices(answer)]
    return "content_filter" if reasons and all(reason == "content_filter" for reason in reasons) else None


def _choices(answer: Any) -> list[Any]:
    found = getattr(answer, "choices", None)
    return found if isinstance(found, list) else []  # a client gives what came, whatever that is


def _chunk_opens(chunk: Any) -> bool:
    for choice in _choices(chunk):
        delta = getattr(choice, "delta", None)
        if getattr(choice, "finish_reason", None) or any(getattr(delta, name, None) for name in _ANSWERS):
            return False
    return True


def _is_usage_alone(chunk: Any) -> bool:
    return getattr(chunk, "choices", None) == [] and getattr(chunk, "usage", None) is not None


RESPONSES = Method(
    caps=("max_output_tokens",),
    stream=Kind(lambda event: getattr(event, "type", None) in _OPENING, _response_failed),
    failed=_response_failed,
)
COMPLETIONS = Method(
    caps=("max_completion_tokens", "max_tokens"),
    stream=Kind(_chunk_opens, _completion_failed),
    choices="n",
    failed=_completion_failed,
)
COMPLETIONS_HIDING = Method(
    caps=COMPLETIONS.caps,
    stream=Kind(_chunk_opens, _completion_failed, _is_usage_alone),
    choices="n",
    failed=_completion_failed,
)


def _streamed(request: dict[str, Any]) -> tuple[Method, dict[str, Any]]:
    """A streamed completion says what it used only if it is asked to."""
    options = request.get("stream_options")
    given = dict(options) if isinstance(options, dict) else {}
    if given.get("include_usage"):
        return COMPLETIONS, request
    return COMPLETIONS_HIDING, {**request, "stream_options": {**given, "include_usage": True}}


# ---------------------------------------------------------------- the clients


class GuardedResponses(Guarded):
    @overload
    def create(self, *, stream: Literal[False] | None = ..., **request: Any) -> "Response": ...

    @overload
    def create(self, *, stream: Literal[True], **request: Any) -> "GuardedStream[ResponseStreamEvent]": ...

    @overload
    def create(self, *, stream: bool, **request: Any) -> "Response | GuardedStream[ResponseStreamEvent]": ...

    def create(self, **request: Any) -> Any:
        """`responses.create`; `model` need not be given."""
        send, request = self._client.responses.create, self._guard.asked(RESPONSES, request)
        if request.get("stream"):
            return self._guard.stream(RESPONSES, send, request, GuardedStream)
        return self._guard.call(RESPONSES, send, request)

    def parse(self, **request: Any) -> "ParsedResponse[Any]":
        """`responses.parse`; what does not fit the schema is a failure of class `invalid_output`."""
        request = self._guard.asked_whole(RESPONSES, request)
        found: ParsedResponse[Any] = self._guard.call(RESPONSES, self._client.responses.parse, request)
        return found


class GuardedCompletions(Guarded):
    @overload
    def create(self, *, stream: Literal[False] | None = ..., **request: Any) -> "ChatCompletion": ...

    @overload
    def create(self, *, stream: Literal[True], **request: Any) -> "GuardedStream[ChatCompletionChunk]": ...

    @overload
    def create(self, *, stream: bool, **request: Any) -> "ChatCompletion | GuardedStream[ChatCompletionChunk]": ...

    def create(self, **request: Any) -> Any:
        """`chat.completions.create`; a stream is asked for its usage, the chunk with it is only given if asked for."""
        send, request = self._client.chat.completions.create, self._guard.asked(COMPLETIONS, request)
        if request.get("stream"):
            method, asked = _streamed(request)
            return self._guard.stream(method, send, asked, GuardedStream)
        return self._guard.call(COMPLETIONS, send, request)

    def parse(self, **request: Any) -> "ParsedChatCompletion[Any]":
        """`chat.completions.parse`, as `responses.parse`."""
        request = self._guard.asked_whole(COMPLETIONS, request)
        found: ParsedChatCompletion[Any] = self._guard.call(COMPLETIONS, self._client.chat.completions.parse, request)
        return found


class AsyncGuardedResponses(Guarded):
    @overload
    async def create(self, *, stream: Literal[False] | None = ..., **request: Any) -> "Response": ...

    @overload
    async def create(self, *, stream: Literal[True], **request: Any) -> "AsyncGuardedStream[ResponseStreamEvent]": ...

    @overload
    async def create(self, *, stream: bool, **request: Any) -> "Response | AsyncGuardedStream[ResponseStreamEvent]": ...

    async def create(self, **request: Any) -> Any:
        """As `GuardedResponses.create`."""
        send, request = self._client.responses.create, self._guard.asked(RESPONSES, request)
        if request.get("stream"):
            return await self._guard.stream_async(RESPONSES, send, request, AsyncGuardedStream)
        return await self._guard.call_async(RESPONSES, send, request)

    async def parse(self, **request: Any) -> "ParsedResponse[Any]":
        """As `GuardedResponses.parse`."""
        request = self._guard.asked_whole(RESPONSES, request)
        found: ParsedResponse[Any] = await self._guard.call_async(RESPONSES, self._client.responses.parse, request)
        return found


class AsyncGuardedCompletions(Guarded):
    @overload
    async def create(self, *, stream: Literal[False] | None = ..., **request: Any) -> "ChatCompletion": ...

    @overload
    async def create(self, *, stream: Literal[True], **request: Any) -> "AsyncGuardedStream[ChatCompletionChunk]": ...

    @overload
    async def create(
        self, *, stream: bool, **request: Any
    ) -> "ChatCompletion | AsyncGuardedStream[ChatCompletionChunk]": ...

    async def create(self, **request: Any) -> Any:
        """As `GuardedCompletions.create`."""
        send, request = self._client.chat.completions.create, self._guard.asked(COMPLETIONS, request)
        if request.get("stream"):
            method, asked = _streamed(request)
            return await self._guard.stream_async(method, send, asked, AsyncGuardedStream)
        return await self._guard.call_async(COMPLETIONS, send, request)

    async def parse(self, **request: Any) -> "ParsedChatCompletion[Any]":
        """As `GuardedCompletions.parse`."""
        request = self._guard.asked_whole(COMPLETIONS, request)
        found: ParsedChatCompletion[Any] = await self._guard.call_async(
            COMPLETIONS, self._client.chat.completions.parse, request
        )
        return found


Completions = TypeVar("Completions", GuardedCompletions, AsyncGuardedCompletions)


class GuardedChat(Guarded, Generic[Completions]):
    """`chat`, which has `completions`."""

    def __init__(self, client: Any, guard: Guard, completions: type[Completions]) -> None:
        super().__init__(client, guard)
        self.completions: Completions = completions(client, guard)


class GuardedOpenAI(Guarded):
    """What `guard` makes of an `OpenAI`."""

    def __init__(self, client: Any, guard: Guard) -> None:
        super().__init__(client, guard)
        self.responses = GuardedResponses(client, guard)
        self.chat = GuardedChat(client, guard, GuardedCompletions)


class AsyncGuardedOpenAI(Guarded):
    """What `guard` makes of an `AsyncOpenAI`."""

    def __init__(self, client: Any, guard: Guard) -> None:
        super().__init__(client, guard)
        self.responses = AsyncGuardedResponses(client, guard)
        self.chat = GuardedChat(client, guard, AsyncGuardedCompletions)
