"""Paths: what the engine answers to a failure is an arrow of the graph; drawings fit, and mean what they show."""

from collections.abc import Iterator

import pytest
from hypothesis import given

import policy_engine
from policy_engine.analysis.explain import path as path_module
from policy_engine.analysis.explain.drawing import mermaid, tree
from policy_engine.analysis.explain.path import STOP, Path, path, paths
from policy_engine.language.checked import CheckedPolicy
from tests.analysis.explain.mermaid_grammar import read
from tests.analysis.explain.test_sentences import policy
from tests.generators import Asking, Case, Shape, examples, policies

RULES = Shape(most_rules=3)


def drawn(checked: CheckedPolicy, lane: str = "standard", plan: str | None = None, width: int = 100) -> list[str]:
    return list(tree(path(checked, "draft", lane, plan), width))


def test_without_a_rule_a_step_stops_at_the_first_failure() -> None:
    assert drawn(policy()) == ['mini, model "m:mini"', "└─ any failure → stop"]


def test_retries_moves_and_what_is_left() -> None:
    rules = (
        "retry 2 on timeout backoff 1s..9s fallback stop on auth fallback human when urgent fallback next on rejected"
    )
    assert drawn(policy(outcome=rules)) == [
        'mini, model "m:mini"',
        "├─ retry twice after timeout; wait 1s, 2s",
        "├─ auth → stop",
        '├─ when urgent → human, handoff "tier 2"',
        '├─ rejected → big, model "m:big"',
        "│  ├─ retry twice after timeout; wait 1s, 2s",
        "│  ├─ auth → stop",
        "│  ├─ when urgent → human",
        "│  ├─ rejected → human",
        "│  └─ otherwise → stop",
        "└─ otherwise → stop",
    ]


def test_a_full_handoff_is_passed_over() -> None:
    assert drawn(policy(outcome="fallback human on any", human="limit 3 per day"))[1:] == [
        '├─ any failure → human, handoff "tier 2"',
        "└─ otherwise → stop",
    ]
    assert drawn(policy(outcome="fallback human on any"))[1:] == ['└─ any failure → human, handoff "tier 2"']


def test_next_depends_on_how_far_the_step_has_been() -> None:
    lines = drawn(policy(premium="fallback mini on timeout", outcome="fallback next on auth"), "premium")
    assert lines == [
        'big, model "m:big"',
        '├─ auth → mini, model "m:mini"',
        "│  └─ any failure → stop",
        "├─ timeout → mini (as shown)",
        "└─ otherwise → stop",
    ]


def test_a_step_visits_a_route_once() -> None:
    lines = drawn(policy(outcome="fallback big on timeout fallback mini on timeout"))
    assert lines == [
        'mini, model "m:mini"',
        '├─ timeout → big, model "m:big"',
        "│  └─ any failure → stop",
        "└─ otherwise → stop",
    ]


@pytest.mark.parametrize(
    ("rules", "plan", "retry"),
    [
        ({"outcome": "retry 2 on timeout", "mini": "retry 1 on timeout"}, None, "retry once after timeout"),
        ({"outcome": "retry 2 on timeout", "mini": "retry 0 on timeout"}, None, None),
        (
            {"outcome": "retry 2 on timeout", "base": "retry 1 on timeout"},
            None,
            "retry twice after timeout; once on plan base",
        ),
        (
            {"outcome": "retry 2 on timeout", "base": "retry 0 on timeout"},
            None,
            "retry twice after timeout; never on plan base",
        ),
        ({"outcome": "retry 2 on timeout", "base": "retry 1 on timeout"}, "base", "retry once after timeout"),
        ({"outcome": "retry 1 on timeout when regulated"}, None, "retry once after timeout; when regulated"),
        ({"outcome": "retry 1"}, None, "retry once after any error"),
        ({"outcome": "retry 1 retry 0 on rejected"}, None, "retry once after any error but rejected"),
        ({"outcome": "retry 6 on timeout backoff 1s..9s"}, None, "retry 6 times after timeout; wait 1s, 2s, 4s, 8s, …"),
        (
            {"outcome": "retry 2 on timeout backoff 1s..9s", "mini": "retry 2 on timeout backoff 1500ms"},
            None,
            "retry twice after timeout; wait 1500ms, 2s",
        ),
    ],
)
def test_retries(rules: dict[str, str], plan: str | None, retry: str | None) -> None:
    (first, *_) = path(policy(**rules), "draft", "standard", plan).places
    assert list(map(str, first.retries)) == ([retry] if retry is not None else [])


def test_a_long_way_round_is_still_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound, what was visited is forgotten in part: arrows are added, none is lost."""
    checked = policy(outcome="fallback big on timeout fallback mini on auth fallback next on any", premium="retry 1")
    exact = path(checked, "draft", "standard")
    monkeypatch.setattr(path_module, "MOST_STATES", 0)
    rough = path(checked, "draft", "standard")
    assert set(arrows(exact)) <= set(arrows(rough))


def arrows(of: Path) -> Iterator[tuple[str, str, str]]:
    for place in of.places:
        yield from ((place.route, move.target, error) for move in place.moves for error in move.classes)


def test_a_narrow_terminal_keeps_names_whole() -> None:
    assert drawn(policy(outcome="fallback next on timeout, rate_limit, unavailable, connection"), width=40)[1:5] == [
        "├─ timeout, rate_limit, unavailable,",
        '│    connection → big, model "m:big"',
        "│  ├─ timeout, rate_limit, unavailable,",
        "│  │    connection → human, handoff",
    ]


# ---------------------------------------------------------------- the engine walks where it is drawn


@examples(50)
@given(policies(RULES))
def test_every_answer_to_a_failure_is_drawn(case: Case) -> None:
    """A walk of one step: each failure leads along an arrow, a retry is one of those named, until it ends."""
    asking = Asking(case.pick, case.policy, case.text)
    fixed = {name: getattr(asking.failure(), name) for name in ("customer", "outcome", "plan", "lane", "given")}
    checked = case.policy.checked
    graph = path(checked, fixed["outcome"], fixed["lane"], fixed["plan"])
    whole = path(checked, fixed["outcome"], fixed["lane"])
    visited = [checked.lanes[fixed["lane"]].path[0]]
    for _ in range(12):
        found = case.policy.failure(asking.failure(**fixed, route=visited[-1], visited=tuple(visited)))
        facts = asking.failure(**fixed, route=visited[-1], visited=tuple(visited))
        found = case.policy.failure(facts)
        here = next(place for place in graph.places if place.route == visited[-1])
        if found.effect == "retry":
            assert any(facts.error in retry.classes for retry in here.retries)
            continue
        target = found.route if found.route is not None else STOP
        if facts.error != "cancelled" or target != STOP:
            assert (visited[-1], target, facts.error) in set(arrows(graph))
            if fixed["plan"] is not None:
                assert (visited[-1], target, facts.error) in set(arrows(whole))
        if found.effect != "route":
            return
        visited.append(target)


# ---------------------------------------------------------------- drawings


@examples(25)
@given(policies(RULES))
def test_a_tree_fits_and_a_flowchart_is_one(case: Case) -> None:
    checked = case.policy.checked
    found = [each for outcome in checked.outcomes for each in paths(checked, outcome, None)]
    for each in found:
        for line in tree(each, 60):
            assert len(line) <= 60 or " " not in line.strip("│├└─ ")
        shown = "\n".join(tree(each, 10_000))
        assert all(place.route in shown for place in each.places)
    boxes, lines = read("\n".join(mermaid(found)) + "\n")
    assert len(lines) == sum(len(place.retries) + len(place.moves) for each in found for place in each.places)
    assert len(boxes) >= sum(1 + len(each.places) for each in found)


def test_signs_that_mermaid_knows_are_escaped() -> None:
    text = """currency USD
    route end { model "a\\"b]#;%%{init: {}}%%<script>`x`&amp; | --> end" cost $1 }
    route graph { tool "naïve ünï • (x) [y] {z}" cost $1 }
    lane style { end -> graph }
    workflow class { outcome click { price $1 lanes style fallback next when customer is "a\\"b|c --> d; %% e" } }
    """
    found = paths(policy_engine.load(text).checked, "click", None)
    boxes, lines = read("\n".join(mermaid(found)) + "\n")
    assert 'end<br/>a"b]#;%%{init: {}}%%<script>`x`&amp; | --> end' in boxes.values()
    assert any(said == 'when the customer is "a"b|c --> d; %% e"' for _, said, _ in lines)
