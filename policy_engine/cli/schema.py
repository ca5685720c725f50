"""What a decision point of one policy takes, for people and as JSON schema.

The boundary's own models hold what was read already (integers of nano units); here is
what a caller writes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from policy_engine.evaluation.context import IN_SMALL_UNITS, SETTLE_EVENTS, SETTLE_STATES
from policy_engine.evaluation.entries import GRANT_KINDS, MAX_COUNT
from policy_engine.language.checked import CheckedPolicy, Fact
from policy_engine.language.units import MAX_MONEY_NANOS, NANOS, plain_number, print_duration, print_money
from policy_engine.language.vocabulary import Point, Unit
from policy_engine.policy import Policy

REQUIRED, AS_NEEDED, OPTIONAL = "required", "if a rule reads it", "optional"

TEXT: dict[str, Any] = {"type": "string", "minLength": 1}
COUNT: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": MAX_COUNT}
MONEY: dict[str, Any] = {"type": ["number", "string"], "minimum": 0, "maximum": MAX_MONEY_NANOS // NANOS}
DURATION: dict[str, Any] = {"type": ["number", "string"], "minimum": 0}
NANOS_OF_MONEY: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": MAX_MONEY_NANOS}
MICROS: dict[str, Any] = {"type": "integer", "minimum": 0}


def _read(amount: dict[str, Any]) -> dict[str, Any]:
    """A counter: all of it settled, or both its parts."""
    parts = {"settled": amount, "reserved": amount}
    return {"anyOf": [amount, {"type": "object", "properties": parts, "additionalProperties": False}]}


MONEY_READ = _read(MONEY)
COUNT_READ = _read({"type": "integer", "minimum": 0})


@dataclass(frozen=True, slots=True)
class Wanted:
    """One entry: `kind` and `note` for people, `schema` for programs."""

    name: str
    kind: str
    need: str
    note: str
    schema: dict[str, Any] = field(repr=False)


def wanted(policy: Policy, point: Point) -> list[Wanted]:
    """Every entry that a point takes, required ones first."""
    boundary, checked = policy.boundary, policy.checked
    known = _known(policy)
    entries = []
    for name, model_field in boundary.model(point).model_fields.items():
        alias = model_field.alias or name
        if alias in checked.facts:
            entries.append(_fact(checked.facts[alias], checked))
            continue
        kind, note, schema = known[alias]
        if model_field.default is None:
            schema = _or_null(schema)
        entries.append(Wanted(alias, kind, REQUIRED if model_field.is_required() else OPTIONAL, note, schema))
    order = [REQUIRED, AS_NEEDED, OPTIONAL]
    return sorted(entries, key=lambda entry: order.index(entry.need))


def json_schema(policy: Policy, point: Point) -> dict[str, Any]:
    """The entries as a JSON schema document. What texts say, only the boundary reads."""
    entries = wanted(policy, point)
    twice = {entry.name: IN_SMALL_UNITS[entry.name] for entry in entries if entry.name in IN_SMALL_UNITS}
    properties = {entry.name: {"description": _described(entry), **entry.schema} for entry in entries}
    for name, small in twice.items():
        schema = NANOS_OF_MONEY if small.endswith("nanos") else MICROS
        schema = _or_null(schema) if name == "estimate" else schema
        properties[small] = {"description": f"`{name}` in whole {_UNITS[small.rpartition('_')[2]]}", **schema}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"facts of {point}",
        "type": "object",
        "properties": properties,
        "required": [entry.name for entry in entries if entry.need == REQUIRED and entry.name not in twice],
        "allOf": [_once(name, small) for name, small in twice.items()],
        "additionalProperties": False,
    }


_UNITS = {"nanos": "billionths of the currency's unit", "micros": "microseconds"}


def _once(name: str, small: str) -> dict[str, Any]:
    """An entry in one of its two units: the price must be given, the estimate may be null."""
    if name == "price":
        return {"oneOf": [{"required": [name]}, {"required": [small]}]}
    both: dict[str, Any] = {"required": [name, small]}
    if name == "estimate":
        both["properties"] = {each: {"not": {"type": "null"}} for each in (name, small)}
    return {"not": both}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    if "enum" in schema:
        return {**schema, "enum": list(dict.fromkeys([*schema["enum"], None]))}
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], {"type": "null"}]}
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return {**schema, "type": list(dict.fromkeys([*kinds, "null"]))}


def _described(entry: Wanted) -> str:
    return "; ".join(text for text in (entry.kind, entry.note, entry.need) if text)


# ---------------------------------------------------------------- the engine's own entries


def _known(policy: Policy) -> dict[str, tuple[str, str, dict[str, Any]]]:
    checked = policy.checked
    routes, errors = _choice(checked.routes), _choice(checked.error_classes)
    money = f"money in {checked.currency}"
    meters = {
        name: _or_null(MONEY_READ if meter.quantity in ("spent", "overage") else COUNT_READ)
        for name, meter in policy.boundary.meters.items()
    }
    lasting = [name for name, meter in policy.boundary.meters.items() if meter.scope.execution is None]
    return {
        "customer": ("text", "who it is for", TEXT),
        "outcome": ("name", _one_of(checked.outcomes), _choice(checked.outcomes)),
        "plan": ("name", f"{_one_of(checked.plans)}; none if not given", _choice(checked.plans)),
        "lane": ("name", _one_of(checked.lanes), _choice(checked.lanes)),
        "route": ("name", _one_of(checked.routes), routes),
        "step": ("text", "which part of the work", TEXT),
        "price": (money, "what this execution brings in", MONEY),
        "attempt": ("count", "which attempt of the step this is, from 1", {**COUNT, "minimum": 1}),
        "failures": ("count", "failed attempts of the step so far", COUNT),
        "elapsed": ("duration", "since admission: seconds, or `90s`", DURATION),
        "step_elapsed": ("duration", "since the step began", DURATION),
        "attempt_elapsed": ("duration", "since the attempt began", DURATION),
        "since_delivery": ("duration", "since the result was delivered", DURATION),
        "input_tokens": ("count", "tokens to be sent", COUNT),
        "output_tokens": ("count", "tokens received so far", COUNT),
        "output_cap": ("count", "the cap that `attempt` answered", COUNT),
        "max_output_tokens": ("count", "the cap asked for", COUNT),
        "min_output_tokens": ("count", "how far the cap may be shrunk", COUNT),
        "estimate": (money, "the most the attempt may cost, if not by the route's price", MONEY),
        "spent": (money, "by this execution, settled", MONEY_READ),
        "reserved": (money, "by this execution, still open", MONEY_READ),
        "attempts": ("count", "of this execution", COUNT_READ),
        "tokens": ("count", "of this execution", COUNT_READ),
        "escrow": (money, "spent while the store did not answer", MONEY_READ),
        "meters": (
            "counters",
            "; ".join(f"`{name}`" for name in lasting),
            {"type": "object", "properties": meters, "additionalProperties": False},
        ),
        "grants": ("list", "what the customer may draw on; null: the store is silent", _grants()),
        "error": ("name", "the class of the failure: " + _one_of(checked.error_classes), errors),
        "visited": ("names", "the routes this step was sent to, in order", {"type": "array", "items": routes}),
        "retries": (
            "counts by name",
            "retries on this route, by the class that caused them",
            {"type": "object", "propertyNames": errors, "additionalProperties": COUNT},
        ),
        "state": ("name", _one_of(SETTLE_STATES), _choice(SETTLE_STATES)),
        "event": ("name", _one_of(SETTLE_EVENTS), _choice(SETTLE_EVENTS)),
    }


def _grants() -> dict[str, Any]:
    moment = {"type": "string", "format": "date-time"}
    properties = {
        "id": TEXT,
        "kind": _choice(GRANT_KINDS),
        "left": COUNT,
        "price": MONEY,
        "priority": {"type": "integer"},
        "expires": _or_null(moment),
        "effective": moment,
        "created": moment,
    }
    grant = {"type": "object", "properties": properties, "required": ["id", "left", "price"]}
    return {"type": ["array", "null"], "items": {**grant, "additionalProperties": False}}


def _choice(names: Iterable[str | None]) -> dict[str, Any]:
    return {"enum": list(names)}


def _one_of(names: Iterable[str]) -> str:
    return " | ".join(names) or "(the policy declares none)"


# ---------------------------------------------------------------- declared facts


def _fact(fact: Fact, policy: CheckedPolicy) -> Wanted:
    note = (" < " if fact.ordered else " | ").join(fact.values)
    schema = _fact_schema(fact)
    if fact.low is not None and fact.high is not None:
        note = f"{_shown(fact.low, fact, policy)}..{_shown(fact.high, fact, policy)}"
        scale = {Unit.MONEY: NANOS, Unit.DURATION: 10**6}.get(fact.unit, 1)
        schema |= {"minimum": _plain(fact.low / scale), "maximum": _plain(fact.high / scale)}
    need = OPTIONAL if fact.optional or fact.default is not None else AS_NEEDED
    if fact.default is not None:
        note += f"{'; ' if note else ''}{_shown(fact.default, fact, policy)} if not given"
        schema["default"] = fact.default if isinstance(fact.default, str | bool) else _default(fact, policy)
    elif fact.optional:
        note += f"{'; ' if note else ''}unknown if not given"
    return Wanted(fact.name, "name" if fact.unit is Unit.ENUM else str(fact.unit), need, note, schema)


def _fact_schema(fact: Fact) -> dict[str, Any]:
    if fact.unit is Unit.ENUM:
        return _or_null(_choice(fact.values))
    kind: Any = {
        Unit.MONEY: ["number", "string"],
        Unit.DURATION: ["number", "string"],
        Unit.PERCENT: ["number", "string"],
        Unit.NUMBER: ["number", "string"],
        Unit.INTEGER: "integer",
        Unit.BOOLEAN: "boolean",
        Unit.TEXT: "string",
    }[fact.unit]
    return _or_null({"type": kind, "minimum": 0} if fact.unit is Unit.DURATION else {"type": kind})


def _default(fact: Fact, policy: CheckedPolicy) -> Any:
    if fact.unit in (Unit.MONEY, Unit.DURATION):
        return _shown(fact.default, fact, policy)
    return _plain(fact.default)


def _plain(value: Any) -> int | float:
    return int(value) if value.denominator == 1 else float(value)


def _shown(value: Any, fact: Fact, policy: CheckedPolicy) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if fact.unit is Unit.MONEY:
        return print_money(int(value), policy.currency)
    return print_duration(int(value)) if fact.unit is Unit.DURATION else plain_number(value)
