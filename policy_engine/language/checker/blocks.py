"""Routes, lanes, plans, packs, workflows and outcomes: their settings, parts and rules."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from policy_engine.language import syntax as s
from policy_engine.language.checked import (
    BlockId,
    Lane,
    Outcome,
    Overage,
    Pack,
    Plan,
    Route,
    Rule,
    Rules,
    Workflow,
)
from policy_engine.language.checker.findings import Findings
from policy_engine.language.checker.names import Names
from policy_engine.language.checker.placement import keyword, may_stand, word_of
from policy_engine.language.checker.rules import RULE_WORDS, RuleChecker, gathered
from policy_engine.language.checker.settings import SettingChecker
from policy_engine.language.mistakes import blocks as mistakes
from policy_engine.language.source import Span

_ROUTE_KINDS: tuple[type, ...] = (s.Model, s.Tool, s.Handoff)
_NOT_ON_HANDOFF = (s.Ceiling, s.Retry)


class _Body(Struct, frozen=True):
    """What a block says: its settings, each with its node and its value (None where it has a mistake), and rules."""

    settings: Mapping[type, tuple[s.Setting, Any]]
    rules: Rules

    def value(self, kind: type) -> Any:
        """The value of a setting; None where it is not said."""
        return self.settings[kind][1] if kind in self.settings else None

    def span(self, kind: type) -> Span:
        """Where a setting that is said stands."""
        return keyword(self.settings[kind][0])


class BlockChecker:
    """Checks one block at a time; blocks inside it are checked by themselves."""

    def __init__(self, findings: Findings, names: Names, settings: SettingChecker, rules: RuleChecker) -> None:
        self._findings = findings
        self._names = names
        self._settings = settings
        self._rules = rules

    # ------------------------------------------------------------ what every block has

    def rules_of(self, items: Iterable[s.Item], block: BlockId) -> Rules:
        """The rules among statements at file level; what may not stand there is reported."""
        return self._body(items, block, handoff=False).rules

    def _body(self, items: Iterable[s.Item], block: BlockId, *, handoff: bool) -> _Body:
        settings: dict[type, tuple[s.Setting, Any]] = {}
        rules: list[Rule | None] = []
        for item in items:
            stands = may_stand(self._findings, item, block.kind)
            if isinstance(item, s.Rule):
                rule = self._rules.check(item, block, handoff=handoff)
                if stands:
                    rules.append(rule)
            elif isinstance(item, s.Setting):
                value = self._settings.check(item)
                if type(item) in settings:
                    first = keyword(settings[type(item)][0])
                    self._findings.add(mistakes.setting_twice(keyword(item), word_of(item), block.kind, first))
                elif stands:
                    settings[type(item)] = (item, value)
        return _Body(settings, gathered(rules))

    def _missing(self, block: s.Block, part: str, hint: str) -> None:
        self._findings.absent(mistakes.missing_part(block.name, block.kind, part, hint))

    # ------------------------------------------------------------ routes and lanes

    def route(self, block: s.Block) -> Route | None:
        """The route; None where it does not say what kind it is."""
        kind = self._names.route_kind(block.name.text) if self._is_first(block) else None
        body = self._body(block.items, BlockId("route", block.name.text), handoff=kind == "handoff")
        kinds = [setting for setting in body.settings if setting in _ROUTE_KINDS]
        if not kinds:
            self._missing(block, "model, tool or handoff", 'write `model "…"`, `tool "…"` or `handoff "…"` in it')
            return None
        first = kinds[0]
        word = word_of(body.settings[first][0])
        for other in kinds[1:]:
            other_word = word_of(body.settings[other][0])
            self._findings.add(mistakes.two_kinds_of_route(body.span(other), other_word, body.span(first), word))
        if len(kinds) == 1:
            self._fitting(block, body, word, body.span(first))
        return Route(
            name=block.name.text,
            title=_title(block),
            kind=word,
            reference=body.value(first),
            rates=body.value(s.RatesSetting),
            cost_nanos=body.value(s.Cost),
            rules=body.rules,
            span=block.span,
        )

    def _is_first(self, block: s.Block) -> bool:
        return self._names.block(block.kind, block.name.text) is block

    def _fitting(self, block: s.Block, body: _Body, kind: str, declared: Span) -> None:
        """Report what a route of this kind cannot have."""
        if s.RatesSetting in body.settings and kind != "model":
            self._findings.add(mistakes.rates_without_model(body.span(s.RatesSetting), kind, declared))
        elif s.RatesSetting in body.settings and s.Cost in body.settings:
            first, second = sorted((body.span(s.RatesSetting), body.span(s.Cost)), key=lambda span: span.order)
            self._findings.add(mistakes.rates_and_cost(second, first))
        for item in block.items:
            if kind == "handoff" and isinstance(item, _NOT_ON_HANDOFF):
                word = RULE_WORDS[type(item)]
                self._findings.add(mistakes.rule_on_handoff(keyword(item), word, block.name))
            elif kind != "handoff" and isinstance(item, s.Limit):
                self._findings.add(mistakes.limit_on_attempts(keyword(item), block.name))

    def lane(self, block: s.Block) -> Lane:
        body = self._body(block.items, BlockId("lane", block.name.text), handoff=False)
        if not block.path:
            self._missing(block, "routes", f"write them first: `lane {block.name.text} {{ first -> second }}`")
        self._settings.distinct(block.path, "route")
        for place, name in enumerate(block.path):
            route = self._names.block("route", name.text)
            if route is None or self._names.route_kind(name.text) != "handoff":
                continue
            if len(block.path) == 1:
                self._findings.add(mistakes.handoff_alone(name, route.name.span))
            elif place < len(block.path) - 1:
                self._findings.add(mistakes.handoff_not_last(name, route.name.span))
        return Lane(
            name=block.name.text,
            title=_title(block),
            path=tuple(name.text for name in block.path),
            rules=body.rules,
            span=block.span,
        )

    # ------------------------------------------------------------ plans and packs

    def plan(self, block: s.Block) -> Plan:
        body = self._body(block.items, BlockId("plan", block.name.text), handoff=False)
        fee_nanos, period = body.value(s.Fee) or (0, "month")
        overage: Overage | None = body.value(s.Overage)
        return Plan(
            name=block.name.text,
            title=_title(block),
            fee_nanos=fee_nanos,
            period=period,
            includes=body.value(s.Includes) or {},
            overage=overage,
            rules=body.rules,
            span=block.span,
        )

    def pack(self, block: s.Block) -> Pack | None:
        body = self._body(block.items, BlockId("pack", block.name.text), handoff=False)
        if block.pack is None:
            hint = f"write them first: `pack {block.name.text} {{ 100 outcome_name for $65 }}`"
            self._missing(block, "units", hint)
            return None
        units = self._settings.units(block.pack.units)
        price = self._settings.money(block.pack.amount)
        if units is None or price is None:
            return None
        return Pack(
            name=block.name.text,
            title=_title(block),
            outcome=block.pack.units.outcome.text,
            units=units,
            price_nanos=price,
            expires_micros=body.value(s.Expires),
            span=block.span,
        )

    # ------------------------------------------------------------ workflows and outcomes

    def workflow(self, block: s.Block) -> Workflow:
        body = self._body(block.items, BlockId("workflow", block.name.text), handoff=False)
        outcomes = (item.name.text for item in block.items if isinstance(item, s.Block) and item.kind == "outcome")
        return Workflow(
            name=block.name.text,
            title=_title(block),
            outcomes=tuple(outcomes),
            rules=body.rules,
            span=block.span,
        )

    def outcome(self, block: s.Block, workflow: str) -> Outcome | None:
        body = self._body(block.items, BlockId("outcome", block.name.text), handoff=False)
        if s.Price not in body.settings:
            self._missing(block, "price", f"write `price {self._settings.example_money}` in it")
        if s.Lanes not in body.settings:
            self._missing(block, "lanes", "write `lanes …` in it, the first eligible one wins")
        price, lanes = body.value(s.Price), body.value(s.Lanes)
        if price is None or lanes is None:
            return None
        within, else_expired = body.value(s.Accepted) or (None, False)
        return Outcome(
            name=block.name.text,
            title=_title(block),
            workflow=workflow,
            price_nanos=price,
            lanes=lanes,
            accepted_within_micros=within,
            else_expired=else_expired,
            rules=body.rules,
            span=block.span,
        )


def _title(block: s.Block) -> str | None:
    return block.title.value if block.title is not None else None
