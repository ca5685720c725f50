"""One guarded call: attempts around a client's method, until one answers or the policy ends it.

Every call is a step of its own, under the name the guard was given. So a tool loop of five calls is five steps of that
name: each begins at the lane's head with its retries unspent, and all of them share what the policy counts `per step`
(by name) and `per outcome`.

An answer that a provider calls a failure (a filtered completion, a failed response) is a failed attempt; if no other
follows, it is handed to the caller as the client would.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from inspect import signature
from typing import TYPE_CHECKING, Any

from policy_engine.adapters.errors import ClientErrors, Reading, WrongClient
from policy_engine.adapters.inputs import Bound, input_bound
from policy_engine.adapters.requests import (
    USUAL,
    Request,
    is_given,
    laid_open,
    number_in,
    refuse,
    whole_number,
    within,
)
from policy_engine.adapters.streams import AsyncGuardedStream, GuardedStream, Kind
from policy_engine.language.diagnostics import one_of
from policy_engine.runtime.attempt import Attempt
from policy_engine.runtime.errors import HandedOff, Stopped
from policy_engine.runtime.execution import Execution
from policy_engine.runtime.mapping import Errors
from policy_engine.runtime.step import Step
from policy_engine.runtime.usage import UsageError

Send = Callable[..., Any]
Elsewhere = Callable[[Attempt, Request], Any]
Counting = int | Callable[[Request], int] | None


OF_THE_CLIENT = frozenset(
    "close copy is_closed with_options with_middleware max_retries timeout base_url api_key".split()
)
"""What calls nothing that costs, and says nothing of a call."""


def unretried(client: Any) -> Any:
    """The client without retries of its own. Raises `TypeError` if it cannot be had so."""
    if client.max_retries == 0:
        return client
    try:
        return client.with_options(max_retries=0)
    except TypeError as misfit:  # a class of the caller's, made in another way than the client's own
        raise TypeError(
            f"a `{type(client).__name__}` cannot be copied ({misfit}); make it with `max_retries=0`"
        ) from misfit


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A method of a client: how its request is written, and how its answers are read.

    `caps` are the names that the output cap may have, the first one is written where the caller gave none. `failed` is
    the error class of an answer or event that tells of a failure.
    """

    caps: tuple[str, ...]
    stream: Kind
    choices: str | None = None
    failed: Callable[[Any], str | None]

    @property
    def governed(self) -> set[str]:
        """The parameters that the guard reads or writes."""
        completion = () if self.choices is None else (self.choices, "stream_options")
        return {"model", "stream", *self.caps, *completion}


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What all calls of one guarded client share."""

    run: Execution
    step: str
    providers: tuple[str, ...]
    read: Reading
    input_tokens: Counting = None
    max_output_tokens: int | None = None
    min_output_tokens: int | None = None
    estimate: Decimal | int | float | str | None = None
    errors: Errors | None = None
    elsewhere: Elsewhere | None = None
    rates_cover: Collection[str] = ()
    timeout: Any = None
    """The client's own."""

    def check(self) -> None:
        """Raise `WrongClient` for a route of the lane that nobody here serves, `ValueError` for strange bounds."""
        if not isinstance(self.run, Execution):
            raise TypeError(f"a client is guarded for an execution, not for a `{type(self.run).__name__}`")
        bounds = {"input_tokens": self.input_tokens, "min_output_tokens": self.min_output_tokens}
        for name, value in bounds.items():
            if value is not None and not callable(value):
                whole_number(value, name, 0)
        for name in self.rates_cover:
            if name not in USUAL:
                raise ValueError(f"`{name}` in `rates_cover` is none of {', '.join(USUAL)}")
        if self.max_output_tokens is not None:
            whole_number(self.max_output_tokens, "max_output_tokens", 1)
        routes = self.run.edition.checked.routes
        for name in self.run.edition.checked.lanes[self.run.lane].path:
            if routes[name].kind != "handoff" and not self.serves(name) and self.elsewhere is None:
                raise self.wrong(name)

    def serves(self, route: str) -> bool:
        """Whether a route is one of the client's."""
        declared = self.run.edition.checked.routes[route]
        provider, colon, _ = declared.reference.partition(":")
        return declared.kind == "model" and (not colon or provider in self.providers)

    def wrong(self, route: str) -> WrongClient:
        declared = self.run.edition.checked.routes[route]
        served = one_of([f"{provider}:" for provider in self.providers])
        return WrongClient(
            f"the route `{route}` ({declared.kind} `{declared.reference}`) is not for this client, which serves models "
            f"that begin with {served}; give `elsewhere`, a function that serves the others, or `providers`"
        )

    # ------------------------------------------------------------ calls

    def call(self, method: Method, send: Send, request: Request) -> Any:
        """The answer of the first attempt that succeeds."""
        step, bound = self._begin(method, send, request)
        answer: Any = None
        try:
            for attempt in step:
                with attempt:
                    try:
                        answer = self._sender(attempt, send)(attempt, method, request)
                    except Exception as error:
                        _settle(attempt, _unparsed(error))
                        raise
                    _settle(attempt, answer)
                    failed = self._failed(attempt, method, answer)
                    if failed is not None:
                        attempt.fail(failed)
        except (Stopped, HandedOff) as end:
            if answer is None or isinstance(end, HandedOff):
                _explain(end, step, bound)
                raise
        return answer

    async def call_async(self, method: Method, send: Send, request: Request) -> Any:
        """As `call`."""
        step, bound = self._begin(method, send, request)
        answer: Any = None
        try:
            async for attempt in step:
                async with attempt:
                    try:
                        answer = await _awaited(self._sender(attempt, send)(attempt, method, request))
                    except Exception as error:
                        _settle(attempt, _unparsed(error))
                        raise
                    _settle(attempt, answer)
                    failed = self._failed(attempt, method, answer)
                    if failed is not None:
                        await self.run.engine.aside(attempt.fail, failed)
        except (Stopped, HandedOff) as end:
            if answer is None or isinstance(end, HandedOff):
                _explain(end, step, bound)
                raise
        return answer

    def stream(self, method: Method, send: Send, request: Request, made: type[GuardedStream[Any]]) -> Any:
        """The stream of the first attempt that begins to answer."""
        step, bound = self._begin(method, send, request)
        try:
            for attempt in step:
                try:
                    with attempt.under_way():
                        stream = made(attempt, self._sender(attempt, send)(attempt, method, request), method.stream)
                        begun = stream.begin()
                except BaseException as error:
                    if not attempt.__exit__(type(error), error, error.__traceback__):
                        raise
                    continue
                if begun is None or not _ended(attempt, begun):
                    return stream
        except (Stopped, HandedOff) as end:
            _explain(end, step, bound)
            raise
        raise step.stopped()

    async def stream_async(
        self, method: Method, send: Send, request: Request, made: type[AsyncGuardedStream[Any]]
    ) -> Any:
        """As `stream`."""
        step, bound = self._begin(method, send, request)
        try:
            async for attempt in step:
                try:
                    with attempt.under_way():
                        raw = await _awaited(self._sender(attempt, send)(attempt, method, request))
                        stream = made(attempt, raw, method.stream)
                        begun = await stream.begin()
                except BaseException as error:
                    if not await attempt.__aexit__(type(error), error, error.__traceback__):
                        raise
                    continue
                if begun is None or not await _ended_async(attempt, begun):
                    return stream
        except (Stopped, HandedOff) as end:
            _explain(end, step, bound)
            raise
        raise step.stopped()

    def _failed(self, attempt: Attempt, method: Method, answer: Any) -> str | None:
        """The error class of an answer that tells of a failure, or is none: a page of some gateway that is no JSON."""
        if attempt.ended:
            return None
        if self.serves(attempt.route) and (answer is None or isinstance(answer, str | bytes | list)):
            return "invalid_output"
        return method.failed(answer)

    # ------------------------------------------------------------ what is sent

    def asked(self, method: Method, request: Mapping[str, Any]) -> Request:
        """What a caller asks for, as it is read here. Raises `ValueError` for what cannot be guarded."""
        found = laid_open(request, method.governed)
        refuse(found, self.rates_cover)
        return found

    def asked_whole(self, method: Method, request: Mapping[str, Any]) -> Request:
        """As `asked`, for an answer that comes in one piece."""
        found = self.asked(method, request)
        if found.get("stream"):
            raise ValueError("an answer that is parsed comes in one piece: `create` streams")
        return found

    def _begin(self, method: Method, send: Send, request: Request) -> tuple[Step, Bound]:
        _require_fit(send, {**dict.fromkeys(("model", *method.caps[:1])), **request})
        bound = self._bound(request)
        choices = _choices(method, request)
        most = min((cap for name in method.caps if (cap := number_in(request, name))), default=self.max_output_tokens)
        least = None if self.min_output_tokens is None else max(1, self.min_output_tokens)
        step = self.run.step(
            self.step,
            input_tokens=bound.tokens,
            max_output_tokens=None if most is None else most * choices,
            min_output_tokens=None if least is None or most is None else min(least, most) * choices,
            estimate=self.estimate,
            errors=self.errors,
        )
        step.errors = ClientErrors(step.errors, self.read)
        return step, bound

    def _bound(self, request: Request) -> Bound:
        if callable(self.input_tokens):
            counted: int | None = self.input_tokens(dict(request))
            if counted is None:
                return Bound(None, "the function that counts them does not know")
            return Bound(whole_number(counted, "input_tokens", 0))
        return input_bound(request) if self.input_tokens is None else Bound(self.input_tokens)

    def _sender(self, attempt: Attempt, send: Send) -> Callable[[Attempt, Method, Request], Any]:
        """What makes the call of an attempt: the client, or who serves the other routes."""
        if self.serves(attempt.route):
            return lambda attempt, method, request: send(**self._written(attempt, method, request))
        if self.elsewhere is None:
            attempt.release()
            raise self.wrong(attempt.route)
        serve = self.elsewhere
        return lambda attempt, method, request: serve(attempt, self._written(attempt, method, request))

    def _written(self, attempt: Attempt, method: Method, request: Request) -> Request:
        """The request as this attempt makes it: its model, its output cap, no longer than its deadline."""
        sent = {**request, "model": attempt.model}
        cap = attempt.max_output_tokens
        if cap is not None:
            named = [name for name in method.caps if is_given(request.get(name))]
            sent |= dict.fromkeys(named or method.caps[:1], cap // _choices(method, request))
        seconds = attempt.timeout_seconds
        if seconds is not None:
            own = request.get("timeout", self.timeout)
            sent["timeout"] = within(own if own is None or is_given(own) else self.timeout, seconds)
        return sent


class Guarded:
    """What all guarded clients and their parts are: it says of everything else that it is not guarded."""

    def __init__(self, client: Any, guard: Guard) -> None:
        self._client = client
        self._guard = guard

    if not TYPE_CHECKING:  # so that type checkers say it, too

        def __getattr__(self, name: str) -> Any:
            if name in OF_THE_CLIENT or name.startswith("__"):
                raise AttributeError(f"`{name}` is not guarded; it is for the client itself")
            raise AttributeError(f"`{name}` is not guarded; call it on the client itself, inside an attempt of a step")


def _choices(method: Method, request: Mapping[str, Any]) -> int:
    """How many answers are asked for at once: the cap is for each of them."""
    return 1 if method.choices is None else number_in(request, method.choices) or 1


def _require_fit(send: Send, request: Request) -> None:
    """Raise `TypeError` for a call that the client's method does not take, before anything is reserved for it."""
    try:
        taken = signature(send)
    except (TypeError, ValueError):  # nobody knows what somebody has put in the method's place
        return
    try:
        taken.bind(**request)
    except TypeError as misfit:
        raise TypeError(f"`{getattr(send, '__qualname__', send)}`: {misfit}") from None


def _unparsed(error: Exception) -> Any:
    """The answer that a client could not make sense of: it was billed all the same."""
    return getattr(error, "completion", None)


def _settle(attempt: Attempt, answer: Any) -> None:
    """Tell what the answer says was used; where it says nothing, the reserved amount is charged."""
    if answer is None or attempt.ended or attempt.told is not None:  # who serves another route may have said it
        return
    try:
        attempt.settle(answer)
    except UsageError:
        return


def _ended(attempt: Attempt, failed: str) -> bool:
    """Whether a stream that began with a failure is followed by another attempt."""
    attempt.fail(failed)
    try:
        attempt.__exit__(None, None, None)
    except Stopped:
        return False
    return True


async def _ended_async(attempt: Attempt, failed: str) -> bool:
    await attempt.step.execution.engine.aside(attempt.fail, failed)
    try:
        await attempt.__aexit__(None, None, None)
    except Stopped:
        return False
    return True


def _explain(end: Stopped | HandedOff, step: Step, bound: Bound) -> None:
    """Say why nobody knew what the call costs, where that is what ended it."""
    if bound.tokens is None and bound.why and any(said.reason == "estimate_unknown" for said in step.decisions):
        end.add_note(f"the input tokens are unknown, because {bound.why}; give `input_tokens`")


async def _awaited(answer: Any) -> Any:
    return await answer if hasattr(answer, "__await__") else answer
