"""Conditions: what they come to once checked, and every way in which they can be wrong.

A mistake is written into its policy: `«…»` stands around the words that must be underlined.
"""

from fractions import Fraction

import pytest

from policy_engine.language.checked import (
    FILE_LEVEL,
    AllOf,
    AnyOf,
    BlockId,
    Inverse,
    Linear,
    Member,
    Meter,
    Read,
    Rule,
    Scope,
    Test,
    Truth,
    atoms,
    reads,
)
from policy_engine.language.diagnostics import Diagnostic
from policy_engine.language.source import Source, Span
from policy_engine.language.vocabulary import Point, Unit
from policy_engine.policy import compile_sources

WORLD = """
currency USD
fact risk: low < medium < high
fact region: eu | us | apac
fact urgent: boolean
fact channel: text
fact confidence: number 0..1
fact discount: percent 0%..100%
fact budget?: money
fact size: integer 1..10
fact wait: duration
fact weight: number
error stale_index
route mini { model "m"  cost $1 }
route maxi { model "n"  cost $1 }
route tier2 { handoff "people" }
lane standard { mini -> tier2 }
lane premium { maxi -> mini }
plan base { fee $1 per month }
plan growth { fee $2 per month }
pack burst { 5 draft for $1 }
workflow support {
  outcome draft { price $1  lanes standard, premium }
  outcome reply { price $1  lanes standard }
}
workflow sales { outcome summary { price $1  lanes standard } }
"""
NOWHERE = Span(Source("", ""), 0, 0)

RISK = Read("risk", Unit.ENUM, is_fact=True)
REGION = Read("region", Unit.ENUM, is_fact=True)
URGENT = Read("urgent", Unit.BOOLEAN, is_fact=True)
CONFIDENCE = Read("confidence", Unit.NUMBER, is_fact=True)
SPENT = Read("spent", Unit.MONEY)
CEILING = Read("ceiling", Unit.MONEY)
PRICE = Read("price", Unit.MONEY)
FAILURES = Read("failures", Unit.INTEGER)
DOLLAR = 10**9
INTEGER = Unit.INTEGER


def member(read: Read, *values: str) -> Member:
    return Member(read, values, NOWHERE)


def linear(op: str, bound: int | Fraction, unit: Unit, *terms: tuple[int | Fraction, Read]) -> Linear:
    return Linear(tuple((Fraction(c), read) for c, read in terms), op, Fraction(bound), unit, NOWHERE)


def metered(quantity: str, unit: Unit, block: BlockId, key: str | None, window: str) -> Read:
    meter = Meter(quantity, block, Scope(key=key, window=window))
    return Read(str(meter), unit, meter=meter)


def diagnostics(text: str) -> tuple[Diagnostic, ...]:
    return compile_sources([Source("a.policy", text)])[1]


def rule(text: str, world: str = WORLD) -> Rule:
    """The one rule written beside the world."""
    policy, found = compile_sources([Source("a.policy", world + text)])
    assert policy is not None, [str(item) for item in found]
    (only,) = [r for r in policy.every_rule() if r.span.start >= len(world)]
    return only


def condition(text: str) -> Test:
    test = rule(f"fallback stop when {text}").condition
    assert test is not None
    return test


@pytest.mark.parametrize(
    ("text", "test"),
    [
        # enums and texts become members
        ("region is eu", member(REGION, "eu")),
        ("region is not eu", Inverse(member(REGION, "eu"))),
        ("region in [us, eu]", member(REGION, "us", "eu")),
        ("region not in [us, eu]", Inverse(member(REGION, "us", "eu"))),
        ("((region)) is eu", member(REGION, "eu")),
        ("risk >= medium", member(RISK, "medium", "high")),
        ("risk > medium", member(RISK, "high")),
        ("risk < medium", member(RISK, "low")),
        ("risk <= medium", member(RISK, "low", "medium")),
        ("risk is medium", member(RISK, "medium")),
        ('channel is "e-mail"', member(Read("channel", Unit.TEXT, is_fact=True), "e-mail")),
        ('customer not in ["a", "b"]', Inverse(member(Read("customer", Unit.TEXT), "a", "b"))),
        ("plan in [base, growth]", member(Read("plan", Unit.ENUM), "base", "growth")),  # there may be no plan
        ("lane is premium", member(Read("lane", Unit.ENUM), "premium")),
        ("route is tier2", member(Read("route", Unit.ENUM), "tier2")),
        ("error in [timeout, stale_index]", member(Read("error", Unit.ENUM), "timeout", "stale_index")),
        # booleans
        ("urgent", Truth(URGENT, NOWHERE)),
        ("urgent is true", Truth(URGENT, NOWHERE)),
        ("urgent is not false", Truth(URGENT, NOWHERE)),
        ("urgent is false", Inverse(Truth(URGENT, NOWHERE))),
        ("not urgent", Inverse(Truth(URGENT, NOWHERE))),
        # connectives
        ("urgent and (region is eu or risk is low)",
         AllOf((Truth(URGENT, NOWHERE), AnyOf((member(REGION, "eu"), member(RISK, "low")))))),
        # numbers: constants on the right, names on the left, the first coefficient positive
        ("spent > $1", linear(">", DOLLAR, Unit.MONEY, (1, SPENT))),
        ("$1 < spent", linear(">", DOLLAR, Unit.MONEY, (1, SPENT))),
        ("spent > 50% of ceiling", linear(">", 0, Unit.MONEY, (1, SPENT), (Fraction(-1, 2), CEILING))),
        ("spent + $1 <= 2 * price - $3", linear("<=", -4 * DOLLAR, Unit.MONEY, (1, SPENT), (-2, PRICE))),
        ("-spent >= -$5", linear("<=", 5 * DOLLAR, Unit.MONEY, (1, SPENT))),
        ("spent * 2 > $4", linear(">", 4 * DOLLAR, Unit.MONEY, (2, SPENT))),
        ("2 * 3 * spent > $4", linear(">", 4 * DOLLAR, Unit.MONEY, (6, SPENT))),
        ("spent + spent is $4", linear("is", 4 * DOLLAR, Unit.MONEY, (2, SPENT))),
        ("spent is not $4", Inverse(linear("is", 4 * DOLLAR, Unit.MONEY, (1, SPENT)))),
        ("spent + budget - spent > $1", linear(">", DOLLAR, Unit.MONEY, (1, Read("budget", Unit.MONEY, is_fact=True)))),
        ("failures >= 2", linear(">=", 2, Unit.INTEGER, (1, FAILURES))),
        ("failures > 1.5", linear(">", Fraction(3, 2), Unit.INTEGER, (1, FAILURES))),
        ("2 <= failures", linear(">=", 2, Unit.INTEGER, (1, FAILURES))),
        ("1 + failures > 1 + 2", linear(">", 2, Unit.INTEGER, (1, FAILURES))),
        ("confidence < 0.5", linear("<", Fraction(1, 2), Unit.NUMBER, (1, CONFIDENCE))),
        ("50% of confidence < 0.2", linear("<", Fraction(1, 5), Unit.NUMBER, (Fraction(1, 2), CONFIDENCE))),
        ("discount > 45%", linear(">", 45, Unit.PERCENT, (1, Read("discount", Unit.PERCENT, is_fact=True)))),
        ("elapsed > 1.5s", linear(">", 1_500_000, Unit.DURATION, (1, Read("elapsed", Unit.DURATION)))),
        ("remaining < $0", linear("<", 0, Unit.MONEY, (1, Read("remaining", Unit.MONEY)))),  # an overrun is booked
        # meters
        ("spent per customer per day > $1",
         linear(">", DOLLAR, Unit.MONEY, (1, metered("spent", Unit.MONEY, FILE_LEVEL, "customer", "day")))),
        ("count of premium per month > 5",
         linear(">", 5, Unit.INTEGER, (1, metered("count", Unit.INTEGER, BlockId("lane", "premium"), None, "month")))),
        ("count of tier2 per day > 5",
         linear(">", 5, Unit.INTEGER, (1, metered("count", Unit.INTEGER, BlockId("route", "tier2"), None, "day")))),
        ("attempts of mini per route per hour > 5",
         linear(">", 5, INTEGER, (1, metered("attempts", INTEGER, BlockId("route", "mini"), "route", "hour")))),
    ],
)  # fmt: skip
def test_normal_form(text: str, test: Test) -> None:
    assert condition(text) == test


def test_atoms_keep_their_place() -> None:
    test = condition("urgent and spent > $1 or region is eu")
    assert [atom.span.text for atom in atoms(test)] == ["urgent", "spent > $1", "region is eu"]
    assert [read.name for read in reads(test)] == ["urgent", "spent", "region"]


def test_unless_is_the_inverse() -> None:
    assert rule("retry 1 unless urgent").condition == Inverse(Truth(URGENT, NOWHERE))
    assert rule("retry 1").condition is None


ADMIT, ATTEMPT, PROGRESS, FAILURE = Point.ADMIT, Point.ATTEMPT, Point.PROGRESS, Point.FAILURE


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("ceiling $1 per day", {ADMIT, ATTEMPT, PROGRESS}),
        ("ceiling $1 per day when risk is low and price > $1", {ADMIT, ATTEMPT, PROGRESS}),
        ("ceiling $1 per day when lane is premium", {ADMIT, ATTEMPT, PROGRESS}),  # each lane is looked at in turn
        ("ceiling $1 per day when spent per lane per day > $1", {ADMIT, ATTEMPT, PROGRESS}),
        ("ceiling $1 per day when route is mini", {ATTEMPT, PROGRESS}),
        ("ceiling $1 per day when spent > $1", {ATTEMPT, PROGRESS}),
        ("ceiling $1 per day when estimate > $1 or urgent", {ATTEMPT, PROGRESS}),
        ("ceiling $1 per day when tokens per route per day > 1", {ATTEMPT, PROGRESS}),
        ("allow when urgent", {ADMIT}),
        ("forbid", {ADMIT}),
        ("limit 5 per day when count per customer per day > 2", {ADMIT}),
        ("retry 1 when error is timeout", {FAILURE}),
        ("fallback next when lane is premium and remaining > $1", {FAILURE}),
    ],
)
def test_points_follow_what_is_read(text: str, points: set[Point]) -> None:
    assert rule(text).points == points


def test_a_handoffs_limit_is_read_at_failure() -> None:
    limit = rule('route tier3 { handoff "more people"  limit 3 per lane per day when error is timeout }')
    assert limit.points == {FAILURE}


@pytest.mark.parametrize(
    ("code", "text"),
    [
        # names
        ("P201", "forbid when «regoin» is eu"),
        ("P201", "forbid when «regoin» is nowhere"),  # what follows may be a value of the missing name
        ("P201", "forbid when «high»"),
        ("P201", "forbid when risk is high and «nothing_like_it» + 2 > 3"),
        ("P201", 'forbid when "x" is «nothing»'),
        ("P209", "forbid when spent of «nowhere» per day > $1"),
        ("P210", "forbid when spent of «risk» per day > $1"),
        ("P211", "forbid when «mini» is low"),
        ("P211", "forbid when «premium»"),
        ("P211", "forbid when «stale_index»"),
        ("P211", "forbid when «burst» > 5"),
        ("P212", "allow when «lane» is premium"),
        ("P212", "lane third { mini  allow when «lane» is premium }"),
        ("P212", "forbid when spent per «lane» per day > $1"),
        ("P212", "limit 5 per day when «error» is timeout"),
        ("P212", "ceiling $1 per day when «error» is timeout"),
        ("P212", "retry 1 when «estimate» > $1"),
        ("P212", "allow when «spent» > $1"),
        ("P213", "ceiling $1 per day when «ceiling» > $1"),
        ("P213", "retry 1 when «remaining» > $1"),
        ("P215", "forbid when «spend» per day > $1"),
        ("P215", "forbid when «retries» per day > 1"),
        ("P216", "forbid when «tokens» > 3"),
        ("P216", "forbid when «count» > 3"),
        ("P217", "forbid when count of «mini» per day > 3"),
        ("P262", "retry 1 when count per «route» per day > 3"),
        # the windows of meters
        ("P203", "forbid when spent per «dya» > $1"),
        ("P203", "forbid when spent per customer per «fortnight» > $1"),
        ("P204", "forbid when spent per «user» per day > $1"),
        ("P204", "forbid when spent per «step» > $1"),
        ("P244", "forbid when spent per «customer» > $1"),
        ("P245", "forbid when spent per «day per customer» > $1"),
        # units
        ("P220", "retry 1 when spent > «5»"),
        ("P220", "retry 1 when «5» < spent"),
        ("P220", "retry 1 when spent + «2» > $1"),
        ("P220", "forbid when discount > «45»"),
        ("P220", "forbid when wait > «90»"),
        ("P220", "forbid when wait > «$90»"),
        ("P220", "forbid when confidence > «size»"),
        ("P220", "forbid when confidence + confidence > «50%»"),
        # types
        ("P221", "forbid when channel is «email»"),
        ("P221", "forbid when channel is «5»"),
        ("P221", 'forbid when risk is «"high"»'),
        ("P221", 'forbid when risk is «"nothing"»'),
        ("P221", "forbid when risk is «5»"),
        ("P221", "forbid when risk is «1 + 2»"),
        ("P221", "forbid when risk in [low, «5»]"),
        ("P221", "forbid when «channel» < 5"),
        ("P221", "forbid when «urgent» > 5"),
        ("P221", "forbid when urgent is «5»"),
        ("P221", "forbid when urgent is («risk is low»)"),
        ("P221", "forbid when price > «risk»"),
        ("P221", "forbid when price > «urgent»"),
        ("P221", 'forbid when price > «"much"»'),
        ("P221", "forbid when price is «true»"),
        ("P221", "forbid when «true» is price"),
        ("P221", 'forbid when «"x"» > 5'),
        ("P221", 'forbid when «"x"» in ["x"]'),
        ("P221", "forbid when «true» in [true]"),
        ("P221", "retry 1 when «50%» * spent > $1"),
        ("P221", "retry 1 when spent * «$2» > $1"),
        ("P226", "forbid when «price»"),
        ("P226", "forbid when «discount»"),
        ("P226", "forbid when «size»"),
        ("P226", "forbid when «weight»"),
        ("P226", "forbid when «wait»"),
        ("P226", "forbid when «risk»"),
        ("P226", "forbid when «channel»"),
        ("P226", "forbid when «5»"),
        ("P226", "forbid when «$5»"),
        ("P226", "forbid when «5%»"),
        ("P226", "forbid when «5s»"),
        ("P226", 'forbid when «"yes"»'),
        ("P226", "forbid when «price + $1»"),
        ("P226", "forbid when not (urgent and «spent per day»)"),
        ("P227", "forbid when «high <= risk»"),
        ("P227", 'forbid when «"a" is channel»'),
        ("P227", "forbid when «true is urgent»"),
        ("P229", "forbid when «size in [1, 2]»"),
        ("P229", "forbid when «size + 1 in [1, 2]»"),
        ("P229", "forbid when «urgent in [true, false]»"),
        ("P230", "forbid when («urgent or risk is low») > 1"),
        ("P230", "forbid when 1 + («not urgent») > 1"),
        # linear
        ("P222", "forbid when weight * «confidence» > 1"),
        ("P222", "forbid when (weight + 1) * («confidence - 1») > 1"),
        # values and their order
        ("P228", "forbid when risk is «hihg»"),
        ("P228", "forbid when region in [eu, «usa»]"),
        ("P228", "forbid when risk > «eu»"),
        ("P228", "forbid when plan is «enterprise»"),
        ("P219", "forbid when region in [eu, us, «eu»]"),
        ("P219", 'forbid when channel in ["a", «"a"»]'),
        ("P225", "forbid when region «>» eu"),
        ("P225", "forbid when plan «>=» base"),
        # always true, always false
        ("P223", "forbid when «risk >= low»"),
        ("P223", "forbid when «region in [eu, us, apac]»"),
        ("P224", "forbid when «region not in [eu, us, apac]»"),
        ("P224", "forbid when «risk > high»"),
        ("P223", "forbid when «confidence <= 1»"),
        ("P224", "forbid when «confidence > 1»"),
        ("P223", "forbid when «confidence >= 0»"),
        ("P224", "forbid when «confidence < 0»"),
        ("P223", "forbid when «confidence < 1.5»"),
        ("P224", "forbid when «confidence >= 1.5»"),
        ("P223", "forbid when «confidence > -1»"),
        ("P224", "forbid when «confidence <= -1»"),
        ("P224", "forbid when «confidence is 2»"),
        ("P224", "forbid when «confidence is -2»"),
        ("P223", "forbid when «confidence is not 2»"),
        ("P224", "forbid when «size is 2.5»"),
        ("P223", "forbid when «2 * size is not 2.5»"),
        ("P223", "forbid when «2 * size <= 20»"),
        ("P223", "retry 1 when «spent >= $0»"),
        ("P224", "retry 1 when «attempt < 1»"),
        ("P223", "retry 1 when «spent + price >= $0»"),
        ("P223", "retry 1 when «spent per day >= $0»"),
        ("P223", "fallback next when «lane in [standard, premium]»"),
        ("P224", "fallback next when «outcome not in [draft, reply, summary]»"),
        ("P223", "forbid when «1 < 2»"),
        ("P224", "forbid when «1 is 2»"),
        ("P223", "forbid when «price - price < $1»"),
        ("P223", "forbid when «true»"),
        ("P224", "forbid when «false»"),
        ("P223", 'forbid when «"a" is "a"»'),
        ("P224", 'forbid when «"a" is "b"»'),
        ("P223", "forbid when «true is not false»"),
        # literals
        ("P231", "forbid when price > «€5»"),
        ("P234", "forbid when price > «$0.0000000001»"),
        ("P234", "forbid when wait > «0.0001ms»"),
        ("P235", "forbid when price > «$2000000M»"),
        ("P235", "forbid when wait > «40000d»"),
        ("P235", "forbid when weight > «2000000M»"),
        ("P239", "forbid when confidence > «0.1234567890123456»"),
        ("P239", "forbid when price > «0.1234567890123456%» of price"),
    ],
)  # fmt: skip
def test_mistake(code: str, text: str) -> None:
    start = text.index("«") + len(WORLD)
    end = text.index("»") - 1 + len(WORLD)
    found = diagnostics(WORLD + text.replace("«", "").replace("»", ""))
    assert [(item.code, item.span.start, item.span.end) for item in found] == [(code, start, end)], found
    assert found[0].hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("forbid when regoin is eu", "did you mean `region`?"),
        ("forbid when high", "it is a value of `risk`: write `risk is high`"),
        ("forbid when unheard_of", "declare it: `fact unheard_of: …`"),
        ("forbid when premium", "compare: `lane is premium`"),
        ("retry 1 when spent > 5", "write it as money: `$5`"),
        ("forbid when discount > 45", "write it as a percent: `45%`"),
        ("retry 1 when 50% * spent > $1", "write `50% of spent`"),
        ("forbid when channel is email", 'put it in quotes: `"email"`'),
        ('forbid when risk is "high"', "leave the quotes out: `high`"),
        ("forbid when high <= risk", "write the name first: `risk >= high`"),
        ("forbid when true is urgent", "write the name first: `urgent is true`"),
        ("forbid when region > eu", "use `is` or `in [...]`, or declare an order: `eu < us < apac`"),
        ("forbid when plan > base", "use `is` or `in [...]`"),
        ("allow when lane is premium", "put the `allow` into the block of the lane it is meant for"),
        ("forbid when error is timeout", "it may be read by `retry` or `fallback`"),
        ("forbid when spend per day > $1", "did you mean `spent`?"),
    ],
)
def test_hint(text: str, hint: str) -> None:
    assert [item.hint for item in diagnostics(WORLD + text)] == [hint]


def test_hints_speak_the_policys_currency() -> None:
    text = "currency CHF\nfallback next when spent\nfallback stop when spent > 5\n"
    assert [item.hint for item in diagnostics(text)] == ["compare it: `spent > 1 CHF`", "write it as money: `5 CHF`"]


def test_parts_are_checked_beside_a_wrong_one() -> None:
    text = "forbid when foo > bar + 1 or risk is hihg and region in [eu, ue]"
    found = diagnostics(WORLD + text)
    assert [(item.code, item.span.text) for item in found] == [
        ("P201", "foo"),
        ("P201", "bar"),
        ("P228", "hihg"),
        ("P228", "ue"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "retry 1 when foo + 1 > $5",  # the sum of an unknown name has no unit
        "retry 1 when 2 * foo * 3 > $5",
        "retry 1 when 50% of foo > $5",
        "retry 1 when -foo > $5",
        "retry 1 when $5 < foo",
        "retry 1 when foo in [1, 2]",
        "retry 1 when not foo",
    ],
)
def test_no_cascades(text: str) -> None:
    assert [(item.code, item.span.text) for item in diagnostics(WORLD + text)] == [("P201", "foo")]


@pytest.mark.parametrize(
    "fact",
    ["fact foo: strange", "fact foo: money\nfact foo: text", "fact foo?: number = 1", "fact foo: number 2..1"],
)
def test_a_fact_with_a_mistake_is_reported_once(fact: str) -> None:
    assert len(diagnostics(f"{fact}\nforbid when foo > 1")) == 1


def test_an_enum_without_any_value() -> None:
    (found,) = diagnostics("forbid when plan is growth")
    assert (found.code, found.hint) == ("P228", "no plan is declared")
