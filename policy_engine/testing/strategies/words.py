"""The vocabulary that generated policies draw on: names, literals, declared facts."""

from dataclasses import dataclass, field
from fractions import Fraction

from policy_engine.language.units import plain_number

MONEY, INTEGER, NUMBER, PERCENT, DURATION = "money", "integer", "number", "percent", "duration"

POOLS: dict[str, tuple[str, ...]] = {
    MONEY: ("1", "0.1", "0.05", "0.3", "2.5", "0.01"),
    INTEGER: ("1", "2", "3", "10", "100"),
    NUMBER: ("0.5", "0.25", "2"),
    PERCENT: ("50", "10", "90"),
    DURATION: ("30", "1", "90", "3600"),
}
"""The amounts that conditions compare with; facts are drawn from around them."""


@dataclass(frozen=True)
class Number:
    """A numeric name with its range, in the unit in which literals are written (durations: seconds)."""

    name: str
    unit: str
    low: Fraction | None = None
    high: Fraction | None = None


@dataclass(frozen=True)
class Choice:
    """An enum. An `open` one may have none of its values, so a test of all of them is no constant."""

    name: str
    values: tuple[str, ...]
    ordered: bool = False
    open: bool = False


@dataclass
class Names:
    """What the conditions of one kind of rule may read."""

    numbers: list[Number] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    texts: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    keys: tuple[str, ...] = ()  # of meters; empty where no meter may be read

    def plus(self, *numbers: Number) -> "Names":
        return Names([*self.numbers, *numbers], self.choices, self.flags, self.texts, self.keys)

    @property
    def kinds(self) -> list[str]:
        found = [kind for kind in ("choices", "numbers", "flags", "texts") if getattr(self, kind)]
        return [*found, "meters"] if self.keys else found


FACTS: dict[str, tuple[str, str]] = {
    "risk": ("low < medium < high", "medium"),
    "region": ("eu | us | apac", "us"),
    "urgent": ("boolean", "false"),
    "words": ("integer 0..1000", "10"),
    "pages": ("integer", "3"),
    "confidence": ("number 0..1", "0.5"),
    "budget": ("money {0}..{10}", "{1}"),
    "quality": ("percent 0%..100%", "90%"),
    "patience": ("duration", "30s"),
    "ticket": ("text", '"a"'),
}
"""Declared facts: their type and a default, amounts of money in braces."""

FACT_NUMBERS = {
    "words": Number("words", INTEGER, Fraction(0), Fraction(1000)),
    "pages": Number("pages", INTEGER),
    "confidence": Number("confidence", NUMBER, Fraction(0), Fraction(1)),
    "budget": Number("budget", MONEY, Fraction(0), Fraction(10)),
    "quality": Number("quality", PERCENT, Fraction(0), Fraction(100)),
    "patience": Number("patience", DURATION),
}
FACT_CHOICES = {
    "risk": Choice("risk", ("low", "medium", "high"), ordered=True),
    "region": Choice("region", ("eu", "us", "apac")),
}
TEXTS = ("a", "b")
CUSTOMERS = ("acme", "bolt")
STEPS = ("draft", "check")
ERRORS = ("timeout", "rate_limit", "invalid_output", "over_ceiling", "auth", "cancelled", "stale")
"""Those that generated rules name and generated failures have; `stale` is declared."""

WINDOWS = ("day", "hour", "month", "minute", "week")


def literal(unit: str, value: Fraction, currency: str) -> str:
    """A value as it is written: `$0.30`, `0.3 CHF`, `90s`, `45%`, `-2`."""
    sign, size = ("-", -value) if value < 0 else ("", value)
    digits = plain_number(size)
    if unit == MONEY:
        return f"{sign}${digits}" if currency == "USD" else f"{sign}{digits} {currency}"
    if unit == DURATION:
        return f"{sign}{digits}s" if size.denominator == 1 else f"{sign}{plain_number(size * 1000)}ms"
    return f"{sign}{digits}%" if unit == PERCENT else f"{sign}{digits}"


def with_money(text: str, currency: str) -> str:
    """A text with its amounts in braces written out: `cost {2.50}` is `cost $2.50`."""
    before, mark, rest = text.partition("{")
    if not mark:
        return text
    amount, _, after = rest.partition("}")
    return before + literal(MONEY, Fraction(amount), currency) + with_money(after, currency)
