"""The compiler's rooms: templates, what is folded away, the index, the caches."""

import ast
import threading
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest

from policy_engine.evaluation.compiler import CompiledEvaluator, cache
from policy_engine.evaluation.compiler.cache import Functions
from policy_engine.evaluation.compiler.conditions import NotCompiled, Reader, identity
from policy_engine.evaluation.compiler.dispatch import followed, without_implied
from policy_engine.evaluation.compiler.index import FEW, SMALL, BlockIndex, RuleIndex, Who, anchor
from policy_engine.evaluation.compiler.quoting import (
    both,
    branch,
    constant,
    either,
    expression,
    name,
    row,
    statements,
)
from policy_engine.evaluation.compiler.shapes import Made, Namespace, Shapes, Written
from policy_engine.evaluation.facts import AdmitFacts, AttemptFacts, Reading, given_type
from policy_engine.evaluation.guard import BoundTo
from policy_engine.evaluation.meters import every_meter
from policy_engine.evaluation.reference import ReferenceEvaluator
from policy_engine.evaluation.terms import fold
from policy_engine.language.checked import AllOf, AnyOf, CheckedPolicy, Inverse, Member, Read, Test, Truth
from policy_engine.language.source import Source, Span
from policy_engine.language.vocabulary import Unit
from policy_engine.policy import Policy
from policy_engine.policy import load as load_policy
from tests.evaluation.differential import DIGESTS, VARIANTS, Counting, Pair, compiling

SPAN = Span(Source("x", ""), 0, 0)


def _is(known: str, *values: str) -> Member:
    return Member(Read(known, Unit.ENUM), values, SPAN)


URGENT = Truth(Read("urgent", Unit.BOOLEAN, is_fact=True), SPAN)
ACME = _is("customer", "acme")

# ---------------------------------------------------------------- templates


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (expression("U + A > L", U=name("u0"), A=constant(3), L=constant(5)), "u0 + 3 > 5"),
        (expression("V in X", V=name("b0"), X=row([constant("a'b"), constant("c")])), 'b0 in ("a\'b", "c")'),
        (either([]), "False"),
        (either([name("a")]), "a"),
        (either([name("a"), name("b")]), "a or b"),
        (both([]), "True"),
        (both([name("a")]), "a"),
        (both([either([name("a"), name("b")]), name("c")]), "(a or b) and c"),
        (row([]), "()"),
        (row([name("a")]), "(a,)"),
    ],
)
def test_templates_become_trees(made: ast.expr, text: str) -> None:
    assert ast.dump(made) == ast.dump(ast.parse(text, mode="eval").body)


def test_a_template_is_filled_anew_each_time() -> None:
    first, second = (expression("X + Y", X=name(known)) for known in ("a", "b"))
    assert (ast.unparse(first), ast.unparse(second)) == ("a + Y", "b + Y")


def test_statements_and_branches() -> None:
    body = [branch(name("a"), statements("return X", X=constant(1)), statements("return 2")), *statements("x = 3")]
    assert ast.unparse(ast.Module(body[:1], [])) == "if a:\n    return 1\nelse:\n    return 2"


# ---------------------------------------------------------------- shapes


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


# ---------------------------------------------------------------- fold


@pytest.mark.parametrize(
    ("test", "left"),
    [
        (ACME, True),
        (_is("customer", "bolt"), False),
        (_is("plan", "base"), False),  # a customer without a plan is in no list
        (Inverse(_is("plan", "base")), True),
        (_is("lane", "standard"), _is("lane", "standard")),  # not settled yet
        (URGENT, URGENT),
        (Inverse(URGENT), Inverse(URGENT)),
        (AllOf((ACME, URGENT)), URGENT),
        (AllOf((Inverse(ACME), URGENT)), False),
        (AllOf((ACME, Inverse(_is("plan", "base")))), True),
        (AnyOf((ACME, URGENT)), True),
        (AnyOf((_is("plan", "base"), URGENT)), URGENT),
        (AnyOf((_is("plan", "base"), _is("customer", "bolt"))), False),
        (AllOf((ACME, URGENT, _is("lane", "standard"))), AllOf((URGENT, _is("lane", "standard")))),
        (Member(Read("customer", Unit.ENUM, is_fact=True), ("acme",), SPAN),)
        * 2,  # a fact of that name is another thing
    ],
)
def test_what_is_fixed_is_folded_away(test: Test, left: Test | bool) -> None:
    assert fold(test, identity(Who("acme", None, "reply", "support"))) == left


def test_identity_leaves_out_what_is_not_settled() -> None:
    who = Who("acme", None, "reply", "support")
    known = {"customer": "acme", "plan": None, "workflow": "support", "outcome": "reply"}
    assert identity(who) == known
    running = Who("acme", None, "reply", "support", "standard", "mini")
    assert identity(running, "timeout") == known | {"lane": "standard", "route": "mini", "error": "timeout"}


def test_a_name_that_a_point_does_not_know_is_not_compiled() -> None:
    reader = Reader(
        namespace=Namespace(_shapes("plan")),
        numbers={},
        fields={},
        optional=frozenset(),
        give_up=list,
        give_up_early=list,
    )
    with pytest.raises(NotCompiled, match="estimate"):
        reader.value(Read("estimate", Unit.MONEY))


# ---------------------------------------------------------------- the index


@pytest.mark.parametrize(
    ("test", "anchored"),
    [
        (None, None),
        (ACME, ACME),
        (Inverse(ACME), None),
        (AnyOf((ACME, _is("plan", "base"))), None),
        (AllOf((URGENT, ACME)), ACME),
        (AllOf((URGENT, AllOf((URGENT, ACME)))), ACME),
        (_is("error", "timeout"), None),
        (Member(Read("plan", Unit.ENUM, is_fact=True), ("base",), SPAN), None),
    ],
)
def test_an_anchor_is_what_a_condition_cannot_do_without(test: Test | None, anchored: Member | None) -> None:
    assert anchor(test) == anchored


HOUSE = """
currency USD
fact urgent: boolean = false
route mini {{ model "a:mini" cost $0.10 {route} }}
route big {{ model "a:big" cost $0.20 }}
lane standard {{ mini -> big {lane} }}
lane premium {{ big -> mini }}
plan base {{ fee $10 per month includes 10 reply overage $2 per reply {plan} }}
plan growth {{ fee $20 per month includes 10 reply overage $2 per reply }}
{file}
workflow support {{
  {workflow}
  outcome reply {{ price $2 lanes premium, standard {outcome} }}
  outcome refund {{ price $2 lanes standard }}
}}
"""
BLOCKS = ("route", "lane", "plan", "file", "workflow", "outcome")


def _house(**rules: str) -> Policy:
    return load_policy(HOUSE.format(**dict.fromkeys(BLOCKS, "") | rules))


CUSTOMERS = [f"customer{number}" for number in range(SMALL)]
MANY = "\n".join(f'forbid when customer is "{known}"' for known in CUSTOMERS)
ANCHORED = """
allow when customer is "acme" as opens
forbid when customer is "bolt" as not_bolt
forbid when customer in ["acme", "bolt"] and urgent as not_urgent
forbid when plan is growth as not_growth
forbid unless customer is "acme" as acme_alone
shadow forbid when customer is "bolt" as would_forbid
ceiling $1 per day when lane is premium as in_premium
ceiling $1 per attempt when route is big as on_big
ceiling $1 per outcome as always
"""


@pytest.mark.parametrize("block", ["file", "workflow", "outcome"])
@pytest.mark.parametrize(
    ("who", "missing"),
    [
        (("acme", "base", None, None), {"not_bolt", "not_growth"}),
        (("bolt", "base", None, None), {"not_growth"}),
        ((None, "growth", None, None), {"not_bolt", "not_urgent"}),
        (("acme", None, None, None), {"not_bolt", "not_growth"}),
        (("bolt", "growth", "standard", "mini"), {"in_premium", "on_big"}),
        (("bolt", "growth", "premium", "big"), set[str]()),
    ],
)
def test_a_large_block_is_narrowed_to_whom_it_can_concern(
    block: str, who: tuple[str | None, str | None, str | None, str | None], missing: set[str]
) -> None:
    checked = _house(**{block: MANY + ANCHORED}).checked
    customer, plan, lane, route = who
    asked = Who(customer, plan, "reply", "support", lane, route)
    narrowed = RuleIndex(checked).narrowed(asked, (lane,) if lane else checked.outcomes["reply"].lanes)
    left = {rule.ref.name for rule in narrowed.every_rule()}
    named = {line.rpartition(" as ")[2] for line in ANCHORED.strip().splitlines()}
    assert left == named - missing  # and nothing that names another customer


def test_narrowed_rules_keep_their_order() -> None:
    text = "\n".join([*(f"fallback next on timeout when urgent as f{n}" for n in range(SMALL)), "fallback stop"])
    block = BlockIndex(_house(file=text).checked.rules)
    anchored = _house(file=text + '\nfallback big when customer is "acme" as last').checked.rules
    assert block.narrowed(Who("acme", None, "reply", "support")) is block._whole  # nothing in it is anchored
    found = BlockIndex(anchored).narrowed(Who("acme", None, "reply", "support")).fallbacks
    assert found == anchored.fallbacks


def test_a_small_block_is_looked_at_whole() -> None:
    rules = _house(file=ANCHORED).checked.rules
    assert BlockIndex(rules).narrowed(Who(None, None, "reply", "support")) is rules


@pytest.mark.parametrize(
    ("rule", "admission", "attempts", "failures"),
    [
        ('forbid when customer is "acme"', True, False, False),
        ('ceiling $1 per day when customer is "acme"', True, True, True),
        ('retry 1 when customer is "acme"', False, False, True),
        ('fallback next when customer is "acme"', False, False, True),
        ('forbid when customer not in ["acme"]', True, False, False),
        ("forbid when urgent", False, False, False),
    ],
)
def test_a_customer_matters_where_a_rule_names_it(rule: str, admission: bool, attempts: bool, failures: bool) -> None:
    found = RuleIndex(_house(file=rule).checked)
    sets = (found.customers_of_admission, found.customers_of_attempts, found.customers_of_failures)
    assert sets == tuple(frozenset({"acme"} if named else ()) for named in (admission, attempts, failures))


def test_a_thousand_rules_told_apart_by_customer_answer_as_the_reference() -> None:
    rules = "\n".join(
        f'ceiling ${1 + number} per outcome when customer is "customer{number}"' for number in range(1000)
    )
    pair = Pair(_house(file=rules).checked, VARIANTS[0])
    with compiling(VARIANTS[0]):
        for customer in ("customer0", "customer999", "nobody"):
            facts = _admission(pair.checked, customer)
            before = Counting.answered
            assert pair.found("admit", facts) == pair.expected("admit", facts)
            assert Counting.answered == before, customer


# ---------------------------------------------------------------- the caches


def _admission(policy: Any, customer: str = "acme", **more: Any) -> AdmitFacts:
    given = given_type(tuple(policy.facts))(**dict.fromkeys(policy.facts, False))
    return AdmitFacts(customer=customer, outcome="reply", plan=None, given=given, **more)


@pytest.fixture
def asked_in_vain() -> Iterator[list[str]]:
    """Which customers the fallback was asked about."""
    found: list[str] = []

    def admit(self: ReferenceEvaluator, facts: AdmitFacts) -> Any:
        found.append(facts.customer)
        return ReferenceEvaluator.admit(self, facts)

    with patch.object(Counting, "admit", admit):
        yield found


def _compiled(policy: Policy, size: int) -> CompiledEvaluator:
    return CompiledEvaluator(policy.checked, DIGESTS, Counting, cache_size=size)


def _named(count: int) -> tuple[Policy, list[str]]:
    names = [f"c{number}" for number in range(count)]
    return _house(file="\n".join(f'forbid when customer is "{known}" and urgent' for known in names)), names


def test_a_function_is_made_when_it_is_asked_for_again(asked_in_vain: list[str]) -> None:
    policy, _ = _named(1)
    evaluator = _compiled(policy, 8)
    decisions = [evaluator.admit(_admission(policy.checked, "c0")) for _ in range(cache.ASKED_AGAIN + 3)]
    assert asked_in_vain == ["c0"] * (cache.ASKED_AGAIN - 1)
    assert len(set(map(str, decisions))) == 1


def test_customers_whom_no_rule_names_share_a_function(asked_in_vain: list[str]) -> None:
    policy, _ = _named(1)
    evaluator = _compiled(policy, 8)
    for number in range(10):
        evaluator.admit(_admission(policy.checked, f"stranger{number}"))
    assert len(asked_in_vain) == cache.ASKED_AGAIN - 1


def test_a_full_cache_makes_room_only_for_what_is_asked_often(asked_in_vain: list[str]) -> None:
    policy, names = _named(3)
    evaluator = _compiled(policy, 2)
    for known in names[:2]:
        for _ in range(cache.ASKED_AGAIN):
            evaluator.admit(_admission(policy.checked, known))
    asked_in_vain.clear()
    for _ in range(cache.ASKED_OFTEN - 1):
        evaluator.admit(_admission(policy.checked, "c2"))
    assert len(asked_in_vain) == cache.ASKED_OFTEN - 1
    assert evaluator.admit(_admission(policy.checked, "c0")).permits
    assert "c0" not in asked_in_vain  # still there
    evaluator.admit(_admission(policy.checked, "c2"))  # now often enough: the oldest goes
    asked_in_vain.clear()
    for known in ("c1", "c2", "c0"):
        evaluator.admit(_admission(policy.checked, known))
    assert asked_in_vain == ["c0"]


def _looked_up(functions: Functions, names: int, several: bool = True) -> dict[Any, Any]:
    """Everything that is there to be looked up, by its names, with its rows."""
    found: dict[Any, Any] = {(): functions.ready if several else functions.alone}
    for number in range(names):
        found = {(*key, known): below for key, level in found.items() for known, below in level.items()}
        if number == names - 2:
            rows = {key: row for key, (row, _) in found.items()}
            found = {key: level for key, (_, level) in found.items()}
    entries = {key: entry if several else (print, entry) for key, entry in found.items()}
    return {key: (call, rows[key[:-1]] if names > 1 else (), more) for key, (call, more) in entries.items()}


@pytest.mark.parametrize("names", [1, 2, 3, 4])
def test_the_cache_and_what_decisions_look_up_are_the_same(names: int) -> None:
    functions = Functions(3)
    keys = [tuple("ab"[number >> place & 1] for place in range(names)) for number in range(2**names)]
    several = False
    for key in [*keys, *keys[:1]]:
        row = (key[:-1],) if names > 1 else ()
        assert functions.takes(key, Made(print, row, (key,)))
        functions.keep(key, Made(print, row, (key,)))
        expected = {known: (print, (known[:-1],) * (names > 1), (known,)) for known in functions}
        assert _looked_up(functions, names, several) == expected
        if key == keys[1]:
            functions.tell_apart()
            several = True
            assert _looked_up(functions, names) == expected
        assert not (functions.alone if several else functions.ready)
    assert len(functions) == min(3, len(keys))


def test_what_has_no_function_is_remembered_and_not_looked_up() -> None:
    functions = Functions(2)
    for number in range(4):
        functions.keep((str(number), "x"), None if number % 2 else Made(print, (number,), ()))
    assert dict(functions) == {("2", "x"): (print, ()), ("3", "x"): None}
    functions.tell_apart()
    assert _looked_up(functions, 2) == {("2", "x"): (print, (2,), ())}


def test_a_row_is_one_for_all_that_share_the_names_before_the_last() -> None:
    functions = Functions(4)
    functions.keep(("a", "x"), Made(print, (1,), ()))
    assert functions.takes(("a", "y"), Made(print, (1,), ()))
    assert not functions.takes(("a", "y"), Made(print, (2,), ()))
    assert functions.takes(("b", "y"), Made(print, (2,), ()))


def test_equal_entries_are_one_object() -> None:
    functions = Functions(4)
    for key, value in {("a", "x"): 1, ("b", "x"): 1, ("c", "x"): 1.0, ("d", "x"): True}.items():
        functions.keep(key, Made(print, (), (value,)))
    one, same, decimal, truth = (entry for entry in functions.values() if entry is not None)
    assert one is same
    assert [(type(more[0]), more[0]) for _, more in (one, decimal, truth)] == [(int, 1), (float, 1.0), (bool, True)]


def test_requests_for_what_is_not_there_are_counted_within_bounds() -> None:
    functions = Functions(1)
    functions.keep(("kept",), None)
    for number in range(100):
        assert not functions.is_worth_making((str(number),))
        assert len(functions._asked) <= 16
    with patch.object(cache, "ASKED_OFTEN", 2):
        assert functions.is_worth_making(("99",))  # it was asked for once before


def test_what_is_not_compiled_is_kept_as_the_fallback(asked_in_vain: list[str]) -> None:
    policy = _house(file="shadow forbid when urgent")
    evaluator = _compiled(policy, 8)
    for _ in range(5):
        assert evaluator.admit(_admission(policy.checked)).shadow
    assert len(asked_in_vain) == 5
    assert len(evaluator._admit.functions) == 1


def test_eight_threads_share_a_cache_that_is_too_small() -> None:
    policy, names = _named(40)
    evaluator = _compiled(policy, 4)
    expected = str(ReferenceEvaluator(policy.checked, DIGESTS).admit(_admission(policy.checked)))
    wrong: list[str] = []

    def ask(first: int) -> None:
        try:
            for number in range(600):
                said = str(evaluator.admit(_admission(policy.checked, names[(first + number // 3) % len(names)])))
                wrong.extend([said] if said != expected else [])
        except Exception as error:
            wrong.append(repr(error))

    with patch.object(cache, "ASKED_OFTEN", 2):
        threads = [threading.Thread(target=ask, args=(5 * number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    kept = evaluator._admit.functions
    assert len(_looked_up(kept, len(evaluator._admit.shapes.names), bool(kept.ready))) == len(kept) <= 4


def test_a_decision_is_looked_up_without_a_lock() -> None:
    """A function that is there is found and asked while somebody else holds the lock."""
    policy, _ = _named(1)
    with compiling(VARIANTS[0]):
        evaluator = _compiled(policy, 8)
        first = evaluator.admit(_admission(policy.checked, "c0"))
        with evaluator._lock, evaluator._admit._lock:
            assert evaluator.admit(_admission(policy.checked, "c0")) == first


@pytest.mark.parametrize(
    ("rule", "any_customer"),
    [
        ('forbid when customer is "acme"', True),
        ('forbid when customer is "acme" or urgent', True),
        ('forbid when customer is "acme" and urgent', False),  # nobody else need say whether it is urgent
        ('forbid when customer is not "acme" or urgent', False),
        ("\n".join(f'forbid when customer is "c{n}"' for n in range(FEW)), True),
        ("\n".join(f'forbid when customer is "c{n}"' for n in range(FEW + 1)), False),
    ],
)
def test_few_named_customers_are_told_apart_by_the_function(rule: str, any_customer: bool) -> None:
    policy = _house(file=rule)
    pair = Pair(policy.checked, VARIANTS[1])
    assert RuleIndex(policy.checked).admits_any_customer is any_customer
    with compiling(VARIANTS[1]):
        for customer in ("acme", "c0", "nobody"):
            facts = _admission(policy.checked, customer)
            before = Counting.answered
            assert pair.found("admit", facts) == pair.expected("admit", facts)
            assert Counting.answered == before
    assert len(pair.compiled._admit.functions) == (1 if any_customer else 2)


# ---------------------------------------------------------------- combinations that share code

PLANS = """
currency USD
{routes}
lane all {{ {path} }}
{plans}
workflow w {{ outcome o {{ price $2 lanes all }} }}
"""


def _plans(count: int) -> Policy:
    """So many plans and routes, each with a ceiling of its own."""
    routes = [f'route r{n} {{ model "a:{n}" cost $0.{n + 1} ceiling $0.{n + 3} per attempt }}' for n in range(count)]
    plans = [f"plan p{n} {{ ceiling ${n + 1} per customer per day }}" for n in range(count)]
    path = " -> ".join(f"r{n}" for n in range(count))
    return load_policy(PLANS.format(routes="\n".join(routes), plans="\n".join(plans), path=path))


def _attempts(policy: Policy, used: int) -> list[AttemptFacts]:
    """An attempt per plan and route."""
    return [
        AttemptFacts(
            customer="acme",
            outcome="o",
            plan=plan,
            given=given_type(())(),
            meters={meter: Reading(used) for meter in every_meter(policy.checked)},
            lane="all",
            route=route,
            step="draft",
            price_nanos=2 * 10**9,
            input_tokens=10,
            max_output_tokens=10,
        )
        for plan in policy.checked.plans
        for route in policy.checked.routes
    ]


@pytest.mark.parametrize("shapes", [256, 1])
@pytest.mark.parametrize("used", [0, 1_500_000_000, 10**10])
def test_combinations_of_a_shape_share_a_code_object_and_give_their_own_numbers(shapes: int, used: int) -> None:
    policy = _plans(3)
    reference = ReferenceEvaluator(policy.checked, DIGESTS)
    evaluator = CompiledEvaluator(policy.checked, DIGESTS, Counting, shapes=shapes)
    with compiling(VARIANTS[0]):
        for facts in _attempts(policy, used) * 2:
            before = Counting.answered
            assert evaluator.attempt(facts) == reference.attempt(facts)
            assert Counting.answered == before
    functions = evaluator._attempt.functions
    assert len(functions) == 9
    entries = [entry for entry in functions.values() if entry is not None]
    assert len({call.__code__ for call, _ in entries}) == 1
    assert len({id(more) for _, more in entries}) == 3  # a plan's numbers are there once
    assert bool(functions.alone) is not bool(functions.ready)


def test_a_guard_of_a_shape_has_the_numbers_of_its_combination() -> None:
    policy = _plans(2)
    evaluator = CompiledEvaluator(policy.checked, DIGESTS, Counting)
    bound = [
        evaluator.guard(BoundTo(**{known: getattr(facts, known) for known in BoundTo.__slots__}))
        for facts in _attempts(policy, 0)
    ]
    codes = {guard.attempt.__code__ for guard in bound}  # type: ignore[attr-defined]  # functions
    assert len(codes) == 1


# ---------------------------------------------------------------- names that follow from others

HOMES = """
currency USD
route a {{ model "a:a" cost $0.10 }}
route b {{ model "a:b" cost $0.20 }}
route c {{ model "a:c" cost $0.30 }}
lane one {{ {one}  ceiling $0.15 per attempt }}
lane two {{ {two}  ceiling $0.25 per attempt }}
workflow w {{
  outcome o {{ price $2 lanes {o}  ceiling 2 attempts per outcome }}
  outcome p {{ price $3 lanes {p}  ceiling 3 attempts per outcome }}
}}
"""
EVERY = ("outcome", "lane", "route")


@pytest.mark.parametrize(
    ("paths", "kept", "implied"),
    [
        ({"one": "a", "two": "b -> c", "o": "one", "p": "two"}, ("route",), {"outcome": "route", "lane": "route"}),
        ({"one": "a -> b", "two": "b -> c", "o": "one", "p": "two"}, ("lane", "route"), {"outcome": "lane"}),
        ({"one": "a", "two": "b -> c", "o": "one, two", "p": "two"}, ("outcome", "route"), {"lane": "route"}),
        ({"one": "a -> b", "two": "b -> c", "o": "one, two", "p": "two"}, EVERY, {}),
    ],
)
def test_a_name_that_follows_from_another_is_not_looked_up(
    paths: dict[str, str], kept: tuple[str, ...], implied: dict[str, str]
) -> None:
    policy = load_policy(HOMES.format(**paths)).checked
    names, found = without_implied(policy, EVERY)
    assert (names, followed(found)) == (kept, implied)
    for facts in filter(lambda each: _is_there(policy, each), _homed(policy)):
        assert all(how[getattr(facts, by)] == getattr(facts, known) for known, (by, how) in found.items())


def _homed(policy: CheckedPolicy) -> list[AttemptFacts]:
    """An attempt for every outcome, lane and route, also where the three do not belong together."""
    return [
        AttemptFacts(
            customer="acme",
            outcome=outcome,
            plan=None,
            given=given_type(())(),
            meters={meter: Reading(2 if meter.quantity == "attempts" else 0) for meter in every_meter(policy)},
            lane=lane,
            route=route,
            step="draft",
            price_nanos=2 * 10**9,
            input_tokens=10,
            max_output_tokens=10,
        )
        for outcome in policy.outcomes
        for lane in policy.lanes
        for route in policy.routes
    ]


def _is_there(policy: CheckedPolicy, facts: AttemptFacts) -> bool:
    return facts.lane in policy.outcomes[facts.outcome].lanes and facts.route in policy.lanes[facts.lane].path


@pytest.mark.parametrize("shuffled", [1, -1])
def test_facts_whose_names_do_not_belong_together_are_answered_as_they_are(shuffled: int) -> None:
    policy = load_policy(HOMES.format(one="a", two="b -> c", o="one", p="two")).checked
    reference = ReferenceEvaluator(policy, DIGESTS)
    evaluator = CompiledEvaluator(policy, DIGESTS, Counting)
    with compiling(VARIANTS[0]):
        for facts in [*_homed(policy)[::shuffled], *_homed(policy)]:
            before = Counting.answered
            assert evaluator.attempt(facts) == reference.attempt(facts)
            assert (Counting.answered == before) is _is_there(policy, facts)
