"""Sums of constant x value: how numbers, units and names combine in a condition."""

from collections.abc import Callable
from fractions import Fraction

from msgspec import Struct

from policy_engine.language import syntax as s
from policy_engine.language.checked import Linear, Read
from policy_engine.language.checker.amounts import Amounts
from policy_engine.language.checker.findings import Findings
from policy_engine.language.checker.reading import Reading
from policy_engine.language.diagnostics import Diagnostic
from policy_engine.language.mistakes import conditions as mistakes
from policy_engine.language.mistakes.wording import UNIT_WORDS
from policy_engine.language.source import Span
from policy_engine.language.vocabulary import CONSTANTS, NUMERIC, Unit

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "is": "is"}


class Form(Struct):
    """A linear form. A `unit` of None is a bare number, which fits numbers and integers alike."""

    terms: dict[Read, Fraction]
    constant: Fraction
    unit: Unit | None
    span: Span
    literal: s.Number | None = None  # where it is nothing but a bare number as written

    def scaled(self, factor: Fraction, span: Span) -> "Form":
        terms = {read: coefficient * factor for read, coefficient in self.terms.items()}
        return Form(terms, self.constant * factor, self.unit, span)


class Bounds(Struct, frozen=True):
    """The least and the most a form can be; None where there is no bound."""

    low: Fraction | None
    high: Fraction | None


class LinearReader:
    """Reads the numeric expressions of one condition."""

    def __init__(self, findings: Findings, amounts: Amounts, reading: Reading) -> None:
        self._findings = findings
        self._amounts = amounts
        self._reading = reading
        self._ranges: dict[Read, Bounds] = {}

    def form(self, node: s.Expression) -> Form | None:
        """The form of an expression; None where a mistake in it was reported."""
        match node:
            case s.Parentheses():
                return self.form(node.part)
            case s.Number():
                return self._literal(self._amounts.number(node), None, node.span, node)
            case s.Money():
                return self._literal(self._amounts.money(node), Unit.MONEY, node.span)
            case s.Percent():
                return self._literal(self._amounts.percent(node), Unit.PERCENT, node.span)
            case s.Duration():
                return self._literal(self._amounts.duration(node), Unit.DURATION, node.span)
            case s.Name():
                return self._name(node)
            case s.Meter():
                return self._meter(node)
            case s.Negative():
                part = self.form(node.part)
                return part.scaled(Fraction(-1), node.span) if part is not None else None
            case s.Share():
                return self._share(node)
            case s.Sum():
                return self._sum(node)
            case s.Product():
                return self._product(node)
            case s.Text():
                hint = "compare texts with a name that is a text: `customer is …`"
                self._findings.add(mistakes.wrong_type(node.span, "a text", "a number or an amount", hint))
                return None
            case _:
                self._findings.add(mistakes.condition_as_value(node.span))
                return None

    def _literal(
        self, value: Fraction | int | None, unit: Unit | None, span: Span, number: s.Number | None = None
    ) -> Form | None:
        return Form({}, Fraction(value), unit, span, number) if value is not None else None

    def _name(self, node: s.Name) -> Form | None:
        if node.text in CONSTANTS:
            hint = "only a boolean fact is `true` or `false`"
            self._findings.add(mistakes.wrong_type(node.span, "a boolean", "a number or an amount", hint))
            return None
        readable = self._reading.name(node)
        if readable is None:
            return None
        unit = readable.read.unit
        if unit not in NUMERIC:
            hint = "compare it by itself: " + (
                f"`{node.text} is …`" if unit is not Unit.BOOLEAN else f"`{node.text}`, `not {node.text}`"
            )
            mistake = mistakes.wrong_type(node.span, UNIT_WORDS[unit], "a number or an amount", hint, readable.declared)
            self._findings.add(mistake)
            return None
        self._ranges[readable.read] = Bounds(readable.low, readable.high)
        return Form({readable.read: Fraction(1)}, Fraction(0), unit, node.span)

    def _meter(self, node: s.Meter) -> Form | None:
        read = self._reading.meter(node)
        if read is None:
            return None
        self._ranges[read] = Bounds(Fraction(0), None)
        return Form({read: Fraction(1)}, Fraction(0), read.unit, node.span)

    def _share(self, node: s.Share) -> Form | None:
        percent = self._amounts.percent(node.percent)
        of = self.form(node.of)
        return of.scaled(percent / 100, node.span) if of is not None and percent is not None else None

    def _sum(self, node: s.Sum) -> Form | None:
        parts = [(sign, self.form(part)) for sign, part in node.terms]
        total: Form | None = None
        for sign, part in parts:
            if part is None:
                return None
            signed = part if sign == 1 else part.scaled(Fraction(sign), part.span)
            total = signed if total is None else self.added(total, signed, node.span)
            if total is None:
                return None
        return total

    def added(self, left: Form, right: Form, span: Span) -> Form | None:
        """Their sum; None, reported, where their units do not mix."""
        unit = _common(left.unit, right.unit)
        if unit is _MIXED:
            self._findings.add(self._mixed(left, right))
            return None
        terms = dict(left.terms)
        for read, coefficient in right.terms.items():
            terms[read] = terms.get(read, Fraction(0)) + coefficient
        return Form(terms, left.constant + right.constant, unit if isinstance(unit, Unit) else None, span)

    def _mixed(self, left: Form, right: Form) -> Diagnostic:
        # What has no unit is more likely the slip than what has one.
        if left.unit is None and right.unit is not None:
            left, right = right, left
        hint = "compare and add values of one unit only"
        if right.literal is not None and left.unit is not None:
            digits = right.literal.text
            hint = {
                Unit.MONEY: f"write it as money: `{self._amounts.as_money(digits)}`",
                Unit.PERCENT: f"write it as a percent: `{digits}%`",
                Unit.DURATION: f"write it with a unit: `{digits}s`, `{digits}min`, `{digits}h`",
            }.get(left.unit, hint)
        return mistakes.mixed_units(left.span, _unit_words(left.unit), right.span, _unit_words(right.unit), hint)

    def _product(self, node: s.Product) -> Form | None:
        parts = [self.form(factor) for factor in node.factors]
        total = parts[0]
        for part in parts[1:]:
            if total is None or part is None:
                return None
            total = self._multiplied(total, part, total.span.to(part.span))
        return total

    def _multiplied(self, left: Form, right: Form, span: Span) -> Form | None:
        if left.terms and right.terms:
            self._findings.add(mistakes.product_of_names(right.span, left.span))
        elif not right.terms and right.unit is None:
            return left.scaled(right.constant, span)
        elif not left.terms and left.unit is None:
            return right.scaled(left.constant, span)
        else:
            constant, other = (right, left) if not right.terms else (left, right)
            hint = "multiply by a plain number"
            if constant.unit is Unit.PERCENT:
                hint = f"write `{constant.span.text} of {other.span.text}`"
            self._findings.add(mistakes.wrong_type(constant.span, _unit_words(constant.unit), "a plain number", hint))
        return None

    def bounds(self, terms: dict[Read, Fraction]) -> Bounds:
        """The least and the most a sum can be, from the ranges of what it reads."""
        low: Fraction | None = Fraction(0)
        high: Fraction | None = Fraction(0)
        for read, coefficient in terms.items():
            ends = (self._ranges[read].low, self._ranges[read].high)
            least, most = ends if coefficient > 0 else reversed(ends)
            low = low + coefficient * least if low is not None and least is not None else None
            high = high + coefficient * most if high is not None and most is not None else None
        return Bounds(low, high)


_MIXED = object()


def _common(left: Unit | None, right: Unit | None) -> Unit | object | None:
    if left is right:
        return left
    if left is None and right in (Unit.NUMBER, Unit.INTEGER):
        return right
    if right is None and left in (Unit.NUMBER, Unit.INTEGER):
        return left
    return _MIXED


def _unit_words(unit: Unit | None) -> str:
    return "a number without a unit" if unit is None else UNIT_WORDS[unit]


def normal(form: Form, op: str, span: Span) -> Linear:
    """Terms on the left, constants on the right, the first coefficient positive."""
    terms = {read: coefficient for read, coefficient in form.terms.items() if coefficient}
    bound = -form.constant
    if terms and next(iter(terms.values())) < 0:
        terms = {read: -coefficient for read, coefficient in terms.items()}
        bound, op = -bound, _FLIPPED[op]
    unit = form.unit or Unit.NUMBER
    return Linear(tuple((coefficient, read) for read, coefficient in terms.items()), op, bound, unit, span)


def verdict(linear: Linear, bounds: Bounds) -> bool | None:
    """True or False where the comparison always is that, else None."""
    low, high, bound = bounds.low, bounds.high, linear.bound
    match linear.op:
        case "<":
            return _decided(high, lambda x: x < bound, low, lambda x: x >= bound)
        case "<=":
            return _decided(high, lambda x: x <= bound, low, lambda x: x > bound)
        case ">":
            return _decided(low, lambda x: x > bound, high, lambda x: x <= bound)
        case ">=":
            return _decided(low, lambda x: x >= bound, high, lambda x: x < bound)
    if (low is not None and bound < low) or (high is not None and bound > high) or never_whole(linear):
        return False
    return True if low == high == bound else None


def _decided(
    holds_at: Fraction | None,
    holds: Callable[[Fraction], bool],
    fails_at: Fraction | None,
    fails: Callable[[Fraction], bool],
) -> bool | None:
    if holds_at is not None and holds(holds_at):
        return True
    return False if fails_at is not None and fails(fails_at) else None


def never_whole(linear: Linear) -> bool:
    """Whether whole numbers in whole multiples are compared with a broken number."""
    whole = linear.unit is Unit.INTEGER and all(c.denominator == 1 for c, _ in linear.terms)
    return whole and linear.bound.denominator != 1
