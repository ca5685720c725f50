"""What governs an outcome: every rule is named somewhere, the tightest first, the idle ones as such."""

from typing import Any

import pytest
from hypothesis import given

import policy_engine
from policy_engine.analysis.explain.amounts import prices
from policy_engine.analysis.explain.governing import Explanation, explain, groundless
from policy_engine.evaluation.facts import AdmitFacts, AttemptFacts, FailureFacts, Reading
from policy_engine.evaluation.meters import every_meter
from policy_engine.language.checked import ATTEMPTS, SPENT, TOKENS, AllowRule, CheckedPolicy, RuleRef
from policy_engine.policy import Policy
from tests.analysis.explain.test_sentences import policy
from tests.generators import Asking, Case, Shape, examples, policies

RULES = Shape(most_rules=4)


def section(explanation: Explanation, kind: str) -> list[str]:
    return [line.sentence for section in explanation.sections if section.kind == kind for line in section.lines]


def named(explanation: Explanation) -> set[RuleRef]:
    return {line.ref for section in explanation.sections for line in section.lines if line.rule is not None}


# ---------------------------------------------------------------- order


def test_money_comes_tightest_first_at_the_prices_of_the_plan() -> None:
    checked = policy(outcome="ceiling $0.70 per outcome margin at least 50% ceiling $0.90 per step", base="")
    assert [text.split(" may ")[1][:18] for text in section(explain(checked, "draft", "base"), "spent")] == [
        "cost at most 50% o",  # $0.50 of the $1 that an included unit brings in
        "cost at most $0.70",
        "cost at most $0.90",
    ]
    assert [text.split(" may ")[1][:18] for text in section(explain(checked, "draft"), "spent")] == [
        "cost at most $0.70",
        "cost at most $0.90",
        "cost at most 50% o",  # $1 of the list price
    ]


def test_fallbacks_come_innermost_first() -> None:
    checked = policy(
        file="fallback stop on auth",
        workflow="fallback stop on rejected",
        outcome="fallback next on timeout",
        premium="fallback stop on bad_request",
    )
    starts = [text.split(":")[0] for text in section(explain(checked, "draft"), "fallbacks")]
    assert starts == [
        "After a timeout",
        "After a rejected result",
        "After a bad request in lane premium",
        "After an authentication error",
    ]


def test_shadow_rules_stand_apart() -> None:
    found = explain(policy(outcome="shadow ceiling $0.20 per outcome ceiling $0.30 per outcome"), "draft")
    assert section(found, "spent") == ["An execution may cost at most $0.30."]
    assert section(found, "shadow") == ["An execution may cost at most $0.20."]


def test_a_plan_that_does_not_sell_it_says_so() -> None:
    text = 'currency USD\nroute a { model "m:a" cost $1 }\nlane l { a }\nplan p { fee $1 per month }\n'
    text += "workflow w { outcome o { price $2 lanes l accepted within 3d else expired } }"
    found = section(explain(policy_engine.load(text).checked, "o", "p"), "price")
    assert found[1] == "Plan p neither includes nor sells it, so it takes a grant of another kind."
    assert (
        found[2]
        == "The customer has 72 hours from delivery to accept it; without a word it expires and brings in nothing."
    )


# ---------------------------------------------------------------- ceilings that decide nothing


def idle(checked: CheckedPolicy, plan: str | None = None, lane: str | None = None) -> dict[str, list[str]]:
    """The names of idle ceilings, and of those that make them so."""
    return {
        line.ref.name: [other.ref.name for other in line.idle]
        for section in explain(checked, "draft", plan, lane).sections
        for line in section.lines
        if line.idle
    }


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ({"outcome": "ceiling $1 per outcome as a ceiling $2 per outcome as b"}, {"b": ["a"]}),
        ({"outcome": "ceiling $1 per outcome as a ceiling $1 per outcome as b"}, {"b": ["a"]}),
        ({"outcome": "ceiling $1 per outcome as a ceiling $1 per step as b"}, {"b": ["a"]}),
        ({"outcome": "ceiling $1 per step as a ceiling $2 per outcome as b"}, {}),
        ({"outcome": "ceiling $1 per outcome as a", "mini": "ceiling $1.50 per attempt as b"}, {"b": ["a"]}),
        ({"outcome": "ceiling $1.50 per outcome as a", "mini": "ceiling $1 per attempt as b"}, {}),
        ({"mini": "ceiling $1 per attempt as a", "outcome": "ceiling $2 per attempt as b"}, {}),  # other routes
        ({"outcome": "ceiling $1 per outcome when pages > 3 as a ceiling $2 per outcome as b"}, {}),
        ({"outcome": "ceiling $1 per outcome as a ceiling $2 per outcome when pages > 3 as b"}, {"b": ["a"]}),
        (
            {"outcome": "ceiling $1 per outcome when pages > 3 as a ceiling $2 per outcome when pages > 3 as b"},
            {"b": ["a"]},
        ),
        ({"outcome": "shadow ceiling $1 per outcome as a ceiling $2 per outcome as b"}, {}),
        ({"outcome": "ceiling $1 per outcome as a ceiling 6 attempts per outcome as b"}, {}),
        ({"outcome": "ceiling 40% of price per outcome as a ceiling 50% of price per outcome as b"}, {"b": ["a"]}),
        ({"outcome": "ceiling 40% of price per outcome as a ceiling $9 per outcome as b"}, {"b": ["a"]}),
        # At $0.40 from the fee and $0.40 from overage of $1 on the other plan, but $0.80 at list.
        ({"outcome": "ceiling 40% of price per outcome as a ceiling $0.70 per outcome as b"}, {}),
        ({"outcome": "ceiling 30s per outcome as a ceiling 45s per attempt as b"}, {"b": ["a"]}),
        ({"file": "ceiling $9 per day as a", "workflow": "ceiling $10 per customer per hour as b"}, {"b": ["a"]}),
        ({"file": "ceiling $9 per customer per day as a", "workflow": "ceiling $10 per day as b"}, {}),
        ({"file": "ceiling $9 per week as a", "workflow": "ceiling $10 per month as b"}, {}),
        ({"file": "ceiling $9 per week as a ceiling $10 per month as b"}, {}),
        ({"file": "ceiling $9 per month as a ceiling $10 per week as b"}, {}),  # a week lies in two months
        ({"file": "ceiling $9 per day as a", "outcome": "ceiling $10 per outcome as b"}, {}),  # over midnight
        ({"file": "ceiling $9 per day as a", "outcome": "ceiling $10 per attempt as b"}, {"b": ["a"]}),
        ({"outcome": "ceiling $9 per day as a", "workflow": "ceiling $10 per day as b"}, {}),
        ({"mini": "ceiling $9 per day as a", "file": "ceiling $10 per day as b"}, {}),
        # Not looked at on admission, where the other one refuses.
        ({"file": "ceiling $9 per lane per day as a ceiling $10 per lane per hour as b"}, {"b": ["a"]}),
        (
            {"outcome": "ceiling $1 per outcome when lane is premium as a ceiling $2 per outcome as b"},
            {},
        ),
        (
            {
                "outcome": "ceiling $1 per outcome when lane is premium as a"
                " ceiling $1 per outcome unless lane is premium as c ceiling $2 per outcome as b"
            },
            {"b": ["a", "c"]},
        ),
        ({"base": "ceiling $1 per outcome as a", "outcome": "ceiling $2 per outcome as b"}, {}),
    ],
)
def test_idle_ceilings(rules: dict[str, str], found: dict[str, list[str]]) -> None:
    assert idle(policy(**rules)) == found


def test_a_ceiling_is_idle_for_a_plan_or_a_lane() -> None:
    checked = policy(base="ceiling $1 per outcome as a", outcome="ceiling $2 per outcome as b")
    assert idle(checked, "base") == {"b": ["a"]}
    checked = policy(outcome="ceiling $1 per outcome when lane is premium as a ceiling $2 per outcome as b")
    assert idle(checked, lane="premium") == {"b": ["a"]}
    assert idle(checked, lane="standard") == {}
    checked = policy(outcome="ceiling 40% of price per outcome as a ceiling $0.70 per outcome as b")
    assert idle(checked, "base") == {"b": ["a"]}  # $1 and $1.50 are brought in


# ---------------------------------------------------------------- properties


@examples(30)
@given(policies(RULES))
def test_every_rule_is_named_somewhere(case: Case) -> None:
    """By an outcome that it governs, or among those that govern nothing."""
    checked = case.policy.checked
    governing = {ref for outcome in checked.outcomes for ref in named(explain(checked, outcome))}
    idle = {found.ref for found in groundless(checked)}
    assert governing | idle == {rule.ref for rule in checked.every_rule()}
    assert not governing & idle


@examples(20)
@given(policies(RULES))
def test_a_plan_and_a_lane_only_leave_rules_out(case: Case) -> None:
    """And every rule of the whole is named for some plan or none, in some lane."""
    checked = case.policy.checked
    for outcome in checked.outcomes:
        whole = named(explain(checked, outcome))
        parts = [
            named(explain(checked, outcome, plan, lane))
            for plan in (None, *checked.plans)
            for lane in checked.outcomes[outcome].lanes
        ]
        assert set().union(*parts) == whole


def deciding(found: Any) -> set[RuleRef]:
    return {ruling.rule for ruling in found.rulings}


@examples(40)
@given(policies(RULES))
def test_a_rule_that_decides_was_named(case: Case) -> None:
    """Whatever the engine decides by, the explanation of that plan and lane names it."""
    checked, evaluator = case.policy.checked, case.policy.evaluator
    asking = Asking(case.pick, case.policy, case.text)
    admission: AdmitFacts = asking.admit(lane=None)
    found = evaluator.admit(admission)
    seen = deciding(found) | {shadow.ruling.rule for shadow in found.shadow if shadow.refuses}
    sold = {plan.overage.ref for plan in checked.plans.values() if plan.overage is not None}
    told = named(explain(checked, admission.outcome, admission.plan))
    # Of several `allow` of a block, those that cannot hold for this plan are left out, though a denial lists them.
    blocks = {rule.ref: rule.block for rule in checked.every_rule() if isinstance(rule, AllowRule)}
    assert {blocks[ref] for ref in seen & set(blocks)} <= {blocks[ref] for ref in told & set(blocks)}
    assert seen - sold - set(blocks) <= told

    attempt: AttemptFacts = asking.attempt()
    whole = explain(checked, attempt.outcome, attempt.plan, attempt.lane)
    if attempt.route in checked.lanes[attempt.lane].path:
        went = evaluator.attempt(attempt)
        assert deciding(went) | {shadow.ruling.rule for shadow in went.shadow if shadow.refuses} <= named(whole)

    failure: FailureFacts = asking.failure()
    if failure.route in checked.lanes[failure.lane].path:
        gone = evaluator.failure(failure)
        assert deciding(gone) <= named(explain(checked, failure.outcome, failure.plan, failure.lane))


@examples(50)
@given(policies(RULES))
def test_an_idle_ceiling_never_refuses_alone(case: Case) -> None:
    """Where every counter stands alike, so that no part of the work has cost more than the whole."""
    checked = case.policy.checked
    asking = Asking(case.pick, case.policy, case.text)
    facts = asking.attempt()
    lanes = checked.outcomes[facts.outcome].lanes
    at = prices(checked, facts.outcome, facts.plan)
    if facts.lane not in lanes or facts.route not in checked.lanes[facts.lane].path or not at:
        return
    used = Reading(case.pick.of((0, 1, 2, 5, 10**7, 5 * 10**7, 10**8, 10**9)))
    meters = dict.fromkeys((*every_meter(checked), SPENT, ATTEMPTS, TOKENS), used)
    elapsed = facts.elapsed_micros
    facts = asking.attempt(
        **{name: getattr(facts, name) for name in ("customer", "outcome", "plan", "lane", "route", "given")},
        meters=meters,
        elapsed_micros=elapsed,
        step_elapsed_micros=elapsed,
        price_nanos=case.pick.of(at).nanos,
    )
    refused = deciding(case.policy.evaluator.attempt(facts))
    for section in explain(checked, facts.outcome, facts.plan, facts.lane).sections:
        for line in section.lines:
            if line.ref in refused and line.idle:
                assert refused & {other.ref for other in line.idle}


def test_what_governs_nothing_says_why() -> None:
    text = """currency USD
    route a { model "m:a" cost $1 } route b { model "m:b" cost $1 ceiling $1 per attempt as on_b }
    lane l { a } lane m { b limit 3 per day as in_m }
    plan p { fee $1 per month } plan q { fee $2 per month }
    ceiling $1 per outcome when plan is p and plan is q as never
    workflow w { outcome o { price $2 lanes l } }
    workflow empty { ceiling $3 per day as in_empty }
    """
    reasons = {found.ref.name: found.reason for found in groundless(policy_engine.load(text).checked)}
    assert reasons == {
        "on_b": "nothing leads to route b",
        "in_m": "no outcome lists lane m",
        "never": "no outcome, plan, lane and route together meet its condition",
        "in_empty": "workflow empty has no outcome",
    }
    nothing: Policy = policy_engine.load("currency USD\nceiling $1 per day")
    assert [found.reason for found in groundless(nothing.checked)] == ["there is no outcome"]
