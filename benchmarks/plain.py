"""`dozen.policy` written by hand as most people would write it: readable, and every part made where it is used.

A list of limits is looped over, rules are asked one after the other, rates come from a table, heads and parts are
built per call. Nothing is slow on purpose: no copies, no needless classes. Equal decisions to `best_*` in
`yardstick.py`, for the same facts (all of them known), and it stands as still as that.
"""

from fractions import Fraction
from math import inf
from typing import Any

from benchmarks import dozen
from policy_engine.evaluation.decision import (
    AdmitDecision,
    AttemptDecision,
    Draw,
    FailureDecision,
    Head,
    LaneRefusal,
    Line,
    Part,
    ProgressDecision,
    Ruling,
    SettleDecision,
)
from policy_engine.evaluation.facts import AdmitFacts, AttemptFacts, FailureFacts, Grant, ProgressFacts, SettleFacts
from policy_engine.language.checked import ATTEMPTS, SPENT, RuleRef

DOLLAR = 10**9
SECOND = 10**6
RATES = {"mini": (150, 600), "sonnet": (3_000, 15_000), "opus": (15_000, 75_000)}  # nanos per token
ROUTE_CEILINGS = {
    "mini": (dozen.MINI_CEILING, DOLLAR * 2 // 100),
    "sonnet": (dozen.SONNET_CEILING, DOLLAR * 12 // 100),
    "opus": (dozen.OPUS_CEILING, DOLLAR * 25 // 100),
}
LANES = {"premium": ["opus", "sonnet"], "standard": ["mini", "sonnet"]}
OVERAGE = {"base": DOLLAR * 99 // 100, "growth": DOLLAR * 80 // 100, "enterprise": DOLLAR * 70 // 100}
BUDGET = 20 * DOLLAR
SHADOW_LIMIT = DOLLAR * 20 // 100
WINDOW = 72 * 3600 * SECOND

Limit = tuple[RuleRef, str, int, int]
"""A rule, its unit, its limit and what is used."""


def head(effect: str, reason: str | None = None) -> Head:
    return Head(effect, reason, dozen.CURRENCY, dozen.DIGESTS)


# ---------------------------------------------------------------- attempt and progress


def limits_on(facts: Any) -> list[Limit]:
    """Every ceiling that applies to an attempt, in the order of the policy."""
    rule, most = ROUTE_CEILINGS[facts.route]
    limits: list[Limit] = [
        (rule, "money", most, 0),
        (dozen.BUDGET, "money", BUDGET, facts.meters[dozen.SUPPORT_PER_DAY].used),
        (dozen.MARGIN, "money", facts.price_nanos * 55 // 100, facts.meters[SPENT].used),
        (dozen.MOST_ATTEMPTS, "attempts", 6, facts.meters[ATTEMPTS].used),
    ]
    if facts.given.risk != "high":
        limits.append((dozen.MOST_TIME, "time", 90 * SECOND, facts.elapsed_micros))
    return limits


def crossed(limit: Limit, nanos: int) -> bool:
    _, unit, most, used = limit
    if unit == "time":
        return used >= most
    return used + (nanos if unit == "money" else 1) > most


def line(limit: Limit, nanos: int, role: str = "decides", percent: Fraction | None = None) -> Line:
    rule, unit, most, used = limit
    asked = nanos if unit == "money" else 1 if unit == "attempts" else None
    return Part(rule, unit, role, percent), most, used, asked


def shadow_line(facts: Any, nanos: int) -> Line:
    limit = (dozen.SHADOW, "money", SHADOW_LIMIT, facts.meters[SPENT].used)
    return line(limit, nanos, "refuses" if crossed(limit, nanos) else "passes")


def cost(route: str, input_tokens: int, output_tokens: int) -> int:
    rate_in, rate_out = RATES[route]
    return rate_in * input_tokens + rate_out * output_tokens


def plain_attempt(facts: AttemptFacts) -> AttemptDecision:
    """May this attempt be made, and with how much?"""
    known: Any = facts
    limits = limits_on(known)
    cap = known.max_output_tokens
    nanos = known.estimate_nanos
    if nanos is None:
        nanos = cost(known.route, known.input_tokens, cap)

    reason = None
    shaping: list[Limit] = []
    refusing = [limit for limit in limits if crossed(limit, nanos)]
    if refusing and known.min_output_tokens is not None and known.estimate_nanos is None:
        least = cost(known.route, known.input_tokens, min(known.min_output_tokens, cap))
        refusing = [limit for limit in limits if crossed(limit, least)]
        nanos = least
        if not refusing:
            rooms = [room(known, limit) for limit in limits]
            cap = min(rooms)
            shaping = [limit for limit, tokens in zip(limits, rooms, strict=True) if tokens == cap]
            nanos = cost(known.route, known.input_tokens, cap)
            reason = "shrunk"
    if refusing:
        lines = [line(limit, nanos) for limit in refusing]
        lines.append(shadow_line(known, nanos))
        return AttemptDecision(head("refuse", "over_ceiling"), tuple(lines))

    deadline = None
    lines = [line(limit, nanos) for limit in shaping]
    last = limits[-1]
    if last[1] == "time":
        deadline = last[2] - last[3]
        lines.append(line(last, nanos))
    budget = limits[1]
    if budget[3] < BUDGET * 80 // 100 <= budget[3] + nanos:
        lines.append(line(budget, nanos, "alert", Fraction(80)))
    lines.append(shadow_line(known, nanos))
    return AttemptDecision(
        head("go", reason),
        tuple(lines),
        reserved_nanos=nanos,
        reserved_tokens=known.input_tokens + cap,
        output_cap=cap,
        deadline_micros=deadline,
    )


def room(facts: Any, limit: Limit) -> Any:
    """How many output tokens a limit leaves."""
    _, unit, most, used = limit
    if unit != "money":
        return inf
    rate_in, rate_out = RATES[facts.route]
    return (most - used - rate_in * facts.input_tokens) // rate_out


def plain_progress(facts: ProgressFacts) -> ProgressDecision:
    """May this attempt go on?"""
    known: Any = facts
    nanos = cost(known.route, known.input_tokens, known.output_tokens)
    refusing = [limit for limit in limits_on(known) if crossed(limit, nanos)]
    lines = [line(limit, nanos) for limit in refusing]
    lines.append(shadow_line(known, nanos))
    if known.output_cap is not None and known.output_tokens > known.output_cap:
        return ProgressDecision(head("cut", "output_cap"), tuple(lines))
    if any(unit == "time" for _, unit, _, _ in refusing):
        return ProgressDecision(head("cut", "deadline"), tuple(lines))
    if refusing:
        return ProgressDecision(head("cut", "over_ceiling"), tuple(lines))
    return ProgressDecision(head("go"), tuple(lines))


# ---------------------------------------------------------------- admit


def burn_down(grant: Grant) -> tuple[object, ...]:
    return (
        grant.priority,
        grant.expires_micros is None,
        grant.expires_micros or 0,
        grant.kind != "promotion",
        grant.effective_micros,
        grant.created_micros,
        grant.id,
    )


def plain_admit(facts: AdmitFacts) -> AdmitDecision:
    """May this execution start, in which lane, drawing on what?"""
    known: Any = facts
    grants = sorted((grant for grant in known.grants if grant.left > 0), key=burn_down)
    if grants:
        draw = Draw(grants[0].kind, grants[0].price_nanos, grants[0].id)
    elif known.plan is None:
        draw = Draw("list", DOLLAR * 99 // 100)
    else:
        price = OVERAGE[known.plan]
        if known.plan == "base":
            billed = known.meters[dozen.BASE_BILLED].used
            if billed + price > 500 * DOLLAR:
                cap = (Part(dozen.OVERAGE_CAP, "money"), 500 * DOLLAR, billed, price)
                return AdmitDecision(head("deny", "allowance_spent"), (cap,))
        draw = Draw("overage", price)

    reason = None
    refusing: list[Line] = []
    if known.customer in ("initech", "hooli", "vandelay") or known.given.region == "apac":
        reason = "forbidden"
        refusing.append((Part(dozen.DENY_LIST), None, None, None))
    spent_today = known.meters[dozen.SUPPORT_PER_DAY].used
    if spent_today >= BUDGET:
        reason = reason or "ceiling_reached"
        refusing.append((Part(dozen.BUDGET, "money"), BUDGET, spent_today, None))
    if reason:
        return AdmitDecision(head("deny", reason), tuple(refusing))

    refused: list[LaneRefusal] = []
    for lane in [known.lane] if known.lane else ["premium", "standard"]:
        opened: list[Line] = []
        if lane == "premium":
            risky = known.given.risk == "high" or known.given.confidence < 0.5
            if not (known.plan in ("growth", "enterprise") and risky):
                refused.append(LaneRefusal(lane, "not_allowed", (Ruling(dozen.PREMIUM_ALLOW),)))
                continue
            opened.append((Part(dozen.PREMIUM_ALLOW), None, None, None))
        return AdmitDecision(
            head("allow"),
            tuple(opened),
            lane=lane,
            route=LANES[lane][0],
            draw=draw,
            ceiling_nanos=draw.price_nanos * 55 // 100,
            refused=tuple(refused),
        )
    lines = ((Part(dozen.PREMIUM_ALLOW), None, None, None),)
    return AdmitDecision(head("deny", "not_allowed"), lines, refused=tuple(refused))


# ---------------------------------------------------------------- failure

BASE_CLASSES = ("timeout", "rate_limit", "unavailable")
ALL_CLASSES = (*BASE_CLASSES, "server_error", "invalid_output")


def plain_failure(facts: FailureFacts) -> FailureDecision:
    """Where does the step go now?"""
    known: Any = facts
    retries: list[tuple[RuleRef, int, int, int]] = []
    if known.plan == "base" and known.error in BASE_CLASSES:
        made = sum(count for error, count in known.retries.items() if error in BASE_CLASSES)
        retries.append((dozen.RETRY_BASE, 1, made, 0))
    if known.error in ALL_CLASSES:
        made = sum(count for error, count in known.retries.items() if error in ALL_CLASSES)
        retries.append((dozen.RETRY_ALL, 3, made, min(4 * SECOND, SECOND // 4 * 2**made)))

    spent = [retry for retry in retries if retry[2] >= retry[1]]
    if retries and not spent:
        allowing = tuple((Part(rule, "count"), most, made, 1) for rule, most, made, _ in retries)
        delay = max(delay for _, _, _, delay in retries)
        return FailureDecision(head("retry"), allowing, route=known.route, delay_micros=delay)

    exhausted: list[Line] = [(Part(rule, "count"), most, made, 1) for rule, most, made, _ in spent]
    if known.error != "cancelled":
        if known.failures >= 3 and known.meters[SPENT].settled * 2 > known.price_nanos * 55 // 100:
            return FailureDecision(head("stop"), (*exhausted, (Part(dozen.GIVE_UP), None, None, None)))
        path = LANES[known.lane]
        furthest = max((path.index(route) for route in known.visited if route in path), default=-1)
        if furthest + 1 < len(path):
            lines = (*exhausted, (Part(dozen.GO_ON), None, None, None))
            return FailureDecision(head("route"), lines, route=path[furthest + 1])
    return FailureDecision(head("stop"), tuple(exhausted))


# ---------------------------------------------------------------- settle


def plain_settle(facts: SettleFacts) -> SettleDecision:
    """What becomes of the promised unit?"""
    state, event = facts.state, facts.event
    left = WINDOW - facts.since_delivery_micros
    if state == "running" and event == "deliver":
        return SettleDecision(head("delivered"), unit="held", window_micros=WINDOW)
    if state == "running" and event == "abort":
        return SettleDecision(head("aborted"), unit="restored")
    if state == "running" and event == "hand_off":
        return SettleDecision(head("handed_off"), unit="restored")
    if state == "delivered" and event == "lapse" and left <= 0:
        return SettleDecision(head("accepted"), unit="consumed", revenue_nanos=facts.price_nanos)
    if state == "delivered" and event in ("accept", "reject") and left <= 0:
        return SettleDecision(head("refuse", "window_closed"))
    if state == "delivered" and event == "accept":
        return SettleDecision(head("accepted"), unit="consumed", revenue_nanos=facts.price_nanos, window_micros=left)
    if state == "delivered" and event == "reject":
        return SettleDecision(head("rejected"), unit="restored")
    if state == "accepted" and event == "reverse":
        if left <= 0:
            return SettleDecision(head("refuse", "window_closed"))
        return SettleDecision(head("reversed"), unit="restored", revenue_nanos=-facts.price_nanos)
    return SettleDecision(head("refuse", "not_possible"))
