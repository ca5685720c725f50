"""Facts for the dozen-rule set: what a service asks on a common day, about one answer in seven a refusal.

Every value is known. With `edges`, counters, times and tokens are drawn at and beside every limit instead; the
tests mix both, the benchmarks measure the common day.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from benchmarks import dozen
from policy_engine.evaluation.facts import (
    AdmitFacts,
    AttemptFacts,
    Facts,
    FailureFacts,
    Given,
    Grant,
    ProgressFacts,
    Reading,
    SettleFacts,
    given_type,
)
from policy_engine.evaluation.reference.settlement import EVENTS, STATES
from policy_engine.language.checked import ATTEMPTS, SPENT, Meter

GIVEN: Callable[..., Given] = given_type(("risk", "confidence", "region"))
PATHS = {"premium": ("opus", "sonnet"), "standard": ("mini", "sonnet")}
PRICES = {"base": 663_333_333, "growth": 745_000_000, "enterprise": 666_666_666, None: 990_000_000}
CUSTOMERS = ("acme", "globex", "umbrella", "stark", "wayne", "tyrell", "cyberdyne", "soylent")
ERRORS = (
    *("timeout", "rate_limit", "unavailable", "server_error", "invalid_output", "rejected", "over_ceiling"),
    *("cancelled", "auth", "context_length", "bad_request"),
)
DAY = 86_400_000_000


def facts_of(point: str, number: int, seed: int = 0, *, edges: bool = False, **fixed: Any) -> list[Any]:
    """So many facts records of a decision point; `fixed` overrides single fields."""
    make: Callable[..., Facts] = MAKERS[point]
    random = Random(f"{point} {seed}")
    return [make(random, edges, fixed) for _ in range(number)]


def _beside(random: Random, *edges: int) -> int:
    return max(0, random.choice(edges) + random.choice((-1, 0, 0, 1)))


def _likely(random: Random, most: Any, *rest: Any) -> Any:
    """The first value in nineteen of twenty cases, else one of the others."""
    return most if random.random() < 0.95 else random.choice(rest)


def _reading(random: Random, used: int) -> Reading:
    """Mostly settled, at times in part still reserved."""
    reserved = random.choice((0, 0, used // 3))
    return Reading(used - reserved, reserved)


def _given(random: Random) -> Given:
    return GIVEN(
        risk=random.choice(("low", "low", "medium", "high")),
        confidence=random.choice((1.0, 0.9, 0.75, 0.5, 0.49, 0.3)),
        region=_likely(random, random.choice(("eu", "us")), "apac"),
    )


def _meters(random: Random, edges: bool) -> dict[Meter, Reading]:
    if edges:
        margins = [price * 55 // 100 for price in PRICES.values()]
        used = {
            SPENT: _beside(random, 0, 100_000_000, 200_000_000, *margins, *(m // 2 for m in margins)),
            ATTEMPTS: _beside(random, 0, 5, 6),
            dozen.SUPPORT_PER_DAY: _beside(random, 0, 16_000_000_000, 19_990_000_000, 20_000_000_000),
            dozen.BASE_BILLED: _beside(random, 0, 499_010_000_000, 500_000_000_000),
        }
    else:
        used = {
            SPENT: random.choice((0, 0, 10_000_000, random.randrange(420_000_000))),
            ATTEMPTS: _likely(random, random.choice((0, 0, 1, 1, 2, 3)), 6),
            dozen.SUPPORT_PER_DAY: _likely(random, random.randrange(19_000_000_000), 20_000_000_000),
            dozen.BASE_BILLED: _likely(random, random.randrange(400_000_000_000), 499_500_000_000),
        }
    return {meter: _reading(random, amount) for meter, amount in used.items()}


def _execution(random: Random, edges: bool) -> dict[str, Any]:
    return {
        "customer": _likely(random, random.choice(CUSTOMERS), "initech", "hooli", "vandelay", "acme"),
        "outcome": "support_draft",
        "plan": random.choice(("base", "growth", "growth", "enterprise", "enterprise", None)),
        "given": _given(random),
        "meters": _meters(random, edges),
    }


def _running(random: Random, edges: bool, fixed: Mapping[str, Any]) -> dict[str, Any]:
    found = {**_execution(random, edges), **fixed}
    lane = fixed.get("lane") or random.choice(("premium", "standard"))
    times = (0, 90_000_000, 45_000_000) if edges else (0, 2_000_000, 9_000_000, random.randrange(95_000_000))
    return {
        "lane": lane,
        "route": random.choice((PATHS[lane][0], *PATHS[lane])),
        "step": "draft",
        "price_nanos": PRICES[found["plan"]],
        "attempt": random.randrange(1, 5),
        "failures": random.randrange(4),
        "elapsed_micros": _beside(random, *times),
        "step_elapsed_micros": random.randrange(9_000_000),
        "input_tokens": _tokens(random, edges, 200, 4_000),
        **found,
    }


def _tokens(random: Random, edges: bool, low: int, high: int) -> int:
    return _beside(random, 0, 1, 16_666, 33_333, high) if edges and random.random() < 0.5 else random.randint(low, high)


def _attempt(random: Random, edges: bool, fixed: Mapping[str, Any]) -> AttemptFacts:
    most = _tokens(random, edges, 100, 1_800)
    return AttemptFacts(
        **{
            "max_output_tokens": most,
            "min_output_tokens": random.choice((None, None, None, most // 2, 0, most)),
            "estimate_nanos": _likely(random, None, 15_000_000, 20_000_000, 120_000_000, 250_000_001),
            **_running(random, edges, fixed),
        }
    )


def _progress(random: Random, edges: bool, fixed: Mapping[str, Any]) -> ProgressFacts:
    cap = random.choice((None, random.randint(200, 1_800)))
    done = _likely(random, random.randint(0, cap or 1_800), 1_801)
    if edges:
        done = _beside(random, done, cap or 0)
    return ProgressFacts(
        **{
            "output_tokens": done,
            "output_cap": cap,
            "attempt_elapsed_micros": random.randrange(9_000_000),
            **_running(random, edges, fixed),
        }
    )


def _failure(random: Random, edges: bool, fixed: Mapping[str, Any]) -> FailureFacts:
    running = _running(random, edges, fixed)
    path = PATHS[running["lane"]]
    error = random.choice(ERRORS if edges else (*ERRORS[:5], *ERRORS[:7]))
    retries = random.choice(({}, {}, {error: 1}, {error: 2}, {"timeout": 1, "invalid_output": 2}, {"timeout": 3}))
    if edges:
        retries = retries | {random.choice(ERRORS): random.randrange(4)}
    return FailureFacts(
        **{**running, "error": error, "visited": path[: path.index(running["route"]) + 1], "retries": retries}
    )


def _grant(random: Random, edges: bool, number: int) -> Grant:
    return Grant(
        id=f"g{number}",
        kind=random.choice(("allowance", "pack", "promotion") if edges else ("allowance", "allowance", "pack")),
        left=random.choice((0, 1, 2)) if edges else random.choice((0, 40, 100, 1_000)),
        price_nanos=random.choice((663_333_333, 745_000_000, 650_000_000)),
        priority=random.randrange(2),
        expires_micros=random.choice((None, 0, DAY, 2 * DAY)),
        effective_micros=random.choice((0, 1)),
        created_micros=random.choice((0, 1)),
    )


def _admit(random: Random, edges: bool, fixed: Mapping[str, Any]) -> AdmitFacts:
    count = random.choice((0, 1, 2, 3, 4) if edges else (0, 1, 1, 1, 2))
    return AdmitFacts(
        **{
            **_execution(random, edges),
            "lane": _likely(random, None, "premium", "standard"),
            "grants": tuple(_grant(random, edges, number) for number in range(count)),
            **fixed,
        }
    )


def _settle(random: Random, edges: bool, fixed: Mapping[str, Any]) -> SettleFacts:
    common = (
        *(("running", "deliver"), ("running", "deliver"), ("delivered", "accept"), ("delivered", "accept")),
        *(("delivered", "lapse"), ("delivered", "reject"), ("running", "abort"), ("accepted", "reverse")),
    )
    state, event = random.choice(common)
    since = random.randrange(2 * DAY) if event != "lapse" else random.randrange(2 * DAY, 6 * DAY)
    if edges:
        state, event = random.choice(STATES), random.choice(EVENTS)
        since = _beside(random, 0, 3 * DAY, DAY)
    elif random.random() < 0.25:
        since = 5 * DAY if event != "lapse" else DAY
    return SettleFacts(
        **{
            "outcome": "support_draft",
            "state": state,
            "event": event,
            "price_nanos": random.choice(list(PRICES.values())),
            "since_delivery_micros": since,
            **fixed,
        }
    )


MAKERS: dict[str, Callable[..., Facts]] = {
    "admit": _admit,
    "attempt": _attempt,
    "progress": _progress,
    "failure": _failure,
    "settle": _settle,
}
