"""What can be expected of a decision: one aspect per key, with how it is written, compared and shown.

An aspect reads what an author wrote into a wanted value (once), takes the same from a decision
(each run) and says whether they agree. `none` is how an author says that there is nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from policy_engine.evaluation.decision import Ruling
from policy_engine.language.checked import RuleRef
from policy_engine.language.diagnostics import did_you_mean, one_of
from policy_engine.language.units import (
    UnitError,
    duration_micros,
    money_nanos,
    print_duration,
    print_money,
    print_percent,
)

NONE = "none"
NOTHING = object()
"""Wanted: that there is no such thing. (`None` is an expectation that was left out.)"""


@dataclass(frozen=True)
class Aspect:
    """One thing to expect. `take` gives it from a decision; `names` says of which kind the names in it are."""

    take: Callable[[Any], Any]
    names: str = ""

    def read(self, value: Any) -> Any:
        """What was written, as it is compared. Raises `UnitError` with a message for what cannot be meant."""
        return NOTHING if value == NONE else self._read(value)

    def differs(self, want: Any, got: Any, currency: str) -> bool:
        """Whether a decision does not have what is wanted. Raises `UnitError` for another currency's amount."""
        if want is NOTHING:
            return got is not None
        return got is None or self._differs(want, got, currency)

    def wanted(self, want: Any, currency: str) -> str:
        """What is wanted, for people."""
        return NONE if want is NOTHING else self._shown(want, currency)

    def got(self, got: Any, currency: str) -> str:
        """What a decision has, for people, in the form in which it could be expected."""
        return NONE if got is None else self._shown(got, currency)

    def _read(self, value: Any) -> Any:
        return value

    def _differs(self, want: Any, got: Any, currency: str) -> bool:
        return bool(want != got)

    def _shown(self, value: Any, currency: str) -> str:
        return str(value)


@dataclass(frozen=True)
class Word(Aspect):
    """One word of a list, or (without a list) a name of the policy."""

    words: tuple[str, ...] = ()

    def _read(self, value: Any) -> Any:
        if not isinstance(value, str):
            raise UnitError(f"cannot be {shown(value)}; write one word")
        if self.words and value not in self.words:
            likely = did_you_mean(value, (*self.words, NONE)) or f"it is one of {one_of(self.words, 20)}"
            raise UnitError(f"cannot be `{value}`; {likely}")
        return value


class Money(Aspect):
    """An amount: a number of currency units, or text with its symbol."""

    def _read(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
            raise UnitError(f"cannot be {shown(value)}; write an amount such as `$0.30`")
        return value

    def _differs(self, want: Any, got: Any, currency: str) -> bool:
        return bool(nanos(want, currency) != got)

    def wanted(self, want: Any, currency: str) -> str:
        return NONE if want is NOTHING else print_money(nanos(want, currency), currency)

    def _shown(self, value: Any, currency: str) -> str:
        return print_money(value, currency)


class Duration(Aspect):
    """A time: `90s`, or a number of seconds."""

    def _read(self, value: Any) -> Any:
        return micros(value)

    def _shown(self, value: Any, currency: str) -> str:
        return print_duration(value)


class Count(Aspect):
    """A whole number."""

    def _read(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            raise UnitError(f"cannot be {shown(value)}; write a whole number")
        return value


class Names(Aspect):
    """Several names, in any order; exactly these."""

    def read(self, value: Any) -> Any:
        return frozenset() if value == NONE else frozenset(texts(value))

    def _differs(self, want: Any, got: Any, currency: str) -> bool:
        return bool(want != frozenset(got))

    def _shown(self, value: Any, currency: str) -> str:
        return ", ".join(sorted(value)) or NONE


@dataclass(frozen=True)
class Rules(Aspect):
    """Rules that decided, by label or by their own words, perhaps with their numbers; `only`: and no others."""

    only: bool = False

    def read(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(name): _numbers(name, numbers) for name, numbers in value.items()}
        return {} if value == NONE else dict.fromkeys(texts(value))

    def _differs(self, want: Any, got: Any, currency: str) -> bool:
        strangers = any(not any(is_called(ruling.rule, name) for name in want) for ruling in got)
        if strangers and (self.only or not want):
            return True
        for name, numbers in want.items():
            called = [ruling for ruling in got if is_called(ruling.rule, name)]
            if not any(_has(ruling, numbers or {}, currency) for ruling in called):
                return True
        return False

    def wanted(self, want: Any, currency: str) -> str:
        return "\n".join(name + _listed(numbers or {}) for name, numbers in want.items()) or NONE

    def _shown(self, value: Any, currency: str) -> str:
        return "\n".join(said(ruling, currency) for ruling in value) or NONE


class Alerts(Aspect):
    """The alerts that fired, exactly these: rule → percent."""

    def read(self, value: Any) -> Any:
        if value == NONE:
            return {}
        if not isinstance(value, Mapping):
            raise UnitError("cannot be read; write `rule: percent`, such as `{ceiling $150 per day: 80%}`")
        return {str(name): str(percent).removesuffix("%") for name, percent in value.items()}

    def _differs(self, want: Any, got: Any, currency: str) -> bool:
        fired = [(alert.ruling.rule, print_percent(alert.percent).removesuffix("%")) for alert in got]
        expected = all(
            any(is_called(rule, name) and at == percent for rule, at in fired) for name, percent in want.items()
        )
        return not expected or any(not any(is_called(rule, name) for name in want) for rule, _ in fired)

    def wanted(self, want: Any, currency: str) -> str:
        return "\n".join(f"{name} at {percent}%" for name, percent in want.items()) or NONE

    def _shown(self, value: Any, currency: str) -> str:
        return "\n".join(f"{a.ruling.rule.name} at {print_percent(a.percent)}" for a in value) or NONE


class Shadows(Aspect):
    """What the shadow rules named would have said: rule → `refuses`, `passes` or `silent` (it does not apply)."""

    def read(self, value: Any) -> Any:
        if not isinstance(value, Mapping) or not set(map(str, value.values())) <= {"refuses", "passes", "silent"}:
            raise UnitError("cannot be read; write `rule: refuses`, `rule: passes` or `rule: silent`")
        return {str(name): str(verdict) for name, verdict in value.items()}

    def _differs(self, want: Any, got: Any, currency: str) -> bool:
        for name, verdict in want.items():
            called = [shadow for shadow in got if is_called(shadow.ruling.rule, name)]
            found = "silent" if not called else "refuses" if any(s.refuses for s in called) else "passes"
            if found != verdict:
                return True
        return False

    def wanted(self, want: Any, currency: str) -> str:
        return "\n".join(f"{name} {verdict}" for name, verdict in want.items()) or NONE

    def _shown(self, value: Any, currency: str) -> str:
        return "\n".join(f"{s.ruling.rule.name} {'refuses' if s.refuses else 'passes'}" for s in value) or NONE


class Refused(Aspect):
    """Why lanes that were looked at are not the one: lane → reason or the rules that refused it."""

    def read(self, value: Any) -> Any:
        if value == NONE:
            return {}
        if not isinstance(value, Mapping):
            raise UnitError("cannot be read; write `lane: reason`, such as `{premium: forbidden}`")
        return {str(lane): frozenset(texts(why)) for lane, why in value.items()}

    def _differs(self, want: Any, got: Any, currency: str) -> bool:
        by_lane = {refusal.lane: refusal for refusal in got}
        if set(want) != set(by_lane):
            return True
        for lane, why in want.items():
            refusal = by_lane[lane]
            for word in why:
                if word != refusal.reason and not any(is_called(r.rule, word) for r in refusal.rulings):
                    return True
        return False

    def wanted(self, want: Any, currency: str) -> str:
        return "\n".join(f"{lane}: {', '.join(sorted(why))}" for lane, why in want.items()) or NONE

    def _shown(self, value: Any, currency: str) -> str:
        lines = [(r.lane, [r.reason, *(said(x, currency) for x in r.rulings)]) for r in value]
        return "\n".join(f"{lane}: {', '.join(why)}" for lane, why in lines) or NONE


# ---------------------------------------------------------------- reading and saying


def texts(value: Any) -> tuple[str, ...]:
    """One text, or a list of texts."""
    listed = value if isinstance(value, list) else [value]
    for item in listed:
        if not isinstance(item, str):
            raise UnitError(f"cannot be {shown(item)}; write a name, or a list of names")
    return tuple(" ".join(item.split()) for item in listed)


def micros(value: Any) -> int:
    """A duration as authors write it, in microseconds. Raises `UnitError`."""
    if isinstance(value, str):
        try:
            return duration_micros(value)
        except UnitError:
            raise UnitError(f"cannot be {shown(value)}; write a duration such as `90s`, `2h` or `3d`") from None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise UnitError(f"cannot be {shown(value)}; write a duration such as `90s`")
    return int(Decimal(str(value)) * 10**6)


@lru_cache(maxsize=4096)
def nanos(value: Any, currency: str) -> int:
    """Nano units of an amount as authors write it. Raises `UnitError`."""
    return money_nanos(value, currency)


def is_called(rule: RuleRef, name: str) -> bool:
    """Whether a rule goes by this name: its label, its own words, or how they begin."""
    return name in (rule.name, rule.text) or begins(rule.text, name)


def begins(text: str, name: str) -> bool:
    """Whether a rule's words begin with these; a word is not cut, so `ceiling 6` is not how `ceiling 60` begins."""
    return text.startswith(name) and text[len(name) :][:1] in (" ", ",")


def said(ruling: Ruling, currency: str) -> str:
    """A rule that decided, with its numbers: `draft_cap (limit $0.15, used $0.14, asked $0.02)`."""
    if ruling.unit is None:
        return ruling.rule.name
    numbers = {key: amount(getattr(ruling, key), ruling.unit, currency) for key in ("limit", "used", "asked")}
    return ruling.rule.name + _listed(numbers)


def amount(value: int | None, unit: str | None, currency: str) -> str:
    """A rule's number in its unit."""
    if value is None:
        return "unknown"
    if unit == "money":
        return print_money(value, currency)
    return print_duration(value) if unit == "time" else str(value)


def _listed(numbers: Mapping[str, Any]) -> str:
    return f" ({', '.join(f'{key} {value}' for key, value in numbers.items())})" if numbers else ""


def _numbers(name: Any, numbers: Any) -> dict[str, Any] | None:
    if numbers is None:
        return None
    if not isinstance(numbers, Mapping) or not set(numbers) <= {"limit", "used", "asked"}:
        raise UnitError(f"cannot be read; the numbers of `{name}` are `limit`, `used` and `asked`")
    return dict(numbers)


def _has(ruling: Ruling, numbers: Mapping[str, Any], currency: str) -> bool:
    for key, want in numbers.items():
        got = getattr(ruling, key)
        if want == "unknown" or got is None:
            if want != "unknown" or got is not None:
                return False
            continue
        exact = nanos(want, currency) if ruling.unit == "money" else micros(want) if ruling.unit == "time" else want
        if exact != got:
            return False
    return True


def shown(value: object) -> str:
    """A value in backticks, cut where it is long."""
    text = _written(value)
    if text is None:
        return "a list" if isinstance(value, list) else "a mapping"
    return f"`{text[:40]}…`" if len(text) > 40 else f"`{text}`"


def _written(value: object) -> str | None:
    """A scalar, or a list of scalars, as an author would write it; None for anything deeper."""
    if isinstance(value, list):
        parts = [_written(item) if not isinstance(item, list) else None for item in value]
        return None if None in parts else f"[{', '.join(map(str, parts))}]"
    if value is None or isinstance(value, bool):
        return {None: "~", True: "true", False: "false"}[value]
    return str(value) if isinstance(value, str | int | float | Decimal) else None


# ---------------------------------------------------------------- the table

_EFFECTS = {
    "admit": ("allow", "deny"),
    "attempt": ("go", "refuse"),
    "progress": ("go", "cut"),
    "failure": ("retry", "route", "hand_off", "stop"),
    "settle": ("delivered", "accepted", "rejected", "expired", "reversed", "aborted", "handed_off", "refuse"),
}
REFUSAL_REASONS = ("forbidden", "not_allowed", "limit_reached", "ceiling_reached")
"""Why a lane may be refused."""

_REASONS = {
    "admit": tuple(
        """not_in_plan allowance_spent forbidden not_allowed limit_reached ceiling_reached lane_not_listed no_lane
        store_silent""".split()
    ),
    "attempt": ("over_ceiling", "estimate_unknown", "shrunk"),
    "progress": ("output_cap", "deadline", "over_ceiling"),
    "failure": (),
    "settle": ("window_closed", "not_possible"),
}


def _common(point: str) -> dict[str, Aspect]:
    return {
        "effect": Word(lambda d: d.effect, words=_EFFECTS[point]),
        "reason": Word(lambda d: d.reason, words=_REASONS[point]),
        "because": Rules(lambda d: d.rulings, names="rule"),
        "because_only": Rules(lambda d: d.rulings, names="rule", only=True),
        "unknown": Names(lambda d: d.unknown),
        "alerts": Alerts(lambda d: d.alerts, names="rule"),
        "shadow": Shadows(lambda d: d.shadow, names="rule"),
    }


def _draw(field: str) -> Callable[[Any], Any]:
    return lambda d: None if d.draw is None else getattr(d.draw, field)


ASPECTS: dict[str, dict[str, Aspect]] = {
    "admit": {
        **_common("admit"),
        "lane": Word(lambda d: d.lane, names="lane"),
        "route": Word(lambda d: d.route, names="route"),
        "draw": Word(_draw("kind"), words=("allowance", "pack", "promotion", "overage", "list", "escrow")),
        "grant": Word(_draw("grant")),
        "price": Money(_draw("price_nanos")),
        "ceiling": Money(lambda d: d.ceiling_nanos),
        "refused": Refused(lambda d: d.refused, names="refused"),
    },
    "attempt": {
        **_common("attempt"),
        "reserved": Money(lambda d: d.reserved_nanos),
        "reserved_tokens": Count(lambda d: d.reserved_tokens),
        "cap": Count(lambda d: d.output_cap),
        "deadline": Duration(lambda d: d.deadline_micros),
    },
    "progress": _common("progress"),
    "failure": {
        **_common("failure"),
        "route": Word(lambda d: d.route, names="route"),
        "delay": Duration(lambda d: d.delay_micros),
    },
    "settle": {
        **_common("settle"),
        "unit": Word(lambda d: d.unit, words=("held", "consumed", "restored")),
        "revenue": Money(lambda d: d.revenue_nanos),
        "window": Duration(lambda d: d.window_micros),
    },
}
"""Every key of an expectation, by decision point."""
