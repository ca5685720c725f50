"""The boundary's short way: a mapping of the common types → facts, by a function made for one policy and point.

It takes what needs no reading: names and texts as `str`, counts as `int`, booleans, numbers, money and
durations as `int` or `float`, counters as `Reading`s or numbers, grants as dicts. For anything else, wrong or only
unusual, it hands over to the function it was made with, which knows every form and every error; so this one
never has to say what is wrong. What it does answer is what that function would have answered.

The function is built as an `ast` tree from the fixed texts below. What a policy brings, its names and
limits, enters them as constants, so no policy text can become Python.
"""

import ast
import sys
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from math import ceil, floor, inf
from typing import Any, Final

from policy_engine.evaluation.entries import GRANT_KINDS, MAX_COUNT
from policy_engine.evaluation.facts import Facts, Grant, Reading
from policy_engine.language.checked import ATTEMPTS, SPENT, TOKENS, Fact, Meter
from policy_engine.language.units import MAX_MONEY_NANOS, MAX_SIGNIFICANT_DIGITS, NANOS
from policy_engine.language.vocabulary import Unit

Places = dict[str, ast.expr | list[ast.stmt] | str]
Reader = Callable[[Mapping[str, Any], bool], Any]
"""The facts of a point, of a mapping; the second argument says that counters that are left out are zero."""

EXACT: Final = 10**MAX_SIGNIFICANT_DIGITS
"""Below it, a float of n billionths or millionths prints as just that: decimals of 15 digits survive a float."""

_MICROS = 10**6
_MOST_MONEY = MAX_MONEY_NANOS // NANOS
_COMMON_COUNT, _COMMON_AMOUNT = ast.Constant(39), ast.Constant(62)
"""Bits of a common value. A shift tells what is larger or below zero apart, at half the price of comparing twice."""

_MONEY_METERS = ("spent", "overage")
_OF_EXECUTION = (("spent", SPENT), ("attempts", ATTEMPTS), ("tokens", TOKENS))


class Unusual(LookupError):
    """Thrown where a mapping is not for the short way."""


# ---------------------------------------------------------------- the texts of a reader
# Words in capitals are places: for a constant, a variable, an attribute or, alone on a line, more statements.

_READER = """
def read(data, assume_zero):
    try:
        if data.__class__ is not dict:
            raise Unusual
        absent = 0
        BODY
        return record
    except (LookupError, TypeError):
        pass
    return otherwise(data, assume_zero)
"""
_ALL_TAKEN = """
if len(data) != MOST - absent:
    RARE
"""
_NO_MORE = "raise Unusual"
_RARE = """
left = len(data) - MOST + absent - rarely(data, record)
if left:
    raise Unusual
"""

_OR_DEFAULT = """
if KEY in data:
    VALUE = data[KEY]
    if VALUE is None:
        VALUE = DEFAULT
    else:
        CHECK
else:
    absent += 1
    VALUE = DEFAULT
"""
_OR_LEFT_OUT = """
if KEY in data:
    VALUE = data[KEY]
    CHECK
else:
    absent += 1
    VALUE = DEFAULT
"""
_REQUIRED = """
VALUE = data[KEY]
CHECK
"""

# An entry that is given in one of two units; given in both, it is one more than can be taken.
_IN_SMALL_UNITS = """
if SMALL in data:
    VALUE = data[SMALL]
    if VALUE.__class__ is not int or VALUE >> COMMON:
        raise Unusual
else:
    ELSEWHERE
"""
_UNKNOWN_OR_IN_SMALL_UNITS = """
if SMALL in data:
    VALUE = data[SMALL]
    if VALUE is not None and (VALUE.__class__ is not int or VALUE >> COMMON):
        raise Unusual
else:
    ELSEWHERE
"""

_NAME = "VALUE = NAMES[VALUE]"
_TEXT = """
if VALUE.__class__ is not str:
    raise Unusual
"""
_FILLED = """
if VALUE.__class__ is not str or not VALUE:
    raise Unusual
"""
_BOOLEAN = """
if VALUE is not True and VALUE is not False:
    raise Unusual
"""
_COUNT = """
if VALUE.__class__ is not int or VALUE >> COMMON or VALUE < LEAST:
    raise Unusual
"""
_FROM_NOUGHT = """
if VALUE.__class__ is not int or VALUE >> COMMON:
    raise Unusual
"""
_WHOLE = """
if VALUE.__class__ is not int or not LOW <= VALUE <= HIGH:
    raise Unusual
"""
_NUMBER = """
if VALUE.__class__ is not float:
    if VALUE.__class__ is not int or not -EXACT < VALUE < EXACT:
        raise Unusual
    VALUE = float(VALUE)
if not LOW <= VALUE <= HIGH:
    raise Unusual
"""
_AMOUNT = """
if VALUE.__class__ is float and 0.0 <= VALUE <= LARGEST:
    whole = VALUE * FLOAT_SCALE + 0.5
    whole = whole.__trunc__()
    if whole / FLOAT_SCALE != VALUE:
        raise Unusual
    VALUE = whole
elif VALUE.__class__ is int and LEAST <= VALUE <= MOST:
    VALUE = VALUE * SCALE
else:
    raise Unusual
"""
_IN_RANGE = """
if not LOW <= VALUE <= HIGH:
    raise Unusual
"""

_METERS = """
if "meters" in data:
    meters = data["meters"]
    if meters.__class__ is dict and every.issuperset(meters):
        for value in meters.values():
            if value.__class__ is Reading:
                if (value.settled | value.reserved) < 0:
                    raise Unusual
            elif value is not None:
                meters = written(meters)
                break
        else:
            meters = meters.copy()
    else:
        meters = written(meters)
    if assume_zero:
        meters = fresh | meters
else:
    absent += 1
    meters = fresh.copy() if assume_zero else {}
"""
_RECORD = "TARGET = new(TYPE)"
_SET = "TARGET.FIELD = VALUE"


class Writer:
    """Writes one reader, entry by entry; the order of the calls is the order of the checks."""

    def __init__(self, record: type[Facts], otherwise: Reader) -> None:
        self._scope: dict[str, Any] = {"Unusual": Unusual, "otherwise": otherwise, "new": object.__new__}
        self._body: list[ast.stmt] = []
        self._record = record
        self._fields: dict[str, ast.expr] = {}
        self._most = 0

    # ------------------------------------------------------------ one entry each

    def name(self, entry: str, names: Iterable[str], *, required: bool = True) -> None:
        """One of these names; where it is not required, `None` if left out."""
        check = self._one_of(names, {} if required else {None: None})
        self._entry(entry, entry, _REQUIRED if required else _OR_LEFT_OUT, check, None)

    def text(self, entry: str) -> None:
        self._entry(entry, entry, _REQUIRED, self._quoted(_FILLED), None)

    def count(self, entry: str, least: int, default: int | None) -> None:
        check = self._quoted(_COUNT if least else _FROM_NOUGHT, COMMON=_COMMON_COUNT, LEAST=_constant(least))
        self._entry(entry, entry, _OR_DEFAULT if default is None else _OR_LEFT_OUT, check, default)

    def duration(self, entry: str) -> None:
        self._in_two_units(entry, "micros", _IN_SMALL_UNITS, _OR_LEFT_OUT, self._duration(), 0)

    def price(self) -> None:
        self._in_two_units("price", "nanos", _IN_SMALL_UNITS, _REQUIRED, self._money(0), None)

    def estimate(self) -> None:
        self._in_two_units("estimate", "nanos", _UNKNOWN_OR_IN_SMALL_UNITS, _OR_DEFAULT, self._money(0), None)

    def meters(self, known: Mapping[str, Meter]) -> None:
        """The counters, under their written form or the meter itself."""
        self._scope |= {
            "every": frozenset(known.values()),
            "fresh": {meter: Reading() for meter in known.values()},
            "written": _written(known),
            "Reading": Reading,
        }
        self._most += 1
        self._body += self._quoted(_METERS)
        self._fields["meters"] = ast.Name("meters", ast.Load())

    def read(self, entry: str, reading: Callable[[Any], Any], default: Any) -> None:
        """An entry that a function reads, if it is there."""
        check = self._quoted("VALUE = READ(VALUE)", READ=self._bound(reading))
        self._entry(entry, entry, _OR_LEFT_OUT, check, default)

    def unknown(self, field: str) -> None:
        """A field without an entry of its own here: not known."""
        self._fields[field] = _constant(None)

    def given(self, type_: type, facts: Iterable[tuple[str, Fact, Any]]) -> None:
        """The declared facts: the slot, the fact and what stands for it where it is not given, of each."""
        record = ast.Name("given", ast.Load())
        self._body += self._quoted(_RECORD, TARGET=record, TYPE=self._bound(type_))
        for slot, fact, default in facts:
            value = self._variable()
            if fact.unit is Unit.ENUM:
                self._read_into(value, fact.name, _OR_LEFT_OUT, self._one_of(fact.values, {None: default}), default)
            else:
                self._read_into(value, fact.name, _OR_DEFAULT, self._fact(fact), default)
            self._body += self._quoted(_SET, TARGET=record, FIELD=slot, VALUE=value)
        self._fields["given"] = record

    def together(self, text: str, **fields: str) -> None:
        """Statements about several entries; the places are fields that were read."""
        self._body += self._quoted(text, **{place: self._fields[field] for place, field in fields.items()})

    # ------------------------------------------------------------ the function

    def reader(self, *, rarely: Callable[[dict[str, Any], Any], int] | None = None) -> Reader:
        """The function. `rarely` takes entries off the record's hands that hardly anybody gives, and counts them."""
        record = ast.Name("record", ast.Load())
        self._body += self._quoted(_RECORD, TARGET=record, TYPE=self._bound(self._record))
        for field, value in self._fields.items():
            self._body += self._quoted(_SET, TARGET=record, FIELD=field, VALUE=value)
        if rarely is not None:
            self._scope["rarely"] = rarely
        most = _constant(self._most)
        rest = self._quoted(_RARE if rarely is not None else _NO_MORE, MOST=most)
        self._body += self._quoted(_ALL_TAKEN, MOST=most, RARE=rest)
        module = ast.Module(self._quoted(_READER, BODY=self._body), [])
        code = compile(ast.fix_missing_locations(module), "<boundary>", "exec")
        exec(code, self._scope)  # noqa: S102 - built from the texts above, constants bound
        made: Reader = self._scope["read"]
        return made

    # ------------------------------------------------------------ pieces

    def _entry(self, field: str, entry: str, text: str, check: list[ast.stmt], default: Any) -> None:
        self._fields[field] = self._variable()
        self._read_into(self._fields[field], entry, text, check, default)

    def _read_into(self, value: ast.expr, entry: str, text: str, check: list[ast.stmt], default: Any) -> None:
        self._most += 1
        self._body += self._filled(value, entry, text, check, default)

    def _filled(self, value: ast.expr, entry: str, text: str, check: list[ast.stmt], default: Any) -> list[ast.stmt]:
        return self._quoted(text, VALUE=value, KEY=_constant(entry), CHECK=check, DEFAULT=self._bound(default))

    def _in_two_units(self, entry: str, unit: str, text: str, large: str, check: list[ast.stmt], default: Any) -> None:
        """`price_nanos`, else `price` as `large` says."""
        small, value = f"{entry}_{unit}", self._variable()
        self._fields[small] = value
        self._most += 1
        elsewhere = self._filled(value, entry, large, check, default)
        self._body += self._quoted(
            text, VALUE=value, SMALL=_constant(small), COMMON=_COMMON_AMOUNT, ELSEWHERE=elsewhere
        )

    def _one_of(self, names: Iterable[str], more: Mapping[Any, Any]) -> list[ast.stmt]:
        return self._quoted(_NAME, NAMES=self._bound({**{name: name for name in names}, **more}))

    def _fact(self, fact: Fact) -> list[ast.stmt]:
        if fact.unit is Unit.BOOLEAN:
            return self._quoted(_BOOLEAN)
        if fact.unit is Unit.TEXT:
            return self._quoted(_TEXT)
        if fact.unit in (Unit.NUMBER, Unit.PERCENT):
            low, high = _as_float(fact.low, -sys.float_info.max), _as_float(fact.high, sys.float_info.max)
            if low is None or high is None:
                return self._quoted(_NO_MORE)
            return self._quoted(_NUMBER, EXACT=_constant(EXACT), LOW=_constant(low), HIGH=_constant(high))
        least = -inf if fact.low is None else ceil(fact.low)
        most = inf if fact.high is None else floor(fact.high)
        if fact.unit is Unit.INTEGER:
            return self._quoted(_WHOLE, LOW=_constant(least), HIGH=_constant(most))
        amount = self._money(-_MOST_MONEY) if fact.unit is Unit.MONEY else self._duration()
        return [*amount, *self._quoted(_IN_RANGE, LOW=_constant(least), HIGH=_constant(most))]

    def _duration(self) -> list[ast.stmt]:
        return self._amount(_MICROS, 0, inf)

    def _money(self, least: int) -> list[ast.stmt]:
        return self._amount(NANOS, least, _MOST_MONEY)

    def _amount(self, scale: int, least: float, most: float) -> list[ast.stmt]:
        largest, float_scale = float(EXACT // scale - 1), float(scale)  # floats compare and multiply with floats
        places = {"SCALE": scale, "FLOAT_SCALE": float_scale, "LARGEST": largest, "LEAST": least, "MOST": most}
        return self._quoted(_AMOUNT, **{place: _constant(value) for place, value in places.items()})

    def _variable(self) -> ast.expr:
        return ast.Name(f"value_{len(self._fields)}_{self._most}", ast.Load())

    def _bound(self, value: Any) -> ast.expr:
        if value is None or isinstance(value, int | float | str):
            return _constant(value)
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
        return [statement for part in found for statement in self._again(part)] if isinstance(found, list) else node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        found = self._places.get(node.id)
        if isinstance(found, ast.Name):
            return ast.Name(found.id, node.ctx)
        return found if isinstance(found, ast.Constant) else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        field = self._places.get(node.attr)
        if isinstance(field, str):
            node.attr = field
        return node

    def _again(self, part: ast.stmt) -> list[ast.stmt]:
        found = self.visit(part)
        return found if isinstance(found, list) else [found]


def _constant(value: Any) -> ast.expr:
    return ast.Constant(value)


def _as_float(bound: Fraction | None, without: float) -> float | None:
    """The bound as a float that prints as it does, so that comparing floats compares what is written."""
    if bound is None:
        return without
    return float(bound) if Fraction(repr(float(bound))) == bound else None


# ---------------------------------------------------------------- entries that a function reads


def counted(value: Any, scale: int) -> Reading:
    """A counter given as a number or as `settled` and `reserved`. `scale` is 0 for one that counts no money."""
    if value.__class__ is Reading:
        if (value.settled | value.reserved) < 0:
            raise Unusual
        return value  # its class was looked at
    if value.__class__ is dict:
        settled, reserved = value.get("settled", 0), value.get("reserved", 0)
        if len(value) != ("settled" in value) + ("reserved" in value):
            raise Unusual
        return _reading(_units(settled, scale), _units(reserved, scale))
    return _reading(_units(value, scale), 0)


def _written(known: Mapping[str, Meter]) -> Callable[[Any], dict[Meter, Reading | None]]:
    """Reads counters by their written form or the meter, with any value that is quickly read."""
    meters: dict[Any, Meter] = {**known, **{meter: meter for meter in known.values()}}

    def read(values: Any) -> dict[Meter, Reading | None]:
        if values is None:
            return {}
        if values.__class__ is not dict:
            raise Unusual
        found: dict[Meter, Reading | None] = {}
        for key, value in values.items():
            meter = meters[key]
            scale = NANOS if meter.quantity in _MONEY_METERS else 0
            found[meter] = None if value is None else counted(value, scale)
        return found

    return read


def money(value: Any) -> int:
    """Nano units of an amount in currency units, not below zero."""
    return _units(value, NANOS)


def count(value: Any) -> int:
    if value.__class__ is not int or not 0 <= value <= MAX_COUNT:
        raise Unusual
    return value  # its class was looked at


def _units(value: Any, scale: int) -> int:
    if value.__class__ is int and value >= 0:
        if not scale:
            return value  # its class was looked at
        if value <= _MOST_MONEY:
            return value * scale
    elif value.__class__ is float and scale and 0 <= value < EXACT // scale:
        whole = int(value * scale + 0.5)
        if whole / scale == value:
            return whole
    raise Unusual


_new = object.__new__
_set_settled, _set_reserved = (vars(Reading)[name].__set__ for name in ("settled", "reserved"))


def _reading(settled: int, reserved: int) -> Reading:
    """`Reading(settled, reserved)` in a quarter of the time: a frozen dataclass sets its fields the long way."""
    made = _new(Reading)
    _set_settled(made, settled)
    _set_reserved(made, reserved)
    return made


_GRANT_ENTRIES = frozenset({"id", "kind", "left", "price", "priority", "expires", "effective", "created"})
_KINDS = {kind: kind for kind in GRANT_KINDS}


def grants(moment: Callable[[Any], int]) -> Callable[[Any], tuple[Grant, ...]]:
    """Reads lists of grants; `moment` reads a time."""

    def grant(value: Any) -> Grant:
        if value.__class__ is not dict or not value.keys() <= _GRANT_ENTRIES:
            raise Unusual
        id_, priority, expires = value["id"], value.get("priority", 0), value.get("expires")
        if id_.__class__ is not str or not id_ or priority.__class__ is not int:
            raise Unusual
        return Grant(
            id=id_,
            kind=_KINDS[value.get("kind", "allowance")],
            left=count(value["left"]),
            price_nanos=money(value["price"]),
            priority=priority,
            expires_micros=None if expires is None else moment(expires),
            effective_micros=moment(value["effective"]) if "effective" in value else 0,
            created_micros=moment(value["created"]) if "created" in value else 0,
        )

    def read(values: Any) -> tuple[Grant, ...]:
        if values.__class__ is not list:
            raise Unusual
        try:
            return tuple(map(grant, values))
        except (ValueError, OverflowError):  # what a time may raise
            raise Unusual from None

    return read


def names(declared: Iterable[str]) -> Callable[[Any], tuple[str, ...]]:
    """Reads a list of declared names."""
    known = {name: name for name in declared}

    def read(values: Any) -> tuple[str, ...]:
        if values.__class__ is not list:
            raise Unusual
        return tuple([known[value] for value in values])

    return read


def counts(declared: Iterable[str]) -> Callable[[Any], dict[str, int]]:
    """Reads counts by declared names."""
    known = {name: name for name in declared}

    def read(values: Any) -> dict[str, int]:
        if values.__class__ is not dict:
            raise Unusual
        return {known[name]: count(value) for name, value in values.items()}

    return read


def escrow(data: dict[str, Any], record: Any) -> int:
    """Takes up what hardly anybody gives at an admission; how many entries that were."""
    if "escrow" not in data:
        return 0
    given = data["escrow"]
    record.escrow = None if given is None else counted(given, NANOS)
    return 1


def of_execution(data: dict[str, Any], record: Any) -> int:
    """As `escrow`, with the counters of one execution that stand by themselves."""
    taken, meters = escrow(data, record), record.meters
    for name, meter in _OF_EXECUTION:
        if name in data:
            taken += 1
            if data[name] is not None:
                meters[meter] = counted(data[name], NANOS if meter is SPENT else 0)
    if "reserved" in data:
        taken += 1
        if data["reserved"] is not None:
            held, spent = counted(data["reserved"], NANOS), meters.get(SPENT)
            if spent is None:
                raise Unusual
            meters[SPENT] = _reading(spent.settled, spent.reserved + held.settled)
    return taken
