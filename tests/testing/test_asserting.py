"""`policy_engine.testing` in Python: the same words, and failures that read like the runner's."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import policy_engine
from policy_engine import testing
from policy_engine.testing import check, check_decision, check_story, in_memory, policy_fixture
from policy_engine.testing.asserting import _flow
from policy_engine.testing.nodes import scalar
from tests.testing.desk import POLICY

desk = policy_fixture(POLICY)
ADMIT = {"customer": "acme", "plan": "base", "outcome": "reply", "risk": "low"}


def test_a_fixture_is_the_loaded_policy(desk: policy_engine.Policy) -> None:
    assert set(desk.checked.outcomes) == {"reply"}


@pytest.mark.parametrize(
    ("facts", "expected", "passes"),
    [
        (ADMIT, {"lane": "standard", "draw": "allowance"}, True),
        (ADMIT, {"lane": "premium"}, False),
        (ADMIT | {"risk": "high"}, {"lane": "premium", "because": ["allow when risk >= high"]}, True),
        (ADMIT | {"spent per day": 10}, {"effect": "deny"}, True),
        (ADMIT | {"spent per day": Decimal("9.99")}, {"effect": "deny"}, False),
        (ADMIT | {"spent per day": {"settled": "$9", "reserved": "$1"}}, {"effect": "deny"}, True),
        (ADMIT | {"urgent": True}, {"ceiling": 0.2}, True),
        (ADMIT | {"plan": None}, {"draw": "list", "refused": {"premium": "not_allowed"}}, True),
        (ADMIT | {"risk": None}, {"bad_input": "risk"}, True),
        (ADMIT, {"bad_input": "risk"}, False),
    ],
)
def test_check(facts: dict[str, Any], expected: dict[str, Any], passes: bool, desk: policy_engine.Policy) -> None:
    if passes:
        decision = check(desk, "admit", facts, **expected)
        assert decision is None if "bad_input" in expected else isinstance(decision, policy_engine.AdmitDecision)
        return
    with pytest.raises(AssertionError):
        check(desk, "admit", facts, **expected)


def test_a_failure_reads_like_the_runners(desk: policy_engine.Policy) -> None:
    with pytest.raises(AssertionError) as failure:
        check(desk, "admit", ADMIT | {"risk": "high"}, lane="standard", draw="overage")
    text = str(failure.value)
    for line in (
        "7 |   lane: standard\n  |         ^^^^^^^^ `lane` is `premium`",
        "8 |   draw: overage\n  |         ^^^^^^^ `draw` is `allowance`",
        "  admit: allowed in lane premium, first route big",
        "13 | lane premium { big -> mini allow when risk >= high }",
        "  it would be `standard` with risk: medium",
    ):
        assert line in text


def test_check_decision(desk: policy_engine.Policy) -> None:
    decision = check(desk, "attempt", {"outcome": "reply", "lane": "standard", "estimate": "$0.21"}, effect="refuse")
    assert decision is not None
    check_decision(decision, because="reply_cap", reason="over_ceiling")
    check_decision(decision, because="ceiling $0.20")
    with pytest.raises(AssertionError):
        check_decision(decision, because="ceiling $0.2")  # the beginning of a word is no name
    with pytest.raises(AssertionError, match=r"`effect` is `refuse`") as failure:
        check_decision(decision, desk, effect="go")
    assert "as reply_cap" in str(failure.value), "with the policy its rules are shown"


def test_check_story(desk: policy_engine.Policy) -> None:
    timeline: list[dict[str, Any] | str] = [
        {"admit": ADMIT},
        {"attempt": {"input_tokens": 1000, "max_output_tokens": 1000}},
        {"fail": "timeout", "expect": {"effect": "retry"}},
        {"attempt": "again"},
        "succeed",
        {"expect": {"spent": "$0.012", "counters": {"spent per day": "$0.012"}}},
    ]
    check_story(desk, timeline)
    with pytest.raises(AssertionError, match="no attempt is running"):
        check_story(desk, [*timeline, "succeed"])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda p: check(p, "admit", ADMIT | {"rsik": 1}, effect="allow"), "did you mean `risk`"),
        (lambda p: check(p, "admit", ADMIT, efect="allow"), "did you mean `effect`"),
        (lambda p: check(p, "admit", ADMIT, lane="premum"), "did you mean `premium`"),
        (lambda p: check(p, "admitt", ADMIT, lane="premium"), "`admitt` is no decision point"),
        (lambda p: check(p, "admit", ADMIT | {"risk": "lowest"}, effect="allow"), "`lowest` is no value of `risk`"),
        (
            lambda p: check(p, "admit", ADMIT | {"risk": object()}, effect="allow"),
            "is nothing that a test file can say",
        ),
        (lambda p: check_story(p, [{"admitt": ADMIT}]), "did you mean `admit`"),
        (lambda p: check_decision(p.admit(ADMIT), cap=3), "`cap` is no key"),
    ],
)
def test_what_no_test_could_mean_is_no_failed_assertion(call: Any, said: str, desk: policy_engine.Policy) -> None:
    with pytest.raises(ValueError, match=said):
        call(desk)


def test_time_stands_still_until_it_is_moved(desk: policy_engine.Policy) -> None:
    engine = in_memory(desk, start="2026-03-02 09:00")
    execution = engine.execution("reply", customer="acme", facts={"risk": "low"})
    assert engine.clock.now_micros() == execution.admitted_micros == 1_772_442_000_000_000
    engine.clock.sleep(10**6)
    assert engine.clock.now_micros() == execution.admitted_micros + 10**6


@pytest.mark.parametrize(
    "text", ["low", "12", "true", "~", "", "a: b", "$0.30", "90s", "é", "x # y", "- a", "null", "1e3"]
)
def test_texts_stay_texts(text: str) -> None:
    written = _flow(text)
    assert written.startswith('"') or scalar(written) == text


def test_public_names_are_sorted_and_real() -> None:
    assert testing.__all__ == sorted(testing.__all__)
    for name in testing.__all__:
        assert getattr(testing, name) is not None
    assert set(testing.__all__) <= set(dir(testing))
    with pytest.raises(AttributeError, match="chekc"):
        testing.chekc  # noqa: B018 - a misspelt name


def test_every_example_policy_has_tests_of_both_kinds() -> None:
    policies = Path(__file__).parents[2] / "policies"
    for folder in (path for path in policies.iterdir() if path.is_dir()):
        files = testing.collect([folder])
        done = testing.run(files)
        assert done.passed, folder.name
        assert {result.case.kind for result in done.results} == {"decision", "scenario"}
