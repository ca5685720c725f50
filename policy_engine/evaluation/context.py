"""The boundary: a caller's mapping → validated facts of one decision point.

Types, ranges and enums come from the policy's own declarations, as pydantic models made
once per policy and point. What passes is a slotted record in internal units; what does
not is a `FactError` that names every wrong entry. Mappings of the common types take the short way
(`evaluation/quick.py`), with the same result.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ValidationError, create_model

from policy_engine.evaluation import quick
from policy_engine.evaluation.entries import (
    CONFIG,
    DURATION,
    TEXT,
    InSmallUnits,
    aliased,
    choice,
    count,
    epoch_micros,
    fact_field,
    grant_model,
    money,
    no_such,
    reading,
    reading_type,
)
from policy_engine.evaluation.facts import (
    AdmitFacts,
    AttemptFacts,
    FactError,
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
from policy_engine.evaluation.quick_entries import counts, grants, names
from policy_engine.language.checked import ATTEMPTS, SPENT, TOKENS, CheckedPolicy, Meter
from policy_engine.language.vocabulary import Point

FACTS: dict[Point, type[Facts]] = {
    Point.ADMIT: AdmitFacts,
    Point.ATTEMPT: AttemptFacts,
    Point.PROGRESS: ProgressFacts,
    Point.FAILURE: FailureFacts,
    Point.SETTLE: SettleFacts,
}
SETTLE_STATES = ("running", "delivered", "accepted", "rejected", "expired", "reversed", "aborted", "handed_off")
SETTLE_EVENTS = ("deliver", "accept", "reject", "reverse", "lapse", "abort", "hand_off")
_EXECUTION_METERS = ("spent", "reserved", "attempts", "tokens")
_MONEY_METERS = ("spent", "overage")
IN_SMALL_UNITS = {
    "price": "price_nanos",
    "estimate": "estimate_nanos",
    "elapsed": "elapsed_micros",
    "step_elapsed": "step_elapsed_micros",
    "attempt_elapsed": "attempt_elapsed_micros",
    "since_delivery": "since_delivery_micros",
}
"""Amounts and durations, and the entries that say the same in whole nano units and microseconds."""

_LEAST_OF_MOST = """
if LEAST is not None and (MOST is None or LEAST > MOST):
    raise Unusual
"""
_OF_FAILURE = """
if ROUTE not in VISITED:
    VISITED = (*VISITED, ROUTE)
if RETRIES is None:
    RETRIES = {}
"""


class Boundary:
    """Validates what callers give to one policy. Thread-safe; models are built on first use."""

    def __init__(self, policy: CheckedPolicy) -> None:
        self._policy = policy
        self._models: dict[Point, type[BaseModel]] = {}
        self._readers: dict[Point, quick.Reader] = {}

    @cached_property
    def given(self) -> type[Given]:
        """The record type of this policy's declared facts."""
        return given_type(tuple(self._policy.facts))

    @cached_property
    def meters(self) -> Mapping[str, Meter]:
        """Every counter that the policy reads, by its written form."""
        return {str(meter): meter for meter in every_meter(self._policy)}

    def facts(self, point: Point, data: Mapping[str, Any], *, assume_zero: bool = False) -> Facts:
        """The facts of a decision point from plain data.

        Money is a number of currency units or text (`3`, `0.3`, `"$0.30"`), a duration a number of seconds, a
        `timedelta` or text (`"90s"`). The price, the estimate and the times may be given as whole nano units and
        microseconds instead, under the names `price_nanos`, `estimate_nanos`, `elapsed_micros` and so on.
        Counters stand under their written form or as a `Meter` of `meters`. Either way their values are what money
        and counts are elsewhere, `{"settled": …, "reserved": …}`, or a `Reading`, in the units of its meter.

        With `assume_zero`, counters that are left out read zero, as on a fresh ledger; otherwise they are
        unknown. Raises `FactError` naming every wrong or missing entry.
        """
        made: Facts = self.reader(point)(data, assume_zero, False)
        return made

    def reader(self, point: Point) -> quick.Reader:
        """`facts` of one point as a function, fast for the common types; its arguments are those of `quick.Reader`."""
        if point not in self._readers:
            # By the member itself: a text equal to it would be kept under the same key, and is not it.
            self._readers[point] = self._write(Point(point))
        return self._readers[point]

    def read_fully(self, point: Point, data: Mapping[str, Any], *, assume_zero: bool = False) -> Facts:
        """`facts` by the models alone: every form an entry may have, and every mistake."""
        entries = {_plain(name): value for name, value in data.items()}
        small = _in_small_units(entries, self.model(point))
        try:
            model = self.model(point)(**entries)
        except ValidationError as error:
            raise self._fact_error(point, error, small) from None
        values = {name: getattr(model, name) for name in type(model).model_fields}
        if point is Point.SETTLE:
            return SettleFacts(**values)
        values["given"] = self.given(*[values.pop(field) for field in self._fact_fields])
        values["meters"] = self._readings(values, assume_zero=assume_zero)
        if point is Point.ADMIT and values["grants"] is not None:
            values["grants"] = tuple(Grant(**grant.model_dump()) for grant in values["grants"])
        made: Facts = FACTS[point](**values)
        _check_together(made)
        return made

    def given_facts(self, values: Mapping[str, Any]) -> Given:
        """The declared facts alone, validated: what an execution is started with."""
        known = {name: value for name, value in values.items() if name in self._policy.facts}
        unknown = [name for name in values if name not in self._policy.facts]
        if unknown:
            raise FactError(unknown[0], no_such(unknown[0], self._policy.facts, "fact"))
        try:
            model = self._given_model(**known)
        except ValidationError as error:
            raise self._fact_error(Point.ADMIT, error, {}) from None
        return self.given(*[getattr(model, field) for field in self._fact_fields])

    @cached_property
    def _given_model(self) -> type[BaseModel]:
        return create_model("Given", __config__=CONFIG, **self._declared())

    @cached_property
    def _fact_fields(self) -> Mapping[str, str]:
        """Model field → fact. A fact may be called `copy` or `model_config`, a pydantic field may not."""
        return {f"fact_{number}": name for number, name in enumerate(self._policy.facts)}

    def _declared(self) -> dict[str, Any]:
        facts = self._policy.facts
        return {
            field: aliased(name, fact_field(facts[name], self._policy)) for field, name in self._fact_fields.items()
        }

    def model(self, point: Point) -> type[BaseModel]:
        """The pydantic model of a decision point's entries; its JSON schema documents them."""
        if point not in self._models:
            self._models[point] = self._build(point)
        return self._models[point]

    # ------------------------------------------------------------ models

    def _build(self, point: Point) -> type[BaseModel]:
        policy = self._policy
        outcome = (choice(policy.outcomes, "outcome"), ...)
        amount = (money(policy, 0), ...)
        if point is Point.SETTLE:
            return create_model(
                "SettleEntries",
                __config__=CONFIG,
                outcome=outcome,
                state=(choice(SETTLE_STATES, "state"), ...),
                event=(choice(SETTLE_EVENTS, "event"), ...),
                price_nanos=aliased("price", amount),
                since_delivery_micros=aliased("since_delivery", (DURATION, 0)),
            )
        fields: dict[str, Any] = {
            "customer": (TEXT, ...),
            "outcome": outcome,
            "plan": (choice(policy.plans, "plan") | None, None),
            "meters": (dict[Any, Any] | None, None),
            "escrow": (reading_type(policy, "escrow"), None),
        }
        if point is Point.ADMIT:
            fields["lane"] = (choice(policy.lanes, "lane") | None, None)
            fields["grants"] = (list[grant_model(policy)] | None, ())  # type: ignore[misc]  # a model made for this policy
        else:
            fields |= {
                "lane": (choice(policy.lanes, "lane"), ...),
                "route": (choice(policy.routes, "route"), ...),
                "step": (TEXT, ...),
                "price_nanos": aliased("price", amount),
                "attempt": (count(1), 1),
                "failures": (count(0), 0),
                "elapsed_micros": aliased("elapsed", (DURATION, 0)),
                "step_elapsed_micros": aliased("step_elapsed", (DURATION, 0)),
                "input_tokens": (count(0) | None, None),
                **dict.fromkeys(_EXECUTION_METERS, (Any, None)),
            }
        if point is Point.ATTEMPT:
            fields["max_output_tokens"] = (count(0) | None, None)
            fields["min_output_tokens"] = (count(0) | None, None)
        if point in (Point.ATTEMPT, Point.PROGRESS):
            fields["estimate_nanos"] = aliased("estimate", (money(policy, 0) | None, None))
        if point is Point.PROGRESS:
            fields["output_tokens"] = (count(0), 0)
            fields["output_cap"] = (count(0) | None, None)
            fields["attempt_elapsed_micros"] = aliased("attempt_elapsed", (DURATION, 0))
        if point is Point.FAILURE:
            fields["error"] = (choice(policy.error_classes, "error class"), ...)
            fields["visited"] = (list[choice(policy.routes, "route")], [])  # type: ignore[misc]  # a type made here
            fields["retries"] = (dict[choice(policy.error_classes, "error class"), count(0)], {})  # type: ignore[misc]  # as above
        return create_model(f"{point.capitalize()}Entries", __config__=CONFIG, **fields, **self._declared())

    def _readings(self, values: dict[str, Any], *, assume_zero: bool) -> dict[Meter, Reading | None]:
        readings: dict[Meter, Reading | None] = {}
        if assume_zero:
            readings = {meter: Reading() for meter in self.meters.values()}
        written = values.pop("meters") or {}
        for name, value in written.items():
            meter = self.meters.get(" ".join(str(name).split())) if isinstance(name, str | Meter) else None
            if meter is None:
                raise FactError("meters", no_such(str(name), self.meters, "counter"))
            counts_money = meter.quantity in _MONEY_METERS
            readings[meter] = None if value is None else reading(self._policy, str(meter), value, money=counts_money)
        reserved = values.pop("reserved", None)
        for name, meter in (("spent", SPENT), ("attempts", ATTEMPTS), ("tokens", TOKENS)):
            value = values.pop(name, None)
            if value is not None:
                readings[meter] = reading(self._policy, name, value, money=meter is SPENT)
        if reserved is not None:
            held = reading(self._policy, "reserved", reserved, money=True)
            settled = readings.get(SPENT)
            if settled is None:
                raise FactError("reserved", "`reserved` is given without `spent`: give both, or neither")
            readings[SPENT] = Reading(settled.settled, settled.reserved + held.settled)
        return readings

    def _write(self, point: Point) -> quick.Reader:
        """The short way of a point: what `_build` says, for the common types."""
        policy, write = self._policy, quick.Writer(FACTS[point], self._fully(point))
        if point is Point.SETTLE:
            write.name("outcome", policy.outcomes)
            write.name("state", SETTLE_STATES)
            write.name("event", SETTLE_EVENTS)
            write.price()
            write.duration("since_delivery")
            return write.reader()
        write.text("customer")
        write.name("outcome", policy.outcomes)
        write.name("plan", policy.plans, required=False)
        write.name("lane", policy.lanes, required=point is not Point.ADMIT)
        if point is Point.ADMIT:
            write.read("grants", grants(epoch_micros), ())
        else:
            self._write_running(write, point)
        write.meters(self.meters, of_execution=point is not Point.ADMIT)
        defaults = (fact_field(fact, policy)[1] for fact in policy.facts.values())
        write.given(self.given, zip(policy.facts.values(), defaults, strict=True))
        return write.reader()

    def _write_running(self, write: quick.Writer, point: Point) -> None:
        policy = self._policy
        write.name("route", policy.routes)
        write.text("step")
        write.price()
        write.count("attempt", 1, 1)
        write.count("failures", 0, 0)
        write.duration("elapsed")
        write.duration("step_elapsed")
        write.count("input_tokens", 0, None)
        if point is Point.ATTEMPT:
            write.count("max_output_tokens", 0, None)
            write.count("min_output_tokens", 0, None)
            write.together(_LEAST_OF_MOST, LEAST="min_output_tokens", MOST="max_output_tokens")
        if point in (Point.ATTEMPT, Point.PROGRESS):
            write.estimate()
        if point is Point.PROGRESS:
            write.count("output_tokens", 0, 0)
            write.count("output_cap", 0, None)
            write.duration("attempt_elapsed")
        if point is Point.FAILURE:
            write.name("error", policy.error_classes)
            write.read("visited", names(policy.routes), ())
            write.read("retries", counts(policy.error_classes), None)
            write.together(_OF_FAILURE, VISITED="visited", ROUTE="route", RETRIES="retries")

    def _fully(self, point: Point) -> quick.Reader:
        return lambda data, assume_zero, once: self.read_fully(point, data, assume_zero=assume_zero)

    def _fact_error(self, point: Point, error: ValidationError, small: Mapping[str, str]) -> FactError:
        """`small` are the entries that were given in small units, by the name the model has for them."""
        found = []
        for item in error.errors(include_url=False):
            where = [str(part) for part in item["loc"]]
            if where:
                where[0] = small.get(where[0], where[0])
            name = where[0] if where else "facts"
            path = ".".join(part for part in where if not part.startswith(("function-", "lax-", "json-", "nullable")))
            if item["type"] == "extra_forbidden":
                fields = self.model(point).model_fields
                known = [field.alias or key for key, field in fields.items()]
                known += [small for name, small in IN_SMALL_UNITS.items() if name in known]
                message = no_such(name, known, "entry")
            elif item["type"] == "missing":
                message = f"`{path}` is missing"
                message += "; give `price` or `price_nanos`" if path == "price" else ""
            else:
                said = _SHAPES.get(item["type"]) or item["msg"].removeprefix("Value error, ")
                message = f"`{path}`: {said}"
            found.append((name, message))
        return FactError(found[0][0], "; ".join(dict.fromkeys(message for _, message in found)))


_SHAPES = {
    "list_type": "a list belongs here",
    "tuple_type": "a list belongs here",
    "dict_type": "entries with names belong here",
    "model_type": "entries with names belong here",
    "dataclass_type": "entries with names belong here",
}
"""What is said of a value that is no list or no mapping, in words of ours."""


def _plain(name: Any) -> str:
    """An entry's name. What is a text already, an enum's member too, is the text that a `dict` finds it by."""
    return str.__str__(name) if isinstance(name, str) else str(name)


def _in_small_units(entries: dict[str, Any], model: type[BaseModel]) -> dict[str, str]:
    """Puts entries in small units where the model has the amount; which they are, by that name."""
    found: dict[str, str] = {}
    for field in model.model_fields.values():
        name = field.alias or ""
        small = IN_SMALL_UNITS.get(name, "")
        if small not in entries:
            continue
        if name == "estimate" and None in (entries[small], entries.get(name, 0)):
            del entries[small if entries[small] is None else name]  # unknown, as if it were left out
        if small in entries:
            found[name] = small
            entries[name] = InSmallUnits(entries.pop(small), doubled=name in entries)
    return found


def _check_together(facts: Facts) -> None:
    """What no single entry can show to be wrong."""
    if isinstance(facts, AttemptFacts):
        least, most = facts.min_output_tokens, facts.max_output_tokens
        if least is not None and (most is None or least > most):
            raise FactError("min_output_tokens", "`min_output_tokens` is more than `max_output_tokens`")
    if isinstance(facts, FailureFacts):
        here = () if facts.route in facts.visited else (facts.route,)
        facts.visited = (*facts.visited, *here)
