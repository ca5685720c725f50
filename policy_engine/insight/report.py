"""What a replay found, in exact numbers; screens decide how to show them.

Formulas are those of the KPI set: gross margin = (revenue - delivery cost) / revenue, where
delivery cost is what all attempts of all executions cost, unaccepted ones included, plus
handoffs. A margin without revenue is undefined, not zero.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from policy_engine.insight.trace import BadRow
from policy_engine.language.checked import RuleRef
from policy_engine.language.units import print_money


@dataclass(slots=True)
class RuleCount:
    """How often one rule refused an admission or an attempt, alone or with others."""

    rule: RuleRef
    admissions: int = 0
    attempts: int = 0

    @property
    def total(self) -> int:
        return self.admissions + self.attempts


@dataclass(slots=True)
class OutcomeRow:
    """One outcome class. Plain names are the policy's side, `…_recorded` the recording's; money in nano units."""

    outcome: str
    title: str | None = None
    executions: int = 0
    admitted: int = 0
    handed_off: int = 0
    diverged: int = 0
    lanes: dict[str, int] = field(default_factory=dict)
    attempts_recorded: int = 0
    attempts_made: int = 0
    attempts_avoided: int = 0
    attempts_refused: int = 0
    accepted_attempts: int = 0
    accepted_recorded: int = 0
    accepted: int = 0
    accepted_kept: int = 0
    accepted_lost: int = 0
    maturing: int = 0
    maturing_recorded: int = 0
    cost_recorded_nanos: int = 0
    cost_avoided_nanos: int = 0
    cost_nanos: int = 0
    handoff_nanos: int = 0
    recorded_handoffs: int = 0
    revenue_recorded_nanos: int = 0
    revenue_nanos: int = 0

    @property
    def delivery_cost_nanos(self) -> int:
        """What this class cost under the policy: attempts and handoffs."""
        return self.cost_nanos + self.handoff_nanos

    @property
    def margin(self) -> Fraction | None:
        """Gross margin under the policy, as a share of revenue; None without revenue."""
        return margin(self.revenue_nanos, self.delivery_cost_nanos)

    @property
    def margin_recorded(self) -> Fraction | None:
        """Gross margin as recorded."""
        return margin(self.revenue_recorded_nanos, self.cost_recorded_nanos)


@dataclass(slots=True)
class ReplayResult:
    """A whole replay: totals are sums over `outcomes`, `denied` counts admissions by reason."""

    currency: str
    policy_digest: str
    price_digest: str
    rows: int
    bad: list[BadRow]
    outcomes: dict[str, OutcomeRow]
    denied: dict[str, int] = field(default_factory=dict)
    rules: dict[RuleRef, RuleCount] = field(default_factory=dict)

    def total(self, of: Callable[[OutcomeRow], int]) -> int:
        """The sum of one number over all outcome classes."""
        return sum(of(row) for row in self.outcomes.values())

    @property
    def refusals(self) -> list[RuleCount]:
        """Rules by how often they refused, the busiest first."""
        return sorted(self.rules.values(), key=lambda count: (-count.total, count.rule.place))

    def summary(self) -> OutcomeRow:
        """All outcome classes as one row."""
        rows = self.outcomes.values()
        whole = OutcomeRow("all")
        for name in _COUNTED:
            setattr(whole, name, sum(getattr(row, name) for row in rows))
        for row in rows:
            for lane, number in row.lanes.items():
                whole.lanes[lane] = whole.lanes.get(lane, 0) + number
        return whole

    def to_json(self) -> dict[str, Any]:
        """Plain data: money as decimal text of currency units, shares as decimal numbers or null."""
        return {
            "currency": self.currency,
            "policy_digest": self.policy_digest,
            "price_digest": self.price_digest,
            "rows": self.rows,
            "bad_rows": len(self.bad),
            "bad": [{"line": bad.line, "message": bad.message} for bad in self.bad],
            **self._row_json(self.summary()),
            "denied": dict(sorted(self.denied.items())),
            "refusals_by_rule": [
                {
                    "name": count.rule.name,
                    "text": count.rule.text,
                    "place": count.rule.place,
                    "admissions": count.admissions,
                    "attempts": count.attempts,
                }
                for count in self.refusals
            ],
            "outcomes": {name: self._row_json(row) for name, row in self.outcomes.items() if row.executions},
        }

    def _row_json(self, row: OutcomeRow) -> dict[str, Any]:
        return {
            "executions": row.executions,
            "admitted": row.admitted,
            "handed_off": row.handed_off,
            "diverged": row.diverged,
            "lanes": dict(sorted(row.lanes.items())),
            "attempts": {
                "recorded": row.attempts_recorded,
                "made": row.attempts_made,
                "avoided": row.attempts_avoided,
                "refused": row.attempts_refused,
                "accepted_as_recorded": row.accepted_attempts,
            },
            "accepted": {
                "recorded": row.accepted_recorded,
                "under_policy": row.accepted,
                "kept": row.accepted_kept,
                "lost": row.accepted_lost,
                "maturing": row.maturing,
                "maturing_as_recorded": row.maturing_recorded,
            },
            "cost": {
                "recorded": self._money(row.cost_recorded_nanos),
                "under_policy": self._money(row.delivery_cost_nanos),
                "attempts": self._money(row.cost_nanos),
                "handoffs": self._money(row.handoff_nanos),
                "avoided": self._money(row.cost_avoided_nanos),
            },
            "revenue": {
                "recorded": self._money(row.revenue_recorded_nanos),
                "under_policy": self._money(row.revenue_nanos),
            },
            "margin": {"recorded": _share(row.margin_recorded), "under_policy": _share(row.margin)},
        }

    def _money(self, nanos: int) -> str:
        return print_money(nanos, self.currency)


_COUNTED: Iterable[str] = tuple(name for name, kind in OutcomeRow.__annotations__.items() if kind is int)


def margin(revenue_nanos: int, cost_nanos: int) -> Fraction | None:
    """(revenue - cost) / revenue, exact; None where nothing came in."""
    return Fraction(revenue_nanos - cost_nanos, revenue_nanos) if revenue_nanos else None


def _share(value: Fraction | None) -> float | None:
    return None if value is None else round(float(value), 6)
