"""One rule as written → one checked rule: amount, scope, condition, classes, name."""

from collections.abc import Iterable
from fractions import Fraction
from typing import TypedDict, TypeVar

from msgspec import Struct

from policy_engine.language import syntax as s
from policy_engine.language.checked import (
    AllowRule,
    BlockId,
    CeilingRule,
    FallbackRule,
    ForbidRule,
    LimitRule,
    RetryRule,
    Rule,
    RuleRef,
    Rules,
    Scope,
    Test,
)
from policy_engine.language.checker import scopes
from policy_engine.language.checker.amounts import Amounts
from policy_engine.language.checker.conditions import check_condition
from policy_engine.language.checker.findings import Findings
from policy_engine.language.checker.names import Names
from policy_engine.language.checker.placement import check_tails
from policy_engine.language.checker.reading import Standing
from policy_engine.language.checker.refs import rule_ref, written
from policy_engine.language.mistakes import names as name_mistakes
from policy_engine.language.mistakes import rules as mistakes
from policy_engine.language.source import Span
from policy_engine.language.vocabulary import (
    ANY,
    CEILING_UNITS,
    CONDITION_POINTS,
    NEVER_RETRIED,
    TARGETS,
    Point,
)

MAX_RETRIES = 100

_R = TypeVar("_R", bound=Rule)

_LIMIT_KEYS = ("customer", "plan", "workflow", "outcome")
_HANDOFF_KEYS = (*_LIMIT_KEYS, "lane")
_PERMITS_NOTHING = "write `forbid` if nothing is meant to be permitted"


class _Shared(TypedDict):
    """What every checked rule carries."""

    ref: RuleRef
    block: BlockId
    condition: Test | None
    shadow: bool
    points: frozenset[Point]
    span: Span


class _Amount(Struct, frozen=True):
    """A ceiling's amount: `limit` in the unit of the quantity, or a percent of the price."""

    quantity: str
    limit: int | None = None
    percent_of_price: Fraction | None = None


class RuleChecker:
    """Checks rules one by one."""

    def __init__(self, findings: Findings, names: Names, amounts: Amounts) -> None:
        self._findings = findings
        self._names = names
        self._amounts = amounts
        all_classes = frozenset(names.error_classes)
        self._fallback_classes = all_classes - {"cancelled"}
        self._retry_classes = all_classes - frozenset(NEVER_RETRIED)

    def check(self, rule: s.Rule, block: BlockId, *, handoff: bool = False) -> Rule | None:
        """The checked rule; None where a mistake in it was reported."""
        before = len(self._findings.mistakes)
        made = self._check(rule, block, handoff=handoff)
        return made if len(self._findings.mistakes) == before else None

    def _check(self, rule: s.Rule, block: BlockId, *, handoff: bool) -> Rule | None:
        word = RULE_WORDS[type(rule)]
        check_tails(self._findings, rule, word)
        shared = self._shared(rule, word, block, handoff=handoff)
        match rule:
            case s.Ceiling():
                return self._ceiling(rule, shared)
            case s.Margin():
                return self._margin(rule, shared)
            case s.Retry():
                return self._retry(rule, shared)
            case s.Limit():
                return self._limit(rule, shared, handoff=handoff)
            case s.Fallback():
                return self._fallback(rule, shared)
            case s.Allow():
                return AllowRule(**shared)
            case s.Forbid():
                return ForbidRule(**shared)

    def _shared(self, rule: s.Rule, word: str, block: BlockId, *, handoff: bool) -> _Shared:
        points = frozenset({Point.FAILURE}) if handoff and word == "limit" else CONDITION_POINTS[word]
        test: Test | None = None
        if rule.tails.condition is not None:
            standing = Standing(word, block, points)
            condition = rule.tails.condition
            test, points = check_condition(condition, standing, self._findings, self._names, self._amounts)
        return {
            "ref": rule_ref(rule.span, rule.tails.label),
            "block": block,
            "condition": test,
            "shadow": rule.shadow,
            "points": points,
            "span": rule.span,
        }

    # ------------------------------------------------------------ ceilings

    def _ceiling(self, rule: s.Ceiling, shared: _Shared) -> CeilingRule | None:
        amount = self._amount(rule.amount)
        scope = self._ceiling_scope(rule)
        if scope is not None:
            self._fits(rule, scope)
        alerts = self._alerts(rule.tails.alert)
        if amount is None or scope is None:
            return None
        return CeilingRule(
            **shared,
            quantity=amount.quantity,
            scope=scope,
            limit=amount.limit,
            percent_of_price=amount.percent_of_price,
            alerts=alerts,
        )

    def _amount(self, amount: s.Money | s.Duration | s.Percent | s.Count | s.ShareOfPrice) -> _Amount | None:
        value: int | None
        match amount:
            case s.Money():
                value = self._amounts.positive_money(amount, "a ceiling", _PERMITS_NOTHING)
                return _Amount("spent", value) if value is not None else None
            case s.Duration():
                value = self._amounts.positive_duration(amount, "a ceiling", _PERMITS_NOTHING)
                return _Amount("elapsed", value) if value is not None else None
            case s.Percent():
                self._findings.add(mistakes.bare_percent(amount.span))
                return None
            case s.ShareOfPrice():
                return self._share_of_price(amount)
            case s.Count():
                return self._count(amount)

    def _share_of_price(self, amount: s.ShareOfPrice) -> _Amount | None:
        if amount.of.text != "price":
            self._findings.add(mistakes.share_of_other(amount.of))
        percent = self._amounts.percent_within(amount.percent, "a ceiling", "above 0%", lambda value: value > 0)
        return _Amount("spent", percent_of_price=percent) if percent is not None else None

    def _count(self, amount: s.Count) -> _Amount | None:
        if amount.unit is None:
            money = self._amounts.as_money(amount.number.text)
            self._findings.add(mistakes.amount_without_unit(amount.span, money))
            return None
        if amount.unit.text not in CEILING_UNITS:
            near = self._findings.near(amount.unit.text, ("attempts", "tokens"))
            self._findings.add(mistakes.unknown_ceiling_unit(amount.unit, near))
            return None
        quantity = CEILING_UNITS[amount.unit.text]
        count = self._amounts.count(amount.number, f"a ceiling of {quantity}")
        return _Amount(quantity, count) if count is not None else None

    def _ceiling_scope(self, rule: s.Ceiling) -> Scope | None:
        if rule.per:
            return scopes.execution_or_window(self._findings, rule.per)
        end = rule.amount.span
        hint = f"write `per outcome`, or a window: `ceiling {written(end)} per customer per day`"
        if isinstance(rule.amount, s.Duration):
            hint = f"write `ceiling {written(end)} per outcome`, `per step` or `per attempt`"
        self._findings.add(mistakes.no_scope(Span(end.source, rule.span.start, end.end), "ceiling", hint))
        return None

    def _fits(self, rule: s.Ceiling, scope: Scope) -> None:
        """Whether such an amount can be counted over this scope."""
        amount = rule.amount
        span = rule.per[0].span.to(rule.per[-1].span)
        if isinstance(amount, s.Count) and amount.unit is not None:
            if CEILING_UNITS.get(amount.unit.text) == "attempts" and scope.execution == "attempt":
                self._findings.add(mistakes.attempts_per_attempt(span))
        elif isinstance(amount, s.Duration):
            if scope.execution is None:
                self._findings.add(mistakes.time_in_a_window(span, amount.span))
            if rule.tails.alert is not None:
                self._findings.add(mistakes.alert_on_time(rule.tails.alert.span))
        elif scope.execution is None and isinstance(amount, s.ShareOfPrice):
            self._findings.add(mistakes.share_in_a_window(span, amount.span))

    def _alerts(self, alert: s.AlertAt | None) -> tuple[Fraction, ...]:
        first: dict[Fraction, Span] = {}
        for percent in alert.percents if alert is not None else ():
            range_ = "above 0% and at most 100%"
            value = self._amounts.percent_within(percent, "an alert", range_, lambda value: 0 < value <= 100)
            if value is not None and value in first:
                self._findings.add(name_mistakes.repeated(percent.span, first[value]))
            elif value is not None:
                first[value] = percent.span
        return tuple(first)

    def _margin(self, rule: s.Margin, shared: _Shared) -> CeilingRule | None:
        range_ = "from 0% to less than 100%"
        percent = self._amounts.percent_within(rule.percent, "a margin", range_, lambda value: 0 <= value < 100)
        alerts = self._alerts(rule.tails.alert)
        if percent is None:
            return None
        return CeilingRule(
            **shared,
            quantity="spent",
            scope=Scope(execution="outcome"),
            limit=None,
            percent_of_price=100 - percent,
            alerts=alerts,
            is_margin=True,
        )

    # ------------------------------------------------------------ limits

    def _limit(self, rule: s.Limit, shared: _Shared, *, handoff: bool) -> LimitRule | None:
        count = self._amounts.count(rule.count, "a limit")
        alerts = self._alerts(rule.tails.alert)
        if not rule.per:
            span = Span(rule.span.source, rule.span.start, rule.count.span.end)
            hint = f"write a window: `limit {rule.count.text} per customer per month`"
            self._findings.add(mistakes.no_scope(span, "limit", hint))
            return None
        scope = scopes.window(self._findings, rule.per)
        if scope is None or count is None:
            return None
        keys = _HANDOFF_KEYS if handoff else _LIMIT_KEYS
        if scope.key is not None and scope.key not in keys:
            self._findings.add(mistakes.limit_key(rule.per[0], list(keys)))
        return LimitRule(**shared, count=count, scope=scope, alerts=alerts)

    # ------------------------------------------------------------ retry and fallback

    def _retry(self, rule: s.Retry, shared: _Shared) -> RetryRule | None:
        count = self._amounts.count(rule.count, "a number of retries", low=0, high=MAX_RETRIES)
        classes = self._classes(rule.tails.on, self._retry_classes)
        if rule.tails.on is not None:
            for name in rule.tails.on.classes:
                if name.text in NEVER_RETRIED:
                    self._findings.add(mistakes.never_retried(name))
        first, longest = self._backoff(rule.tails.backoff)
        if count is None or first is None:
            return None
        return RetryRule(**shared, count=count, classes=classes, first_micros=first, longest_micros=longest)

    def _backoff(self, backoff: s.Backoff | None) -> tuple[int | None, int | None]:
        if backoff is None:
            return 0, None
        first = self._amounts.duration(backoff.first)
        if backoff.longest is None:
            return first, None
        longest = self._amounts.duration(backoff.longest)
        if first is not None and longest is not None and first > longest:
            self._findings.add(mistakes.backoff_upside_down(backoff.span, backoff.first.span, backoff.longest.span))
        return first, longest

    def _classes(self, on: s.On | None, every: frozenset[str]) -> frozenset[str]:
        """The classes a rule is for; `every` where it names none, or `any`."""
        if on is None:
            return every
        first: dict[str, Span] = {}
        for name in on.classes:
            if name.text in first:
                self._findings.add(name_mistakes.repeated(name.span, first[name.text]))
            elif name.text == ANY:
                if len(on.classes) > 1:
                    self._findings.add(mistakes.any_beside_others(name))
            else:
                self._names.error_class(name)
            first.setdefault(name.text, name.span)
        return every if ANY in first else frozenset(first)

    def _fallback(self, rule: s.Fallback, shared: _Shared) -> FallbackRule:
        if rule.target.text not in TARGETS:
            self._names.refer(rule.target, "route")
        classes = self._classes(rule.tails.on, self._fallback_classes)
        return FallbackRule(**shared, target=rule.target.text, classes=classes)


RULE_WORDS: dict[type, str] = {
    s.Ceiling: "ceiling",
    s.Retry: "retry",
    s.Allow: "allow",
    s.Forbid: "forbid",
    s.Limit: "limit",
    s.Fallback: "fallback",
    s.Margin: "margin",
}


def gathered(rules: Iterable[Rule | None]) -> Rules:
    """The rules of one block by kind, in the order given, without those that had a mistake."""
    kinds: dict[type, list[Rule]] = {}
    for rule in rules:
        if rule is not None:
            kinds.setdefault(type(rule), []).append(rule)

    def of(kind: type[_R]) -> tuple[_R, ...]:
        return tuple(rule for rule in kinds.get(kind, ()) if isinstance(rule, kind))

    return Rules(
        ceilings=of(CeilingRule),
        retries=of(RetryRule),
        allows=of(AllowRule),
        forbids=of(ForbidRule),
        limits=of(LimitRule),
        fallbacks=of(FallbackRule),
    )
