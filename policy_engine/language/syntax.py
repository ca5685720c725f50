"""What a policy says, as written: one frozen node per thing, its span outside equality.

Two trees are equal if they say the same in the same order, wherever they stand and
however they are spaced. Nothing here is resolved: names are text, amounts are literals.
Every node is built by the parser and read by the checker and the formatter.
"""

from dataclasses import dataclass, field
from fractions import Fraction

from policy_engine.language.source import Source, Span

# ---------------------------------------------------------------- words and literals


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A name where it is declared or used: `support_draft`."""

    text: str
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A quoted text: `"customer support"`; `value` has its escapes undone."""

    value: str
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A bare number: `300`, `0.5`, `200k`. `text` is the spelling the author chose."""

    value: Fraction
    text: str = field(compare=False)
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An amount: `$0.30`, `0.30 CHF`. `value` counts whole currency units exactly."""

    value: Fraction
    currency: str
    text: str = field(compare=False)
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Percent:
    """A share: `45%`; `value` is 45."""

    value: Fraction
    text: str = field(compare=False)
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration:
    """A length of time: `72h`; `value` counts microseconds exactly."""

    value: Fraction
    text: str = field(compare=False)
    span: Span = field(compare=False)


Literal = Number | Money | Percent | Duration | Text

# ---------------------------------------------------------------- conditions


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A count kept by the ledger: `spent per customer per day`, `count of premium per customer per month`."""

    quantity: Name
    block: Name | None
    per: tuple[Name, ...]
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Or:
    """`a or b or c`."""

    parts: tuple["Expression", ...]
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class And:
    """`a and b and c`."""

    parts: tuple["Expression", ...]
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """`not a`."""

    part: "Expression"
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """`left op right`, where `op` is one of `<`, `<=`, `>`, `>=`, `is`, `is not`."""

    op: str
    left: "Expression"
    right: "Expression"
    op_span: Span = field(compare=False)
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class In:
    """`left in [a, b]` or, negated, `left not in [a, b]`."""

    left: "Expression"
    items: tuple["Expression", ...]
    negated: bool
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """`a + b - c`: each term with its sign, 1 or -1; the first sign is 1."""

    terms: tuple[tuple[int, "Expression"], ...]
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """`2 * spent`, factors in written order."""

    factors: tuple["Expression", ...]
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """`50% of ceiling`."""

    percent: Percent
    of: "Expression"
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Negative:
    """`-x`."""

    part: "Expression"
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parentheses:
    """`(a)`: kept, so that the formatter writes what the author grouped."""

    part: "Expression"
    span: Span = field(compare=False)


Expression = (
    Or | And | Not | Compare | In | Sum | Product | Share | Negative | Parentheses | Meter | Name | Literal
)  # fmt: skip

# ---------------------------------------------------------------- tails


@dataclass(frozen=True, slots=True, kw_only=True)
class On:
    """`on timeout, rate_limit`."""

    classes: tuple[Name, ...]
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """`backoff 250ms..4s`; one duration is a constant delay (`longest` is None)."""

    first: Duration
    longest: Duration | None
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`when …`, or, negated, `unless …`."""

    test: Expression
    negated: bool
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertAt:
    """`alert at 50%, 80%`."""

    percents: tuple[Percent, ...]
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tails:
    """What may follow a rule, in this one order. Which rule takes which tail is the checker's business."""

    on: On | None = None
    backoff: Backoff | None = None
    condition: Condition | None = None
    alert: AlertAt | None = None
    label: Name | None = None  # `as NAME`


# ---------------------------------------------------------------- rules


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareOfPrice:
    """A ceiling's amount as a share of the price: `40% of price`; `of` is the word after `of`."""

    percent: Percent
    of: Name
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A ceiling's amount with a unit in words: `6 attempts`, `200k tokens`; without one, `unit` is None (a mistake)."""

    number: Number
    unit: Name | None
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """`ceiling $20 per customer per day`."""

    amount: Money | Duration | Percent | Count | ShareOfPrice
    per: tuple[Name, ...]
    tails: Tails
    shadow: bool
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """`retry 2 on timeout, rate_limit backoff 250ms..4s`."""

    count: Number
    tails: Tails
    shadow: bool
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """`allow when plan is growth`."""

    tails: Tails
    shadow: bool
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forbid:
    """`forbid when region is eu`."""

    tails: Tails
    shadow: bool
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """`limit 50 per customer per month`."""

    count: Number
    per: tuple[Name, ...]
    tails: Tails
    shadow: bool
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fallback:
    """`fallback next on timeout`; the target is `next`, `stop` or the name of a route."""

    target: Name
    tails: Tails
    shadow: bool
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """`margin at least 45%`."""

    percent: Percent
    tails: Tails
    shadow: bool
    span: Span = field(compare=False)


Rule = Ceiling | Retry | Allow | Forbid | Limit | Fallback | Margin

# ---------------------------------------------------------------- settings of a block


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """`model "openai:gpt-4o-mini"`."""

    model: Text
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """`tool "web"`."""

    tool: Text
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handoff:
    """`handoff "support tier 2"`."""

    to: Text
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RatesSetting:
    """`rates $0.15 in, $0.60 out per 1M tokens`."""

    input: Money
    output: Money
    per: Number
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """`cost $0.01`, flat per attempt or per handoff."""

    amount: Money
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fee:
    """`fee $199 per month`."""

    amount: Money
    period: Name
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """So many units of an outcome: `300 support_draft`."""

    count: Number
    outcome: Name
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Includes:
    """`includes 2000 support_draft, 120 account_summary`."""

    units: tuple[Units, ...]
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPrice:
    """`$0.99 per support_draft`."""

    amount: Money
    outcome: Name
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OverageCap:
    """`up to $500 per month`."""

    amount: Money
    period: Name
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overage:
    """`overage $0.80 per support_draft, $4 per account_summary up to $500 per month`."""

    prices: tuple[UnitPrice, ...]
    cap: OverageCap | None
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expires:
    """`expires 90d`."""

    after: Duration
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """`price $0.99`."""

    amount: Money
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lanes:
    """`lanes premium, standard`."""

    names: tuple[Name, ...]
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """`accepted within 72h`, `accepted within 72h else expired`."""

    within: Duration
    else_expired: bool
    span: Span = field(compare=False)


Setting = (
    Model | Tool | Handoff | RatesSetting | Cost | Fee | Includes | Overage | Expires | Price | Lanes | Accepted
)  # fmt: skip

# ---------------------------------------------------------------- declarations


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrencyDeclaration:
    """`currency USD`."""

    code: Name
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimezoneDeclaration:
    """`timezone "Europe/Berlin"`."""

    zone: Text
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enumeration:
    """`low < medium < high` (ordered) or `eu | us | apac`."""

    values: tuple[Name, ...]
    ordered: bool
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarType:
    """`number 0..1`, `boolean`, `money $0..$10`: a type's name and, perhaps, its range (both ends included).

    An end is a literal or its negative.
    """

    name: Name
    low: Literal | Negative | None
    high: Literal | Negative | None
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactDeclaration:
    """`fact region?: eu | us | apac`, `fact confidence: number 0..1 = 1`."""

    name: Name
    optional: bool
    type: Enumeration | ScalarType
    default: Literal | Negative | Name | None
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorDeclaration:
    """`error stale_index`."""

    name: Name
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFailure:
    """`on store failure deny`, `on store failure allow within $5` (`within` is then the amount)."""

    within: Money | None
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackUnits:
    """The first line of a pack: `100 support_draft for $65`."""

    units: Units
    amount: Money
    span: Span = field(compare=False)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """`# to the end of the line`."""

    text: str
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One source, parsed: its items in written order, and its comments beside them."""

    items: tuple[Item, ...]
    comments: tuple[Comment, ...]
    source: Source = field(compare=False)
