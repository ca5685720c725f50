"""Every mutant of a policy: one small change of its text, and the same change of what the policy means.

The text is parsed once. A mutant's meaning is made by checking the changed statement alone, in its old surroundings,
and putting it in the place of the old one; everything else is shared with the policy it comes from.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from msgspec import structs

from policy_engine.language import syntax as s
from policy_engine.language.checked import (
    FILE_LEVEL,
    BlockId,
    CeilingRule,
    CheckedPolicy,
    FallbackRule,
    ForbidRule,
    LimitRule,
    RetryRule,
    Rule,
    RuleRef,
    Rules,
)
from policy_engine.language.checker import Rechecker
from policy_engine.language.source import Span
from policy_engine.policy import parse_sources
from policy_engine.testing.coverage.tally import ROOMS, rules_of
from policy_engine.testing.mutation.edits import Edit, diff, removal
from policy_engine.testing.mutation.meaning import meaning
from policy_engine.testing.mutation.variants import Variant, Variants

Change = Callable[[CheckedPolicy], CheckedPolicy]

_SETTINGS = (s.Price, s.Fee, s.Includes, s.Overage, s.Accepted, s.Expires, s.Lanes)


@dataclass(frozen=True, slots=True, eq=False)
class Mutant:
    """One changed policy.

    `operator` is the kind of change, `edits` make it in the text, `change` makes it in the checked policy. `old` and
    `new` are the rule that it touches, before and after; both None for a setting, `new` None for a rule dropped.
    `widens` says that the rule may apply to whom or what it did not.
    """

    number: int
    operator: str
    edits: tuple[Edit, ...]
    block: BlockId
    change: Change
    old: Rule | None = None
    new: Rule | None = None
    setting: str | None = None
    widens: bool = False

    @property
    def span(self) -> Span:
        """Where the change begins."""
        return self.edits[0].span

    @property
    def ref(self) -> RuleRef | None:
        """The rule that it touches."""
        return self.old.ref if self.old is not None else None

    @property
    def diff(self) -> str:
        """The change as a unified diff."""
        return diff(self.edits)


def mutants(policy: CheckedPolicy) -> tuple[Mutant, ...]:
    """Every mutant that is a policy and means something else, in the order of the text."""
    files, _ = parse_sources(policy.sources)
    return tuple(_numbered(_Maker(policy, files).every()))


def _numbered(found: Iterator[Mutant]) -> Iterator[Mutant]:
    """With their numbers, from 0."""
    for number, mutant in enumerate(sorted(found, key=lambda mutant: mutant.span.order)):
        yield replace(mutant, number=number)


class _Maker:
    def __init__(self, policy: CheckedPolicy, files: Sequence[s.File]) -> None:
        self._policy = policy
        self._files = files
        self._checker = Rechecker(files)
        attempted = [name for name, route in policy.routes.items() if route.kind != "handoff"]
        self._variants = Variants(self._checker, attempted, list(policy.lanes))
        self._rules = {(rule.span.source.name, rule.span.start): rule for rule in policy.every_rule()}

    def every(self) -> Iterator[Mutant]:
        for file in self._files:
            yield from self._items(file.items, FILE_LEVEL)
            for item in file.items:
                if isinstance(item, s.Block):
                    yield from self._block(item, "")
                elif isinstance(item, s.StoreFailure):
                    yield from self._store_failure(item)

    def _block(self, block: s.Block, around: str) -> Iterator[Mutant]:
        here = BlockId(block.kind, block.name.text)
        yield from self._items(block.items, here)
        yield from self._settings(block, here, around)
        for item in block.items:
            if isinstance(item, s.Block):
                yield from self._block(item, block.name.text)

    # ------------------------------------------------------------ rules

    def _items(self, items: Sequence[s.Item], block: BlockId) -> Iterator[Mutant]:
        rules = [item for item in items if isinstance(item, s.Rule)]
        for item in rules:
            old = self._rules[item.span.source.name, item.span.start]
            yield self._of_rule("rule dropped", (removal(item.span),), old, None)
            before = meaning(old)
            for variant in self._variants.rule(item):
                new = self._checker.rule(variant.node, block)
                if new is not None and meaning(new) != before:
                    yield self._of_rule(variant.operator, variant.edits, old, new, widens=variant.widens)
        fallbacks = [item for item in rules if isinstance(item, s.Fallback)]
        for first, second in pairwise(fallbacks):
            yield from self._order(first, second)

    def _of_rule(
        self, operator: str, edits: tuple[Edit, ...], old: Rule, new: Rule | None, *, widens: bool = False
    ) -> Mutant:
        put = () if new is None else (new,)

        def change(policy: CheckedPolicy) -> CheckedPolicy:
            return with_rules(policy, old.block, _replaced(rules_of(policy, old.block), old, put))

        return Mutant(0, operator, edits, old.block, change, old, new, widens=widens)

    def _order(self, first: s.Fallback, second: s.Fallback) -> Iterator[Mutant]:
        """Two fallbacks in a row, changed about."""
        one, two = (self._rules[item.span.source.name, item.span.start] for item in (first, second))
        if meaning(one) == meaning(two):
            return
        edits = (Edit(first.span, second.span.text), Edit(second.span, first.span.text))

        def change(policy: CheckedPolicy) -> CheckedPolicy:
            rules = rules_of(policy, one.block)
            about = {one: two, two: one}
            order = tuple(about.get(rule, rule) for rule in rules.fallbacks)
            return with_rules(policy, one.block, structs.replace(rules, fallbacks=order))

        yield Mutant(0, "fallback order", edits, one.block, change, one, two, widens=True)

    # ------------------------------------------------------------ settings

    def _settings(self, block: s.Block, here: BlockId, around: str) -> Iterator[Mutant]:
        bare = replace(block, items=tuple(item for item in block.items if isinstance(item, s.Setting)))
        for index, item in enumerate(bare.items):
            if isinstance(item, _SETTINGS):
                for variant in self._variants.setting(item):
                    changed = replace(bare, items=(*bare.items[:index], variant.node, *bare.items[index + 1 :]))
                    yield from self._of_block(variant, changed, here, around, type(item).__name__.lower())
        for variant in self._variants.path(block.path):
            yield from self._of_block(variant, replace(bare, path=variant.node), here, around, "path")
        if block.pack is not None:
            for variant in self._variants.setting(block.pack):
                yield from self._of_block(variant, replace(bare, pack=variant.node), here, around, "units")

    def _of_block(self, variant: Variant, changed: s.Block, here: BlockId, around: str, name: str) -> Iterator[Mutant]:
        room, made = self._checked(changed, around)
        if made is None:
            return
        old = getattr(self._policy, room)[here.name]
        new = made if room == "packs" else replace(made, rules=old.rules)
        if meaning(new) == meaning(old):
            return

        def change(policy: CheckedPolicy) -> CheckedPolicy:
            put = new if room == "packs" else replace(new, rules=getattr(policy, room)[here.name].rules)
            return _with(policy, room, here.name, put)

        yield Mutant(0, variant.operator, variant.edits, here, change, setting=name, widens=True)

    def _checked(self, block: s.Block, around: str) -> tuple[str, Any]:
        """The part of a checked policy that a block is in, and the checked block."""
        match block.kind:
            case "lane":
                return "lanes", self._checker.lane(block)
            case "plan":
                return "plans", self._checker.plan(block)
            case "pack":
                return "packs", self._checker.pack(block)
            case "outcome":
                return "outcomes", self._checker.outcome(block, around)
        return "", None

    def _store_failure(self, declared: s.StoreFailure) -> Iterator[Mutant]:
        for variant in self._variants.setting(declared):
            escrow = self._checker.escrow(variant.node)
            if escrow is not None:
                yield Mutant(
                    0,
                    variant.operator,
                    variant.edits,
                    FILE_LEVEL,
                    lambda policy, escrow=escrow: replace(policy, escrow_nanos=escrow),  # type: ignore[misc]  # bound now
                    setting="store failure",
                    widens=True,
                )


# ---------------------------------------------------------------- a checked policy with another part


def with_rules(policy: CheckedPolicy, block: BlockId, rules: Rules) -> CheckedPolicy:
    """The policy with other rules in one block; all else is shared."""
    if block == FILE_LEVEL:
        return replace(policy, rules=rules)
    room = ROOMS[block.kind]
    return _with(policy, room, block.name, replace(getattr(policy, room)[block.name], rules=rules))


def _with(policy: CheckedPolicy, room: str, name: str, part: Any) -> CheckedPolicy:
    # The order of the parts is kept: it is the order of the text, and some answers list them.
    parts: Any = {key: part if key == name else old for key, old in getattr(policy, room).items()}
    return replace(policy, **{room: parts})


_KINDS: dict[type[Rule], str] = {
    CeilingRule: "ceilings",
    RetryRule: "retries",
    FallbackRule: "fallbacks",
    LimitRule: "limits",
    ForbidRule: "forbids",
}


def _replaced(rules: Rules, old: Rule, new: tuple[Rule, ...]) -> Rules:
    kind = _KINDS.get(type(old), "allows")
    put: list[Rule] = []
    for rule in getattr(rules, kind):
        put += new if rule is old else (rule,)
    return structs.replace(rules, **{kind: tuple(put)})
