"""What a policy means once every name is resolved and every amount is an integer.

The checker makes these records, the evaluators, the ledger and the analysis read
them. Money is in nano currency units, time in microseconds, everything is immutable.
Rules are compared by identity: two rules that say the same in two places are two rules.
What there is thousands of is a msgspec struct, left alone by the garbage collector: it
is in no cycle, and cheap to make.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from weakref import WeakValueDictionary

from msgspec import Struct

from policy_engine.language.source import Source, Span
from policy_engine.language.units import Rates
from policy_engine.language.vocabulary import FILE, Point, Unit

# ---------------------------------------------------------------- where a rule stands


class BlockId(Struct, frozen=True, gc=False):
    """A block by kind and name; the file level has kind `file` and no name."""

    kind: str
    name: str = ""

    def __str__(self) -> str:
        return self.name or "the file"


FILE_LEVEL = BlockId(FILE)


class Scope(Struct, frozen=True, gc=False):
    """What an amount is counted over: this attempt, step or outcome; or a window, perhaps by one key."""

    execution: str | None = None  # `attempt`, `step` or `outcome`; None for a window
    key: str | None = None
    window: str | None = None

    def __str__(self) -> str:
        if self.execution:
            return f"per {self.execution}"
        return f"per {self.key} per {self.window}" if self.key else f"per {self.window}"


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Meter:
    """One kind of counter: a quantity, over a scope, of what one block's executions or attempts incur.

    `quantity` is `spent` (nano units), `attempts`, `tokens`, `count` (admissions, handoffs) or
    `overage` (nano units billed beyond the allowance). Which counter of the kind is meant (which
    customer, which day) follows from the execution and the time.

    There is one object per meter, so that looking a reading up hashes an address and not five texts.
    """

    quantity: str
    block: BlockId
    scope: Scope

    def __new__(cls, quantity: str, block: BlockId, scope: Scope) -> "Meter":
        key = (quantity, block, scope)
        found = _METERS.get(key)
        return _METERS.setdefault(key, object.__new__(cls)) if found is None else found

    def __reduce__(self) -> tuple[type["Meter"], tuple[str, BlockId, Scope]]:
        return Meter, (self.quantity, self.block, self.scope)

    def __str__(self) -> str:
        of = f" of {self.block.name}" if self.block.name else ""
        return f"{self.quantity}{of} {self.scope}"


_METERS: WeakValueDictionary[tuple[str, BlockId, Scope], Meter] = WeakValueDictionary()


def meter(quantity: str, block: BlockId, scope: Scope) -> Meter:
    """The meter of a rule. Inside one execution only a route tells attempts apart, so others count as the file's."""
    if scope.execution and block.kind != "route":
        block = FILE_LEVEL
    return Meter(quantity, block, scope)


SPENT = Meter("spent", FILE_LEVEL, Scope(execution="outcome"))
ATTEMPTS = Meter("attempts", FILE_LEVEL, Scope(execution="outcome"))
TOKENS = Meter("tokens", FILE_LEVEL, Scope(execution="outcome"))

# ---------------------------------------------------------------- conditions


class Read(Struct, frozen=True, gc=False):
    """One value that a condition reads: a fact, a built-in name, or a meter (then `meter` is set)."""

    name: str
    unit: Unit
    meter: Meter | None = None
    is_fact: bool = False


@dataclass(frozen=True, slots=True)
class Truth:
    """A boolean fact, read as it is."""

    read: Read
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Member:
    """An enum or text value is one of `values`. A customer without a plan is a member of nothing."""

    read: Read
    values: tuple[str, ...]
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True)
class Linear:
    """The sum of coefficient x value, compared with a constant: `op` is `<`, `<=`, `>`, `>=` or `is`.

    All values are of one unit and so is `bound`: nano units, microseconds, percent points or plain numbers.
    """

    terms: tuple[tuple[Fraction, Read], ...]
    op: str
    bound: Fraction
    unit: Unit
    span: Span = field(compare=False)


class AllOf(Struct, frozen=True, gc=False):
    """Kleene's `and`."""

    parts: tuple["Test", ...]


class AnyOf(Struct, frozen=True, gc=False):
    """Kleene's `or`."""

    parts: tuple["Test", ...]


class Inverse(Struct, frozen=True, gc=False):
    """Kleene's `not`; `unless`, `is not` and `not in` are written with it."""

    part: "Test"


Atom = Truth | Member | Linear
Test = AllOf | AnyOf | Inverse | Atom


def atoms(test: Test) -> Iterator[Atom]:
    """Every comparison of a condition, in written order."""
    if isinstance(test, AllOf | AnyOf):
        for part in test.parts:
            yield from atoms(part)
    elif isinstance(test, Inverse):
        yield from atoms(test.part)
    else:
        yield test


def reads(test: Test | None) -> Iterator[Read]:
    """Every value that a condition reads, in written order, repetitions included."""
    if test is None:
        return
    for atom in atoms(test):
        if isinstance(atom, Linear):
            for _, read in atom.terms:
                yield read
        else:
            yield atom.read


# ---------------------------------------------------------------- rules


class RuleRef(Struct, frozen=True, gc=False):
    """How a decision names a rule: the name its author gave, else its own words, and its place."""

    name: str
    text: str
    file: str
    line: int
    column: int

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Rule(Struct, frozen=True, kw_only=True, eq=False, gc=False):
    """What all rules share. `points` are those at which the rule is checked and all it reads is known."""

    ref: RuleRef
    block: BlockId
    condition: Test | None
    shadow: bool
    points: frozenset[Point]
    span: Span


class CeilingRule(Rule, frozen=True, kw_only=True, eq=False):
    """The most that may be incurred plus reserved.

    `quantity` is `spent`, `attempts`, `tokens` or `elapsed`. The limit is `limit` (nano units, a count,
    microseconds), or `percent_of_price` percent of the price, rounded down. `alerts` are percents of the limit.
    """

    quantity: str
    scope: Scope
    limit: int | None
    percent_of_price: Fraction | None
    alerts: tuple[Fraction, ...]
    is_margin: bool = False

    @property
    def meter(self) -> Meter:
        return meter(self.quantity, self.block, self.scope)


class RetryRule(Rule, frozen=True, kw_only=True, eq=False):
    """At most `count` retries of one step on one route for these classes together.

    The n-th retry waits `first_micros` x 2^(n-1), at most `longest_micros`; without the latter, always the former.
    """

    count: int
    classes: frozenset[str]
    first_micros: int
    longest_micros: int | None


class AllowRule(Rule, frozen=True, kw_only=True, eq=False):
    """Who may enter: each block with an `allow` needs one of its own to hold."""


class ForbidRule(Rule, frozen=True, kw_only=True, eq=False):
    """Who may not enter, whatever is allowed."""


class LimitRule(Rule, frozen=True, kw_only=True, eq=False):
    """At most `count` entries (on a handoff: handoffs) per window, perhaps by one key."""

    count: int
    scope: Scope
    alerts: tuple[Fraction, ...]

    @property
    def meter(self) -> Meter:
        return meter("count", self.block, self.scope)


class FallbackRule(Rule, frozen=True, kw_only=True, eq=False):
    """Where a step goes for these classes: `target` is `next`, `stop` or a route's name."""

    target: str
    classes: frozenset[str]


class Rules(Struct, frozen=True, kw_only=True):
    """The rules of one block, each kind in (file, place) order, shadow rules among them."""

    ceilings: tuple[CeilingRule, ...] = ()
    retries: tuple[RetryRule, ...] = ()
    allows: tuple[AllowRule, ...] = ()
    forbids: tuple[ForbidRule, ...] = ()
    limits: tuple[LimitRule, ...] = ()
    fallbacks: tuple[FallbackRule, ...] = ()

    def __iter__(self) -> Iterator[Rule]:
        yield from self.ceilings
        yield from self.retries
        yield from self.allows
        yield from self.forbids
        yield from self.limits
        yield from self.fallbacks


# ---------------------------------------------------------------- what the rules govern


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A declared fact. Values, bounds and default are in internal units; an enum's values keep their order."""

    name: str
    unit: Unit
    values: tuple[str, ...] = ()
    ordered: bool = False
    low: Fraction | None = None
    high: Fraction | None = None
    optional: bool = False
    default: Fraction | str | bool | None = None
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One way to serve an attempt: `kind` is `model`, `tool` or `handoff`, `reference` the quoted text after it.

    `rates` price a model, `cost_nanos` a tool, a handoff or a flat-priced model; with neither the
    route is unpriced and no attempt on it can be estimated (a handoff without a cost costs nothing).
    """

    name: str
    title: str | None
    kind: str
    reference: str
    rates: Rates | None
    cost_nanos: int | None
    rules: Rules
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A quality tier: its routes in order. A handoff, if any, is the last of them."""

    name: str
    title: str | None
    path: tuple[str, ...]
    rules: Rules
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overage:
    """Unit prices beyond the allowance, and the most they may add up to per customer and period."""

    prices_nanos: Mapping[str, int]
    cap_nanos: int | None
    period: str | None
    ref: RuleRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a customer pays for: a fee, included units per period, overage."""

    name: str
    title: str | None
    fee_nanos: int
    period: str
    includes: Mapping[str, int]
    overage: Overage | None
    rules: Rules
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """A top-up: so many units of one outcome for one amount."""

    name: str
    title: str | None
    outcome: str
    units: int
    price_nanos: int
    expires_micros: int | None
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A priced deliverable class. Without `accepted_within_micros`, delivery is acceptance and final."""

    name: str
    title: str | None
    workflow: str
    price_nanos: int
    lanes: tuple[str, ...]
    accepted_within_micros: int | None
    else_expired: bool
    rules: Rules
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A product area."""

    name: str
    title: str | None
    outcomes: tuple[str, ...]
    rules: Rules
    span: Span = field(compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedPolicy:
    """A policy set without a mistake. `escrow_nanos` is the amount of `on store failure allow within`."""

    currency: str
    timezone: str
    facts: Mapping[str, Fact]
    error_classes: tuple[str, ...]
    routes: Mapping[str, Route]
    lanes: Mapping[str, Lane]
    plans: Mapping[str, Plan]
    packs: Mapping[str, Pack]
    workflows: Mapping[str, Workflow]
    outcomes: Mapping[str, Outcome]
    rules: Rules
    escrow_nanos: int | None
    digest: str
    sources: tuple[Source, ...] = field(repr=False)

    def around(self, outcome: str, plan: str | None) -> tuple[Rules, ...]:
        """The rules that govern an execution of an outcome in any lane: file, workflow, outcome, plan."""
        declared = self.outcomes[outcome]
        around = (self.rules, self.workflows[declared.workflow].rules, declared.rules)
        return (*around, self.plans[plan].rules) if plan is not None else around

    def every_rule(self) -> Iterator[Rule]:
        """Every rule of the set, by block; blocks in name order within their kind."""
        yield from self.rules
        for blocks in (self.workflows, self.outcomes, self.plans, self.lanes, self.routes):
            for name in sorted(blocks):
                yield from blocks[name].rules
