"""The boundary: a caller's mapping → validated facts of one decision point.

Types, ranges and enums come from the policy's own declarations, as pydantic models made
once per policy and point. What passes is a slotted record in internal units; what does
not is a `FactError` that names every wrong entry.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ValidationError, create_model

from policy_engine.evaluation.entries import (
    CONFIG,
    DURATION,
    TEXT,
    aliased,
    choice,
    count,
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
from policy_engine.language.checked import ATTEMPTS, SPENT, TOKENS, CheckedPolicy, Meter
from policy_engine.language.vocabulary import Point

FACTS = {
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


class Boundary:
    """Validates what callers give to one policy. Thread-safe; models are built on first use."""

    def __init__(self, policy: CheckedPolicy) -> None:
        self._policy = policy
        self._models: dict[Point, type[BaseModel]] = {}

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

        Money is a number of currency units or text (`0.3`, `"$0.30"`), a duration a number of seconds, a
        `timedelta` or text (`"90s"`). With `assume_zero`, counters that are left out read zero, as on a
        fresh ledger; otherwise they are unknown. Raises `FactError` naming every wrong or missing entry.
        """
        try:
            model = self.model(point)(**{str(name): value for name, value in data.items()})
        except ValidationError as error:
            raise self._fact_error(point, error) from None
        values = {name: getattr(model, name) for name in type(model).model_fields}
        if point is Point.SETTLE:
            return SettleFacts(**values)
        given = {name: values.pop(field) for field, name in self._fact_fields.items()}
        values["given"] = self.given(**given)
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
            raise self._fact_error(Point.ADMIT, error) from None
        return self.given(**{name: getattr(model, field) for field, name in self._fact_fields.items()})

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
            "meters": (dict[str, Any] | None, None),
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
            fields["retries"] = (dict[choice(policy.error_classes, "error class"), count(0)], {})  # type: ignore[misc]
        return create_model(f"{point.capitalize()}Entries", __config__=CONFIG, **fields, **self._declared())

    def _readings(self, values: dict[str, Any], *, assume_zero: bool) -> dict[Meter, Reading | None]:
        readings: dict[Meter, Reading | None] = {}
        if assume_zero:
            readings = {meter: Reading() for meter in self.meters.values()}
        written = values.pop("meters") or {}
        for text, value in written.items():
            meter = self.meters.get(" ".join(text.split()))
            if meter is None:
                raise FactError("meters", no_such(text, self.meters, "counter"))
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

    def _fact_error(self, point: Point, error: ValidationError) -> FactError:
        found = []
        for item in error.errors(include_url=False):
            where = [str(part) for part in item["loc"]]
            name = where[0] if where else "facts"
            path = ".".join(part for part in where if not part.startswith(("function-", "lax-", "json-", "nullable")))
            if item["type"] == "extra_forbidden":
                fields = self.model(point).model_fields
                message = no_such(name, [field.alias or key for key, field in fields.items()], "entry")
            elif item["type"] == "missing":
                message = f"`{path}` is missing"
            else:
                message = f"`{path}`: {item['msg'].removeprefix('Value error, ')}"
            found.append((name, message))
        return FactError(found[0][0], "; ".join(dict.fromkeys(message for _, message in found)))


def _check_together(facts: Facts) -> None:
    """What no single entry can show to be wrong."""
    if isinstance(facts, AttemptFacts):
        least, most = facts.min_output_tokens, facts.max_output_tokens
        if least is not None and (most is None or least > most):
            raise FactError("min_output_tokens", "`min_output_tokens` is more than `max_output_tokens`")
    if isinstance(facts, FailureFacts):
        here = () if facts.route in facts.visited else (facts.route,)
        facts.visited = (*facts.visited, *here)
