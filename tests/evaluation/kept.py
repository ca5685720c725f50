"""Facts as plain data and back: what a case in `tests/corpus/` is written in."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import asdict

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
    given_type,
)
from policy_engine.evaluation.meters import every_meter
from policy_engine.language.checked import CheckedPolicy, Meter
from policy_engine.language.vocabulary import Unit

RECORDS: dict[str, type[Facts]] = {
    "admit": AdmitFacts,
    "attempt": AttemptFacts,
    "progress": ProgressFacts,
    "failure": FailureFacts,
    "settle": SettleFacts,
}

Plain = dict[str, Any]


def to_plain(policy: CheckedPolicy, facts: Facts) -> Plain:
    """The fields of a record as what JSON knows. A fact that was not given has no entry, an unknown one is null."""
    found: Plain = {}
    for field in facts.__struct_fields__:
        value = getattr(facts, field)
        if field == "given":
            value = {name: getattr(value, name) for name in policy.facts if getattr(value, name) is not MISSING}
        elif field == "meters":
            value = {str(meter): _pair(reading) for meter, reading in value.items()}
        elif field == "escrow":
            value = _pair(value)
        elif field == "grants":
            value = None if value is None else [asdict(grant) for grant in value]
        elif field == "visited":
            value = list(value)
        elif field == "retries":
            value = dict(value)
        found[field] = value
    return found


def from_plain(policy: CheckedPolicy, point: str, plain: Mapping[str, Any]) -> Facts:
    """The record again, for this policy or one that says less. Raises `LookupError` where it has not what they name."""
    values = dict(plain)
    if values["outcome"] not in policy.outcomes:
        raise LookupError(values["outcome"])
    if point != "settle":
        values["given"] = _given(policy, values["given"])
        values["meters"] = _readings(policy, values["meters"])
        values["escrow"] = _reading(values["escrow"])
        _known(policy.plans, values["plan"])
        _known(policy.lanes, values["lane"])
    if point == "admit" and values["grants"] is not None:
        values["grants"] = tuple(Grant(**grant) for grant in values["grants"])
    if "route" in values:
        _known(policy.routes, values["route"])
    if point == "failure":
        values["visited"] = tuple(values["visited"])
        _known(dict.fromkeys(policy.error_classes), values["error"])
    return RECORDS[point](**values)


def _known(declared: Mapping[str, object], name: str | None) -> None:
    if name is not None and name not in declared:
        raise LookupError(name)


def _given(policy: CheckedPolicy, plain: Mapping[str, Any]) -> Given:
    floats = (Unit.NUMBER, Unit.PERCENT)
    values = {name: value for name, value in plain.items() if name in policy.facts}
    for name, value in values.items():
        values[name] = float(value) if value is not None and policy.facts[name].unit in floats else value
    return given_type(tuple(policy.facts))(**values)


def _readings(policy: CheckedPolicy, plain: Mapping[str, list[int] | None]) -> dict[Meter, Reading | None]:
    known = {str(meter): meter for meter in every_meter(policy)}
    return {known[text]: _reading(pair) for text, pair in plain.items() if text in known}


def _reading(pair: list[int] | None) -> Reading | None:
    return None if pair is None else Reading(*pair)


def _pair(reading: Reading | None) -> list[int] | None:
    return None if reading is None else [reading.settled, reading.reserved]
