"""Conditions: always, never, implied, forgotten; unknown facts are part of "always" and of "never"."""

import pytest

from tests.analysis.lint.underlined import one_outcome, underlined

HEAD = """fact risk: low < medium < high
fact region?: eu | us | apac
fact vip?: boolean
fact size: integer 0..100
fact score: number 0..1
"""
PLANS = "plan team { includes 5 reply }\nplan free { includes 1 reply }"


def _found(code: str, rules: str, file: str = "") -> list[str]:
    return underlined(code, one_outcome(lanes="lane standard { mini }", rules=rules, head=HEAD, file=file))


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("forbid when risk < high or risk is high", ["when risk < high or risk is high"]),
        ("forbid when risk < high or risk is medium", []),
        ("forbid unless risk is low and risk is high", ["unless risk is low and risk is high"]),
        ("forbid when vip or not vip", []),  # unknown is neither
        ("forbid when region in [eu, us] or region is apac", []),  # unknown, again
        ("forbid when size < 50 or size >= 50", ["when size < 50 or size >= 50"]),
        ("forbid when size < 50 or size > 50", []),
        ("forbid when size <= 50 or size >= 51", ["when size <= 50 or size >= 51"]),  # a whole number
        ("forbid when score < 0.5 or score > 0.5", []),
        ("forbid when size + score > 3 or size + score <= 3", ["when size + score > 3 or size + score <= 3"]),
        ("forbid when plan is team or plan is free", []),  # or none
    ],
)
def test_always(rule: str, found: list[str]) -> None:
    if "size + score" in rule:
        rule = rule.replace("size + score", "2 * size")  # units do not mix
        found = [text.replace("size + score", "2 * size") for text in found]
    assert _found("L060", rule, PLANS) == found


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("forbid when risk is low and risk is high", ["when risk is low and risk is high"]),
        ("forbid when region is eu and region is us", []),  # unknown is forbidden, so the rule has work
        ("allow when region is eu and region is us", ["when region is eu and region is us"]),
        ("forbid when vip and not vip", []),
        ("allow when vip and not vip", ["when vip and not vip"]),
        ("forbid when size > 20 and size < 21", ["when size > 20 and size < 21"]),
        ("forbid when size > 20 and size < 22", []),
        ("forbid when score > 0.2 and score < 0.21", []),
        ("forbid when plan is team and plan is free", ["when plan is team and plan is free"]),
        ("retry 1 on timeout when error is timeout and error is rate_limit",
         ["when error is timeout and error is rate_limit"]),
    ],
)  # fmt: skip
def test_never(rule: str, found: list[str]) -> None:
    assert _found("L061", rule, PLANS) == found


def test_the_block_settles_names() -> None:
    plan = "plan team { includes 5 reply  forbid when plan is free and risk is low }\nplan free { includes 1 reply }"
    assert _found("L061", "", plan) == ["when plan is free and risk is low"]
    plan = plan.replace("plan is free and risk is low", "plan is team or risk is low")
    assert _found("L060", "", plan) == ["when plan is team or risk is low"]


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ("forbid when risk >= medium and risk is high", ["risk >= medium"]),
        ("forbid when risk >= medium or risk is high", ["risk is high"]),
        ("forbid when size > 10 and size > 20", ["size > 10"]),
        ("forbid when size > 10 and size < 20", []),
        ("forbid when size > 10 and risk is high", []),
        ("forbid when region is eu and region in [eu, us]", ["region in [eu, us]"]),
        ("forbid when (risk is high and size > 5) or (risk is high and size > 9)", ["risk is high and size > 9"]),
        ("forbid when risk is high and (size > 5 or size > 9)", ["size > 9"]),
        ("forbid unless risk >= medium and risk is high", ["risk >= medium"]),
        ("allow when risk >= medium\nallow when risk is high", ["allow when risk is high"]),
        ("allow when risk is high\nallow when risk >= medium", []),
        ("allow\nallow when risk is high", ["allow when risk is high"]),
        ("forbid when risk >= medium\nforbid when risk is high", ["forbid when risk is high"]),
        ("forbid when risk >= medium\nshadow forbid when risk is high", []),  # asked apart
        # Not the same for the unknown: the first forbids it, the second would not.
        ("forbid when risk is high and vip\nforbid when risk is high", []),
        ("allow when vip\nallow when vip", ["allow when vip"]),
    ],
)
def test_implied(rules: str, found: list[str]) -> None:
    assert _found("L062", rules) == found


LANES = """lane europe { mini  allow when place is eu }
lane america { mini  allow when place is us }
"""


@pytest.mark.parametrize(
    ("lanes", "rules", "found"),
    [
        (LANES, "", ["apac"]),
        (LANES + "lane rest { mini }", "", []),
        (LANES.replace("is us", "in [us, apac]"), "", []),
        (LANES, "forbid when place is apac", []),  # meant
        ("lane standard { mini }", "allow when place is eu", ["us", "apac"]),
        ("lane standard { mini }", "allow when place is eu or size > 5", []),
        ("lane standard { mini }", "allow unless place is eu", []),
    ],
)
def test_values_never_used(lanes: str, rules: str, found: list[str]) -> None:
    head = "fact place: eu | us | apac\nfact size: integer 0..9"
    assert underlined("L063", one_outcome(lanes=lanes, rules=rules, head=head)) == found


def test_facts_never_read() -> None:
    head = "fact a: low | high\nfact b: boolean\nfact c: integer 0..9"
    found = underlined("L064", one_outcome(lanes="lane standard { mini }", rules="shadow forbid when b", head=head))
    assert [
        text.split()[0].strip(":") if text.split()[0] != "fact" else text.split()[1].strip(":") for text in found
    ] == [
        "a",
        "c",
    ]
