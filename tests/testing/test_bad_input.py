"""What nobody means to write and somebody will: a mistake with its place, in words of ours, and soon."""

from pathlib import Path

import pytest

from policy_engine.testing.files import read
from tests.testing.desk import only, written
from tests.testing.test_scenarios import ADMIT, TOKENS, story

FACTS = "{outcome: reply, risk: low}"


def table(head: str, row: str) -> str:
    return f"decisions:\n  - case: a table\n    admit: {FACTS}\n    table:\n      - {head}\n      - {row}\n"


def chain(first: str, count: int, link: str) -> str:
    fixtures = "".join(f"  f{i}: {{like: {link.format(i - 1)}}}\n" for i in range(1, count))
    case = f"decisions:\n  - case: a chain\n    admit: f{count - 1}\n    expect: allow\n"
    return f"fixtures:\n  f0: {first}\n{fixtures}{case}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # a head of a table that is none
        (table("[risk, =>, effect: x]", "[low, =>, allow]"), "a column goes by the name of a fact"),
        (table("[[risk], =>, effect]", "[low, =>, allow]"), "a column goes by the name of a fact"),
        (table("[~, =>, effect]", "[low, =>, allow]"), "a column goes by the name of a fact"),
        (table("[1, =>, true]", "[low, =>, allow]"), "a column goes by the name of a fact"),
        # a column twice: which cell would hold?
        (table("[risk, risk, =>, effect]", "[low, high, =>, allow]"), "`risk` is written twice"),
        (table("[risk, =>, effect, effect]", "[low, =>, allow, deny]"), "`effect` is written twice"),
        # values that are no scalars are named, not printed
        (story(ADMIT, "wait: [1]", "expect: {state: running}"), "`wait` cannot be a list"),
        (story(ADMIT, "wait:", "expect: {state: running}"), "`wait` cannot be `~`"),
        (f"decisions:\n  - case: a\n    admit: {FACTS}\n    expect: {{lane: [x]}}\n", "`lane` cannot be `[x]`"),
        # time goes on, and not for ever
        (story(ADMIT, "wait: -47h", "expect: {state: running}"), "`wait` cannot be `-47h`"),
        (story(ADMIT, "wait: -1", "expect: {state: running}"), "`wait` cannot be `-1`"),
        (story(ADMIT, "clock: 9999-12-31 23:59", "expect: {state: running}"), "`clock` cannot be `9999-12-31 23:59`"),
        (story(f"{{{ADMIT}, expect: allow}}", start="9999-12-31 23:59"), "`start` cannot be `9999-12-31 23:59`"),
        (story(f"{{{ADMIT}, expect: allow}}", start="0001-01-01 00:00"), "`start` cannot be `0001-01-01 00:00`"),
        # fixtures that are like one another without end
        (chain(FACTS, 3000, "f{}"), "more than 40 fixtures, each like the next"),
    ],
)
def test_a_mistake_in_our_words(text: str, said: str, tmp_path: Path) -> None:
    messages = [item.message for item in read(written(tmp_path, text)).diagnostics]
    assert any(said in message for message in messages), messages
    assert "Node(" not in "".join(messages)


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([f"{{{ADMIT}}}", f"{{attempt: {TOKENS}}}", "{succeed: {cost: -1}, expect: {state: running}}"], "below zero"),
        ([f"{{{ADMIT}}}", f"{{attempt: {TOKENS}}}", "{fail: {error: timeout, cost: -1}, expect: stop}"], "below zero"),
        (
            [f"{{{ADMIT}}}", f"{{attempt: {TOKENS}}}", "{succeed: {cost: 99999999999}, expect: {state: running}}"],
            "more than a ledger counts",
        ),
        ([f"{{{ADMIT}}}", "{wait: 999999999999d}", f"{{{ADMIT}, expect: allow}}"], "behind the year 2999"),
    ],
)
def test_a_story_that_cannot_go_on_says_so(events: list[str], said: str, tmp_path: Path) -> None:
    result = only(tmp_path, story(*events))
    words = [result.problem.message] if result.problem is not None else [str(item) for item in result.failures]
    assert any(said in word for word in words), words


@pytest.mark.parametrize("amount", ["€0.16", ".inf", "NaN", "9" * 40])
def test_an_amount_that_cannot_be_meant_is_shown_where_it_stands(amount: str, tmp_path: Path) -> None:
    told = story(f"{{{ADMIT}}}", f"{{attempt: {TOKENS}, expect: {{effect: go, reserved: {amount}}}}}")
    facts = "{outcome: reply, risk: low, lane: standard, estimate: 1}"
    asked = f"decisions:\n  - case: a\n    attempt: {facts}\n    expect: {{effect: refuse, reserved: {amount}}}\n"
    for text in (told, asked):
        problem = only(tmp_path, text).problem
        assert problem is not None
        assert problem.span.text == amount
        assert problem.message.startswith("`reserved`: ")
        assert problem.hint == "write an amount in USD"


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("decisions:\n  - case: a name\n\tadmit: {}\n", "a tab cannot indent or align here", 3),
        ("decisions:\n  - case: a\n    admit:{outcome: reply}\n    table: []\n", "", 3),
        ("decisions:\n  - case: a\n    admit:ticket\n    table: []\n", "this line has no colon", 3),
    ],
)
def test_a_slip_in_yaml_is_shown_in_its_line(text: str, said: str, line: int, tmp_path: Path) -> None:
    (mistake, *_) = read(written(tmp_path, text)).diagnostics
    assert said in mistake.message
    assert mistake.span.line == line


def test_fixtures_like_two_others_each_are_put_together_once(tmp_path: Path) -> None:
    """Two to the power of forty, if each were followed wherever it is named."""
    assert not read(written(tmp_path, chain(FACTS, 40, "[f{0}, f{0}]"))).diagnostics
