"""Scenario cases: what can happen in a story, what can be expected after it, and stories that go another way."""

from pathlib import Path

import pytest

import policy_engine
from tests.testing.desk import only, opened

ADMIT = "admit: {customer: acme, outcome: reply, plan: base, risk: low}"
TOKENS = "{input_tokens: 1000, max_output_tokens: 1000}"


def told(folder: Path, *events: str) -> bool:
    """Whether a story of these events goes as it says."""
    result = only(folder, story(*events))
    assert result.problem is None, result.problem
    return result.passed


def story(*events: str, start: str = "2026-03-02 09:00") -> str:
    lines = "\n".join(f"      - {event}" for event in events)
    return f"scenarios:\n  - case: a story\n    start: {start}\n    timeline:\n{lines}\n"


@pytest.mark.parametrize(
    ("events", "goes"),
    [
        (["{%s, expect: {lane: standard, state: running, spent: $0, attempts: 0}}"], True),
        (["{%s, expect: {state: denied}}"], False),
        (["{%s, expect: {units: {allowance: 9}}}"], True),
        (["{%s, expect: {units: {allowance: 10}}}"], False),
        (["{%s, expect: {units: {burst: none}}}"], True),
        # an attempt and what it cost
        (["{%s}", "{attempt: @, expect: {effect: go, reserved: $0.006, counters: {spent per day: $0.006}}}"], True),
        (["{%s}", "{attempt: @, expect: {counters: {spent per day: {settled: $0, reserved: $0.006}}}}"], True),
        (["{%s}", "{attempt: @, expect: {counters: {spent per day: {settled: $0.006}}}}"], False),
        (["{%s}", "{attempt: @}", "{succeed: ~, expect: {spent: $0.006, step: succeeded, over: none}}"], True),
        (
            [
                "{%s}",
                "{attempt: @}",
                "{succeed: {input_tokens: 1000, output_tokens: 500}, expect: {spent: $0.0035, attempts: 1}}",
            ],
            True,
        ),
        (["{%s}", "{attempt: @}", "{succeed: {cost: $0.05}, expect: {spent: $0.05, over: [spent]}}"], True),
        (["{%s}", "{attempt: {estimate: $0.21}, expect: {effect: refuse, then: {effect: route, route: big}}}"], True),
        (["{%s}", "{attempt: {estimate: $0.21}, expect: {effect: refuse, then: stop}}"], False),
        (["{%s}", "{attempt: {estimate: $0.1}, expect: {then: stop}}"], False),
        # progress: the attempt's own reservation is not held against it
        (["{%s}", "{attempt: {estimate: $0.2}}", "{progress: {output_tokens: 5}, expect: go}"], True),
        (
            ["{%s}", "{attempt: @}", "{progress: {output_tokens: 1001}, expect: {effect: cut, reason: output_cap}}"],
            True,
        ),
        # failures
        (["{%s}", "{attempt: @}", "{fail: timeout, expect: {effect: retry, route: mini}}"], True),
        (
            ["{%s}", "{attempt: @}", "{fail: timeout}", "{attempt: again}", "{fail: timeout, expect: {route: big}}"],
            True,
        ),
        (["{%s}", "{attempt: @}", "{fail: {error: garbled, cost: $0.002}, expect: {spent: $0.002, route: big}}"], True),
        # settling
        (["{%s}", "deliver", "{wait: 47h}", "{accept: ~, expect: {effect: accepted, earned: $0, window: 1h}}"], True),
        (["{%s}", "deliver", "{wait: 49h}", "{accept: ~, expect: {effect: refuse, reason: window_closed}}"], True),
        (["{%s}", "deliver", "{reject: ~, expect: {state: rejected, units: {allowance: 10}}}"], True),
        (["{%s}", "deliver", "accept", "{reverse: ~, expect: {state: reversed, units: {allowance: 10}}}"], True),
        (["{%s}", "deliver", "{wait: 2d}", "{lapse: ~, expect: {state: accepted}}"], True),
        (["{%s}", "{abort: ~, expect: {effect: aborted, unit: restored}}"], True),
        # time, and what customers buy
        (["{top_up: {pack: burst, customer: acme}}", "{%s, expect: {units: {burst: 100}}}"], True),
        (["{%s}", "{top_up: burst}", "{expect: {units: {burst: 100, allowance: 9}}}"], True),
        (
            ["{%s}", "{attempt: @}", "succeed", "{clock: 2026-03-03 00:00, expect: {counters: {spent per day: $0}}}"],
            True,
        ),
        (["{%s}", "{clock: 2026-04-01 00:00}", "{%s, expect: {units: {allowance: 9}}}"], True),
    ],
)
def test_what_may_happen(events: list[str], goes: bool, tmp_path: Path) -> None:
    assert told(tmp_path, *(event.replace("%s", ADMIT).replace("@", TOKENS) for event in events)) is goes


def test_several_executions_are_told_apart(tmp_path: Path) -> None:
    assert told(
        tmp_path,
        f"{{{ADMIT}, as: first}}",
        f"{{{ADMIT.replace('acme', 'borealis')}, as: second}}",
        f"{{attempt: {TOKENS}, of: first, expect: {{attempts: 1}}}}",
        "{of: second, expect: {attempts: 0, units: {allowance: 9}}}",
        "{of: second, expect: {counters: {spent of support per customer per day: $0}}}",
        "{fail: timeout, of: first, expect: {effect: retry}}",
        "{attempt: again, expect: {attempts: 2}}",  # the one last spoken of
        "{expect: {counters: {spent per day: $0.012, spent of support per customer per day: $0.012}}}",
        "{deliver: ~, of: second, expect: {state: delivered}}",
        "{of: first, expect: {state: running}}",
    )


def test_steps_have_names_and_begin_at_the_head(tmp_path: Path) -> None:
    assert told(
        tmp_path,
        f"{{{ADMIT}}}",
        f"{{attempt: {TOKENS}, step: outline}}",
        "{fail: garbled, expect: {route: big}}",
        f"{{attempt: {TOKENS}, step: writing, expect: {{reserved: $0.006}}}}",
        "{succeed: ~, expect: {step: succeeded, attempts: 2}}",
    )


@pytest.mark.parametrize(
    ("events", "key", "got"),
    [
        ([f"{{{ADMIT}}}", "{succeed: ~}"], "succeed", "no attempt is running"),
        ([f"{{{ADMIT}}}", "{attempt: {estimate: $1}}", "{fail: timeout}"], "fail", "the attempt was refused"),
        (["deliver"], "deliver", "nothing was admitted yet"),
        ([f"{{{ADMIT}}}", f"{{attempt: {TOKENS}}}", "succeed", f"{{attempt: {TOKENS}}}"], "attempt", "succeeded"),
        ([f"{{{ADMIT}}}", f"{{attempt: {TOKENS}}}", f"{{attempt: {TOKENS}}}"], "attempt", "waiting"),
        ([f"{{{ADMIT}}}", "abort", f"{{attempt: {TOKENS}}}"], "attempt", "aborted"),
        ([f"{{{ADMIT.replace('risk', 'lane: premium, risk')}}}", "deliver"], "deliver", "it was not admitted"),
    ],
)
def test_what_cannot_happen_is_a_failure_there(events: list[str], key: str, got: str, tmp_path: Path) -> None:
    result = only(tmp_path, story(*events, "{expect: {state: running}}"))
    (failure,) = result.failures
    assert failure.key == key
    assert got in failure.got


def test_a_story_ends_where_it_goes_another_way(tmp_path: Path) -> None:
    result = only(tmp_path, story(f"{{{ADMIT}, expect: {{lane: premium, route: big}}}}", "{expect: {state: denied}}"))
    assert [(failure.key, failure.got) for failure in result.failures] == [("lane", "standard"), ("route", "mini")]
    assert {failure.event for failure in result.failures} == {"admit"}


def test_the_facts_of_a_failure_give_the_same_decision_again(tmp_path: Path) -> None:
    file = opened(
        tmp_path,
        story(
            f"{{{ADMIT}, as: another}}",
            f"{{attempt: {TOKENS}}}",  # reserved while the rest happens
            f"{{{ADMIT}}}",
            f"{{attempt: {TOKENS}}}",
            "{fail: {error: timeout, cost: $0.004}, expect: {effect: retry}}",
            "{attempt: again, expect: refuse}",
        ),
    )
    assert file.policy is not None
    (failure,) = file.cases[0].run(file.policy).failures
    assert failure.facts is not None
    assert failure.facts["meters"]["spent per day"] == {"settled": "0.004", "reserved": "0.006"}
    assert failure.decision is not None
    again = file.policy.attempt(file.policy.facts("attempt", failure.facts))
    assert again.to_json() == failure.decision.to_json()


def test_a_story_is_played_under_the_policy_it_is_given(tmp_path: Path) -> None:
    file = opened(tmp_path, story(f"{{{ADMIT}}}", f"{{attempt: {TOKENS}, expect: go}}", "succeed"))
    text = (tmp_path / "desk.policy").read_text(encoding="utf-8")
    tight = policy_engine.load(text.replace("ceiling $0.20 per outcome as", "ceiling $0.001 per outcome as"))
    shut = policy_engine.load(text.replace("price $1\n", "price $1\n    forbid when risk is low\n"))
    assert file.policy is not None
    for _ in range(2):  # nothing of one run is left for the next
        assert file.cases[0].run(file.policy).passed
        assert not file.cases[0].run(tight).passed
        assert not file.cases[0].run(shut).passed


def test_time_is_the_policys(tmp_path: Path) -> None:
    zoned = 'timezone "Asia/Tokyo"\n'
    file = opened(
        tmp_path,
        story(
            f"{{{ADMIT}}}",
            f"{{attempt: {TOKENS}}}",
            "succeed",
            "{wait: 16h}",
            "{expect: {counters: {spent per day: $0}}}",
        ),
    )
    text = (tmp_path / "desk.policy").read_text(encoding="utf-8")
    tokyo = policy_engine.load(zoned + text)
    # The story begins at nine in the policy's own zone, so its next day begins after fifteen hours in each.
    assert file.policy is not None
    assert file.cases[0].run(file.policy).passed
    assert file.cases[0].run(tokyo).passed
