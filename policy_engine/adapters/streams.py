"""A stream that is an attempt: counted while it comes, settled when it ends, however it ends.

Until the first part of the answer has come, a failure is followed like that of any call: retried, or sent to another
route. From then on the caller has a part of it, so nothing is called again: the error reaches the caller, with the
policy's decision as a note, and what was streamed is charged. A step that the policy hands off there ends in
`HandedOff`. A caller who stops reading, on purpose or by an exception, is charged for what was streamed.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from inspect import isawaitable
from typing import Any, Generic, NamedTuple, Self, TypeVar

from policy_engine.runtime.attempt import Attempt
from policy_engine.runtime.errors import Cut, Terminal
from policy_engine.runtime.mapping import Failure

Event_co = TypeVar("Event_co", covariant=True)

GIVEN_OUT = "a part of the answer was given out, so nothing was called again"


class Kind(NamedTuple):
    """How the chunks of a client are read: `opens` those before the answer, `hides` those that were not asked for."""

    opens: Callable[[Any], bool]
    failed: Callable[[Any], str | None]
    hides: Callable[[Any], bool] = lambda chunk: False


class _Held:
    """What both streams do: chunks that came before they were asked for, and how an attempt ends."""

    def __init__(self, attempt: Attempt, stream: Any, kind: Kind) -> None:
        self._attempt = attempt
        self._stream = stream
        self._kind = kind
        self._chunks: Any = attempt.meter(stream)
        if attempt.max_output_tokens is not None:
            attempt.meter.trust()  # it was sent with the request
        self._held: list[Any] = []
        self._failed: str | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._stream, name)

    def _take(self, chunk: Any) -> None:
        self._failed = self._kind.failed(chunk) or self._failed
        if not self._kind.hides(chunk):
            self._held.append(chunk)

    def _never_began(self) -> str:
        """The error class of a stream that ended before its answer began: it broke off, if it does not say why."""
        self._failed = self._failed or "connection"
        return self._failed

    def _done(self) -> None:
        """The stream has come to its end, or the caller has had enough."""
        attempt = self._attempt
        if attempt.ended:
            return
        if self._failed is not None:
            attempt.fail_as(Failure(self._failed))
            self._leave(None)
        else:
            attempt.succeed()

    def _broken(self, error: BaseException) -> None:
        """The stream was cut or broke off. Raises `HandedOff` where that is what the policy does."""
        attempt = self._attempt
        if attempt.ended:
            return
        failure: Failure | None = None
        if isinstance(error, Cut):
            failure = Failure("over_ceiling")
        elif not isinstance(error, Terminal):
            failure = attempt.step.errors.failure(error)
        with attempt.being_left(error):
            if failure is None:
                attempt.leave()
            else:
                attempt.fail_as(failure)
        self._leave(error)

    def _leave(self, error: BaseException | None) -> None:
        step = self._attempt.step
        decided = self._attempt.error is not None
        permits = decided and step.decisions[-1].permits
        step.leave()
        if decided and step.handoff is not None:
            raise step.handoff from error
        if decided and error is not None:
            error.add_note(f"policy: {step.decisions[-1]}" + (f"; {GIVEN_OUT}" if permits else ""))


class GuardedStream(_Held, Generic[Event_co]):
    """The chunks of a client's stream. What else the client's stream has is had here too."""

    def begin(self) -> str | None:
        """Read until the answer begins; the error class of a failure that comes first, then all was read."""
        for chunk in self._chunks:
            self._take(chunk)
            if self._failed is None and not self._kind.opens(chunk):
                return None
        return self._never_began()

    def __iter__(self) -> Iterator[Event_co]:
        return self

    def __next__(self) -> Event_co:
        while not self._held:
            try:
                self._take(next(self._chunks))
            except StopIteration:
                self._done()
                raise
            except BaseException as error:
                self._broken(error)
                raise
        event: Event_co = self._held.pop(0)
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *about: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading; what was streamed is charged."""
        try:
            self._chunks.close()
            close = getattr(self._stream, "close", None)
            if close is not None:  # a generator that was never begun does not close what it reads
                close()
        finally:
            self._done()


class AsyncGuardedStream(_Held, Generic[Event_co]):
    """As `GuardedStream`, async."""

    async def begin(self) -> str | None:
        """As `GuardedStream.begin`."""
        async for chunk in self._chunks:
            self._take(chunk)
            if self._failed is None and not self._kind.opens(chunk):
                return None
        return self._never_began()

    def __aiter__(self) -> AsyncIterator[Event_co]:
        return self

    async def __anext__(self) -> Event_co:
        while not self._held:
            try:
                self._take(await anext(self._chunks))
            except StopAsyncIteration:
                await self._aside(self._done)
                raise
            except GeneratorExit as error:  # whoever closes a coroutine lets it await nothing more
                self._broken(error)
                raise
            except BaseException as error:
                await self._aside(partial(self._broken, error))
                raise
        event: Event_co = self._held.pop(0)
        return event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *about: object) -> None:
        await self.close()

    async def close(self) -> None:
        """As `GuardedStream.close`."""
        try:
            await self._chunks.aclose()
            close = getattr(self._stream, "close", None) or getattr(self._stream, "aclose", None)
            closing: Any = close() if close is not None else None
            if isawaitable(closing):
                await closing
        except GeneratorExit:
            self._done()
            raise
        finally:
            await self._aside(self._done)

    aclose = close

    async def _aside(self, end: Callable[[], None]) -> None:
        """Settle without holding up the loop."""
        if not self._attempt.ended:
            await self._attempt.step.execution.engine.aside(end)
