"""Formulas of any shape over a world so small that all of it is looked at: found exactly where something is there."""

from fractions import Fraction
from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from policy_engine.analysis.satisfy import Impossible, Satisfier, Want, Witness
from policy_engine.language.checked import AllOf, AnyOf, Inverse, Linear, Member, Read, Test, Truth, reads
from policy_engine.language.vocabulary import Unit
from policy_engine.policy import load
from tests.analysis.worlds import truth
from tests.generators import examples

POLICY = load(
    """
    currency USD
    fact risk: low < high
    fact region?: eu | us | apac
    fact urgent: boolean
    fact agreed?: boolean
    fact words: integer 0..3
    fact lines?: integer -1..2
    route mini { tool "mini" cost $0.01 }
    lane standard { mini }
    retry 1
    workflow support { outcome draft { price $2 lanes standard } }
    """
).checked
SPAN = POLICY.rules.retries[0].span
READS = {name: Read(name, fact.unit, is_fact=True) for name, fact in POLICY.facts.items()}
VALUES: dict[str, list[Any]] = {
    "risk": ["low", "high"],
    "region": ["eu", "us", "apac", None],
    "urgent": [True, False],
    "agreed": [True, False, None],
    "words": [0, 1, 2, 3],
    "lines": [-1, 0, 1, 2, None],
}
ASK = Satisfier(POLICY)

booleans = st.sampled_from(["urgent", "agreed"]).map(lambda name: Truth(READS[name], SPAN))
members = st.sampled_from(["risk", "region"]).flatmap(
    lambda name: st.lists(st.sampled_from(VALUES[name][:3]), min_size=1, max_size=2, unique=True).map(
        lambda values: Member(READS[name], tuple(value for value in values if value), SPAN)
    )
)
factors = st.integers(-2, 2).filter(bool).map(Fraction)
terms = st.one_of(
    st.tuples(st.tuples(factors, st.sampled_from([READS["words"], READS["lines"]]))),
    st.tuples(st.tuples(factors, st.just(READS["words"])), st.tuples(factors, st.just(READS["lines"]))),
)
sums = st.builds(
    lambda terms, op, bound: Linear(terms, op, Fraction(bound, 2), Unit.INTEGER, SPAN),
    terms,
    st.sampled_from(["<", "<=", ">", ">=", "is"]),
    st.integers(-6, 8),
)
formulas: st.SearchStrategy[Test] = st.recursive(
    st.one_of(booleans, members, sums),
    lambda part: st.one_of(
        st.lists(part, min_size=2, max_size=3).map(lambda parts: AllOf(tuple(parts))),
        st.lists(part, min_size=2, max_size=3).map(lambda parts: AnyOf(tuple(parts))),
        part.map(Inverse),
    ),
    max_leaves=8,
)
wishes = st.lists(st.tuples(formulas, st.sampled_from([True, False, None])), min_size=1, max_size=3)


def worlds(names: list[str], *, known: bool) -> list[dict[str, Any]]:
    values = [[value for value in VALUES[name] if value is not None or not known] for name in names]
    return [dict(zip(names, world, strict=True)) for world in product(*values)]


@given(wishes, st.booleans())
@examples(400)
def test_found_exactly_where_something_is_there(asked: list[tuple[Test, bool | None]], known: bool) -> None:
    names = sorted({read.name for test, _ in asked for read in reads(test)})
    there = [w for w in worlds(names, known=known) if all(truth(test, w) is wanted for test, wanted in asked)]
    answer = ASK.satisfy([Want(test, wanted) for test, wanted in asked], known=known)
    if there:
        assert isinstance(answer, Witness)
        assert {read.name: value for read, value in answer.values.items()} in there
    else:
        assert isinstance(answer, Impossible)


@given(formulas, formulas, st.booleans())
@examples(200)
def test_always_never_and_implies(one: Test, other: Test, known: bool) -> None:
    names = sorted({read.name for test in (one, other) for read in reads(test)})
    seen = [(truth(one, world), truth(other, world)) for world in worlds(names, known=known)]
    assert ASK.always(one, known=known) is all(a is True for a, _ in seen)
    assert ASK.never(one, known=known) is all(a is not True for a, _ in seen)
    assert ASK.implies(one, other, known=known) is all(b is True for a, b in seen if a is True)
