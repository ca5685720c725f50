"""`when …` and `unless …` → a test whose names are resolved and whose comparisons are normal."""

from collections.abc import Iterable
from fractions import Fraction

from policy_engine.language import syntax as s
from policy_engine.language.checked import AllOf, AnyOf, Inverse, Linear, Member, Test, Truth
from policy_engine.language.checker.amounts import Amounts
from policy_engine.language.checker.facts import literal_word
from policy_engine.language.checker.findings import Findings
from policy_engine.language.checker.linear import LinearReader, never_whole, normal, verdict
from policy_engine.language.checker.names import Names, Readable
from policy_engine.language.checker.reading import Reading, Standing
from policy_engine.language.mistakes import conditions as mistakes
from policy_engine.language.mistakes import names as name_mistakes
from policy_engine.language.mistakes.wording import UNIT_WORDS
from policy_engine.language.source import Span
from policy_engine.language.vocabulary import CONSTANTS, NUMERIC, Point, Unit

_NOTHING_READ = "it reads nothing that can differ"
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def check_condition(
    condition: s.Condition, standing: Standing, findings: Findings, names: Names, amounts: Amounts
) -> tuple[Test | None, frozenset[Point]]:
    """The test, None where a mistake in it was reported, and the points at which all it reads is known."""
    reading = Reading(findings, names, standing)
    test = _Condition(findings, names, amounts, reading).test(condition.test)
    if test is not None and condition.negated:
        test = Inverse(test)
    return test, reading.points


class _Condition:
    """Checks one condition. Where a part has a mistake the others are still looked at."""

    def __init__(self, findings: Findings, names: Names, amounts: Amounts, reading: Reading) -> None:
        self._findings = findings
        self._names = names
        self._reading = reading
        self._amounts = amounts
        self._linear = LinearReader(findings, amounts, reading)

    def test(self, node: s.Expression) -> Test | None:
        match node:
            case s.Parentheses():
                return self.test(node.part)
            case s.And():
                parts = self._parts(node.parts)
                return AllOf(parts) if parts is not None else None
            case s.Or():
                parts = self._parts(node.parts)
                return AnyOf(parts) if parts is not None else None
            case s.Not():
                part = self.test(node.part)
                return Inverse(part) if part is not None else None
            case s.Compare():
                return self._compare(node)
            case s.In():
                return self._in(node)
            case s.Name():
                return self._bare_name(node)
            case _:
                self._not_a_condition(node)
                return None

    def _parts(self, nodes: Iterable[s.Expression]) -> tuple[Test, ...] | None:
        parts = [self.test(node) for node in nodes]
        whole = tuple(part for part in parts if part is not None)
        return whole if len(whole) == len(parts) else None

    # ------------------------------------------------------------ not a comparison

    def _bare_name(self, node: s.Name) -> Test | None:
        if self._is_constant(node):
            self._report(node.span, node.text == "true", _NOTHING_READ, None)
            return None
        readable = self._reading.name(node)
        if readable is None:
            return None
        if readable.read.unit is Unit.BOOLEAN:
            return Truth(readable.read, node.span)
        hint = f"compare it: `{node.text} {self._example(readable)}`"
        self._findings.add(mistakes.not_a_condition(node.span, UNIT_WORDS[readable.read.unit], hint))
        return None

    def _not_a_condition(self, node: s.Expression) -> None:
        if isinstance(node, s.Text):
            what = "a text"
        elif isinstance(node, s.Number | s.Money | s.Percent | s.Duration):
            what = literal_word(node)
        elif self._linear.form(node) is None:
            return
        else:
            what = "an amount"
        hint = "compare it with something: `<`, `<=`, `>`, `>=`, `is`, `in [...]`"
        self._findings.add(mistakes.not_a_condition(node.span, what, hint))

    def _example(self, readable: Readable) -> str:
        """A comparison of this name as it might be written."""
        match readable.read.unit:
            case Unit.MONEY:
                return f"> {self._amounts.as_money('1')}"
            case Unit.PERCENT:
                return "> 50%"
            case Unit.INTEGER:
                return ">= 2"
            case Unit.NUMBER:
                return "> 0.5"
            case Unit.DURATION:
                return "> 90s"
            case Unit.TEXT:
                return 'is "…"'
            case _:
                return f"is {readable.values[0]}" if readable.values else "is …"

    def _is_constant(self, node: s.Expression) -> bool:
        return isinstance(node, s.Name) and node.text in CONSTANTS

    # ------------------------------------------------------------ comparisons

    def _compare(self, node: s.Compare) -> Test | None:
        left, right = _inside(node.left), _inside(node.right)
        if self._is_value(left) and self._is_value(right):
            self._report(node.span, (left == right) == (node.op == "is"), _NOTHING_READ, None)
            return None
        if self._is_value(left):
            self._turned(node, left, right)
            return None
        if isinstance(left, s.Name) and not self._is_constant(left):
            if not self._names.is_known(left.text):
                if isinstance(right, s.Name) and self._names.is_spoilt(right.text):
                    return None
                if isinstance(right, s.Name) and self._names.has_value(right.text, left.text):
                    self._turned(node, left, right)
                    return None
                self._reading.name(left)
                if not isinstance(right, s.Name | s.Text):  # a bare word may be a value of the missing name
                    self._linear.form(right)
                return None
            if self._names.is_spoilt(left.text):
                return None  # a bare word on the right may be a value of its broken declaration
            readable = self._names.reads_values(left.text)
            if readable is not None:
                self._reading.name(left)
                return self._compare_value(node, left, right, readable)
        return self._compare_numbers(node)

    def _is_value(self, node: s.Expression) -> bool:
        """Whether this can only be a value."""
        return isinstance(node, s.Text) or self._is_constant(node)

    def _turned(self, node: s.Compare, left: s.Expression, right: s.Expression) -> None:
        """Report a comparison whose value stands on the left."""
        if isinstance(right, s.Name) and self._names.reads_values(right.text) is not None:
            turned = f"{right.text} {_FLIPPED.get(node.op, node.op)} {left.span.text}"
            self._findings.add(mistakes.value_first(node.span, right, turned))
        elif isinstance(right, s.Name) and not self._names.is_known(right.text):
            self._reading.name(right)
        else:
            self._linear.form(left)
            self._linear.form(right)

    def _compare_value(self, node: s.Compare, left: s.Name, right: s.Expression, readable: Readable) -> Test | None:
        unit = readable.read.unit
        ordering = node.op in _FLIPPED
        if ordering and not (unit is Unit.ENUM and readable.ordered):
            if unit is Unit.ENUM:
                declared = readable.declared
                self._findings.add(mistakes.no_order(node.op_span, left, declared, readable.values))
            else:
                hint = "use `is` or `is not`"
                what = f"{UNIT_WORDS[unit]}, which has no order"
                self._findings.add(
                    mistakes.wrong_type(left.span, what, "something with an order", hint, readable.declared)
                )
            return None
        if unit is Unit.BOOLEAN:
            return self._compare_boolean(node, left, right, readable)
        value = self._value(readable, right)
        if value is None:
            return None
        values: tuple[str, ...] = (value,)
        if ordering:
            values = _ordered(readable.values, node.op, readable.positions[value])
        return self._member(readable, values, node.span, negated=node.op == "is not")

    def _compare_boolean(self, node: s.Compare, left: s.Name, right: s.Expression, readable: Readable) -> Test | None:
        if not (isinstance(right, s.Name) and right.text in CONSTANTS):
            hint = f"write `{left.text}` or `not {left.text}`"
            self._findings.add(
                mistakes.wrong_type(right.span, _what(right), "`true` or `false`", hint, readable.declared)
            )
            return None
        truth = Truth(readable.read, node.span)
        return truth if (right.text == "true") == (node.op == "is") else Inverse(truth)

    def _compare_numbers(self, node: s.Compare) -> Test | None:
        left, right = self._linear.form(node.left), self._linear.form(node.right)
        if left is None or right is None:
            return None
        # The difference with zero; `added` judges the units of both sides as written.
        minus = right.scaled(Fraction(-1), right.span)
        minus.literal = right.literal
        difference = self._linear.added(left, minus, node.span)
        if difference is None:
            return None
        negated = node.op == "is not"
        linear = normal(difference, "is" if negated else node.op, node.span)
        always = verdict(linear, self._linear.bounds({read: c for c, read in linear.terms}))
        if always is not None:
            self._report(node.span, always != negated, *self._reason(linear))
            return None
        return Inverse(linear) if negated else linear

    def _reason(self, linear: Linear) -> tuple[str, Span | None]:
        """Why a comparison is decided by ranges alone, and where the range is declared."""
        if not linear.terms:
            return _NOTHING_READ, None
        if never_whole(linear):
            return "it counts whole numbers", None
        if len(linear.terms) > 1:
            return "the ranges of what it reads say so", None
        read = linear.terms[0][1]
        declared = self._names.declared_at(read.name)
        if declared is not None:
            return f"the range of `{read.name}` says so", declared
        return f"`{read.name}` is never below {1 if read.name == 'attempt' else 0}", None

    # ------------------------------------------------------------ lists and values

    def _in(self, node: s.In) -> Test | None:
        left = _inside(node.left)
        if not isinstance(left, s.Name) or self._is_constant(left):
            if isinstance(left, s.Text) or self._is_constant(left):
                hint = "a name stands before `in`, its values in the list"
                self._findings.add(mistakes.wrong_type(left.span, _what(left), "a name", hint))
            elif (form := self._linear.form(left)) is not None:
                self._findings.add(mistakes.list_of_numbers(node.span, left.span, form.unit or Unit.NUMBER))
            return None
        readable = self._reading.name(left)
        if readable is None:
            return None
        unit = readable.read.unit
        if unit in NUMERIC or unit is Unit.BOOLEAN:
            self._findings.add(mistakes.list_of_numbers(node.span, left.span, unit))
            return None
        first: dict[str, Span] = {}
        sound = True
        for item in node.items:
            value = self._value(readable, item)
            if value is None:
                sound = False
            elif value in first:
                self._findings.add(name_mistakes.repeated(item.span, first[value]))
                sound = False
            else:
                first[value] = item.span
        return self._member(readable, tuple(first), node.span, negated=node.negated) if sound else None

    def _value(self, readable: Readable, node: s.Expression) -> str | None:
        """A value of an enum, or a text; None, reported, where it is none."""
        name = readable.read.name
        if readable.read.unit is Unit.TEXT:
            if isinstance(node, s.Text):
                return node.value
            hint = f'put it in quotes: `"{node.text}"`' if isinstance(node, s.Name) else f'compare `{name}` with `"…"`'
            self._findings.add(mistakes.wrong_type(node.span, _what(node), "a text", hint, readable.declared))
            return None
        if not isinstance(node, s.Name):
            if isinstance(node, s.Text) and node.value in readable.positions:
                hint = f"leave the quotes out: `{node.value}`"
            else:
                hint = f"compare `{name}` with one of its values"
            needed = f"a value of `{name}`"
            self._findings.add(mistakes.wrong_type(node.span, _what(node), needed, hint, readable.declared))
            return None
        if node.text in readable.positions:
            return node.text
        near = self._findings.near(node.text, readable.values)
        mistake = mistakes.not_a_value(node.span, name, readable.values, near, readable.declared)
        if readable.built_in is not None:
            self._findings.absent(mistake)
        else:
            self._findings.add(mistake)
        return None

    def _member(self, readable: Readable, values: tuple[str, ...], span: Span, *, negated: bool) -> Test | None:
        every = readable.read.unit is Unit.ENUM and len(values) == len(readable.values) and not readable.open
        if every or not values:
            why = (
                f"no value of `{readable.read.name}` satisfies it"
                if not values
                else f"these are all values of `{readable.read.name}`"
            )
            if readable.built_in is None or not self._findings.partial:
                self._report(span, bool(values) != negated, why, readable.declared)
            return None
        member = Member(readable.read, values, span)
        return Inverse(member) if negated else member

    def _report(self, span: Span, truth: bool, why: str, declared: Span | None) -> None:
        make = mistakes.always_true if truth else mistakes.always_false
        self._findings.add(make(span, why, declared))


def _inside(node: s.Expression) -> s.Expression:
    while isinstance(node, s.Parentheses):
        node = node.part
    return node


def _ordered(values: tuple[str, ...], op: str, place: int) -> tuple[str, ...]:
    """The values of an ordered enum that stand so to the one at this place."""
    match op:
        case "<":
            return values[:place]
        case "<=":
            return values[: place + 1]
        case ">":
            return values[place + 1 :]
        case _:
            return values[place:]


def _what(node: s.Expression) -> str:
    """What the author wrote instead of what is needed."""
    if isinstance(node, s.Or | s.And | s.Not | s.Compare | s.In):
        return "true or false"
    if isinstance(node, s.Sum | s.Product | s.Share | s.Negative | s.Parentheses | s.Meter):
        return "a calculation"
    return literal_word(node)
