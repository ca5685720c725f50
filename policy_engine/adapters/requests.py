"""A call's request: what the guard reads in it, what it refuses, and what it writes over it.

A client lays `extra_body` over what it sends, so what stands there is read first: nothing in it slips past the policy.
What a guard cannot bound is a `ValueError` before anything is reserved.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

Request = dict[str, Any]

USUAL = {
    "service_tier": ("auto", "default", "flex", "standard", "standard_only", "batch"),
    "speed": ("standard",),
    "inference_geo": ("global", "not_available"),
    "modalities": (["text"],),
    "prediction": (),
    "reasoning.mode": ("standard",),
}
"""Parameters that change what a call costs, or what is billed beside its output cap: the values that do not."""


def names(given: Collection[str]) -> tuple[str, ...]:
    """Names, of which one alone need not be in a list."""
    return (given,) if isinstance(given, str) else tuple(given)


def is_given(value: Any) -> bool:
    """Whether a parameter is more than a client's way of leaving it out."""
    return value is not None and type(value).__name__ not in ("NotGiven", "Omit")


def laid_open(request: Mapping[str, Any], governed: Collection[str]) -> Request:
    """The request with all that is governed said by name, though it may have been said in `extra_body`.

    What can be iterated only once is kept as a list: it is counted before it is sent, and may be sent again.
    """
    found = {name: _kept(value) for name, value in request.items()}
    extra = found.get("extra_body")
    if isinstance(extra, Mapping):
        found |= {name: value for name, value in extra.items() if name in governed and is_given(value)}
        found["extra_body"] = {name: value for name, value in extra.items() if name not in governed}
    return found


def body(request: Mapping[str, Any]) -> Request:
    """What is sent, without a difference between what was said by name and in `extra_body`."""
    extra = request.get("extra_body")
    found = {name: value for name, value in request.items() if name != "extra_body"}
    return {**found, **extra} if isinstance(extra, Mapping) else found


def refuse(request: Mapping[str, Any], rates_cover: Collection[str]) -> None:
    """Raise `ValueError` for a call that costs what neither the routes' rates nor the output cap say."""
    sent = body(request)
    if sent.get("background"):
        raise ValueError("a response in the background ends after its attempt, so it cannot be guarded")
    reasoning = sent.get("reasoning")
    sent["reasoning.mode"] = reasoning.get("mode") if isinstance(reasoning, Mapping) else None
    for name, usual in USUAL.items():
        value = sent.get(name)
        if is_given(value) and value not in usual and name not in rates_cover:
            raise ValueError(
                f"`{name}` ({_short(value)}) changes what a call costs; if the rates of the routes cover it, "
                f"say so to `guard`: `rates_cover=({name!r},)`"
            )


def whole_number(value: Any, name: str, least: int) -> int:
    """A number of tokens or answers. Raises `ValueError` for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"`{name}` is {_short(value)}: a whole number from {least} on is needed")
    return value


def number_in(request: Mapping[str, Any], name: str) -> int | None:
    """A whole number that a request gives, from 1 on; None if it gives none."""
    value = request.get(name)
    return whole_number(value, name, 1) if is_given(value) else None


def within(asked: Any, seconds: float) -> Any:
    """A client's timeout (a number, an object with one for each phase, or None), no longer than so many seconds."""
    seconds = max(seconds, 0.001)  # a client takes nought for no limit at all, or for a mistake
    if isinstance(asked, int | float):
        return min(asked, seconds)
    phases = {name: getattr(asked, name, None) for name in ("connect", "read", "write", "pool")}
    if not is_given(asked) or all(value is None for value in phases.values()):
        return seconds
    return type(asked)(**{name: seconds if value is None else min(value, seconds) for name, value in phases.items()})


def _kept(value: Any) -> Any:
    if isinstance(value, Iterator):
        value = list(value)
    if isinstance(value, list):
        return [_kept(item) for item in value]
    if type(value) is dict:
        return {name: _kept(item) for name, item in value.items()}
    return value


def _short(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 40 else f"{said[:39]}…"
