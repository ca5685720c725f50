"""Rows one by one: records for an evaluator, and its decisions as plain values."""

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from policy_engine.evaluation.batch.columns import Columns
from policy_engine.evaluation.batch.entries import NUMBERS
from policy_engine.evaluation.decision import Decision
from policy_engine.evaluation.facts import (
    MISSING,
    AttemptFacts,
    FailureFacts,
    Given,
    ProgressFacts,
    Reading,
    SettleFacts,
    given_type,
)
from policy_engine.evaluation.meters import every_meter
from policy_engine.language.checked import Fact, Meter
from policy_engine.language.vocabulary import Point, Unit

RECORDS: Mapping[Point, Callable[..., Any]] = {
    Point.ATTEMPT: AttemptFacts,
    Point.PROGRESS: ProgressFacts,
    Point.FAILURE: FailureFacts,
    Point.SETTLE: SettleFacts,
}


class Records:
    """Makes facts of single rows."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        policy = columns.policy
        self._facts = tuple(policy.facts.values())
        self._given: type[Given] = given_type(tuple(policy.facts))
        self._meters: tuple[Meter, ...] = every_meter(policy)
        self._words = {name: {n: text for text, n in words.items()} for name, words in columns.words.items()}

    def of(self, rows: pl.Series) -> list[Any]:
        """The facts of these rows."""
        columns = self._columns
        point = columns.point
        frame = columns.frame.select(pl.all().gather(rows))
        names = [name for name in (*columns.allowed, "customer") if name in columns.raw.columns]
        texts = [pl.col(name).gather(rows).cast(pl.String) for name in names]
        lists = [pl.col("visited").gather(rows)] if "visited" in columns.raw.columns else []
        about = columns.raw.select(texts + lists)
        told = zip(frame.iter_rows(named=True), about.iter_rows(named=True), strict=True)
        return [self._record(point, {**columns.constants, **row}, about) for row, about in told]

    def _record(self, point: Point, row: dict[str, Any], about: dict[str, Any]) -> Any:
        found: dict[str, Any] = {name: about.get(name) for name in self._columns.allowed}
        found |= {entry.name: row.get(entry.name) for entry in NUMBERS[point]}
        if point is Point.SETTLE:
            return RECORDS[point](**found)
        escrow = found.pop("escrow_nanos")
        found |= {
            "customer": about["customer"],
            "step": self._text("step", row["step"]),
            "escrow": None if escrow is None else Reading(escrow),
            "given": self._given(**{fact.name: self._fact(fact, row[f"fact {fact.name}"]) for fact in self._facts}),
            "meters": {meter: _reading(row, meter) for meter in self._meters},
        }
        if point is Point.FAILURE:
            visited = tuple(dict.fromkeys(about.get("visited") or ()))
            here = () if found["route"] in visited else (found["route"],)
            made = {name.removeprefix("retries "): n for name, n in row.items() if name.startswith("retries ")}
            found |= {"visited": (*visited, *here), "retries": {error: n for error, n in made.items() if n}}
        return RECORDS[point](**found)

    def _fact(self, fact: Fact, value: Any) -> Any:
        if value is None:
            return None if fact.optional else MISSING
        column = f"fact {fact.name}"
        if fact.unit is Unit.ENUM and column not in self._words:
            return fact.values[value]
        return self._text(column, value)

    def _text(self, column: str, value: Any) -> Any:
        return self._words[column][value] if column in self._words else value


def _reading(row: dict[str, Any], meter: Meter) -> Reading | None:
    settled, reserved = row.get(f"settled {meter}"), row.get(f"reserved {meter}", 0)
    return None if settled is None or reserved is None else Reading(settled, reserved)


def plain(decision: Decision, numbers: tuple[str, ...]) -> dict[str, Any]:
    """A decision as the values of one row."""
    return {
        "effect": decision.effect,
        "reason": decision.reason,
        **{name: getattr(decision, name) for name in numbers},
        "rules": [said.rule.name for said in decision.rulings],
        "unknown": list(decision.unknown),
        "alerts": [f"{alert.ruling.rule.name} at {float(alert.percent):g}%" for alert in decision.alerts],
        "shadow": [verdict.ruling.rule.name for verdict in decision.shadow if verdict.refuses],
    }
