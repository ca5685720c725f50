"""The compiler's rooms: templates, what is folded away, the index."""

import ast

import pytest

from policy_engine.evaluation.compiler.conditions import NotCompiled, Reader, identity
from policy_engine.evaluation.compiler.index import SMALL, BlockIndex, RuleIndex, Who, anchor
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
from policy_engine.evaluation.compiler.shapes import Namespace, Shapes
from policy_engine.evaluation.terms import fold
from policy_engine.language.checked import AllOf, AnyOf, Inverse, Member, Read, Test, Truth
from policy_engine.language.source import Source, Span
from policy_engine.language.vocabulary import Unit
from tests.evaluation.differential import VARIANTS, Counting, Pair, compiling
from tests.evaluation.houses import admission, house

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
        namespace=Namespace(Shapes("f", ("plan",), ["x"], 8)),
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
    checked = house(**{block: MANY + ANCHORED}).checked
    customer, plan, lane, route = who
    asked = Who(customer, plan, "reply", "support", lane, route)
    narrowed = RuleIndex(checked).narrowed(asked, (lane,) if lane else checked.outcomes["reply"].lanes)
    left = {rule.ref.name for rule in narrowed.every_rule()}
    named = {line.rpartition(" as ")[2] for line in ANCHORED.strip().splitlines()}
    assert left == named - missing  # and nothing that names another customer


def test_narrowed_rules_keep_their_order() -> None:
    text = "\n".join([*(f"fallback next on timeout when urgent as f{n}" for n in range(SMALL)), "fallback stop"])
    block = BlockIndex(house(file=text).checked.rules)
    anchored = house(file=text + '\nfallback big when customer is "acme" as last').checked.rules
    assert block.narrowed(Who("acme", None, "reply", "support")) is block._whole  # nothing in it is anchored
    found = BlockIndex(anchored).narrowed(Who("acme", None, "reply", "support")).fallbacks
    assert found == anchored.fallbacks


def test_a_small_block_is_looked_at_whole() -> None:
    rules = house(file=ANCHORED).checked.rules
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
    found = RuleIndex(house(file=rule).checked)
    sets = (found.customers_of_admission, found.customers_of_attempts, found.customers_of_failures)
    assert sets == tuple(frozenset({"acme"} if named else ()) for named in (admission, attempts, failures))


def test_a_thousand_rules_told_apart_by_customer_answer_as_the_reference() -> None:
    rules = "\n".join(
        f'ceiling ${1 + number} per outcome when customer is "customer{number}"' for number in range(1000)
    )
    pair = Pair(house(file=rules).checked, VARIANTS[0])
    with compiling(VARIANTS[0]):
        for customer in ("customer0", "customer999", "nobody"):
            facts = admission(pair.checked, customer)
            before = Counting.answered
            assert pair.found("admit", facts) == pair.expected("admit", facts)
            assert Counting.answered == before, customer
