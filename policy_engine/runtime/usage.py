"""What a call has used, read from what a client answers with.

Nothing is imported: a usage is known by the names it has. Input tokens count those read from a cache and written
to one, as price tables define them; Anthropic reports them apart, they are added here.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from math import ceil
from operator import index
from typing import Any, TypedDict

from msgspec import Struct
from msgspec.structs import replace

from policy_engine.language.units import NANOS, UnitError, money


class UsageError(TypeError):
    """A usage of no known shape, or with an amount that is none. The reserved amount is charged."""


class Usage(Struct, frozen=True, gc=False):
    """Tokens of one call. `input_tokens` counts all of them, `cost_nanos` is a cost that the caller states.

    `batch`: it was one of a batch, which some providers bill at a rate of its own. `media_*_tokens`: how many of the
    tokens are no text, but audio or images.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_read_tokens: int = 0
    cached_write_tokens: int = 0
    cached_hour_write_tokens: int = 0
    cost_nanos: int | None = None
    batch: bool = False
    media_input_tokens: int = 0
    media_output_tokens: int = 0


class Used(TypedDict, total=False):
    """The fields of `Usage`, to be given by name."""

    input_tokens: int
    output_tokens: int
    cached_read_tokens: int
    cached_write_tokens: int
    cached_hour_write_tokens: int
    cost_nanos: int
    batch: bool
    media_input_tokens: int
    media_output_tokens: int


_TOKENS = tuple(name for name in Usage.__struct_fields__ if name.endswith("_tokens"))

MOST_TOKENS = 10**12
"""What is more is taken for a slip: with it, no ledger could go on counting."""
MOST_NANOS = 10**9 * NANOS

READ = ("cached_tokens", "cached_read_tokens", "cache_read_input_tokens")
WRITTEN = ("cache_write_tokens", "cached_write_tokens", "cache_creation_input_tokens", "cache_creation_tokens")
"""What clients and gateways call tokens read from a cache, and written to one, where they are counted as input."""
MEDIA = ("audio_tokens", "image_tokens")
ANTHROPIC = ("cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation", "iterations")
"""What only a usage of Anthropic has."""
APART = ("compaction", "advisor_message")
"""Kinds of iterations that Anthropic bills beside what stands at the head of a usage."""


def read_usage(usage: Any) -> Usage:
    """A usage of OpenAI (Responses, Chat), Anthropic, or a mapping with their names or ours; or a reply that has one.

    Raises `UsageError` for anything else.
    """
    inner = None if isinstance(usage, Usage) else _of(usage, "usage")
    usage = usage if inner is None else inner
    if isinstance(usage, Usage):
        return usage
    if _of(usage, "prompt_tokens") is not None:
        return _included(usage, "prompt_tokens", "completion_tokens")
    if _of(usage, "input_tokens") is None and _of(usage, "output_tokens") is None:
        raise UsageError(
            f"no usage can be read from {_called(usage)}; give `input_tokens` and `output_tokens`, or `cost`"
        )
    if any(_of(usage, name) is not None for name in ANTHROPIC):
        return _apart(usage)
    return _included(usage, "input_tokens", "output_tokens")


def _included(usage: Any, into: str, out_of: str) -> Usage:
    """A usage whose input tokens count the cached ones: OpenAI's, and that of who speaks as it does."""
    sent, came = _optional(usage, into), _optional(usage, out_of)
    whole = _optional(usage, "total_tokens")
    if whole is not None and sent is not None:  # some count reasoning in the total alone; of an embedding nothing comes
        came = max(came or 0, whole - sent)
    given, made = _details(usage, into), _details(usage, out_of)
    written = _largest(WRITTEN, usage, given)
    long = min(_count(_of(given, "cache_write_tokens_details"), "ttl_12h_tokens"), written)
    return Usage(
        sent,
        came,
        _largest(READ, usage, given),
        written - long,
        long + _count(usage, "cached_hour_write_tokens"),
        media_input_tokens=_media(given) or _count(usage, "media_input_tokens"),
        media_output_tokens=_media(made) or _count(usage, "media_output_tokens"),
    )


def _apart(usage: Any) -> Usage:
    """A usage of Anthropic, whose input tokens leave out the cached ones."""
    sent, came = _optional(usage, "input_tokens"), _optional(usage, "output_tokens")
    kept = _of(usage, "cache_creation")
    hour, short = _count(kept, "ephemeral_1h_input_tokens"), _count(kept, "ephemeral_5m_input_tokens")
    read = _count(usage, "cache_read_input_tokens")
    short = max(_count(usage, "cache_creation_input_tokens") - hour, short)
    found = Usage(None if sent is None else sent + read + short + hour, came, read, short, hour)
    beside = _of(usage, "iterations")
    others = [_apart(each) for each in beside if _of(each, "type") in APART] if isinstance(beside, list | tuple) else []
    if not others:
        return found
    whole = [found, *others]
    if any(each.input_tokens is None or each.output_tokens is None for each in whole):
        return Usage()  # of what is not known there is no sum
    return together(whole)


def later(told: Usage, before: Usage | None) -> Usage:
    """What a stream has told by now, with what it said before: Anthropic tells the input, and for how long of it is
    kept in a cache, at the start, and then only how much has come.
    """
    if before is None:
        return told
    if (told.input_tokens or 0) < (before.input_tokens or 0):
        return replace(before, output_tokens=told.output_tokens)
    if before.cached_hour_write_tokens and not told.cached_hour_write_tokens:
        short = min(before.cached_write_tokens, told.cached_write_tokens)
        return replace(told, cached_write_tokens=short, cached_hour_write_tokens=told.cached_write_tokens - short)
    return told


def together(usages: Iterable[Usage]) -> Usage:
    """The tokens of several calls. A number that none of them tells is not told."""
    one, *others = usages
    for other in others:
        told = {name: (getattr(one, name), getattr(other, name)) for name in _TOKENS}
        summed: dict[str, Any] = {name: (a or 0) + (b or 0) for name, (a, b) in told.items() if (a, b) != (None, None)}
        one = Usage(**summed)
    return one


def stated(
    currency: str,
    *,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    cached_tokens: int | None = 0,
    cost: Decimal | int | float | str | None = None,
) -> Usage:
    """A usage in the caller's own words. A cost finer than a nano unit is rounded up."""
    tokens = {"input_tokens": input_tokens, "output_tokens": output_tokens, "cached_tokens": cached_tokens}
    sent, came, cached = (None if value is None else whole_number(name, value) for name, value in tokens.items())
    return Usage(sent, came, cached or 0, cost_nanos=None if cost is None else nanos(cost, currency))


def nanos(amount: Decimal | int | float | str, currency: str) -> int:
    """An amount of currency units, as a number or a text, in nano units rounded up."""
    try:
        exact = Fraction(money(amount, currency)) * NANOS
    except UnitError as error:
        raise UsageError(f"{amount!r} is no amount of money: {error}") from None
    if exact < 0:
        raise UsageError(f"{amount!r} is a negative amount")
    if exact > MOST_NANOS:
        raise UsageError(f"{str(amount)[:40]} is more than any call costs")
    return ceil(exact)


def _of(usage: Any, name: str) -> Any:
    if isinstance(usage, Mapping):
        return usage.get(name)
    fields = getattr(usage, "__dict__", None)
    if fields is not None and name in fields:
        return fields[name]
    if hasattr(usage, "__pydantic_fields_set__"):  # a model of pydantic takes long to say that it lacks a name
        return (getattr(usage, "__pydantic_extra__", None) or {}).get(name)
    return getattr(usage, name, None)


def _details(usage: Any, name: str) -> Any:
    """What the tokens are made of; OpenAI spells it in two ways."""
    found = _of(usage, f"{name}_details")
    return _of(usage, f"{name.removesuffix('s')}_details") if found is None else found


def _largest(names: tuple[str, ...], *places: Any) -> int:
    return max(_count(place, name) for place in places for name in names)


def _media(details: Any) -> int:
    return sum(_count(details, name) for name in MEDIA)


def _optional(usage: Any, name: str) -> int | None:
    value = _of(usage, name)
    return None if value is None else whole_number(name, value)


def _count(usage: Any, name: str) -> int:
    return _optional(usage, name) or 0


def whole_number(name: str, value: Any) -> int:
    """A number of tokens. Raises `UsageError` for what is none."""
    try:
        count = -1 if isinstance(value, bool) else index(value)  # whole numbers of other libraries have an index too
    except TypeError:
        count = -1
    if not 0 <= count <= MOST_TOKENS:
        raise UsageError(f"`{name}` is {_short(value)}, which is no number of tokens")
    return count


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python prints no number of thousands of digits
        return "far too much"
    return text if len(text) <= 40 else text[:40] + "…"


def _called(usage: Any) -> str:
    if isinstance(usage, Mapping):
        return f"a mapping of {', '.join(f'`{name}`' for name in list(usage)[:5])}" if usage else "an empty mapping"
    return f"`{type(usage).__name__}`"
