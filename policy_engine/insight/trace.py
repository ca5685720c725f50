"""Recorded work: rows of CSV or JSON lines → attempts, with every bad row accounted for.

One row is one attempt (or, with an `attempt` column, one call of an attempt). The
columns are `COLUMNS` and one per declared fact; docs/replay.md is their reference.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from zoneinfo import ZoneInfo

from policy_engine.evaluation.facts import FactError, Given
from policy_engine.language.diagnostics import did_you_mean, one_of
from policy_engine.language.units import UnitError, decimal, money_nanos, scaled
from policy_engine.language.vocabulary import Unit
from policy_engine.ledger.windows import micros_of
from policy_engine.policy import Policy

COLUMNS = {
    "execution": "which execution the attempt belongs to; `--set execution={line}` makes each row one of its own",
    "customer": "who it was for",
    "plan": "the customer's plan; empty for none",
    "outcome": "the outcome class",
    "step": "the unit of work inside the execution; empty for a single one",
    "attempt": "optional: rows of one execution and step with the same value are calls of one attempt, added up",
    "route": "the policy's route that served it",
    "model": "instead of a route: the text after `model` or `tool` in the policy, with or without its prefix",
    "input_tokens": "tokens sent",
    "output_tokens": "tokens received",
    "cost": "what it cost, in currency units; empty: its tokens at the route's rates, or the route's flat cost",
    "error": "the class of its failure; empty for none",
    "accepted": "true, false, or empty where nobody said",
    "time": "when it began, ISO 8601; without an offset, in the policy's time zone",
}
REQUIRED = ("execution", "customer", "outcome", "time")
MAX_TOKENS = 10**12

_FIRST_YEAR, _LAST_YEAR = 1900, 2999  # the calendar ends at 9999, and windows look ahead
_LATEST_MICROS = (_LAST_YEAR - 1970) * 366 * 86_400 * 10**6


class TraceError(Exception):
    """A trace that cannot be read at all: columns are missing, or it is no CSV or JSON."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that is left out, and why; `line` is 1-based in the file."""

    line: int
    message: str


@dataclass(slots=True)
class Recorded:
    """One attempt as it was recorded. `routes` are the policy's routes it may have been on (empty: not said)."""

    line: int
    time_micros: int
    step: str
    routes: tuple[str, ...]
    cost_nanos: int
    input_tokens: int | None
    output_tokens: int | None
    error: str | None
    accepted: bool | None


@dataclass(slots=True)
class RecordedExecution:
    """The attempts of one execution, in time order. Its facts are those of its first row (`facts`: as written)."""

    key: str
    customer: str
    plan: str | None
    outcome: str
    given: Given
    facts: tuple[str, ...]
    attempts: list[Recorded] = field(default_factory=list)


@dataclass(slots=True)
class Trace:
    """Everything that could be read: executions by first appearance, rows counted, bad rows listed."""

    executions: dict[str, RecordedExecution]
    rows: int
    bad: list[BadRow]


class TraceReader:
    """Reads rows for one policy: `renamed` maps the file's headers to ours, `constants` fills missing columns."""

    def __init__(
        self, policy: Policy, renamed: Mapping[str, str] | None = None, constants: Mapping[str, str] | None = None
    ) -> None:
        self._policy = policy
        self._renamed = dict(renamed or {})
        self._constants = dict(constants or {})
        self._zone = ZoneInfo(policy.checked.timezone)
        known = (*COLUMNS, *policy.checked.facts)
        for option, names in (("map", self._renamed.values()), ("set", self._constants)):
            for name in names:
                if name not in known:
                    meant = did_you_mean(name, known) or one_of(known, 30)
                    raise TraceError(f"--{option}: `{name}` is no column of a trace; {meant}")

    def read(self, path: Path) -> Trace:
        """The trace of a `.csv` or `.jsonl` file. Raises `TraceError`, or `OSError` for what cannot be opened."""
        with path.open(encoding="utf-8-sig", newline="", errors="replace") as stream:
            rows = _json_rows(stream) if path.suffix in (".jsonl", ".ndjson", ".json") else self._csv_rows(stream)
            return self.collect(rows)

    def collect(self, rows: Iterable[tuple[int, Mapping[str, Any] | str]]) -> Trace:
        """The trace of (line, row) pairs; a row that is a text is what was wrong with it already."""
        trace = Trace({}, 0, [])
        calls: dict[tuple[str, str, str], Recorded] = {}
        checked_columns = False
        for line, row in rows:
            trace.rows += 1
            if isinstance(row, str):
                trace.bad.append(BadRow(line, row))
                continue
            entries = self._entries(line, row)
            if not checked_columns:
                self._require_columns(entries)
                checked_columns = True
            try:
                self._add(trace, calls, line, entries)
            except (FactError, UnitError, _BadValue) as error:
                trace.bad.append(BadRow(line, str(error)))
        for execution in trace.executions.values():
            execution.attempts.sort(key=lambda attempt: (attempt.time_micros, attempt.line))
        return trace

    def _csv_rows(self, stream: IO[str]) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
        reader = csv.DictReader(stream)
        try:
            if reader.fieldnames is None:
                raise TraceError("the trace is empty: the first line names the columns")
            for header, column in self._renamed.items():
                if header not in reader.fieldnames:
                    there = did_you_mean(header, reader.fieldnames) or f"it has {one_of(reader.fieldnames, 20)}"
                    raise TraceError(f"--map {column}={header}: the trace has no column `{header}`; {there}")
            for row in reader:
                if None in row:
                    yield reader.line_num, "more values than columns"
                elif None in row.values():
                    yield reader.line_num, "fewer values than columns"
                else:
                    yield reader.line_num, row
        except csv.Error as error:
            raise TraceError(f"line {reader.line_num} is no CSV: {error}") from None

    # ------------------------------------------------------------ one row

    def _entries(self, line: int, row: Mapping[str, Any]) -> dict[str, str]:
        entries = {name: value.replace("{line}", str(line)) for name, value in self._constants.items()}
        for header, value in row.items():
            name = self._renamed.get(header, header)
            if value is not None and name not in self._constants:
                entries[name] = value.strip() if isinstance(value, str) else _plain(value)
        return entries

    def _require_columns(self, entries: Mapping[str, str]) -> None:
        missing = [name for name in REQUIRED if name not in entries]
        if missing:
            raise TraceError(
                f"the trace has no column {one_of(missing)}; it has {one_of(entries, 20)}. "
                "Name them with --map COLUMN=NAME, or give one value for all rows with --set COLUMN=VALUE"
            )

    def _add(
        self, trace: Trace, calls: dict[tuple[str, str, str], Recorded], line: int, entries: dict[str, str]
    ) -> None:
        attempt = self._attempt(line, entries)
        key = self._needed(entries, "execution")
        customer, outcome, plan = self._needed(entries, "customer"), self._outcome(entries), self._plan(entries)
        execution = trace.executions.get(key)
        if execution is None:
            execution = RecordedExecution(key, customer, plan, outcome, self._given(entries), self._facts(entries))
            trace.executions[key] = execution
        elif (execution.customer, execution.plan, execution.outcome) != (customer, plan, outcome):
            raise _BadValue(f"the execution `{key}` had another customer, plan or outcome before")
        elif execution.facts != self._facts(entries):
            self._given(entries)  # the first row's facts hold, but nonsense is not passed over in silence
        call = entries.get("attempt", "")
        merged = calls.get((key, attempt.step, call)) if call else None
        if merged is None:
            execution.attempts.append(attempt)
            if call:
                calls[key, attempt.step, call] = attempt
            return
        merged.cost_nanos += attempt.cost_nanos
        merged.input_tokens = _sum(merged.input_tokens, attempt.input_tokens)
        merged.output_tokens = _sum(merged.output_tokens, attempt.output_tokens)
        merged.error = attempt.error or merged.error
        merged.accepted = attempt.accepted if attempt.accepted is not None else merged.accepted

    def _attempt(self, line: int, entries: Mapping[str, str]) -> Recorded:
        error = entries.get("error") or None
        if error is not None:
            _choice("error", error, self._policy.checked.error_classes)
        routes = self._routes(entries)
        sent, received = _count(entries, "input_tokens"), _count(entries, "output_tokens")
        return Recorded(
            line=line,
            time_micros=self._time(self._needed(entries, "time")),
            step=entries.get("step", ""),
            routes=routes,
            cost_nanos=self._cost(entries, routes, sent, received),
            input_tokens=sent,
            output_tokens=received,
            error=error,
            accepted=_truth(entries, "accepted"),
        )

    def _needed(self, entries: Mapping[str, str], name: str) -> str:
        if not entries.get(name):
            raise _BadValue(f"`{name}` is empty")
        return entries[name]

    def _outcome(self, entries: Mapping[str, str]) -> str:
        return _choice("outcome", self._needed(entries, "outcome"), self._policy.checked.outcomes)

    def _plan(self, entries: Mapping[str, str]) -> str | None:
        plan = entries.get("plan")
        return _choice("plan", plan, self._policy.checked.plans) if plan else None

    def _routes(self, entries: Mapping[str, str]) -> tuple[str, ...]:
        routes = self._policy.checked.routes
        if entries.get("route"):
            return (_choice("route", entries["route"], routes),)
        model = entries.get("model")
        if not model:
            return ()
        found = tuple(
            name
            for name, route in routes.items()
            if route.reference == model or route.reference.partition(":")[2] == model
        )
        if not found:
            raise _BadValue(f"no route of the policy serves the model `{model}`")
        return found

    def _cost(self, entries: Mapping[str, str], routes: tuple[str, ...], sent: int | None, received: int | None) -> int:
        if entries.get("cost"):
            nanos = money_nanos(entries["cost"], self._policy.checked.currency)
            if nanos < 0:
                raise _BadValue("`cost` is negative")
            return nanos
        if not routes:
            raise _BadValue("no `cost`, and no `route` or `model` to price it by")
        route = self._policy.checked.routes[routes[0]]
        if route.cost_nanos is not None:
            return route.cost_nanos
        if route.kind == "handoff":
            return 0
        if route.rates is None:
            raise _BadValue(f"no `cost`, and the route `{route.name}` has no price")
        if sent is None or received is None:
            raise _BadValue("no `cost`, and no `input_tokens` and `output_tokens` to price")
        return route.rates.cost_nanos(sent, received)

    def _time(self, text: str) -> int:
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            try:  # seconds since the epoch
                micros = scaled(round(decimal(text), 6), 10**6, "a microsecond")
            except (UnitError, ArithmeticError):
                raise _BadValue(f"`time`: `{text}` is no ISO 8601 time") from None
            if abs(micros) > _LATEST_MICROS:
                raise _BadValue(f"`time`: `{text}` is not in our times; it counts seconds since 1970") from None
            return micros
        if not _FIRST_YEAR <= time.year <= _LAST_YEAR:
            raise _BadValue(f"`time`: `{text}` is not in our times")
        if time.tzinfo is None:
            time = time.replace(tzinfo=self._zone)
        return micros_of(time.astimezone(UTC))

    def _facts(self, entries: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(entries.get(name, "") for name in self._policy.checked.facts)

    def _given(self, entries: Mapping[str, str]) -> Given:
        facts = self._policy.checked.facts
        values: dict[str, Any] = {}
        for name in facts:
            text = entries.get(name)
            if not text:
                continue
            values[name] = text
            if facts[name].unit is Unit.BOOLEAN:
                values[name] = _truth(entries, name)
            elif facts[name].unit is Unit.INTEGER:
                values[name] = _whole(name, text)
        return self._policy.boundary.given_facts(values)


class _BadValue(Exception):
    """What is wrong with one row."""


def _json_rows(stream: IO[str]) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    for line, text in enumerate(stream, 1):
        if not text.strip():
            continue
        try:
            row = json.loads(text, parse_float=str)
        except (json.JSONDecodeError, RecursionError, ValueError) as error:
            yield line, f"no JSON: {error}"
            continue
        yield line, row if isinstance(row, dict) else "not a JSON object"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _choice(column: str, value: str, names: Iterable[str]) -> str:
    listed = tuple(names)
    if value not in listed:
        raise _BadValue(f"`{column}`: the policy has no `{value}`; {did_you_mean(value, listed) or one_of(listed)}")
    return value


def _whole(name: str, text: str) -> int:
    if not (text.removeprefix("-").isascii() and text.removeprefix("-").isdigit()) or len(text) > 18:
        raise _BadValue(f"`{name}`: `{text[:40]}` is not a whole number")
    return int(text)


def _count(entries: Mapping[str, str], name: str) -> int | None:
    text = entries.get(name)
    if not text:
        return None
    number = _whole(name, text)
    if not 0 <= number <= MAX_TOKENS:
        raise _BadValue(f"`{name}`: {number} is out of range")
    return number


def _truth(entries: Mapping[str, str], name: str) -> bool | None:
    text = entries.get(name, "").lower()
    if text in ("", "true", "1", "yes", "false", "0", "no"):
        return None if not text else text in ("true", "1", "yes")
    raise _BadValue(f"`{name}`: `{text[:40]}` is neither true nor false")


def _sum(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b
