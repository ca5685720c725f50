"""Every word the language knows by itself: built-in names, windows, error classes, placements.

A built-in name has a type, one line of meaning and the decision points where it is
known. The checker, the language reference and the boundary of the evaluators read
these tables; a new built-in name is one row here and one read in the evaluators.
"""

from dataclasses import dataclass
from enum import StrEnum


class Point(StrEnum):
    """The decision points of one execution, in the order they come."""

    ADMIT = "admit"
    ATTEMPT = "attempt"
    PROGRESS = "progress"
    FAILURE = "failure"
    SETTLE = "settle"


class Unit(StrEnum):
    """What a value counts. Values of two units never mix; an enum's values belong to their name."""

    MONEY = "money"
    PERCENT = "percent"
    INTEGER = "integer"
    NUMBER = "number"
    DURATION = "duration"
    BOOLEAN = "boolean"
    TEXT = "text"
    ENUM = "enum"


NUMERIC = frozenset({Unit.MONEY, Unit.PERCENT, Unit.INTEGER, Unit.NUMBER, Unit.DURATION})
FACT_TYPES = tuple(unit.value for unit in Unit if unit is not Unit.ENUM)


@dataclass(frozen=True, slots=True)
class Builtin:
    """One built-in name: `meaning` is its line in the language reference."""

    name: str
    unit: Unit
    points: frozenset[Point]
    meaning: str
    fallback_only: bool = False
    optional: bool = False


_ALL = frozenset(Point)
_RUNNING = frozenset({Point.ATTEMPT, Point.PROGRESS, Point.FAILURE})
_SINCE_ADMISSION = _RUNNING | {Point.SETTLE}

BUILTINS = {
    builtin.name: builtin
    for builtin in (
        Builtin("customer", Unit.TEXT, _ALL, "who the outcome is for"),
        Builtin("plan", Unit.ENUM, _ALL, "the customer's plan; a customer without one matches no plan name"),
        Builtin("workflow", Unit.ENUM, _ALL, "the product area of the outcome"),
        Builtin("outcome", Unit.ENUM, _ALL, "the class of deliverable that was promised"),
        Builtin("price", Unit.MONEY, _ALL, "what this execution brings in"),
        Builtin("lane", Unit.ENUM, _SINCE_ADMISSION, "the quality tier that was admitted"),
        Builtin("route", Unit.ENUM, _RUNNING, "the route of this attempt"),
        Builtin("step", Unit.TEXT, _RUNNING, "the caller's name for the unit of work"),
        Builtin("attempt", Unit.INTEGER, _RUNNING, "the number of this attempt within its step, from 1"),
        Builtin(
            "attempts", Unit.INTEGER, _SINCE_ADMISSION, "attempts this execution has made, a running one not counted"
        ),
        Builtin("failures", Unit.INTEGER, _RUNNING, "failed attempts of this step; a refusal is no attempt"),
        Builtin("error", Unit.ENUM, frozenset({Point.FAILURE}), "the class of the failure"),
        Builtin(
            "estimate",
            Unit.MONEY,
            frozenset({Point.ATTEMPT, Point.PROGRESS}),
            "the most this attempt can cost, before any shrinking",
            optional=True,
        ),
        Builtin(
            "spent",
            Unit.MONEY,
            _SINCE_ADMISSION,
            "settled cost of this execution, the attempt that just failed included",
        ),
        Builtin(
            "remaining",
            Unit.MONEY,
            frozenset({Point.FAILURE}),
            "`ceiling` less what is spent and reserved",
            fallback_only=True,
            optional=True,
        ),
        Builtin(
            "ceiling",
            Unit.MONEY,
            frozenset({Point.FAILURE}),
            "the tightest money ceiling per outcome that applies now",
            fallback_only=True,
            optional=True,
        ),
        Builtin("elapsed", Unit.DURATION, _SINCE_ADMISSION, "time since admission, waits between retries included"),
        Builtin("input_tokens", Unit.INTEGER, _RUNNING, "tokens sent with this attempt", optional=True),
    )
}

CONSTANTS = ("true", "false")

ENTRIES = frozenset(
    """attempt_elapsed attempt_elapsed_micros elapsed_micros escrow estimate_nanos event grants max_output_tokens meters
    min_output_tokens output_cap output_tokens price_nanos reserved retries since_delivery since_delivery_micros state
    step_elapsed step_elapsed_micros tokens visited""".split()
)
"""What a caller gives beside built-in names and declared facts; so no fact can have one of these names."""

WINDOWS = ("minute", "hour", "day", "week", "month")
PERIODS = ("day", "week", "month")
"""The windows that a fee, an allowance or an overage cap may name."""

KEYS = ("customer", "plan", "workflow", "outcome", "lane", "route")
"""What a windowed meter may be kept per."""

EXECUTION_SCOPES = ("attempt", "step", "outcome")
"""`outcome` alone means this execution; `per outcome per day` is a window over the class."""

CEILING_UNITS = {
    "attempts": "attempts",
    "attempt": "attempts",
    "tokens": "tokens",
    "token": "tokens",
}
METER_QUANTITIES = {"spent": Unit.MONEY, "attempts": Unit.INTEGER, "tokens": Unit.INTEGER, "count": Unit.INTEGER}

ERROR_CLASSES = (
    "timeout",
    "rate_limit",
    "unavailable",
    "connection",
    "server_error",
    "invalid_output",
    "rejected",
    "content_filter",
    "context_length",
    "tool_error",
    "bad_request",
    "auth",
    "over_ceiling",
    "cancelled",
)
NEVER_RETRIED = ("auth", "over_ceiling", "cancelled")
ANY = "any"
"""As an error class: every class but `cancelled`; in a `retry`, every class that may be retried."""

TARGETS = ("next", "stop")

RESERVED = frozenset(
    """accepted alert allow and as at backoff by ceiling cost currency else error expires fact fallback fee for forbid
    handoff in includes is lane lanes limit margin model next not of on or outcome overage pack per plan price rates
    retry route shadow stop timezone to tool unless up when within workflow""".split()
)
"""Words that cannot name anything. Windows, error classes, types and units are not among them."""

STATEMENTS = (
    "currency timezone fact error route lane plan pack workflow outcome ceiling retry allow forbid limit fallback "
    "margin price accepted lanes shadow fee includes overage model rates tool cost handoff expires".split()
)
"""The reserved words that begin a statement."""

BLOCK_KINDS = ("route", "lane", "plan", "pack", "workflow", "outcome")

FILE = "file"
_EVERYWHERE = frozenset({FILE, "workflow", "outcome", "plan", "lane", "route"})

PLACEMENT: dict[str, frozenset[str]] = {
    # rules
    "ceiling": _EVERYWHERE,
    "retry": _EVERYWHERE,
    "allow": _EVERYWHERE - {"route"},
    "forbid": _EVERYWHERE - {"route"},
    "limit": _EVERYWHERE,  # in a route: on a handoff only
    "fallback": frozenset({FILE, "workflow", "outcome", "lane"}),
    "margin": frozenset({"outcome"}),
    # settings
    "price": frozenset({"outcome"}),
    "accepted": frozenset({"outcome"}),
    "lanes": frozenset({"outcome"}),
    "model": frozenset({"route"}),
    "tool": frozenset({"route"}),
    "handoff": frozenset({"route"}),
    "rates": frozenset({"route"}),
    "cost": frozenset({"route"}),
    "fee": frozenset({"plan"}),
    "includes": frozenset({"plan"}),
    "overage": frozenset({"plan"}),
    "expires": frozenset({"pack"}),
    # declarations
    "currency": frozenset({FILE}),
    "timezone": frozenset({FILE}),
    "fact": frozenset({FILE}),
    "error": frozenset({FILE}),
    "on store failure": frozenset({FILE}),
    "route": frozenset({FILE}),
    "lane": frozenset({FILE}),
    "plan": frozenset({FILE}),
    "pack": frozenset({FILE}),
    "workflow": frozenset({FILE}),
    "outcome": frozenset({"workflow"}),
}
"""Which statement may stand in which block."""

TAILS: dict[str, frozenset[str]] = {
    "ceiling": frozenset({"condition", "alert", "label"}),
    "retry": frozenset({"on", "backoff", "condition", "label"}),
    "allow": frozenset({"condition", "label"}),
    "forbid": frozenset({"condition", "label"}),
    "limit": frozenset({"condition", "alert", "label"}),
    "fallback": frozenset({"on", "condition", "label"}),
    "margin": frozenset({"condition", "alert", "label"}),
}
"""Which rule takes which tail."""

SHADOWED = frozenset({"ceiling", "allow", "forbid", "limit", "margin"})
"""The rules that may be evaluated and logged without being enforced. `retry` and `fallback` choose what
happens next, so running them beside the real choice would say nothing."""

TAIL_ORDER = ("on", "backoff", "condition", "alert", "label")

CONDITION_POINTS: dict[str, frozenset[Point]] = {
    "ceiling": frozenset({Point.ADMIT, Point.ATTEMPT, Point.PROGRESS}),
    "margin": frozenset({Point.ADMIT, Point.ATTEMPT, Point.PROGRESS}),
    "allow": frozenset({Point.ADMIT}),
    "forbid": frozenset({Point.ADMIT}),
    "limit": frozenset({Point.ADMIT}),
    "retry": frozenset({Point.FAILURE}),
    "fallback": frozenset({Point.FAILURE}),
}
"""The points at which a rule's condition is read. A ceiling may read what any of its points knows: it is
checked from the first point that knows all its names. A handoff's limit is read at failure."""
