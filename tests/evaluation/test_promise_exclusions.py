"""Where the promises end: one concrete counterexample for each exclusion.

Each shows a stricter policy, or a ledger with more on it, that frees what was refused. That is what the
rules say, so it is meant; the promise excludes the shape, and the properties keep clear of it.
"""

import re
from typing import Any

import pytest
from hypothesis import Phase, given, settings

from policy_engine.ledger.memory import MemoryLedger
from policy_engine.policy import Policy, load
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from tests.generators import Case, policies

POLICY = """
currency USD
route small {{ tool "small"  cost $0.02  {small} }}
route large {{ tool "large"  cost $0.05 }}
lane standard {{ small -> large }}
lane premium {{ large  {premium} }}
{file}
workflow support {{
  outcome draft {{ price $1  lanes premium, standard  {outcome} }}
}}
"""


def policy(*, small: str = "", premium: str = "", file: str = "", outcome: str = "") -> Policy:
    return load(POLICY.format(small=small, premium=premium, file=file, outcome=outcome))


def facts(point: str, governing: Policy, **more: Any) -> Any:
    known: dict[str, Any] = {"customer": "acme", "outcome": "draft"}
    if point != "admit":
        known |= {"lane": "standard", "route": "small", "step": "write", "price": 1}
    return governing.facts(point, {**known, **more}, assume_zero=True)


# ---------------------------------------------------------------- more spend, where a condition reads what is spent


@pytest.mark.parametrize(
    ("rule", "meter"),
    [
        ("ceiling $0.01 per attempt unless spent per day > $5", "spent per day"),
        (
            "ceiling $0.01 per attempt when count of draft per customer per day <= 3",
            "count of draft per customer per day",
        ),
        ("ceiling $0.01 per attempt when attempts of support per day < 4", "attempts of support per day"),
    ],
)
def test_a_meter_in_a_condition(rule: str, meter: str) -> None:
    """A ceiling that stops applying once enough was spent: more spend frees the attempt."""
    governing = policy(file=rule)
    assert governing.attempt(facts("attempt", governing, meters={meter: 0})).effect == "refuse"
    assert governing.attempt(facts("attempt", governing, meters={meter: 6})).effect == "go"


def test_a_meter_in_a_condition_opens_a_lane() -> None:
    governing = policy(premium="forbid unless spent per customer per month >= $100")
    spent = "spent per customer per month"
    assert governing.admit(facts("admit", governing, lane="premium", meters={spent: 99})).reason == "forbidden"
    assert governing.admit(facts("admit", governing, lane="premium", meters={spent: 100})).effect == "allow"


def test_spent_in_a_condition() -> None:
    """`spent` of the execution itself, at an attempt and as a retry that more spend gives."""
    governing = policy(outcome="ceiling $0.01 per attempt when spent < $0.10")
    assert governing.attempt(facts("attempt", governing, spent=0.05)).effect == "refuse"
    assert governing.attempt(facts("attempt", governing, spent=0.10)).effect == "go"

    governing = policy(outcome="retry 1 on timeout when spent >= $0.10")
    failed = {"error": "timeout", "visited": ["small"]}
    assert governing.failure(facts("failure", governing, spent=0.05, **failed)).effect == "stop"
    assert governing.failure(facts("failure", governing, spent=0.10, **failed)).effect == "retry"


@pytest.mark.parametrize("condition", ["ceiling < $0.50", "remaining < $0.50"])
def test_a_further_ceiling_where_a_fallback_reads_the_ceiling(condition: str) -> None:
    """A tighter ceiling makes the fallback's condition true, and the step goes on where it stopped."""
    fallback = f"fallback large on timeout when {condition}"
    loose = policy(outcome=f"ceiling $0.90 per outcome {fallback}")
    tight = policy(outcome=f"ceiling $0.90 per outcome ceiling $0.40 per outcome {fallback}")
    failed = {"error": "timeout", "visited": ["small"], "spent": 0.02}
    assert loose.failure(facts("failure", loose, **failed)).effect == "stop"
    assert tight.failure(facts("failure", tight, **failed)).effect == "route"


def test_more_spend_where_a_fallback_reads_what_remains() -> None:
    governing = policy(outcome="ceiling $0.50 per outcome fallback large on timeout when remaining < 50% of ceiling")
    failed = {"error": "timeout", "visited": ["small"]}
    assert governing.failure(facts("failure", governing, spent=0.02, **failed)).effect == "stop"
    assert governing.failure(facts("failure", governing, spent=0.30, **failed)).effect == "route"


# ---------------------------------------------------------------- a further retry


@pytest.mark.parametrize(
    ("first", "further"),
    [
        ("", "retry 1 on timeout"),  # none written: no retry; so the first one gives one
        ("retry 1 on timeout when failures >= 2", "retry 1 on timeout"),  # the one there may not apply
        ("retry 1 on rate_limit", "retry 1 on timeout"),  # it caps another error
    ],
)
def test_a_further_retry_where_no_unconditional_one_caps_the_error(first: str, further: str) -> None:
    before, after = policy(outcome=first), policy(outcome=f"{first} {further}")
    failed = {"error": "timeout", "visited": ["small"], "failures": 1}
    assert before.failure(facts("failure", before, **failed)).effect == "stop"
    assert after.failure(facts("failure", after, **failed)).effect == "retry"


def test_a_further_retry_that_reaches_beyond_the_one_there() -> None:
    """The route's own retry caps the error on that route alone; one in the outcome reaches every route."""
    before, after = policy(small="retry 1 on timeout"), policy(small="retry 1 on timeout", outcome="retry 2 on timeout")
    failed = {"error": "timeout", "visited": ["small", "large"], "route": "large"}
    assert before.failure(facts("failure", before, **failed)).effect == "stop"
    assert after.failure(facts("failure", after, **failed)).effect == "retry"


# ---------------------------------------------------------------- an actual above what was reserved


def test_an_actual_above_what_was_reserved_passes_a_ceiling() -> None:
    """It is booked in full and flagged, and what comes next is refused."""
    governing = policy(outcome="ceiling $0.05 per outcome")
    engine = Engine(governing, ledger=MemoryLedger(), clock=PinnedClock())
    execution = engine.execution("draft", customer="acme", lane="standard")
    attempt = execution.step("write").attempt()
    assert attempt is not None
    assert attempt.succeed(cost_nanos=70_000_000) == ("spent",)  # reserved: $0.02
    assert execution.spent_nanos == 70_000_000
    assert execution.step("check").attempt() is None


# ---------------------------------------------------------------- on store failure allow


@pytest.mark.parametrize(
    ("store", "spent", "effect"),
    [
        ("deny", None, "deny"),
        ("allow within $0.10", None, "allow"),  # silent: let in
        ("allow within $0.10", 7, "deny"),  # and yet the counter, had it answered, was full
    ],
)
def test_the_written_exception_to_unknown_is_never_permission(store: str, spent: float | None, effect: str) -> None:
    governing = policy(file=f"ceiling $7 per day on store failure {store}")
    asked = {"customer": "acme", "outcome": "draft", "escrow": 0, "meters": {"spent per day": spent}}
    assert governing.admit(asked).effect == effect


@pytest.mark.parametrize(
    ("within", "least", "most", "effect", "cap"),
    [
        ("$0.50", 700, 700, "go", 700),
        ("$0.50", 1000, 1000, "refuse", None),  # an empty counter has no room for 200 + 1000 tokens either
        ("$0.50", 1, 1000, "go", 800),
        ("$0.003", 1, 700, "go", 160),  # 200 in and 160 out are $0.003: all that may be spent meanwhile
        ("$0.0001", 1, 700, "refuse", None),
    ],
)
def test_the_exception_reaches_no_further_than_an_empty_store_and_its_amount(
    within: str, least: int, most: int, effect: str, cap: int | None
) -> None:
    governing = load(
        f"""
        currency USD  on store failure allow within {within}
        route mini {{ model "mini"  rates $3 in, $15 out per 1M tokens  ceiling 1000 tokens per day }}
        lane standard {{ mini }}
        workflow support {{ outcome draft {{ price $1  lanes standard }} }}
        """
    )
    work = {"customer": "acme", "outcome": "draft", "lane": "standard", "route": "mini", "step": "write", "price": 1}
    tokens = {"input_tokens": 200, "min_output_tokens": least, "max_output_tokens": most}
    said = governing.attempt({**work, **tokens, "escrow": 0, "spent": 0, "attempts": 0})
    assert (said.effect, said.output_cap) == (effect, cap)


# ---------------------------------------------------------------- the generators write these shapes too

SHAPES = {
    "a meter in a condition": r"(when|unless)[^\n]* (spent|attempts|tokens|count) (of \w+ )?per ",
    "`spent` in a condition": r"(when|unless)[^\n]* spent [<>i+-]",
    "`remaining` in a fallback": r"fallback [^\n]*\bremaining\b",
    "`ceiling` in a fallback": r"fallback [^\n]*\bceiling\b",
    "a conditional retry beside another": r"retry [^\n]*(when|unless)[^\n]*\n\s*retry",
    "a store that may be silent": "on store failure allow",
}


def test_generated_policies_have_the_excluded_shapes() -> None:
    missing = dict(SHAPES)

    @settings(max_examples=400, derandomize=True, database=None, deadline=None, phases=[Phase.generate])
    @given(policies())
    def look(case: Case) -> None:
        for name in [name for name, shape in missing.items() if re.search(shape, case.text)]:
            del missing[name]

    look()
    assert not missing
