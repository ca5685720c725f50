"""What a call has used, read from what a client answers with.

Nothing is imported: a usage is known by the names it has. Input tokens count those read from a cache and written
to one, as price tables define them; Anthropic reports them apart, they are added here.
"""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any, TypedDict

from msgspec import Struct

from policy_engine.language.units import NANOS, UnitError, decimal, money_nanos


class UsageError(TypeError):
    """A usage of no known shape, or with an amount that is none. The reserved amount is charged."""


class Usage(Struct, frozen=True, gc=False):
    """Tokens of one call. `input_tokens` counts all of them, `cost_nanos` is a cost that the caller states.

    `batch`: it was one of a batch, which some providers bill at a rate of its own.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_read_tokens: int = 0
    cached_write_tokens: int = 0
    cached_hour_write_tokens: int = 0
    cost_nanos: int | None = None
    batch: bool = False


class Used(TypedDict, total=False):
    """The fields of `Usage`, to be given by name."""

    input_tokens: int
    output_tokens: int
    cached_read_tokens: int
    cached_write_tokens: int
    cached_hour_write_tokens: int
    cost_nanos: int
    batch: bool


def read_usage(usage: Any) -> Usage:
    """A usage of OpenAI (Responses, Chat), Anthropic, or a mapping with their names or ours; or a reply that has one.

    Raises `UsageError` for anything else.
    """
    if isinstance(usage, Usage):
        return usage
    inner = _of(usage, "usage")
    if inner is not None:
        usage = inner
    if _of(usage, "prompt_tokens") is not None:
        sent, came = _count(usage, "prompt_tokens"), _optional(usage, "completion_tokens")
        if came is None and _of(usage, "total_tokens") is not None:  # of an embedding: nothing comes
            came = max(0, _count(usage, "total_tokens") - sent)
        details = _of(usage, "prompt_tokens_details")
        return Usage(sent, came, _count(details, "cached_tokens"), _count(details, "cache_write_tokens"))
    if _of(usage, "input_tokens") is None and _of(usage, "output_tokens") is None:
        raise UsageError(
            f"no usage can be read from {_called(usage)}; give `input_tokens` and `output_tokens`, or `cost`"
        )
    read, written = _of(usage, "cache_read_input_tokens"), _of(usage, "cache_creation_input_tokens")
    sent = _optional(usage, "input_tokens")
    if read is not None or written is not None:
        hour = _count(_of(usage, "cache_creation"), "ephemeral_1h_input_tokens")
        read, written = _count(usage, "cache_read_input_tokens"), _count(usage, "cache_creation_input_tokens")
        hour = min(hour, written)
        whole = None if sent is None else sent + read + written
        return Usage(whole, _optional(usage, "output_tokens"), read, written - hour, hour)
    details = _of(usage, "input_tokens_details")
    cached = _count(usage, "cached_tokens") or _count(details, "cached_tokens")
    return Usage(sent, _optional(usage, "output_tokens"), cached, _count(details, "cache_write_tokens"))


def stated(
    currency: str,
    *,
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    cached_tokens: int = 0,
    cost: Decimal | int | float | str | None = None,
) -> Usage:
    """A usage in the caller's own words. A cost finer than a nano unit is rounded up."""
    tokens = {"input_tokens": input_tokens, "output_tokens": output_tokens, "cached_tokens": cached_tokens}
    for name, value in tokens.items():
        if value is not None:
            _require(name, value)
    return Usage(input_tokens, output_tokens, cached_tokens, cost_nanos=None if cost is None else nanos(cost, currency))


def nanos(amount: Decimal | int | float | str, currency: str) -> int:
    """An amount of currency units, as a number or a text, in nano units rounded up."""
    try:
        if isinstance(amount, str):
            found = money_nanos(amount, currency)
        else:
            found = int((decimal(amount) * NANOS).to_integral_value(ROUND_CEILING))
    except UnitError as error:
        raise UsageError(f"{amount!r} is no amount of money: {error}") from None
    if found < 0:
        raise UsageError(f"{amount!r} is a negative amount")
    return found


def _of(usage: Any, name: str) -> Any:
    if isinstance(usage, Mapping):
        return usage.get(name)
    return getattr(usage, name, None)


def _optional(usage: Any, name: str) -> int | None:
    value = _of(usage, name)
    return None if value is None else _require(name, value)


def _count(usage: Any, name: str) -> int:
    return _optional(usage, name) or 0


def _require(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UsageError(f"`{name}` is {value!r}, which is no number of tokens")
    return value


def _called(usage: Any) -> str:
    if isinstance(usage, Mapping):
        return f"a mapping of {', '.join(f'`{name}`' for name in list(usage)[:5])}" if usage else "an empty mapping"
    return f"`{type(usage).__name__}`"
