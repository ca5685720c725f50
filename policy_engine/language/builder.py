"""Tokens → syntax nodes: what the parser calls at each reduction.

One method per grammar rule, named after it. Each gets its children, keyword tokens
included, so a node's span runs from its first child to its last. Nothing is resolved
here; the only mistakes found are those of soft words and of the order of tails.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Protocol

from msgspec.structs import replace

from policy_engine.language import slips
from policy_engine.language import syntax as s
from policy_engine.language.diagnostics import Diagnostic
from policy_engine.language.source import Source, Span
from policy_engine.language.units import MICROS, SUFFIXES, SYMBOLS
from policy_engine.language.vocabulary import TAIL_ORDER

MAX_NESTING = 64
"""Brackets that may be open at once. No person writes so many; the checker and the formatter recurse."""

MAX_DIGITS = 30
MAX_NAME_LENGTH = 100


class NestingError(Exception):
    """More open brackets than `MAX_NESTING`; carries the span of the one too many."""

    def __init__(self, span: Span) -> None:
        super().__init__(str(span))
        self.span = span


class LengthError(Exception):
    """A number or name longer than anything here computes with or prints."""


class Token(Protocol):
    """What is read of a lexer's token."""

    type: str
    value: str
    start_pos: int
    end_pos: int


Children = Sequence[Any]


class TreeBuilder:
    """The embedded transformer. It holds the source being read, so one parse uses it at a time."""

    def __init__(self) -> None:
        self.begin(Source("", ""))

    def begin(self, source: Source) -> None:
        """Start on a new source, everything of the last one forgotten."""
        self.source = source
        self.comments: list[s.Comment] = []
        self.diagnostics: list[Diagnostic] = []
        self.depth = 0

    def finish(self, items: Sequence[Any]) -> s.File:
        """The file of the items that were read."""
        comments = tuple(sorted(self.comments, key=lambda comment: comment.span.start))
        return s.File(items=tuple(items), comments=comments, source=self.source)

    # ------------------------------------------------------------ called by the lexer

    def on_comment(self, token: Token) -> Token:
        self.comments.append(s.Comment(text=token.value.rstrip(), span=self._token_span(token)))
        return token

    def on_open(self, token: Token) -> Token:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise NestingError(self._token_span(token))
        return token

    def on_close(self, token: Token) -> Token:
        self.depth = max(self.depth - 1, 0)
        return token

    # ------------------------------------------------------------ spans and small parts

    def _token_span(self, token: Token) -> Span:
        return Span(self.source, token.start_pos, token.end_pos)

    def _span(self, children: Children) -> Span:
        """From the first child that was written to the last."""
        written = [child for child in children if child is not None and child.__class__ not in _UNPLACED]
        return Span(self.source, _start(written[0]), _end(written[-1]))

    def _name(self, token: Token) -> s.Name:
        if len(token.value) > MAX_NAME_LENGTH:
            raise LengthError
        return s.Name(text=token.value, span=self._token_span(token))

    def _names(self, children: Children) -> tuple[s.Name, ...]:
        """The names among children that are separated by signs or words."""
        return tuple(self._name(child) for child in children[::2])

    def _text(self, token: Token) -> s.Text:
        value = token.value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
        return s.Text(value=value, span=self._token_span(token))

    def _soft(self, token: Token, word: str) -> None:
        """A word that is not reserved, but the only one that can stand here."""
        if token.value != word:
            self.diagnostics.append(slips.expected_word(word, token.value, self._token_span(token)))

    # ------------------------------------------------------------ literals

    def number(self, children: Children) -> s.Number:
        token = _bounded(children[0])
        return s.Number(value=_decimal(token.value), text=token.value, span=self._token_span(token))

    def percent(self, children: Children) -> s.Percent:
        token = _bounded(children[0])
        return s.Percent(value=_exact(token.value[:-1]), text=token.value, span=self._token_span(token))

    def duration(self, children: Children) -> s.Duration:
        token = _bounded(children[0])
        digits = token.value.rstrip("minshd")
        value = _exact(digits) * MICROS[token.value[len(digits) :]]
        return s.Duration(value=value, text=token.value, span=self._token_span(token))

    def money(self, children: Children) -> s.Money:
        token = _bounded(children[0])
        text = token.value
        if text[0] in SYMBOLS:
            currency, digits = SYMBOLS[text[0]], text[1:]
        else:
            digits, currency = text.split()
            text = f"{digits} {currency}"
        return s.Money(value=_decimal(digits), currency=currency, text=text, span=self._token_span(token))

    def text(self, children: Children) -> s.Text:
        return self._text(children[0])

    # ------------------------------------------------------------ declarations

    def start(self, children: Children) -> list[Any]:
        return list(children)

    def currency(self, children: Children) -> s.CurrencyDeclaration:
        return s.CurrencyDeclaration(code=self._name(children[1]), span=self._span(children))

    def timezone(self, children: Children) -> s.TimezoneDeclaration:
        return s.TimezoneDeclaration(zone=self._text(children[1]), span=self._span(children))

    def error_class(self, children: Children) -> s.ErrorDeclaration:
        return s.ErrorDeclaration(name=self._name(children[1]), span=self._span(children))

    def fact(self, children: Children) -> s.FactDeclaration:
        _, name, optional, _, type_, *default = children
        return s.FactDeclaration(
            name=self._name(name),
            optional=optional is not None,
            type=type_,
            default=default[-1],
            span=self._span(children),
        )

    def scalar_type(self, children: Children) -> s.ScalarType:
        name, low, *high = children
        # Without a range the grammar leaves one empty place, not two.
        return s.ScalarType(name=self._name(name), low=low, high=high[-1] if high else None, span=self._span(children))

    def ordered_enum(self, children: Children) -> s.Enumeration:
        return s.Enumeration(values=self._names(children), ordered=True, span=self._span(children))

    def unordered_enum(self, children: Children) -> s.Enumeration:
        return s.Enumeration(values=self._names(children), ordered=False, span=self._span(children))

    def negative_literal(self, children: Children) -> s.Negative:
        return s.Negative(part=children[1], span=self._span(children))

    def store_failure(self, children: Children) -> s.StoreFailure:
        if len(children) == 2:
            self._soft(children[1], "deny")
            return s.StoreFailure(within=None, span=self._span(children))
        return s.StoreFailure(within=children[3], span=self._span(children))

    # ------------------------------------------------------------ blocks

    def block_head(self, children: Children) -> Children:
        return children

    lane_head = pack_head = block_head

    def path(self, children: Children) -> tuple[s.Name, ...]:
        return self._names(children)

    def pack_units(self, children: Children) -> s.PackUnits:
        return s.PackUnits(units=children[0], amount=children[2], span=self._span(children))

    def block(self, children: Children) -> s.Block:
        head, brace, *items, end = children
        return self._declared(head, brace, end, items)

    def lane(self, children: Children) -> s.Block:
        head, brace, path, *items, end = children
        return self._declared(head, brace, end, items, path=path or ())

    def pack(self, children: Children) -> s.Block:
        head, brace, units, *items, end = children
        return self._declared(head, brace, end, items, pack=units)

    def _declared(
        self,
        head: Children,
        brace: Token,
        end: Token,
        items: Children,
        *,
        path: tuple[s.Name, ...] = (),
        pack: s.PackUnits | None = None,
    ) -> s.Block:
        kind, name, title = head
        return s.Block(
            kind=kind.value,
            name=self._name(name),
            title=self._text(title) if title is not None else None,
            path=path,
            pack=pack,
            items=tuple(items),
            head=Span(self.source, kind.start_pos, brace.end_pos),
            span=Span(self.source, kind.start_pos, end.end_pos),
        )

    # ------------------------------------------------------------ settings

    def model(self, children: Children) -> s.Model:
        return s.Model(model=self._text(children[1]), span=self._span(children))

    def tool(self, children: Children) -> s.Tool:
        return s.Tool(tool=self._text(children[1]), span=self._span(children))

    def handoff(self, children: Children) -> s.Handoff:
        return s.Handoff(to=self._text(children[1]), span=self._span(children))

    def rates(self, children: Children) -> s.RatesSetting:
        _, input_, _, _, output, out, _, per, tokens = children
        self._soft(out, "out")
        self._soft(tokens, "tokens")
        return s.RatesSetting(input=input_, output=output, per=per, span=self._span(children))

    def cost(self, children: Children) -> s.Cost:
        return s.Cost(amount=children[1], span=self._span(children))

    def fee(self, children: Children) -> s.Fee:
        return s.Fee(amount=children[1], period=self._name(children[3]), span=self._span(children))

    def includes(self, children: Children) -> s.Includes:
        return s.Includes(units=tuple(children[1::2]), span=self._span(children))

    def units(self, children: Children) -> s.Units:
        return s.Units(count=children[0], outcome=self._name(children[1]), span=self._span(children))

    def overage(self, children: Children) -> s.Overage:
        prices = tuple(child for child in children if isinstance(child, s.UnitPrice))
        return s.Overage(prices=prices, cap=children[-1], span=self._span(children))

    def unit_price(self, children: Children) -> s.UnitPrice:
        return s.UnitPrice(amount=children[0], outcome=self._name(children[2]), span=self._span(children))

    def overage_cap(self, children: Children) -> s.OverageCap:
        return s.OverageCap(amount=children[2], period=self._name(children[4]), span=self._span(children))

    def expires(self, children: Children) -> s.Expires:
        return s.Expires(after=children[1], span=self._span(children))

    def price(self, children: Children) -> s.Price:
        return s.Price(amount=children[1], span=self._span(children))

    def lanes(self, children: Children) -> s.Lanes:
        return s.Lanes(names=self._names(children[1:]), span=self._span(children))

    def accepted(self, children: Children) -> s.Accepted:
        if children[-1] is not None:
            self._soft(children[-1], "expired")
        return s.Accepted(within=children[2], else_expired=children[-1] is not None, span=self._span(children))

    # ------------------------------------------------------------ rules

    def shadow(self, children: Children) -> s.Rule:
        word, rule = children
        span = Span(self.source, word.start_pos, rule.span.end)
        shadowed: s.Rule = replace(rule, shadow=True, span=span)
        return shadowed

    def ceiling(self, children: Children) -> s.Ceiling:
        _, amount, per, tails = children
        return s.Ceiling(amount=amount, per=per or (), shadow=False, **self._tailed(children, tails))

    def count(self, children: Children) -> s.Count:
        number, unit = children
        return s.Count(number=number, unit=self._name(unit) if unit else None, span=self._span(children))

    def share_of_price(self, children: Children) -> s.ShareOfPrice:
        return s.ShareOfPrice(percent=children[0], of=self._name(children[2]), span=self._span(children))

    def retry(self, children: Children) -> s.Retry:
        return s.Retry(count=children[1], shadow=False, **self._tailed(children, children[2]))

    def allow(self, children: Children) -> s.Allow:
        return s.Allow(shadow=False, **self._tailed(children, children[1]))

    def forbid(self, children: Children) -> s.Forbid:
        return s.Forbid(shadow=False, **self._tailed(children, children[1]))

    def limit(self, children: Children) -> s.Limit:
        _, count, per, tails = children
        return s.Limit(count=count, per=per or (), shadow=False, **self._tailed(children, tails))

    def fallback(self, children: Children) -> s.Fallback:
        _, target, tails = children
        return s.Fallback(target=self._name(target), shadow=False, **self._tailed(children, tails))

    def margin(self, children: Children) -> s.Margin:
        self._soft(children[2], "least")
        return s.Margin(percent=children[3], shadow=False, **self._tailed(children, children[4]))

    def _tailed(self, children: Children, tails: "_TailList") -> dict[str, Any]:
        """The tails of a rule in their one order, and its span to the end of the last one."""
        kept: dict[str, Any] = {}
        last, last_span = -1, None
        for kind, node, span in tails:
            place = TAIL_ORDER.index(kind)
            if kind in kept:
                self.diagnostics.append(slips.repeated_tail(span, kept[kind].span))
                continue
            if last_span is not None and place < last:
                self.diagnostics.append(slips.tail_out_of_order(span, last_span))
            else:
                last, last_span = place, span
            kept[kind] = node
        written = [*children[:-1], *(span for _, _, span in tails)]
        return {"tails": s.Tails(**kept), "span": self._span(written)}

    def per(self, children: Children) -> tuple[s.Name, ...]:
        return _Keys(self._names(children[1:]))

    # ------------------------------------------------------------ tails

    def tails(self, children: Children) -> "_TailList":
        return _TailList(children)

    def on(self, children: Children) -> tuple[str, s.On, Span]:
        span = self._span(children)
        return "on", s.On(classes=self._names(children[1:]), span=span), span

    def backoff(self, children: Children) -> tuple[str, s.Backoff, Span]:
        span = self._span(children)
        return "backoff", s.Backoff(first=children[1], longest=children[-1], span=span), span

    def condition(self, children: Children) -> tuple[str, s.Condition, Span]:
        span = self._span(children)
        return "condition", s.Condition(test=children[1], negated=False, span=span), span

    def unless(self, children: Children) -> tuple[str, s.Condition, Span]:
        span = self._span(children)
        return "condition", s.Condition(test=children[1], negated=True, span=span), span

    def alert(self, children: Children) -> tuple[str, s.AlertAt, Span]:
        span = self._span(children)
        return "alert", s.AlertAt(percents=tuple(children[2::2]), span=span), span

    def label(self, children: Children) -> tuple[str, s.Name, Span]:
        return "label", self._name(children[1]), self._span(children)

    # ------------------------------------------------------------ conditions

    def or_(self, children: Children) -> s.Or:
        return s.Or(parts=tuple(children[::2]), span=self._span(children))

    def and_(self, children: Children) -> s.And:
        return s.And(parts=tuple(children[::2]), span=self._span(children))

    def not_(self, children: Children) -> s.Not:
        return s.Not(part=children[1], span=self._span(children))

    def less(self, children: Children) -> s.Compare:
        left, op, right = children
        return self._compare(op.value, left, right, self._token_span(op))

    def is_(self, children: Children) -> s.Compare:
        left, op, right = children
        return self._compare("is", left, right, self._token_span(op))

    def is_not(self, children: Children) -> s.Compare:
        left, op, negation, right = children
        return self._compare("is not", left, right, Span(self.source, op.start_pos, negation.end_pos))

    def _compare(self, op: str, left: Any, right: Any, op_span: Span) -> s.Compare:
        return s.Compare(op=op, left=left, right=right, op_span=op_span, span=left.span.to(right.span))

    def in_(self, children: Children) -> s.In:
        return s.In(left=children[0], items=tuple(children[3:-1:2]), negated=False, span=self._span(children))

    def not_in(self, children: Children) -> s.In:
        return s.In(left=children[0], items=tuple(children[4:-1:2]), negated=True, span=self._span(children))

    def sum(self, children: Children) -> s.Sum:
        signs = [1, *(-1 if sign.value == "-" else 1 for sign in children[1::2])]
        return s.Sum(terms=tuple(zip(signs, children[::2], strict=True)), span=self._span(children))

    def product(self, children: Children) -> s.Product:
        return s.Product(factors=tuple(children[::2]), span=self._span(children))

    def share(self, children: Children) -> s.Share:
        return s.Share(percent=children[0], of=children[2], span=self._span(children))

    def negative(self, children: Children) -> s.Negative:
        return s.Negative(part=children[1], span=self._span(children))

    def parentheses(self, children: Children) -> s.Parentheses:
        return s.Parentheses(part=children[1], span=self._span(children))

    def name(self, children: Children) -> s.Name:
        return self._name(children[0])

    def meter(self, children: Children) -> s.Meter:
        quantity, of, block, per = children
        return s.Meter(
            quantity=self._name(quantity),
            block=self._name(block) if of is not None else None,
            per=per,
            span=Span(self.source, quantity.start_pos, per[-1].span.end),
        )


class _TailList(list[Any]):
    """The tails of a rule as they were written; perhaps none, then nowhere."""


class _Keys(tuple[s.Name, ...]):
    """The keys after `per`; placed by the last of them."""

    __slots__ = ()


_UNPLACED = (_TailList,)


def _start(child: Any) -> int:
    if isinstance(child, Span):
        return child.start
    if isinstance(child, _Keys):
        return child[0].span.start
    start: int = child.start_pos if hasattr(child, "start_pos") else child.span.start
    return start


def _end(child: Any) -> int:
    if isinstance(child, Span):
        return child.end
    if isinstance(child, _Keys):
        return child[-1].span.end
    end: int = child.end_pos if hasattr(child, "end_pos") else child.span.end
    return end


def _bounded(token: Token) -> Token:
    """A number that is not too long to be computed with. Raises `LengthError`."""
    if has_too_many_digits(token.value):
        raise LengthError
    return token


def has_too_many_digits(number: str) -> bool:
    """Whether a number is too long to be computed with; blanks before a currency code do not count."""
    return len(number) > MAX_DIGITS and sum(map(str.isdigit, number)) > MAX_DIGITS


def _decimal(text: str) -> Fraction:
    if text[-1] in SUFFIXES:
        return _exact(text[:-1]) * SUFFIXES[text[-1]]
    return _exact(text)


def _exact(digits: str) -> Fraction:
    """The value of `300` or `0.30`; what `Fraction(digits)` gives, without its own reading of the text."""
    whole, _, places = digits.partition(".")
    return Fraction(int(whole + places), 10 ** len(places)) if places else Fraction(int(whole))
