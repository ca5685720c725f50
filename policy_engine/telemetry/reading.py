"""A line of a decision log read back: the facts that a policy is asked with, or why it cannot be.

Nothing of a line is believed: each field is of the type that the record has there and names what the policy declares,
so that whatever a damaged line says, an evaluator can answer it. What an entry holds is said in `entries.py`.
"""

from collections.abc import Callable, Container, Mapping
from datetime import datetime
from functools import lru_cache
from math import isfinite
from typing import Any

import msgspec

from policy_engine.evaluation.context import SETTLE_EVENTS, SETTLE_STATES
from policy_engine.evaluation.facts import (
    MISSING,
    AdmitFacts,
    AttemptFacts,
    Facts,
    FailureFacts,
    Given,
    Grant,
    ProgressFacts,
    Reading,
    SettleFacts,
)
from policy_engine.language.checked import CheckedPolicy, Fact, Meter
from policy_engine.language.pricing import overage_meter
from policy_engine.language.vocabulary import Unit
from policy_engine.policy import Policy
from policy_engine.telemetry.entries import FORMAT

RECORDS: dict[str, type[Facts]] = {
    "admit": AdmitFacts,
    "attempt": AttemptFacts,
    "progress": ProgressFacts,
    "failure": FailureFacts,
    "settle": SettleFacts,
}
MODES = ("enforce", "shadow")
NO_ENTRY = "not a line of a decision log"

Reader = Callable[[str, Any, Policy], Any]
"""A field of a record from what was written of it: its name, the value, the policy that is asked."""


class EntryError(ValueError):
    """A line that is no entry of a decision log, or not one for this policy."""


def checked(entry: Mapping[str, Any]) -> tuple[str, str]:
    """The digests of the policy and the prices that an entry was made by, after a look at all but its facts.

    Raises `EntryError` for what is no entry, or one of a format that is not known here.
    """
    written = entry.get("format")
    if type(written) is int and written > FORMAT:
        newer = f"a newer version of policy_engine wrote it (format {written}, this one reads {FORMAT})"
        raise EntryError(f"{newer}: update to read it")
    facts, decision = entry.get("facts"), entry.get("decision")
    point = entry.get("point")
    if type(written) is not int or written != FORMAT or not isinstance(point, str) or point not in RECORDS:
        raise EntryError(NO_ENTRY)
    if not isinstance(facts, dict) or not isinstance(decision, dict):
        raise EntryError(NO_ENTRY)
    named = ("execution", "execution_id", "customer")
    if (
        not _is_time(entry.get("time"))
        or entry.get("mode") not in MODES
        or not all(isinstance(entry.get(name, 0), str | None) for name in named)
    ):
        raise EntryError(NO_ENTRY)
    policy, prices = entry.get("policy_digest"), entry.get("price_digest")
    if not isinstance(policy, str) or not isinstance(prices, str):
        raise EntryError(NO_ENTRY)
    for name, said, again in (
        ("policy_digest", policy, decision.get("policy_digest")),
        ("price_digest", prices, decision.get("price_digest")),
        ("point", point, decision.get("point")),
        ("customer", entry["customer"], facts.get("customer", entry["customer"])),
    ):
        if said != again:
            raise EntryError(f"it says its `{name}` twice, and differently")
    return policy, prices


def facts_of(entry: Mapping[str, Any], policy: Policy) -> Facts:
    """The record that a checked entry was made from. Raises `EntryError` where this policy cannot be asked with it."""
    record = RECORDS[entry["point"]]
    written = entry["facts"]
    if set(written) != set(record.__struct_fields__):
        raise EntryError(f"not the facts of `{entry['point']}`")
    found = {name: READERS[name](name, value, policy) for name, value in written.items()}
    if record is not AdmitFacts and found.get("lane", "") is None:
        raise EntryError(unreadable("lane"))
    return record(**found)


# ---------------------------------------------------------------- field by field


def unreadable(name: str) -> str:
    return f"`{name}` among its facts cannot be read"


def _is_time(value: Any) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _is_whole(value: Any) -> bool:
    return type(value) is int


def _whole(name: str, value: Any, policy: Policy) -> int:
    del policy
    if not _is_whole(value):
        raise EntryError(unreadable(name))
    return int(value)


def _perhaps_whole(name: str, value: Any, policy: Policy) -> int | None:
    return None if value is None else _whole(name, value, policy)


def _text(name: str, value: Any, policy: Policy) -> str:
    del policy
    if not isinstance(value, str):
        raise EntryError(unreadable(name))
    return value


def _one_of(*names: str) -> Reader:
    def read(name: str, value: Any, policy: Policy) -> str:
        if _text(name, value, policy) not in names:
            raise EntryError(unreadable(name))
        return str(value)

    return read


def _declared(kind: str, declared: Callable[[CheckedPolicy], Container[str]]) -> Reader:
    def read(name: str, value: Any, policy: Policy) -> str:
        if _text(name, value, policy) not in declared(policy.checked):
            raise EntryError(f"the policy has no {kind} `{value}`")
        return str(value)

    return read


def _or_none(reader: Reader) -> Reader:
    return lambda name, value, policy: None if value is None else reader(name, value, policy)


_route = _declared("route", lambda checked: checked.routes)


def _visited(name: str, value: Any, policy: Policy) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise EntryError(unreadable(name))
    return tuple([_route(name, route, policy) for route in value])


def _retries(name: str, value: Any, policy: Policy) -> dict[str, int]:
    if not isinstance(value, dict) or not all(map(_is_whole, value.values())):
        raise EntryError(unreadable(name))
    return {READERS["error"](name, error, policy): count for error, count in value.items()}


def _grants(name: str, value: Any, policy: Policy) -> tuple[Grant, ...] | None:
    del policy
    if value is None:
        return None
    try:
        return msgspec.convert(value, tuple[Grant, ...], strict=True)
    except (msgspec.ValidationError, UnicodeError):  # the latter where it cannot even say what is wrong
        raise EntryError(unreadable(name)) from None


def _given(name: str, values: Any, policy: Policy) -> Given:
    declared = policy.checked.facts
    if not isinstance(values, dict):
        raise EntryError(unreadable(name))
    for fact, value in values.items():
        if fact not in declared:
            raise EntryError(f"the policy has no fact `{fact}`")
        if value is not None and not _fits(declared[fact], value):
            raise EntryError(f"the fact `{fact}` cannot be read")
    return policy.boundary.given(*[values.get(fact, MISSING) for fact in declared])


def _fits(fact: Fact, value: Any) -> bool:
    """Whether it is of the type that the boundary gives this fact."""
    match fact.unit:
        case Unit.ENUM:
            return isinstance(value, str) and value in fact.values
        case Unit.TEXT:
            return isinstance(value, str)
        case Unit.BOOLEAN:
            return isinstance(value, bool)
        case Unit.NUMBER | Unit.PERCENT:
            return type(value) in (int, float) and isfinite(value)
        case _:
            return _is_whole(value)


def _meters_of(name: str, value: Any, policy: Policy) -> dict[Meter, Reading | None]:
    if not isinstance(value, dict):
        raise EntryError(unreadable(name))
    known = _meters(policy)
    for written in value:
        if written not in known:
            raise EntryError(f"the policy has no counter `{written}`")
    return {known[written]: _reading(written, pair, policy) for written, pair in value.items()}


@lru_cache(maxsize=8)
def _meters(policy: Policy) -> Mapping[str, Meter]:
    """What the policy reads, and the overage that the runtime reads whether it is capped or not."""
    overage = (overage_meter(plan) for plan in policy.checked.plans.values())
    return {**policy.boundary.meters, **{str(meter): meter for meter in overage}}


def _reading(name: str, pair: Any, policy: Policy) -> Reading | None:
    del policy
    if pair is None:
        return None
    if not isinstance(pair, list) or len(pair) != 2 or not all(map(_is_whole, pair)):
        raise EntryError(unreadable(name))
    return Reading(*pair)


READERS: dict[str, Reader] = {
    "customer": _text,
    "outcome": _declared("outcome", lambda checked: checked.outcomes),
    "plan": _or_none(_declared("plan", lambda checked: checked.plans)),
    "lane": _or_none(_declared("lane", lambda checked: checked.lanes)),
    "route": _route,
    "step": _text,
    "error": _declared("error class", lambda checked: checked.error_classes),
    "state": _one_of(*SETTLE_STATES),
    "event": _one_of(*SETTLE_EVENTS),
    "given": _given,
    "meters": _meters_of,
    "escrow": _reading,
    "grants": _grants,
    "visited": _visited,
    "retries": _retries,
    **dict.fromkeys(("price_nanos", "attempt", "failures", "output_tokens"), _whole),
    **dict.fromkeys(("elapsed_micros", "step_elapsed_micros", "attempt_elapsed_micros"), _whole),
    "since_delivery_micros": _whole,
    **dict.fromkeys(("input_tokens", "max_output_tokens", "min_output_tokens", "output_cap"), _perhaps_whole),
    "estimate_nanos": _perhaps_whole,
}
"""How each field of a record is read; a test holds them against the records."""
