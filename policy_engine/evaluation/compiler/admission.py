"""`admit` as a generated function: one per (outcome, plan, lane asked for, customer).

It answers the admissions that succeed and those that a lane passes on for one plain reason;
a denial goes to the reference, which names every rule behind it.
"""

import ast
from collections.abc import Callable
from typing import Any

from policy_engine.evaluation.compiler.ceilings import Applied, CeilingWriter, applied
from policy_engine.evaluation.compiler.conditions import NotCompiled, Reader, identity
from policy_engine.evaluation.compiler.index import Who
from policy_engine.evaluation.compiler.quoting import (
    Namespace,
    both,
    branch,
    constant,
    either,
    expression,
    function,
    load,
    name,
    row,
    statements,
)
from policy_engine.evaluation.decision import AdmitDecision, Digests, Draw, Head, LaneRefusal, Part, Ruling
from policy_engine.evaluation.facts import MISSING, Grant
from policy_engine.evaluation.terms import burn_down, fold, is_looked_at
from policy_engine.language.checked import CheckedPolicy, Rule, Rules, reads
from policy_engine.language.pricing import overage_meter

SLOW = "return slow(f)"

Allow = tuple[ast.expr | None, Rule]
"""An `allow` and its test; None for one without a condition."""


def admit(
    policy: CheckedPolicy, digests: Digests, who: Who, lanes: tuple[str, ...], slow: Callable[..., Any]
) -> Callable[..., Any]:
    """The admit function of these lanes. Raises `NotCompiled` where every admission is left to the reference."""
    return _Writer(policy, digests, who, lanes, slow).write()


class _Writer:
    def __init__(
        self, policy: CheckedPolicy, digests: Digests, who: Who, lanes: tuple[str, ...], slow: Callable[..., Any]
    ) -> None:
        self.policy, self.digests, self.who, self.lanes = policy, digests, who, lanes
        self.around = policy.around(who.outcome, who.plan)
        self.namespace = Namespace(slow=slow, MISSING=MISSING, drawn=drawn)
        self.reader = Reader(
            namespace=self.namespace,
            numbers={fact: number for number, fact in enumerate(policy.facts)},
            fields={"price": name("price")},
            optional=frozenset(),
            give_up=lambda: statements(SLOW),
            give_up_early=lambda: statements(SLOW),
        )
        self.ceilings = CeilingWriter(self.reader, self.namespace, name("price"), {})

    def write(self) -> Callable[..., Any]:
        if any(rule.shadow and is_looked_at(rule) for rules in self._blocks() for rule in rules):
            raise NotCompiled("shadow")
        body: list[ast.stmt] = []
        outer_allows: list[Allow] = []
        for rules in self.around:
            refusing, allows = self._entrance(rules, identity(self.who), by_lane=False)
            outer_allows += allows
            if allows:
                refusing.append(ast.UnaryOp(ast.Not(), either([c or constant(True) for c, _ in allows])))
            if refusing:
                body.append(branch(either(refusing), statements(SLOW)))
        for lane in self.lanes:
            body += self._lane(lane, outer_allows)
        body += statements(SLOW)
        reader = self.reader
        given = statements("given = f.given") if reader.prelude else []
        opening = [*self._draw(), *statements("read = f.meters.get\npassed = ()")]
        # what is read of facts may share the price, so the draw comes first
        made: Callable[..., Any] = load(
            function("admit", ["f"], [*given, *opening, *reader.prelude, *reader.body, *body]),
            self.namespace,
            f"admit {self.who.outcome}",
        )
        return made

    def _blocks(self) -> list[Rules]:
        return [*self.around, *(self.policy.lanes[lane].rules for lane in self.lanes)]

    # ------------------------------------------------------------ what it draws on

    def _draw(self) -> list[ast.stmt]:
        body = statements("grants = f.grants\nif grants is None:\n    return slow(f)\ndraw = drawn(grants)")
        otherwise = self._without_grant()
        body.append(branch(expression("draw is None"), otherwise))
        return body + statements("price = draw.price_nanos")

    def _without_grant(self) -> list[ast.stmt]:
        policy, outcome = self.policy, self.who.outcome
        if self.who.plan is None:
            return statements("draw = D", D=self.namespace.bind(Draw("list", policy.outcomes[outcome].price_nanos)))
        plan = policy.plans[self.who.plan]
        if plan.overage is None or outcome not in plan.overage.prices_nanos:
            return statements(SLOW)
        price = plan.overage.prices_nanos[outcome]
        take = statements("draw = D", D=self.namespace.bind(Draw("overage", price)))
        if plan.overage.cap_nanos is None:
            return take
        return [
            *statements("billed = f.meters.get(M)", M=self.namespace.bind(overage_meter(plan))),
            branch(
                expression(
                    "billed is None or billed.settled + billed.reserved > L", L=constant(plan.overage.cap_nanos - price)
                ),
                statements(SLOW),
            ),
            *take,
        ]

    # ------------------------------------------------------------ who may enter

    def _entrance(
        self, rules: Rules, fixed: dict[str, str | None], *, by_lane: bool
    ) -> tuple[list[ast.expr], list[Allow]]:
        """The tests of one block that refuse (allows apart), and its allows with their tests."""
        refusing: list[ast.expr] = []
        for rule in rules.forbids:
            refusing += self._tests(rule, fixed) or [constant(True)] if self._can_apply(rule, fixed) else []
        for limit in rules.limits:
            if self._can_apply(limit, fixed):
                used = self.reader.used(limit.meter)
                reached = expression("U >= C", U=used, C=constant(limit.count))
                refusing.append(both([*self._tests(limit, fixed), either([reached, *self._alerts_of(limit, used)])]))
        refusing += self._spent_up(rules, fixed, by_lane=by_lane)
        allows: list[Allow] = []
        for allow in rules.allows:
            tests = self._tests(allow, fixed) if self._can_apply(allow, fixed) else [constant(False)]
            allows.append((tests[0] if tests else None, allow))
        return refusing, allows

    def _alerts_of(self, limit: Any, used: ast.expr) -> list[ast.expr]:
        """An alert goes with the decision; once in a window, so the reference may tell it."""
        found = []
        for percent in limit.alerts:
            threshold = -(-limit.count * percent.numerator // (percent.denominator * 100))
            found.append(expression("U < T <= U + 1", U=used, T=constant(threshold)))
        return found

    def _spent_up(self, rules: Rules, fixed: dict[str, str | None], *, by_lane: bool) -> list[ast.expr]:
        """Window ceilings with nothing left."""
        found = []
        looked_at = [
            rule
            for rule in rules.ceilings
            if is_looked_at(rule)
            and rule.scope.window
            and any(read.name == "lane" for read in reads(rule.condition)) is by_lane
        ]
        for ceiling in applied(looked_at, fixed):
            used, limit = self.reader.used(ceiling.rule.meter), self.ceilings.limit(ceiling.rule)
            spent_up = expression("U >= L", U=used, L=limit)
            found.append(both([*self.ceilings.condition(ceiling), spent_up]))
        return found

    def _can_apply(self, rule: Rule, fixed: dict[str, str | None]) -> bool:
        return rule.condition is None or fold(rule.condition, fixed) is not False

    def _tests(self, rule: Rule, fixed: dict[str, str | None]) -> list[ast.expr]:
        """The test of a rule that can apply; none for one that does."""
        folded = True if rule.condition is None else fold(rule.condition, fixed)
        return [] if isinstance(folded, bool) else [self.reader.test(folded)]

    # ------------------------------------------------------------ lane by lane

    def _lane(self, lane: str, outer_allows: list[Allow]) -> list[ast.stmt]:
        fixed = identity(self.who) | {"lane": lane}
        rules = self.policy.lanes[lane].rules
        refusing: list[ast.expr] = []
        for outer in self.around:
            refusing += self._spent_up(outer, fixed, by_lane=True)
        forbids = [rule for rule in rules.forbids if self._can_apply(rule, fixed)]
        refusing_here, allows = self._entrance(rules, fixed, by_lane=False)
        refusing += refusing_here + self._spent_up(rules, fixed, by_lane=True)
        body: list[ast.stmt] = []
        shut: ast.expr | None = None
        if allows:
            shut = ast.UnaryOp(ast.Not(), either([c or constant(True) for c, _ in allows]))
        enter = self._enter(lane, fixed, [*outer_allows, *allows])
        rulings = [Ruling(rule.ref) for _, rule in allows]
        turned_away = statements(
            "passed += (R,)", R=self.namespace.bind(LaneRefusal(lane, "not_allowed", tuple(rulings)))
        )
        if refusing and len(forbids) == len(refusing) == 1:
            # one forbid and nothing else can refuse here: that, too, is a plain reason
            forbidden = LaneRefusal(lane, "forbidden", (Ruling(forbids[0].ref),))
            passing = statements("passed += (R,)", R=self.namespace.bind(forbidden))
            if shut is None:
                return [branch(refusing[0], passing, enter)]
            body.append(
                branch(refusing[0], [branch(shut, statements(SLOW), passing)], [branch(shut, turned_away, enter)])
            )
            return body
        if refusing:
            body.append(branch(either(refusing), statements(SLOW)))
        if shut is None:
            return [*body, *enter]
        return [*body, branch(shut, turned_away, enter)]

    def _enter(self, lane: str, fixed: dict[str, str | None], allows: list[Allow]) -> list[ast.stmt]:
        ordered = sorted(allows, key=lambda pair: (pair[1].ref.file, pair[1].ref.line, pair[1].ref.column))
        lines: ast.expr = row([])
        for condition, rule in ordered:
            line = row([self.namespace.bind(Part(rule.ref)), constant(None), constant(None), constant(None)])
            said = row([line]) if condition is None else expression("(L,) if C else ()", L=line, C=condition)
            lines = said if isinstance(lines, ast.Tuple) and not lines.elts else ast.BinOp(lines, ast.Add(), said)
        return [
            ast.Return(
                expression(
                    "DECISION(HEAD, LINES, (), LANE, ROUTE, draw, CEILING, passed)",
                    DECISION=self.namespace.bind(AdmitDecision),
                    HEAD=self.namespace.bind(Head("allow", None, self.policy.currency, self.digests)),
                    LINES=lines,
                    LANE=constant(lane),
                    ROUTE=constant(self.policy.lanes[lane].path[0]),
                    CEILING=self._ceiling(lane, fixed),
                )
            )
        ]

    def _ceiling(self, lane: str, fixed: dict[str, str | None]) -> ast.expr:
        """The tightest money ceiling on the execution, as far as it is known."""
        blocks = (*self.around, self.policy.lanes[lane].rules)
        money = [rule for rules in blocks for rule in rules.ceilings if is_looked_at(rule) and rule.scope.execution]
        always: list[ast.expr] = []
        sometimes: list[tuple[Applied, ast.expr]] = []
        for ceiling in applied(money, fixed):
            limit = self.ceilings.limit(ceiling.rule)
            if ceiling.condition is None:
                always.append(limit)
            else:
                sometimes.append((ceiling, limit))
        smallest = min((item.value for item in always if isinstance(item, ast.Constant)), default=None)  # type: ignore[type-var]
        kept = [item for item in always if not isinstance(item, ast.Constant)]
        if smallest is not None:
            kept.append(constant(int(smallest)))  # type: ignore[arg-type]  # a limit is an integer
        if not kept and not sometimes:
            return constant(None)
        if not sometimes:
            return kept[0] if len(kept) == 1 else ast.Call(name("min"), kept, [])
        if not kept:
            raise NotCompiled("a ceiling that may not be there")
        choices = [
            expression("L if C else K", L=limit, C=self.ceilings.condition(ceiling)[0], K=kept[0])
            for ceiling, limit in sometimes
        ]
        return ast.Call(name("min"), [*kept, *choices], [])


def drawn(grants: tuple[Grant, ...]) -> Draw | None:
    """The grant that burns down first, as a draw."""
    if len(grants) == 1:
        grant = grants[0]
        return Draw(grant.kind, grant.price_nanos, grant.id) if grant.left > 0 else None
    left = [grant for grant in grants if grant.left > 0]
    if not left:
        return None
    first = min(left, key=burn_down)
    return Draw(first.kind, first.price_nanos, first.id)
