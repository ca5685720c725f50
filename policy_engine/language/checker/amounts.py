"""Literals → exact integers in internal units, or what is wrong with them.

Money becomes nano units, durations microseconds, percents points. Every method gives
None where it has reported a mistake, so that nothing is said twice.
"""

from collections.abc import Callable
from fractions import Fraction

from policy_engine.language import syntax as s
from policy_engine.language.checker.findings import Findings
from policy_engine.language.mistakes import amounts as mistakes
from policy_engine.language.source import Span
from policy_engine.language.units import (
    MAX_MONEY_NANOS,
    MAX_SIGNIFICANT_DIGITS,
    MICROS,
    NANOS,
    PICOS_PER_NANO,
    SYMBOLS,
    Rates,
    print_money,
)

MAX_COUNT = 10**12
"""Counts beyond a trillion are taken for slips, like amounts of money."""

MAX_DAYS = 36_525
"""Durations beyond a century are taken for slips."""


class Amounts:
    """Reads literals under one currency. `currency` is None where it is not known: then none is wrong."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self.currency: str | None = None
        self.declared: Span | None = None
        self.first_money: s.Money | None = None

    def money(self, amount: s.Money) -> int | None:
        """Nano units."""
        if self.first_money is None or amount.span.order < self.first_money.span.order:
            self.first_money = amount
        if self.currency is not None and self.declared is not None and amount.currency != self.currency:
            self._findings.add(mistakes.wrong_currency(amount, self.currency, self.declared))
            return None
        nanos, finer = divmod(amount.value.numerator * NANOS, amount.value.denominator)
        if finer:
            self._findings.add(mistakes.too_fine(amount.span, "a billionth of a currency unit"))
        elif nanos > MAX_MONEY_NANOS:
            most = print_money(MAX_MONEY_NANOS, amount.currency, grouping=True)
            self._findings.add(mistakes.too_large(amount.span, most))
        else:
            return nanos
        return None

    def as_money(self, digits: str) -> str:
        """How so much money is written under this currency, for hints."""
        currency = self.currency or (self.first_money.currency if self.first_money is not None else "USD")
        symbol = next((sign for sign, code in SYMBOLS.items() if code == currency), None)
        return f"{symbol}{digits}" if symbol else f"{digits} {currency}"

    def positive_money(self, amount: s.Money, what: str, hint: str) -> int | None:
        """Nano units, more than none."""
        return self._positive(self.money(amount), amount.span, what, hint)

    def duration(self, duration: s.Duration) -> int | None:
        """Microseconds."""
        if duration.value.denominator != 1:
            self._findings.add(mistakes.too_fine(duration.span, "a microsecond"))
        elif duration.value > MAX_DAYS * MICROS["d"]:
            self._findings.add(mistakes.too_large(duration.span, f"a century, `{MAX_DAYS}d`"))
        else:
            return duration.value.numerator
        return None

    def positive_duration(self, duration: s.Duration, what: str, hint: str) -> int | None:
        """Microseconds, more than none."""
        return self._positive(self.duration(duration), duration.span, what, hint)

    def _positive(self, value: int | None, span: Span, what: str, hint: str) -> int | None:
        if value == 0:
            self._findings.add(mistakes.amount_of_zero(span, what, hint))
            return None
        return value

    def number(self, number: s.Number) -> Fraction | None:
        """Any plain number that a binary double can tell from its neighbours."""
        return self._exact(number.value, number.text.rstrip("kM"), number.span)

    def percent(self, percent: s.Percent) -> Fraction | None:
        """Percent points."""
        return self._exact(percent.value, percent.text.rstrip("%"), percent.span)

    def _exact(self, value: Fraction, digits: str, span: Span) -> Fraction | None:
        # 0.10 has one significant digit, 100 has one, 1.01 has three.
        written = digits.replace(".", "").lstrip("0")
        significant = written.rstrip("0")
        if len(significant) > MAX_SIGNIFICANT_DIGITS:
            self._findings.add(mistakes.too_many_digits(span))
        elif value > MAX_COUNT:
            self._findings.add(mistakes.too_large(span, f"{MAX_COUNT:,}"))
        else:
            return value
        return None

    def percent_within(
        self, percent: s.Percent, what: str, range_: str, within: Callable[[Fraction], bool]
    ) -> Fraction | None:
        """Percent points for which `within` holds; `range_` says so in words."""
        value = self.percent(percent)
        if value is not None and not within(value):
            self._findings.add(mistakes.percent_out_of_range(percent.span, what, range_))
            return None
        return value

    def count(self, number: s.Number, what: str, low: int = 1, high: int | None = None) -> int | None:
        """A whole number, at least `low` and at most `high`."""
        value = self.number(number)
        if value is None:
            return None
        if value.denominator != 1:
            self._findings.add(mistakes.not_whole(number.span, int(value)))
        elif value < low or (high is not None and value > high):
            self._findings.add(mistakes.count_out_of_range(number.span, what, low, high))
        else:
            return value.numerator
        return None

    def rates(self, setting: s.RatesSetting) -> Rates | None:
        """Pico units per token, of input and of output."""
        tokens = self.count(setting.per, "tokens")
        picos = [self._rate(amount, tokens) for amount in (setting.input, setting.output)]
        input_, output = picos
        return Rates(input_, output) if input_ is not None and output is not None else None

    def _rate(self, amount: s.Money, tokens: int | None) -> int | None:
        nanos = self.money(amount)
        if nanos is None or tokens is None:
            return None
        picos = Fraction(nanos * PICOS_PER_NANO, tokens)
        if picos.denominator != 1:
            self._findings.add(mistakes.too_fine(amount.span, "a trillionth of a currency unit per token"))
            return None
        return picos.numerator
