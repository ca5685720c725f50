"""The types of what callers give: text, choices, money, durations, counts and declared facts.

Each reads one entry into internal units and refuses what is not of its kind, in words a
caller can act on. Made for pydantic models; nothing here knows a decision point.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from policy_engine.evaluation.facts import MISSING, FactError, Reading
from policy_engine.language.checked import CheckedPolicy, Fact
from policy_engine.language.diagnostics import did_you_mean, one_of
from policy_engine.language.units import (
    MAX_MONEY_NANOS,
    MAX_SIGNIFICANT_DIGITS,
    UnitError,
    decimal,
    duration_micros,
    money_nanos,
    plain_number,
    print_duration,
    print_money,
    print_percent,
    scaled,
)
from policy_engine.language.vocabulary import Unit

GRANT_KINDS = ("allowance", "pack", "promotion")
MAX_COUNT = 10**12
MOST_BITS = 1_024
"""Of a whole number that a caller gives: as far as a float goes."""

CONFIG = ConfigDict(extra="forbid", strict=True, validate_default=False, populate_by_name=False, frozen=True)


def aliased(alias: str, field: tuple[Any, Any]) -> tuple[Any, Any]:
    type_, default = field
    return type_, Field(default, alias=alias)


def _checked(check: Callable[[Any], Any], result: Any) -> Any:
    """A type whose values go through `check`, with its `UnitError`s as plain messages."""

    def validate(value: Any) -> Any:
        try:
            return check(value)
        except UnitError as error:
            raise ValueError(str(error)) from None

    return Annotated[result, BeforeValidator(validate)]


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise UnitError(f"{shown(value)} is not a text")
    return value


TEXT = _checked(_text, str)


def choice(names: Iterable[str], kind: str) -> Any:
    allowed = tuple(names)

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in allowed:
            near = did_you_mean(value, allowed) if isinstance(value, str) else None
            listed = f"; {near or 'one of ' + one_of(allowed)}" if allowed else "; the policy declares none"
            raise UnitError(f"{shown(value)} is no {kind}{listed}")
        return value

    return _checked(check, str)


def count(least: int) -> Any:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise UnitError(f"{shown(value)} is not a whole number")
        if not least <= value <= MAX_COUNT:
            raise UnitError(f"{value} is out of range; it is at least {least}")
        return value

    return _checked(check, int)


class InSmallUnits:
    """What was given in nano units or microseconds, under a name of its own; `doubled`: and the other way as well."""

    __slots__ = ("doubled", "value")

    def __init__(self, value: Any, *, doubled: bool) -> None:
        self.value = value
        self.doubled = doubled

    def checked(self, units: str, most: int | None) -> int:
        if self.doubled:
            raise UnitError("it is given in two units; give one of them")
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise UnitError(f"{shown(self.value)} is not a whole number of {units}")
        if self.value < 0 or (most is not None and self.value > most):
            raise UnitError(f"{self.value} is out of range; it is at least 0")
        return self.value


def money(policy: CheckedPolicy, least: int | None) -> Any:
    def check(value: Any) -> int:
        if isinstance(value, InSmallUnits):
            return value.checked("billionths", MAX_MONEY_NANOS)
        if not isinstance(value, int | float | Decimal | str):
            raise UnitError(f"{shown(value)} is not an amount of money")
        nanos = money_nanos(value, policy.currency)
        if least is not None and nanos < least:
            raise UnitError(f"{shown(value)} is below {print_money(least, policy.currency)}")
        return nanos

    return _checked(check, int)


def _duration(value: Any) -> int:
    if isinstance(value, InSmallUnits):
        return value.checked("microseconds", None)
    if isinstance(value, timedelta):
        micros = (value.days * 86_400 + value.seconds) * 10**6 + value.microseconds
    elif isinstance(value, str):
        micros = duration_micros(value)
    elif isinstance(value, int | float | Decimal):
        micros = scaled(decimal(value), 10**6, "a microsecond")
    else:
        raise UnitError(f"{shown(value)} is not a duration")
    if micros < 0:
        raise UnitError(f"{shown(value)} is a negative duration")
    return micros


DURATION = _checked(_duration, int)


def _number(value: Any) -> float:
    if not isinstance(value, int | float | Decimal | str):
        raise UnitError(f"{shown(value)} is not a number")
    exact = decimal(value.removesuffix("%") if isinstance(value, str) else value)
    # What a caller gives as a float has at most 17 digits, and its `repr` is what it means.
    if not isinstance(value, float) and len(exact.normalize().as_tuple().digits) > MAX_SIGNIFICANT_DIGITS:
        raise UnitError(f"{shown(value)} has more than {MAX_SIGNIFICANT_DIGITS} significant digits")
    return float(exact)


def fact_field(fact: Fact, policy: CheckedPolicy) -> tuple[Any, Any]:
    """The type and default of one declared fact. `None` means "not known" where the fact is optional."""
    default: Any = MISSING
    if fact.default is not None:
        default = _internal(fact)
    elif fact.optional:
        default = None
    checked = _fact_check(fact, policy)

    def check(value: Any) -> Any:
        return default if value is None else checked(value)

    return _checked(check, Any), default


def _internal(fact: Fact) -> Any:
    """A default as an evaluator wants it."""
    if isinstance(fact.default, Fraction):
        return float(fact.default) if fact.unit in (Unit.NUMBER, Unit.PERCENT) else int(fact.default)
    return fact.default


def _fact_check(fact: Fact, policy: CheckedPolicy) -> Callable[[Any], Any]:
    if fact.unit is Unit.BOOLEAN:
        return _boolean
    if fact.unit is Unit.TEXT:
        return _any_text
    if fact.unit is Unit.ENUM:
        return _member(fact)
    read = {
        Unit.MONEY: lambda value: _money_value(value, policy),
        Unit.DURATION: _duration,
        Unit.INTEGER: _whole,
        Unit.NUMBER: _number,
        Unit.PERCENT: _number,
    }[fact.unit]

    def check(value: Any) -> Any:
        result = read(value)
        size = Fraction(repr(result)) if isinstance(result, float) else Fraction(result)
        if (fact.low is not None and size < fact.low) or (fact.high is not None and size > fact.high):
            low, high = (_shown_bound(bound, fact.unit, policy) for bound in (fact.low, fact.high))
            raise UnitError(f"{shown(value)} is outside {low}..{high}")
        return result

    return check


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise UnitError(f"{shown(value)} is not true or false")
    return value


def _any_text(value: Any) -> str:
    if not isinstance(value, str):
        raise UnitError(f"{shown(value)} is not a text")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnitError(f"{shown(value)} is not a whole number")
    if value.bit_length() > MOST_BITS:  # it could not be written down: in a record, a log, this message
        raise UnitError("a number of hundreds of digits is more than this engine counts")
    return value


def _money_value(value: Any, policy: CheckedPolicy) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise UnitError(f"{shown(value)} is not an amount of money")
    return money_nanos(value, policy.currency)


def _member(fact: Fact) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in fact.values:
            near = did_you_mean(value, fact.values) if isinstance(value, str) else None
            raise UnitError(f"{shown(value)} is no value of `{fact.name}`; {near or 'one of ' + one_of(fact.values)}")
        return value

    return check


def grant_model(policy: CheckedPolicy) -> type[BaseModel]:
    moment = _checked(epoch_micros, int)
    return create_model(
        "Grant",
        __config__=CONFIG,
        id=(TEXT, ...),
        kind=(choice(GRANT_KINDS, "kind of grant"), "allowance"),
        left=(count(0), ...),
        price_nanos=aliased("price", (money(policy, 0), ...)),
        priority=(int, 0),
        expires_micros=aliased("expires", (moment | None, None)),
        effective_micros=aliased("effective", (moment, 0)),
        created_micros=aliased("created", (moment, 0)),
    )


def epoch_micros(value: Any) -> int:
    """Microseconds since the epoch, of a `datetime` or a text that has a time zone."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise UnitError(f"`{value}` is not a time; write it as `2026-01-31T09:00:00+00:00`") from None
    if not isinstance(value, datetime):
        raise UnitError(f"{shown(value)} is not a time")
    if value.tzinfo is None:
        raise UnitError(f"`{value.isoformat()}` has no time zone; add `+00:00` or another offset")
    return (value - _EPOCH) // timedelta(microseconds=1)


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


# ---------------------------------------------------------------- counters


def reading_type(policy: CheckedPolicy, name: str) -> Any:
    return _checked(lambda value: None if value is None else reading(policy, name, value, money=True), Any)


def reading(policy: CheckedPolicy, name: str, value: Any, *, money: bool) -> Reading:
    """One counter: an amount (then all of it is settled), `{"settled": …, "reserved": …}` or a `Reading`."""
    if isinstance(value, Reading):
        return _counted(name, value)
    parts = value if isinstance(value, Mapping) else {"settled": value}
    odd = set(parts) - {"settled", "reserved"}
    if odd:
        raise FactError(name, f"`{name}` has `settled` and `reserved`, not `{min(map(str, odd))}`")
    try:
        amounts = [
            _money_value(parts.get(part, 0), policy) if money else _whole(parts.get(part, 0))
            for part in ("settled", "reserved")
        ]
    except UnitError as error:
        raise FactError(name, f"`{name}`: {error}") from None
    if min(amounts) < 0:
        raise FactError(name, f"`{name}` is negative")
    return Reading(*amounts)


def _counted(name: str, value: Reading) -> Reading:
    try:
        negative = (value.settled | value.reserved) < 0  # only whole numbers have a sign together
    except TypeError:
        raise FactError(name, f"`{name}`: {shown(value)} does not hold whole numbers") from None
    if negative:
        raise FactError(name, f"`{name}` is negative")
    return value


def no_such(name: object, known: Iterable[str], kind: str) -> str:
    listed = tuple(known)
    near = did_you_mean(name, listed) if isinstance(name, str) else None
    if not listed:
        return f"{shown(name)} is no {kind} of this policy; it declares none"
    return f"{shown(name)} is no {kind} of this policy; {near or 'one of ' + one_of(listed)}"


def shown(value: object) -> str:
    """A value in a message, cut where it is long."""
    text = value if isinstance(value, str) else repr(value)
    return f"`{text[:40]}…`" if len(text) > 40 else f"`{text}`"


def _shown_bound(bound: Fraction | None, unit: Unit, policy: CheckedPolicy) -> str:
    if bound is None:
        return ""
    if unit is Unit.MONEY:
        return print_money(int(bound), policy.currency)
    if unit is Unit.DURATION:
        return print_duration(int(bound))
    return print_percent(bound) if unit is Unit.PERCENT else plain_number(bound)
