"""One policy set under lint: what it means, how it is written, and indexes over both.

Each index is made when it is first asked for, in one pass over the set. Rules read these instead of
looping over loops: a set of ten thousand rules is linted in ten times the time of a thousand.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from policy_engine.analysis.lint.rule import Edit
from policy_engine.analysis.ways import Way, ways
from policy_engine.analysis.worst import Worst
from policy_engine.language import syntax as s
from policy_engine.language.checked import FILE_LEVEL, BlockId, FallbackRule, Member, Read, Rule, Rules, atoms, reads
from policy_engine.language.source import Source, Span
from policy_engine.policy import Policy
from policy_engine.prices.table import PriceTable

if TYPE_CHECKING:
    from policy_engine.analysis.lint.suppression import Suppressions
    from policy_engine.analysis.satisfy import Satisfier

KINDS = ("route", "lane", "plan", "pack", "workflow", "outcome")


class Subject:
    """`policy` and `checked` are what the set means, `files` its trees; `prices_lock` has the prices of its lock."""

    def __init__(self, policy: Policy, files: Sequence[s.File], *, prices_lock: PriceTable | None = None) -> None:
        self.policy = policy
        self.checked = policy.checked
        self.files = tuple(sorted(files, key=lambda file: file.source.name))
        self.prices_lock = prices_lock

    # ------------------------------------------------------------ what it means

    @cached_property
    def satisfier(self) -> "Satisfier":
        """Decides whether facts exist for which conditions come out so or so. Imported when a rule first asks."""
        from policy_engine.analysis.satisfy import Satisfier

        return Satisfier(self.checked)

    @cached_property
    def worst(self) -> Worst:
        """What the rules permit at worst."""
        return Worst(self.checked)

    @cached_property
    def every_rule(self) -> tuple[Rule, ...]:
        """Every rule of the set, shadow rules among them, by block."""
        return tuple(self.checked.every_rule())

    @cached_property
    def rules_by_block(self) -> Mapping[BlockId, Rules]:
        """The rules that stand in each block, those of the file level among them."""
        checked = self.checked
        found = {FILE_LEVEL: checked.rules}
        for kind, blocks in (
            ("workflow", checked.workflows),
            ("outcome", checked.outcomes),
            ("plan", checked.plans),
            ("lane", checked.lanes),
            ("route", checked.routes),
        ):
            found.update({BlockId(kind, name): block.rules for name, block in blocks.items()})
        return found

    @cached_property
    def outcomes_of_lane(self) -> Mapping[str, tuple[str, ...]]:
        """Every lane, with the outcomes that list it."""
        return _inverted(self.checked.lanes, ((o.name, o.lanes) for o in self.checked.outcomes.values()))

    @cached_property
    def lanes_of_route(self) -> Mapping[str, tuple[str, ...]]:
        """Every route, with the lanes it is part of."""
        return _inverted(self.checked.routes, ((lane.name, lane.path) for lane in self.checked.lanes.values()))

    @cached_property
    def ways(self) -> tuple[Way, ...]:
        """Every outcome in each of its lanes, with the fallbacks that can apply there."""
        return tuple(ways(self.checked))

    @cached_property
    def fallbacks_to(self) -> Mapping[str, tuple[FallbackRule, ...]]:
        """Every route, with the fallbacks that name it."""
        found: dict[str, list[FallbackRule]] = {name: [] for name in self.checked.routes}
        for rules in self.rules_by_block.values():
            for rule in rules.fallbacks:
                if rule.target in found:
                    found[rule.target].append(rule)
        return {name: tuple(rules) for name, rules in found.items()}

    def meeting(self, block: BlockId) -> frozenset[BlockId]:
        """The blocks whose rules may govern an attempt together with those of this one, itself among them.

        Two outcomes never meet, nor do an outcome and a lane that it does not list; a route that no lane leads to
        meets all that may fall back to it. Conditions are not looked at.
        """
        checked = self.checked
        if block.kind == "outcome":
            return self._around_outcome(block.name)
        if block.kind == "workflow":
            return frozenset().union(*map(self._around_outcome, checked.workflows[block.name].outcomes), {block})
        if block.kind == "lane":
            return self._around_lanes([block.name]) | self._everywhere
        if block.kind == "route" and not self.fallbacks_to[block.name]:
            return self._around_lanes(self.lanes_of_route[block.name]) | {block} | self._everywhere
        return frozenset(self.rules_by_block)

    @cached_property
    def _everywhere(self) -> frozenset[BlockId]:
        """The blocks that meet any outcome: the file level, plans, routes that a fallback names."""
        plans = (BlockId("plan", name) for name in self.checked.plans)
        targets = (BlockId("route", name) for name, rules in self.fallbacks_to.items() if rules)
        return frozenset({FILE_LEVEL, *plans, *targets})

    def _around_outcome(self, name: str) -> frozenset[BlockId]:
        outcome = self.checked.outcomes[name]
        around = {BlockId("outcome", name), BlockId("workflow", outcome.workflow)}
        for lane in outcome.lanes:
            around.add(BlockId("lane", lane))
            around.update(BlockId("route", route) for route in self.checked.lanes[lane].path)
        return self._everywhere | around

    def _around_lanes(self, lanes: Iterable[str]) -> frozenset[BlockId]:
        around: set[BlockId] = set()
        for lane in lanes:
            around.add(BlockId("lane", lane))
            around.update(BlockId("route", route) for route in self.checked.lanes[lane].path)
            for outcome in self.outcomes_of_lane[lane]:
                around |= {BlockId("outcome", outcome), BlockId("workflow", self.checked.outcomes[outcome].workflow)}
        return frozenset(around)

    @cached_property
    def readers(self) -> Mapping[str, tuple[Rule, ...]]:
        """Each name that a condition reads (fact, built-in name, meter in words), with the rules that read it."""
        found: dict[str, dict[Rule, None]] = {}
        for rule in self.every_rule:
            for read in reads(rule.condition):
                found.setdefault(read.name, {})[rule] = None
        return {name: tuple(rules) for name, rules in found.items()}

    @cached_property
    def words_of_conditions(self) -> frozenset[str]:
        """Every enum value and quoted text that some condition is written with."""
        return frozenset(
            value
            for rule in self.every_rule
            if rule.condition is not None
            for atom in atoms(rule.condition)
            if isinstance(atom, Member)
            for value in atom.values
        )

    @cached_property
    def meters_read(self) -> frozenset[Read]:
        """Every counter that some condition reads."""
        return frozenset(read for rule in self.every_rule for read in reads(rule.condition) if read.meter is not None)

    @cached_property
    def facts_of_allows(self) -> frozenset[str]:
        """The declared facts that some enforced `allow` reads."""
        return frozenset(
            read.name
            for rules in self.rules_by_block.values()
            for rule in rules.allows
            if not rule.shadow
            for read in reads(rule.condition)
            if read.is_fact
        )

    def fixed_in(self, block: BlockId) -> dict[str, str]:
        """The names whose value is settled for every decision that a block's rules govern."""
        if block.kind == "outcome":
            return {"outcome": block.name, "workflow": self.checked.outcomes[block.name].workflow}
        return {block.kind: block.name} if block.name else {}

    # ------------------------------------------------------------ how it is written

    @property
    def sources(self) -> tuple[Source, ...]:
        return self.checked.sources

    @cached_property
    def statements(self) -> tuple[tuple[s.Item, tuple[s.Block, ...]], ...]:
        """Every statement of every file in written order, each with the blocks around it, outermost first."""
        return tuple(found for file in self.files for found in _walk(file.items, ()))

    @cached_property
    def _nodes(self) -> Mapping[tuple[Source, int], s.Item]:
        return {
            (item.span.source, item.span.start): item for item, _ in self.statements if not isinstance(item, s.Block)
        }

    def node_of(self, rule: Rule) -> s.Rule:
        """A rule as it is written."""
        node = self._nodes[rule.span.source, rule.span.start]
        assert isinstance(node, s.Rule)  # noqa: S101 - only rules become rules
        return node

    @cached_property
    def blocks(self) -> Mapping[BlockId, s.Block]:
        """Every block as it is written, by kind and name."""
        return {BlockId(item.kind, item.name.text): item for item, _ in self.statements if isinstance(item, s.Block)}

    def block(self, kind: str, name: str) -> s.Block:
        """One block as it is written."""
        return self.blocks[BlockId(kind, name)]

    def name_span(self, kind: str, name: str) -> Span:
        """The name in a block's head: what a finding about the whole block underlines."""
        return self.blocks[BlockId(kind, name)].name.span

    def step_span(self, lane: str, number: int) -> Span:
        """The `number`-th route, from 0, in a lane's first line."""
        return self.blocks[BlockId("lane", lane)].path[number].span

    def overage_span(self, plan: str, outcome: str) -> Span:
        """Where a plan says what a further unit of an outcome costs."""
        (span,) = (
            price.span
            for item in self.blocks[BlockId("plan", plan)].items
            if isinstance(item, s.Overage)
            for price in item.prices
            if price.outcome.text == outcome
        )
        return span

    def statement_span(self, statement: Rule | s.Item) -> Span:
        """All that goes when a statement is removed: it and the blanks before it; its whole lines if nothing else
        stands on them. A comment behind it stays (and so does its line).
        """
        return whole_lines(statement.span)

    def removal(self, statement: Rule | s.Item) -> tuple[Edit, ...]:
        """The edits that remove a statement."""
        return (Edit(span=self.statement_span(statement), text=""),)

    # ------------------------------------------------------------ what its author allows

    @cached_property
    def suppressions(self) -> "Suppressions":
        """The `# lint:` comments of the set, and which of them have been of use so far."""
        from policy_engine.analysis.lint.suppression import Suppressions

        return Suppressions(self.files)


def whole_lines(span: Span) -> Span:
    """The span with its line break and indentation if nothing else is on its lines, else with the blanks before it."""
    text = span.source.text
    start, end = span.start, span.end
    while start and text[start - 1] in " \t":
        start -= 1
    after = end
    while after < len(text) and text[after] in " \t\r":
        after += 1
    if start == 0 or text[start - 1] == "\n":
        if after >= len(text) or text[after] == "\n":
            return Span(span.source, start, min(after + 1, len(text)))
        return span  # a comment or another statement follows: the indentation is theirs
    return Span(span.source, start, end)


def with_blanks_before(span: Span) -> Span:
    """The span and the blanks and line breaks between it and what is before: what goes when a tail is removed."""
    text, start = span.source.text, span.start
    while start and text[start - 1].isspace():
        start -= 1
    # A comment ends where its line does: what is behind it must stay below it.
    begins = text.rfind("\n", 0, start) + 1
    return Span(span.source, span.start if "#" in text[begins:start] else start, span.end)


def _walk(items: Iterable[s.Item], around: tuple[s.Block, ...]) -> Iterator[tuple[s.Item, tuple[s.Block, ...]]]:
    for item in items:
        yield item, around
        if isinstance(item, s.Block):
            yield from _walk(item.items, (*around, item))


def _inverted(names: Iterable[str], pairs: Iterable[tuple[str, Iterable[str]]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {name: [] for name in names}
    for owner, parts in pairs:
        for part in parts:
            found[part].append(owner)
    return {name: tuple(owners) for name, owners in found.items()}
