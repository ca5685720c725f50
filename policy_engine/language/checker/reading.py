"""What one condition reads: each name and meter, and whether it is known where the rule is decided."""

from msgspec import Struct

from policy_engine.language import syntax as s
from policy_engine.language.checked import FILE_LEVEL, BlockId, Meter, Read
from policy_engine.language.checker import scopes
from policy_engine.language.checker.findings import Findings
from policy_engine.language.checker.names import Names, Readable
from policy_engine.language.mistakes import names as mistakes
from policy_engine.language.mistakes import rules as rule_mistakes
from policy_engine.language.source import Span
from policy_engine.language.vocabulary import BUILTINS, CONDITION_POINTS, METER_QUANTITIES, Builtin, Point

_ASKED_PER_LANE = ("ceiling", "margin")
"""At admission the ceilings are looked at for each lane in turn, so the lane is known to them there."""

_METERED = ("lane", "workflow", "outcome", "plan", "route")


class Standing(Struct, frozen=True):
    """Where a condition stands: its rule, the block, and the points at which the rule may be decided."""

    rule: str
    block: BlockId
    points: frozenset[Point]


class Reading:
    """Follows the reads of one condition; `points` shrinks to those at which all of them are known."""

    def __init__(self, findings: Findings, names: Names, standing: Standing) -> None:
        self._findings = findings
        self._names = names
        self._standing = standing
        self.points = standing.points

    def name(self, name: s.Name) -> Readable | None:
        """What this name reads; None, reported, where that is nothing."""
        readable = self._names.readable(name)
        if readable is not None and readable.built_in is not None:
            self._known(readable.built_in, name.span, name)
        return readable

    def _known(self, builtin: Builtin, span: Span, name: s.Name | None) -> None:
        standing = self._standing
        if builtin.fallback_only and standing.rule != "fallback" and name is not None:
            self._findings.add(mistakes.fallback_only(name, standing.rule))
            return
        known = builtin.points
        if builtin.name == "lane" and standing.rule in _ASKED_PER_LANE:
            known = known | {Point.ADMIT}
        if known & standing.points:
            self.points = self.points & known
            return
        readers = [rule for rule, points in CONDITION_POINTS.items() if points & builtin.points]
        inside = standing.block.name if builtin.name == "lane" and standing.block.kind == "lane" else None
        self._findings.add(mistakes.not_known_yet(span, builtin.name, standing.rule, readers, inside))

    def meter(self, node: s.Meter) -> Read | None:
        """The counter a meter reads; None, reported, where there is none."""
        quantity = node.quantity.text
        if quantity not in METER_QUANTITIES:
            near = self._findings.near(quantity, METER_QUANTITIES)
            self._findings.add(mistakes.unknown_quantity(node.quantity, near))
        block = FILE_LEVEL if node.block is None else self._block(quantity, node.block)
        scope = scopes.window(self._findings, node.per)
        if scope is not None and scope.key in ("lane", "route"):
            key = node.per[0]
            if quantity == "count" and scope.key == "route":
                self._findings.add(rule_mistakes.count_per_route(key))
            else:
                self._known(BUILTINS[scope.key], key.span, None)
        if quantity not in METER_QUANTITIES or block is None or scope is None:
            return None
        meter = Meter(quantity, block, scope)
        return Read(str(meter), METER_QUANTITIES[quantity], meter=meter)

    def _block(self, quantity: str, name: s.Name) -> BlockId | None:
        kind = self._names.refer(name, *_METERED)
        if kind is None:
            return None
        if kind == "route" and quantity == "count" and self._names.route_kind(name.text) in ("model", "tool"):
            declared = self._names.block("route", name.text)
            if declared is not None:
                self._findings.add(mistakes.count_of_route(name, declared.name.span))
            return None
        return BlockId(kind, name.text)
