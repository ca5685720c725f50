"""A facts record made for other facts is read by name, not by the place of its slots."""

import pytest

import policy_engine
from policy_engine.evaluation.facts import AdmitFacts, FactError, given_type

TEXT = """
currency USD
fact first: boolean
fact second: boolean
route r { tool "t" cost $1 }
lane l { r }
workflow w { outcome o { price $2 lanes l forbid when first } }
"""


def test_the_same_names_are_the_same_type() -> None:
    assert given_type(("a", "b")) is given_type(("a", "b"))
    assert given_type(("a", "b")) is not given_type(("b", "a"))


@pytest.mark.usefixtures("each_engine")
def test_slots_in_another_order() -> None:
    evaluator = policy_engine.load(TEXT).evaluator
    for names in (("first", "second"), ("second", "first")):
        for first in (False, True):
            given = given_type(names)(first=first, second=not first)
            decision = evaluator.admit(AdmitFacts(customer="c", outcome="o", plan=None, given=given))
            assert decision.effect == ("deny" if first else "allow")
    with pytest.raises(FactError):
        evaluator.admit(AdmitFacts(customer="c", outcome="o", plan=None, given=given_type(("first", "second"))()))
