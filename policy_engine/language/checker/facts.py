"""`fact` declarations → facts with their values, range and default."""

from fractions import Fraction

from policy_engine.language import syntax as s
from policy_engine.language.checked import Fact
from policy_engine.language.checker.amounts import Amounts
from policy_engine.language.checker.findings import Findings
from policy_engine.language.mistakes import conditions as mistakes
from policy_engine.language.mistakes import names as name_mistakes
from policy_engine.language.mistakes.amounts import not_whole
from policy_engine.language.mistakes.wording import UNIT_WORDS
from policy_engine.language.source import Span
from policy_engine.language.vocabulary import CONSTANTS, FACT_TYPES, NUMERIC, Unit

_EXAMPLES = {
    Unit.MONEY: "`$10`",
    Unit.PERCENT: "`45%`",
    Unit.INTEGER: "`3`",
    Unit.NUMBER: "`0.5`",
    Unit.DURATION: "`90s`",
    Unit.BOOLEAN: "`true` or `false`",
    Unit.TEXT: '`"…"`',
}


class FactChecker:
    """Checks one declaration at a time; needs no other name."""

    def __init__(self, findings: Findings, amounts: Amounts) -> None:
        self._findings = findings
        self._amounts = amounts

    def check(self, fact: s.FactDeclaration) -> Fact | None:
        """The fact, as far as its declaration says what it is; None where its type is not known."""
        if fact.optional and fact.default is not None:
            self._findings.add(mistakes.optional_with_default(fact.default.span, fact.name))
        return self._enum(fact, fact.type) if isinstance(fact.type, s.Enumeration) else self._scalar(fact, fact.type)

    def _enum(self, fact: s.FactDeclaration, type_: s.Enumeration) -> Fact:
        first: dict[str, Span] = {}
        constant = next((value for value in type_.values if value.text in CONSTANTS), None)
        if constant is not None:
            self._findings.add(name_mistakes.constant_as_value(constant))
        for value in type_.values:
            if value.text in first:
                self._findings.add(mistakes.value_twice(value, first[value.text]))
            first.setdefault(value.text, value.span)
        values = tuple(first)
        default = fact.default
        if default is not None and not (isinstance(default, s.Name) and default.text in first):
            near = self._findings.near(default.text, values) if isinstance(default, s.Name) else None
            self._findings.add(mistakes.not_a_value(default.span, fact.name.text, values, near, type_.span))
        return Fact(
            name=fact.name.text,
            unit=Unit.ENUM,
            values=values,
            ordered=type_.ordered,
            optional=fact.optional,
            default=default.text if isinstance(default, s.Name) else None,
            span=fact.span,
        )

    def _scalar(self, fact: s.FactDeclaration, type_: s.ScalarType) -> Fact | None:
        if type_.name.text not in FACT_TYPES:
            near = self._findings.near(type_.name.text, FACT_TYPES)
            self._findings.add(name_mistakes.unknown_type(type_.name, near))
            return None
        unit = Unit(type_.name.text)
        low, high = self._range(type_, unit)
        default: Fraction | str | bool | None = None
        if fact.default is not None:
            default = self._value(fact.default, unit)
            outside = isinstance(default, Fraction) and (
                (low is not None and default < low) or (high is not None and default > high)
            )
            if outside:
                self._findings.add(mistakes.default_out_of_range(fact.default.span, type_.span))
        return Fact(
            name=fact.name.text,
            unit=unit,
            low=low,
            high=high,
            optional=fact.optional,
            default=default,
            span=fact.span,
        )

    def _range(self, type_: s.ScalarType, unit: Unit) -> tuple[Fraction | None, Fraction | None]:
        if type_.low is None or type_.high is None:
            return None, None
        span = type_.low.span.to(type_.high.span)
        if unit not in NUMERIC:
            self._findings.add(mistakes.range_of_type(span, type_.name))
            return None, None
        low, high = self._value(type_.low, unit), self._value(type_.high, unit)
        if not isinstance(low, Fraction) or not isinstance(high, Fraction):
            return None, None
        if low >= high:
            self._findings.add(mistakes.range_upside_down(span, type_.low.span, type_.high.span))
            return None, None
        return low, high

    def _value(self, node: s.Literal | s.Negative | s.Name, unit: Unit) -> Fraction | str | bool | None:
        """A literal of this unit in internal units; None, reported, where it is none."""
        sign = -1 if isinstance(node, s.Negative) else 1
        literal = node.part if isinstance(node, s.Negative) else node
        value: Fraction | int | None
        match unit, literal:
            case Unit.BOOLEAN, s.Name() if literal.text in CONSTANTS:
                return literal.text == "true"
            case Unit.TEXT, s.Text() if sign == 1:
                return literal.value
            case Unit.MONEY, s.Money():
                value = self._amounts.money(literal)
            case Unit.DURATION, s.Duration():
                value = self._amounts.duration(literal)
            case Unit.PERCENT, s.Percent():
                value = self._amounts.percent(literal)
            case Unit.NUMBER, s.Number():
                value = self._amounts.number(literal)
            case Unit.INTEGER, s.Number():
                value = self._amounts.number(literal)
                if value is not None and value.denominator != 1:
                    self._findings.add(not_whole(literal.span, int(value)))
                    return None
            case _:
                hint = f"write a value such as {_EXAMPLES[unit]}"
                self._findings.add(mistakes.wrong_type(node.span, literal_word(literal), UNIT_WORDS[unit], hint))
                return None
        return Fraction(value * sign) if value is not None else None


def literal_word(node: s.Expression) -> str:
    """What a literal or a bare name is called in a sentence."""
    match node:
        case s.Number():
            return "a number without a unit"
        case s.Money():
            return "money"
        case s.Percent():
            return "a percent"
        case s.Duration():
            return "a duration"
        case s.Text():
            return "a text"
        case _:
            return "a name"
