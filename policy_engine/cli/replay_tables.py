"""The result of a replay for people: what it cost and kept, which rules refused, what each outcome leaves."""

from collections.abc import Iterable
from fractions import Fraction

from policy_engine.cli.render import Part, Screen
from policy_engine.cli.tables import Column, Table
from policy_engine.insight.report import OutcomeRow, ReplayResult
from policy_engine.language.diagnostics import count
from policy_engine.language.units import NANOS, SYMBOLS

CENT, FINE = NANOS // 100, NANOS // 10_000
LARGE = 100 * NANOS
"""From here on, parts of a cent are noise."""

NONE = "-"


class Money:
    """Amounts of one replay, all with the same decimals: two, or four where amounts are small."""

    def __init__(self, currency: str, amounts: Iterable[int]) -> None:
        listed = list(amounts)
        fine = any(amount % CENT for amount in listed) and max(map(abs, listed)) < LARGE
        self._step = FINE if fine else CENT
        self._decimals = 4 if fine else 2
        self._symbol = next((sign for sign, code in SYMBOLS.items() if code == currency), "")
        self._code = "" if self._symbol else f" {currency}"

    def __call__(self, nanos: int, *, signed: bool = False) -> str:
        """Rounded half away from zero; with `signed`, a plus before what is more than nothing."""
        steps = (abs(nanos) + self._step // 2) // self._step
        whole, rest = divmod(steps, 10**self._decimals)
        sign = "" if not steps else "-" if nanos < 0 else "+" if signed else ""
        return f"{sign}{self._symbol}{whole:,}.{rest:0{self._decimals}d}{self._code}"


def show_result(screen: Screen, result: ReplayResult, trace: str) -> None:
    """Three tables, each with a line that says what is in it."""
    whole = result.summary()
    amounts = [
        amount
        for row in [whole, *result.outcomes.values()]
        for amount in (row.cost_recorded_nanos, row.delivery_cost_nanos, row.revenue_recorded_nanos, row.revenue_nanos)
    ]
    money = Money(result.currency, amounts)
    screen.say(
        (trace, "place"), f": {count(whole.attempts_recorded, 'attempt')} in {count(whole.executions, 'execution')}"
    )
    screen.say()
    _both_sides(whole, money).show(screen.say, screen.width)
    screen.say()
    for line in _remarks(result, whole, money):
        screen.say(*line)
    if result.rules:
        screen.say()
        _refusals(result).show(screen.say, screen.width)
    screen.say()
    _margins(result, money).show(screen.say, screen.width)


# ---------------------------------------------------------------- what it cost and what was kept


def _both_sides(whole: OutcomeRow, money: Money) -> Table:
    table = Table(
        [
            Column(role="strong"),
            Column("as recorded", right=True),
            Column("under the policy", right=True),
            Column("change", right=True),
        ]
    )

    def counted(name: str, before: int, after: int, *, good: bool | None = None) -> None:
        table.rows.append((name, f"{before:,}", f"{after:,}", _change(after - before, f"{after - before:+,}", good)))

    def paid(name: str, before: int, after: int, *, good: bool | None = None) -> None:
        change = money(after - before, signed=True)
        table.rows.append((name, money(before), money(after), _change(after - before, change, good)))

    counted("executions", whole.executions, whole.admitted)
    counted("attempts", whole.attempts_recorded, whole.attempts_made)
    if whole.recorded_handoffs or whole.handed_off:
        counted("handoffs to people", whole.recorded_handoffs, whole.handed_off)
    paid("cost", whole.cost_recorded_nanos, whole.delivery_cost_nanos, good=False)
    counted("accepted results", whole.accepted_recorded, whole.accepted, good=True)
    paid("revenue", whole.revenue_recorded_nanos, whole.revenue_nanos, good=True)
    before, after = whole.margin_recorded, whole.margin
    gained = _points(before, after)
    table.rows.append(
        ("gross margin", _percent(before), _percent(after), _change(gained, f"{gained:+.1f} points", True))
    )
    return table


def _change(size: float, text: str, more_is_good: bool | None) -> Part:
    """Green for the better, red for the worse; what is neither has no colour."""
    if not size:
        return (NONE, "quiet")
    return (text, "" if more_is_good is None else "good" if (size > 0) == more_is_good else "bad")


def _remarks(result: ReplayResult, whole: OutcomeRow, money: Money) -> Iterable[list[Part]]:
    kept = f"accepted: {whole.accepted_kept:,} of {whole.accepted_recorded:,} kept, "
    yield [kept, (f"{whole.accepted_lost:,} lost", "bad" if whole.accepted_lost else "")]
    avoided = f"attempts: {whole.attempts_avoided:,} avoided ({money(whole.cost_avoided_nanos)}), "
    handoffs = f", {money(whole.handoff_nanos)} of the cost is handoffs" if whole.handoff_nanos else ""
    yield [avoided, f"{whole.attempts_refused:,} refused by a rule{handoffs}"]
    if result.denied:
        reasons = ", ".join(
            f"{number:,} {reason.replace('_', ' ')}" for reason, number in sorted(result.denied.items())
        )
        yield [f"denied: {whole.executions - whole.admitted:,} ({reasons})"]
    if whole.maturing or whole.maturing_recorded:
        sides = f"maturing: {whole.maturing_recorded:,} as recorded, {whole.maturing:,} under the policy; "
        yield [sides, "still open for acceptance when the trace ends"]
    if whole.diverged:
        left = f"left the recording: {count(whole.diverged, 'execution')}; "
        yield [left, "the policy would have gone on where nothing was recorded"]
    if result.bad:
        yield [(f"left out: {len(result.bad):,} of {result.rows:,} rows", "warning")]


# ---------------------------------------------------------------- which rules, which outcomes


def _refusals(result: ReplayResult) -> Table:
    table = Table(
        [
            Column("refusals by rule", wrapped=True),
            Column("executions", right=True),
            Column("attempts", right=True),
            Column("place", role="place"),
        ]
    )
    for refusal in result.refusals:
        numbers = (f"{number:,}" if number else NONE for number in (refusal.admissions, refusal.attempts))
        table.rows.append((refusal.rule.name, *numbers, refusal.rule.place))
    return table


def _margins(result: ReplayResult, money: Money) -> Table:
    heads = ("executions", "accepted", "revenue", "delivery cost", "margin")
    table = Table(
        [Column("margin per outcome", role="strong"), Column(), *(Column(head, right=True) for head in heads)]
    )
    for name, row in result.outcomes.items():
        if not row.executions:
            continue
        table.rows.append(
            (
                name,
                "as recorded",
                f"{row.executions:,}",
                f"{row.accepted_recorded:,}",
                money(row.revenue_recorded_nanos),
                money(row.cost_recorded_nanos),
                _percent(row.margin_recorded),
            )
        )
        gained = _points(row.margin_recorded, row.margin)
        role = "" if not gained else "good" if gained > 0 else "bad"
        table.rows.append(
            (
                "",
                "under the policy",
                f"{row.admitted:,}",
                f"{row.accepted:,}",
                money(row.revenue_nanos),
                money(row.delivery_cost_nanos),
                (_percent(row.margin), role),
            )
        )
    return table


def _points(before: Fraction | None, after: Fraction | None) -> float:
    """Percentage points gained, as they are shown; none where a side has no margin."""
    return 0.0 if before is None or after is None else round(float((after - before) * 100), 1)


def _percent(share: Fraction | None) -> str:
    """A share of revenue; where there is no revenue, there is no margin."""
    return NONE if share is None else f"{float(share * 100):,.1f}%"
