"""Pieces of generated code, as `ast` trees.

A template is a constant of this package, parsed once; its holes (names written in capitals)
are filled with nodes. Policy text never becomes code: names are the compiler's own, numbers
and words are `ast.Constant`s, everything else is an object bound to a name in the namespace.
"""

import ast
from collections.abc import Iterable
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=256)
def _parsed(template: str) -> ast.Module:
    return ast.parse(template)


class _Fill(ast.NodeTransformer):
    def __init__(self, holes: dict[str, ast.expr]) -> None:
        self._holes = holes

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._holes.get(node.id, ast.Name(node.id, node.ctx))


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
    return _Fill(holes).visit(_cloned(node))


def _cloned(node: Any) -> Any:
    """A deep copy of a tree; `copy.deepcopy` is several times slower."""
    if isinstance(node, ast.AST):
        return type(node)(**{name: _cloned(value) for name, value in ast.iter_fields(node)})
    return [_cloned(item) for item in node] if isinstance(node, list) else node


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


class Namespace:
    """The objects that generated code refers to, each under a name of the compiler's own."""

    def __init__(self, **known: Any) -> None:
        self.objects: dict[str, Any] = dict(known)
        self._names: dict[int, str] = {}
        self._kept: list[Any] = []

    def bind(self, value: Any) -> ast.expr:
        """A reference to an object; plain words and numbers are written out."""
        if value is None or isinstance(value, int | str | bool):
            return constant(value)
        key = id(value)
        if key not in self._names:
            self._names[key] = f"k{len(self._names)}"
            self._kept.append(value)  # so that no other object gets the same id
            self.objects[self._names[key]] = value
        return name(self._names[key])


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


def load(definition: ast.FunctionDef, namespace: Namespace, label: str) -> Any:
    """Compile one function and hand it over."""
    module = ast.fix_missing_locations(ast.Module([definition], type_ignores=[]))
    scope = dict(namespace.objects)
    exec(compile(module, f"<policy: {label}>", "exec"), scope)  # noqa: S102 - built from our own tree, constants bound
    return scope[definition.name]
