"""Every small change of one statement: the changed tree, and the edits of its text that say the same.

A variant of a node is a variant of one of its parts put back in its place, or a change of the node itself. What a
changed statement means, and whether it is one at all, is the checker's business.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from msgspec.structs import replace

from policy_engine.language import syntax as s
from policy_engine.language.checker import Rechecker
from policy_engine.language.source import Span
from policy_engine.language.vocabulary import ANY, NEVER_RETRIED
from policy_engine.testing.mutation.edits import Edit
from policy_engine.testing.mutation.stepping import steps

_T = TypeVar("_T")
_OPPOSITE = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
_WORD = re.compile(r"#[^\n]*|\b(and|or)\b")


@dataclass(frozen=True, slots=True)
class Variant:
    """A changed node. `operator` is the kind of change, `edits` make it in the text.

    `widens` says that it may apply to whom or what it did not: then more decisions may notice than look at it.
    """

    node: Any
    operator: str
    edits: tuple[Edit, ...]
    widens: bool = False

    def inside(self, node: Any) -> "Variant":
        """The same change, of a node around it."""
        return Variant(node, self.operator, self.edits, self.widens)


class Variants:
    """Makes the variants of the statements of one policy set."""

    def __init__(self, checker: Rechecker, routes: Sequence[str], lanes: Sequence[str]) -> None:
        self._checker = checker
        self._routes = tuple(routes)
        self._lanes = tuple(lanes)

    # ------------------------------------------------------------ statements

    def rule(self, rule: s.Rule) -> Iterator[Variant]:
        """Every variant of a rule, the rule itself dropped aside."""
        match rule:
            case s.Ceiling(amount=s.Money() | s.Duration()):
                yield from self._stepped(rule, "amount")
            case s.Ceiling(amount=s.Count() as part):
                yield from (v.inside(replace(rule, amount=v.node)) for v in self._stepped(part, "number"))
            case s.Ceiling(amount=s.ShareOfPrice() as part):
                yield from (v.inside(replace(rule, amount=v.node)) for v in self._stepped(part, "percent"))
            case s.Retry() | s.Limit():
                yield from self._stepped(rule, "count")
            case s.Margin():
                yield from self._stepped(rule, "percent")
            case s.Fallback():
                yield from self._target(rule)
        for variant in self._tails(rule.tails, retries=isinstance(rule, s.Retry)):
            yield variant.inside(replace(rule, tails=variant.node))

    def setting(self, setting: Any) -> Iterator[Variant]:
        """Every variant of a setting, or of a pack's first line. Rates and costs are no choice of the author's."""
        match setting:
            case s.Price() | s.Fee() | s.UnitPrice() | s.OverageCap():
                yield from self._stepped(setting, "amount")
            case s.Units():
                yield from self._stepped(setting, "count")
            case s.Expires():
                yield from self._stepped(setting, "after")
            case s.Accepted() | s.StoreFailure(within=s.Money()):
                yield from self._stepped(setting, "within")
            case s.Includes():
                yield from self._each(setting, "units", self.setting)
            case s.Overage():
                yield from self._each(setting, "prices", self.setting)
                if setting.cap is not None:
                    yield from (v.inside(replace(setting, cap=v.node)) for v in self.setting(setting.cap))
            case s.PackUnits():
                yield from (v.inside(replace(setting, units=v.node)) for v in self.setting(setting.units))
                yield from self._stepped(setting, "amount")
            case s.Lanes(names=names):
                for variant in self.swapped(names, self._lanes, "lane"):
                    yield variant.inside(replace(setting, names=variant.node))

    def path(self, path: tuple[s.Name, ...]) -> Iterator[Variant]:
        """Every variant of a lane's routes."""
        return self.swapped(path, self._routes, "route")

    def swapped(self, names: tuple[s.Name, ...], every: tuple[str, ...], kind: str) -> Iterator[Variant]:
        """Each two neighbours changed about; of a single name, another in its place."""
        for index in range(len(names) - 1):
            left, right = names[index], names[index + 1]
            put = (replace(right, span=left.span), replace(left, span=right.span))
            edits = (Edit(left.span, right.text), Edit(right.span, left.text))
            yield Variant((*names[:index], *put, *names[index + 2 :]), kind, edits, widens=True)
        if len(names) == 1 and (other := _next(names[0].text, every, ())):
            yield Variant((replace(names[0], text=other),), kind, (Edit(names[0].span, other),), widens=True)

    # ------------------------------------------------------------ amounts

    def _stepped(self, node: Any, name: str) -> Iterator[Variant]:
        literal = getattr(node, name)
        for stepped in steps(literal):
            yield Variant(replace(node, **{name: stepped}), "amount", (Edit(literal.span, stepped.text),))

    def _each(self, node: Any, name: str, variants: Any) -> Iterator[Variant]:
        """The variants of every part of a list in a node."""
        parts = getattr(node, name)
        for index, part in enumerate(parts):
            for variant in variants(part):
                yield variant.inside(replace(node, **{name: _put(parts, index, variant.node)}))

    # ------------------------------------------------------------ tails

    def _tails(self, tails: s.Tails, *, retries: bool) -> Iterator[Variant]:
        if tails.on is not None:
            for variant in self._classes(tails.on, NEVER_RETRIED if retries else ()):
                yield variant.inside(replace(tails, on=variant.node))
        if tails.backoff is not None:
            for name in ("first", "longest") if tails.backoff.longest is not None else ("first",):
                for variant in self._stepped(tails.backoff, name):
                    yield variant.inside(replace(tails, backoff=variant.node))
        if tails.condition is not None:
            for variant in self._condition(tails.condition):
                yield variant.inside(replace(tails, condition=variant.node))
        if tails.alert is not None:
            for variant in self._each(tails.alert, "percents", _steps_of):
                yield variant.inside(replace(tails, alert=variant.node))

    def _classes(self, on: s.On, never: tuple[str, ...]) -> Iterator[Variant]:
        names = on.classes
        if ANY in {name.text for name in names}:
            return
        every = tuple(name for name in self._checker.error_classes if name not in never)
        for index, name in enumerate(names):
            other = _next(name.text, every, [name.text for name in names])
            if other is not None:
                put = _put(names, index, replace(name, text=other))
                yield Variant(replace(on, classes=put), "error class", (Edit(name.span, other),), widens=True)
            if len(names) > 1:
                left = (*names[:index], *names[index + 1 :])
                gone = names[index - 1].span.end if index else name.span.start
                end = name.span.end if index else names[1].span.start
                edit = Edit(Span(name.span.source, gone, end), "")
                yield Variant(replace(on, classes=left), "error class", (edit,))

    def _target(self, rule: s.Fallback) -> Iterator[Variant]:
        other = {"next": "stop", "stop": "next"}.get(rule.target.text) or _next(rule.target.text, self._routes, ())
        if other is not None:
            target = replace(rule.target, text=other)
            yield Variant(replace(rule, target=target), "route", (Edit(rule.target.span, other),))

    # ------------------------------------------------------------ conditions

    def _condition(self, condition: s.Condition) -> Iterator[Variant]:
        start = condition.span.start
        word, other = ("unless", "when") if condition.negated else ("when", "unless")
        edit = Edit(Span(condition.span.source, start, start + len(word)), other)
        yield Variant(replace(condition, negated=not condition.negated), "when / unless", (edit,), widens=True)
        for variant in self._test(condition.test, bare=True):
            yield variant.inside(replace(condition, test=variant.node))

    def _test(self, node: s.Expression, *, bare: bool = False) -> Iterator[Variant]:
        """The variants of a condition. `bare` is one that its surroundings do not bind to anything."""
        match node:
            case s.Parentheses(part=part):
                yield from (v.inside(replace(node, part=v.node)) for v in self._test(part, bare=True))
            case s.Not(part=part):
                yield from (v.inside(replace(node, part=v.node)) for v in self._test(part))
            case s.And() | s.Or():
                yield self._turned(node, bare=bare)
                yield from self._each(node, "parts", self._test)
            case s.Compare():
                if node.op in _OPPOSITE:
                    op = _OPPOSITE[node.op]
                    yield Variant(replace(node, op=op), "comparison", (Edit(node.op_span, op),))
                yield from self._value(node)
            case s.In(left=s.Name() as left):
                values, listed = self._checker.values(left.text), [i.text for i in node.items if isinstance(i, s.Name)]
                yield from self._each(node, "items", lambda item: _other_value(item, values, listed))

    def _value(self, node: s.Compare) -> Iterator[Variant]:
        if isinstance(node.left, s.Name) and isinstance(node.right, s.Name):
            values = self._checker.values(node.left.text)
            for variant in _other_value(node.right, values, [node.right.text]):
                yield variant.inside(replace(node, right=variant.node))

    def _turned(self, node: s.And | s.Or, *, bare: bool) -> Variant:
        """`and` for `or`, in parentheses where the neighbours would bind otherwise."""
        kind, word = (s.Or, "or") if isinstance(node, s.And) else (s.And, "and")
        edits = []
        for left, right in zip(node.parts, node.parts[1:], strict=False):
            between = Span(node.span.source, left.span.end, right.span.start)
            found = next(match for match in _WORD.finditer(between.text) if match[1])
            start, end = (between.start + offset for offset in found.span())
            edits.append(Edit(Span(node.span.source, start, end), word))
        # What binds looser than its new parts' neighbours is kept together, and so is an `or` among the parts.
        parts = tuple(
            s.Parentheses(part=part, span=part.span) if isinstance(part, kind | s.And | s.Or) else part
            for part in node.parts
        )
        for old, new in zip(node.parts, parts, strict=True):
            edits += [] if old is new else _parentheses(old.span)
        turned: s.Expression = kind(parts=parts, span=node.span)
        if not bare:
            turned = s.Parentheses(part=turned, span=node.span)
            edits += _parentheses(node.span)
        return Variant(turned, "and / or", tuple(edits))


def _parentheses(span: Span) -> list[Edit]:
    return [Edit(Span(span.source, span.start, span.start), "("), Edit(Span(span.source, span.end, span.end), ")")]


def _steps_of(percent: s.Percent) -> Iterator[Variant]:
    for stepped in steps(percent):
        yield Variant(stepped, "amount", (Edit(percent.span, stepped.text),))


def _other_value(node: s.Expression, values: Sequence[str], taken: Sequence[str]) -> Iterator[Variant]:
    if isinstance(node, s.Name) and (other := _next(node.text, values, taken)):
        yield Variant(replace(node, text=other), "value", (Edit(node.span, other),), widens=True)


def _next(name: str, every: Sequence[str], taken: Sequence[str]) -> str | None:
    """The name that follows in a list, round its end, and is neither this one nor taken."""
    place = every.index(name) + 1 if name in every else 0
    around = (*every[place:], *every[:place])
    return next((other for other in around if other != name and other not in taken), None)


def _put(parts: Sequence[_T], index: int, part: _T) -> tuple[_T, ...]:
    return (*parts[:index], part, *parts[index + 1 :])
