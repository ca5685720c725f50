"""`failure` as a generated function: one per (outcome, plan, lane, route, customer, error class)."""

import ast
from collections.abc import Iterable, Mapping
from typing import Any

from policy_engine.evaluation.compiler.ceilings import applied
from policy_engine.evaluation.compiler.conditions import NotCompiled, Reader, identity, take_given
from policy_engine.evaluation.compiler.index import Who
from policy_engine.evaluation.compiler.quoting import (
    both,
    branch,
    constant,
    either,
    expression,
    name,
    or_slow,
    row,
    statements,
)
from policy_engine.evaluation.compiler.shapes import Namespace, Shapes, Written, decided_by
from policy_engine.evaluation.decision import Digests, FailureDecision, Head, Line, Part
from policy_engine.evaluation.terms import fold
from policy_engine.language.checked import (
    SPENT,
    CeilingRule,
    CheckedPolicy,
    FallbackRule,
    LimitRule,
    RetryRule,
    Test,
    reads,
)
from policy_engine.language.vocabulary import NEVER_RETRIED, Point

Tested = tuple[Test | None, Any]
"""A rule that can apply, with what is left of its condition."""


def failure(policy: CheckedPolicy, digests: Digests, who: Who, error: str, shapes: Shapes) -> Written:
    """The failure function of one error class. Raises `NotCompiled` for what is left to the reference."""
    return _Writer(policy, digests, who, error, shapes).write()


class _Writer:
    def __init__(self, policy: CheckedPolicy, digests: Digests, who: Who, error: str, shapes: Shapes) -> None:
        assert who.lane is not None  # noqa: S101 - a failure has a lane and a route
        assert who.route is not None  # noqa: S101 - as above
        self.policy, self.digests = policy, digests
        self.path = policy.lanes[who.lane].path
        self.error = error
        self.fixed = identity(who, error)
        around, lane = policy.around(who.outcome, who.plan), policy.lanes[who.lane].rules
        self.blocks = (*around, lane)
        retries = sorted(
            (
                r
                for rules in (*self.blocks, policy.routes[who.route].rules)
                for r in rules.retries
                if error in r.classes
            ),
            key=lambda rule: rule.span.order,
        )
        file, workflow, outcome = around[:3]
        fallbacks = [f for rules in (outcome, workflow, lane, file) for f in rules.fallbacks if error in f.classes]
        self.retries = self.possible(retries)
        self.fallbacks = self.possible(fallbacks)
        self.namespace = Namespace(shapes)
        self.reader = Reader(
            namespace=self.namespace,
            numbers={fact: number for number, fact in enumerate(policy.facts)},
            fields={
                "price": expression("f.price_nanos"),
                "step": expression("f.step"),
                "attempt": expression("f.attempt"),
                "failures": expression("f.failures"),
                "elapsed": expression("f.elapsed_micros"),
                "input_tokens": expression("f.input_tokens"),
            },
            optional=frozenset({"input_tokens"}),
            give_up=lambda: statements("return slow(f)"),
            give_up_early=lambda: statements("return slow(f)"),
        )

    def possible(self, rules: list[Any]) -> list[Tested]:
        found: list[Tested] = []
        for rule in rules:
            folded = True if rule.condition is None else fold(rule.condition, self.fixed)
            if folded is not False:
                found.append((None if folded is True else folded, rule))
        return found

    def write(self) -> Written:
        """The whole function: the retries first, where most failures end."""
        retrying, retry, otherwise = self._retry()
        opening = statements("retries = f.retries") if self.retries else []
        opening += statements("meters = f.meters") if self.reader.body else []
        before = [*opening, *self.reader.body, *retrying]
        self.reader.body.clear()
        self.reader.where_it_stands = True
        self._look_at_ceiling()
        body: list[ast.stmt] = []
        for number, (condition, rule) in enumerate(self.fallbacks, start=1):
            body += self._fallback(condition, rule)
            if condition is None and rule.target == "stop":
                # What comes behind decides nothing, but the facts that it reads are asked for all the same.
                self.reader.ask_for(test for test, _ in self.fallbacks[number:])
                break
        else:
            body.append(ast.Return(self._decision("stop", name("spent") if self.retries else None)))
        reader = self.reader
        give_up = reader.give_up_early()
        given = take_given(self.policy, self.namespace, expression("f.given"), give_up) if reader.prelude else []
        otherwise += [*statements("visited = f.visited"), *reader.body, *body]
        rest = otherwise if retry is None else [branch(retry[0], [retry[1]], otherwise)]
        whole = or_slow([*before, *rest], statements("return slow(f)"))
        return Written([*given, *reader.prelude, *whole], self.namespace)

    # ------------------------------------------------------------ retries

    def _retry(self) -> tuple[list[ast.stmt], tuple[ast.expr, ast.stmt] | None, list[ast.stmt]]:
        """How many retries were made; the retry and its test; and else `spent`, the lines of rules without one left."""
        if not self.retries:
            return [], None, []
        body = self._counted()
        counts = [name(f"n{number}") for number in range(len(self.retries))]
        conditions = [None if c is None else self.reader.test(c, rule) for c, rule in self.retries]
        left = [
            self._unless(condition, expression("N < C", N=count, C=self.namespace.bind(rule.count, rule)))
            for condition, count, (_, rule) in zip(conditions, counts, self.retries, strict=True)
        ]
        if self.error in NEVER_RETRIED:
            permitted: ast.expr = constant(False)
        elif None in conditions:
            permitted = both(left)
        else:
            permitted = both([*left, either([c for c in conditions if c is not None])])
        rows = [self._retry_line(rule, count) for count, (_, rule) in zip(counts, self.retries, strict=True)]
        used = [
            expression("(LINE,) if C else ()", LINE=line, C=condition) if condition is not None else row([line])
            for condition, line in zip(conditions, rows, strict=True)
        ]
        delays = [
            self._where(condition, self._delay(rule, count))
            for condition, count, (_, rule) in zip(conditions, counts, self.retries, strict=True)
        ]
        delay = delays[0] if len(delays) == 1 else ast.Call(name("max"), delays, [])
        again = self._decision("retry", _added(used), route=expression("f.route"), delay=delay)
        retry = permitted, ast.Return(again)
        if len(self.retries) == 1 and conditions == [None] and self.error not in NEVER_RETRIED:
            return body, retry, statements("spent = LINES", LINES=row(rows))  # that one, or it would have retried
        exhausted = []
        for condition, count, line, (_, rule) in zip(conditions, counts, rows, self.retries, strict=True):
            over = expression("N >= C", N=count, C=self.namespace.bind(rule.count, rule))
            tests = [over] if condition is None else [condition, over]
            exhausted.append(expression("(LINE,) if C else ()", LINE=line, C=both(tests)))
        return body, retry, statements("spent = LINES", LINES=_added(exhausted))

    def _counted(self) -> list[ast.stmt]:
        """Per rule, how many retries of its classes were made. Those that were, were mostly made for this same class,
        which every rule here is about.
        """
        cases: tuple[list[ast.stmt], ...] = ([], [], [])
        for number, (_, rule) in enumerate(self.retries):
            total = self.namespace.call(retried, name("retries"), self.namespace.bind(rule.classes, rule))
            for case, made in zip(cases, (constant(0), expression("retries[f.error]"), total), strict=True):
                case.append(ast.Assign([ast.Name(f"n{number}", ast.Store())], made))
        none, one, more = cases
        alone = branch(expression("len(retries) == 1 and f.error in retries"), one, more)
        return [branch(expression("not retries"), none, [alone])]

    def _unless(self, condition: ast.expr | None, test: ast.expr) -> ast.expr:
        return test if condition is None else either([ast.UnaryOp(ast.Not(), condition), test])

    def _where(self, condition: ast.expr | None, value: ast.expr) -> ast.expr:
        return value if condition is None else expression("V if C else 0", V=value, C=condition)

    def _delay(self, rule: RetryRule, count: ast.expr) -> ast.expr:
        if rule.longest_micros is None:
            return self.namespace.bind(rule.first_micros, rule)
        # Asked only while a retry is left, so for fewer than `count` made.
        delays = tuple(min(rule.longest_micros, rule.first_micros << made) for made in range(max(1, rule.count)))
        return expression("DELAYS[N]", DELAYS=self.namespace.bind(delays, rule), N=count)

    def _retry_line(self, rule: RetryRule, count: ast.expr) -> ast.expr:
        part = self.namespace.bind(Part(rule.ref, "count"), rule)
        return row([part, self.namespace.bind(rule.count, rule), count, constant(1)])

    # ------------------------------------------------------------ fallbacks

    def _fallback(self, condition: Test | None, rule: FallbackRule) -> list[ast.stmt]:
        ways = [] if condition is None else [self.reader.test(condition, rule)]
        if rule.target == "next":
            return self._go(ways, self._next(rule))
        if rule.target == "stop":
            return self._go(ways, [ast.Return(self._decision("stop", self._said(rule), rule=rule))])
        ways.append(expression("R not in visited", R=self.namespace.bind(rule.target, rule)))
        return self._go(ways, self._arrive(rule.target, rule))

    def _said(self, rule: FallbackRule) -> ast.expr | None:
        """The lines of a decision by this rule; None where they are there beforehand."""
        if not self.retries:
            return None
        return ast.BinOp(name("spent"), ast.Add(), self.namespace.bind((_line(rule),), rule))

    def _next(self, rule: FallbackRule) -> list[ast.stmt]:
        """The route behind the furthest one this step was sent to, looked for from the end of the lane."""
        chain: list[ast.stmt] = self._arrive(self.path[0], rule)
        for place, route in enumerate(self.path):
            behind: list[ast.stmt] = [ast.Pass()]
            if place + 1 < len(self.path):
                behind = self._arrive(self.path[place + 1], rule)
            been = expression("R in visited", R=self.namespace.bind(route, ("lane",)))
            chain = [branch(been, behind, chain)]
        return chain

    def _arrive(self, target: str, rule: FallbackRule) -> list[ast.stmt]:
        route = self.policy.routes[target]
        if route.kind != "handoff":
            return [ast.Return(self._decision("route", self._said(rule), rule=rule, target=target))]
        body: list[ast.stmt] = []
        free: list[ast.expr] = []
        for limit in (limit for limit in route.rules.limits if not limit.shadow):
            # All are asked before one decides: whichever has no answer is told.
            free.append(name(f"free{len(free)}"))
            body += statements(f"free{len(body)} = LEFT", LEFT=self._left(limit))
        there = self._decision("hand_off", self._said(rule), rule=rule, target=target)
        return [*body, *self._go(free, [ast.Return(there)])]

    def _left(self, limit: LimitRule) -> ast.expr:
        if limit.condition is not None:
            raise NotCompiled(limit.ref.name)
        return expression("U < C", U=self.reader.used(limit.meter), C=self.namespace.bind(limit.count, ("lane",)))

    def _go(self, tests: list[ast.expr], body: list[ast.stmt]) -> list[ast.stmt]:
        return [branch(both(tests), body)] if tests else body

    def _look_at_ceiling(self) -> None:
        """`ceiling` and `remaining`, where a fallback reads them."""
        if not any(
            read.name in ("ceiling", "remaining") for condition, _ in self.fallbacks for read in reads(condition)
        ):
            return
        money = [
            rule
            for rules in self.blocks
            for rule in rules.ceilings
            if not rule.shadow and rule.quantity == "spent" and rule.scope.execution == "outcome"
        ]
        limits: list[ast.expr] = []
        for ceiling in applied(money, self.fixed):
            if ceiling.condition is not None or Point.ADMIT not in ceiling.rule.points:
                raise NotCompiled(ceiling.rule.ref.name)
            limits.append(self._limit(ceiling.rule))
        if not limits:
            raise NotCompiled("ceiling")
        tightest = limits[0] if len(limits) == 1 else ast.Call(name("min"), limits, [])
        fields = dict(self.reader.fields)
        fields["ceiling"] = tightest
        if any(read.name == "remaining" for condition, _ in self.fallbacks for read in reads(condition)):
            fields["remaining"] = expression("T - U", T=tightest, U=self.reader.used(SPENT))
        self.reader.fields = fields

    def _limit(self, rule: CeilingRule) -> ast.expr:
        share, bind = rule.percent_of_price, self.namespace.bind
        if share is None:
            return bind(rule.limit, rule)
        return expression(
            "f.price_nanos * N // D", N=bind(share.numerator, rule), D=bind(share.denominator * 100, rule)
        )

    def _decision(
        self,
        effect: str,
        lines: ast.expr | None,
        *,
        rule: FallbackRule | None = None,
        target: str | None = None,
        route: ast.expr | None = None,
        delay: ast.expr | None = None,
    ) -> ast.expr:
        """A decision; one without lines of retries is there beforehand."""
        head = Head(effect, None, self.policy.currency, self.digests)
        of: Iterable[str] = {"lane"} | decided_by(rule) if rule is not None else ()
        if lines is None:
            return self.namespace.bind(
                FailureDecision(head, (_line(rule),) if rule is not None else (), (), target), of
            )
        return expression(
            "DECISION(HEAD, LINES, (), ROUTE, DELAY)",
            DECISION=self.namespace.everywhere(FailureDecision),
            HEAD=self.namespace.everywhere(head),
            LINES=lines,
            ROUTE=route or self.namespace.bind(target, of),
            DELAY=delay or constant(None),
        )


def _line(rule: FallbackRule) -> Line:
    return (Part(rule.ref), None, None, None)


def _added(tuples: list[ast.expr]) -> ast.expr:
    """Tuples as one; displays without a condition become one display."""
    if all(isinstance(item, ast.Tuple) for item in tuples):
        return row([element for item in tuples if isinstance(item, ast.Tuple) for element in item.elts])
    whole = tuples[0]
    for item in tuples[1:]:
        whole = ast.BinOp(whole, ast.Add(), item)
    return whole


def retried(retries: Mapping[str, int], classes: frozenset[str]) -> int:
    """How many retries of these classes were made."""
    total = 0
    for error, made in retries.items():
        if error in classes:
            total += made
    return total
