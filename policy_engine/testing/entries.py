"""Facts as a case gives them: its own and those of the fixtures it is `like`, and what a fresh world adds.

What nobody wrote is what a new customer on a fresh ledger has: counters at zero, the plan's whole
allowance, the price that an admission would find, the lane's first route.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from policy_engine.evaluation.context import Boundary
from policy_engine.language.checked import CheckedPolicy
from policy_engine.language.diagnostics import Diagnostic
from policy_engine.language.pricing import included_price_nanos
from policy_engine.language.vocabulary import Point
from policy_engine.policy import Policy
from policy_engine.testing import mistakes
from policy_engine.testing.nodes import Node

LIKE = "like"
MAX_LIKE = 40
"""How deep fixtures may be like one another."""

ALLOWANCE = "allowance"
UNKNOWN = "unknown"
"""A counter, or the grants, of a store that does not answer. (`~` is what nobody gave.)"""
CUSTOMER, STEP = "a customer", "a step"

_KNOWN: WeakKeyDictionary[Boundary, dict[str, frozenset[str]]] = WeakKeyDictionary()
_SMALL = ("price_nanos", "estimate_nanos", "elapsed_micros", "step_elapsed_micros", "attempt_elapsed_micros")


@dataclass(slots=True)
class Entries:
    """What a case says of its facts: `own` was written in it, `shared` comes from fixtures."""

    own: dict[str, Node] = field(default_factory=dict)
    shared: dict[str, Node] = field(default_factory=dict)

    def with_(self, more: Mapping[str, Node]) -> "Entries":
        """With further entries, each in place of one of the same name; with `~` it is not given."""
        return Entries(self.own | dict(more), self.shared)


def resolve(node: Node, fixtures: Mapping[str, Node], found: list[Diagnostic]) -> Entries:
    """The entries of a mapping, or of a fixture by name."""
    if isinstance(node.value, dict):
        own = {name: entry for name, entry in node.value.items() if name != LIKE}
        shared: dict[str, Node] = {}
        if LIKE in node.value:
            shared = _like(node.value[LIKE], fixtures, found, (), {})
        return Entries(own, shared)
    return Entries({}, _like(node, fixtures, found, (), {}))


def _like(
    node: Node,
    fixtures: Mapping[str, Node],
    found: list[Diagnostic],
    above: tuple[str, ...],
    done: dict[str, dict[str, Node]],
) -> dict[str, Node]:
    """What one fixture, or several (the later wins), say, with what they are like themselves.

    `done` are those already put together: each is once, or a few lines of `like: [a, a]` would take for ever.
    """
    merged: dict[str, Node] = {}
    for item in node.value if isinstance(node.value, list) else [node]:
        name = item.value
        if not isinstance(name, str):
            found.append(mistakes.wrong_shape(item.span, "`like` takes the name of a fixture", "write `like: NAME`"))
        elif name in above:
            found.append(mistakes.circular(name, item.span))
        elif name in done:
            merged |= done[name]
        elif len(above) == MAX_LIKE:
            found.append(
                mistakes.wrong_shape(
                    item.span, f"more than {MAX_LIKE} fixtures, each like the next", "write the facts out"
                )
            )
        elif name not in fixtures:
            found.append(mistakes.no_fixture(name, item.span, fixtures))
        elif not isinstance(entries := fixtures[name].value, dict):
            found.append(
                mistakes.wrong_shape(
                    fixtures[name].span, f"the fixture `{name}` has no facts", "write `name: value` below it"
                )
            )
        else:
            whole = _like(entries[LIKE], fixtures, found, (*above, name), done) if LIKE in entries else {}
            done[name] = whole | {key: entry for key, entry in entries.items() if key != LIKE}
            merged |= done[name]
    return merged


def known(boundary: Boundary, policy: CheckedPolicy, point: str) -> frozenset[str]:
    """The names that a point takes under a policy."""
    by_point = _KNOWN.setdefault(boundary, {})
    if point not in by_point:
        names = {field.alias or name for name, field in boundary.model(Point(point)).model_fields.items()}
        names |= {name for name in _SMALL if name.rpartition("_")[0] in names}
        names |= {ALLOWANCE} if point == "admit" and ALLOWANCE not in policy.facts else set()
        by_point[point] = frozenset(names)
    return by_point[point]


def is_counter(name: str) -> bool:
    """Whether an entry is a counter by its written form: `spent per day`."""
    return " per " in name


def data(entries: Entries, policy: Policy, point: str) -> dict[str, Any]:
    """What was written, as `policy.facts` takes it: counters gathered, fixtures' entries only where they are known."""
    names = known(policy.boundary, policy.checked, point)
    values: dict[str, Any] = {}
    meters: dict[str, Any] = {}
    for shared, part in ((True, entries.shared), (False, entries.own)):
        for name, node in part.items():
            value = node.plain()
            if is_counter(name) or name == "meters":
                if not shared or "meters" in names:
                    meters |= value if name == "meters" and isinstance(value, dict) else {name: value}
            elif not shared or name in names:
                values[name] = value
    values = {
        name: None if value == UNKNOWN and name in ("grants", "escrow") else value
        for name, value in values.items()
        if value is not None
    }
    meters = {name: None if value == UNKNOWN else value for name, value in meters.items() if value is not None}
    if meters:
        values["meters"] = meters
    return values


def completed(values: dict[str, Any], policy: CheckedPolicy, point: str) -> dict[str, Any]:
    """With what a fresh world adds to the entries that were written."""
    outcome, plan = _name(values.get("outcome")), _name(values.get("plan"))
    if point != "settle":
        values.setdefault("customer", CUSTOMER)
    if point == "admit":
        return _with_grants(values, policy, outcome, plan)
    if (
        "price" not in values
        and "price_nanos" not in values
        and isinstance(outcome, str)
        and outcome in policy.outcomes
    ):
        values["price_nanos"] = price_nanos(policy, outcome, plan)
    if point != "settle":
        values.setdefault("step", STEP)
        lane = values.get("lane")
        if "route" not in values and isinstance(lane, str) and lane in policy.lanes:
            values["route"] = policy.lanes[lane].path[0]
    return values


def _name(value: Any) -> str | None:
    """A name, if it is one; what else was written is bad input, and said to be so where it is read."""
    return value if isinstance(value, str) else None


def _with_grants(
    values: dict[str, Any], policy: CheckedPolicy, outcome: str | None, plan: str | None
) -> dict[str, Any]:
    left = values.pop(ALLOWANCE, None) if ALLOWANCE not in policy.facts else None
    terms = policy.plans.get(plan) if plan is not None else None
    if "grants" in values or terms is None or outcome is None or outcome not in terms.includes:
        return values
    lot = {
        "id": f"{plan}/{values.get('customer')}/{outcome}",  # as the runtime names it, but for the period
        "left": terms.includes[outcome] if left is None else left,
        "price": _plain(included_price_nanos(policy, terms, outcome)),
    }
    values["grants"] = [lot]
    return values


def price_nanos(policy: CheckedPolicy, outcome: str, plan: str | None) -> int:
    """What an execution brings in by what its plan says: a share of the fee, the overage price, else the list price."""
    terms = policy.plans.get(plan) if plan is not None else None
    if terms is not None and outcome in terms.includes:
        return included_price_nanos(policy, terms, outcome)
    if terms is not None and terms.overage is not None and outcome in terms.overage.prices_nanos:
        return terms.overage.prices_nanos[outcome]
    return policy.outcomes[outcome].price_nanos


def _plain(nanos: int) -> str:
    whole, rest = divmod(nanos, 10**9)
    return f"{whole}.{rest:09d}"
