"""Ceilings → expressions: what is used, what the limit is, when it is crossed, the line a decision shows."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from policy_engine.evaluation.compiler.conditions import Reader
from policy_engine.evaluation.compiler.quoting import both, constant, expression, name, row
from policy_engine.evaluation.compiler.shapes import Namespace
from policy_engine.evaluation.decision import Part
from policy_engine.evaluation.terms import UNITS, fold
from policy_engine.language.checked import CeilingRule, Test


@dataclass(frozen=True, slots=True)
class Applied:
    """A ceiling that may apply: its condition with all that is fixed folded away (None: it applies)."""

    rule: CeilingRule
    condition: Test | None


def applied(rules: list[CeilingRule], who: Mapping[str, str | None]) -> list[Applied]:
    """The ceilings that can apply, in their order."""
    found = []
    for rule in rules:
        folded = True if rule.condition is None else fold(rule.condition, who)
        if folded is not False:
            found.append(Applied(rule, None if folded is True else folded))
    return found


class CeilingWriter:
    """Writes what ceilings ask of one decision. Amounts are expressions: `asked` and `tokens`."""

    def __init__(
        self,
        reader: Reader,
        namespace: Namespace,
        price: ast.expr,
        times: Mapping[str, ast.expr | None],
        *,
        price_is_fixed: bool,
    ) -> None:
        self._reader = reader
        self._namespace = namespace
        self._price = price
        self._times = times  # scope → time since its start; None where it has just begun
        # Where a price is bound with the facts, its shares are worked out with them.
        self._shares_into = reader.prelude if price_is_fixed else reader.body
        self._limits: dict[object, str] = {}
        self.amounts_change = False  # set where `asked` and `tokens` are given new values

    def condition(self, ceiling: Applied) -> list[ast.expr]:
        """The test under which it applies; nothing for one that always does."""
        return [] if ceiling.condition is None else [self._reader.test(ceiling.condition, ceiling.rule)]

    def limit(self, rule: CeilingRule) -> ast.expr:
        """The limit: a constant, or a share of the price, worked out once."""
        if rule.percent_of_price is None:
            return self._namespace.bind(rule.limit, rule)
        share = rule.percent_of_price
        if share not in self._limits:
            local = self._limits[share] = f"l{len(self._limits)}"
            value = expression(
                "PRICE * N // D",
                PRICE=self._price,
                N=self._namespace.bind(share.numerator, rule),
                D=self._namespace.bind(share.denominator * 100, rule),
            )
            self._shares_into.append(ast.Assign([ast.Name(local, ast.Store())], value))
        return name(self._limits[share])

    def used(self, rule: CeilingRule) -> ast.expr:
        """Incurred plus reserved, or the time that has passed."""
        if rule.quantity == "elapsed":
            return self._times[rule.scope.execution or ""] or constant(0)
        if rule.scope.execution == "attempt":
            return constant(0)
        return self._reader.used(rule.meter)

    def asked(self, rule: CeilingRule, asked: ast.expr, tokens: ast.expr) -> ast.expr:
        by_quantity: dict[str, ast.expr] = {"spent": asked, "tokens": tokens, "attempts": constant(1)}
        return by_quantity.get(rule.quantity, constant(None))

    def crossed(self, ceiling: Applied, asked: ast.expr, tokens: ast.expr, *, conditional: bool = True) -> ast.expr:
        """Whether it applies and what is asked does not fit."""
        rule = ceiling.rule
        used, limit = self.used(rule), self.limit(rule)
        if rule.quantity == "elapsed":
            over = expression("U >= L", U=used, L=limit)
        elif rule.scope.execution == "attempt":
            over = expression("A > L", A=self.asked(rule, asked, tokens), L=limit)
        elif rule.quantity == "attempts":
            over = expression("U >= L", U=used, L=limit)  # one more would be past it
        else:
            over = expression("T > L", T=self._total(rule, asked, tokens), L=limit)
        return both([*(self.condition(ceiling) if conditional else []), over])

    def _total(self, rule: CeilingRule, asked: ast.expr, tokens: ast.expr) -> ast.expr:
        amount = self.asked(rule, asked, tokens)
        if isinstance(amount, ast.Name) and amount.id in ("asked", "tokens") and not self.amounts_change:
            return self._reader.with_asked(rule.meter, amount.id)
        return expression("U + A", U=self.used(rule), A=amount)

    def _with(self, rule: CeilingRule, asked: ast.expr, tokens: ast.expr) -> ast.expr:
        if rule.scope.execution == "attempt" or rule.quantity == "attempts":
            return expression("U + A", U=self.used(rule), A=self.asked(rule, asked, tokens))
        return self._total(rule, asked, tokens)

    def line(self, rule: CeilingRule, role: str, asked: ast.expr, tokens: ast.expr) -> ast.expr:
        """What a decision shows of it."""
        part = self._namespace.bind(Part(rule.ref, UNITS[rule.quantity], role), rule)
        return row([part, self.limit(rule), self.used(rule), self.asked(rule, asked, tokens)])

    def verdict(self, ceiling: Applied, asked: ast.expr, tokens: ast.expr) -> ast.expr:
        """A shadow ceiling's line: it would refuse, or it passes."""
        return expression(
            "REFUSES if CROSSED else PASSES",
            CROSSED=self.crossed(ceiling, asked, tokens, conditional=False),
            REFUSES=self.line(ceiling.rule, "refuses", asked, tokens),
            PASSES=self.line(ceiling.rule, "passes", asked, tokens),
        )

    def verdicts(self, shadows: list[Applied], asked: ast.expr, tokens: ast.expr) -> ast.expr | None:
        """The lines of all shadow ceilings that apply, as one tuple; None without any."""
        whole: ast.expr | None = None
        always: list[ast.expr] = []
        for ceiling in shadows:
            said = self.verdict(ceiling, asked, tokens)
            if ceiling.condition is None:
                always.append(said)
                continue
            sometimes = expression("(V,) if C else ()", V=said, C=self._reader.test(ceiling.condition, ceiling.rule))
            head = row(always)
            always = []
            joined = head if whole is None else ast.BinOp(whole, ast.Add(), head)
            whole = ast.BinOp(joined, ast.Add(), sometimes)
        if always or whole is None:
            tail = row(always)
            whole = tail if whole is None else ast.BinOp(whole, ast.Add(), tail)
        return whole if shadows else None

    def alerts(self, ceiling: Applied, asked: ast.expr, tokens: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
        """Per threshold, the test that this decision is the first to reach it, and the line that says so."""
        rule = ceiling.rule
        if rule.quantity == "elapsed":
            return []
        found: list[tuple[ast.expr, ast.expr]] = []
        for percent in rule.alerts:
            if rule.percent_of_price is None and rule.limit is not None:
                threshold: ast.expr = self._namespace.bind(ceil(rule.limit * percent / 100), rule)
            else:
                threshold = expression(
                    "-(-L * N // D)",
                    L=self.limit(rule),
                    N=self._namespace.bind(percent.numerator, rule),
                    D=self._namespace.bind(percent.denominator * 100, rule),
                )
            crossing = expression("U < T <= V", U=self.used(rule), T=threshold, V=self._with(rule, asked, tokens))
            part = self._namespace.bind(Part(rule.ref, UNITS[rule.quantity], "alert", percent), rule)
            line = row([part, self.limit(rule), self.used(rule), self.asked(rule, asked, tokens)])
            found.append((both([*self.condition(ceiling), crossing]), line))
        return found
