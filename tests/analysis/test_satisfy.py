"""The answerer on small conditions: what it finds, what it excludes, and what it says it cannot tell."""

import sys
from fractions import Fraction
from typing import Any

import pytest

from policy_engine.analysis.satisfy import NO_PLAN, Impossible, Satisfier, Want, Witness, split
from tests.analysis.conditions import condition, policy_with, satisfier


def found(text: str, truth: bool | None = True, **asked: Any) -> dict[str, Any] | str:
    """The values of a witness by name, or the answer in a word."""
    return several([(text, truth)], **asked)


def several(wants: list[tuple[str, bool | None]], **asked: Any) -> dict[str, Any] | str:
    answer = satisfier().satisfy([Want(condition(text), truth) for text, truth in wants], **asked)
    match answer:
        case Witness(values):
            return {read.name: value for read, value in values.items()}
        case Impossible():
            return "impossible"
    return answer.reason


ONE_NAME = [
    ("risk is high", True, {"risk": "high"}),
    ("risk >= medium", False, {"risk": "low"}),
    ("risk is high", None, "impossible"),  # a required fact is never unknown
    ("tier is gold", None, "impossible"),  # nor is one with a default
    ("region is eu", None, {"region": None}),
    ("urgent", True, {"urgent": True}),
    ("urgent is false", False, {"urgent": True}),
    ("agreed", None, {"agreed": None}),
    ('ticket is "a"', True, {"ticket": "a"}),
    ('ticket not in ["a", "acme"]', True, {"ticket": "other"}),
    ('customer is "acme"', False, {"customer": "other"}),
    ('customer is ""', True, "impossible"),  # no customer is called nothing
    ('ticket is ""', True, {"ticket": ""}),
    ("words > 10", True, {"words": 11}),
    ("words > 10.5", True, {"words": 11}),
    ("2 * words is 7 + 2", True, "impossible"),
    ("words * 3 <= 20", False, {"words": 7}),
    ("pages < 0", True, {"pages": -1}),
    ("lines is 3", None, {"lines": None}),
    ("confidence < 0.5", True, {"confidence": Fraction(0)}),
    ("confidence > 0.5", True, {"confidence": Fraction(1)}),
    ("confidence is 0.25", True, {"confidence": Fraction(1, 4)}),
    ("3 * confidence is 1", True, "impossible"),  # no float says a third
    ("3 * confidence is 1", False, {"confidence": Fraction(0)}),
    ("quality >= 99.5%", True, {"quality": Fraction(100)}),
    ("budget > $9.99", True, {"budget": 10 * 10**9}),
    ("budget > $0.035", True, {"budget": 40_000_000}),
    ("patience < 1ms", True, {"patience": 0}),
    ("patience > 90s", True, {"patience": 91_000_000}),
    ("plan in [base, pro]", False, {"plan": NO_PLAN}),
    ("plan is base", None, "impossible"),
    ("workflow is desk", True, {"workflow": "desk"}),
    ("lane is unlisted", True, "impossible"),  # no outcome lists it
    ("route is spare", True, "impossible"),  # only the unlisted lane leads there
    ("route is human", True, "impossible"),  # a handoff is no attempt
    ("route is big", True, {"route": "big"}),
    ("attempt > 1", False, {"attempt": 1}),
    ("spent > $1", None, {"spent": None}),
    ("elapsed > 1s", None, "impossible"),
    ("spent per customer per day > $5", True, {"spent per customer per day": 5_010_000_000}),
    ("spent per customer per day > $5", None, {"spent per customer per day": None}),
    ("estimate < $1", None, {"estimate": None}),
    ("price > $0", True, {"price": 2 * 10**9}),
]


@pytest.mark.parametrize(("text", "truth", "expected"), ONE_NAME)
def test_one_name(text: str, truth: bool | None, expected: dict[str, Any] | str) -> None:
    assert found(text, truth) == expected


CEILING = [
    ("ceiling < $0.30", {}, {"outcome": "draft", "lane": "standard"}),
    ("ceiling > $0.30", {}, {"outcome": "draft", "lane": "standard"}),
    ("ceiling > $0.30", {"outcome": "reply"}, "impossible"),
    ("ceiling >= $0.30", {"outcome": "reply"}, {"ceiling": 300_000_000}),
    ("ceiling > $0", {"outcome": "note"}, "impossible"),  # it has none
    ("ceiling > $0", {"lane": "premium"}, "impossible"),
    ("ceiling > $0.50", {"outcome": "draft", "price": 2 * 10**9}, "impossible"),
    ("ceiling >= $0.50", {"outcome": "draft", "price": 2 * 10**9}, {"ceiling": 500_000_000}),
    ("ceiling < $0.50", {"outcome": "draft", "price": 2 * 10**9}, "impossible"),
    ("ceiling > $0", {"outcome": "draft", "price": 3}, "impossible"),  # a share of the price is rounded down
    ("spent > 50% of ceiling", {"outcome": "reply"}, {"ceiling": 300_000_000}),
    ("remaining > $0.30", {"outcome": "reply"}, "impossible"),
    ("remaining < $0", {"outcome": "reply"}, {}),  # a larger actual is booked in full
]


@pytest.mark.parametrize(("text", "fixed", "expected"), CEILING)
def test_the_ceiling_is_what_a_rule_says(text: str, fixed: dict[str, Any], expected: dict[str, Any] | str) -> None:
    answer = found(text, fixed=fixed)
    if isinstance(expected, str):
        assert answer == expected
    else:
        assert isinstance(answer, dict)
        assert {name: answer[name] for name in expected} == expected


def test_a_ceiling_that_may_apply_counts() -> None:
    policy = policy_with("ceiling $0.10 per outcome when region is eu\nfallback stop when ceiling > $0.10")
    (rule,) = policy.checked.rules.fallbacks
    assert rule.condition is not None
    ask = Satisfier(policy.checked)
    for region, never in ((None, True), ("eu", True), ("us", False)):
        assert ask.never(rule.condition, fixed={"outcome": "reply", "region": region}) is never


def test_a_failure_has_no_estimate() -> None:
    policy = policy_with("ceiling $0.10 per outcome when estimate > $5\nfallback stop when ceiling > $0.10")
    (rule,) = policy.checked.rules.fallbacks
    assert rule.condition is not None
    assert Satisfier(policy.checked).never(rule.condition, fixed={"outcome": "reply"}) is True  # so it applies


def test_what_remains_is_known_where_the_ceiling_and_the_spend_are() -> None:
    answer = found("remaining > $0.10", None, fixed={"outcome": "reply"})
    assert isinstance(answer, dict)
    assert (answer["remaining"], answer["spent"], answer["ceiling"]) == (None, None, 300_000_000)
    assert found("remaining > $0.10", None, fixed={"outcome": "reply", "spent": 0}) == "impossible"
    assert found("remaining > $0.10", None, fixed={"outcome": "note", "spent": 0}) != "impossible"
    assert found("remaining > $0.10", True, fixed={"outcome": "reply", "spent": None}) == "impossible"


TOGETHER = [
    ([("risk is high", True), ("risk <= medium", True)], "impossible"),
    ([("risk is high or urgent", False)], {"risk": "low", "urgent": False}),
    ([("risk is high and not urgent", False), ("risk is high", True)], {"risk": "high", "urgent": True}),
    ([("region is eu or region is not eu", False)], "impossible"),
    ([("region is eu or region is not eu", None)], {"region": None}),
    ([("region is eu or words > 5", None)], {"region": None, "words": 0}),
    ([("region is eu and words > 5", None)], {"region": None, "words": 6}),
    ([("region is eu and agreed", None), ("agreed", True)], {"region": None, "agreed": True}),
    ([("words > 5", True), ("words < 7", True)], {"words": 6}),
    ([("words > 5", True), ("words < 6", True)], "impossible"),
    ([("words > 5", True), ("words < 8", True), ("words is 6", False), ("words is 7", False)], "impossible"),
    ([("confidence > 0.3", True), ("confidence < 0.31", True)], {"confidence": Fraction("0.301")}),
    ([("workflow is desk", True), ("outcome is note", False)], "impossible"),
    ([("workflow is support", True), ("outcome is draft", False)], {"workflow": "support", "outcome": "reply"}),
    ([("outcome is reply", True), ("lane is premium", True)], "impossible"),
    ([("lane is premium", True), ("route is mini", True)], "impossible"),
    ([("workflow is support", True), ("lane is premium", True)], {"workflow": "support", "lane": "premium"}),
]


@pytest.mark.parametrize(("wants", "expected"), TOGETHER)
def test_together(wants: list[tuple[str, bool | None]], expected: dict[str, Any] | str) -> None:
    assert several(wants) == expected


SUMS = [
    ("words > pages", True, {"words": 0, "pages": -1}),
    ("words + pages is 3", True, {"words": 0, "pages": 3}),
    ("words - pages > 1000", False, None),
    ("words + lines > 2000", None, None),
    ("2 * pages + 4 * lines is 6", True, None),
    ("2 * pages + 4 * lines is 7", True, "impossible"),  # even on one side, odd on the other
    ("spent > 50% of ceiling", True, None),
    ("spent + 2 * remaining <= ceiling", False, None),
    ("confidence + score is 0.3", True, None),
    ("words + pages is not 3", False, None),
]


@pytest.mark.parametrize(("text", "truth", "expected"), SUMS)
def test_sums(text: str, truth: bool | None, expected: dict[str, Any] | str | None) -> None:
    answer = found(text, truth)
    if expected is None:
        assert isinstance(answer, dict)  # which values is not promised; that they do it is tested by the generated ones
    else:
        assert answer == expected


ORDER = [
    ("spent per day > spent per week", "impossible"),
    ("spent per week > spent per month", "found"),  # a week may be part of two months
    ("spent per customer per day > spent per day", "impossible"),
    ("spent per day > spent per customer per day", "found"),
    ("spent of draft per day > spent of support per month", "impossible"),
    ("spent of draft per day > spent of desk per day", "found"),
    ("count of human per day > count per day", "found"),  # handoffs are no admissions
    ("count of premium per day > count per day", "impossible"),
    ("tokens per minute > tokens per outcome per hour", "found"),
    ("tokens per outcome per minute > tokens per workflow per hour", "impossible"),
    ("remaining > ceiling", "impossible"),
    ("remaining + spent > ceiling", "impossible"),
    ("spent > ceiling", "found"),
]


@pytest.mark.parametrize(("text", "expected"), ORDER)
def test_names_that_are_tied(text: str, expected: str) -> None:
    answer = found(text)
    assert (answer if isinstance(answer, str) else "found") == expected


def test_an_order_binds_only_what_is_known() -> None:
    wants: list[tuple[str, bool | None]] = [("spent per day > $5", True), ("spent per week > $3", False)]
    assert several(wants) == "impossible"
    wants = [("spent per day > $5", True), ("spent per week > $3", None)]
    assert several(wants) == {"spent per day": 5_010_000_000, "spent per week": None}
    day, week = condition("spent per day > $5"), condition("spent per week > $3")
    assert satisfier().implies(day, week) is False  # the week's counter may be silent
    assert satisfier().implies(day, week, known=True) is True
    wants = [("spent per day > $5", True), ("spent per week > $3 or region is eu", None)]
    answer = several(wants)
    assert isinstance(answer, dict)
    assert answer["spent per week"] is None


def test_fixed_names() -> None:
    assert found("risk is high", fixed={"risk": "low"}) == "impossible"
    assert found("risk is high", fixed={"risk": "high"}) == {"risk": "high"}
    assert found("words + pages > 10", fixed={"words": 4})["pages"] == 7  # type: ignore[index]  # a witness
    assert found("lane is premium", fixed={"outcome": "reply"}) == "impossible"
    assert found("lane is premium", fixed={"outcome": "note"}) == {"lane": "premium"}
    assert found("workflow is desk", fixed={"outcome": "draft"}) == "impossible"
    assert found("risk is high", fixed={"outcome": "note", "lane": "standard"}) == "impossible"
    assert found("region is eu", None, fixed={"region": None}) == {"region": None}
    assert found("risk is high", fixed={"risk": None}) == "impossible"
    assert found("plan is base", False, fixed={"plan": None}) == {"plan": NO_PLAN}
    assert found("plan is base", fixed={"plan": NO_PLAN}) == "impossible"
    assert found("words > 3", fixed={"words": 1001}) == "impossible"
    assert found('customer is "a"', False, fixed={"customer": "zoe"}) == {"customer": "zoe"}
    assert found("spent per day > $1", fixed={"spent per day": 10**9}) == "impossible"


def test_known_leaves_nothing_unknown() -> None:
    assert found("region is eu", None, known=True) == "impossible"
    assert found("spent per day > $1", None, known=True) == "impossible"
    test = condition("region is eu or region is not eu")
    assert satisfier().always(test) is False
    assert satisfier().always(test, known=True) is True


def test_always_never_implies() -> None:
    ask = satisfier()
    assert ask.always(condition("words > 5 or words <= 5")) is True
    assert ask.always(condition("words > 5")) is False
    assert ask.never(condition("words > 5 and words < 6")) is True
    assert ask.never(condition("region is eu and region is us")) is True
    assert ask.never(condition("words > 5")) is False
    assert ask.implies(condition("words > 5"), condition("words > 4")) is True
    assert ask.implies(condition("words > 4"), condition("words > 5")) is False
    assert ask.implies(condition("risk is high"), condition("risk >= medium")) is True
    assert ask.implies(condition("risk is high"), condition("region is eu")) is False


def test_fallbacks_lead_to_routes_of_no_lane() -> None:
    inside = policy_with(inside="fallback spare when route is spare")
    test = inside.checked.outcomes["note"].rules.fallbacks[0].condition
    assert test is not None
    ask = type(satisfier())(inside.checked)
    assert ask.never(test) is False
    assert ask.never(test, fixed={"outcome": "draft"}) is True


LEFT_OPEN = [
    ("7 * pages - 5 * lines >= 1 and 7 * pages - 5 * lines <= 2 and pages > 3 and pages < 6", "impossible"),
    ("3 * words + 5 * pages is 7 and words > 900 and pages < -500", "found"),
    ("3 * confidence + 7 * score is 1", "found"),
]
"""Whole numbers between close bounds, and decimals that have to be guessed together."""


@pytest.mark.parametrize(("text", "expected"), LEFT_OPEN)
def test_what_the_own_procedure_leaves_open_is_asked_of_z3(text: str, expected: str) -> None:
    pytest.importorskip("z3", reason="z3 is the extra `prove`")
    answer = found(text)
    assert (answer if isinstance(answer, str) else "found") == expected


@pytest.mark.parametrize("text", [text for text, _ in LEFT_OPEN])
def test_without_z3_it_is_said_what_is_missing(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "z3", None)
    assert found(text) == (
        "several sums have to be met at once: needs the extra `prove`: pip install 'policy_engine[prove]'"
    )
    ask = satisfier()
    assert ask.never(condition(text)) is None
    assert ask.always(condition(text)) in (None, False)


def test_too_many_cases_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "z3", None)
    monkeypatch.setattr(split, "MAX_CASES", 3)
    text = " and ".join(f"({one} or {other})" for one, other in (("urgent", "agreed"), ("words > 5", "region is eu")))
    hard = f"{text} and words < 3 and region is us"
    assert found(text) != "impossible"
    assert found(hard) == "impossible"  # no case is left to look at
    many = " and ".join(f"(words is {n} or pages is {n} or lines is {n} or score is {n})" for n in range(1, 6))
    assert str(found(many)).startswith("there are too many cases to look at each: needs the extra `prove`")
