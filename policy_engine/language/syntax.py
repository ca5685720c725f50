"""What a policy says, as written: one frozen node per thing, its span outside equality.

Two trees are equal if they say the same in the same order, wherever they stand and
however they are spaced. Nothing here is resolved: names are text, amounts are literals.
Every node is built by the parser and read by the checker and the formatter.
"""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar

from msgspec import Struct

from policy_engine.language.source import Source, Span


class Node(Struct, frozen=True, eq=False, gc=False):
    """What every node shares: equal if of one kind and equal in all but the fields `beside` the meaning.

    A tree has no cycles, so the garbage collector need not walk it.
    """

    beside: ClassVar[frozenset[str]] = frozenset({"span", "op_span", "source"})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and type(self) is type(other) and self._meaning() == other._meaning()

    def __hash__(self) -> int:
        return hash((type(self), *self._meaning()))

    def _meaning(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__struct_fields__ if name not in self.beside)


class _Spelt(Node, frozen=True, eq=False, gc=False):
    """A literal whose `text` is the spelling the author chose, out of several for one value."""

    beside: ClassVar[frozenset[str]] = Node.beside | {"text"}


# ---------------------------------------------------------------- words and literals


class Name(Node, frozen=True, kw_only=True):
    """A name where it is declared or used: `support_draft`."""

    text: str
    span: Span


class Text(Node, frozen=True, kw_only=True):
    """A quoted text: `"customer support"`; `value` has its escapes undone."""

    value: str
    span: Span


class Number(_Spelt, frozen=True, kw_only=True):
    """A bare number: `300`, `0.5`, `200k`. `text` is the spelling the author chose."""

    value: Fraction
    text: str
    span: Span


class Money(_Spelt, frozen=True, kw_only=True):
    """An amount: `$0.30`, `0.30 CHF`. `value` counts whole currency units exactly."""

    value: Fraction
    currency: str
    text: str
    span: Span


class Percent(_Spelt, frozen=True, kw_only=True):
    """A share: `45%`; `value` is 45."""

    value: Fraction
    text: str
    span: Span


class Duration(_Spelt, frozen=True, kw_only=True):
    """A length of time: `72h`; `value` counts microseconds exactly."""

    value: Fraction
    text: str
    span: Span


Literal = Number | Money | Percent | Duration | Text

# ---------------------------------------------------------------- conditions


class Meter(Node, frozen=True, kw_only=True):
    """A count kept by the ledger: `spent per customer per day`, `count of premium per customer per month`."""

    quantity: Name
    block: Name | None
    per: tuple[Name, ...]
    span: Span


class Or(Node, frozen=True, kw_only=True):
    """`a or b or c`."""

    parts: tuple["Expression", ...]
    span: Span


class And(Node, frozen=True, kw_only=True):
    """`a and b and c`."""

    parts: tuple["Expression", ...]
    span: Span


class Not(Node, frozen=True, kw_only=True):
    """`not a`."""

    part: "Expression"
    span: Span


class Compare(Node, frozen=True, kw_only=True):
    """`left op right`, where `op` is one of `<`, `<=`, `>`, `>=`, `is`, `is not`."""

    op: str
    left: "Expression"
    right: "Expression"
    op_span: Span
    span: Span


class In(Node, frozen=True, kw_only=True):
    """`left in [a, b]` or, negated, `left not in [a, b]`."""

    left: "Expression"
    items: tuple["Expression", ...]
    negated: bool
    span: Span


class Sum(Node, frozen=True, kw_only=True):
    """`a + b - c`: each term with its sign, 1 or -1; the first sign is 1."""

    terms: tuple[tuple[int, "Expression"], ...]
    span: Span


class Product(Node, frozen=True, kw_only=True):
    """`2 * spent`, factors in written order."""

    factors: tuple["Expression", ...]
    span: Span


class Share(Node, frozen=True, kw_only=True):
    """`50% of ceiling`."""

    percent: Percent
    of: "Expression"
    span: Span


class Negative(Node, frozen=True, kw_only=True):
    """`-x`."""

    part: "Expression"
    span: Span


class Parentheses(Node, frozen=True, kw_only=True):
    """`(a)`: kept, so that the formatter writes what the author grouped."""

    part: "Expression"
    span: Span


Expression = (
    Or | And | Not | Compare | In | Sum | Product | Share | Negative | Parentheses | Meter | Name | Literal
)  # fmt: skip

# ---------------------------------------------------------------- tails


class On(Node, frozen=True, kw_only=True):
    """`on timeout, rate_limit`."""

    classes: tuple[Name, ...]
    span: Span


class Backoff(Node, frozen=True, kw_only=True):
    """`backoff 250ms..4s`; one duration is a constant delay (`longest` is None)."""

    first: Duration
    longest: Duration | None
    span: Span


class Condition(Node, frozen=True, kw_only=True):
    """`when …`, or, negated, `unless …`."""

    test: Expression
    negated: bool
    span: Span


class AlertAt(Node, frozen=True, kw_only=True):
    """`alert at 50%, 80%`."""

    percents: tuple[Percent, ...]
    span: Span


class Tails(Node, frozen=True, kw_only=True):
    """What may follow a rule, in this one order. Which rule takes which tail is the checker's business."""

    on: On | None = None
    backoff: Backoff | None = None
    condition: Condition | None = None
    alert: AlertAt | None = None
    label: Name | None = None  # `as NAME`


# ---------------------------------------------------------------- rules


class ShareOfPrice(Node, frozen=True, kw_only=True):
    """A ceiling's amount as a share of the price: `40% of price`; `of` is the word after `of`."""

    percent: Percent
    of: Name
    span: Span


class Count(Node, frozen=True, kw_only=True):
    """A ceiling's amount with a unit in words: `6 attempts`, `200k tokens`; without one, `unit` is None (a mistake)."""

    number: Number
    unit: Name | None
    span: Span


class Ceiling(Node, frozen=True, kw_only=True):
    """`ceiling $20 per customer per day`."""

    amount: Money | Duration | Percent | Count | ShareOfPrice
    per: tuple[Name, ...]
    tails: Tails
    shadow: bool
    span: Span


class Retry(Node, frozen=True, kw_only=True):
    """`retry 2 on timeout, rate_limit backoff 250ms..4s`."""

    count: Number
    tails: Tails
    shadow: bool
    span: Span


class Allow(Node, frozen=True, kw_only=True):
    """`allow when plan is growth`."""

    tails: Tails
    shadow: bool
    span: Span


class Forbid(Node, frozen=True, kw_only=True):
    """`forbid when region is eu`."""

    tails: Tails
    shadow: bool
    span: Span


class Limit(Node, frozen=True, kw_only=True):
    """`limit 50 per customer per month`."""

    count: Number
    per: tuple[Name, ...]
    tails: Tails
    shadow: bool
    span: Span


class Fallback(Node, frozen=True, kw_only=True):
    """`fallback next on timeout`; the target is `next`, `stop` or the name of a route."""

    target: Name
    tails: Tails
    shadow: bool
    span: Span


class Margin(Node, frozen=True, kw_only=True):
    """`margin at least 45%`."""

    percent: Percent
    tails: Tails
    shadow: bool
    span: Span


Rule = Ceiling | Retry | Allow | Forbid | Limit | Fallback | Margin

# ---------------------------------------------------------------- settings of a block


class Model(Node, frozen=True, kw_only=True):
    """`model "openai:gpt-4o-mini"`."""

    model: Text
    span: Span


class Tool(Node, frozen=True, kw_only=True):
    """`tool "web"`."""

    tool: Text
    span: Span


class Handoff(Node, frozen=True, kw_only=True):
    """`handoff "support tier 2"`."""

    to: Text
    span: Span


class RatesSetting(Node, frozen=True, kw_only=True):
    """`rates $0.15 in, $0.60 out per 1M tokens`."""

    input: Money
    output: Money
    per: Number
    span: Span


class Cost(Node, frozen=True, kw_only=True):
    """`cost $0.01`, flat per attempt or per handoff."""

    amount: Money
    span: Span


class Fee(Node, frozen=True, kw_only=True):
    """`fee $199 per month`."""

    amount: Money
    period: Name
    span: Span


class Units(Node, frozen=True, kw_only=True):
    """So many units of an outcome: `300 support_draft`."""

    count: Number
    outcome: Name
    span: Span


class Includes(Node, frozen=True, kw_only=True):
    """`includes 2000 support_draft, 120 account_summary`."""

    units: tuple[Units, ...]
    span: Span


class UnitPrice(Node, frozen=True, kw_only=True):
    """`$0.99 per support_draft`."""

    amount: Money
    outcome: Name
    span: Span


class OverageCap(Node, frozen=True, kw_only=True):
    """`up to $500 per month`."""

    amount: Money
    period: Name
    span: Span


class Overage(Node, frozen=True, kw_only=True):
    """`overage $0.80 per support_draft, $4 per account_summary up to $500 per month`."""

    prices: tuple[UnitPrice, ...]
    cap: OverageCap | None
    span: Span


class Expires(Node, frozen=True, kw_only=True):
    """`expires 90d`."""

    after: Duration
    span: Span


class Price(Node, frozen=True, kw_only=True):
    """`price $0.99`."""

    amount: Money
    span: Span


class Lanes(Node, frozen=True, kw_only=True):
    """`lanes premium, standard`."""

    names: tuple[Name, ...]
    span: Span


class Accepted(Node, frozen=True, kw_only=True):
    """`accepted within 72h`, `accepted within 72h else expired`."""

    within: Duration
    else_expired: bool
    span: Span


Setting = (
    Model | Tool | Handoff | RatesSetting | Cost | Fee | Includes | Overage | Expires | Price | Lanes | Accepted
)  # fmt: skip

# ---------------------------------------------------------------- declarations


class CurrencyDeclaration(Node, frozen=True, kw_only=True):
    """`currency USD`."""

    code: Name
    span: Span


class TimezoneDeclaration(Node, frozen=True, kw_only=True):
    """`timezone "Europe/Berlin"`."""

    zone: Text
    span: Span


class Enumeration(Node, frozen=True, kw_only=True):
    """`low < medium < high` (ordered) or `eu | us | apac`."""

    values: tuple[Name, ...]
    ordered: bool
    span: Span


class ScalarType(Node, frozen=True, kw_only=True):
    """`number 0..1`, `boolean`, `money $0..$10`: a type's name and, perhaps, its range (both ends included).

    An end is a literal or its negative.
    """

    name: Name
    low: Literal | Negative | None
    high: Literal | Negative | None
    span: Span


class FactDeclaration(Node, frozen=True, kw_only=True):
    """`fact region?: eu | us | apac`, `fact confidence: number 0..1 = 1`."""

    name: Name
    optional: bool
    type: Enumeration | ScalarType
    default: Literal | Negative | Name | None
    span: Span


class ErrorDeclaration(Node, frozen=True, kw_only=True):
    """`error stale_index`."""

    name: Name
    span: Span


class StoreFailure(Node, frozen=True, kw_only=True):
    """`on store failure deny`, `on store failure allow within $5` (`within` is then the amount)."""

    within: Money | None
    span: Span


class PackUnits(Node, frozen=True, kw_only=True):
    """The first line of a pack: `100 support_draft for $65`."""

    units: Units
    amount: Money
    span: Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """`KIND NAME "title" { … }` for a route, lane, plan, pack, workflow or outcome.

    `path` is the first line of a lane (`mini -> sonnet -> tier2`) and empty elsewhere,
    `pack` the first line of a pack. `head` spans from the kind to the opening brace.
    """

    kind: str
    name: Name
    title: Text | None
    path: tuple[Name, ...]
    pack: PackUnits | None
    items: tuple["Item", ...]
    head: Span = field(compare=False)
    span: Span = field(compare=False)


Declaration = (
    CurrencyDeclaration | TimezoneDeclaration | FactDeclaration | ErrorDeclaration | StoreFailure | Block
)  # fmt: skip
Item = Declaration | Setting | Rule


class Comment(Node, frozen=True, kw_only=True):
    """`# to the end of the line`."""

    text: str
    span: Span


class File(Node, frozen=True, kw_only=True):
    """One source, parsed: its items in written order, and its comments beside them."""

    items: tuple[Item, ...]
    comments: tuple[Comment, ...]
    source: Source
