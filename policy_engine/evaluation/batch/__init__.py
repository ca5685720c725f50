"""Many decisions at once, over columns: conditions and ceilings as Polars expressions.

Rows about the same names share their rules, so the columns of a whole group are worked out
together, as whole numbers in 64 bits. What that leaves out (amounts that could overflow,
rows in escrow, groups of a few rows) is decided one by one. Either way each row's answer is
the one that its facts would get alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import polars as pl

from policy_engine.evaluation.batch import attempts, failures, settlement
from policy_engine.evaluation.batch.answers import Answer, Words
from policy_engine.evaluation.batch.columns import Columns, checked
from policy_engine.evaluation.batch.conditions import Unbatched
from policy_engine.evaluation.batch.groups import Applied, Group, Kind, Sorted, Together, Who, sorted_together
from policy_engine.evaluation.batch.rows import Records, plain
from policy_engine.evaluation.batch.sheet import Sheet
from policy_engine.evaluation.evaluator import Evaluator
from policy_engine.evaluation.facts import FactError
from policy_engine.language.checked import CheckedPolicy, Member, Rule, atoms, reads
from policy_engine.language.vocabulary import Point

FEW = 500
"""Rows that are fewer than this, or than there are rules, are decided one by one."""

BATCHED = (Point.ATTEMPT, Point.PROGRESS, Point.FAILURE, Point.SETTLE)


@dataclass(frozen=True, slots=True)
class Shape:
    """How one decision point is batched: what tells groups apart, what its decisions hold."""

    names: tuple[str, ...]
    kind: Callable[[CheckedPolicy, Point, Who], Kind]
    query: Callable[..., Sheet]
    words: dict[str, Words]
    numbers: tuple[str, ...] = ()


_ABOUT = ("outcome", "plan", "customer", "lane", "route")


def _shape(policy: CheckedPolicy, point: Point) -> Shape:
    words: dict[str, Words]
    if point is Point.ATTEMPT:
        words = {"effect": attempts.EFFECTS[point], "reason": attempts.REASONS[point]}
        numbers: tuple[str, ...] = ("reserved_nanos", "reserved_tokens", "output_cap", "deadline_micros")
        return Shape(_ABOUT, attempts.kind_of, attempts.attempt, words, numbers)
    if point is Point.PROGRESS:
        words = {"effect": attempts.EFFECTS[point], "reason": attempts.REASONS[point]}
        return Shape(_ABOUT, attempts.kind_of, attempts.progress, words)
    if point is Point.FAILURE:
        words = {"effect": failures.EFFECTS, "reason": (), "route": tuple(policy.routes)}
        return Shape((*_ABOUT, "error"), failures.kind_of, failures.failure, words, ("delay_micros",))
    words = {"effect": settlement.EFFECTS, "reason": settlement.REASONS, "unit": settlement.UNITS}
    numbers = ("revenue_nanos", "window_micros")
    return Shape(("outcome", "state", "event"), settlement.kind_of, settlement.settle, words, numbers)


class BatchEvaluator:
    """Answers whole tables. What is not worked out in columns is asked of `evaluator`."""

    def __init__(self, policy: CheckedPolicy, evaluator: Evaluator) -> None:
        self._policy = policy
        self._evaluator = evaluator
        self._customers = frozenset(_customers(policy))

    def decide(self, point: Point, columns: Any, *, assume_zero: bool = False) -> pl.DataFrame:
        """One decision per row, in the rows' order; see `Policy.decide_many`."""
        if point not in BATCHED:
            listed = ", ".join(f"`{each}`" for each in BATCHED)
            raise ValueError(f"`{point}` is decided one by one; what is decided in columns: {listed}")
        given = checked(self._policy, point, columns, self._customers, assume_zero=assume_zero)
        return _Decided(self._policy, self._evaluator, given).frame()


class _Decided:
    def __init__(self, policy: CheckedPolicy, evaluator: Evaluator, columns: Columns) -> None:
        self.policy, self.columns, self.point = policy, columns, columns.point
        self.decide = getattr(evaluator, self.point.value)
        self.shape = _shape(policy, self.point)
        self.answer = Answer(columns.height, self.shape.words, self.shape.numbers)
        self.alone: list[pl.Series] = []

    def frame(self) -> pl.DataFrame:
        if self.columns.height:
            self._groups()
            self._one_by_one()
        return self.answer.frame()

    def _groups(self) -> None:
        columns = self.columns
        groups = Sorted(columns, self.shape.names)
        kinds: dict[object, Kind] = {}
        for group in groups.counted():
            who = groups.who(group)
            self._check_route(who, group)
            kind = self.shape.kind(self.policy, self.point, who)
            kind = kinds.setdefault(kind.key, kind)
            kind.codes.append(group.code)
            kind.rows += group.rows
        self._check_missing(list(kinds.values()), groups)
        found = sorted_together(kinds.values())
        few = [one for one in found if one.rows < max(FEW, len(one.rules))]
        many = [one for one in found if one not in few]
        for one in few:
            self.alone.append(_rows(groups.code.is_in(pl.Series(_codes(one)).implode())))
        for one in many:
            numbers = {code: number for number, kind in enumerate(one.kinds) for code in kind.codes}
            all_alike = len(found) == 1 and len(one.kinds) == 1
            kind_of_row = (
                pl.repeat(0, columns.height, dtype=pl.UInt16, eager=True) if all_alike else groups.kinds(numbers)
            )
            chosen = None if len(found) == 1 else _rows(kind_of_row.is_not_null())
            self._together(one, kind_of_row.alias("kind"), chosen)

    # ------------------------------------------------------------ in columns

    def _together(self, together: Together, kinds: pl.Series, rows: pl.Series | None) -> None:
        frame = self.columns.frame.with_columns(kinds)
        if rows is not None:
            frame = frame[rows]
        try:
            sheet = self.shape.query(self.policy, self.columns, together)
        except Unbatched:
            self.alone.append(pl.int_range(self.columns.height, eager=True) if rows is None else rows)
            return
        part = sheet.run(frame)
        tight = _rows(part["tight"]) if "tight" in part.columns else None
        self._put(rows, part, sheet)
        del part  # its columns are the answer's now, which alone may change them in place
        if tight is not None and tight.len():
            shrinking = attempts.attempt(self.policy, self.columns, together, shrinking=True)
            where = tight if rows is None else rows.gather(tight)
            read = {*shrinking.columns(), *shrinking.reader.most, "escrow_nanos"}
            few = frame.select(name for name in frame.columns if name in read)[tight]
            smaller = shrinking.run(few)
            went = smaller["effect"] == 0  # a refusal stays one; only what decides it may be other rules
            self.answer.put_again(where, smaller, _words_of(shrinking), went)
            self._alone(few, where, shrinking)
        self._alone(frame, rows, sheet)

    def _put(self, rows: pl.Series | None, part: pl.DataFrame, sheet: Sheet) -> None:
        self.answer.put(rows, part, _words_of(sheet))

    def _alone(self, frame: pl.DataFrame, rows: pl.Series | None, sheet: Sheet) -> None:
        """Rows with a number that is too large for the query, and those that may draw on escrow."""
        tests = []
        for column, most in sheet.reader.most.items():
            if self.columns.sizes.get(column, 0) > most:
                tests.append(frame[column].abs() > most)
        escrow = self.policy.escrow_nanos is not None and "escrow_nanos" in frame.columns
        if escrow and frame["escrow_nanos"].null_count() < frame.height:
            tests.append(frame["escrow_nanos"].is_not_null())
        for test in tests:
            found = _rows(test.fill_null(value=False))
            self.alone.append(found if rows is None else rows.gather(found))

    # ------------------------------------------------------------ one by one

    def _one_by_one(self) -> None:
        if not self.alone:
            return
        rows = pl.concat([each.cast(pl.UInt32) for each in self.alone]).unique().sort()
        if not rows.len():
            return
        self.answer.put_rows(rows, self._decided(rows))

    def _decided(self, rows: pl.Series) -> list[dict[str, Any]]:
        numbers = tuple(name for name in (*self.shape.words, *self.shape.numbers) if name not in ("effect", "reason"))
        decided = []
        for row, facts in zip(rows, Records(self.columns).of(rows), strict=True):
            try:
                decided.append(plain(self.decide(facts), numbers))
            except FactError as error:
                raise FactError(error.name, f"row {row}: {error.message}") from None
        return decided

    # ------------------------------------------------------------ what makes rows no question

    def _check_route(self, who: Who, group: Group) -> None:
        if self.point is Point.ATTEMPT and self.policy.routes[str(who["route"])].kind == "handoff":
            message = f"`{who['route']}` in row {group.first} is a handoff: it ends the execution and is no attempt"
            raise FactError("route", message)

    def _check_missing(self, kinds: list[Kind], groups: Sorted) -> None:
        """A required fact that a rule which can apply reads, and that a row does not have."""
        if not self.columns.missing:
            return
        found: list[tuple[int, Rule, str]] = []
        for kind in kinds:
            rules = failures.needed(kind) if self.point is Point.FAILURE else kind.rules
            for each, fact in _asked(rules):
                column = self.columns.missing.get(fact)
                if column is None:
                    continue
                here = groups.code.is_in(pl.Series(kind.codes).implode()) & self.columns.frame[column].is_null()
                if here.any():
                    found.append((here.arg_max() or 0, each.rule, fact))
        if found:
            row, rule, fact = min(found, key=lambda item: item[0])
            if self.point is Point.FAILURE:
                self._decided(self._lacking(row))  # a handoff's limit asks only where it is reached: perhaps earlier
            message = f"the fact `{fact}` is not given in row {row}, and `{rule.ref.name}` at {rule.ref.place} reads it"
            raise FactError(fact, message)

    def _lacking(self, before: int) -> pl.Series:
        """The rows before one that lack a required fact."""
        columns = [self.columns.frame[name] for name in self.columns.missing.values()]
        lacking = pl.DataFrame(columns).head(before).select(pl.any_horizontal(pl.all().is_null()))
        return _rows(lacking.to_series())


def _asked(rules: tuple[Applied, ...]) -> list[tuple[Applied, str]]:
    return [(each, read.name) for each in rules for read in reads(each.condition) if read.is_fact]


def _words_of(sheet: Sheet) -> dict[str, list[str]]:
    return {name: [word for word, _ in bits] for name, bits in sheet.lists().items()}


def _codes(together: Together) -> list[int]:
    return [code for kind in together.kinds for code in kind.codes]


def _rows(test: pl.Series) -> pl.Series:
    return test.arg_true().cast(pl.UInt32)


def _customers(policy: CheckedPolicy) -> list[str]:
    """Every customer that a rule read after admission names."""
    after = {Point.ATTEMPT, Point.PROGRESS, Point.FAILURE}
    return [
        value
        for rule in policy.every_rule()
        if rule.condition is not None and rule.points & after
        for atom in atoms(rule.condition)
        if isinstance(atom, Member) and atom.read.name == "customer" and not atom.read.is_fact
        for value in atom.values
    ]
