"""What the compiler generates: code of its own names, that reads, answers and does nothing else."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from policy_engine.evaluation import compiler
from policy_engine.evaluation.compiler import quoting, settlement
from policy_engine.evaluation.meters import every_meter
from policy_engine.language.checked import CheckedPolicy
from policy_engine.policy import load
from tests.evaluation.differential import DEFAULT_SEED, VARIANTS, Pair, compiling, one_policy, point_of
from tests.evaluation.kept import from_plain

POLICY = """
currency USD
fact FLAG: boolean = false
fact SIZE: integer 0..9 = 1
fact OTHER: boolean = false
fact WORD: text = "__import__('os')"
error BROKEN
route ONE { model "a:b" rates $1 in, $2 out per 1M tokens  retry 2 on BROKEN, timeout backoff 1s..8s when FLAG }
route TWO { model "__import__('os').system('x')" cost $0.01  ceiling 2k tokens per attempt }
lane LOW { ONE -> TWO }
lane HIGH { TWO -> ONE  allow when not FLAG as LABEL1 }
plan SMALL { fee $10 per month  includes 10 DONE  overage $2 per DONE
  ceiling $9 per customer per day when OTHER alert at 50% as LABEL2 }
plan LARGE { fee $10 per month }
workflow FLOW {
  ceiling $1 per outcome when customer is "'); raise SystemExit; ('" or WORD is "\\" + x" as LABEL3
  limit 5 per day when WORD in ["x\\\\", "c'd", "e#f", "{g}", "import os"] as LABEL4
  forbid when SIZE > 3 and plan is LARGE
  shadow ceiling $0.01 per attempt unless OTHER
  outcome DONE { price $2  lanes HIGH, LOW
    retry 1
    ceiling 90s per outcome
    ceiling 60s per step when FLAG
    fallback TWO on BROKEN when OTHER or remaining < $0.50
    fallback next
  }
}
"""
NAMES = ["FLAG", "SIZE", "OTHER", "WORD", "BROKEN", "ONE", "TWO", "LOW", "HIGH", "SMALL", "LARGE", "FLOW", "DONE"]
NAMES += [f"LABEL{number}" for number in range(1, 5)]

MARKED = {each: f"zq_{each.lower()}" for each in NAMES}
"""Names that would be seen wherever they came through."""

CLASHING = {
    **dict(zip(NAMES, ["f", "slow", "given", "MISSING", "made", "meters", "exec", "draw", "passed"], strict=False)),
    **dict(zip(NAMES[9:], ["read", "max", "asked", "min", "k0", "lines", "fired", "visited"], strict=True)),
}
"""The names that the compiler itself gives."""


def _loaded(names: Mapping[str, str]) -> CheckedPolicy:
    """The policy, its things called so."""
    return load(re.sub(r"\b[A-Z]{2,}\d?\b", lambda word: names.get(word[0], word[0]), POLICY)).checked


def _asked(policy: CheckedPolicy, names: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Facts for every point, with the flags set both ways."""
    for flag in (False, True):
        given = {"FLAG": flag, "SIZE": 4 if flag else 1, "OTHER": flag, "WORD": "c'd"}
        execution = {
            "customer": "'); raise SystemExit; ('",
            "outcome": names["DONE"],
            "plan": names["SMALL"],
            "given": {names[fact]: value for fact, value in given.items()},
            "meters": {str(meter): [0, 0] for meter in every_meter(policy)},
            "escrow": None,
        }
        running: dict[str, Any] = {
            **execution,
            "lane": names["LOW"],
            "route": names["ONE"],
            "step": "s",
            "price_nanos": 10**9,
            "input_tokens": 5,
        }
        plain: list[tuple[str, dict[str, Any]]] = [("admit", {**execution, "lane": None, "grants": []})]
        for cap in (5, 10**9):  # the second is more than any ceiling has room for
            amounts = {"max_output_tokens": cap, "min_output_tokens": 0}
            plain += [(way, {**running, **amounts}) for way in ("attempt", "guard.attempt")]
            plain += [(way, {**running, "output_tokens": cap}) for way in ("progress", "guard.progress")]
        for error in (names["BROKEN"], "timeout", "over_ceiling"):
            plain.append(("failure", {**running, "error": error, "visited": [names["ONE"]]}))
        for way, each in plain:
            yield way, from_plain(policy, point_of(way), each)


class _Spy:
    """`compile`, and every tree that was given to it."""

    def __init__(self) -> None:
        self.trees: list[ast.Module] = []

    def __call__(self, tree: ast.Module, *more: Any) -> Any:
        self.trees.append(tree)
        return compile(tree, *more)


def _trees(names: Mapping[str, str]) -> list[ast.Module]:
    """What is generated for this policy, every decision compared with the reference's."""
    spy, checked = _Spy(), _loaded(names)
    with patch.object(quoting, "compile", spy, create=True), compiling(VARIANTS[0]):
        pair = Pair(checked, VARIANTS[0])
        for way, facts in _asked(checked, names):
            assert pair.found(way, facts) == pair.expected(way, facts), way
    assert len(spy.trees) >= 8
    return spy.trees


@pytest.fixture(scope="module")
def trees() -> list[ast.Module]:
    """Every tree that is compiled for the policy above, and for some generated ones."""
    spy = _Spy()
    with patch.object(quoting, "compile", spy, create=True):
        for seed in range(DEFAULT_SEED, DEFAULT_SEED + 20):
            assert one_policy(seed).difference is None
    return [*_trees(MARKED), *spy.trees]


def _identifiers(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.keyword):
        return [node.arg or ""]
    return [node.name, *(argument.arg for argument in node.args.args)] if isinstance(node, ast.FunctionDef) else []


def test_no_name_of_a_policy_is_a_name_in_its_code() -> None:
    found = {name for tree in _trees(MARKED) for node in ast.walk(tree) for name in _identifiers(node)}
    assert {name for name in found if "zq_" in name or not name.isidentifier()} == set()
    assert "asked" in found  # and it is these trees that were looked at


def test_the_texts_of_a_policy_are_constants() -> None:
    """Quotes, braces and calls that a policy writes stay texts: without its constants, the code has none of them."""
    for tree in _trees(MARKED):
        bare = ast.unparse(_Emptied().visit(tree))
        assert not any(sign in bare for sign in ("__import__", "raise", "SystemExit", "import os", "zq_"))


class _Emptied(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.copy_location(ast.Constant(0), node)


def test_a_policy_may_call_its_things_as_the_compiler_calls_its_own() -> None:
    _trees(CLASHING)


STATEMENTS = (ast.FunctionDef, ast.Assign, ast.AugAssign, ast.If, ast.Return, ast.Pass, ast.Expr, ast.Try)
"""No `with`, no loop, no `global`."""

BUILT_IN = {"min", "max", "len", "type", "KeyError"}
HANDED_IN = {"slow", "made", "SettleDecision"}
"""What answers for functions, the function that was found, and the record of `settle`, whose code is all policies'."""


def _writes_elsewhere(tree: ast.AST) -> list[str]:
    """What takes a lock, or writes anything but locals of its own."""
    kept = (ast.Global, ast.Nonlocal, ast.With, ast.AsyncWith, ast.Delete, ast.Import, ast.ImportFrom)
    return [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, kept)
        or (isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load))
        or (
            isinstance(node, ast.Attribute) and node.attr in ("acquire", "append", "update", "add", "pop", "setdefault")
        )
    ]


def test_generated_code_takes_no_lock_and_writes_its_locals_alone(trees: list[ast.Module]) -> None:
    for tree in trees:
        assert _writes_elsewhere(tree) == []
        assert {type(node) for node in ast.walk(tree) if isinstance(node, ast.stmt)} <= set(STATEMENTS)


def test_what_generated_code_calls_takes_no_lock_either(trees: list[ast.Module]) -> None:
    """Besides records, the fallback and what is built in, it calls plain functions of the compiler."""
    called = {node.func.id for tree in trees for node in ast.walk(tree) if _calls_by_name(node)}  # type: ignore[attr-defined]  # calls
    named = {name for name in called if not re.fullmatch(r"k\d+", name)} - BUILT_IN - HANDED_IN
    written = {
        node.name.lstrip("_"): node
        for path in Path(compiler.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    assert "drawn" in named
    for name in named:
        assert _writes_elsewhere(written[name]) == [], name


def _calls_by_name(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)


def test_settling_takes_no_lock_and_writes_its_locals_alone() -> None:
    """Its code is made once for all policies, so it is looked at by itself."""
    settled = ast.parse(settlement.SETTLE.replace("return", "x ="))
    assert _writes_elsewhere(settled) == []
    assert {node.func.id for node in ast.walk(settled) if _calls_by_name(node)} == {"SettleDecision"}  # type: ignore[attr-defined]  # calls


@pytest.mark.parametrize(
    "code", ["with lock: pass", "f.x = 1", "table[1] = 2", "lock.acquire()", "global x", "del x.y"]
)
def test_a_write_elsewhere_would_be_seen(code: str) -> None:
    assert _writes_elsewhere(ast.parse(code))
