"""One line of a decision log: a decision with everything it was made from, and the way back.

A line is one JSON object:

    format          1
    time            when it was written, UTC with microseconds
    execution       the caller's key of the execution; null where an admission was denied
    execution_id    its id in the ledger; null as well
    customer        whose execution it is
    point           admit, attempt, progress, failure or settle
    facts           the record of `policy_engine.evaluation.facts`, field by field, in nano units and microseconds;
                    counters by their written form as [settled, reserved], null for one that did not answer
    decision        `Decision.to_json()`
    policy_digest   what decided
    price_digest

A declared fact that was not given has no entry, an unknown one is null. Floats are written so that the same float is
read again, so equal policies give equal decisions.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from msgspec.structs import asdict

from policy_engine.evaluation.decision import Decision
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
from policy_engine.language.checked import Meter
from policy_engine.language.pricing import overage_meter
from policy_engine.ledger.windows import moment
from policy_engine.policy import Policy

FORMAT = 1
RECORDS: dict[str, type[Facts]] = {
    "admit": AdmitFacts,
    "attempt": AttemptFacts,
    "progress": ProgressFacts,
    "failure": FailureFacts,
    "settle": SettleFacts,
}

Entry = dict[str, Any]


class EntryError(ValueError):
    """A line that is no entry of a decision log, or not one for this policy."""


def entry_of(
    decision: Decision,
    facts: Facts,
    *,
    now_micros: int,
    customer: str | None = None,
    execution: str | None = None,
    execution_id: str | None = None,
) -> Entry:
    """What is written of one decision."""
    return {
        "format": FORMAT,
        "time": moment(now_micros).isoformat(timespec="microseconds"),
        "execution": execution,
        "execution_id": execution_id,
        "customer": getattr(facts, "customer", customer),
        "point": decision.point,
        "facts": plain_facts(facts),
        "decision": decision.to_json(),
        "policy_digest": decision.digests.policy,
        "price_digest": decision.digests.prices,
    }


def line_of(entry: Entry) -> str:
    """An entry as its line, without the line break; every sign outside ASCII escaped."""
    return json.dumps(entry, separators=(",", ":"))


def plain_facts(facts: Facts) -> dict[str, Any]:
    """The fields of a record as what JSON knows."""
    return {name: _plain(name, getattr(facts, name)) for name in facts.__struct_fields__}


def facts_of(entry: Mapping[str, Any], policy: Policy) -> Facts:
    """The record that an entry was made from. Raises `EntryError` for one that this policy cannot be asked with."""
    record = RECORDS.get(entry.get("point", ""))
    written = entry.get("facts")
    if entry.get("format") != FORMAT or record is None or not isinstance(written, dict):
        raise EntryError("not a line of a decision log")
    if set(written) != set(record.__struct_fields__):
        raise EntryError(f"not the facts of `{entry['point']}`")
    try:
        return record(**{name: _read(name, value, policy) for name, value in written.items()})
    except EntryError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise EntryError(f"facts that cannot be read: {error}") from None


# ---------------------------------------------------------------- field by field


def _plain(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "given":
        fields = ((field, getattr(value, field)) for field in value.__struct_fields__)
        return {field: given for field, given in fields if given is not MISSING}
    if name == "meters":
        return {str(meter): _pair(reading) for meter, reading in value.items()}
    if name == "escrow":
        return _pair(value)
    if name == "grants":
        return [asdict(grant) for grant in value]
    if name == "visited":
        return list(value)
    return dict(value) if name == "retries" else value


def _read(name: str, value: Any, policy: Policy) -> Any:
    if value is None:
        return None
    if name == "given":
        return _given(value, policy)
    if name == "meters":
        return {_meter(written, policy): _reading(pair) for written, pair in value.items()}
    if name == "escrow":
        return _reading(value)
    if name == "grants":
        return tuple(Grant(**grant) for grant in value)
    return tuple(value) if name == "visited" else value


def _given(values: Mapping[str, Any], policy: Policy) -> Given:
    for name in values:
        if name not in policy.checked.facts:
            raise EntryError(f"the policy has no fact `{name}`")
    return policy.boundary.given(*[values.get(name, MISSING) for name in policy.checked.facts])


def _meter(written: str, policy: Policy) -> Meter:
    found = _meters(policy).get(written)
    if found is None:
        raise EntryError(f"the policy has no counter `{written}`")
    return found


@lru_cache(maxsize=8)
def _meters(policy: Policy) -> Mapping[str, Meter]:
    """What the policy reads, and the overage that the runtime reads whether it is capped or not."""
    overage = (overage_meter(plan) for plan in policy.checked.plans.values())
    return {**policy.boundary.meters, **{str(meter): meter for meter in overage}}


def _pair(reading: Reading | None) -> list[int] | None:
    return None if reading is None else [reading.settled, reading.reserved]


def _reading(pair: list[int] | None) -> Reading | None:
    return None if pair is None else Reading(*pair)
