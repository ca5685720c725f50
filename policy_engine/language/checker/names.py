"""The one name space of a policy set: what is declared, as what, where, and what a name may be compared with."""

from fractions import Fraction

from msgspec import Struct

from policy_engine.language import syntax as s
from policy_engine.language.checked import Fact, Read
from policy_engine.language.checker.findings import Findings
from policy_engine.language.mistakes import names as mistakes
from policy_engine.language.source import Span
from policy_engine.language.vocabulary import (
    ANY,
    BUILTINS,
    CONSTANTS,
    ENTRIES,
    ERROR_CLASSES,
    METER_QUANTITIES,
    NUMERIC,
    Builtin,
    Unit,
)

_NEVER_DECLARED = frozenset(BUILTINS) | frozenset(CONSTANTS) | frozenset(METER_QUANTITIES) | {ANY}

_UNBOUNDED_BELOW = ("remaining",)
"""A larger actual than was reserved is booked in full, so what remains may fall below zero."""


class Declared(Struct, frozen=True):
    """One declaration: its kind, where its name stands, and its node."""

    kind: str
    name: s.Name
    node: s.FactDeclaration | s.ErrorDeclaration | s.Block


class Readable(Struct, frozen=True):
    """What a condition may read under a name. `values` are those of an enum.

    `open` is an enum whose name may have none of its values; `built_in` has the points where it is known.
    """

    read: Read
    values: tuple[str, ...] = ()
    ordered: bool = False
    low: Fraction | None = None
    high: Fraction | None = None
    declared: Span | None = None
    built_in: Builtin | None = None
    open: bool = False
    positions: dict[str, int] = {}


class Names:
    """Declarations by kind and by name. Looking one up reports what is wrong with the name."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._first: dict[str, Declared] = {}
        self._kinds: dict[str, dict[str, Declared]] = {}
        self._readable: dict[str, Readable | None] = {}
        self._value_of: dict[str, str] = {}
        self._clashing: set[str] = set()
        self._labels: dict[str, Span] = {}
        self._route_kinds: dict[str, str | None] = {}

    # ------------------------------------------------------------ declaring

    def declare(self, declared: Declared) -> None:
        """Enter a declaration; report one that is built in or already there."""
        name, kind = declared.name, declared.kind
        first = self._first.get(name.text)
        taken = name.text in _NEVER_DECLARED or (kind == "fact" and name.text in ENTRIES)
        if taken or (kind == "error" and name.text in ERROR_CLASSES):
            self._findings.add(mistakes.built_in(name, kind))
        elif name.text.startswith("__"):  # facts are attributes of records, where such names are Python's own
            self._findings.add(mistakes.kept_name(name, kind))
        elif first is None:
            self._first[name.text] = declared
        else:
            self._clashing.add(name.text)
            self._findings.add(mistakes.declared_twice(name, kind, first.name.span, first.kind))
        self._kinds.setdefault(kind, {}).setdefault(name.text, declared)

    def label(self, label: s.Name) -> None:
        """Enter the name of a rule (`as NAME`); report one that another rule has."""
        if label.text in self._labels:
            self._findings.add(mistakes.label_twice(label, self._labels[label.text]))
        self._labels.setdefault(label.text, label.span)

    def read_facts(self, facts: dict[str, Fact | None]) -> None:
        """Make the names that conditions read, once every declaration is entered and the facts are checked.

        A fact that is None has a mistake in its declaration: what reads it is not reported again.
        """
        for name, fact in facts.items():
            self._readable[name] = None if fact is None or name in self._clashing else _of_fact(fact)
        for readable in self._readable.values():
            if readable is not None:
                for value in readable.values:
                    self._value_of.setdefault(value, readable.read.name)
        for builtin in BUILTINS.values():
            self._readable[builtin.name] = self._of_builtin(builtin)

    def _of_builtin(self, builtin: Builtin) -> Readable:
        values: tuple[str, ...] = ()
        if builtin.unit is Unit.ENUM:
            values = self.error_classes if builtin.name == "error" else tuple(self._kinds.get(builtin.name, ()))
        numeric = builtin.unit in NUMERIC and builtin.name not in _UNBOUNDED_BELOW
        return Readable(
            read=Read(builtin.name, builtin.unit),
            values=values,
            low=Fraction(int(builtin.name == "attempt")) if numeric else None,
            built_in=builtin,
            open=builtin.name == "plan",
            positions=dict.fromkeys(values, 0),
        )

    # ------------------------------------------------------------ what there is

    @property
    def error_classes(self) -> tuple[str, ...]:
        """The built-in classes, then the declared ones by name."""
        return (*ERROR_CLASSES, *sorted(set(self._kinds.get("error", ())) - set(ERROR_CLASSES)))

    def of_kind(self, *kinds: str) -> list[str]:
        """The declared names of these kinds, sorted."""
        return sorted(name for kind in kinds for name in self._kinds.get(kind, ()))

    def block(self, kind: str, name: str) -> s.Block | None:
        """The block of a kind and name, if there is one."""
        declared = self._kinds.get(kind, {}).get(name)
        return declared.node if declared is not None and isinstance(declared.node, s.Block) else None

    def route_kind(self, name: str) -> str | None:
        """`model`, `tool` or `handoff`; None where the route does not say, or contradicts itself."""
        if name not in self._route_kinds:  # many lanes may name one route of many rules
            route = self.block("route", name)
            kinds = {_ROUTE_KINDS[type(item)] for item in route.items if type(item) in _ROUTE_KINDS} if route else set()
            self._route_kinds[name] = kinds.pop() if len(kinds) == 1 else None
        return self._route_kinds[name]

    # ------------------------------------------------------------ looking up

    def refer(self, name: s.Name, *kinds: str) -> str | None:
        """Which of these kinds of blocks the name is; reports a name that is none of them."""
        for kind in kinds:
            if name.text in self._kinds.get(kind, ()):
                return kind
        declared = self._first.get(name.text)
        there = self.of_kind(*kinds)
        if declared is not None:
            self._findings.add(mistakes.wrong_kind(name, kinds, declared.kind, declared.name.span, there))
        else:
            near = self._findings.near(name.text, there)
            self._findings.absent(mistakes.unknown_reference(name, kinds, near, there))
        return None

    def error_class(self, name: s.Name) -> bool:
        """Whether there is such an error class; reports it where there is not."""
        if name.text in ERROR_CLASSES or name.text in self._kinds.get("error", ()):
            return True
        near = self._findings.near(name.text, (*self.error_classes, ANY))
        self._findings.absent(mistakes.unknown_error_class(name, near, self.error_classes))
        return False

    def readable(self, name: s.Name) -> Readable | None:
        """What a condition reads under this name; None, reported, where that is nothing."""
        if name.text in self._readable:
            return self._readable[name.text]
        declared = self._first.get(name.text)
        if declared is not None:
            self._findings.add(mistakes.not_a_readable_name(name, declared.kind, declared.name.span))
        elif name.text in METER_QUANTITIES:
            self._findings.add(mistakes.meter_without_window(name))
        else:
            near = self._findings.near(name.text, self._readable)
            value_of = self._value_of.get(name.text)
            self._findings.absent(mistakes.unknown_name(name, near if value_of is None else None, value_of))
        return None

    def reads_values(self, name: str) -> Readable | None:
        """The readable under a name if it is an enum, a text or a boolean; reports nothing."""
        readable = self._readable.get(name)
        return readable if readable is not None and readable.read.unit not in NUMERIC else None

    def has_value(self, name: str, value: str) -> bool:
        """Whether `value` is one of the values of the enum `name`."""
        readable = self._readable.get(name)
        return readable is not None and value in readable.positions

    def declared_at(self, name: str) -> Span | None:
        """Where the fact of this name is declared; None for what is built in or a meter."""
        readable = self._readable.get(name)
        return readable.declared if readable is not None else None

    def is_known(self, name: str) -> bool:
        """Whether a condition may read something under this name."""
        return name in self._readable

    def is_spoilt(self, name: str) -> bool:
        """Whether the declaration of this name has a mistake, which is reported already."""
        return name in self._readable and self._readable[name] is None


_ROUTE_KINDS: dict[type, str] = {s.Model: "model", s.Tool: "tool", s.Handoff: "handoff"}


def _of_fact(fact: Fact) -> Readable:
    return Readable(
        read=Read(fact.name, fact.unit, is_fact=True),
        values=fact.values,
        ordered=fact.ordered,
        low=fact.low,
        high=fact.high,
        declared=fact.span,
        positions={value: place for place, value in enumerate(fact.values)},
    )
