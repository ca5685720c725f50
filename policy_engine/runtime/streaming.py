"""Counting a stream while it comes, and cutting it where the policy says so.

    for chunk in attempt.meter(stream): ...          # raises `Cut` where it has to end
    if not attempt.meter.add(12): break              # the same by hand, in tokens

What a client reports as used (in its last chunk, or on the way) is what is charged; until then tokens are estimated
from the text: four bytes of UTF-8 are taken for one. A cut, a disconnect or a cancellation is settled at what was
counted until then, or at the reserved amount if nothing had come yet.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from msgspec.structs import replace

from policy_engine.evaluation.decision import ProgressDecision
from policy_engine.runtime.errors import Cut
from policy_engine.runtime.usage import Usage, UsageError, later, read_usage, together, whole_number

if TYPE_CHECKING:
    from policy_engine.runtime.attempt import Attempt

BYTES_PER_TOKEN = 4
MOST_BYTES_PER_TOKEN = 16
"""No language has longer ones on the average: English comes to five at most, Cyrillic to seven, Devanagari to nine."""

Chunk = TypeVar("Chunk")
Count = Callable[[Any], int]


class Came:
    """What has come of one stream: tokens that were said or bytes of text, and the last usage that the client told."""

    def __init__(self) -> None:
        self.said = 0
        self.bytes = 0
        self.counted = False
        self.reported: Usage | None = None
        self._behind = False
        """Whether more has come since `reported`: Anthropic tells a usage before the first token."""

    @property
    def tokens(self) -> int:
        """As they were said or are estimated."""
        return self.said - (-self.bytes // BYTES_PER_TOKEN)

    def add(self, tokens: int, size: int, *, told_with_it: bool = False) -> None:
        """So many more tokens, and bytes of text."""
        self.said += tokens
        self.bytes += size
        self.counted, self._behind = True, not told_with_it

    def note_usage(self, chunk: Any) -> bool:
        """Whether the chunk tells what was used."""
        for holder in (chunk, getattr(chunk, "response", None), getattr(chunk, "message", None)):
            usage = getattr(holder, "usage", None) if not isinstance(holder, dict) else holder.get("usage")
            if usage is None:
                continue
            try:
                self.reported = later(read_usage(usage), self.reported)
            except UsageError:
                continue
            self._behind = _of(chunk, "type") == "message_start"  # Anthropic's first word, before anything was said
            return True
        return False

    @property
    def has_come(self) -> bool:
        """Whether there is anything to go by."""
        return self.counted or self.reported is not None

    def usage(self, most: int | None, *, is_cut: bool) -> Usage | None:
        """What was used, without input tokens where nobody has told them; None if nothing came.

        `most` is the cap of a provider who keeps to it.
        """
        told = self.reported
        whole = told is not None and told.output_tokens is not None and told.input_tokens is not None
        if told is not None and whole and not self._behind and (not is_cut or self.counted):
            return told
        if not self.counted:
            return None
        # What was reported on the way may lag behind what has come.
        came = self.tokens if most is None else max(self.said, min(self.tokens, most))
        output = max(came, (told.output_tokens or 0) if told is not None else 0)
        return replace(told or Usage(), output_tokens=output)


class StreamMeter:
    """Counts the output tokens of one attempt. `cut` is the decision that ended it, if any.

    Each stream that goes through it is counted by itself, and each is charged: a call that was made twice was billed
    twice. What is said by `add` and `chunk` is one more.
    """

    def __init__(self, attempt: "Attempt") -> None:
        self._attempt = attempt
        self._by_hand = Came()
        self._came = [self._by_hand]
        self._bytes_per_token = BYTES_PER_TOKEN
        self.cut: ProgressDecision | None = None
        self.raised: Cut | None = None

    @property
    def tokens(self) -> int:
        """Output tokens so far, as they were said or are estimated."""
        return sum(came.tokens for came in self._came)

    @property
    def counted(self) -> bool:
        """Whether anything was counted."""
        return any(came.counted for came in self._came)

    def trust(self) -> None:
        """The provider was told the cap and keeps to it: a text is cut only where it must be past it by far.

        How many bytes a token has depends on the language. A text within its cap would be cut by the estimate.
        """
        self._bytes_per_token = MOST_BYTES_PER_TOKEN

    @overload
    def __call__(self, stream: Iterable[Chunk], *, count: Count | None = None) -> Iterator[Chunk]: ...

    @overload
    def __call__(self, stream: AsyncIterable[Chunk], *, count: Count | None = None) -> AsyncIterator[Chunk]: ...

    def __call__(self, stream: Any, *, count: Count | None = None) -> Any:
        """The stream, counted: sync or async. `count` says how many tokens a chunk is, instead of the estimate.

        Raises `Cut` in place of the next chunk; the stream is closed then, as when the caller leaves it.
        """
        came = Came()
        self._came.append(came)
        if hasattr(stream, "__aiter__"):
            return self._metered_async(stream, count, came)
        return self._metered(stream, count, came)

    def add(self, tokens: int) -> bool:
        """So many more output tokens have come: whether to go on. After a False the attempt fails as it is left.

        Raises `UsageError` for what is no number of tokens.
        """
        self._by_hand.add(whole_number("tokens", tokens), 0)
        return self._goes_on()

    def chunk(self, chunk: Any, *, count: Count | None = None) -> bool:
        """The same for a chunk as a client gives it."""
        return self._counts(chunk, count, self._by_hand)

    def usage(self) -> Usage:
        """What is known to have been used; empty if nothing came."""
        keeps_to_it = self._bytes_per_token != BYTES_PER_TOKEN and self.cut is None
        most = self._attempt.max_output_tokens if keeps_to_it else None
        streams = self._came if self._by_hand.has_come else self._came[1:]
        found = [came.usage(most, is_cut=self.cut is not None) for came in streams]
        if not any(found):
            return Usage()
        told = [usage or came.reported for usage, came in zip(found, streams, strict=True)]
        used = together(usage for usage in told if usage is not None)
        if all(usage is not None and usage.input_tokens is not None for usage in told):
            return used
        asked = self._attempt.asked.input_tokens  # where nobody has told what was sent
        return replace(used, input_tokens=None if asked is None else (used.input_tokens or 0) + asked)

    def _metered(self, stream: Iterable[Chunk], count: Count | None, came: Came) -> Iterator[Chunk]:
        try:
            for chunk in stream:
                self._take(chunk, count, came)
                yield chunk
        finally:
            close = getattr(stream, "close", None)
            if close is not None:
                close()

    async def _metered_async(
        self, stream: AsyncIterable[Chunk], count: Count | None, came: Came
    ) -> AsyncIterator[Chunk]:
        try:
            async for chunk in stream:
                self._take(chunk, count, came)
                yield chunk
        finally:
            close = getattr(stream, "close", None) or getattr(stream, "aclose", None)
            closing: Any = close() if close is not None else None
            if isawaitable(closing):
                await closing

    def _take(self, chunk: Any, count: Count | None, came: Came) -> None:
        if not self._counts(chunk, count, came):
            assert self.cut is not None  # noqa: S101 - what does not go on was cut
            self.raised = Cut(self.cut)
            raise self.raised

    def _counts(self, chunk: Any, count: Count | None, came: Came) -> bool:
        told_with_it = came.note_usage(chunk)
        if count is not None:
            said, size = whole_number("count", count(chunk)), 0
        elif isinstance(chunk, int):
            said, size = whole_number("tokens", chunk), 0
        else:
            said, size = 0, size_of(chunk)
        if not (said or size):  # it takes its time all the same; but who says what was used has come to the end
            return self.cut is None if told_with_it else self._goes_on()
        came.add(said, size, told_with_it=told_with_it)
        return self._goes_on()

    def _goes_on(self) -> bool:
        if self.cut is None:
            said, size = sum(came.said for came in self._came), sum(came.bytes for came in self._came)
            decision = self._attempt.progress(said - (-size // self._bytes_per_token))
            if decision.effect != "go" and not self._attempt.step.shadow:
                self.cut = decision
        return self.cut is None


def size_of(chunk: Any) -> int:
    """The bytes of the texts in a chunk: of a text itself, or of the texts in a client's delta."""
    return sum(len(text.encode("utf-8", "replace")) for text in _texts(chunk))


def _texts(chunk: Any) -> Iterator[str]:
    """The texts that a chunk brings, of whatever client."""
    if isinstance(chunk, str):
        yield chunk
        return
    if isinstance(chunk, bytes):
        yield chunk.decode("utf-8", "replace")
        return
    delta = _of(chunk, "delta")
    if isinstance(delta, str):  # OpenAI Responses
        yield delta
    elif delta is not None:
        yield from _texts_of_delta(delta)
    for choice in _listed(chunk, "choices"):  # OpenAI Chat
        yield from _texts_of_delta(_of(choice, "delta"))


def _texts_of_delta(delta: Any) -> Iterator[str]:
    for name in ("content", "refusal", "reasoning_content", "reasoning", "text", "thinking", "partial_json"):
        text = _of(delta, name)
        if isinstance(text, str):
            yield text
    calls = [_of(call, "function") for call in _listed(delta, "tool_calls")]
    for call in (*calls, _of(delta, "function_call")):
        arguments = _of(call, "arguments")
        if isinstance(arguments, str):
            yield arguments


def _listed(thing: Any, name: str) -> Iterable[Any]:
    found = _of(thing, name)
    return found if isinstance(found, list | tuple) else ()  # a client gives what came, whatever that is


def _of(thing: Any, name: str) -> Any:
    return thing.get(name) if isinstance(thing, dict) else getattr(thing, name, None)
