"""One rule, one sentence: tables of what is written and what is said."""

import pytest

import policy_engine
from policy_engine.analysis.explain.governing import Line, explain
from policy_engine.language.checked import CheckedPolicy

PRELUDE = """
currency USD
fact risk: low < medium < high < critical = low
fact region?: eu | us | apac
fact confidence: number 0..1 = 1
fact urgent?: boolean
fact regulated: boolean = false
fact touches_payments: boolean = false
fact pages: integer 0..1000 = 1
fact lines_changed: integer 0..1000 = 1
fact size?: integer 0..1000
fact coverage?: percent 0%..100%
fact topic: text = "x"
fact patience: duration = 1h
error stale
route mini {{ model "m:mini" rates $1 in, $2 out per 1k tokens {mini} }}
route big {{ model "m:big" rates $1 in, $2 out per 1k tokens }}
route human {{ handoff "tier 2" {human} }}
lane standard {{ mini -> big -> human }}
lane premium {{ big -> mini {premium} }}
plan base {{ fee $100 per month includes 100 draft overage $1.50 per draft {base} }}
plan pay {{ overage $1 per draft }}
{file}
workflow support {{
  {workflow}
  outcome draft {{ price $2 lanes premium, standard {outcome} }}
}}
"""
BLOCKS = ("mini", "human", "premium", "base", "file", "workflow", "outcome")


def policy(**rules: str) -> CheckedPolicy:
    text = PRELUDE.format(**dict.fromkeys(BLOCKS, "") | rules)
    return policy_engine.load(text).checked


def lines(checked: CheckedPolicy, plan: str | None = None, lane: str | None = None) -> list[Line]:
    found = explain(checked, "draft", plan, lane)
    return [line for section in found.sections for line in section.lines if line.rule is not None]


def said(block: str, rule: str, plan: str | None = None, lane: str | None = None) -> str:
    (line,) = lines(policy(**{block: rule}), plan, lane)
    return line.sentence


@pytest.mark.parametrize(
    ("block", "rule", "sentence"),
    [
        ("outcome", "ceiling $0.30 per outcome", "An execution may cost at most $0.30."),
        ("outcome", "ceiling $1500 per step", "A step may cost at most $1,500."),
        ("mini", "ceiling $0.12 per attempt", "An attempt on route mini may cost at most $0.12."),
        ("mini", "ceiling 3 attempts per step", "A step may make at most 3 attempts on route mini."),
        ("outcome", "ceiling 1 attempts per step", "A step may make at most 1 attempt."),
        ("outcome", "ceiling 60k tokens per outcome", "An execution may use at most 60,000 tokens."),
        (
            "outcome",
            "ceiling 90s per outcome",
            "An execution may take at most 90 seconds, waits between retries included.",
        ),
        ("outcome", "ceiling 45s per attempt", "An attempt may take at most 45 seconds."),
        (
            "outcome",
            "ceiling 60% of price per outcome",
            "An execution may cost at most 60% of what it brings in ($1.20 at the list price).",
        ),
        (
            "outcome",
            "ceiling 30% of price per attempt",
            "An attempt may cost at most 30% of what its execution brings in ($0.60 at the list price).",
        ),
        (
            "outcome",
            "margin at least 45%",
            "An execution may cost at most 55% of what it brings in, for a margin of 45% ($1.10 at the list price).",
        ),
        (
            "file",
            "ceiling $2k per day alert at 50%, 80%",
            "All work may cost at most $2,000 per day; alert at 50% and 80%.",
        ),
        (
            "workflow",
            "ceiling $120 per customer per day",
            "All work in workflow support may cost at most $120 per customer per day.",
        ),
        ("outcome", "ceiling $9 per hour", "All executions of draft may cost at most $9 per hour."),
        ("base", "ceiling $3 per customer per day", "All work on plan base may cost at most $3 per customer per day."),
        ("premium", "ceiling 9 attempts per day", "All work in lane premium may make at most 9 attempts per day."),
        ("mini", "ceiling 40 attempts per hour", "Route mini takes at most 40 attempts per hour."),
        ("mini", "ceiling 3M tokens per day", "All attempts on route mini may use at most 3,000,000 tokens per day."),
        ("base", "ceiling $0.30 per outcome", "An execution may cost at most $0.30 on plan base."),
        (
            "premium",
            "limit 50 per customer per month",
            "Lane premium takes at most 50 executions per customer per month.",
        ),
        ("human", "limit 1 per day", "Route human takes at most 1 handoff per day."),
        ("file", "limit 9 per hour", "The policy takes at most 9 executions per hour."),
        ("premium", "allow when risk >= high", "Lane premium is open only when risk is high or critical."),
        ("premium", "allow when plan is base", "Lane premium is open only on plan base."),
        ("premium", "allow unless regulated", "Lane premium is open unless regulated."),
        ("base", "allow when risk is low", "An execution on plan base is let in only when risk is low."),
        (
            "premium",
            "forbid when region is eu",
            "Lane premium is closed when region is EU; an unknown region counts as EU.",
        ),
        ("premium", "forbid", "Lane premium is closed whatever the facts."),
        ("file", "forbid when plan is base", "An execution is refused on plan base."),
        ("base", "forbid when pages > 40", "An execution on plan base is refused when there are more than 40 pages."),
        (
            "outcome",
            "retry 2 on timeout, rate_limit backoff 250ms..4s",
            (
                "A step is retried at most twice on each route after a timeout or a rate limit, "
                "with a wait of 250 milliseconds that doubles up to 4 seconds."
            ),
        ),
        (
            "mini",
            "retry 1 on stale backoff 1s",
            "A step is retried at most once on route mini after stale, with a wait of 1 second.",
        ),
        (
            "file",
            "retry 3",
            "A step is retried at most 3 times on each route after any error that may be retried, without a wait.",
        ),
        ("file", "retry 0 on rejected", "A step is not retried after a rejected result."),
        ("outcome", "fallback next on any", "After any failure: go on to the next route of the lane."),
        (
            "outcome",
            "fallback mini on over_ceiling when lane is premium",
            "After a ceiling in the way, only in lane premium: go to mini.",
        ),
        (
            "outcome",
            "fallback human when failures >= 2 and spent > 50% of ceiling",
            "When 2 or more attempts of the step failed and more than 50% of the ceiling is spent: hand over to human.",
        ),
        ("file", "fallback stop on auth, cancelled", "After an authentication error or a cancellation: stop."),
        ("premium", "fallback stop on bad_request", "After a bad request in lane premium: stop."),
    ],
)
def test_rules(block: str, rule: str, sentence: str) -> None:
    assert said(block, rule) == sentence


@pytest.mark.parametrize(
    ("condition", "clause"),
    [
        ("when lane is standard", "only in lane standard"),
        ("unless lane is standard", "except in lane standard"),
        ("when lane is not standard", "except in lane standard"),
        ("when plan in [base, pay]", "only on plan base or pay"),
        ("when route is big", "only on route big"),
        ("when risk is medium", "when risk is medium"),
        ("when risk >= medium", "when risk is medium or higher"),
        ("when risk >= high", "when risk is high or critical"),
        ("when risk < critical", "when risk is below critical"),
        ("when risk <= medium", "when risk is low or medium"),
        ("when risk not in [low, high]", "unless risk is low or high"),
        ("when confidence < 0.5", "when confidence is below 50%"),
        ("when risk >= high or confidence < 0.5", "when risk is high or critical, or confidence is below 50%"),
        ("when risk is high or confidence < 0.5", "when risk is high or confidence is below 50%"),
        (
            "when pages > 2 and (risk is high or regulated)",
            "when there are more than 2 pages, and either risk is high or regulated",
        ),
        ("when not (regulated and pages > 2)", "unless regulated and there are more than 2 pages"),
        ("when regulated", "when regulated"),
        ("when not regulated", "unless regulated"),
        ("when touches_payments", "when it touches payments"),
        ("when pages > 2 and not touches_payments", "when there are more than 2 pages and it does not touch payments"),
        ('when topic is "refund"', 'when topic is "refund"'),
        ('when customer in ["a", "b"]', 'when the customer is "a" or "b"'),
        (
            'when topic is not "a" and customer not in ["a", "b"]',
            'when topic is not "a" and the customer is neither "a" nor "b"',
        ),
        (
            'when customer not in ["a", "b", "c"] and regulated',
            'when the customer is none of "a", "b" and "c", and regulated',
        ),
        ("when pages >= 2", "when there are 2 or more pages"),
        ("when lines_changed < 9", "when there are fewer than 9 lines changed"),
        ("when lines_changed + 20 * pages > 1500", "when lines changed plus 20 × pages is above 1,500"),
        ("when pages > lines_changed", "when pages are above lines changed"),
        (
            "when attempts > failures",
            "when the number of attempts made is above the number of failed attempts of the step",
        ),
        ("when pages - lines_changed > 3", "when pages is above lines changed plus 3"),
        ("when pages - lines_changed > -3", "when pages plus 3 is above lines changed"),
        ("when patience < 90s", "when patience is below 90 seconds"),
        ("when patience * 3 > 1s", "when 3 × patience is above 1 second"),
        ("when price < $1", "when it brings in less than $1"),
        ("when spent > 20% of price", "when more than 20% of what it brings in is spent"),
        ("when estimate >= $0.05", "when the attempt may cost at least $0.05"),
        ("when attempts >= 1", "when 1 or more attempts were made"),
        ("when attempts <= 1", "when at most 1 attempt was made"),
        ("when failures > 2", "when more than 2 attempts of the step failed"),
        ("when attempt > 2", "when the number of the attempt is above 2"),
        ("when elapsed > 2min", "when more than 2 minutes have passed"),
        ("when input_tokens > 20k", "when more than 20,000 tokens are sent"),
        ('when step is "draft"', 'when the step is "draft"'),
        ("when spent per customer per day > $8", "when spend per customer per day is above $8"),
        ("when spent of support per day > $8", "when spend in workflow support per day is above $8"),
        ("when count of premium per month >= 5", "when admissions in lane premium per month are at least 5"),
        ("when count of human per day > 3", "when handoffs to human per day are above 3"),
        ("when attempts of mini per hour is not 5", "unless attempts on route mini per hour are exactly 5"),
        ("when region is eu", "when region is EU; an unknown region counts as EU"),
        ("unless region in [eu, us]", "unless region is EU or US; an unknown region counts as neither EU nor US"),
        ("unless coverage >= 60%", "unless coverage is at least 60%; an unknown coverage counts as below 60%"),
        ("when urgent", "when urgent; where it is unknown, it counts as urgent"),
        (
            "when urgent and pages > 2",
            (
                "when urgent and there are more than 2 pages;"
                " where urgent is unknown and the rest does not decide, it applies"
            ),
        ),
    ],
)
def test_conditions(condition: str, clause: str) -> None:
    assert (
        said("outcome", f"ceiling $0.30 per outcome {condition}") == f"An execution may cost at most $0.30, {clause}."
    )


@pytest.mark.parametrize(
    ("block", "rule", "unknown"),
    [
        ("premium", "allow when urgent", "where it is unknown, it counts as not urgent"),
        ("premium", "forbid when urgent", "where it is unknown, it counts as urgent"),
        (
            "premium",
            "allow when size > 3 or urgent",
            "where size or urgent is unknown and the rest does not decide, it lets nobody in",
        ),
        ("premium", "limit 3 per day when size > 3", "an unknown size counts as above 3"),
        ("outcome", "retry 1 when urgent", "where that is unknown, the reading counts that permits fewer"),
        ("outcome", "fallback stop when urgent", "where it is unknown, it counts as urgent"),
        ("outcome", "fallback human when urgent", "where it is unknown, it counts as urgent"),
        ("outcome", "fallback mini when urgent", "where it is unknown, it counts as not urgent"),
        (
            "outcome",
            "fallback next when urgent",
            "where it is unknown, it counts as not urgent, unless a handoff is next",
        ),
    ],
)
def test_what_is_unknown_takes_the_strict_side(block: str, rule: str, unknown: str) -> None:
    assert said(block, rule).endswith(f"; {unknown}.")


@pytest.mark.parametrize(
    ("plan", "lane", "sentence"),
    [
        (None, None, "An execution may cost at most $1, when the plan is base and the lane is premium."),
        ("base", None, "An execution may cost at most $1, only in lane premium."),
        (None, "premium", "An execution may cost at most $1, only on plan base."),
        ("base", "premium", "An execution may cost at most $1."),
    ],
)
def test_what_is_fixed_is_not_said(plan: str | None, lane: str | None, sentence: str) -> None:
    assert said("outcome", "ceiling $1 per outcome when plan is base and lane is premium", plan, lane) == sentence


@pytest.mark.parametrize(
    ("block", "rule", "plan", "lane"),
    [
        ("outcome", "ceiling $1 per outcome when lane is standard", None, "premium"),
        ("outcome", "ceiling $1 per outcome unless plan is base", "base", None),
        ("outcome", "ceiling $1 per outcome when plan is pay and plan is base", None, None),
        ("base", "ceiling $1 per outcome", "pay", None),
        ("premium", "ceiling $1 per outcome", None, "standard"),
        ("human", "limit 3 per day", None, "premium"),
        ("outcome", "retry 2 on timeout when error is rate_limit", None, None),
    ],
)
def test_what_cannot_apply_is_left_out(block: str, rule: str, plan: str | None, lane: str | None) -> None:
    assert lines(policy(**{block: rule}), plan, lane) == []


def test_a_plan_brings_its_prices() -> None:
    assert said("outcome", "margin at least 50%", "base") == (
        "An execution may cost at most 50% of what it brings in, for a margin of 50%"
        " ($0.50 from the allowance, $0.75 beyond the allowance)."
    )


@pytest.mark.parametrize(
    ("rules", "plan", "sentences"),
    [
        # The only one cannot hold for the plan: the lane is closed, and that is said.
        (
            "allow when plan is pay and risk is low",
            "base",
            ["Lane premium is closed on plan base: it is open only when the plan is pay and risk is low."],
        ),
        # Another one can: the one that cannot is left out.
        (
            "allow when plan is pay allow when risk is low",
            "base",
            ["Lane premium is open only when risk is low."],
        ),
        (
            "allow when plan is pay allow when risk is low",
            None,
            ["Lane premium is open on plan pay.", "Lane premium is also open when risk is low."],
        ),
        # Not left out: for customers on `base` this one is why they are refused, too.
        (
            "allow when plan is pay allow when plan is pay and plan is base",
            None,
            [
                "Lane premium is open on plan pay.",
                "Lane premium is open when the plan is pay and the plan is base, which cannot be here.",
            ],
        ),
    ],
)
def test_who_is_let_in(rules: str, plan: str | None, sentences: list[str]) -> None:
    assert [line.sentence for line in lines(policy(premium=rules), plan)] == sentences
