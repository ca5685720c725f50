"""One guarded call: attempts around a client's method, until one answers or the policy ends it.

Every call is a step of its own, under the name the guard was given. So a tool loop of five calls is five steps of that
name: each begins at the lane's head with its retries unspent, and all of them share what the policy counts `per step`
(by name) and `per outcome`.

An answer that a provider calls a failure (a filtered completion, a failed response) is a failed attempt; if no other
follows, it is handed to the caller as the client would.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from policy_engine.adapters.errors import ClientErrors, Reading, WrongClient
from policy_engine.adapters.inputs import Bound, input_bound
from policy_engine.adapters.streams import AsyncGuardedStream, GuardedStream, Kind
from policy_engine.language.diagnostics import one_of
from policy_engine.runtime.attempt import Attempt
from policy_engine.runtime.errors import Stopped
from policy_engine.runtime.execution import Execution
from policy_engine.runtime.mapping import Errors
from policy_engine.runtime.step import Step
from policy_engine.runtime.usage import UsageError

Request = dict[str, Any]
Send = Callable[..., Any]
Elsewhere = Callable[[Attempt, Request], Any]
Counting = int | Callable[[Request], int] | None


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

    def check(self) -> None:
        """Raise `WrongClient` if the run's lane has a route that nobody here serves."""
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
            f"that begin with one of {served}; give `elsewhere`, a function that serves the others, or `providers`"
        )

    # ------------------------------------------------------------ calls

    def call(self, method: Method, send: Send, request: Request) -> Any:
        """The answer of the first attempt that succeeds."""
        step, bound = self._begin(method, request)
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
                    _judge(attempt, method, answer)
        except Stopped as stop:
            if answer is None:
                raise _explained(stop, bound) from stop.__cause__
        return answer

    async def call_async(self, method: Method, send: Send, request: Request) -> Any:
        """As `call`."""
        step, bound = self._begin(method, request)
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
                    _judge(attempt, method, answer)
        except Stopped as stop:
            if answer is None:
                raise _explained(stop, bound) from stop.__cause__
        return answer

    def stream(self, method: Method, send: Send, request: Request, made: type[GuardedStream]) -> Any:
        """The stream of the first attempt that begins to answer."""
        step, bound = self._begin(method, request)
        try:
            for attempt in step:
                try:
                    stream = made(attempt, self._sender(attempt, send)(attempt, method, request), method.stream)
                    begun = stream.begin()
                except BaseException as error:
                    if not attempt.__exit__(type(error), error, error.__traceback__):
                        raise
                    continue
                if begun is None or not _ended(attempt, begun):
                    return stream
        except Stopped as stop:
            raise _explained(stop, bound) from stop.__cause__
        raise step.stopped()

    async def stream_async(self, method: Method, send: Send, request: Request, made: type[AsyncGuardedStream]) -> Any:
        """As `stream`."""
        step, bound = self._begin(method, request)
        try:
            async for attempt in step:
                try:
                    raw = await _awaited(self._sender(attempt, send)(attempt, method, request))
                    stream = made(attempt, raw, method.stream)
                    begun = await stream.begin()
                except BaseException as error:
                    if not await attempt.__aexit__(type(error), error, error.__traceback__):
                        raise
                    continue
                if begun is None or not await _ended_async(attempt, begun):
                    return stream
        except Stopped as stop:
            raise _explained(stop, bound) from stop.__cause__
        raise step.stopped()

    # ------------------------------------------------------------ what is sent

    def _begin(self, method: Method, request: Request) -> tuple[Step, Bound]:
        bound = self._bound(request)
        choices = _choices(method, request)
        most = next((request[name] for name in method.caps if isinstance(request.get(name), int)), None)
        most = self.max_output_tokens if most is None else most
        least = self.min_output_tokens
        step = self.run.step(
            self.step,
            input_tokens=bound.tokens,
            max_output_tokens=None if most is None else most * choices,
            min_output_tokens=None if least is None or most is None else min(least, most) * choices,
            estimate=self.estimate,
            errors=self.errors,
        )
        step.errors = ClientErrors(step.errors, self.read, self.errors)
        return step, bound

    def _bound(self, request: Request) -> Bound:
        if callable(self.input_tokens):
            return Bound(self.input_tokens(dict(request)))
        return input_bound(request) if self.input_tokens is None else Bound(self.input_tokens)

    def _sender(self, attempt: Attempt, send: Send) -> Callable[[Attempt, Method, Request], Any]:
        """What makes the call of an attempt: the client, or who serves the other routes."""
        if self.serves(attempt.route):
            return lambda attempt, method, request: send(**_written(attempt, method, request))
        if self.elsewhere is None:
            attempt.release()
            raise self.wrong(attempt.route)
        serve = self.elsewhere
        return lambda attempt, method, request: serve(attempt, _written(attempt, method, request))


def _choices(method: Method, request: Mapping[str, Any]) -> int:
    """How many answers are asked for at once: the cap is for each of them."""
    asked = request.get(method.choices) if method.choices is not None else None
    return asked if isinstance(asked, int) and asked > 1 else 1


def _written(attempt: Attempt, method: Method, request: Request) -> Request:
    """The request as this attempt makes it: its model, its output cap, no longer than its deadline."""
    sent = {**request, "model": attempt.model}
    cap = attempt.max_output_tokens
    if cap is not None:
        name = next((name for name in method.caps if isinstance(request.get(name), int)), method.caps[0])
        sent[name] = max(1, cap // _choices(method, request))
    seconds = attempt.timeout_seconds
    if seconds is not None:
        asked = request.get("timeout")
        seconds = max(seconds, 0.001)  # a client takes nought for no limit at all, or for a mistake
        sent["timeout"] = min(asked, seconds) if isinstance(asked, int | float) else seconds
    return sent


def _unparsed(error: Exception) -> Any:
    """The answer that a client could not make sense of: it was billed all the same."""
    return getattr(error, "completion", None)


def _settle(attempt: Attempt, answer: Any) -> None:
    """Tell what the answer says was used; where it says nothing, the reserved amount is charged."""
    if answer is None or attempt.ended:
        return
    try:
        attempt.settle(answer)
    except UsageError:
        return


def _judge(attempt: Attempt, method: Method, answer: Any) -> None:
    failed = method.failed(answer)
    if failed is not None and not attempt.ended:
        attempt.fail(failed)


def _ended(attempt: Attempt, failed: str) -> bool:
    """Whether a stream that began with a failure is followed by another attempt."""
    attempt.fail(failed)
    try:
        attempt.__exit__(None, None, None)
    except Stopped:
        return False
    return True


async def _ended_async(attempt: Attempt, failed: str) -> bool:
    attempt.fail(failed)
    try:
        await attempt.__aexit__(None, None, None)
    except Stopped:
        return False
    return True


def _explained(stop: Stopped, bound: Bound) -> Stopped:
    if bound.tokens is None and bound.why:
        stop.add_note(f"the input tokens are unknown, because {bound.why}; give `input_tokens`")
    return stop


async def _awaited(answer: Any) -> Any:
    return await answer if hasattr(answer, "__await__") else answer
