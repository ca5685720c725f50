"""Functions that share code and rows, the caches that keep them, the names by which they are found."""

import threading
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest

from policy_engine.evaluation.compiler import CompiledEvaluator, cache
from policy_engine.evaluation.compiler.cache import Functions
from policy_engine.evaluation.compiler.dispatch import followed, without_implied
from policy_engine.evaluation.compiler.index import FEW, RuleIndex
from policy_engine.evaluation.compiler.shapes import Made
from policy_engine.evaluation.facts import AdmitFacts, AttemptFacts, Reading, given_type
from policy_engine.evaluation.guard import BoundTo
from policy_engine.evaluation.meters import every_meter
from policy_engine.evaluation.reference import ReferenceEvaluator
from policy_engine.language.checked import CheckedPolicy
from policy_engine.policy import Policy
from policy_engine.policy import load as load_policy
from tests.evaluation.differential import DIGESTS, VARIANTS, Counting, Pair, compiling
from tests.evaluation.houses import admission, house

# ---------------------------------------------------------------- the caches


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
    return house(file="\n".join(f'forbid when customer is "{known}" and urgent' for known in names)), names


def test_a_function_is_made_when_it_is_asked_for_again(asked_in_vain: list[str]) -> None:
    policy, _ = _named(1)
    evaluator = _compiled(policy, 8)
    decisions = [evaluator.admit(admission(policy.checked, "c0")) for _ in range(cache.ASKED_AGAIN + 3)]
    assert asked_in_vain == ["c0"] * (cache.ASKED_AGAIN - 1)
    assert len(set(map(str, decisions))) == 1


def test_customers_whom_no_rule_names_share_a_function(asked_in_vain: list[str]) -> None:
    policy, _ = _named(1)
    evaluator = _compiled(policy, 8)
    for number in range(10):
        evaluator.admit(admission(policy.checked, f"stranger{number}"))
    assert len(asked_in_vain) == cache.ASKED_AGAIN - 1


def test_a_full_cache_makes_room_only_for_what_is_asked_often(asked_in_vain: list[str]) -> None:
    policy, names = _named(3)
    evaluator = _compiled(policy, 2)
    for known in names[:2]:
        for _ in range(cache.ASKED_AGAIN):
            evaluator.admit(admission(policy.checked, known))
    asked_in_vain.clear()
    for _ in range(cache.ASKED_OFTEN - 1):
        evaluator.admit(admission(policy.checked, "c2"))
    assert len(asked_in_vain) == cache.ASKED_OFTEN - 1
    assert evaluator.admit(admission(policy.checked, "c0")).permits
    assert "c0" not in asked_in_vain  # still there
    evaluator.admit(admission(policy.checked, "c2"))  # now often enough: the oldest goes
    asked_in_vain.clear()
    for known in ("c1", "c2", "c0"):
        evaluator.admit(admission(policy.checked, known))
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
    policy = house(file="shadow forbid when urgent")
    evaluator = _compiled(policy, 8)
    for _ in range(5):
        assert evaluator.admit(admission(policy.checked)).shadow
    assert len(asked_in_vain) == 5
    assert len(evaluator._admit.functions) == 1


def test_eight_threads_share_a_cache_that_is_too_small() -> None:
    policy, names = _named(40)
    evaluator = _compiled(policy, 4)
    expected = str(ReferenceEvaluator(policy.checked, DIGESTS).admit(admission(policy.checked)))
    wrong: list[str] = []

    def ask(first: int) -> None:
        try:
            for number in range(600):
                said = str(evaluator.admit(admission(policy.checked, names[(first + number // 3) % len(names)])))
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
        first = evaluator.admit(admission(policy.checked, "c0"))
        with evaluator._lock, evaluator._admit._lock:
            assert evaluator.admit(admission(policy.checked, "c0")) == first


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
    policy = house(file=rule)
    pair = Pair(policy.checked, VARIANTS[1])
    assert RuleIndex(policy.checked).admits_any_customer is any_customer
    with compiling(VARIANTS[1]):
        for customer in ("acme", "c0", "nobody"):
            facts = admission(policy.checked, customer)
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
