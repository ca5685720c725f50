"""`attempt` and `progress` of many rows: every ceiling asked of whole columns at once."""

import polars as pl

from policy_engine.evaluation.batch.ceilings import Amounts, Ceiling, Ceilings, pricing
from policy_engine.evaluation.batch.columns import Columns
from policy_engine.evaluation.batch.conditions import NULL, Value
from policy_engine.evaluation.batch.groups import Kind, Together, Who, applied
from policy_engine.evaluation.batch.sheet import Sheet, any_of, both, everywhere
from policy_engine.language.checked import CheckedPolicy
from policy_engine.language.units import PICOS_PER_NANO
from policy_engine.language.vocabulary import Point

EFFECTS = {Point.ATTEMPT: ("go", "refuse"), Point.PROGRESS: ("go", "cut")}
REASONS = {
    Point.ATTEMPT: ("over_ceiling", "estimate_unknown", "shrunk"),
    Point.PROGRESS: ("output_cap", "deadline", "over_ceiling"),
}


def kind_of(policy: CheckedPolicy, point: Point, who: Who) -> Kind:
    """The ceilings that can apply to a group, and the price of its route."""
    route = policy.routes[str(who["route"])]
    blocks = (*policy.around(str(who["outcome"]), who["plan"]), policy.lanes[str(who["lane"])].rules, route.rules)
    ceilings = sorted((rule for rules in blocks for rule in rules.ceilings), key=lambda rule: rule.span.order)
    rules = applied((rule for rule in ceilings if point in rule.points), who)
    return Kind(who, rules, (pricing(route), rules))


def attempt(policy: CheckedPolicy, columns: Columns, together: Together, *, shrinking: bool = False) -> Sheet:
    """The query of an attempt. Rows that it answers with `tight` are asked again, `shrinking` the output cap."""
    work = Ceilings(policy, columns, together, Point.ATTEMPT)
    reader, sheet = work.reader, work.sheet
    sent, cap, stated = (reader.column(name) for name in ("input_tokens", "max_output_tokens", "estimate_nanos"))
    least = reader.column("min_output_tokens")
    if shrinking:
        return _shrinking(work, sent, cap, least, stated)
    asked = work.kept(work.amounts(sent, cap, stated, states_first=True), work.first)
    work.look(asked)
    silent = asked.nanos.expr.is_null() if asked.nanos.nullable else None
    known = None if silent is None else ~silent
    crossings = [sheet.keep(work.crossed(ceiling, asked), work.third) for ceiling in work.enforced]
    over = sheet.keep(any_of(crossings), work.fourth)
    go = sheet.keep(everywhere(both(~over, known)), work.fifth)
    deadline = _deadline(work, go, crossings, known)
    refuse, unknown_estimate = _word(Point.ATTEMPT, "over_ceiling"), _word(Point.ATTEMPT, "estimate_unknown")
    reason: pl.Expr = pl.when(over).then(refuse)
    if silent is not None:
        reason = pl.when(silent).then(unknown_estimate).when(over).then(refuse)
        sheet.unknown["estimate"] = [*sheet.unknown.get("estimate", ()), silent]
    work.unknown_meters(work.enforced, known)
    work.alerts(asked, go)
    shadows = work.shadows(asked, work.third)
    sheet.answers = {
        "effect": (~go).cast(pl.UInt8),
        "reason": reason,
        "reserved_nanos": pl.when(go).then(asked.nanos.expr),
        "reserved_tokens": pl.when(go).then(asked.tokens.expr),
        "output_cap": pl.when(go).then(cap.expr),
        "deadline_micros": deadline,
    }
    if columns.is_given("min_output_tokens"):
        # What would be answered otherwise with less is asked again with the least that the caller would take.
        less = any_of((*(bit for bit, each in zip(crossings, work.enforced, strict=True) if _yields(each)), *shadows))
        sheet.answers["tight"] = everywhere(both(over, less, least.expr.is_not_null(), known))
    return sheet


def _shrinking(work: Ceilings, sent: Value, cap: Value, least: Value, stated: Value) -> Sheet:
    """Rows whose worst case does not fit, and whose caller would take a smaller cap."""
    sheet = work.sheet
    asked = work.kept(work.amounts(sent, cap, stated, states_first=True), work.first)
    smallest = work.kept(work.amounts(sent, least, stated, states_first=True), work.first)
    work.look(asked)
    crossings = [sheet.keep(work.crossed(ceiling, smallest), work.third) for ceiling in work.enforced]
    over = sheet.keep(any_of(crossings), work.fourth)
    rooms: dict[int, pl.Expr] = {}
    rates = _Rates(work, sent, stated)
    for number, ceiling in enumerate(work.enforced):
        room = rates.room(ceiling, sent, asked)
        if room is not None:
            # Only what has less room than was asked for shrinks the cap.
            room = sheet.keep(room, work.third)
            less = everywhere(both(ceiling.applies, room < cap.expr))
            rooms[number] = sheet.keep(pl.when(less).then(room), work.fourth)
    tightest = sheet.keep(pl.min_horizontal(cap.expr, *rooms.values()), work.fifth)
    shaping = {number: (room == tightest).fill_null(value=False) for number, room in rooms.items()}
    sixth, seventh = sheet.stage(), sheet.stage()
    go = sheet.keep(~over, work.fifth)
    granted_cap = pl.when(over).then(least.expr).otherwise(tightest)
    granted = work.kept(work.amounts(sent, Value(granted_cap), stated, states_first=True), sixth)
    shrunk = sheet.keep(any_of(shaping.values()) & go, seventh)
    deadline = _deadline(work, go, crossings, None, shaping)
    work.unknown_meters(work.enforced, None)
    work.alerts(granted, go)
    work.shadows(granted, seventh)
    sheet.answers = {
        "effect": (~go).cast(pl.UInt8),
        "reason": pl.when(over)
        .then(_word(Point.ATTEMPT, "over_ceiling"))
        .when(shrunk)
        .then(_word(Point.ATTEMPT, "shrunk")),
        "reserved_nanos": pl.when(go).then(granted.nanos.expr),
        "reserved_tokens": pl.when(go).then(granted.tokens.expr),
        "output_cap": pl.when(go).then(tightest),
        "deadline_micros": deadline,
    }
    return sheet


def _yields(ceiling: Ceiling) -> bool:
    """Whether a smaller cap may do where this ceiling is crossed."""
    return ceiling.rule.quantity in ("spent", "tokens")


class _Rates:
    """The rates of each row's route, null where output costs nothing or what the caller states is the cost."""

    def __init__(self, work: Ceilings, sent: Value, stated: Value) -> None:
        self._work = work
        by_output = {
            rates: kinds
            for (rates, flat, _), kinds in work.routes().items()
            if rates is not None and flat is None and rates.steps[-1].output_picos
        }
        self._known: pl.Expr | None = None
        if by_output:
            within = work.together.within(number for kinds in by_output.values() for number in kinds)
            known = everywhere(both(within, stated.expr.is_null() if stated.nullable else None))
            into, out_of = work.per_token(list(by_output.items()), sent)
            if any(not step.output_picos for rates in by_output for step in rates.steps):
                known = everywhere(both(known, out_of > 0))  # output costs nothing up to some step
            self._into = work.sheet.keep(into, work.first)
            self._known = work.sheet.keep(pl.when(known).then(out_of), work.first)

    def room(self, ceiling: Ceiling, sent: Value, asked: Amounts) -> pl.Expr | None:
        """The output tokens that a ceiling leaves room for; null where it says nothing about them."""
        left = ceiling.limit - ceiling.used
        if ceiling.rule.quantity == "tokens":
            return left - sent.expr
        if ceiling.rule.quantity != "spent" or self._known is None:
            return None
        # More than is asked for leaves room for all of it, so no product is larger than the cost in picos.
        enough = pl.min_horizontal(left, asked.nanos.expr) * PICOS_PER_NANO
        return (enough - sent.expr * self._into) // self._known


def _deadline(
    work: Ceilings,
    go: pl.Expr,
    crossings: list[pl.Expr],
    known: pl.Expr | None,
    shaping: dict[int, pl.Expr] | None = None,
) -> pl.Expr:
    """How long an attempt may run; and the rules that decide, which are the crossed ones of a refusal, those that
    say when and those that shrink of a go.
    """
    sheet = work.sheet
    stage = sheet.stage()
    left = {
        number: sheet.keep(_where(ceiling.applies, ceiling.limit - ceiling.used), stage)
        for number, ceiling in enumerate(work.enforced)
        if ceiling.rule.quantity == "elapsed"
    }
    if len(left) > 1:
        soonest = sheet.keep(pl.min_horizontal(*left.values()), sheet.stage())
    else:
        soonest = next(iter(left.values()), NULL)
    for number, ceiling in enumerate(work.enforced):
        decides = crossings[number]
        said = (shaping or {}).get(number)
        if number in left:
            said = ceiling.applies if len(left) == 1 else (left[number] == soonest).fill_null(value=False)
            decides = everywhere(said) if len(left) == 1 else pl.when(go).then(said).otherwise(decides)
            if len(left) == 1:
                decides = everywhere(both(ceiling.applies, go | crossings[number]))
        elif said is not None:
            decides = pl.when(go).then(said).otherwise(decides)
        sheet.rules.append((ceiling.rule.ref.name, everywhere(both(decides, known))))
    return pl.when(go).then(soonest)


def progress(policy: CheckedPolicy, columns: Columns, together: Together) -> Sheet:
    """The query of a look at a stream."""
    work = Ceilings(policy, columns, together, Point.PROGRESS)
    reader, sheet = work.reader, work.sheet
    sent, out, cap, stated = (
        reader.column(name) for name in ("input_tokens", "output_tokens", "output_cap", "estimate_nanos")
    )
    streamed = work.kept(work.amounts(sent, out, stated, states_first=False), work.first)
    work.look(streamed)
    crossings = [sheet.keep(work.crossed(ceiling, streamed), work.third) for ceiling in work.enforced]
    late = [bit for bit, ceiling in zip(crossings, work.enforced, strict=True) if ceiling.rule.quantity == "elapsed"]
    full = (out.expr > cap.expr).fill_null(value=False)
    reason = sheet.keep(
        pl.when(full)
        .then(_word(Point.PROGRESS, "output_cap"))
        .when(any_of(late))
        .then(_word(Point.PROGRESS, "deadline"))
        .when(any_of(crossings))
        .then(_word(Point.PROGRESS, "over_ceiling")),
        work.fourth,
    )
    work.unknown_meters(work.enforced, None)
    work.shadows(streamed, work.third)
    sheet.rules = [(ceiling.rule.ref.name, bit) for ceiling, bit in zip(work.enforced, crossings, strict=True)]
    sheet.answers = {"effect": reason.is_not_null().cast(pl.UInt8), "reason": reason}
    return sheet


def _word(point: Point, reason: str) -> pl.Expr:
    return pl.lit(REASONS[point].index(reason), dtype=pl.UInt8)


def _where(test: pl.Expr | None, value: pl.Expr) -> pl.Expr:
    return value if test is None else pl.when(test).then(value)
