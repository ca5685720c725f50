"""Money, durations, percents and numbers: read, printed, exact.

Money is an integer of nano currency units (one dollar = 10^9), rates are integers
of pico units per token, durations are integers of microseconds. Percents and plain
numbers are `Fraction`s where they are computed with. No float takes part: a float
that arrives from outside is read through its `repr`.
"""

from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fractions import Fraction

NANOS = 10**9
PICOS_PER_NANO = 1000
MICROS = {"ms": 10**3, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "d": 86_400 * 10**6}
SUFFIXES = {"k": 10**3, "M": 10**6}

MAX_MONEY_NANOS = 10**12 * NANOS
"""Amounts beyond a trillion are taken for slips, and stay well inside 64 bits of whole units."""

MAX_SIGNIFICANT_DIGITS = 15
"""Every decimal of so many digits survives a trip through a binary double, so a number
fact may be a float and still be compared exactly."""

SYMBOLS = {"$": "USD", "€": "EUR", "£": "GBP"}

CURRENCIES = frozenset(
    # ISO 4217, the active codes of states and unions.
    """AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF
    CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL
    HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL
    MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON
    RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH
    UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG""".split()
)


class UnitError(ValueError):
    """A value that is not of the unit asked for, or is finer than the unit can hold."""


@dataclass(frozen=True, slots=True)
class Step:
    """The worst case of a token where a request has more than `above_tokens` input tokens, up to the next step."""

    above_tokens: int
    input_picos: int
    output_picos: int


@dataclass(frozen=True, slots=True)
class Rates:
    """What a model charges, in pico currency units per token.

    Input tokens are all of a request's, those read from a cache and written to one among them. A cached rate
    that is None is the input rate (that of an hour: the rate of other writes). `dearest_*_picos` is the rate of
    the dearest kind of token (audio, images) where that is not text. `tiers` are what a request costs whose input
    tokens are more than so many: all of it, not only what is above. `batch` is for requests handed in as a batch.

    An estimate is the worst case, `worst_nanos`: whatever is cached, of whatever kind the tokens are, in a batch
    or not, and for no more tokens than said. What has been used is charged by `cost_nanos`, never more than that.
    """

    input_picos: int
    output_picos: int
    cached_read_picos: int | None = None
    cached_write_picos: int | None = None
    cached_hour_write_picos: int | None = None
    dearest_input_picos: int | None = None
    dearest_output_picos: int | None = None
    tiers: "tuple[Tier, ...]" = ()
    batch: "Rates | None" = None
    steps: tuple[Step, ...] = field(init=False, repr=False, compare=False)
    """The worst case, by input tokens, ascending from 0: one step unless there are tiers; no rate ever falls."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", _steps(self))

    def worst_nanos(self, input_tokens: int, output_tokens: int) -> int:
        """The most that up to so many tokens may cost, rounded up to a whole nano unit."""
        step = self.steps[0] if len(self.steps) == 1 else self.step(input_tokens)
        return -(-(step.input_picos * input_tokens + step.output_picos * output_tokens) // PICOS_PER_NANO)

    def output_tokens_within(self, nanos: int, input_tokens: int) -> int | None:
        """The most output tokens that `nanos` pay for after the input, at worst; negative if not even that; None if
        free.
        """
        step = self.step(input_tokens)
        if step.output_picos == 0:
            return None
        return (nanos * PICOS_PER_NANO - step.input_picos * input_tokens) // step.output_picos

    @property
    def dearest_picos(self) -> int:
        """The most that any token may cost, however many there are."""
        return max(self.steps[-1].input_picos, self.steps[-1].output_picos)

    def cost_nanos(
        self,
        input_tokens: int,
        output_tokens: int,
        *,
        cached_read_tokens: int = 0,
        cached_write_tokens: int = 0,
        cached_hour_write_tokens: int = 0,
        batch: bool = False,
        media_input_tokens: int = 0,
        media_output_tokens: int = 0,
    ) -> int:
        """The cost of tokens that were used, rounded up to a whole nano unit.

        `input_tokens` counts the cached ones too; a caller who leaves them out pays for no fewer than those. Of the
        `media_*_tokens` it is known that they are no text: they cost what the dearest kind does, and it is no text
        that is taken to have been the cheapest in the cache.
        """
        cached = cached_read_tokens + cached_write_tokens + cached_hour_write_tokens
        media = media_input_tokens or media_output_tokens
        if not (cached or batch or media or self.tiers):  # most often: every attempt comes here
            return -(-(self.input_picos * input_tokens + self.output_picos * output_tokens) // PICOS_PER_NANO)
        rates = self.batch if batch and self.batch is not None else self
        whole = max(input_tokens, cached)
        for tier in rates.tiers:
            if whole > tier.above_tokens:
                rates = tier.rates
        write = _or(rates.cached_write_picos, rates.input_picos)
        sent = [
            (rates.input_picos, whole - cached),
            (_or(rates.cached_read_picos, rates.input_picos), cached_read_tokens),
            (write, cached_write_tokens),
            (_or(rates.cached_hour_write_picos, write), cached_hour_write_tokens),
        ]
        came = [(rates.output_picos, output_tokens)]
        picos = _cost(sent, media_input_tokens, rates.dearest_input_picos)
        picos += _cost(came, media_output_tokens, rates.dearest_output_picos)
        return -(-picos // PICOS_PER_NANO)

    def step(self, input_tokens: int) -> Step:
        """The worst case of a request with so many input tokens."""
        found = self.steps[0]
        for step in self.steps[1:]:
            if input_tokens <= step.above_tokens:
                break
            found = step
        return found


@dataclass(frozen=True, slots=True)
class Tier:
    """The rates of a whole request with more input tokens than `above_tokens`; they have no tiers of their own."""

    above_tokens: int
    rates: Rates


def _or(rate: int | None, otherwise: int) -> int:
    return otherwise if rate is None else rate


def _cost(tokens: list[tuple[int, int]], media: int, dearest: int | None) -> int:
    """What pairs of a rate and a number of tokens cost, so many of which are of the dearest kind.

    Which of them is not known: at worst those that would cost the least.
    """
    picos = sum(rate * count for rate, count in tokens)
    if dearest is not None:
        for rate, count in sorted(tokens):
            of_them = min(count, media)
            picos += max(0, dearest - rate) * of_them
            media -= of_them
    return picos


def _steps(rates: Rates) -> tuple[Step, ...]:
    """The worst case by input tokens. A request may turn out smaller than said, so no step is cheaper than another
    before it; and it may be handed in as a batch or not, so tiers of both count.
    """
    given = [(0, rates), *((tier.above_tokens, tier.rates) for tier in rates.tiers)]
    if rates.batch is not None:
        given += [(0, rates.batch), *((tier.above_tokens, tier.rates) for tier in rates.batch.tiers)]
    given.sort(key=lambda pair: pair[0])  # stable: the base comes first
    found: list[Step] = []
    into, out_of = 0, 0
    for above, each in given:
        cached = (each.cached_read_picos, each.cached_write_picos, each.cached_hour_write_picos)
        kinds = (each.input_picos, each.dearest_input_picos, *cached)
        into = max(into, *(picos for picos in kinds if picos is not None))
        out_of = max(out_of, each.output_picos, _or(each.dearest_output_picos, 0))
        step = Step(above, into, out_of)
        if found and found[-1].above_tokens == above:
            found[-1] = step
        elif not found or (found[-1].input_picos, found[-1].output_picos) != (into, out_of):
            found.append(step)
    return tuple(found)


def decimal(value: Decimal | int | float | str) -> Decimal:
    """An exact decimal of what a caller gave; floats count as what their `repr` says.

    Raises `UnitError` for what is no finite number.
    """
    if isinstance(value, bool):
        raise UnitError("a boolean is not a number")
    try:
        result = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        raise UnitError(f"`{value}` is not a number") from None
    if not result.is_finite():
        raise UnitError(f"`{value}` is not a finite number")
    if isinstance(value, float):
        return result
    if not result:
        return Decimal(0).copy_sign(result)  # whatever its exponent
    # An exponent is short to write and would take for ever to count out: beyond what a float holds, no one means it.
    if result.adjusted() > 300:
        raise UnitError(f"`{str(value)[:40]}` is more than any amount this engine counts")
    if result.adjusted() < -400:
        raise UnitError(f"`{str(value)[:40]}` is finer than any amount this engine counts")
    return result


def scaled(value: Decimal, scale: int, what: str) -> int:
    """`value` x `scale` as an integer. Raises `UnitError`, naming `what`, where that is not exact."""
    exact = Fraction(value) * scale
    if exact.denominator != 1:
        raise UnitError(f"{value} is finer than {what}")
    return exact.numerator


def money_nanos(value: Decimal | int | float | str, currency: str = "USD") -> int:
    """Nano units of an amount given as a number of currency units, or as text with its symbol or code.

    `0.3`, `"0.30"`, `"$0.30"` and `"0.30 USD"` are all 300,000,000. Raises `UnitError` for text
    of another currency, for what is no amount and for what is finer than a nano unit.
    """
    amount = money(value, currency)
    if amount.copy_abs() > MAX_MONEY_NANOS // NANOS:  # `abs` would round to the caller's precision
        raise UnitError(f"{value} is more than any amount this engine counts")
    return scaled(amount, NANOS, "a billionth of a currency unit")


def money(value: Decimal | int | float | str, currency: str) -> Decimal:
    """The same amount in currency units, however fine. Raises `UnitError` as `money_nanos` does."""
    if not isinstance(value, str):
        return decimal(value)
    text = value.strip()
    negative = text.startswith("-")
    text = text.removeprefix("-")
    if text[:1] in SYMBOLS:
        if SYMBOLS[text[0]] != currency:
            raise UnitError(f"`{value}` is not in {currency}")
        text = text[1:]
    elif text[-3:].isalpha() and text[-3:].isupper():
        if text[-3:] != currency:
            raise UnitError(f"`{value}` is not in {currency}")
        text = text[:-3].rstrip()
    amount = decimal(text)
    if negative and text.startswith("-"):
        raise UnitError(f"`{value}` is not a number")
    return amount.copy_negate() if negative else amount


def duration_micros(text: str) -> int:
    """Microseconds of `250ms`, `90s`, `15min`, `72h` or `90d`. Raises `UnitError` for anything else."""
    stripped = text.strip()
    digits = stripped.rstrip("abcdefghijklmnopqrstuvwxyz")
    unit = stripped[len(digits) :]
    if unit not in MICROS or not digits:
        raise UnitError(f"`{text}` is not a duration; write a number and one of {', '.join(MICROS)}")
    amount = decimal(digits)
    if amount.adjusted() > 12:
        raise UnitError(f"`{text}` is longer than any duration this engine counts")
    return scaled(amount, MICROS[unit], "a microsecond")


def share_nanos(percent: Fraction, nanos: int) -> int:
    """So many percent of an amount, rounded down."""
    return int(nanos * percent / 100 // 1)


def plain_number(value: Fraction) -> str:
    """A terminating fraction in decimal notation, without trailing zeros."""
    if value.denominator == 1:
        return str(value.numerator)
    text = format(Decimal(value.numerator) / Decimal(value.denominator), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def print_money(nanos: int, currency: str, *, grouping: bool = False) -> str:
    """`$0.30`, `$2000`, `0.30 CHF`: exact, no decimals on whole units, else at least two."""
    whole, rest = divmod(abs(nanos), NANOS)
    digits = f"{whole:,}" if grouping else str(whole)
    if rest:
        digits += "." + f"{rest:09d}".rstrip("0").ljust(2, "0")
    sign = "-" if nanos < 0 else ""
    symbol = next((s for s, code in SYMBOLS.items() if code == currency), None)
    return f"{sign}{symbol}{digits}" if symbol else f"{sign}{digits} {currency}"


def print_duration(micros: int) -> str:
    """The exact spelling in the largest unit that fits: `90s`, `3d`, `250ms`."""
    for unit in ("d", "h", "min", "s", "ms"):
        if micros and micros % MICROS[unit] == 0:
            return f"{micros // MICROS[unit]}{unit}"
    if micros == 0:
        return "0s"
    return f"{plain_number(Fraction(micros, 1000))}ms"


def print_time(micros: int) -> str:
    """A time as a person reads it: exact if that is short, else rounded down (`90s`, `71h 59min`, `12.345s`)."""
    exact = print_duration(micros)
    if len(exact.rstrip("dhmins")) <= 3:
        return exact
    if micros < MICROS["s"]:
        return f"{micros // MICROS['ms']}ms"
    if micros < MICROS["min"]:
        return f"{plain_number(Fraction(micros // MICROS['ms'], 1000))}s"
    unit, smaller = next(pair for pair in (("d", "h"), ("h", "min"), ("min", "s")) if micros >= MICROS[pair[0]])
    whole, rest = divmod(micros, MICROS[unit])
    rest //= MICROS[smaller]
    return f"{whole}{unit} {rest}{smaller}" if rest else f"{whole}{unit}"


def print_percent(percent: Fraction) -> str:
    """`45%`, `0.5%`."""
    return f"{plain_number(percent)}%"
