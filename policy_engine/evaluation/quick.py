"""The boundary's short way: a mapping of the common types → facts, by a function made for one policy and point.

msgspec looks at the types and ranges, all at once and in C; what it made is put into units and into the
record by a generated function. This takes names and texts as `str`, counts as `int`, booleans, numbers, money and
durations as `int` or `float`, counters as `Reading`s or numbers, grants as dicts. For anything else, wrong or only
unusual, it hands over to the function it was made with, which knows every form and every error; so this one
never has to say what is wrong. What it does answer is what that function would have answered.

The function is built as an `ast` tree from the fixed texts below. What a policy brings, its names and
limits, enters them as constants, so no policy text can become Python.
"""

import ast
from collections.abc import Callable, Iterable, Mapping
from inspect import signature
from math import ceil, floor, inf
from typing import Annotated, Any

from msgspec import NODEFAULT, UNSET, Meta, ValidationError, convert

from policy_engine.evaluation.entries import MAX_COUNT
from policy_engine.evaluation.facts import Facts, Given, Reading
from policy_engine.evaluation.quick_entries import Unusual, spent_in_escrow, with_own, written
from policy_engine.evaluation.quick_types import COMMON, MICROS, duration, entries_type, money, one_of, type_of
from policy_engine.language.checked import Fact, Meter
from policy_engine.language.units import NANOS
from policy_engine.language.vocabulary import Unit

Places = dict[str, ast.expr | list[ast.stmt] | str]
Reader = Callable[[Mapping[str, Any], bool, bool], Any]
"""The facts of a point, of a mapping. The second argument says that counters that are left out are zero, the third
that the record is read once and not kept, so that it may share the mapping's counters.
"""


# ---------------------------------------------------------------- the texts of a reader
# Words in capitals are places: for a constant, a variable, an attribute or, alone on a line, more statements.

_READER = """
def read(data, assume_zero, once):
    try:
        if data.__class__ is not dict:
            raise Unusual
        if LIKELY_RARE:
            entries, common = convert(data, Entries), False
        else:
            try:
                entries, common = convert(data, Common), True
            except ValidationError:
                entries, common = convert(data, Entries), False
        BODY
        return RECORD
    except (LookupError, TypeError, ValueError):
        pass
    return otherwise(data, assume_zero, once)
"""
_OR_DEFAULT = """
VALUE = entries.ENTRY
if VALUE is None:
    VALUE = DEFAULT
"""
# A text may be of a class of its own, such as a member of an enum, and have a hash of its own.
_TEXT = """
if VALUE.__class__ is not str:
    raise Unusual
"""
_CHECKED_OR_DEFAULT = """
VALUE = entries.ENTRY
if VALUE is None:
    VALUE = DEFAULT
else:
    CHECK
"""
_READ = """
VALUE = entries.ENTRY
VALUE = DEFAULT if VALUE is UNSET else READ(VALUE)
"""
_UNITS = """
if VALUE.__class__ is float:
    whole = VALUE * FLOAT_SCALE + 0.5
    whole = whole.__trunc__()
    if whole / FLOAT_SCALE != VALUE:
        raise Unusual
    VALUE = whole
else:
    VALUE = VALUE * SCALE
"""
_IN_RANGE = """
if not LOW <= VALUE <= HIGH:
    raise Unusual
"""

# An entry that is given in one of two units. Given in both, it is wrong.
_METERS = """
meters = entries.meters
if meters is None:
    meters = fresh.copy() if assume_zero else {}
else:
    if meters.__class__ is dict and every.issuperset(meters):
        for value in meters.values():
            if value.__class__ is Reading:
                if (value.settled | value.reserved) < 0:
                    raise Unusual
            elif value is not None:
                meters = written(meters)
                break
        else:
            if not once:
                meters = meters.copy()
    else:
        meters = written(meters)
    if assume_zero:
        meters = fresh | meters
"""

# Entries that most mappings do not have are not even looked for in the others.
_UNLESS_COMMON = """
if common:
    AS_GIVEN
else:
    LOOKED_AT
"""
_AS_GIVEN = "VALUE = entries.SMALL"
_NEEDED = """
if VALUE is UNSET:
    raise Unusual
"""
# Given in both units, an entry is wrong.
_IN_EITHER_UNIT = """
VALUE = entries.LARGE
if VALUE is UNSET:
    VALUE = entries.SMALL
elif KEY in data:
    raise Unusual
else:
    UNITS
"""
_UNLESS_UNKNOWN = """
if VALUE is not None:
    UNITS
"""
_OF_EXECUTION = "meters = with_own(entries, meters)"
_NO_ESCROW = "escrow = None"
_ESCROW = "escrow = spent_in_escrow(entries)"


_ENTRIES = ast.Name("entries", ast.Load())


class Writer:
    """Writes one reader, entry by entry. Each call says how an entry is looked at and which field it fills."""

    def __init__(self, record: type[Facts], otherwise: Reader) -> None:
        self._scope: dict[str, Any] = {"Unusual": Unusual, "UNSET": UNSET, "convert": convert}
        self._scope |= {"ValidationError": ValidationError, "otherwise": otherwise}
        self._body: list[ast.stmt] = []
        self._record = record
        self._fields: dict[str, ast.expr] = {}
        self._entries: dict[str, tuple[str, Any, Any]] = {}
        self._rare: dict[str, tuple[str, Any, Any]] = {}
        self._as_given: list[ast.stmt] = []
        self._looked_at: list[ast.stmt] = []

    # ------------------------------------------------------------ one entry each

    def name(self, entry: str, names: Iterable[str], *, required: bool = True) -> None:
        """One of these names; where it is not required, `None` if left out."""
        listed = one_of(names)
        self._fields[entry] = self._taken(entry, listed) if required else self._taken(entry, listed | None, None)

    def text(self, entry: str) -> None:
        value = self._fields[entry] = self._taken(entry, Annotated[str, Meta(min_length=1)])
        self._body += self._quoted(_TEXT, VALUE=value)

    def count(self, entry: str, least: int, default: int | None) -> None:
        counted: Any = Annotated[int, Meta(ge=least, le=MAX_COUNT)]
        self._fields[entry] = self._taken(entry, counted | None if default is None else counted, default)

    def duration(self, entry: str) -> None:
        self._in_two_units(entry, "micros", duration(), MICROS, 0)

    def price(self) -> None:
        self._in_two_units("price", "nanos", money(0), NANOS, UNSET)

    def estimate(self) -> None:
        self._in_two_units("estimate", "nanos", money(0), NANOS, None)

    def meters(self, known: Mapping[str, Meter], *, of_execution: bool) -> None:
        """The counters, under their written form or the meter itself; those of one execution by themselves, too."""
        self._scope |= {
            "every": frozenset(known.values()),
            "fresh": {meter: Reading() for meter in known.values()},
            "written": written(known),
            "Reading": Reading,
        }
        self._taken("meters", Any, None)
        self._body += self._quoted(_METERS)
        self._fields["meters"] = ast.Name("meters", ast.Load())
        own = ("spent", "reserved", "attempts", "tokens") if of_execution else ()
        self._rare |= {entry: (entry, Any, UNSET) for entry in (*own, "escrow")}
        self._scope |= {"with_own": with_own, "spent_in_escrow": spent_in_escrow}
        self._fields["escrow"] = ast.Name("escrow", ast.Load())
        self._as_given += self._quoted(_NO_ESCROW)
        self._looked_at += self._quoted(_OF_EXECUTION) if of_execution else []
        self._looked_at += self._quoted(_ESCROW)

    def read(self, entry: str, reading: Callable[[Any], Any], default: Any) -> None:
        """An entry that a function reads, if it is there."""
        self._taken(entry, Any, UNSET)
        value = self._fields[entry] = self._variable(entry)
        bound = {"DEFAULT": self._bound(default), "READ": self._bound(reading)}
        self._body += self._quoted(_READ, VALUE=value, ENTRY=entry, **bound)

    def given(self, type_: type[Given], facts: Iterable[tuple[Fact, Any]]) -> None:
        """The declared facts, each with what stands for it where it is not given."""
        values = [self._fact(f"fact_{number}", fact, default) for number, (fact, default) in enumerate(facts)]
        self._fields["given"] = ast.Call(self._bound(type_), values, [])

    def together(self, text: str, **fields: str) -> None:
        """Statements about several entries; the places are fields that were read."""
        self._body += self._quoted(text, **{place: self._fields[field] for place, field in fields.items()})

    # ------------------------------------------------------------ the function

    def reader(self) -> Reader:
        """The function."""
        parameters = signature(self._record).parameters.values()
        placed = [self._fields[each.name] for each in parameters if each.kind is not each.KEYWORD_ONLY]
        named = [
            ast.keyword(each.name, self._fields[each.name]) for each in parameters if each.kind is each.KEYWORD_ONLY
        ]
        record = ast.Call(self._bound(self._record), placed, named)
        self._scope |= {"Common": entries_type(self._entries), "Entries": entries_type(self._entries | self._rare)}
        looked_at = self._quoted(_UNLESS_COMMON, AS_GIVEN=self._as_given, LOOKED_AT=self._looked_at)
        body, likely_rare = [*self._body, *looked_at], self._likely_rare()
        module = ast.Module(self._quoted(_READER, BODY=body, RECORD=record, LIKELY_RARE=likely_rare), [])
        code = compile(ast.fix_missing_locations(module), "<boundary>", "exec")
        exec(code, self._scope)  # noqa: S102 - built from the texts above, constants bound
        made: Reader = self._scope["read"]
        return made

    # ------------------------------------------------------------ pieces

    def _likely_rare(self) -> ast.expr:
        """Whether a mapping says things the other way: who gives the price in small units mostly gives all so."""
        told: list[str] = [name for name in ("price", "spent") if name in self._rare] or list(self._rare)
        tests: list[ast.expr] = [
            ast.Compare(ast.Constant(name), [ast.In()], [ast.Name("data", ast.Load())]) for name in told
        ]
        return ast.BoolOp(ast.Or(), tests) if len(tests) > 1 else tests[0]

    def _taken(self, field: str, type_: Any, default: Any = NODEFAULT, *, entry: str | None = None) -> ast.expr:
        """An entry as msgspec has left it."""
        self._entries[field] = (entry or field, type_, default)
        return ast.Attribute(_ENTRIES, field, ast.Load())

    def _in_two_units(self, entry: str, unit: str, large: Any, scale: int, default: Any) -> None:
        """`price` or `price_nanos`; a default that is not set means that one of them is needed."""
        small = f"{entry}_{unit}"
        type_: Any = Annotated[int, Meta(ge=0, lt=COMMON)]
        value = self._fields[small] = self._variable(small)
        units = self._units(value, scale)
        if default is None:
            type_, large = type_ | None, large | None
            units = self._quoted(_UNLESS_UNKNOWN, VALUE=value, UNITS=units)
        self._entries[small] = (small, type_, NODEFAULT if default is UNSET else default)
        self._rare[entry] = (entry, large, UNSET)
        if default is UNSET:
            self._rare[small] = (small, type_, UNSET)
        needed = self._quoted(_NEEDED, VALUE=value) if default is UNSET else []
        key = ast.Constant(small)
        self._as_given += self._quoted(_AS_GIVEN, VALUE=value, SMALL=small)
        self._looked_at += self._quoted(_IN_EITHER_UNIT, VALUE=value, LARGE=entry, SMALL=small, KEY=key, UNITS=units)
        self._looked_at += needed

    def _fact(self, field: str, fact: Fact, default: Any) -> ast.expr:
        taken = self._taken(field, type_of(fact) | None, None, entry=fact.name)
        scale = {Unit.MONEY: NANOS, Unit.DURATION: MICROS}.get(fact.unit)
        value, check = self._variable(field), []
        if scale is not None:
            check = [*self._units(value, scale), *self._range(value, fact)]
        elif fact.unit is Unit.TEXT:
            check = self._quoted(_TEXT, VALUE=value)
        elif default is None:
            return taken
        text = _CHECKED_OR_DEFAULT if check else _OR_DEFAULT
        self._body += self._quoted(text, VALUE=value, ENTRY=field, DEFAULT=self._bound(default), CHECK=check)
        return value

    def _range(self, value: ast.expr, fact: Fact) -> list[ast.stmt]:
        """Amounts are compared in small units."""
        if fact.low is None and fact.high is None:
            return []
        low = -inf if fact.low is None else ceil(fact.low)
        high = inf if fact.high is None else floor(fact.high)
        return self._quoted(_IN_RANGE, VALUE=value, LOW=ast.Constant(low), HIGH=ast.Constant(high))

    def _units(self, value: ast.expr, scale: int) -> list[ast.stmt]:
        return self._quoted(_UNITS, VALUE=value, SCALE=ast.Constant(scale), FLOAT_SCALE=ast.Constant(float(scale)))

    def _variable(self, field: str) -> ast.expr:
        return ast.Name(f"the_{field}", ast.Load())

    def _bound(self, value: Any) -> ast.expr:
        if value is None or isinstance(value, int | float | str):
            return ast.Constant(value)
        name = f"bound_{len(self._scope)}"
        self._scope[name] = value
        return ast.Name(name, ast.Load())

    @staticmethod
    def _quoted(text: str, **places: ast.expr | list[ast.stmt] | str) -> list[ast.stmt]:
        tree = _Places(places).visit(ast.parse(text))
        statements: list[ast.stmt] = tree.body
        return statements


class _Places(ast.NodeTransformer):
    """Puts what belongs there into the places of a text. A text keeps the places it is not told about."""

    def __init__(self, places: Mapping[str, ast.expr | list[ast.stmt] | str]) -> None:
        self._places = places

    def visit_Expr(self, node: ast.Expr) -> ast.AST | list[ast.stmt]:
        found = self._places.get(node.value.id) if isinstance(node.value, ast.Name) else None
        return found if isinstance(found, list) else node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        found = self._places.get(node.id)
        if isinstance(found, ast.Name):
            return ast.Name(found.id, node.ctx)
        return found if isinstance(found, ast.expr) else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        field = self._places.get(node.attr)
        if isinstance(field, str):
            node.attr = field
        return node
