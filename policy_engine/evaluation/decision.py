"""All an evaluator may say: one immutable decision per decision point.

A decision carries its effect, every rule that decided it (with limit, used and asked),
what was unknown, alerts crossed, shadow verdicts and the digests of policy and prices:
enough to replay it. `str()` makes one readable sentence, `to_json()` plain data; both
are made on request, never while deciding. The records are msgspec structs: immutable,
and a fifth of the cost of a frozen dataclass to make.
"""

from collections.abc import Iterable
from fractions import Fraction
from typing import Any, ClassVar

from msgspec import Struct

from policy_engine.language.checked import RuleRef
from policy_engine.language.units import print_money, print_percent, print_time

REFUSED = {"estimate_unknown": "no estimate", "store_silent": "the store is silent"}
"""Why an attempt was refused, in words; anything else is a ceiling."""


class Ruling(Struct, frozen=True):
    """One rule's part in a decision. Numbers are in `unit` (`money` nano units, `time` microseconds,
    `attempts`, `tokens`, `count`); None where the rule has no such number, or it is not known.
    """

    rule: RuleRef
    unit: str | None = None
    limit: int | None = None
    used: int | None = None
    asked: int | None = None


class Alert(Struct, frozen=True):
    """A ceiling or limit whose use first crosses `percent` of it with this decision."""

    ruling: Ruling
    percent: Fraction


class Shadow(Struct, frozen=True):
    """What a rule that is not enforced would have said."""

    ruling: Ruling
    refuses: bool


class Draw(Struct, frozen=True):
    """What an execution draws on: `kind` is `allowance`, `pack`, `promotion` (a grant, by id), `overage`, `list`
    or `escrow` (the store did not answer and the policy allows work within an amount).
    """

    kind: str
    price_nanos: int
    grant: str | None = None


class Digests(Struct, frozen=True):
    """The content digests of the policy set and of the price table that decided."""

    policy: str
    prices: str


class Part(Struct, frozen=True):
    """A rule in one role of a decision: `decides`, `alert` (at `percent`), `refuses` or `passes` (both shadow)."""

    rule: RuleRef
    unit: str | None = None
    role: str = "decides"
    percent: Fraction | None = None


Line = tuple[Part, int | None, int | None, int | None]
"""A part with its numbers: limit, used, asked."""


class Head(Struct, frozen=True):
    """What a decision says without a number."""

    effect: str
    reason: str | None
    currency: str
    digests: Digests


class Decision(Struct, frozen=True):
    """What all decisions share: a head, lines of numbers, the names that were unknown and left a rule undecided.

    Kept so small because one is made per decision; everything readable is derived when it is asked for.
    """

    head: Head
    lines: tuple[Line, ...] = ()
    unknown: tuple[str, ...] = ()

    point: ClassVar[str] = ""

    @property
    def effect(self) -> str:
        """The answer in one word."""
        return self.head.effect

    @property
    def reason(self) -> str | None:
        """A fixed word for a program, None where the effect says all."""
        return self.head.reason

    @property
    def currency(self) -> str:
        return self.head.currency

    @property
    def digests(self) -> Digests:
        return self.head.digests

    @property
    def rulings(self) -> tuple[Ruling, ...]:
        """Every rule that decided, in (file, place) order."""
        return tuple(_ruling(line) for line in self.lines if line[0].role == "decides")

    @property
    def alerts(self) -> tuple[Alert, ...]:
        """Alerts that this decision is the first to cross."""
        found = [(line, line[0].percent) for line in self.lines if line[0].role == "alert"]
        return tuple(Alert(_ruling(line), percent) for line, percent in found if percent is not None)

    @property
    def shadow(self) -> tuple[Shadow, ...]:
        """Verdicts of the shadow rules that apply."""
        roles = ("refuses", "passes")
        return tuple(Shadow(_ruling(line), line[0].role == "refuses") for line in self.lines if line[0].role in roles)

    @property
    def permits(self) -> bool:
        """Whether work may go on."""
        return self.effect in ("allow", "go", "retry", "route")

    def __str__(self) -> str:
        parts = [self._headline()]
        parts += [f"because {_all(self._describe(r) for r in self.rulings)}"] if self.rulings else []
        parts += [f"unknown: {', '.join(self.unknown)}"] if self.unknown else []
        parts += [
            f"alert: {a.ruling.rule.name} crosses {print_percent(a.percent)} of "
            f"{self._amount(a.ruling.limit, a.ruling)}"
            for a in self.alerts
        ]
        would = [s for s in self.shadow if s.refuses]
        parts += [f"shadow: {_all(self._describe(s.ruling) for s in would)} would refuse"] if would else []
        return "; ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Plain data: money as a decimal text of currency units beside the exact nano units."""
        return {
            "point": self.point,
            "effect": self.effect,
            "reason": self.reason,
            **self._fields(),
            "rules": [self._ruling_json(r) for r in self.rulings],
            "unknown": list(self.unknown),
            "alerts": [{"percent": print_percent(a.percent), **self._ruling_json(a.ruling)} for a in self.alerts],
            "shadow": [{"refuses": s.refuses, **self._ruling_json(s.ruling)} for s in self.shadow],
            "currency": self.currency,
            "policy_digest": self.digests.policy,
            "price_digest": self.digests.prices,
            "sentence": str(self),
        }

    def _headline(self) -> str:
        return self.effect

    def _fields(self) -> dict[str, Any]:
        return {}

    def _money(self, nanos: int | None) -> str:
        return "an unknown amount" if nanos is None else print_money(nanos, self.currency)

    def _amount(self, value: int | None, ruling: Ruling) -> str:
        if value is None:
            return "unknown"
        if ruling.unit == "money":
            return print_money(value, self.currency)
        if ruling.unit == "time":
            return print_time(value)
        return f"{value} {ruling.unit}" if ruling.unit in ("attempts", "tokens") else str(value)

    def _describe(self, ruling: Ruling) -> str:
        words = f"`{ruling.rule.name}`"
        if ruling.unit is not None:
            numbers = [f"limit {self._amount(ruling.limit, ruling)}", f"used {self._amount(ruling.used, ruling)}"]
            if ruling.asked is not None or ruling.unit != "time":
                numbers.append(f"asked {self._amount(ruling.asked, ruling)}")
            words += f" ({', '.join(numbers)})"
        return f"{words} at {ruling.rule.place}"

    def _ruling_json(self, ruling: Ruling) -> dict[str, Any]:
        rule = ruling.rule
        return {
            "name": rule.name,
            "text": rule.text,
            "file": rule.file,
            "line": rule.line,
            "column": rule.column,
            "unit": ruling.unit,
            "limit": ruling.limit,
            "used": ruling.used,
            "asked": ruling.asked,
        }


class LaneRefusal(Struct, frozen=True):
    """Why a lane that was looked at is not the one: the rules that refused it."""

    lane: str
    reason: str
    rulings: tuple[Ruling, ...]


class AdmitDecision(Decision, frozen=True):
    """`allow` or `deny`.

    On `allow`: the lane, its first route, the draw, and the tightest money ceiling per outcome known so
    far. `reason` of a denial is `not_in_plan`, `allowance_spent`, `forbidden`, `not_allowed`,
    `limit_reached`, `ceiling_reached`, `lane_not_listed`, `no_lane` or `store_silent`.
    """

    lane: str | None = None
    route: str | None = None
    draw: Draw | None = None
    ceiling_nanos: int | None = None
    refused: tuple[LaneRefusal, ...] = ()

    point: ClassVar[str] = "admit"

    def _headline(self) -> str:
        if self.effect == "allow" and self.draw is not None:
            source = f"{self.draw.kind} {self.draw.grant}" if self.draw.grant else self.draw.kind
            ceiling = f", at most {self._money(self.ceiling_nanos)}" if self.ceiling_nanos is not None else ""
            said = (
                f"allowed in lane {self.lane}, first route {self.route}, "
                f"drawn from {source} at {self._money(self.draw.price_nanos)}{ceiling}"
            )
        else:
            said = f"denied: {(self.reason or '').replace('_', ' ')}"
        for refusal in self.refused:
            why = _all(self._describe(r) for r in refusal.rulings)
            said += f"; lane {refusal.lane} refused ({refusal.reason.replace('_', ' ')}{': ' + why if why else ''})"
        return said

    def _fields(self) -> dict[str, Any]:
        draw = self.draw
        return {
            "lane": self.lane,
            "route": self.route,
            "draw": None
            if draw is None
            else {"kind": draw.kind, "grant": draw.grant, **_money_json("price", draw.price_nanos, self.currency)},
            **_money_json("ceiling", self.ceiling_nanos, self.currency),
            "refused_lanes": [
                {"lane": r.lane, "reason": r.reason, "rules": [self._ruling_json(x) for x in r.rulings]}
                for r in self.refused
            ],
        }


class AttemptDecision(Decision, frozen=True):
    """`go` or `refuse` (a refusal is a failure of class `over_ceiling`).

    On `go`: what to reserve, the output cap (None: none was asked), and how long the attempt may run
    (None: no time ceiling). `reason` of a refusal is `over_ceiling` or `estimate_unknown`; of a `go`,
    `shrunk` where the cap is lower than asked.
    """

    reserved_nanos: int | None = None
    reserved_tokens: int | None = None
    output_cap: int | None = None
    deadline_micros: int | None = None

    point: ClassVar[str] = "attempt"

    def _headline(self) -> str:
        if self.effect != "go":
            return f"refused: {REFUSED.get(self.reason or '', 'over the ceiling')}"
        said = f"go, {self._money(self.reserved_nanos)} reserved"
        if self.output_cap is not None:
            said += f", at most {self.output_cap} output tokens" + (" (shrunk)" if self.reason == "shrunk" else "")
        if self.deadline_micros is not None:
            said += f", within {print_time(self.deadline_micros)}"
        return said

    def _fields(self) -> dict[str, Any]:
        return {
            **_money_json("reserved", self.reserved_nanos, self.currency),
            "reserved_tokens": self.reserved_tokens,
            "output_cap": self.output_cap,
            "deadline_micros": self.deadline_micros,
        }


class ProgressDecision(Decision, frozen=True):
    """`go` or `cut`; `reason` of a cut is `output_cap`, `deadline` or `over_ceiling`."""

    point: ClassVar[str] = "progress"

    def _headline(self) -> str:
        return "go on" if self.effect == "go" else f"cut: {(self.reason or '').replace('_', ' ')}"


class FailureDecision(Decision, frozen=True):
    """`retry` (after `delay_micros`, on the same route), `route` (go there), `hand_off` or `stop`."""

    route: str | None = None
    delay_micros: int | None = None

    point: ClassVar[str] = "failure"

    def _headline(self) -> str:
        if self.effect == "retry":
            return f"retry on {self.route} after {print_time(self.delay_micros or 0)}"
        if self.effect == "route":
            return f"go to route {self.route}"
        return f"hand off to {self.route}" if self.effect == "hand_off" else "stop"

    def _fields(self) -> dict[str, Any]:
        return {"route": self.route, "delay_micros": self.delay_micros}


class SettleDecision(Decision, frozen=True):
    """The state after an event: `delivered` (acceptance pending), `accepted`, `rejected`, `expired`,
    `reversed`, `aborted`, `handed_off`; or `refuse`, with `reason` `window_closed` or `not_possible`.

    `unit` says what becomes of the promised unit: `held`, `consumed`, `restored`, or None for no change.
    `revenue_nanos` is what the event adds to revenue, negative at a reversal. `window_micros` is how
    long acceptance, rejection and reversal stay open (None: closed).
    """

    unit: str | None = None
    revenue_nanos: int = 0
    window_micros: int | None = None

    point: ClassVar[str] = "settle"

    @property
    def permits(self) -> bool:
        return self.effect != "refuse"

    def _headline(self) -> str:
        if self.effect == "refuse":
            return f"refused: {(self.reason or '').replace('_', ' ')}"
        said = self.effect.replace("_", " ")
        said += f", unit {self.unit}" if self.unit else ""
        said += f", revenue {self._money(self.revenue_nanos)}" if self.revenue_nanos else ""
        return said + (f", open for {print_time(self.window_micros)}" if self.window_micros is not None else "")

    def _fields(self) -> dict[str, Any]:
        return {
            "unit": self.unit,
            **_money_json("revenue", self.revenue_nanos, self.currency),
            "window_micros": self.window_micros,
        }


def stated(
    effect: str,
    reason: str | None = None,
    *,
    currency: str,
    digests: Digests,
    rulings: Iterable[Ruling] = (),
    alerts: Iterable[Alert] = (),
    shadow: Iterable[Shadow] = (),
    unknown: Iterable[str] = (),
) -> tuple[Head, tuple[Line, ...], tuple[str, ...]]:
    """The three fields that all decisions begin with, from their readable parts."""
    lines = [_line(ruling) for ruling in rulings]
    lines += [_line(alert.ruling, "alert", alert.percent) for alert in alerts]
    lines += [_line(verdict.ruling, "refuses" if verdict.refuses else "passes") for verdict in shadow]
    return Head(effect, reason, currency, digests), tuple(lines), tuple(sorted(unknown))


def _line(said: Ruling, role: str = "decides", percent: Fraction | None = None) -> Line:
    return Part(said.rule, said.unit, role, percent), said.limit, said.used, said.asked


def _ruling(line: Line) -> Ruling:
    part, limit, used, asked = line
    return Ruling(part.rule, part.unit, limit, used, asked)


def _all(words: Any) -> str:
    return " and ".join(words)


def _money_json(name: str, nanos: int | None, currency: str) -> dict[str, Any]:
    return {name: None if nanos is None else print_money(nanos, currency), f"{name}_nanos": nanos}
