"""Anthropic's client, with every call an attempt.

    with engine.execution("support_draft", customer="acme", key="ticket-4711") as run:
        client = guard(Anthropic(), run, step="draft")
        reply = client.messages.create(messages=[…], max_tokens=800)
        run.deliver()

Guarded are `messages.create` (streamed or not), `messages.parse` and `messages.stream`, of `Anthropic` and
`AsyncAnthropic`. `messages.count_tokens` is passed through: it is free. Nothing else can be reached through a guarded
client.
"""

from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from decimal import Decimal
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, overload

from policy_engine.adapters.calls import Counting, Elsewhere, Guard, Guarded, Method, unretried
from policy_engine.adapters.errors import told
from policy_engine.adapters.requests import names
from policy_engine.adapters.streams import AsyncGuardedStream, GuardedStream, Kind
from policy_engine.runtime.execution import Execution
from policy_engine.runtime.mapping import Errors, Failure

try:
    import anthropic
except ModuleNotFoundError as error:
    if error.name != "anthropic":
        raise
    raise ImportError(
        "`policy_engine.adapters.anthropic` needs the extra `anthropic`: pip install 'policy_engine[anthropic]'"
    ) from error

if TYPE_CHECKING:
    from anthropic.types import Message, MessageTokensCount, ParsedMessage, RawMessageStreamEvent

_BY_TYPE = {
    "overloaded_error": Failure("unavailable"),
    "api_error": Failure("server_error"),
    "timeout_error": Failure("timeout"),
    "rate_limit_error": Failure("rate_limit"),
    "invalid_request_error": Failure("bad_request"),
    "request_too_large": Failure("context_length"),
    "not_found_error": Failure("bad_request"),
    "authentication_error": Failure("auth"),
    "permission_error": Failure("auth"),
    "billing_error": Failure("auth"),
}
_OPENING = ("message_start", "ping")
_TOO_LONG = ("prompt is too long", "exceed context limit")


@overload
def guard(
    client: "anthropic.Anthropic",
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
) -> "GuardedAnthropic": ...


@overload
def guard(
    client: "anthropic.AsyncAnthropic",
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
) -> "AsyncGuardedAnthropic": ...


def guard(
    client: "anthropic.Anthropic | anthropic.AsyncAnthropic",
    run: Execution,
    step: str = "main",
    *,
    input_tokens: Counting = None,
    max_output_tokens: int | None = None,
    min_output_tokens: int | None = None,
    estimate: Decimal | int | float | str | None = None,
    errors: Errors | None = None,
    providers: Sequence[str] = ("anthropic",),
    elsewhere: Elsewhere | None = None,
    rates_cover: Collection[str] = (),
) -> "GuardedAnthropic | AsyncGuardedAnthropic":
    """A client whose calls are attempts of `run`, in steps named `step`. The client's own retries are off.

    The arguments are those of `adapters.openai.guard`; the output cap is Anthropic's `max_tokens`. A call that thinks
    needs a `max_tokens` above its thinking budget: a cap that may be lowered should not be lowered below that.
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
    if isinstance(client, anthropic.AsyncAnthropic):
        return AsyncGuardedAnthropic(unretried(client), made)
    if not isinstance(client, anthropic.Anthropic):
        raise TypeError(f"a client of Anthropic is guarded here, not a `{type(client).__name__}`")
    return GuardedAnthropic(unretried(client), made)


def failure_of_error(error: Exception) -> Failure | None:
    """Errors told inside a stream, whose status was a success; a context that is too long, told as a bad request.

    And what the client itself refuses to send: an answer that may take too long to come in one piece.
    """
    if type(error) is ValueError and str(error).startswith("Streaming is required"):
        return Failure("bad_request", billed=False)
    if not isinstance(error, anthropic.APIStatusError):
        return None
    body = told(error.body)
    if error.status_code == 400 and any(words in str(body.get("message")) for words in _TOO_LONG):
        return Failure("context_length", billed=False)
    if error.status_code >= 400:
        return None
    return _BY_TYPE.get(str(body.get("type"))) or Failure("server_error")


def _failed(answer: Any) -> str | None:
    """Of a message, or of an event of a stream: a classifier has stopped it."""
    for holder in (answer, getattr(answer, "delta", None)):
        if getattr(holder, "stop_reason", None) == "refusal":
            return "content_filter"
    return None


MESSAGES = Method(
    caps=("max_tokens",),
    stream=Kind(lambda event: getattr(event, "type", None) in _OPENING, _failed),
    failed=_failed,
)


# ---------------------------------------------------------------- streams with a memory


class GuardedMessageStream(GuardedStream[Any]):
    """Anthropic's `MessageStream`: events, texts alone, and the message that they come to."""

    @property
    def text_stream(self) -> Iterator[str]:
        """The texts alone."""
        for event in self:
            if event.type == "text":
                yield event.text

    def until_done(self) -> None:
        """Read to the end."""
        for _ in self:
            pass

    def get_final_message(self) -> "ParsedMessage[Any]":
        """The whole message, read to the end."""
        self.until_done()
        found: ParsedMessage[Any] = self._stream.get_final_message()
        return found

    def get_final_text(self) -> str:
        """The text of the whole message."""
        self.until_done()
        return str(self._stream.get_final_text())


class AsyncGuardedMessageStream(AsyncGuardedStream[Any]):
    """As `GuardedMessageStream`, async."""

    @property
    async def text_stream(self) -> AsyncIterator[str]:
        """The texts alone."""
        async for event in self:
            if event.type == "text":
                yield event.text

    async def until_done(self) -> None:
        """Read to the end."""
        async for _ in self:
            pass

    async def get_final_message(self) -> "ParsedMessage[Any]":
        """The whole message, read to the end."""
        await self.until_done()
        found: ParsedMessage[Any] = await self._stream.get_final_message()
        return found

    async def get_final_text(self) -> str:
        """The text of the whole message."""
        await self.until_done()
        return str(await self._stream.get_final_text())


class Opening:
    """A stream that begins where its `with` does."""

    def __init__(self, client: Any, guard: Guard, request: dict[str, Any]) -> None:
        self._client = client
        self._guard = guard
        self._request = request
        self._stream: Any = None

    def __enter__(self) -> GuardedMessageStream:
        @wraps(self._client.messages.stream)
        def send(**request: Any) -> Any:
            return self._client.messages.stream(**request).__enter__()

        found: GuardedMessageStream = self._guard.stream(MESSAGES, send, self._request, GuardedMessageStream)
        self._stream = found
        return found

    def __exit__(self, *about: object) -> None:
        self._stream.close()


class AsyncOpening:
    """As `Opening`, async."""

    def __init__(self, client: Any, guard: Guard, request: dict[str, Any]) -> None:
        self._client = client
        self._guard = guard
        self._request = request
        self._stream: Any = None

    async def __aenter__(self) -> AsyncGuardedMessageStream:
        @wraps(self._client.messages.stream)
        async def send(**request: Any) -> Any:
            return await self._client.messages.stream(**request).__aenter__()

        made = AsyncGuardedMessageStream
        found: AsyncGuardedMessageStream = await self._guard.stream_async(MESSAGES, send, self._request, made)
        self._stream = found
        return found

    async def __aexit__(self, *about: object) -> None:
        await self._stream.close()


# ---------------------------------------------------------------- the clients


class GuardedMessages(Guarded):
    @overload
    def create(self, *, stream: Literal[False] | None = ..., **request: Any) -> "Message": ...

    @overload
    def create(self, *, stream: Literal[True], **request: Any) -> "GuardedStream[RawMessageStreamEvent]": ...

    @overload
    def create(self, *, stream: bool, **request: Any) -> "Message | GuardedStream[RawMessageStreamEvent]": ...

    def create(self, **request: Any) -> Any:
        """`messages.create`; `model` need not be given."""
        send, request = self._client.messages.create, self._guard.asked(MESSAGES, request)
        if request.get("stream"):
            return self._guard.stream(MESSAGES, send, request, GuardedStream)
        return self._guard.call(MESSAGES, send, request)

    def parse(self, **request: Any) -> "ParsedMessage[Any]":
        """`messages.parse`; what does not fit the schema is a failure of class `invalid_output`."""
        found: ParsedMessage[Any] = self._guard.call(
            MESSAGES, self._client.messages.parse, self._guard.asked_whole(MESSAGES, request)
        )
        return found

    def stream(self, **request: Any) -> Opening:
        """`messages.stream`: an attempt begins with the `with` block."""
        return Opening(self._client, self._guard, self._guard.asked(MESSAGES, request))

    def count_tokens(self, **request: Any) -> "MessageTokensCount":
        """Not an attempt: it costs nothing."""
        found: MessageTokensCount = self._client.messages.count_tokens(**request)
        return found


class AsyncGuardedMessages(Guarded):
    @overload
    async def create(self, *, stream: Literal[False] | None = ..., **request: Any) -> "Message": ...

    @overload
    async def create(self, *, stream: Literal[True], **request: Any) -> "AsyncGuardedStream[RawMessageStreamEvent]": ...

    @overload
    async def create(
        self, *, stream: bool, **request: Any
    ) -> "Message | AsyncGuardedStream[RawMessageStreamEvent]": ...

    async def create(self, **request: Any) -> Any:
        """As `GuardedMessages.create`."""
        send, request = self._client.messages.create, self._guard.asked(MESSAGES, request)
        if request.get("stream"):
            return await self._guard.stream_async(MESSAGES, send, request, AsyncGuardedStream)
        return await self._guard.call_async(MESSAGES, send, request)

    async def parse(self, **request: Any) -> "ParsedMessage[Any]":
        """As `GuardedMessages.parse`."""
        request = self._guard.asked_whole(MESSAGES, request)
        found: ParsedMessage[Any] = await self._guard.call_async(MESSAGES, self._client.messages.parse, request)
        return found

    def stream(self, **request: Any) -> AsyncOpening:
        """As `GuardedMessages.stream`."""
        return AsyncOpening(self._client, self._guard, self._guard.asked(MESSAGES, request))

    async def count_tokens(self, **request: Any) -> "MessageTokensCount":
        """Not an attempt: it costs nothing."""
        found: MessageTokensCount = await self._client.messages.count_tokens(**request)
        return found


class GuardedAnthropic(Guarded):
    """What `guard` makes of an `Anthropic`."""

    def __init__(self, client: Any, guard: Guard) -> None:
        super().__init__(client, guard)
        self.messages = GuardedMessages(client, guard)


class AsyncGuardedAnthropic(Guarded):
    """What `guard` makes of an `AsyncAnthropic`."""

    def __init__(self, client: Any, guard: Guard) -> None:
        super().__init__(client, guard)
        self.messages = AsyncGuardedMessages(client, guard)
