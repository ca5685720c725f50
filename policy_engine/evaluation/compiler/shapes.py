"""One code object per shape: functions that differ in numbers, names and rules alone share their code.

What a function is bound to is one of three things, by what decides it. What is the same for all
functions of a decision point stands in the code itself, or in the dictionary that is their globals.
Everything else is a *slot*: a place in one of two rows that the function is called with. `more` holds
what the last of the names decides that functions are looked up by (a plan, a customer), `row` what
the others do (an outcome, a route): so a plan's numbers are there once, not once per outcome.

Who says wrongly what decides a value wastes sharing, no more: two functions share code if their trees
are equal but for the slots, and a row if all values in it are.
"""

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cachetools import FIFOCache

from policy_engine.evaluation.compiler.quoting import constant, function, load, name
from policy_engine.language.checked import Rule, reads

Names = tuple[str, ...]
Decider = Rule | Iterable[str] | None
"""What decides a value: a rule, some names, or (None) every name."""

Function = Any
Row = tuple[Any, ...]

ROW, MORE = "row", "more"


def decided_by(rule: Rule) -> set[str]:
    """The names that say whether a rule applies, by where it stands and what it reads."""
    stands_in = {rule.block.kind} - {"file"}
    read = {read.name for read in reads(rule.condition) if not read.is_fact}
    found = stands_in | read
    return found | {"outcome"} if "workflow" in found else found


@dataclass(slots=True)
class _Slot:
    value: Any
    by_last: bool


class Namespace:
    """What one function under construction is bound to. Its code sees names of the compiler's own."""

    def __init__(self, shapes: "Shapes") -> None:
        self._shapes = shapes
        self._names: dict[Any, str] = {}
        self.slots: dict[str, _Slot] = {}

    def everywhere(self, value: Any) -> ast.expr:
        """A reference to what is the same in all functions of the point."""
        return self._shapes.everywhere(value)

    def bind(self, value: Any, of: Decider = None) -> ast.expr:
        """A reference to a value. What none of the point's names decides is the same everywhere."""
        if value is None or value is True or value is False:
            return constant(value)
        return self.slot(value, of)

    def slot(self, value: Any, of: Decider = None, role: object = None) -> ast.expr:
        """As `bind`, for what may be None, true or false and is to make no other shape.

        Equal values have one slot, unless their `role` tells them apart: values that are equal by chance.
        """
        names = self._shapes.names
        deciders = names if of is None else decided_by(of) if isinstance(of, Rule) else of
        decisive = {self._shapes.implied.get(known, known) for known in deciders} & set(names)
        if not decisive:
            return self.everywhere(value)
        key = (id(of) if isinstance(of, Rule) else tuple(sorted(decisive)), role, _typed(value))
        if key not in self._names:
            slot = self._names[key] = f"s{len(self._names)}"
            self.slots[slot] = _Slot(value, names[-1] in decisive)
        return name(self._names[key])

    def call(self, helper: Callable[..., Any], *arguments: ast.expr) -> ast.expr:
        """A call of a function of this package, which code sees under its own name."""
        self._shapes.objects[helper.__name__] = helper
        return ast.Call(name(helper.__name__), list(arguments), [])

    def value(self, node: ast.expr) -> Any:
        """What a reference stands for. Raises `KeyError` where it is none."""
        assert isinstance(node, ast.Name)  # noqa: S101 - what `bind` gave
        return self.slots[node.id].value if node.id in self.slots else self._shapes.objects[node.id]

    def knows(self, node: ast.expr) -> bool:
        """Whether a node is a reference to a value that is there before any decision."""
        return isinstance(node, ast.Name) and (node.id in self.slots or node.id in self._shapes.objects)


def _typed(value: Any) -> Any:
    """A key under which only equal values of equal types meet; an object without a hash is itself alone."""
    if isinstance(value, tuple):
        return tuple(map(_typed, value))
    try:
        hash(value)
    except TypeError:
        return id(value)
    return (type(value), value)


@dataclass(frozen=True, slots=True)
class Made:
    """A function of a shape and the rows that make it the one of a combination."""

    call: Function
    row: Row
    more: Row


@dataclass(frozen=True, slots=True)
class Written:
    """A function as it was written: its statements, and what they are bound to."""

    body: list[ast.stmt]
    namespace: Namespace


class Shapes:
    """The functions of one decision point by their shape, so many of them; all see `objects`.

    `names` are those by which functions are looked up, `implied` leads from other names to the one of these
    that decides them; `parameters` is what a function takes besides its rows.
    """

    def __init__(
        self,
        title: str,
        names: Names,
        parameters: list[str],
        size: int,
        objects: dict[str, Any] | None = None,
        implied: Mapping[str, str] | None = None,
    ) -> None:
        self.title = title
        self.names = names
        self.implied = implied or {}
        self.objects: dict[str, Any] = dict(objects or {})
        self._parameters = parameters
        self._bound: dict[Any, str] = {}
        self._made: FIFOCache[Any, Function] = FIFOCache(size)

    def everywhere(self, value: Any) -> ast.expr:
        """A reference to what all functions share: words and numbers are written out, objects are globals."""
        if value is None or isinstance(value, int | float | str):
            return constant(value)
        key = _typed(value)
        if key not in self._bound:
            self._bound[key] = f"k{len(self._bound)}"
            self.objects[self._bound[key]] = value
        return name(self._bound[key])

    def made(self, written: Written, *, split: bool = True) -> Made:
        """The function, one that is there already if the shape is. Without `split` all is in `more`."""
        found = _Found.of(written, split)
        key = found.key()
        call = self._made.get(key)
        if call is None:
            parameters = [*self._parameters, *([ROW] if len(self.names) > 1 else []), MORE]
            whole = function(self.title, parameters, found.unpacked(written.body))
            call = self._made[key] = load(whole, self.objects, self.title)
        return Made(call, *found.rows())

    def rows(self, made: Made) -> tuple[Row, ...]:
        """What a function is called with besides its own parameters."""
        return (made.row, made.more) if len(self.names) > 1 else (made.more,)

    def inlined(self, written: Written, opening: list[ast.stmt], *, split: bool = True) -> Function:
        """The function behind what finds its rows: one call less. It takes no rows."""
        body = _Found.of(written, split).unpacked(written.body)
        return load(function(self.title, self._parameters, [*opening, *body]), self.objects, self.title)


@dataclass(slots=True)
class _Found:
    """The slots of a tree in the order of their first use, and all that is not a slot.

    A slot that is read on the way that every decision takes becomes a local, all at once; one that is read
    in a branch alone is taken from its row there.
    """

    slots: dict[str, _Slot]
    split: bool
    _rest: list[Any] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)
    _common: set[str] = field(default_factory=set)

    @staticmethod
    def of(written: Written, split: bool) -> "_Found":
        found = _Found(written.namespace.slots, split)
        found.read(written.body)
        return found

    def key(self) -> Any:
        """Equal for functions of one shape."""
        return (tuple(self._rest), tuple(self._in_row(slot) for slot in self._places))

    def read(self, nodes: list[Any], branching: bool = False) -> None:
        """Take note of statements, whether in a branch or on the common way."""
        for node in nodes:
            self._read(node, branching)

    def _read(self, node: Any, branching: bool) -> None:
        kind = node.__class__
        rest = self._rest
        if kind is ast.Name:
            if node.id in self.slots:
                rest.append(self._places.setdefault(node.id, len(self._places)))
                if not branching:
                    self._common.add(node.id)
            else:
                rest.append(node.id)
            return
        rest.append(kind)
        if kind is ast.Constant:
            value = node.value
            rest.append((value.__class__, value))
            return
        for known in kind._fields:
            value = getattr(node, known, None)
            if isinstance(value, ast.AST):
                if known != "ctx":
                    self._read(value, branching)
            elif value.__class__ is list:
                rest.append(len(value))
                self.read(value, branching or (kind is ast.If and known != "test") or known == "handlers")
            else:
                rest.append(value)

    # ------------------------------------------------------------ rows

    def _in_row(self, slot: str) -> bool:
        return self.split and not self.slots[slot].by_last

    def _of(self, in_row: bool) -> tuple[list[str], list[str]]:
        """The slots of one row: the common ones, and those of branches."""
        mine = [slot for slot in self._places if self._in_row(slot) is in_row]
        return [s for s in mine if s in self._common], [s for s in mine if s not in self._common]

    def rows(self) -> tuple[Row, Row]:
        return self._row(True), self._row(False)

    def _row(self, in_row: bool) -> Row:
        common, rare = ([self.slots[slot].value for slot in slots] for slots in self._of(in_row))
        return (*common, tuple(rare)) if common and rare else tuple(common or rare)

    def unpacked(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """The statements, slots read from the rows."""
        opening: list[ast.stmt] = []
        elsewhere: dict[str, tuple[str, int]] = {}
        for argument, in_row in ((ROW, True), (MORE, False)):
            common, rare = self._of(in_row)
            kept = f"{argument}_rest" if common else argument
            elsewhere |= {slot: (kept, number) for number, slot in enumerate(rare)}
            locals_ = [ast.Name(slot, ast.Store()) for slot in (*common, *([kept] if common and rare else []))]
            if locals_:
                opening.append(ast.Assign([ast.Tuple([*locals_], ast.Store())], name(argument)))
        return [*opening, *(_taken(node, elsewhere) for node in body)]


def _taken(node: Any, elsewhere: dict[str, tuple[str, int]]) -> Any:
    """A copy of a tree, the slots of branches taken from their row."""
    if node.__class__ is ast.Name:
        if node.id in elsewhere:
            kept, number = elsewhere[node.id]
            return ast.Subscript(name(kept), constant(number), ast.Load())
        return ast.Name(node.id, node.ctx)
    if node.__class__ is list:
        return [_taken(item, elsewhere) for item in node]
    if isinstance(node, ast.AST) and node._fields:
        return type(node)(*[_taken(getattr(node, known, None), elsewhere) for known in node._fields])
    return node
