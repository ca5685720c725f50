"""`admit` as a generated function: one per (outcome, plan, lane asked for, customer).

It answers the admissions that succeed and those that a lane passes on for one plain reason;
a denial goes to the reference, which names every rule behind it.
"""

import ast
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from policy_engine.evaluation.compiler.ceilings import Applied, CeilingWriter, applied
from policy_engine.evaluation.compiler.conditions import NotCompiled, Reader, identity, reads_facts_alone, take_given
from policy_engine.evaluation.compiler.drawing import SLOW, drawing
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
from policy_engine.evaluation.decision import AdmitDecision, Digests, Head, LaneRefusal, Part, Ruling
from policy_engine.evaluation.terms import UNITS, fold, is_looked_at
from policy_engine.language.checked import AllOf, CeilingRule, CheckedPolicy, LimitRule, Member, Rule, Rules, reads

REASONS = ("forbidden", "not_allowed", "limit_reached", "ceiling_reached")


@dataclass(frozen=True, slots=True)
class _Says:
    """What one rule says: the test under which it refuses, for which reason, with which numbers.

    An `allow` refuses where no allow of its block holds; `when` is its own test, None if it always holds.
    """

    rule: Rule
    reason: str
    refuses: ast.expr
    numbers: tuple[str, ast.expr, ast.expr, ast.expr] | None = None
    opens: bool = False
    when: ast.expr | None = None


def admit(policy: CheckedPolicy, digests: Digests, who: Who, lanes: tuple[str, ...], shapes: Shapes) -> Written:
    """The admit function of these lanes. Raises `NotCompiled` where every admission is left to the reference."""
    return _Writer(policy, digests, who, lanes, shapes).write()


OF_LANE = ("outcome", "lane")
"""What decides what a lane is called and leads to: where none is asked for, all lanes of an outcome are looked at."""


class _Writer:
    def __init__(
        self, policy: CheckedPolicy, digests: Digests, who: Who, lanes: tuple[str, ...], shapes: Shapes
    ) -> None:
        self.policy, self.digests, self.who, self.lanes = policy, digests, who, lanes
        self.around = policy.around(who.outcome, who.plan)
        self._passed: list[LaneRefusal] | None = []  # lanes that are passed on for a reason that is there beforehand
        self.namespace = Namespace(shapes)
        self.reader = Reader(
            namespace=self.namespace,
            numbers={fact: number for number, fact in enumerate(policy.facts)},
            fields={"price": name("price"), "customer": expression("f.customer")},
            optional=frozenset(),
            give_up=lambda: statements(SLOW),
            give_up_early=lambda: statements(SLOW),
        )
        self.ceilings = CeilingWriter(self.reader, self.namespace, name("price"), {}, price_is_fixed=False)

    def write(self) -> Written:
        """The whole function."""
        if any(rule.shadow and is_looked_at(rule) for rules in self._blocks() for rule in rules):
            raise NotCompiled("shadow")
        fixed = identity(self.who)
        outer = [says for rules in self.around for says in self._entrance(rules, fixed, by_lane=False)]
        body: list[ast.stmt] = []
        if outer:
            body.append(branch(_any_refuses(outer), self._denial(outer)))
        for lane in self.lanes:
            body += self._lane(lane, [says for says in outer if says.opens])
        self._ask_for_facts(fixed)
        reasons = (*REASONS, "no_lane")
        heads = tuple((reason, Head("deny", reason, self.policy.currency, self.digests)) for reason in reasons)
        body.append(ast.Return(self.namespace.call(no_lane, name("passed"), self.namespace.everywhere(heads))))
        reader = self.reader
        give_up = reader.give_up_early()
        given = take_given(self.policy, self.namespace, expression("f.given"), give_up) if reader.prelude else []
        # A fact that is not given is bad input, whatever there is to draw on.
        opening = [
            *drawing(self.policy, self.digests, self.who, self.namespace),
            *statements("meters = f.meters\npassed = ()"),
        ]
        whole = or_slow([*opening, *reader.body, *body], statements(SLOW))
        return Written([*given, *reader.prelude, *whole], self.namespace)

    def _ask_for_facts(self, fixed: dict[str, str | None]) -> None:
        """Facts are asked for before a lane is settled on, also those of ceilings that stand for another lane."""
        for rule in (rule for rules in self._blocks() for rule in rules.ceilings if is_looked_at(rule)):
            left = True if rule.condition is None else fold(rule.condition, fixed)
            self.reader.ask_for([] if isinstance(left, bool) else [left])

    def _blocks(self) -> list[Rules]:
        return [*self.around, *(self.policy.lanes[lane].rules for lane in self.lanes)]

    # ------------------------------------------------------------ who may enter

    def _entrance(self, rules: Rules, fixed: dict[str, str | None], *, by_lane: bool) -> list[_Says]:
        """What each rule of one block says of the admission."""
        found: list[_Says] = []
        for rule in rules.forbids:
            if self._can_apply(rule, fixed):
                tests = self._tests(rule, fixed)
                found.append(_Says(rule, "forbidden", both(tests)))
        for limit in rules.limits:
            if self._can_apply(limit, fixed):
                used, tests = self.reader.used(limit.meter), self._tests(limit, fixed)
                count = self.namespace.bind(limit.count, limit)
                reached = expression("U >= C", U=used, C=count)
                numbers = ("count", count, used, constant(1))
                found.append(_Says(limit, "limit_reached", both([*tests, reached]), numbers=numbers))
                alerts = self._alerts_of(limit, used)
                found += [_Says(limit, "alert", both([*tests, threshold])) for threshold in alerts]
        found += self._spent_up(rules, fixed, by_lane=by_lane)
        opening = [(allow, self._opens(allow, fixed)) for allow in rules.allows]
        if opening:
            shut = ast.UnaryOp(ast.Not(), either([test or constant(True) for _, test in opening]))
            found += [_Says(allow, "not_allowed", shut, opens=True, when=test) for allow, test in opening]
        return found

    def _alerts_of(self, limit: LimitRule, used: ast.expr) -> list[ast.expr]:
        """An alert goes with the decision; once in a window, so the reference may tell it."""
        found = []
        for percent in limit.alerts:
            threshold = -(-limit.count * percent.numerator // (percent.denominator * 100))
            found.append(expression("U < T <= U + 1", U=used, T=self.namespace.bind(threshold, limit)))
        return found

    def _spent_up(self, rules: Rules, fixed: dict[str, str | None], *, by_lane: bool) -> list[_Says]:
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
            rule = ceiling.rule
            used, limit = self.reader.used(rule.meter), self.ceilings.limit(rule)
            spent_up = expression("U >= L", U=used, L=limit)
            numbers = (UNITS[rule.quantity], limit, used, constant(None))
            found.append(
                _Says(rule, "ceiling_reached", both([*self.ceilings.condition(ceiling), spent_up]), numbers=numbers)
            )
        return found

    def _opens(self, allow: Rule, fixed: dict[str, str | None]) -> ast.expr | None:
        """The test of an allow; None for one that always holds.

        Whether the plan is one of those it is for is a value: plans whose lanes differ in that alone share a shape.
        """
        parts = allow.condition.parts if isinstance(allow.condition, AllOf) else ()
        of_plan = [part for part in parts if isinstance(part, Member) and part.read.name == "plan"]
        others = tuple(part for part in parts if part not in of_plan)
        if of_plan and others and not any(part.read.is_fact for part in of_plan):
            rest = fold(AllOf(others), {known: value for known, value in fixed.items() if known != "plan"})
            if not isinstance(rest, bool) and reads_facts_alone(rest):
                for_plan = all(self.who.plan in part.values for part in of_plan)
                return self.reader.guarded(self.namespace.slot(for_plan, ("plan",), allow.ref), rest, allow)
        tests = self._tests(allow, fixed) if self._can_apply(allow, fixed) else [constant(False)]
        return tests[0] if tests else None

    def _can_apply(self, rule: Rule, fixed: dict[str, str | None]) -> bool:
        return rule.condition is None or fold(rule.condition, fixed) is not False

    def _tests(self, rule: Rule, fixed: dict[str, str | None]) -> list[ast.expr]:
        """The test of a rule that can apply; none for one that does."""
        folded = True if rule.condition is None else fold(rule.condition, fixed)
        return [] if isinstance(folded, bool) else [self.reader.test(folded, rule)]

    # ------------------------------------------------------------ lane by lane

    def _lane(self, lane: str, outer_allows: list[_Says]) -> list[ast.stmt]:
        fixed = identity(self.who) | {"lane": lane}
        rules = self.policy.lanes[lane].rules
        here = [says for outer in self.around for says in self._spent_up(outer, fixed, by_lane=True)]
        here += self._entrance(rules, fixed, by_lane=False)
        here += self._spent_up(rules, fixed, by_lane=True)
        enter = self._enter(lane, fixed, [*outer_allows, *(says for says in here if says.opens)])
        if not here:
            return enter
        if all(says.opens for says in here):
            # only its allows can refuse here, and then all of them: one reason, made beforehand
            rulings = tuple(Ruling(says.rule.ref) for says in _in_place(here))
            turned_away = LaneRefusal(lane, "not_allowed", rulings)
            deciders = {"outcome", "lane"}.union(*(decided_by(says.rule) for says in here))
            if self._passed is None:
                passing = statements("passed += (R,)", R=self.namespace.bind(turned_away, deciders))
            else:
                self._passed = [*self._passed, turned_away]
                passing = statements("passed = P", P=self.namespace.bind(tuple(self._passed), (*deciders, "lane")))
        else:
            self._passed = None
            passing = self._passing(lane, here)
        return [branch(_any_refuses(here), passing, enter)]

    def _passing(self, lane: str, here: list[_Says]) -> list[ast.stmt]:
        """Pass a lane on, with every rule behind it."""
        body = self._alerts_first(here) + statements("rulings = ()")
        for says in _in_place(here):
            if says.reason == "alert":
                continue
            if says.numbers is None:
                ruling: ast.expr = self.namespace.bind(Ruling(says.rule.ref), says.rule)
            else:
                unit, limit, used, asked = says.numbers
                ruling = expression(
                    "RULING(REF, UNIT, L, U, A)",
                    RULING=self.namespace.everywhere(Ruling),
                    REF=self.namespace.bind(says.rule.ref, says.rule),
                    UNIT=constant(unit),
                    L=limit,
                    U=used,
                    A=asked,
                )
            body.append(branch(says.refuses, statements("rulings += (R,)", R=ruling)))
        refusal = expression(
            "REFUSAL(LANE, REASON, rulings)",
            REFUSAL=self.namespace.everywhere(LaneRefusal),
            LANE=self.namespace.bind(lane, OF_LANE),
            REASON=_reason(here, constant),
        )
        return [*body, *statements("passed += (R,)", R=refusal)]

    def _denial(self, outer: list[_Says]) -> list[ast.stmt]:
        """Deny, naming every rule that refuses."""
        body = self._alerts_first(outer) + statements("lines = ()")
        for says in _in_place(outer):
            if says.reason == "alert":
                continue
            unit, *amounts = says.numbers or (None, constant(None), constant(None), constant(None))
            line = row([self.namespace.bind(Part(says.rule.ref, unit), says.rule), *amounts])
            body.append(branch(says.refuses, statements("lines += (L,)", L=line)))
        decision = expression(
            "DECISION(HEAD, lines)",
            DECISION=self.namespace.everywhere(AdmitDecision),
            HEAD=_reason(outer, lambda reason: self._head("deny", reason)),
        )
        return [*body, ast.Return(decision)]

    def _alerts_first(self, said: list[_Says]) -> list[ast.stmt]:
        """An alert that goes with an admission is told by the reference: it comes once in a window."""
        alerts = [says.refuses for says in said if says.reason == "alert"]
        refusals = [says.refuses for says in said if says.reason != "alert"]
        if not alerts:
            return []
        return [branch(ast.UnaryOp(ast.Not(), either(refusals)), statements(SLOW))]

    def _head(self, effect: str, reason: str | None = None) -> ast.expr:
        return self.namespace.everywhere(Head(effect, reason, self.policy.currency, self.digests))

    def _enter(self, lane: str, fixed: dict[str, str | None], allows: list[_Says]) -> list[ast.stmt]:
        lines: ast.expr = row([])
        blocks = Counter(says.rule.block for says in allows)
        if all(says.when is None or blocks[says.rule.block] == 1 for says in allows):
            # The only allow of a block holds, or nobody would be here.
            told = tuple((Part(says.rule.ref), None, None, None) for says in _in_place(allows))
            lines = self.namespace.bind(told, set().union(*(decided_by(says.rule) for says in allows)))
            allows = []
        for says in _in_place(allows):
            line = self.namespace.bind((Part(says.rule.ref), None, None, None), says.rule)
            shown = row([line]) if says.when is None else expression("(L,) if C else ()", L=line, C=says.when)
            lines = shown if isinstance(lines, ast.Tuple) and not lines.elts else ast.BinOp(lines, ast.Add(), shown)
        return [
            ast.Return(
                expression(
                    "DECISION(HEAD, LINES, (), LANE, ROUTE, draw, CEILING, passed)",
                    DECISION=self.namespace.everywhere(AdmitDecision),
                    HEAD=self._head("allow"),
                    LINES=lines,
                    LANE=self.namespace.bind(lane, OF_LANE),
                    ROUTE=self.namespace.bind(self.policy.lanes[lane].path[0], OF_LANE),
                    CEILING=self._ceiling(lane, fixed),
                )
            )
        ]

    def _ceiling(self, lane: str, fixed: dict[str, str | None]) -> ast.expr:
        """The tightest money ceiling on the execution, as far as it is known."""
        blocks = (*self.around, self.policy.lanes[lane].rules)
        money = [rule for rules in blocks for rule in rules.ceilings if is_looked_at(rule) and rule.scope.execution]
        written: list[CeilingRule] = []
        kept: list[ast.expr] = []
        sometimes: list[tuple[Applied, ast.expr]] = []
        for ceiling in applied(money, fixed):
            if ceiling.condition is not None:
                sometimes.append((ceiling, self.ceilings.limit(ceiling.rule)))
            elif ceiling.rule.percent_of_price is None:
                written.append(ceiling.rule)
            else:
                kept.append(self.ceilings.limit(ceiling.rule))
        if written:
            least = min(rule.limit for rule in written if rule.limit is not None)
            kept.append(self.namespace.bind(least, set().union(*map(decided_by, written))))
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


def _in_place(said: list[_Says]) -> list[_Says]:
    """In (file, place) order."""
    return sorted(said, key=lambda says: (says.rule.ref.file, says.rule.ref.line, says.rule.ref.column))


def _any_refuses(said: list[_Says]) -> ast.expr:
    """Whether one of them refuses (or tells an alert); the allows of a block ask one question together."""
    tests: dict[str, ast.expr] = {ast.dump(says.refuses): says.refuses for says in said}
    return either(tests.values())


def _reason(said: list[_Says], word: Callable[[str], ast.expr]) -> ast.expr:
    """The first reason in the order of REASONS that some refusing rule has."""
    chosen: ast.expr | None = None
    for reason in reversed(REASONS):
        tests = {ast.dump(says.refuses): says.refuses for says in said if says.reason == reason}
        if tests:
            value = word(reason)
            chosen = (
                value if chosen is None else expression("V if T else E", V=value, T=either(tests.values()), E=chosen)
            )
    assert chosen is not None  # noqa: S101 - asked only where something refuses
    return chosen


def no_lane(passed: tuple[LaneRefusal, ...], heads: tuple[tuple[str, Head], ...]) -> AdmitDecision:
    """The denial where every lane was passed on: the only lane's reason, or that there is none; and every rule."""
    every = {ruling.rule: ruling for refusal in passed for ruling in refusal.rulings}
    said = sorted(every.values(), key=lambda ruling: (ruling.rule.file, ruling.rule.line, ruling.rule.column))
    lines = tuple((Part(ruling.rule, ruling.unit), ruling.limit, ruling.used, ruling.asked) for ruling in said)
    reason = passed[0].reason if len(passed) == 1 else "no_lane"
    return AdmitDecision(dict(heads)[reason], lines, refused=passed)
