"""Rates by the length of a request, compiled: the reference's worst case at every step and on both sides of it."""

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from policy_engine.evaluation.compiler import CompiledEvaluator
from policy_engine.evaluation.facts import AttemptFacts, ProgressFacts, Reading, given_type
from policy_engine.evaluation.meters import every_meter
from policy_engine.evaluation.reference import ReferenceEvaluator
from policy_engine.language.units import Rates, Tier
from policy_engine.policy import load
from tests.evaluation.differential import DIGESTS, VARIANTS, Counting, compiling

POLICY = """
currency USD
route a { model "m" rates $1 in, $4 out per 1M tokens  ceiling $0.002 per attempt }
lane l { a }
workflow w { outcome o { price $2 lanes l } }
"""


@pytest.mark.parametrize(
    ("rates", "compiled"),
    [
        (Rates(1_000_000, 4_000_000), True),
        (Rates(1_000_000, 4_000_000, dearest_output_picos=9_000_000), True),
        (Rates(1_000_000, 4_000_000, tiers=(Tier(100, Rates(2_000_000, 8_000_000)),)), True),
        (Rates(1_500, 4_100, tiers=(Tier(100, Rates(2_100, 8_300)), Tier(200, Rates(3_001, 9_007)))), True),
        (Rates(1_000_000, 0, tiers=(Tier(100, Rates(2_000_000, 8_000_000)),)), False),
    ],
)
def test_the_worst_case_by_the_length_of_a_request(rates: Rates, compiled: bool) -> None:
    checked = load(POLICY).checked
    checked = replace(checked, routes={"a": replace(checked.routes["a"], rates=rates)})
    reference, evaluator = ReferenceEvaluator(checked, DIGESTS), CompiledEvaluator(checked, DIGESTS, Counting)
    known: dict[str, Any] = {
        "customer": "acme",
        "outcome": "o",
        "plan": None,
        "given": given_type(())(),
        "meters": {meter: Reading() for meter in every_meter(checked)},
        "lane": "l",
        "route": "a",
        "step": "draft",
        "price_nanos": 2 * 10**9,
    }
    Counting.answered = 0
    with compiling(VARIANTS[0]):
        for sent, out, least in product((0, 99, 100, 101, 200, 201, 900), (0, 50, 300, 10**9), (None, 0)):
            attempt = AttemptFacts(**known, input_tokens=sent, max_output_tokens=out, min_output_tokens=least)
            assert evaluator.attempt(attempt) == reference.attempt(attempt)
            progress = ProgressFacts(**known, input_tokens=sent, output_tokens=out)
            assert evaluator.progress(progress) == reference.progress(progress)
    assert (Counting.answered == 0) is compiled
