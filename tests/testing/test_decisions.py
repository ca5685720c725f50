"""Decision cases: what is given, what a fresh world adds, what can be expected and how it is compared."""

from pathlib import Path

import pytest

import policy_engine
from policy_engine.testing.aspects import begins
from policy_engine.testing.files import read
from tests.testing.desk import only, opened, results, written

ATTEMPT = "{outcome: reply, plan: base, lane: standard, risk: low, input_tokens: 1000, max_output_tokens: 1000"


@pytest.mark.parametrize(
    ("expect", "passes"),
    [
        ("allow", True),
        ("deny", False),
        ("{effect: allow, lane: premium, route: big}", True),
        ("{lane: standard}", False),
        ("{reason: none}", True),
        ("{reason: forbidden}", False),
        ("{draw: allowance, price: $0}", True),
        ("{draw: overage}", False),
        ("{price: 0}", True),
        ("{price: $0.01}", False),
        ("{grant: base/a customer/reply}", True),
        ("{ceiling: $0.20}", True),
        ("{ceiling: 0.2}", True),
        ("{ceiling: $0.21}", False),
        ("{ceiling: none}", False),
        ("{because: allow when risk >= high}", True),
        ("{because: allow when}", True),
        ("{because: [allow when risk >= high]}", True),
        ("{because: reply_cap}", False),
        ("{because: none}", False),
        ("{because_only: allow when risk >= high}", True),
        ("{because_only: [allow when risk >= high, reply_cap]}", False),
        ("{unknown: none}", True),
        ("{unknown: [risk]}", False),
        ("{alerts: none}", True),
        ("{alerts: {ceiling $10 per day: 80%}}", False),
        ("{refused: none}", True),
        ("{refused: {premium: not_allowed}}", False),
        ("{bad_input: risk}", False),
        ("{lane: premium, route: ~, price: ~}", True),
    ],
)
def test_what_an_admission_may_be_expected_to_say(expect: str, passes: bool, tmp_path: Path) -> None:
    result = only(
        tmp_path,
        f"""
        decisions:
          - case: a risky reply
            admit: {{outcome: reply, plan: base, risk: high}}
            expect: {expect}
        """,
    )
    assert result.problem is None
    assert result.passed is passes
    assert bool(result.failures) is not passes


@pytest.mark.parametrize(
    ("facts", "expect", "passes"),
    [
        ("", "{effect: go, reserved: $0.006, reserved_tokens: 2000, cap: 1000, deadline: none}", True),
        ("", "{cap: 999}", False),
        ("", "{deadline: 90s}", False),
        ("spent: $0.194", "go", True),
        ("spent: $0.195", "{effect: refuse, reason: over_ceiling, because: reply_cap}", True),
        ("spent: $0.195", "{because: {reply_cap: {limit: $0.20, used: $0.195, asked: $0.006}}}", True),
        ("spent: $0.195", "{because: {reply_cap: {used: $0.194}}}", False),
        ("spent: $0.195", "{because: {reply_cap: {used: unknown}}}", False),
        ("spent: $0.195", "{because_only: reply_cap}", True),
        ("spent per day: $7.999", "{alerts: {ceiling $10 per day: 80%}}", True),
        ("spent per day: $7.999", "{alerts: none}", False),
        ("spent per day: unknown", "{effect: refuse, because: {ceiling $10 per day: {used: unknown}}}", True),
        ("spent per day: {settled: $9, reserved: $1}", "refuse", True),
        ("urgent: true, spent: $0.195", "{because: [reply_cap, ceiling $0.20 per outcome when urgent]}", True),
        ("route: big", "{reserved: $0.018}", True),
        ("estimate: $0.20", "{reserved: $0.20}", True),
        ("estimate: $0.21", "refuse", True),
    ],
)
def test_what_an_attempt_may_be_expected_to_say(facts: str, expect: str, passes: bool, tmp_path: Path) -> None:
    result = only(
        tmp_path,
        f"""
        decisions:
          - case: an attempt
            attempt: {ATTEMPT}, {facts}}}
            expect: {expect}
        """,
    )
    assert result.problem is None
    assert result.passed is passes


@pytest.mark.parametrize(
    ("point", "facts", "expect"),
    [
        ("progress", f"{ATTEMPT.replace('max_output_tokens', 'output_cap')}, output_tokens: 1000}}", "go"),
        (
            "progress",
            f"{ATTEMPT.replace('max_output_tokens', 'output_cap')}, output_tokens: 1001}}",
            "{effect: cut, reason: output_cap}",
        ),
        ("failure", "{outcome: reply, lane: standard, error: timeout}", "{effect: retry, route: mini, delay: 0}"),
        ("failure", "{outcome: reply, lane: standard, error: garbled}", "{effect: route, route: big, delay: none}"),
        ("settle", "{outcome: reply, state: running, event: deliver}", "{effect: delivered, unit: held, window: 48h}"),
        (
            "settle",
            "{outcome: reply, state: delivered, event: accept, since_delivery: 1d}",
            "{effect: accepted, unit: consumed, revenue: $1, window: 1d}",
        ),
        (
            "settle",
            "{outcome: reply, state: delivered, event: accept, since_delivery: 3d}",
            "{effect: refuse, reason: window_closed, unit: none}",
        ),
    ],
)
def test_the_other_points(point: str, facts: str, expect: str, tmp_path: Path) -> None:
    result = only(
        tmp_path,
        f"""
        decisions:
          - case: it
            {point}: {facts}
            expect: {expect}
        """,
    )
    assert result.passed, result


@pytest.mark.parametrize(
    ("facts", "expect"),
    [
        ("plan: base", "{draw: allowance, price: $0}"),
        ("plan: base, allowance: 1", "{draw: allowance}"),
        ("plan: base, allowance: 0", "{draw: overage, price: $1}"),
        ("plan: base, grants: []", "{draw: overage, price: $1}"),
        ("plan: base, grants: unknown", "deny"),
        ("plan: ~", "{draw: list, price: $1}"),
        ("plan: base, spent per day: $10", "{effect: deny, reason: ceiling_reached}"),
        ("plan: base, meters: {spent per day: $10}", "deny"),
        ("plan: base, spent per day: ~", "allow"),
        ("customer: acme, plan: base", "{grant: base/acme/reply}"),
    ],
)
def test_what_a_fresh_world_adds(facts: str, expect: str, tmp_path: Path) -> None:
    result = only(
        tmp_path,
        f"""
        decisions:
          - case: it
            admit: {{outcome: reply, risk: low, {facts}}}
            expect: {expect}
        """,
    )
    assert result.passed, result


def test_counters_may_be_unknown_for_a_whole_case(tmp_path: Path) -> None:
    result = only(
        tmp_path,
        """
        decisions:
          - case: a silent store
            admit: {outcome: reply, risk: low, spent per day: $0}
            counters: unknown
            expect: {effect: deny, because_only: ceiling $2 per customer per day}
        """,
    )
    assert result.passed, result


def test_rows_share_what_stands_above_them(tmp_path: Path) -> None:
    found = results(
        tmp_path,
        """
        fixtures:
          reply: {outcome: reply, plan: base, risk: low}
          urgent: {like: reply, urgent: true, spent: $0.1}   # `spent` is for attempts, and left out at an admission

        decisions:
          - case: replies
            admit: {like: [reply, urgent], plan: ~}
            expect: {draw: list, lane: standard}
            table:
              - [risk, plan, =>, lane, draw]
              - [high, ~,    =>, premium, ~]
              - [~, base, =>, standard, allowance]
              - [low, base, =>, ~, ~]
        """,
    )
    assert [result.case.name for result in found] == ["replies [high, ~]", "replies [~, base]", "replies [low, base]"]
    first, second, third = found
    assert first.passed
    assert second.problem is not None, "`~` takes the risk away that the fixture gives"
    assert "risk" in second.problem.message
    assert [(failure.key, failure.expected, failure.got) for failure in third.failures] == [
        ("draw", "list", "allowance")
    ]


@pytest.mark.parametrize(
    ("facts", "expect", "outcome"),
    [
        ("{outcome: reply}", "{bad_input: risk}", "passed"),
        ("{outcome: reply}", "{bad_input: outcome}", "failed"),
        ("{outcome: reply, risk: low}", "{bad_input: risk}", "failed"),
        ("{outcome: reply}", "allow", "problem"),
        ("{outcome: reply, risk: lowest}", "allow", "problem"),
        ("{outcome: reply, risk: no}", "allow", "problem"),
        ("{outcome: reply, risk: low, urgent: no}", "allow", "problem"),
        ("{outcome: reply, risk: low, spent per day: $1e3}", "deny", "passed"),
        ("{outcome: reply, risk: low, spent per day: €1}", "deny", "problem"),
        ("{outcome: reply, risk: low}", "{price: €1}", "problem"),
    ],
)
def test_bad_input_is_no_denial(facts: str, expect: str, outcome: str, tmp_path: Path) -> None:
    result = only(
        tmp_path,
        f"""
        decisions:
          - case: it
            admit: {facts}
            expect: {expect}
        """,
    )
    assert result.passed is (outcome == "passed")
    assert (result.problem is not None) is (outcome == "problem")


@pytest.mark.parametrize(
    ("facts", "underlined"),
    [
        ("{outcome: reply, risk: lowest}", "lowest"),
        ("{like: urgent, risk: low}", "no"),  # in the fixture, where it is written
        ("{outcome: reply}", "it"),  # what is missing stands nowhere: the case is meant
    ],
)
def test_bad_input_is_underlined_where_it_is_written(facts: str, underlined: str, tmp_path: Path) -> None:
    result = only(
        tmp_path,
        f"""
        fixtures: {{urgent: {{outcome: reply, urgent: no}}}}
        decisions:
          - case: it
            admit: {facts}
            expect: allow
        """,
    )
    assert result.problem is not None
    assert result.problem.span.text == underlined


def test_a_failure_has_all_that_another_tool_needs(tmp_path: Path) -> None:
    result = only(
        tmp_path,
        """
        decisions:
          - case: a reply
            admit: {outcome: reply, plan: base, risk: low, spent per day: $3}
            expect:
              lane: premium
        """,
    )
    (failure,) = result.failures
    assert (failure.line, failure.key, failure.expected, failure.got) == (6, "lane", "premium", "standard")
    assert failure.point == "admit"
    assert failure.facts is not None
    policy = policy_engine.load(tmp_path / "desk.policy")
    again = policy.admit(policy.facts("admit", failure.facts))
    assert failure.decision is not None
    assert again.to_json() == failure.decision.to_json() | {"policy_digest": again.digests.policy}


def test_a_case_asks_the_policy_it_is_given(tmp_path: Path) -> None:
    file = read(
        written(
            tmp_path,
            """
            decisions:
              - case: a reply
                admit: {outcome: reply, plan: base, risk: low}
                expect: {ceiling: $0.20}
              - case: its price
                attempt: {outcome: reply, plan: base, lane: standard, risk: low, estimate: $0.1}
                expect: {reserved: $0.1}
            """,
        )
    )
    text = (tmp_path / "desk.policy").read_text(encoding="utf-8")
    dearer = policy_engine.load(text.replace("ceiling $0.20 per outcome as", "ceiling $0.30 per outcome as"))
    assert file.policy is not None
    for case in (*file.cases, *file.cases):
        assert case.run(file.policy).passed
        assert case.run(dearer).passed is (case.name == "its price")


def test_facts_that_follow_from_the_policy_are_not_kept_for_another(tmp_path: Path) -> None:
    """Mutants share one boundary, so that facts are read once; what a fresh world adds is each policy's own."""
    file = opened(
        tmp_path,
        """
        decisions:
          - case: an included reply brings in nothing
            admit: {outcome: reply, plan: base, risk: low}
            expect: {price: $0}
        """,
    )
    text = (tmp_path / "desk.policy").read_text(encoding="utf-8")
    paid = policy_engine.load(text.replace("plan base {", "plan base { fee $5 per month"))
    assert file.policy is not None
    paid.__dict__["boundary"] = file.policy.boundary
    for _ in range(2):
        assert file.cases[0].run(file.policy).passed
        assert not file.cases[0].run(paid).passed


@pytest.mark.parametrize(
    ("files", "name", "tested"),
    [
        (["desk.policy", "other.policy"], "desk", ["desk.policy"]),
        (["desk.policy", "sub/more.policy"], "both", [""]),
    ],
)
def test_which_policy_is_tested(files: list[str], name: str, tested: list[str], tmp_path: Path) -> None:
    case = "decisions: [{case: it, admit: {outcome: reply, risk: low}, expect: allow}]\n"
    path = written(tmp_path, case, name)
    for other in files:
        (tmp_path / other).parent.mkdir(exist_ok=True)
        if other != "desk.policy":
            (tmp_path / other).write_text("", encoding="utf-8")
    assert [str(path.relative_to(tmp_path)) for path in read(path).policy_paths] == [part or "." for part in tested]


def test_a_policy_with_mistakes_is_shown_with_them(tmp_path: Path) -> None:
    path = written(tmp_path, "decisions:\n  - case: it\n    admit: {outcome: reply}\n    expect: allow\n")
    (tmp_path / "desk.policy").write_text("ceiling $9 per monht\n", encoding="utf-8")
    file = read(path)
    assert file.policy is None
    assert {item.code for item in file.diagnostics} >= {"P203", "T027"}


def test_a_file_that_is_no_text_is_a_mistake(tmp_path: Path) -> None:
    path = written(tmp_path, "")
    path.write_bytes(b"decisions:\n  - case: \xff\n")
    file = read(path)
    assert file.policy is None
    assert len(file.diagnostics) == 1


@pytest.mark.parametrize(
    ("text", "name", "fits"),
    [
        ("overage $0.85 per draft, $4 per note", "overage $0.85 per draft", True),
        ("overage $0.85 per draft, $4 per note", "overage $0.85 per draft, $4", True),
        ("ceiling 60 attempts per day", "ceiling 6", False),
        ("ceiling $0.30 per outcome", "ceiling $0.3", False),
        ("ceiling $0.30 per outcome", "ceiling $0.30 per outcome", False),  # that is all of it, not how it begins
    ],
)
def test_how_a_rule_begins(text: str, name: str, fits: bool) -> None:
    assert begins(text, name) is fits
