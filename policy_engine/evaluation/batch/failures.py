"""`failure` of many rows: retries first, then the fallbacks in their order, each for the rows still open."""

from functools import reduce
from operator import add

import polars as pl

from policy_engine.evaluation.batch.columns import Columns
from policy_engine.evaluation.batch.conditions import NULL, ROOM, Reader, Unbatched, Value
from policy_engine.evaluation.batch.groups import Applied, Kind, Together, Who, applied
from policy_engine.evaluation.batch.sheet import Sheet, any_of, both, everywhere
from policy_engine.language.checked import (
    SPENT,
    CeilingRule,
    CheckedPolicy,
    FallbackRule,
    LimitRule,
    RetryRule,
    Rule,
    reads,
)
from policy_engine.language.vocabulary import NEVER_RETRIED, Point

EFFECTS = ("retry", "route", "hand_off", "stop")


def kind_of(policy: CheckedPolicy, point: Point, who: Who) -> Kind:
    """What can apply to a failure: retries, fallbacks, handoffs' limits, and ceilings where a fallback reads one."""
    del point
    error, lane = str(who["error"]), policy.lanes[str(who["lane"])]
    around = policy.around(str(who["outcome"]), who["plan"])
    route = policy.routes[str(who["route"])]
    retries = [r for rules in (*around, lane.rules, route.rules) for r in rules.retries if error in r.classes]
    file, workflow, outcome = around[:3]
    fallbacks = [f for rules in (outcome, workflow, lane.rules, file) for f in rules.fallbacks if error in f.classes]
    limits = [limit for each in _handoffs(policy, fallbacks, lane.path) for limit in policy.routes[each].rules.limits]
    ceilings: list[Rule] = []
    if any(read.name in ("ceiling", "remaining") for each in applied(fallbacks, who) for read in reads(each.condition)):
        enforced = [rule for rules in (*around, lane.rules) for rule in rules.ceilings if not rule.shadow]
        ceilings = [c for c in enforced if c.quantity == "spent" and c.scope.execution == "outcome"]
    found = applied([*retries, *fallbacks, *(limit for limit in limits if not limit.shadow), *ceilings], who)
    order = tuple(each.rule for each in found if isinstance(each.rule, FallbackRule))
    return Kind(who, found, (who["lane"], who["route"], error in NEVER_RETRIED, bool(ceilings), order, found))


def needed(kind: Kind) -> tuple[Applied, ...]:
    """The rules whose facts are asked for before anything is decided; a handoff's limit asks when it is reached."""
    return tuple(each for each in kind.rules if not isinstance(each.rule, LimitRule))


def _handoffs(policy: CheckedPolicy, fallbacks: list[FallbackRule], path: tuple[str, ...]) -> list[str]:
    targets = dict.fromkeys(rule.target for rule in fallbacks if rule.target not in ("next", "stop"))
    if any(rule.target == "next" for rule in fallbacks):
        targets[path[-1]] = None
    return [name for name in targets if policy.routes[name].kind == "handoff"]


def failure(policy: CheckedPolicy, columns: Columns, together: Together) -> Sheet:
    """The query of a failure."""
    return _Writer(policy, columns, together).write()


class _Writer:
    def __init__(self, policy: CheckedPolicy, columns: Columns, together: Together) -> None:
        self.policy, self.columns, self.together = policy, columns, together
        self.reader = Reader(columns)
        self.sheet = Sheet(together, self.reader)
        # What ceilings read, the tightest of them, all other conditions, retries, whether there is one more.
        self.first, self.second, self.third, self.fourth, self.fifth = (self.sheet.stage() for _ in range(5))
        found = together.ordered()
        self.retries = [(each, kinds) for each, kinds in found if isinstance(each.rule, RetryRule)]
        self.limits = [(each, kinds) for each, kinds in found if isinstance(each.rule, LimitRule)]
        self.ceilings = [(each, kinds) for each, kinds in found if isinstance(each.rule, CeilingRule)]
        fallbacks = [(each, kinds) for each, kinds in found if isinstance(each.rule, FallbackRule)]
        self.fallbacks = sorted(fallbacks, key=lambda item: INNERMOST_FIRST.index(item[0].rule.block.kind))
        self.taken: list[tuple[pl.Expr, pl.Expr, pl.Expr]] = []  # where, effect, route

    def write(self) -> Sheet:
        sheet = self.sheet
        self._look_at_ceiling()
        again, delay = self._retry()
        still = sheet.keep(~again, self.fifth)
        following = self._next() if any(_target(each) == "next" for each, _ in self.fallbacks) else None
        for each, kinds in self.fallbacks:
            still = self._fallback(each, kinds, still, following)
        effect, route = pl.when(again).then(_word("retry")), pl.when(again).then(pl.col("here"))
        for where, word, target in self.taken:
            effect, route = effect.when(where).then(word), route.when(where).then(target)  # type: ignore[assignment]  # chains
        sheet.answers = {
            "effect": effect.otherwise(_word("stop")),
            "reason": pl.lit(None, dtype=pl.UInt8),
            "route": route,
            "delay_micros": delay,
        }
        return sheet

    # ------------------------------------------------------------ `ceiling` and `remaining`

    def _look_at_ceiling(self) -> None:
        """The tightest money ceiling per outcome; worked out only where a fallback reads it."""
        if not self.ceilings:
            return
        limits = []
        for each, kinds in self.ceilings:
            applies = self.sheet.applies(each, kinds, self.first)
            limits.append(pl.when(everywhere(applies)).then(self._limit(each)))
        tightest = self.sheet.keep(pl.min_horizontal(limits), self.second)
        readers = self.together.among(_reads_ceiling)
        always = self.together.among(
            lambda kind: any(isinstance(each.rule, CeilingRule) and each.condition is None for each in kind.rules)
        )
        nullable = not readers <= always
        spent = self.reader.used(SPENT)

        def need(most: int) -> None:
            for each, _ in self.ceilings:
                self._limit(each, most)

        def need_both(most: int) -> None:
            need(most // 2)
            spent.need(most // 2)

        self.reader.built_in = {
            "ceiling": Value(tightest, nullable, need),
            "remaining": Value(tightest - spent.expr, nullable or spent.nullable, need_both),
        }

    def _limit(self, each: Applied, most: int = ROOM) -> pl.Expr:
        rule = each.rule
        assert isinstance(rule, CeilingRule)  # noqa: S101 - a ceiling
        share = rule.percent_of_price
        if share is None:
            if rule.limit is None or rule.limit > most:
                raise Unbatched(rule.ref.name)
            return pl.lit(rule.limit, dtype=pl.Int64)
        price = self.reader.column("price_nanos", min(ROOM, most * 100 * share.denominator) // share.numerator)
        return price.expr * pl.lit(share.numerator, dtype=pl.Int64) // (share.denominator * 100)

    # ------------------------------------------------------------ retries

    def _retry(self) -> tuple[pl.Expr, pl.Expr]:
        """Where there is a retry, and after how long. A rule that may not apply counts, and permits nothing."""
        sheet = self.sheet
        spent, held, delays, rows = [], [], [], []
        for each, kinds in self.retries:
            rule = each.rule
            assert isinstance(rule, RetryRule)  # noqa: S101 - a retry
            counted = sheet.applies(each, kinds, self.third)
            made = self._made(rule)
            used_up = sheet.keep(made >= rule.count, self.third)
            counts = sheet.keep(everywhere(counted), self.fourth)
            rows.append((rule, counts, used_up))
            spent.append(counts & used_up)
            if each.condition is None:
                held.append(counts)
            else:
                truth, nullable = sheet.truth(each, self.third)
                within = self.together.within(kinds)
                held.append(everywhere(both(within, truth.fill_null(value=False) if nullable else truth)))
            delays.append(pl.when(counts).then(_delay(rule, made)))
        may = self.together.within(self.together.among(lambda kind: not _never(kind)))
        again = sheet.keep(everywhere(both(may, any_of(held), ~any_of(spent))), sheet.stage())
        self.fifth = sheet.stage()
        if not self.retries:
            return again, NULL
        for rule, counts, used_up in rows:
            sheet.rules.append((rule.ref.name, counts & (again | used_up)))
        return again, pl.when(again).then(pl.max_horizontal(delays))

    def _made(self, rule: RetryRule) -> pl.Expr:
        """The retries made that a rule counts."""
        present = [name for name in (f"retries {each}" for each in sorted(rule.classes)) if self._has(name)]
        return reduce(add, map(pl.col, present)) if present else pl.lit(0, dtype=pl.Int64)

    def _has(self, name: str) -> bool:
        return name in self.columns.frame.columns

    # ------------------------------------------------------------ fallbacks

    def _next(self) -> pl.Expr:
        """The first route of each row's lane after the furthest visited one, by number; null where none is left."""
        routes = tuple(self.policy.routes)
        by_lane: dict[str, set[int]] = {}
        for number, kind in enumerate(self.together.kinds):
            by_lane.setdefault(str(kind.who["lane"]), set()).add(number)
        found: pl.Expr | None = None
        for lane, kinds in by_lane.items():
            path = self.policy.lanes[lane].path
            here = pl.when(pl.col(f"visited {path[-1]}")).then(pl.lit(None, dtype=pl.UInt32))
            for place in range(len(path) - 2, -1, -1):
                beyond = pl.lit(routes.index(path[place + 1]), dtype=pl.UInt32)
                here = here.when(pl.col(f"visited {path[place]}")).then(beyond)  # type: ignore[assignment]  # a chain
            first = here.otherwise(pl.lit(routes.index(path[0]), dtype=pl.UInt32))
            within = self.together.within(kinds)
            found = first if found is None or within is None else pl.when(within).then(first).otherwise(found)
        assert found is not None  # noqa: S101 - there are kinds
        return self.sheet.keep(found, self.fifth)

    def _fallback(self, each: Applied, kinds: frozenset[int], still: pl.Expr, following: pl.Expr | None) -> pl.Expr:
        """Which of the rows still open go where this rule says; what is open after it."""
        routes, target = tuple(self.policy.routes), _target(each)
        within = self.together.within(kinds)
        if target == "stop":
            return self._take(each, both(within, still), still, _word("stop"), None, ends=True)
        if target != "next":
            handoff = self.policy.routes[target].kind == "handoff"
            way = both(within, still, ~pl.col(f"visited {target}"))
            code = pl.lit(routes.index(target), dtype=pl.UInt32)
            word = _word("hand_off" if handoff else "route")
            return self._take(each, way, still, word, code, ends=handoff, limited=target if handoff else None)
        assert following is not None  # noqa: S101 - worked out if any rule says `next`
        lasts = {self.policy.lanes[str(self.together.kinds[number].who["lane"])].path[-1] for number in kinds}
        handoffs = sorted(name for name in lasts if self.policy.routes[name].kind == "handoff")
        on = following.is_not_null()
        for name in handoffs:
            code = pl.lit(routes.index(name), dtype=pl.UInt32)
            on &= (following != code).fill_null(value=True)
            way = both(within, still, (following == code).fill_null(value=False))
            still = self._take(each, way, still, _word("hand_off"), code, ends=True, limited=name)
        return self._take(each, both(within, still, on), still, _word("route"), following, ends=False)

    def _take(
        self,
        each: Applied,
        way: pl.Expr | None,
        still: pl.Expr,
        word: pl.Expr,
        target: pl.Expr | None,
        *,
        ends: bool,
        limited: str | None = None,
    ) -> pl.Expr:
        sheet = self.sheet
        rows = everywhere(way)
        if each.condition is not None:
            truth, nullable = sheet.truth(each, self.third)
            if nullable:
                # What ends the step is the strict side of a fallback; going on is not.
                sheet.undecided(each, both(rows, truth.is_null()))
                truth = truth.fill_null(value=ends)
            rows &= truth
        taken = sheet.keep(rows)
        if limited is not None:
            full = self._limit_reached(limited, taken)
            taken = taken if full is None else sheet.keep(taken & ~full)
        sheet.rules.append((each.rule.ref.name, taken))
        self.taken.append((taken, word, pl.lit(None, dtype=pl.UInt32) if target is None else target))
        return sheet.keep(still & ~taken)

    def _limit_reached(self, handoff: str, rows: pl.Expr) -> pl.Expr | None:
        """Where a handoff has a limit that does not leave one more; an unknown count is a reached one."""
        own = self.policy.routes[handoff].rules.limits
        found = []
        for each, kinds in self.limits:
            rule = each.rule
            if not isinstance(rule, LimitRule) or rule not in own:
                continue
            if any(read.is_fact and read.name in self.columns.missing for read in reads(each.condition)):
                raise Unbatched("a fact that is missing, perhaps only where nothing reads it")
            applies = self.sheet.applies(each, kinds, self.third, among=rows)
            used, nullable = self.sheet.used(rule.meter, self.first)
            reached = used >= rule.count
            if nullable:
                null = everywhere(both(applies, rows, used.is_null()))
                self.sheet.unknown.setdefault(str(rule.meter), []).append(null)
                reached = reached.fill_null(value=True)
            found.append(everywhere(both(applies, reached)))
        return any_of(found) if found else None


INNERMOST_FIRST = ("outcome", "workflow", "lane", "file")


def _reads_ceiling(kind: Kind) -> bool:
    read = {read.name for each in kind.rules if isinstance(each.rule, FallbackRule) for read in reads(each.condition)}
    return not read.isdisjoint(("ceiling", "remaining"))


def _never(kind: Kind) -> bool:
    return kind.who["error"] in NEVER_RETRIED


def _target(each: Applied) -> str:
    assert isinstance(each.rule, FallbackRule)  # noqa: S101 - a fallback
    return each.rule.target


def _delay(rule: RetryRule, made: pl.Expr) -> pl.Expr:
    """Microseconds before the next retry, by how many there were: doubling from the first to the longest."""
    longest = rule.first_micros if rule.longest_micros is None else rule.longest_micros
    if longest > ROOM:
        raise Unbatched(rule.ref.name)
    found = pl.lit(longest, dtype=pl.Int64)
    if rule.longest_micros is None:
        return found
    for number in range(rule.count):
        delay = rule.first_micros << number
        if delay >= longest:
            break
        found = pl.when(made == number).then(pl.lit(delay, dtype=pl.Int64)).otherwise(found)
    return found


def _word(effect: str) -> pl.Expr:
    return pl.lit(EFFECTS.index(effect), dtype=pl.UInt8)
