"""The compiler's rooms: templates, what is folded away, the index, the caches."""

import ast
import threading
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest

from policy_engine.evaluation import compiler
from policy_engine.evaluation.compiler import CompiledEvaluator, _Functions
from policy_engine.evaluation.compiler.conditions import NotCompiled, Reader, identity
from policy_engine.evaluation.compiler.index import SMALL, BlockIndex, RuleIndex, Who, anchor
from policy_engine.evaluation.compiler.quoting import (
    Namespace,
    both,
    branch,
    constant,
    either,
    expression,
    function,
    load,
    name,
    row,
    statements,
)
from policy_engine.evaluation.facts import AdmitFacts, given_type
from policy_engine.evaluation.reference import ReferenceEvaluator
from policy_engine.evaluation.terms import fold
from policy_engine.language.checked import AllOf, AnyOf, Inverse, Member, Read, Test, Truth
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


def test_a_namespace_writes_words_and_numbers_and_names_everything_else() -> None:
    namespace = Namespace(slow=print)
    table = {"a": 1}
    assert [ast.unparse(namespace.bind(value)) for value in (None, True, 7, "x = 1")] == [
        "None",
        "True",
        "7",
        "'x = 1'",
    ]
    assert [ast.unparse(namespace.bind(value)) for value in (table, (1,), table)] == ["k0", "k1", "k0"]
    assert namespace.objects == {"slow": print, "k0": table, "k1": (1,)}


def test_a_loaded_function_sees_its_namespace_and_nothing_of_another() -> None:
    made = []
    for value in ((1,), (2,)):
        namespace = Namespace()
        made.append(load(function("f", ["x"], [ast.Return(row([namespace.bind(value), name("x")]))]), namespace, "one"))
    assert [each(0) for each in made] == [((1,), 0), ((2,), 0)]
    assert made[0].__code__.co_filename == "<policy: one>"


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
        namespace=Namespace(), numbers={}, fields={}, optional=frozenset(), give_up=list, give_up_early=list
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
    decisions = [evaluator.admit(_admission(policy.checked, "c0")) for _ in range(compiler.ASKED_AGAIN + 3)]
    assert asked_in_vain == ["c0"] * (compiler.ASKED_AGAIN - 1)
    assert len(set(map(str, decisions))) == 1


def test_customers_whom_no_rule_names_share_a_function(asked_in_vain: list[str]) -> None:
    policy, _ = _named(1)
    evaluator = _compiled(policy, 8)
    for number in range(10):
        evaluator.admit(_admission(policy.checked, f"stranger{number}"))
    assert len(asked_in_vain) == compiler.ASKED_AGAIN - 1


def test_a_full_cache_makes_room_only_for_what_is_asked_often(asked_in_vain: list[str]) -> None:
    policy, names = _named(3)
    evaluator = _compiled(policy, 2)
    for known in names[:2]:
        for _ in range(compiler.ASKED_AGAIN):
            evaluator.admit(_admission(policy.checked, known))
    asked_in_vain.clear()
    for _ in range(compiler.ASKED_OFTEN - 1):
        evaluator.admit(_admission(policy.checked, "c2"))
    assert len(asked_in_vain) == compiler.ASKED_OFTEN - 1
    assert evaluator.admit(_admission(policy.checked, "c0")).permits
    assert "c0" not in asked_in_vain  # still there
    evaluator.admit(_admission(policy.checked, "c2"))  # now often enough: the oldest goes
    asked_in_vain.clear()
    for known in ("c1", "c2", "c0"):
        evaluator.admit(_admission(policy.checked, known))
    assert asked_in_vain == ["c0"]


def test_the_cache_and_what_decisions_look_up_are_the_same() -> None:
    functions = _Functions(2)
    made = {(str(number),): (lambda facts, number=number: number) for number in range(5)}
    for key, each in made.items():
        functions[key] = each
        assert functions.ready == dict(functions.items())
    assert list(functions.ready) == [("3",), ("4",)]
    functions["3",] = made["0",]  # the same key again pushes nobody out
    assert functions.ready == {("3",): made["0",], ("4",): made["4",]}


def test_requests_for_what_is_not_there_are_counted_within_bounds() -> None:
    functions = _Functions(1)
    functions["kept",] = print
    for number in range(100):
        assert not functions.is_worth_making((str(number),))
        assert len(functions._asked) <= 16
    with patch.object(compiler, "ASKED_OFTEN", 2):
        assert functions.is_worth_making(("99",))  # it was asked for once before


def test_what_is_not_compiled_is_kept_as_the_fallback(asked_in_vain: list[str]) -> None:
    policy = _house(file="shadow forbid when urgent")
    evaluator = _compiled(policy, 8)
    for _ in range(5):
        assert evaluator.admit(_admission(policy.checked)).shadow
    assert len(asked_in_vain) == 5
    assert len(evaluator._admit) == 1


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

    with patch.object(compiler, "ASKED_OFTEN", 2):
        threads = [threading.Thread(target=ask, args=(5 * number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert len(evaluator._admit.ready) == len(evaluator._admit) <= 4


def test_a_decision_is_looked_up_without_a_lock() -> None:
    """A function that is there is found and asked while somebody else holds the lock."""
    policy, _ = _named(1)
    with compiling(VARIANTS[0]):
        evaluator = _compiled(policy, 8)
        first = evaluator.admit(_admission(policy.checked, "c0"))
        with evaluator._lock:
            assert evaluator.admit(_admission(policy.checked, "c0")) == first
