"""The one-page policy: it is clean, and every line of it has its effect.

Each entry changes one line of the page and names a question whose answer changes with
it. A line that no entry touches fails the test, and so does an entry without effect.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import policy_engine
from policy_engine import MemoryLedger, Policy, PolicyError
from policy_engine.language.formatter import format_file
from policy_engine.language.parser import parse
from policy_engine.language.source import Source
from policy_engine.ledger.windows import window_name
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Denied

pytestmark = pytest.mark.usefixtures("each_engine")

PAGE = (Path(__file__).parent / "data" / "page.policy").read_text(encoding="utf-8")

Probe = Callable[[Policy], Any]


def draft(policy: Policy, **changed: Any) -> dict[str, Any]:
    """Entries of a support draft, on a fresh ledger."""
    meters = dict.fromkeys(policy.boundary.meters, 0) | changed.pop("meters", {})
    return {"customer": "acme", "outcome": "support_draft", "plan": "growth", "risk": "low", "meters": meters} | changed


def running(policy: Policy, **changed: Any) -> dict[str, Any]:
    place = {"lane": "standard", "route": "mini", "step": "draft", "price": "0.99"}
    return draft(policy, **place | changed)


def admit(**changed: Any) -> Probe:
    """Lane and reason of an admission."""

    def probe(policy: Policy) -> Any:
        grants = [{"id": "g", "left": 5, "price": "0.6"}]
        decision = policy.admit(draft(policy, **({"grants": grants} | changed)))
        return decision.lane, decision.route, decision.reason

    return probe


def drawn(**changed: Any) -> Probe:
    """What an admission without grants draws on, and its reason."""

    def probe(policy: Policy) -> Any:
        decision = policy.admit(draft(policy, **({"grants": []} | changed)))
        return decision.draw and (decision.draw.kind, decision.draw.price_nanos), decision.reason

    return probe


def attempt(**changed: Any) -> Probe:
    """Effect, reserved amount and deadline of an attempt."""

    def probe(policy: Policy) -> Any:
        tokens = {"input_tokens": 1000, "max_output_tokens": 1000}
        decision = policy.attempt(running(policy, **(tokens | changed)))
        return decision.effect, decision.reserved_nanos, decision.deadline_micros

    return probe


def alerts(policy: Policy) -> Any:
    decision = policy.attempt(running(policy, estimate="0.2", meters={"spent per day": "1599.9"}))
    return [str(alert.percent) for alert in decision.alerts]


def shadow(policy: Policy) -> Any:
    return [(s.ruling.limit, s.refuses) for s in policy.attempt(running(policy, estimate="0.25")).shadow]


def names(policy: Policy) -> Any:
    return [r.rule.name for r in policy.attempt(running(policy, estimate="0.31")).rulings]


def after(error: str, **changed: Any) -> Probe:
    """Where a step goes after a failure, and when."""

    def probe(policy: Policy) -> Any:
        decision = policy.failure(running(policy, error=error, **changed))
        return decision.effect, decision.route, decision.delay_micros

    return probe


def settled(policy: Policy) -> Any:
    facts = {"outcome": "support_draft", "state": "delivered", "event": "lapse", "price": 1, "since_delivery": "72h"}
    return policy.settle(facts).effect


def terms(plan: str) -> Probe:
    def probe(policy: Policy) -> Any:
        found = policy.checked.plans[plan]
        return found.fee_nanos, dict(found.includes), found.overage and dict(found.overage.prices_nanos)

    return probe


def bought(policy: Policy) -> Any:
    """What a pack gives, and whether it is still there after 60 days."""
    clock = PinnedClock(0)
    engine = Engine(policy, ledger=MemoryLedger(), clock=clock)
    grant = engine.top_up("acme", "burst", key="1")
    clock.sleep(60 * 86_400 * 10**6)
    return grant.left, grant.price_nanos, bool(engine.ledger.grants("acme", "support_draft", clock.now_micros()))


def overage_capped(policy: Policy) -> Any:
    meter = "overage of base per customer per month"
    billed = {meter: "499.5"} if meter in policy.boundary.meters else {}
    return policy.admit(draft(policy, plan="base", grants=[], meters=billed)).effect


def handoffs(policy: Policy) -> Any:
    """A handoff costs what it says, and only so many fit in a day."""
    engine = Engine(policy, ledger=MemoryLedger(), clock=PinnedClock(0))
    done = []
    for number in range(41):
        run = engine.execution("support_draft", customer=str(number), facts={"risk": "low"}, key=str(number))
        step = run.step("s")
        step.go("sonnet")
        first = step.ask(estimate_nanos=0)
        assert first is not None
        done.append(first.fail("timeout").effect)
        done.append(str(run.handoff_nanos))
    return done[-3:]


def title(kind: str, name: str) -> Probe:
    return lambda policy: getattr(policy.checked, kind)[name].title


def loads(policy: Policy) -> Any:
    return "clean"


SALES = {"outcome": "account_summary", "lane": "research", "route": "search", "price": "4"}

ENTRIES: list[tuple[str, str, Probe]] = [
    # what the page says, what is put in its place, the question whose answer changes
    ("currency USD", "currency EUR", loads),
    ('timezone "Europe/Berlin"', 'timezone "UTC"', lambda p: window_name("day", 82_800_000_000, p.checked.timezone)),
    ("fact risk: low < medium < high", "fact risk: low < high < medium", admit(risk="medium", region="us")),
    ("fact confidence: number 0..1 = 1", "fact confidence: number 0..1 = 0.4", admit(region="us")),
    ("fact region?: eu | us | apac", "fact region: eu | us | apac = us", admit(risk="high")),
    ("rates $0.15 in, $0.60 out", "rates $0.15 in, $0.70 out", attempt()),
    ("retry 2 on timeout, rate_limit backoff 250ms..4s", "retry 2 on rate_limit", after("timeout")),
    ("backoff 250ms..4s", "backoff 500ms..4s", after("timeout")),
    ('model "openai:gpt-4o-mini"', 'tool "x" cost $1 #', attempt()),
    ("rates $3 in, $15 out", "rates $4 in, $15 out", attempt(route="sonnet")),
    ("ceiling $0.12 per attempt", "", attempt(route="sonnet", estimate="0.13")),
    ("rates $15 in, $75 out", "rates $15 in, $80 out", attempt(route="opus", lane="premium")),
    ("ceiling $0.25 per attempt", "", attempt(route="opus", lane="premium", estimate="0.26")),
    ('tool "web"  cost $0.01', 'tool "web"  cost $0.02', attempt(**SALES)),
    ('handoff "support tier 2"  cost $2.50', 'handoff "support tier 2"  cost $3', handoffs),
    ("limit 40 per day", "limit 41 per day", handoffs),
    ("lane standard { mini -> sonnet -> tier2 }", "lane standard { sonnet -> mini -> tier2 }", admit(lane="standard")),
    ('"advanced reasoning for high-risk tasks"', "", title("lanes", "premium")),
    ("opus -> sonnet -> tier2", "sonnet -> opus -> tier2", admit(risk="high", region="us")),
    ("plan in [growth, enterprise]", "plan in [enterprise]", admit(risk="high", region="us")),
    ("forbid when region is eu", "", admit(risk="high", region="eu")),
    (
        "limit  50 per customer per month",
        "limit  51 per customer per month",
        admit(risk="high", region="us", meters={"count of premium per customer per month": 50}),
    ),
    ("lane research { search -> sonnet }", "lane research { sonnet -> search }", admit(outcome="account_summary")),
    ("fee $199 per month", "fee $198 per month", terms("base")),
    ("up to $500 per month", "", overage_capped),
    ("fee $1490 per month", "fee $1491 per month", terms("growth")),
    ("overage $0.80 per support_draft", "overage $0.81 per support_draft", drawn()),
    ("fee $6000 per month", "fee $6001 per month", terms("enterprise")),
    ("overage $0.70 per support_draft", "overage $0.71 per support_draft", drawn(plan="enterprise")),
    ("100 support_draft for $65", "100 support_draft for $66", bought),
    ("expires 90d", "expires 30d", bought),
    ("ceiling $2000 per day", "ceiling $1000 per day", attempt(meters={"spent per day": "1500"})),
    ("alert at 80%", "", alerts),
    ('workflow support "customer support"', "workflow support", title("workflows", "support")),
    (
        "ceiling $120 per customer per day",
        "ceiling $119 per customer per day",
        attempt(estimate="0.1", meters={"spent of support per customer per day": "119.9"}),
    ),
    ('"policy-safe support response draft"', "", title("outcomes", "support_draft")),
    ("price $0.99", "price $0.98", drawn(plan=None)),
    ("lanes premium, standard", "lanes standard, premium", admit(risk="high", region="us")),
    ("accepted within 72h", "accepted within 73h", lambda p: str(_lapse(p))),
    ("margin at least 45%", "margin at least 40%", attempt(lane="premium", estimate="0.56", route="mini")),
    ("ceiling $0.30 per outcome when lane is standard", "ceiling $0.31 per outcome", attempt(estimate="0.305")),
    ("as draft_cap", "", names),
    ("ceiling 6 attempts per outcome", "", attempt(meters={"attempts per outcome": 6})),
    ("ceiling 90s per outcome", "ceiling 80s per outcome", attempt()),
    ("retry 1 on invalid_output", "", after("invalid_output")),
    (
        "fallback mini  on over_ceiling when lane is premium",
        "",
        after("over_ceiling", lane="premium", route="opus"),
    ),
    (
        "fallback tier2 when failures >= 2 and spent > 50% of ceiling",
        "",
        after("timeout", failures=2, meters={"spent per outcome": "0.2"}, retries={"timeout": 2}),
    ),
    ("fallback next  on timeout, rate_limit, unavailable,", "fallback next  on timeout,", after("unavailable")),
    ("shadow ceiling $0.20 per outcome", "shadow ceiling $0.30 per outcome", shadow),
    ('workflow sales "sales research"', "workflow sales", title("workflows", "sales")),
    ('"sales-ready account summary"', "", title("outcomes", "account_summary")),
    ("price $4\n", "price $5\n", drawn(plan=None, outcome="account_summary")),
    ("lanes research", "lanes standard", admit(outcome="account_summary")),
    ("ceiling $1 per outcome", "ceiling $2 per outcome", attempt(**SALES, estimate="1.5")),
    ("fallback next on any", "", after("timeout", **SALES)),
]


def _lapse(policy: Policy) -> Any:
    facts = {"outcome": "support_draft", "state": "delivered", "event": "accept", "price": 1, "since_delivery": "72h"}
    return policy.settle(facts)


def answer(text: str, probe: Probe) -> Any:
    """The probe's answer, or the codes of what is wrong with the changed page."""
    try:
        return probe(policy_engine.load(text))
    except PolicyError as error:
        return [diagnostic.code for diagnostic in error.diagnostics]


def test_the_page_is_clean() -> None:
    policy = policy_engine.load(PAGE)
    assert policy.warnings == ()
    file, mistakes = parse(Source("page.policy", PAGE))
    assert not mistakes
    again, _ = parse(Source("page.policy", format_file(file)))
    assert again == file


@pytest.mark.parametrize(("said", "instead", "probe"), ENTRIES, ids=[entry[0][:50].strip() for entry in ENTRIES])
def test_every_entry_has_an_effect(said: str, instead: str, probe: Probe) -> None:
    assert PAGE.count(said) >= 1
    assert answer(PAGE.replace(said, instead, 1), probe) != answer(PAGE, probe)


def test_every_line_is_touched_by_an_entry() -> None:
    untouched = []
    start = 0
    for line in PAGE.splitlines(keepends=True):
        code = line.split("#")[0].strip()
        end = start + len(line)
        found = any(
            start <= PAGE.find(said) < end or PAGE.find(said) <= start < PAGE.find(said) + len(said)
            for said, _, _ in ENTRIES
        )
        if code.strip("{} ") and not found:
            untouched.append(line.rstrip())
        start = end
    assert not untouched


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        (admit(), ("standard", "mini", None)),
        (admit(risk="high", region="us"), ("premium", "opus", None)),
        (admit(confidence=0.49, region="us"), ("premium", "opus", None)),
        (admit(risk="high"), ("standard", "mini", None)),  # region unknown: the forbid holds
        (admit(risk="high", region="us", plan="base"), ("standard", "mini", None)),
        (drawn(plan="base"), (("overage", 990_000_000), None)),
        (drawn(plan=None), (("list", 990_000_000), None)),
        (drawn(plan="base", outcome="account_summary"), (None, "not_in_plan")),
        (attempt(), ("go", 750_000, 90_000_000)),
        (attempt(estimate="0.30"), ("go", 300_000_000, 90_000_000)),
        (attempt(estimate="0.31"), ("refuse", None, None)),
        (attempt(price="0.5", estimate="0.28"), ("refuse", None, None)),  # the margin: 55% of $0.50
        (after("timeout"), ("retry", "mini", 250_000)),
        (after("timeout", retries={"timeout": 1, "rate_limit": 1}), ("route", "sonnet", None)),
        (after("over_ceiling"), ("route", "sonnet", None)),
        (after("bad_request"), ("stop", None, None)),
        (after("over_ceiling", lane="premium", route="opus"), ("route", "mini", None)),
        (settled, "accepted"),
        (names, ["draft_cap"]),
        (shadow, [(200_000_000, True)]),
        (bought, (100, 650_000_000, True)),
    ],
)
def test_what_the_page_says(probe: Probe, expected: Any) -> None:
    assert probe(policy_engine.load(PAGE)) == expected


def test_the_page_runs_from_admission_to_reversal() -> None:
    clock = PinnedClock(1_700_000_000_000_000)
    engine = Engine(policy_engine.load(PAGE), ledger=MemoryLedger(), clock=clock)
    run = engine.execution("support_draft", customer="acme", plan="base", facts={"risk": "low"}, key="t-1")
    assert (run.lane, run.price_nanos) == ("standard", 663_333_333)
    step = run.step("draft")
    first = step.attempt(input_tokens=1200, max_output_tokens=800)
    assert first is not None
    assert (first.reference, first.max_output_tokens) == ("openai:gpt-4o-mini", 800)
    assert first.fail("timeout", input_tokens=1200, output_tokens=0).effect == "retry"
    second = step.attempt(input_tokens=1200, max_output_tokens=800)
    assert second is not None
    assert clock.now_micros() == 1_700_000_000_250_000  # the backoff was waited for
    assert second.succeed(input_tokens=1200, output_tokens=500) == ()
    assert step.ended == "succeeded"
    assert run.deliver().effect == "delivered"
    assert run.accept().revenue_nanos == 663_333_333
    assert run.spent_nanos == 180_000 + 180_000 + 300_000
    (grant,) = engine.ledger.grants("acme", "support_draft", clock.now_micros()) or ()
    assert grant.left == 299
    assert run.reverse().effect == "reversed"
    (grant,) = engine.ledger.grants("acme", "support_draft", clock.now_micros()) or ()
    assert (grant.left, run.revenue_nanos) == (300, 0)
    with pytest.raises(Denied, match="not in plan"):
        engine.execution("account_summary", customer="acme", plan="base", facts={"risk": "low"})
