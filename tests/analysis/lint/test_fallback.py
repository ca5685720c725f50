"""Fallbacks: what is reported, what is not, and that what is reported is what the engine does."""

import pytest

from policy_engine.language.checked import FallbackRule
from policy_engine.policy import load
from tests.analysis.lint.underlined import one_outcome, underlined

TWO = "lane standard { mini -> sonnet -> desk }"


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ("fallback stop on any\nfallback next on timeout", ["fallback next on timeout"]),
        ("fallback stop on timeout\nfallback next on any", []),  # the other classes are left
        ("fallback stop on timeout\nfallback stop on rate_limit\nfallback next on timeout, rate_limit",
         ["fallback next on timeout, rate_limit"]),
        ("fallback stop on any when risk is high\nfallback next on timeout", []),
        ("fallback stop on any when risk is high\nfallback next on timeout when risk is high",
         ["fallback next on timeout when risk is high"]),
        ("fallback sonnet on any\nfallback sonnet on timeout", ["fallback sonnet on timeout"]),
        ("fallback sonnet on any\nfallback next on timeout", []),  # reached once the step has been on sonnet
        ("fallback sonnet on any\nfallback stop on timeout", []),
        ("fallback next on any\nfallback next on timeout", ["fallback next on timeout"]),
        ("fallback desk on any\nfallback next on timeout", []),  # the desk's limit may be reached
        ("fallback desk on any\nfallback desk on timeout", ["fallback desk on timeout"]),
        # An unknown condition holds for what ends the step, and not for what goes on.
        ("fallback next on any when vip\nfallback next on timeout when vip", ["fallback next on timeout when vip"]),
        ("fallback stop on any when vip\nfallback next on timeout when vip", ["fallback next on timeout when vip"]),
        ("fallback next on any when vip\nfallback desk on timeout when vip", []),
    ],
)  # fmt: skip
def test_unreachable(rules: str, found: list[str]) -> None:
    head = "fact risk: low < medium < high\nfact vip?: boolean"
    assert underlined("L040", one_outcome(lanes=TWO, rules=rules, head=head)) == found


def test_a_fallback_that_another_outcome_reaches_is_not_reported() -> None:
    text = one_outcome(lanes=TWO, rules="fallback stop on any", file="fallback next on timeout")
    assert underlined("L040", text) == ["fallback next on timeout"]
    other = "workflow sales { outcome note { price $1  lanes standard } }\n"
    assert underlined("L040", text + other) == []


def test_what_is_called_unreachable_never_decides() -> None:
    rules = (
        "fallback sonnet on any\nfallback stop on rate_limit\nfallback sonnet on timeout\nfallback next on rate_limit"
    )
    policy = load(one_outcome(lanes=TWO, rules=rules))
    hidden = underlined("L040", one_outcome(lanes=TWO, rules=rules))
    assert hidden == ["fallback sonnet on timeout", "fallback next on rate_limit"]
    decided = set()
    for error in policy.checked.error_classes:
        for visited in (["mini"], ["mini", "sonnet"], ["mini", "sonnet", "desk"], ["mini", "desk"]):
            facts = {
                "customer": "acme", "outcome": "reply", "lane": "standard", "route": "mini", "step": "s", "price": 1,
                "error": error, "visited": visited, "failures": 1,
            }  # fmt: skip
            decision = policy.failure(policy.facts("failure", facts, assume_zero=True))
            decided |= {ruling.rule.text for ruling in decision.rulings}
    written = {rule.ref.text for rule in policy.checked.every_rule() if isinstance(rule, FallbackRule)}
    assert decided & written == written - set(hidden)


@pytest.mark.parametrize(
    ("lanes", "rules", "file", "found"),
    [
        ("lane standard { mini -> sonnet }", "fallback sonnet on over_ceiling", "",
         ["fallback sonnet on over_ceiling"]),
        ("lane standard { sonnet -> mini }", "fallback mini on over_ceiling", "", []),
        ("lane standard { mini -> sonnet }", "fallback sonnet on any", "", []),  # over_ceiling is not named
        ("lane standard { mini -> sonnet }", "fallback next on over_ceiling", "", []),
        ("lane standard { mini -> sonnet }", "fallback desk on over_ceiling", "", []),
        ("lane standard { web -> dear_web }", "fallback dear_web on over_ceiling", "",
         ["fallback dear_web on over_ceiling"]),
        ("lane standard { web -> sonnet }", "fallback sonnet on over_ceiling", "", []),  # a flat cost beside rates
        # A second lane begins at the dearer route: from there the target is none, so nothing contradicts.
        ("lane standard { mini -> sonnet }\nlane premium { sonnet -> mini }", "fallback sonnet on over_ceiling", "",
         ["fallback sonnet on over_ceiling"]),
        ("lane standard { mini -> sonnet }", "fallback sonnet on over_ceiling",
         "ceiling $0.01 per attempt when route is mini", []),
        ("lane standard { mini -> sonnet }", "fallback sonnet on over_ceiling", "ceiling $9 per route per day", []),
    ],
)  # fmt: skip
def test_dearer_target(lanes: str, rules: str, file: str, found: list[str]) -> None:
    assert underlined("L041", one_outcome(lanes=lanes, rules=rules, file=file)) == found


def test_a_route_with_a_ceiling_of_its_own_may_be_left_for_a_dearer_one() -> None:
    text = one_outcome(lanes="lane standard { mini -> sonnet }", rules="fallback sonnet on over_ceiling")
    assert (
        underlined(
            "L041", text.replace("$0.60 out per 1M tokens", "$0.60 out per 1M tokens  ceiling $0.01 per attempt")
        )
        == []
    )


@pytest.mark.parametrize(
    ("lanes", "rules", "file", "stuck", "skipped"),
    [
        ("lane standard { mini -> sonnet }", "", "", ["reply"], []),
        ("lane standard { mini -> sonnet }", "fallback stop on timeout", "", ["reply"], []),
        ("lane standard { mini -> sonnet }", "", "fallback next on timeout", [], []),
        ("lane standard { mini }", "", "", [], []),
        ("lane standard { mini -> sonnet -> desk }", "fallback desk on any", "", [], ["sonnet"]),
        ("lane standard { mini -> sonnet -> desk }", "fallback sonnet on timeout", "", [], ["desk"]),
        ("lane standard { mini -> sonnet -> desk }", "fallback next on timeout when failures > 1", "", [], []),
        ("lane standard { mini -> sonnet }\nlane premium { sonnet -> mini }", "fallback next when lane is premium", "",
         ["reply"], []),
        ("lane standard { mini -> sonnet\n fallback next on any }\nlane premium { sonnet -> mini }", "", "",
         ["reply"], []),
    ],
)  # fmt: skip
def test_ways_out(lanes: str, rules: str, file: str, stuck: list[str], skipped: list[str]) -> None:
    text = one_outcome(lanes=lanes, rules=rules, file=file)
    assert underlined("L042", text) == stuck
    assert underlined("L043", text) == skipped


@pytest.mark.parametrize(
    ("route", "found"),
    [
        ('handoff "desk"  cost $2  limit 9 per day', []),
        ('handoff "desk"  cost $0.00  limit 9 per day', []),  # a person who costs nothing is said to cost nothing
        ('handoff "desk"  cost $2  limit 9 per day when risk is low', []),
        ('handoff "desk"  cost $2', ["desk"]),
        ('handoff "desk"  limit 9 per day', ["desk"]),
        ('handoff "desk"', ["desk"]),
    ],
)
def test_handoffs(route: str, found: list[str]) -> None:
    text = one_outcome(lanes="lane standard { mini -> desk }", rules="fallback next", head="fact risk: low | high")
    assert underlined("L044", text.replace('handoff "support desk"  cost $2  limit 9 per day', route)) == found


@pytest.mark.parametrize(
    ("lanes", "found"),
    [
        ("lane standard { mini -> sonnet }", ["fallback mini on timeout"]),
        ("lane standard { sonnet -> mini }", []),
        ("lane standard { mini -> sonnet }\nlane premium { sonnet -> mini }", []),
    ],
)
def test_fallback_to_the_head(lanes: str, found: list[str]) -> None:
    assert underlined("L045", one_outcome(lanes=lanes, rules="fallback mini on timeout")) == found
