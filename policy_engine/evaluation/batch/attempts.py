"""`attempt` and `progress` of many rows: every ceiling asked of whole columns at once."""

from dataclasses import dataclass
from math import ceil

import polars as pl

from policy_engine.evaluation.batch.columns import Columns
from policy_engine.evaluation.batch.conditions import NULL, ROOM, Reader, Unbatched, Value
from policy_engine.evaluation.batch.groups import Applied, Kind, Together, Who, applied
from policy_engine.evaluation.batch.sheet import Sheet, any_of, both, everywhere
from policy_engine.language.checked import CeilingRule, CheckedPolicy, Route
from policy_engine.language.units import PICOS_PER_NANO, Rates
from policy_engine.language.vocabulary import Point

EFFECTS = {Point.ATTEMPT: ("go", "refuse"), Point.PROGRESS: ("go", "cut")}
REASONS = {
    Point.ATTEMPT: ("over_ceiling", "estimate_unknown", "shrunk"),
    Point.PROGRESS: ("output_cap", "deadline", "over_ceiling"),
}

Pricing = tuple[Rates | None, int | None, bool]


def pricing(route: Route) -> Pricing:
    """What an estimate on this route depends on."""
    return route.rates, route.cost_nanos, route.kind == "tool"


def kind_of(policy: CheckedPolicy, point: Point, who: Who) -> Kind:
    """The ceilings that can apply to a group, and the price of its route."""
    route = policy.routes[str(who["route"])]
    blocks = (*policy.around(str(who["outcome"]), who["plan"]), policy.lanes[str(who["lane"])].rules, route.rules)
    ceilings = sorted((rule for rules in blocks for rule in rules.ceilings), key=lambda rule: rule.span.order)
    rules = applied((rule for rule in ceilings if point in rule.points), who)
    return Kind(who, rules, (pricing(route), rules))


@dataclass(slots=True)
class Ceiling:
    """A ceiling with what it asks of columns: `over` where it applies and what is asked does not fit."""

    rule: CeilingRule
    applies: pl.Expr | None
    limit: pl.Expr
    used: pl.Expr
    nullable: bool


@dataclass(slots=True)
class Amounts:
    """What is asked, as columns; null where it cannot be known."""

    nanos: Value
    tokens: Value

    def of(self, quantity: str) -> Value:
        if quantity == "spent":
            return self.nanos
        return self.tokens if quantity == "tokens" else Value(pl.lit(1, dtype=pl.Int64))


class Ceilings:
    """The ceilings of one query."""

    def __init__(self, policy: CheckedPolicy, columns: Columns, together: Together, point: Point) -> None:
        self.policy, self.columns, self.together, self.point = policy, columns, together, point
        self.reader = Reader(columns)
        self.sheet = Sheet(together, self.reader)
        # Cost, then all that reads it, then what follows from that.
        self.first, self.second, self.third, self.fourth, self.fifth = (self.sheet.stage() for _ in range(5))
        self.limits: dict[object, pl.Expr] = {}

    def look(self, asked: Amounts) -> None:
        """Read every ceiling: where it applies, what it leaves."""
        estimate = self.estimate(asked)
        self.reader.built_in = {"estimate": estimate}
        found = [(self.ceiling(each, kinds), each.rule.shadow) for each, kinds in self.together.ordered()]
        self.enforced = [ceiling for ceiling, shadow in found if not shadow]
        self.shadowed = [ceiling for ceiling, shadow in found if shadow]

    def estimate(self, asked: Amounts) -> Value:
        if self.point is Point.PROGRESS:
            return self.reader.column("estimate_nanos")

        def need(most: int) -> None:
            self.reader.column("estimate_nanos", most)
            self.costs_at_most(most // 2)
            if any(flat is not None and flat > most for _, flat, _ in self.routes()):
                raise Unbatched("cost")

        return Value(asked.nanos.expr, asked.nanos.nullable, need)

    def ceiling(self, each: Applied, kinds: frozenset[int]) -> Ceiling:
        rule = each.rule
        assert isinstance(rule, CeilingRule)  # noqa: S101 - that is what was looked up
        used, nullable = self.used(rule)
        return Ceiling(rule, self.sheet.applies(each, kinds, self.second), self.limit(rule), used, nullable)

    def used(self, rule: CeilingRule) -> tuple[pl.Expr, bool]:
        if rule.quantity == "elapsed":
            if rule.scope.execution == "attempt" and self.point is Point.ATTEMPT:
                return pl.lit(0, dtype=pl.Int64), False
            start = {"outcome": "elapsed_micros", "step": "step_elapsed_micros", "attempt": "attempt_elapsed_micros"}
            return self.reader.column(start[str(rule.scope.execution)]).expr, False
        if rule.scope.execution == "attempt":
            return pl.lit(0, dtype=pl.Int64), False
        return self.sheet.used(rule.meter, self.first)

    def limit(self, rule: CeilingRule) -> pl.Expr:
        share = rule.percent_of_price
        if share is None:
            if rule.limit is None or rule.limit > ROOM:
                raise Unbatched(rule.ref.name)
            return pl.lit(rule.limit, dtype=pl.Int64)
        if share not in self.limits:
            price = self.reader.column("price_nanos", 2 * ROOM // max(1, share.numerator))
            value = price.expr * pl.lit(share.numerator, dtype=pl.Int64) // (share.denominator * 100)
            self.limits[share] = self.sheet.keep(value, self.first)
        return self.limits[share]

    # ------------------------------------------------------------ amounts

    def routes(self) -> dict[Pricing, frozenset[int]]:
        """The kinds of each pricing."""
        found: dict[Pricing, set[int]] = {}
        for number, kind in enumerate(self.together.kinds):
            found.setdefault(pricing(self.policy.routes[str(kind.who["route"])]), set()).add(number)
        return {each: frozenset(kinds) for each, kinds in found.items()}

    def costs_at_most(self, most: int) -> None:
        """Bound the tokens so that no cost is more."""
        for rates, _, _ in self.routes():
            if rates is not None:
                for picos, names in (
                    (rates.input_picos, ("input_tokens",)),
                    (rates.output_picos, ("max_output_tokens", "output_tokens")),
                ):
                    for name in names:
                        if picos and name in self.columns.frame.columns:
                            self.reader.bound(name, min(most, ROOM // PICOS_PER_NANO) * PICOS_PER_NANO // picos)

    def amounts(self, sent: Value, out: Value, stated: Value, *, states_first: bool) -> Amounts:
        """Worst case, or what was streamed. What the caller states comes first, or where nothing else is known."""
        self.costs_at_most(ROOM)
        tokens, tokens_nullable = sent.expr + out.expr, sent.nullable or out.nullable
        routes = self.routes()
        by_rates = [(rates, kinds) for (rates, flat, _), kinds in routes.items() if rates is not None and flat is None]
        cost: pl.Expr | None = None
        if by_rates:
            picos = sent.expr * self.chosen([(rates.input_picos, kinds) for rates, kinds in by_rates])
            picos += out.expr * self.chosen([(rates.output_picos, kinds) for rates, kinds in by_rates])
            cost = (picos + (PICOS_PER_NANO - 1)) // PICOS_PER_NANO
        for (rates, flat, tool), kinds in routes.items():
            within = self.together.within(kinds)
            if tool and tokens_nullable:
                filled = (sent.expr + out.expr).fill_null(0)
                tokens = pl.when(everywhere(within)).then(filled).otherwise(tokens)
            if flat is not None and flat > ROOM:
                raise Unbatched("cost")
            if flat is not None or rates is None:
                here = NULL if flat is None else pl.lit(flat, dtype=pl.Int64)
                cost = here if cost is None or within is None else pl.when(within).then(here).otherwise(cost)
        assert cost is not None  # noqa: S101 - there are kinds
        unpriced = any(flat is None and rates is None for rates, flat, _ in self.routes())
        by_tokens = any(flat is None and rates is not None for rates, flat, _ in self.routes())
        nullable = unpriced or (by_tokens and tokens_nullable)
        if self.columns.is_given("estimate_nanos"):
            if states_first:
                cost = pl.coalesce(stated.expr, cost)
            elif nullable:
                flat_or_rates = cost
                cost = pl.coalesce(flat_or_rates, stated.expr)
            nullable = nullable and stated.nullable
        return Amounts(Value(cost, nullable), Value(tokens, tokens_nullable))

    def chosen(self, numbers: list[tuple[int, frozenset[int]]]) -> pl.Expr:
        """One of these constants, by a row's kind."""
        found: pl.Expr | None = None
        for number, kinds in numbers:
            here = pl.lit(number, dtype=pl.Int64)
            found = (
                here if found is None else pl.when(everywhere(self.together.within(kinds))).then(here).otherwise(found)
            )
        assert found is not None  # noqa: S101 - asked of some
        return found

    def kept(self, amounts: Amounts, stage: int) -> Amounts:
        nanos, tokens = self.sheet.keep(amounts.nanos.expr, stage), self.sheet.keep(amounts.tokens.expr, stage)
        return Amounts(Value(nanos, amounts.nanos.nullable), Value(tokens, amounts.tokens.nullable))

    # ------------------------------------------------------------ verdicts

    def crossed(self, ceiling: Ceiling, asked: Amounts) -> pl.Expr:
        """Where it applies and what is asked does not fit; what is unknown does not fit."""
        rule = ceiling.rule
        if rule.quantity == "elapsed":
            return everywhere(both(ceiling.applies, ceiling.used >= ceiling.limit))
        amount = asked.of(rule.quantity)
        if rule.scope.execution == "attempt":
            over = amount.expr > ceiling.limit
        else:
            over = ceiling.used + amount.expr > ceiling.limit
        if ceiling.nullable or amount.nullable:
            over = over.fill_null(value=True)
        return everywhere(both(ceiling.applies, over))

    def unknown_meters(self, ceilings: list[Ceiling], rows: pl.Expr | None) -> None:
        for ceiling in ceilings:
            if ceiling.nullable:
                null = everywhere(both(ceiling.applies, rows, ceiling.used.is_null()))
                self.sheet.unknown.setdefault(str(ceiling.rule.meter), []).append(null)

    def alerts(self, asked: Amounts, rows: pl.Expr) -> None:
        """Thresholds that these amounts, once granted, are the first to reach."""
        for ceiling in self.enforced:
            rule = ceiling.rule
            for percent in rule.alerts if rule.quantity != "elapsed" else ():
                if rule.percent_of_price is None and rule.limit is not None:
                    threshold = pl.lit(ceil(rule.limit * percent / 100), dtype=pl.Int64)
                else:
                    below = percent.denominator * 100
                    self.reader.bound("price_nanos", ROOM // max(1, percent.numerator))
                    threshold = (ceiling.limit * pl.lit(percent.numerator, dtype=pl.Int64) + (below - 1)) // below
                then = ceiling.used + asked.of(rule.quantity).expr
                reached = (ceiling.used < threshold) & (threshold <= then)
                truth = everywhere(both(rows, ceiling.applies, reached))
                word = f"{rule.ref.name} at {float(percent):g}%"
                self.sheet.alerts.append((word, truth.fill_null(value=False)))

    def shadows(self, asked: Amounts) -> None:
        for ceiling in self.shadowed:
            self.sheet.shadow.append((ceiling.rule.ref.name, self.crossed(ceiling, asked)))
        self.unknown_meters(self.shadowed, None)


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
    shrinks = columns.is_given("min_output_tokens")
    final, wanted = asked, None
    if shrinks:
        # What does not fit is asked again with the least that the caller would take.
        crossing = any_of(work.crossed(ceiling, asked) for ceiling in work.enforced)
        wanted = sheet.keep(everywhere(both(crossing, least.expr.is_not_null(), known)), work.third)
        smaller = pl.when(wanted).then(least.expr).otherwise(cap.expr)
        less = Value(smaller, cap.nullable)
        final = work.kept(work.amounts(sent, less, stated, states_first=True), sheet.stage())
        work.third, work.fourth, work.fifth = sheet.stage(), sheet.stage(), sheet.stage()
    crossings = [sheet.keep(work.crossed(ceiling, final), work.third) for ceiling in work.enforced]
    over = sheet.keep(any_of(crossings), work.fourth)
    go = sheet.keep(everywhere(both(~over, known)), work.fifth)
    deadline = _deadline(work, go, crossings, known)
    refuse, unknown_estimate = _word(Point.ATTEMPT, "over_ceiling"), _word(Point.ATTEMPT, "estimate_unknown")
    reason: pl.Expr = pl.when(over).then(refuse)
    if silent is not None:
        reason = pl.when(silent).then(unknown_estimate).when(over).then(refuse)
        sheet.unknown["estimate"] = [*sheet.unknown.get("estimate", ()), silent]
    work.unknown_meters(work.enforced, known)
    work.alerts(final, go)
    work.shadows(final)
    sheet.answers = {
        "effect": (~go).cast(pl.UInt8),
        "reason": reason,
        "reserved_nanos": pl.when(go).then(final.nanos.expr),
        "reserved_tokens": pl.when(go).then(final.tokens.expr),
        "output_cap": pl.when(go).then(cap.expr),
        "deadline_micros": deadline,
        "tight": pl.lit(value=False) if wanted is None else wanted & go,
    }
    return sheet


def _shrinking(work: Ceilings, sent: Value, cap: Value, least: Value, stated: Value) -> Sheet:
    """Rows whose worst case does not fit, and whose caller would take a smaller cap."""
    sheet = work.sheet
    asked = work.kept(work.amounts(sent, cap, stated, states_first=True), work.first)
    smallest = work.kept(work.amounts(sent, least, stated, states_first=True), work.first)
    work.look(asked)
    crossings = [sheet.keep(work.crossed(ceiling, smallest), work.third) for ceiling in work.enforced]
    over = sheet.keep(any_of(crossings), work.fourth)
    rooms: list[tuple[int, pl.Expr]] = []
    for number, ceiling in enumerate(work.enforced):
        for room in _rooms(work, ceiling, sent, asked, stated):
            # Only what has less room than was asked for shrinks the cap.
            less = sheet.keep(pl.when(everywhere(both(ceiling.applies, room < cap.expr))).then(room), work.third)
            rooms.append((number, less))
    tightest = sheet.keep(pl.min_horizontal(cap.expr, *(room for _, room in rooms)), work.fourth)
    shaping: dict[int, pl.Expr] = {}
    for number, room in rooms:
        fits = (room == tightest).fill_null(value=False)
        shaping[number] = shaping[number] | fits if number in shaping else fits
    go = sheet.keep(~over, work.fifth)
    granted_cap = pl.when(over).then(least.expr).otherwise(tightest)
    granted = work.amounts(sent, Value(granted_cap), stated, states_first=True)
    sixth = sheet.stage()
    granted = work.kept(granted, sixth)
    shrunk = sheet.keep(any_of(shaping.values()) & go, sixth)
    deadline = _deadline(work, go, crossings, None, shaping)
    work.unknown_meters(work.enforced, None)
    work.alerts(granted, go)
    work.shadows(granted)
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


def _rooms(work: Ceilings, ceiling: Ceiling, sent: Value, asked: Amounts, stated: Value) -> list[pl.Expr]:
    """The output tokens that one ceiling leaves room for."""
    rule = ceiling.rule
    left = ceiling.limit - ceiling.used
    if rule.quantity == "tokens":
        return [left - sent.expr]
    if rule.quantity != "spent":
        return []
    found: list[pl.Expr] = []
    for (rates, flat, _), kinds in work.routes().items():
        if flat is not None or rates is None or rates.output_picos == 0:
            continue
        into, outof = rates.input_picos, rates.output_picos
        # More than is asked for leaves room for all of it, so no product is larger than the cost in picos.
        enough = pl.min_horizontal(left, asked.nanos.expr) * PICOS_PER_NANO
        room = (enough - sent.expr * pl.lit(into, dtype=pl.Int64)) // pl.lit(outof, dtype=pl.Int64)
        found.append(pl.when(everywhere(both(work.together.within(kinds), stated.expr.is_null()))).then(room))
    return found


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
    work.shadows(streamed)
    sheet.rules = [(ceiling.rule.ref.name, bit) for ceiling, bit in zip(work.enforced, crossings, strict=True)]
    sheet.answers = {"effect": reason.is_not_null().cast(pl.UInt8), "reason": reason}
    return sheet


def _word(point: Point, reason: str) -> pl.Expr:
    return pl.lit(REASONS[point].index(reason), dtype=pl.UInt8)


def _where(test: pl.Expr | None, value: pl.Expr) -> pl.Expr:
    return value if test is None else pl.when(test).then(value)
