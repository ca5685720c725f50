"""Rules of every kind, in every block where they may stand."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeVar

from policy_engine.testing.strategies.conditions import Conditions
from policy_engine.testing.strategies.drafts import Place
from policy_engine.testing.strategies.picking import Pick
from policy_engine.testing.strategies.words import (
    CUSTOMERS,
    ERRORS,
    FACT_CHOICES,
    FACT_NUMBERS,
    INTEGER,
    MONEY,
    STEPS,
    TEXTS,
    WINDOWS,
    Choice,
    Names,
    Number,
    literal,
)

_T = TypeVar("_T")

RETRIED = tuple(error for error in ERRORS if error not in ("over_ceiling", "auth", "cancelled"))

_CEILINGS = ("0.1", "0.05", "0.03", "0.3", "0.01", "1")
_EXECUTION = ("outcome", "step", "attempt")
_KEYS = ("customer", "plan", "workflow", "outcome")


@dataclass(frozen=True)
class Setting:
    """What a policy declares, as far as its rules may name it."""

    currency: str
    facts: tuple[str, ...]
    attempted: tuple[str, ...]  # routes that serve attempts
    handoffs: tuple[str, ...]
    lanes: tuple[str, ...]
    plans: tuple[str, ...]
    workflows: tuple[str, ...]
    outcomes: tuple[str, ...]

    @property
    def routes(self) -> tuple[str, ...]:
        return (*self.attempted, *self.handoffs)


@dataclass(frozen=True)
class Kinds:
    """Which values conditions may read, and which kinds of rules there may be."""

    counters: bool = True  # meters, `spent`, `remaining`, `ceiling`
    conditions: bool = True
    ceilings: bool = True
    retries: bool = True
    entries: bool = True  # `allow`, `forbid`, `limit`
    fallbacks: bool = True
    shadows: bool = True


class Rules:
    """Writes rules for one policy."""

    def __init__(self, pick: Pick, setting: Setting, conditions: Conditions, kinds: Kinds) -> None:
        self._pick = pick
        self._setting = setting
        self._conditions = conditions
        self._kinds = kinds
        self._names = self._by_point()

    def kinds_at(self, place: Place) -> tuple[str, ...]:
        """The kinds of rules that may stand in a block, as far as this policy has them."""
        kind, name = place
        if kind == "route" and name in self._setting.handoffs:
            return ("limit",) if self._kinds.entries else ()
        found = ["ceiling", "ceiling"] if self._kinds.ceilings else []
        if self._kinds.ceilings and kind == "outcome":
            found.append("margin")
        if self._kinds.retries:
            found.append("retry")
        if self._kinds.fallbacks and kind in ("file", "workflow", "outcome", "lane"):
            found += ["fallback", "fallback"]
        if self._kinds.entries and kind != "route":
            found += ["forbid", "limit", "allow"]
        return tuple(found)

    def some_at(self, place: Place, most: int) -> tuple[str, ...]:
        kinds = self.kinds_at(place)
        return tuple(self.rule(self._pick.of(kinds), place) for _ in range(self._pick.number(most))) if kinds else ()

    def rule(self, kind: str, place: Place, *, shadow: bool | None = None) -> str:
        """One rule of a kind for a block, with whatever tails it takes."""
        pick = self._pick
        core, tails = getattr(self, f"_{kind}")(place)
        names = self._names["limit of a handoff" if kind == "limit" and place[0] == "route" else kind]
        # An `allow` or `forbid` without a condition lets everyone in, or nobody: rarely meant.
        wanted = pick.number(4) if kind in ("allow", "forbid") else pick.one_in(2)
        condition = self._conditions.tail(names) if self._kinds.conditions and wanted else ""
        label = f" as r{pick.fresh()}" if pick.one_in(5) else ""
        may_be_shadow = kind not in ("retry", "fallback")
        if shadow is None:
            shadow = self._kinds.shadows and may_be_shadow and pick.one_in(8)
        before, after = tails
        return f"{'shadow ' if shadow else ''}{core}{before}{condition}{after}{label}"

    # ------------------------------------------------------------ each kind: its own words, tails around the condition

    def _ceiling(self, place: Place) -> tuple[str, tuple[str, str]]:
        pick = self._pick
        form = pick.of(("money", "attempts", "tokens", "share", "time", "money"))
        inside = pick.number(1) == 0 or form in ("time", "share")
        scopes = _EXECUTION[:2] if form == "attempts" else _EXECUTION
        scope = f"per {pick.of(scopes)}" if inside else self._window((*_KEYS, "lane", "route"))
        amount = {
            "money": lambda: literal(MONEY, Fraction(pick.of(_CEILINGS)), self._setting.currency),
            "attempts": lambda: f"{pick.of((2, 1, 3, 6))} attempts",
            "tokens": lambda: f"{pick.of(('2k', '1000', '20k'))} tokens",
            "share": lambda: f"{pick.of((50, 10, 120))}% of price",
            "time": lambda: pick.of(("90s", "1min", "500ms")),
        }[form]()
        return f"ceiling {amount} {scope}", ("", "" if form == "time" else self._alert())

    def _margin(self, place: Place) -> tuple[str, tuple[str, str]]:
        return f"margin at least {self._pick.of((45, 0, 99))}%", ("", self._alert())

    def _retry(self, place: Place) -> tuple[str, tuple[str, str]]:
        pick = self._pick
        on = self._on(RETRIED)
        backoff = pick.of(("", " backoff 2s", " backoff 250ms..4s"))
        return f"retry {pick.of((1, 2, 0, 3))}", (on + backoff, "")

    def _allow(self, place: Place) -> tuple[str, tuple[str, str]]:
        return "allow", ("", "")

    def _forbid(self, place: Place) -> tuple[str, tuple[str, str]]:
        return "forbid", ("", "")

    def _limit(self, place: Place) -> tuple[str, tuple[str, str]]:
        keys = (*_KEYS, "lane") if place[0] == "route" else _KEYS
        return f"limit {self._pick.of((2, 1, 5))} {self._window(keys)}", ("", self._alert())

    def _fallback(self, place: Place) -> tuple[str, tuple[str, str]]:
        target = self._pick.of(("next", "next", *self._setting.routes, "stop"))
        return f"fallback {target}", (self._on(ERRORS), "")

    def _window(self, keys: Sequence[str]) -> str:
        key = f"per {self._pick.of(keys)} " if self._pick.number(2) else ""
        return f"{key}per {self._pick.of(WINDOWS)}"

    def _on(self, errors: Sequence[str]) -> str:
        form = self._pick.number(3)
        if form <= 1:
            return ""
        return " on any" if form == 2 else f" on {', '.join(self._pick.some(errors, least=1, most=3))}"

    def _alert(self) -> str:
        return self._pick.of(("", "", "", " alert at 80%", " alert at 50%, 100%"))

    # ------------------------------------------------------------ what conditions may read

    def _by_point(self) -> dict[str, Names]:
        counters, declared = self._kinds.counters, self._setting
        admit = Names(
            numbers=[Number("price", MONEY, Fraction("0")), *_present(FACT_NUMBERS, declared.facts)],
            choices=[*_present(FACT_CHOICES, declared.facts)],
            flags=["urgent"] if "urgent" in declared.facts else [],
            texts=[("customer", CUSTOMERS), *([("ticket", TEXTS)] if "ticket" in declared.facts else [])],
            keys=_KEYS if counters else (),
        )
        if declared.plans:
            admit.choices.append(Choice("plan", declared.plans, open=True))
        for name in ("workflow", "outcome"):
            admit.choices += _told_apart(name, getattr(declared, f"{name}s"))
        whole = [Number(name, INTEGER, Fraction("0")) for name in ("attempts", "failures", "input_tokens")]
        running = replace(
            admit.plus(
                *whole,
                Number("attempt", INTEGER, Fraction("1")),
                Number("elapsed", "duration", Fraction("0")),
                *([Number("spent", MONEY, Fraction("0"))] if counters else []),
            ),
            choices=[*admit.choices, *_told_apart("lane", declared.lanes), *_told_apart("route", declared.routes)],
            texts=[*admit.texts, ("step", STEPS)],
            keys=(*_KEYS, "lane", "route") if counters else (),
        )
        failed = replace(running, choices=[*running.choices, Choice("error", ERRORS)])
        asking = running.plus(Number("estimate", MONEY, Fraction("0")))
        left = [Number("ceiling", MONEY, Fraction("0")), Number("remaining", MONEY)] if counters else []
        return {
            "ceiling": asking,
            "margin": asking,
            "allow": admit,
            "forbid": admit,
            "limit": admit,
            "limit of a handoff": failed,
            "retry": failed,
            "fallback": failed.plus(*left),
        }


def _present(known: dict[str, _T], declared: Sequence[str]) -> list[_T]:
    return [known[name] for name in declared if name in known]


def _told_apart(name: str, values: tuple[str, ...]) -> list[Choice]:
    """An enum of one value is always that value: no condition may ask."""
    return [Choice(name, values)] if len(values) > 1 else []
