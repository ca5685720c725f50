"""Pieces of generated code, as `ast` trees.

A template is a constant of this package, parsed once; its holes (names written in capitals)
are filled with nodes. Policy text never becomes code: names are the compiler's own, numbers
and words are `ast.Constant`s, everything else is an object bound to a name in the namespace.
"""

import ast
from collections.abc import Iterable
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any


@lru_cache(maxsize=256)
def _parsed(template: str) -> ast.Module:
    return ast.parse(template)


def statements(template: str, **holes: ast.expr) -> list[ast.stmt]:
    """The statements of a template, its holes filled."""
    return [_copy(node, holes) for node in _parsed(template).body]


def expression(template: str, **holes: ast.expr) -> ast.expr:
    """The expression of a template, its holes filled."""
    (node,) = _parsed(template).body
    assert isinstance(node, ast.Expr)  # noqa: S101 - a template is written in this package
    filled = _copy(node.value, holes)
    assert isinstance(filled, ast.expr)  # noqa: S101 - as above
    return filled


def _copy(node: Any, holes: dict[str, ast.expr]) -> Any:
    """A deep copy of a tree, its holes filled; `copy.deepcopy` is several times slower."""
    kind = node.__class__
    if kind is ast.Name:
        filled = holes.get(node.id)
        return ast.Name(node.id, node.ctx) if filled is None else filled
    if kind is list:
        return [_copy(item, holes) for item in node]
    if isinstance(node, ast.AST) and kind._fields:
        return kind(*[_copy(getattr(node, field, None), holes) for field in kind._fields])
    return node


def name(text: str) -> ast.Name:
    return ast.Name(text, ast.Load())


def constant(value: int | float | str | bool | None) -> ast.Constant:
    return ast.Constant(value)


def either(parts: Iterable[ast.expr]) -> ast.expr:
    """`a or b or …`; False for none."""
    listed = list(parts)
    if not listed:
        return constant(False)
    return listed[0] if len(listed) == 1 else ast.BoolOp(ast.Or(), listed)


def both(parts: Iterable[ast.expr]) -> ast.expr:
    """`a and b and …`; True for none."""
    listed = list(parts)
    if not listed:
        return constant(True)
    return listed[0] if len(listed) == 1 else ast.BoolOp(ast.And(), listed)


def row(items: Iterable[ast.expr]) -> ast.Tuple:
    """A tuple display."""
    return ast.Tuple(list(items), ast.Load())


def branch(test: ast.expr, body: list[ast.stmt], orelse: list[ast.stmt] | None = None) -> ast.If:
    return ast.If(test, body, orelse or [])


def or_slow(body: list[ast.stmt], slow: list[ast.stmt]) -> list[ast.stmt]:
    """A body that hands over where a counter is missing (KeyError) or its store is silent (None has no fields).

    A `try` that is not left costs nothing, a test per counter does.
    """
    caught = row([name("KeyError"), name("AttributeError")])
    handler = ast.ExceptHandler(type=caught, name=None, body=slow)
    return [ast.Try(body=body, handlers=[handler], orelse=[], finalbody=[])]


def function(title: str, parameters: list[str], body: list[ast.stmt]) -> ast.FunctionDef:
    """`def title(parameters): body`."""
    arguments = ast.arguments(
        posonlyargs=[],
        args=[ast.arg(parameter) for parameter in parameters],
        kwonlyargs=[],
        kw_defaults=[],
        defaults=[],
    )
    return ast.FunctionDef(name=title, args=arguments, body=body, decorator_list=[])


def code(definition: ast.FunctionDef, label: str) -> CodeType:
    """The code object of one function."""
    module = ast.fix_missing_locations(ast.Module([definition], type_ignores=[]))
    whole = compile(module, f"<policy: {label}>", "exec")
    return next(each for each in whole.co_consts if isinstance(each, CodeType))


def load(definition: ast.FunctionDef, objects: dict[str, Any], label: str) -> FunctionType:
    """A function that reads what it names from these objects."""
    return FunctionType(code(definition, label), objects, definition.name)
