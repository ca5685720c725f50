"""Shapes: functions that differ in what they are bound to alone have one code object."""

import ast
from typing import Any

from policy_engine.evaluation.compiler.quoting import (
    name,
    row,
    statements,
)
from policy_engine.evaluation.compiler.shapes import Namespace, Shapes, Written


def _shapes(*names: str, size: int = 8) -> Shapes:
    return Shapes("f", names, ["x"], size)


def test_what_no_name_decides_is_the_same_everywhere() -> None:
    shapes = _shapes("plan", "route")
    table = ("a", 1)
    found = [Namespace(shapes).bind(value, ()) for value in (None, True, 7, "x = 1", table, ("a", 1), table)]
    assert [ast.unparse(each) for each in found] == ["None", "True", "7", "'x = 1'", "k0", "k0", "k0"]
    assert shapes.objects == {"k0": table}


def test_one_and_true_are_two_things() -> None:
    shapes = _shapes("plan", "route")
    bound = [ast.unparse(Namespace(shapes).bind((value,), ())) for value in (1, True, 1.0, 1)]
    assert bound == ["k0", "k1", "k2", "k0"]


def _written(shapes: Shapes, of_plan: Any, of_route: Any, rare: Any = 0) -> Written:
    """`x`, a number of the plan and one of the route; where `x` is None, another one of the plan."""
    namespace = Namespace(shapes)
    body = statements("if x is None:\n    return R", R=namespace.bind((rare,), ("plan",)))
    values = [namespace.bind(of_plan, ("plan",)), namespace.bind(of_route, ("route",))]
    return Written([*body, ast.Return(row([*values, name("x")]))], namespace)


def test_two_combinations_of_a_shape_share_their_code_and_answer_with_their_own_numbers() -> None:
    shapes = _shapes("plan", "route")
    one, two = (shapes.made(_written(shapes, *values)) for values in ((1, 2, 3), (4, 5, 6)))
    assert one.call is two.call
    assert (one.row, one.more, two.row, two.more) == ((1, ((3,),)), (2,), (4, ((6,),)), (5,))
    assert [made.call(0, made.row, made.more) for made in (one, two)] == [(1, 2, 0), (4, 5, 0)]
    assert [made.call(None, made.row, made.more) for made in (one, two)] == [(3,), (6,)]


def test_a_function_that_is_not_split_has_everything_in_one_row() -> None:
    shapes = _shapes("plan", "route")
    made = shapes.made(_written(shapes, 1, 2, 3), split=False)
    assert (made.row, made.more) == ((), (1, 2, ((3,),)))
    assert made.call(0, ("of another plan",), made.more) == (1, 2, 0)


def test_another_tree_is_another_shape() -> None:
    shapes = _shapes("plan", "route")
    bodies = ["return V", "return (V,)", "return V + 1", "return V + 2", "return V + True", "return V + 1.0"]
    made = []
    for body in bodies:
        namespace = Namespace(shapes)
        made.append(shapes.made(Written(statements(body, V=namespace.bind(9, ("plan",))), namespace)))
    assert len({each.call for each in made}) == len(bodies)
    assert [each.call(0, each.row, each.more) for each in made] == [9, (9,), 10, 11, 10, 10.0]


def test_shapes_are_kept_within_bounds() -> None:
    shapes = _shapes("plan", "route", size=1)
    one, other, again = (
        shapes.made(Written(statements(body), Namespace(shapes))).call for body in ("return 1", "return 2", "return 1")
    )
    assert (one(0, (), ()), other(0, (), ()), again(0, (), ())) == (1, 2, 1)
    assert one is not again
    assert one.__code__.co_filename == "<policy: f>"
