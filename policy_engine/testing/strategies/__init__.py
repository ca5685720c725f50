"""Hypothesis strategies: facts and timelines of a given policy, right at its own edges, and whole policies.

    from hypothesis import given
    from policy_engine.testing import strategies

    @given(strategies.facts(policy, "attempt"))
    def test_no_attempt_costs_more_than_a_dollar(facts):
        assert (policy.attempt(facts).reserved_nanos or 0) <= 10**9

All need the extra `test`.
"""

from policy_engine.testing.extra import missing

try:
    from hypothesis import strategies as st
except ModuleNotFoundError as error:
    raise missing("policy_engine.testing.strategies", error) from error

from policy_engine.evaluation.facts import AdmitFacts, AttemptFacts, FailureFacts, ProgressFacts
from policy_engine.policy import Policy
from policy_engine.testing.strategies import stories
from policy_engine.testing.strategies.asking import Asking
from policy_engine.testing.strategies.picking import Pick
from policy_engine.testing.strategies.stories import Timeline
from policy_engine.testing.strategies.whole import Shape, generated

POINTS = ("admit", "attempt", "progress", "failure")

Asked = AdmitFacts | AttemptFacts | ProgressFacts | FailureFacts


def facts(policy: Policy, point: str, *, unknown: bool = True, missing: bool = False) -> st.SearchStrategy[Asked]:
    """Facts of a decision point, as records that `policy.<point>` takes as they are.

    Amounts lie at the policy's own ceilings, limits and conditions, and one beside them. `unknown`: some of what
    may be unknown is; `missing`: some required facts are not given, which is bad input.
    """
    if point not in POINTS:
        raise ValueError(f"facts are drawn for {', '.join(POINTS)}, not for `{point}`")
    return _facts(policy, point, unknown, missing)


@st.composite
def _facts(draw: st.DrawFn, policy: Policy, point: str, unknown: bool, missing: bool) -> Asked:
    asking = Asking(Pick(draw), policy, unknown=unknown, missing=missing)
    found: Asked = getattr(asking, point)()
    return found


def timelines(policy: Policy, *, most: int = 12) -> st.SearchStrategy[Timeline]:
    """Stories that can happen under a policy, of at most so many events, as `check_story` takes them."""
    return _timelines(policy, most)


@st.composite
def _timelines(draw: st.DrawFn, policy: Policy, most: int) -> Timeline:
    return stories.told(Pick(draw), policy, most)


def policies(shape: Shape | None = None) -> st.SearchStrategy[Policy]:
    """Whole policies, every declaration and rule in any combination that has no mistake."""
    return _policies(shape or Shape())


@st.composite
def _policies(draw: st.DrawFn, shape: Shape) -> Policy:
    return generated(Pick(draw), shape).policy


__all__ = ["Shape", "facts", "policies", "timelines"]
