"""Ceilings asked of whole columns: where they apply, what they leave, what does not fit."""

from dataclasses import dataclass
from math import ceil

import polars as pl

from policy_engine.evaluation.batch.columns import Columns
from policy_engine.evaluation.batch.conditions import NULL, ROOM, Reader, Unbatched, Value
from policy_engine.evaluation.batch.groups import Applied, Together
from policy_engine.evaluation.batch.sheet import Sheet, both, everywhere
from policy_engine.language.checked import CeilingRule, CheckedPolicy, Route
from policy_engine.language.units import PICOS_PER_NANO, Rates
from policy_engine.language.vocabulary import Point

Pricing = tuple[Rates | None, int | None, bool]


def pricing(route: Route) -> Pricing:
    """What an estimate on this route depends on."""
    return route.rates, route.cost_nanos, route.kind == "tool"


@dataclass(slots=True)
class Ceiling:
    """A ceiling as columns: where it applies (None: everywhere), its limit, what is used (perhaps null)."""

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
                dearest = rates.steps[-1]
                for picos, names in (
                    (dearest.input_picos, ("input_tokens",)),
                    (dearest.output_picos, ("max_output_tokens", "output_tokens")),
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
            into, out_of = self.per_token(by_rates, sent)
            picos = sent.expr * into + out.expr * out_of
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

    def chosen(self, numbers: list[tuple[pl.Expr, frozenset[int]]]) -> pl.Expr:
        """One of these, by a row's kind."""
        found: pl.Expr | None = None
        for here, kinds in numbers:
            found = (
                here if found is None else pl.when(everywhere(self.together.within(kinds))).then(here).otherwise(found)
            )
        assert found is not None  # noqa: S101 - asked of some
        return found

    def per_token(self, by_rates: list[tuple[Rates, frozenset[int]]], sent: Value) -> tuple[pl.Expr, pl.Expr]:
        """Pico units per input and per output token, by a row's kind and by how many tokens are sent."""
        into = [(_by_step([(step.above_tokens, step.input_picos) for step in r.steps], sent), k) for r, k in by_rates]
        out = [(_by_step([(step.above_tokens, step.output_picos) for step in r.steps], sent), k) for r, k in by_rates]
        return self.chosen(into), self.chosen(out)

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

    def shadows(self, asked: Amounts, stage: int) -> list[pl.Expr]:
        """Note what shadow ceilings would refuse; where those do that a smaller amount would not cross."""
        found = [(ceiling, self.sheet.keep(self.crossed(ceiling, asked), stage)) for ceiling in self.shadowed]
        self.sheet.shadow = [(ceiling.rule.ref.name, bit) for ceiling, bit in found]
        self.unknown_meters(self.shadowed, None)
        return [bit for ceiling, bit in found if ceiling.rule.quantity in ("spent", "tokens")]


def _by_step(steps: list[tuple[int, int]], sent: Value) -> pl.Expr:
    """A rate, by how many tokens are sent; not known where those are not."""
    found: pl.Expr = pl.lit(steps[0][1], dtype=pl.Int64)
    for (above, picos), (_, before) in zip(steps[1:], steps, strict=False):
        if picos != before:
            found = pl.when(sent.expr > above).then(pl.lit(picos, dtype=pl.Int64)).otherwise(found)
    return found
