"""Facts moved to the edges of a rule: just within its limit, and just across.

Every function changes the entries of a decision point, as callers write them, and yields what it made.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from policy_engine.analysis.replaying import counter_unit, readable
from policy_engine.language.checked import (
    ATTEMPTS,
    SPENT,
    TOKENS,
    CeilingRule,
    CheckedPolicy,
    FallbackRule,
    LimitRule,
    Meter,
    RetryRule,
    Rule,
)
from policy_engine.language.units import money_nanos, share_nanos
from policy_engine.language.vocabulary import Point, Unit

Entries = dict[str, Any]

SMALL_NANOS = 10**6
"""An estimate that only a counter close to its limit turns away."""

_EXECUTION = {SPENT: "spent", ATTEMPTS: "attempts", TOKENS: "tokens"}


class Edges:
    """Moves the entries of one policy's decision points."""

    def __init__(self, policy: CheckedPolicy) -> None:
        self._policy = policy

    def of(self, rules: Sequence[Rule], point: Point, entries: Mapping[str, Any]) -> Iterator[Entries]:
        """The entries as they are, then at every edge that one of these rules has at this point."""
        yield dict(entries)
        for rule in rules:
            match rule:
                case CeilingRule():
                    yield from self._of_ceiling(rule, point, entries)
                case LimitRule():
                    yield from self._of_limit(rule, point, entries)
                case RetryRule():
                    yield from self._of_retry(rule, entries)
                case FallbackRule():
                    yield from self._of_fallback(rule, entries)

    # ------------------------------------------------------------ ceilings

    def _of_ceiling(self, rule: CeilingRule, point: Point, entries: Mapping[str, Any]) -> Iterator[Entries]:
        limit = self._limit(rule, entries)
        totals = {max(0, limit + step) for step in (-1, 0, 1)} | {_threshold(limit, p) for p in rule.alerts}
        totals.add(limit + max(1, limit // 10))
        for total in sorted(totals):
            if rule.quantity == "elapsed":
                yield from self._after(rule, point, entries, total)
            elif point is Point.ADMIT:
                yield self._used(entries, rule.meter, total)
            elif rule.quantity == "spent":
                yield from self._spending(rule, entries, total)
            elif rule.quantity == "attempts" and total:
                yield self._used({**entries, "estimate": self._money(0)}, rule.meter, total - 1)
            elif rule.quantity == "tokens":
                yield from self._reading(rule, entries, total)

    def _spending(self, rule: CeilingRule, entries: Mapping[str, Any], total: int) -> Iterator[Entries]:
        """An attempt that brings the counter to `total`: all at once, and with its last bit."""
        yield {**entries, "estimate": self._money(total)}
        last = min(SMALL_NANOS, total)
        if rule.scope.execution != "attempt":
            yield self._used({**entries, "estimate": self._money(last)}, rule.meter, total - last)

    def _reading(self, rule: CeilingRule, entries: Mapping[str, Any], total: int) -> Iterator[Entries]:
        free = {**entries, "estimate": self._money(0)}
        if total:
            yield {**free, "input_tokens": 1, "max_output_tokens": total - 1}
        if total > 1 and rule.scope.execution != "attempt":
            yield self._used({**free, "input_tokens": 1, "max_output_tokens": 1}, rule.meter, total - 2)

    def _after(self, rule: CeilingRule, point: Point, entries: Mapping[str, Any], micros: int) -> Iterator[Entries]:
        name = {"outcome": "elapsed", "step": "step_elapsed", "attempt": "attempt_elapsed"}[rule.scope.execution or ""]
        if name != "attempt_elapsed" or point is Point.PROGRESS:
            yield {**entries, name: readable(micros, Unit.DURATION, self._policy.currency)}

    def _limit(self, rule: CeilingRule, entries: Mapping[str, Any]) -> int:
        if rule.percent_of_price is None:
            return rule.limit or 0
        return share_nanos(rule.percent_of_price, money_nanos(entries.get("price", 0), self._policy.currency))

    # ------------------------------------------------------------ limits, retries, fallbacks

    def _of_limit(self, rule: LimitRule, point: Point, entries: Mapping[str, Any]) -> Iterator[Entries]:
        counts = {rule.count - 1, rule.count} | {_threshold(rule.count, percent) - 1 for percent in rule.alerts}
        for count in sorted(counts):
            moved = self._used(entries, rule.meter, max(0, count))
            yield from self._handing_off(rule, moved) if point is Point.FAILURE else (moved,)

    def _handing_off(self, rule: LimitRule, entries: Entries) -> Iterator[Entries]:
        """A failure that a fallback sends to the handoff of this limit."""
        policy = self._policy
        path = policy.lanes[entries["lane"]].path
        visited = [name for name in path if name != rule.block.name]
        for fallback in leading_to(policy, rule.block.name):
            if fallback.target != "next" or rule.block.name in path:
                for error in _errors(fallback.classes):
                    yield {**entries, "error": error, "visited": visited, **_worn({error})}

    def _of_retry(self, rule: RetryRule, entries: Mapping[str, Any]) -> Iterator[Entries]:
        # One retry more than the longest delay takes shows where the doubling ends.
        doubling, delay = 0, max(1, rule.first_micros)
        while rule.longest_micros is not None and delay < rule.longest_micros and doubling < rule.count:
            doubling, delay = doubling + 1, delay * 2
        counts = sorted({0, doubling, max(0, rule.count - 1), rule.count})
        for error in _errors(rule.classes):
            for made in counts:
                yield {**entries, "error": error, "retries": {error: made} if made else {}}
        yield from self._of_others(rule.classes, entries)

    def _of_fallback(self, rule: FallbackRule, entries: Mapping[str, Any]) -> Iterator[Entries]:
        path = self._policy.lanes[entries["lane"]].path
        everywhere = [name for name in path if self._policy.routes[name].kind != "handoff"]
        for visited in ([entries["route"]], everywhere):
            for error in _errors(rule.classes):
                yield {**entries, "error": error, "visited": visited, **_worn({error})}
        yield from self._of_others(rule.classes, entries)

    def _of_others(self, classes: frozenset[str], entries: Mapping[str, Any]) -> Iterator[Entries]:
        """A failure of a class that a rule is not for."""
        for error in [name for name in self._policy.error_classes if name not in classes][:3]:
            yield {**entries, "error": error, **_worn({error})}

    # ------------------------------------------------------------ entries

    def _used(self, entries: Mapping[str, Any], meter: Meter, value: int) -> Entries:
        """The counter at this value."""
        shown = readable(value, counter_unit(meter), self._policy.currency)
        if meter in _EXECUTION:
            return {**entries, _EXECUTION[meter]: shown}
        return {**entries, "meters": {**entries.get("meters", {}), str(meter): shown}}

    def _money(self, nanos: int) -> str:
        shown: str = readable(nanos, Unit.MONEY, self._policy.currency)
        return shown


def _threshold(limit: int, percent: Fraction) -> int:
    """The least amount that reaches so many percent of a limit."""
    return -int(-limit * percent / 100 // 1)


def leading_to(policy: CheckedPolicy, handoff: str) -> Iterator[FallbackRule]:
    """The fallbacks that may end in a handoff."""
    for rule in policy.every_rule():
        if isinstance(rule, FallbackRule) and rule.target in (handoff, "next"):
            yield rule


def _errors(classes: frozenset[str]) -> list[str]:
    """Some of them, the least common first: the common ones are those that other rules are for too."""
    return sorted(classes, key=lambda name: (name in ("auth", "bad_request", "content_filter", "timeout"), name))[:6]


def _worn(errors: set[str]) -> Entries:
    """All retries made, so that fallbacks are looked at."""
    return {"retries": dict.fromkeys(sorted(errors), 100)}
