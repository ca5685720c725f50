"""Strategies: what they draw can be asked, told again, and reaches what it is meant to reach."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import find, given
from hypothesis import strategies as st

import policy_engine
from policy_engine.evaluation.facts import FactError
from policy_engine.policy import Policy
from policy_engine.testing import check_story, strategies
from tests.generators.settings import examples

POLICIES = Path(__file__).parents[2] / "policies"
SETS = {path.name: policy_engine.load(path) for path in sorted(POLICIES.iterdir()) if path.is_dir()}


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("point", strategies.POINTS)
def test_facts_of_a_given_policy_can_be_asked(name: str, point: str) -> None:
    policy = SETS[name]

    @examples(30)
    @given(strategies.facts(policy, point))
    def asked(facts: Any) -> None:
        assert getattr(policy, point)(facts).point == point

    asked()


def test_facts_lie_at_the_edges() -> None:
    """A ceiling that is reached exactly, and one that is missed by the smallest amount."""
    policy = SETS["customer_support"]
    for effect in ("allow", "deny"):
        find(strategies.facts(policy, "admit"), lambda facts, effect=effect: policy.admit(facts).effect == effect)  # type: ignore[misc]
    find(strategies.facts(policy, "attempt"), lambda facts: policy.attempt(facts).reason == "shrunk")


def test_facts_may_be_missing_only_if_asked_for() -> None:
    policy = SETS["customer_support"]

    def refuses(facts: Any) -> bool:
        try:
            policy.admit(facts)
        except FactError:
            return True
        return False

    find(strategies.facts(policy, "admit", missing=True), refuses)


def test_there_are_no_facts_of_other_points() -> None:
    with pytest.raises(ValueError, match="`settle`"):
        strategies.facts(SETS["release_risk"], "settle")


@pytest.mark.parametrize("name", SETS)
def test_a_timeline_can_be_told_again(name: str) -> None:
    policy = SETS[name]

    @examples(25)
    @given(strategies.timelines(policy))
    def told(timeline: Any) -> None:
        if timeline:
            check_story(policy, timeline)

    told()


@pytest.mark.parametrize("event", ["attempt", "progress", "succeed", "fail", "accept", "reverse", "top_up", "wait"])
def test_timelines_have_every_event(event: str) -> None:
    find(strategies.timelines(SETS["customer_support"]), lambda timeline: any(event in item for item in timeline))


@examples(20)
@given(strategies.policies(), st.data())
def test_policies_load_and_are_asked(policy: Policy, data: st.DataObject) -> None:
    facts: Any = data.draw(strategies.facts(policy, "admit"))
    assert policy.admit(facts).effect in ("allow", "deny")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("absent", "code"),
    [
        ("hypothesis", "import policy_engine.testing.strategies"),
        ("pytest", "from policy_engine.testing import policy_fixture; policy_fixture('x.policy')"),
    ],
)
def test_without_the_extra_its_name_is_said(absent: str, code: str) -> None:
    blocked = f"import sys; sys.modules[{absent!r}] = None; {code}"
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True, check=False)
    assert "needs the extra `test`: pip install 'policy_engine[test]'" in done.stderr


def test_the_rest_needs_neither() -> None:
    code = "import sys, policy_engine.testing as t; t.check, t.run, t.collect"
    code += "; print('hypothesis' in sys.modules, 'pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
