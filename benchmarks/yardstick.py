"""The yardstick: `dozen.policy` written by hand, as fast as Python allows.

For each decision point `best_*` answers from the same slotted facts records as an evaluator and
returns an equal decision: every number, every deciding rule, alerts and shadow verdicts. Nothing that
can be prepared is done per call: heads and parts are made once, rates, prices and limits are literals,
the common way comes first. `best_bound_attempt` is what one would write for one execution alone.
(`plain.py` has the same decisions as most people would write them.)

They cover facts that are all known: every declared fact given, every counter answered, grants told,
input tokens and an output cap given. A caller's own estimate, a cap that may be shrunk, a customer without a
plan and an asked lane are covered. What an unknown value means is out of their scope, and so is checking input.

This file stands still: a benchmark compares with what was here before the engine was made fast. Whoever has
to change it says so, and why, in docs/benchmarks.md.
"""

from fractions import Fraction
from typing import Any, NamedTuple

from benchmarks import dozen
from benchmarks.dozen import BASE_BILLED, SUPPORT_PER_DAY
from benchmarks.plain import burn_down
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
from policy_engine.evaluation.facts import AdmitFacts, AttemptFacts, FailureFacts, ProgressFacts, SettleFacts
from policy_engine.language.checked import ATTEMPTS, SPENT

Known = Any
"""A facts record of which every value is known: None is left out of the type, not of the record."""


def _head(effect: str, reason: str | None = None) -> Head:
    return Head(effect, reason, dozen.CURRENCY, dozen.DIGESTS)


GO, SHRUNK, OVER_CEILING = _head("go"), _head("go", "shrunk"), _head("refuse", "over_ceiling")
MINI, SONNET, OPUS = (Part(ref, "money") for ref in (dozen.MINI_CEILING, dozen.SONNET_CEILING, dozen.OPUS_CEILING))
BUDGET, MARGIN = Part(dozen.BUDGET, "money"), Part(dozen.MARGIN, "money")
COUNT, TIME = Part(dozen.MOST_ATTEMPTS, "attempts"), Part(dozen.MOST_TIME, "time")
ALERT = Part(dozen.BUDGET, "money", "alert", Fraction(80))
PASSES, REFUSES = Part(dozen.SHADOW, "money", "passes"), Part(dozen.SHADOW, "money", "refuses")

# ---------------------------------------------------------------- attempt


def best_attempt(facts: AttemptFacts) -> AttemptDecision:
    """May this attempt be made, and with how much?"""
    known: Known = facts
    input_tokens = known.input_tokens
    cap = known.max_output_tokens
    nanos = known.estimate_nanos
    route = known.route
    if route == "mini":
        ceiling = 20_000_000
        if nanos is None:
            nanos = 150 * input_tokens + 600 * cap
    elif route == "sonnet":
        ceiling = 120_000_000
        if nanos is None:
            nanos = 3_000 * input_tokens + 15_000 * cap
    else:
        ceiling = 250_000_000
        if nanos is None:
            nanos = 15_000 * input_tokens + 75_000 * cap
    meters = known.meters
    reading = meters[SPENT]
    spent = reading.settled + reading.reserved
    reading = meters[SUPPORT_PER_DAY]
    today = reading.settled + reading.reserved
    reading = meters[ATTEMPTS]
    made = reading.settled + reading.reserved
    margin = known.price_nanos * 55 // 100
    elapsed = known.elapsed_micros
    timed = known.given.risk != "high"
    total, total_today = spent + nanos, today + nanos
    if (
        nanos <= ceiling
        and total <= margin
        and total_today <= 20_000_000_000
        and made < 6
        and (elapsed < 90_000_000 or not timed)
    ):
        shadow = (PASSES if total <= 200_000_000 else REFUSES, 200_000_000, spent, nanos)
        if timed:
            time = (TIME, 90_000_000, elapsed, None)
            if today < 16_000_000_000 <= total_today:
                lines: tuple[Line, ...] = (time, (ALERT, 20_000_000_000, today, nanos), shadow)
            else:
                lines = (time, shadow)
            return AttemptDecision(GO, lines, (), nanos, input_tokens + cap, cap, 90_000_000 - elapsed)
        alerting = today < 16_000_000_000 <= total_today
        lines = ((ALERT, 20_000_000_000, today, nanos), shadow) if alerting else (shadow,)
        return AttemptDecision(GO, lines, (), nanos, input_tokens + cap, cap, None)
    return _less(known, ceiling, spent, today, made, margin, elapsed, timed)


RATES = {"mini": (150, 600, MINI), "sonnet": (3_000, 15_000, SONNET), "opus": (15_000, 75_000, OPUS)}


def _less(
    facts: Known, ceiling: int, spent: int, today: int, made: int, margin: int, elapsed: int, timed: bool
) -> AttemptDecision:
    """The answer where what was asked does not fit: with a smaller cap if the caller takes one, else none."""
    rate_in, rate_out, part = RATES[facts.route]
    input_tokens, cap, least = facts.input_tokens, facts.max_output_tokens, facts.min_output_tokens
    smallest = cap if least is None or least > cap else least
    nanos = facts.estimate_nanos
    if nanos is None:
        nanos = rate_in * input_tokens + rate_out * smallest
    lines: list[Line] = []
    if nanos > ceiling:
        lines.append((part, ceiling, 0, nanos))
    if today + nanos > 20_000_000_000:
        lines.append((BUDGET, 20_000_000_000, today, nanos))
    if spent + nanos > margin:
        lines.append((MARGIN, margin, spent, nanos))
    if made >= 6:
        lines.append((COUNT, 6, made, 1))
    if timed and elapsed >= 90_000_000:
        lines.append((TIME, 90_000_000, elapsed, None))
    if lines:
        lines.append((PASSES if spent + nanos <= 200_000_000 else REFUSES, 200_000_000, spent, nanos))
        return AttemptDecision(OVER_CEILING, tuple(lines))
    paid = rate_in * input_tokens
    room = (ceiling - paid) // rate_out
    room_today = (20_000_000_000 - today - paid) // rate_out
    room_margin = (margin - spent - paid) // rate_out
    cap = min(room, room_today, room_margin)
    nanos = paid + rate_out * cap
    if room == cap:
        lines.append((part, ceiling, 0, nanos))
    if room_today == cap:
        lines.append((BUDGET, 20_000_000_000, today, nanos))
    if room_margin == cap:
        lines.append((MARGIN, margin, spent, nanos))
    if timed:
        lines.append((TIME, 90_000_000, elapsed, None))
    if today < 16_000_000_000 <= today + nanos:
        lines.append((ALERT, 20_000_000_000, today, nanos))
    lines.append((PASSES if spent + nanos <= 200_000_000 else REFUSES, 200_000_000, spent, nanos))
    deadline = 90_000_000 - elapsed if timed else None
    return AttemptDecision(SHRUNK, tuple(lines), (), nanos, input_tokens + cap, cap, deadline)


BOUND = {"customer": "acme", "plan": "growth", "lane": "premium", "route": "opus"}
BOUND_GIVEN = {"risk": "medium", "confidence": 0.4, "region": "us"}
BOUND_PRICE_NANOS = 745_000_000


def best_bound_attempt(
    meters: Known,
    input_tokens: Known,
    max_output_tokens: Known,
    min_output_tokens: Known,
    estimate_nanos: int | None,
    attempt: int,
    failures: int,
    elapsed_micros: int,
    step_elapsed_micros: int,
) -> AttemptDecision:
    """`best_attempt` for `BOUND`, `BOUND_GIVEN` and `BOUND_PRICE_NANOS`: what one would write for these alone."""
    nanos = 15_000 * input_tokens + 75_000 * max_output_tokens if estimate_nanos is None else estimate_nanos
    reading = meters[SPENT]
    spent = reading.settled + reading.reserved
    reading = meters[SUPPORT_PER_DAY]
    today = reading.settled + reading.reserved
    reading = meters[ATTEMPTS]
    made = reading.settled + reading.reserved
    total, total_today = spent + nanos, today + nanos
    if (
        nanos <= 250_000_000
        and total <= 409_750_000
        and total_today <= 20_000_000_000
        and made < 6
        and elapsed_micros < 90_000_000
    ):
        time = (TIME, 90_000_000, elapsed_micros, None)
        shadow = (PASSES if total <= 200_000_000 else REFUSES, 200_000_000, spent, nanos)
        if today < 16_000_000_000 <= total_today:
            lines: tuple[Line, ...] = (time, (ALERT, 20_000_000_000, today, nanos), shadow)
        else:
            lines = (time, shadow)
        return AttemptDecision(
            GO, lines, (), nanos, input_tokens + max_output_tokens, max_output_tokens, 90_000_000 - elapsed_micros
        )
    asked = _Asked(input_tokens, max_output_tokens, min_output_tokens, estimate_nanos)
    return _less(asked, 250_000_000, spent, today, made, 409_750_000, elapsed_micros, True)


class _Asked(NamedTuple):
    """What `_less` reads of an attempt's facts."""

    input_tokens: int
    max_output_tokens: int
    min_output_tokens: int | None
    estimate_nanos: int | None
    route: str = "opus"


# ---------------------------------------------------------------- progress

CUT_CAP, CUT_TIME, CUT_OVER = _head("cut", "output_cap"), _head("cut", "deadline"), _head("cut", "over_ceiling")


def best_progress(facts: ProgressFacts) -> ProgressDecision:
    """May this attempt go on?"""
    known: Known = facts
    output_tokens = known.output_tokens
    route = known.route
    if route == "mini":
        ceiling, part = 20_000_000, MINI
        nanos = 150 * known.input_tokens + 600 * output_tokens
    elif route == "sonnet":
        ceiling, part = 120_000_000, SONNET
        nanos = 3_000 * known.input_tokens + 15_000 * output_tokens
    else:
        ceiling, part = 250_000_000, OPUS
        nanos = 15_000 * known.input_tokens + 75_000 * output_tokens
    meters = known.meters
    reading = meters[SPENT]
    spent = reading.settled + reading.reserved
    reading = meters[SUPPORT_PER_DAY]
    today = reading.settled + reading.reserved
    reading = meters[ATTEMPTS]
    made = reading.settled + reading.reserved
    cap = known.output_cap
    margin = known.price_nanos * 55 // 100
    late = known.elapsed_micros >= 90_000_000 and known.given.risk != "high"
    total = spent + nanos
    shadow = (PASSES if total <= 200_000_000 else REFUSES, 200_000_000, spent, nanos)
    too_long = cap is not None and output_tokens > cap
    if nanos <= ceiling and total <= margin and today + nanos <= 20_000_000_000 and made < 6 and not late:
        return ProgressDecision(CUT_CAP if too_long else GO, (shadow,))
    lines: list[Line] = []
    if nanos > ceiling:
        lines.append((part, ceiling, 0, nanos))
    if today + nanos > 20_000_000_000:
        lines.append((BUDGET, 20_000_000_000, today, nanos))
    if total > margin:
        lines.append((MARGIN, margin, spent, nanos))
    if made >= 6:
        lines.append((COUNT, 6, made, 1))
    if late:
        lines.append((TIME, 90_000_000, known.elapsed_micros, None))
    lines.append(shadow)
    return ProgressDecision(CUT_CAP if too_long else CUT_TIME if late else CUT_OVER, tuple(lines))


# ---------------------------------------------------------------- admit

ALLOW = _head("allow")
SPENT_UP, FORBIDDEN = _head("deny", "allowance_spent"), _head("deny", "forbidden")
REACHED, NOT_ALLOWED = _head("deny", "ceiling_reached"), _head("deny", "not_allowed")
DENY_LINE: Line = (Part(dozen.DENY_LIST), None, None, None)
ALLOW_LINE: Line = (Part(dozen.PREMIUM_ALLOW), None, None, None)
ALLOW_LINES = (ALLOW_LINE,)
CAP = Part(dozen.OVERAGE_CAP, "money")
PREMIUM_REFUSED = (LaneRefusal("premium", "not_allowed", (Ruling(dozen.PREMIUM_ALLOW),)),)
LIST_DRAW = Draw("list", 990_000_000)
OVERAGE_DRAWS = {
    "base": Draw("overage", 990_000_000),
    "growth": Draw("overage", 800_000_000),
    "enterprise": Draw("overage", 700_000_000),
}
DENIED_CUSTOMERS = frozenset({"initech", "hooli", "vandelay"})


def best_admit(facts: AdmitFacts) -> AdmitDecision:
    """May this execution start, in which lane, drawing on what?"""
    known: Known = facts
    plan = known.plan
    meters = known.meters
    grants = known.grants
    grant = None
    if len(grants) == 1:
        grant = grants[0] if grants[0].left > 0 else None
    elif grants:
        grant = min((g for g in grants if g.left > 0), key=burn_down, default=None)
    if grant is not None:
        draw = Draw(grant.kind, grant.price_nanos, grant.id)
    elif plan is None:
        draw = LIST_DRAW
    else:
        if plan == "base":
            reading = meters[BASE_BILLED]
            billed = reading.settled + reading.reserved
            if billed > 499_010_000_000:
                return AdmitDecision(SPENT_UP, ((CAP, 500_000_000_000, billed, 990_000_000),))
        draw = OVERAGE_DRAWS[plan]
    given = known.given
    denied = known.customer in DENIED_CUSTOMERS or given.region == "apac"
    reading = meters[SUPPORT_PER_DAY]
    today = reading.settled + reading.reserved
    if today >= 20_000_000_000:
        line: Line = (BUDGET, 20_000_000_000, today, None)
        return AdmitDecision(FORBIDDEN, (DENY_LINE, line)) if denied else AdmitDecision(REACHED, (line,))
    if denied:
        return AdmitDecision(FORBIDDEN, (DENY_LINE,))
    ceiling = draw.price_nanos * 55 // 100
    lane = known.lane
    if lane == "standard":
        return AdmitDecision(ALLOW, (), (), "standard", "mini", draw, ceiling)
    if (plan == "growth" or plan == "enterprise") and (given.risk == "high" or given.confidence < 0.5):  # noqa: PLR1714 - faster than a tuple
        return AdmitDecision(ALLOW, ALLOW_LINES, (), "premium", "opus", draw, ceiling)
    if lane is None:
        return AdmitDecision(ALLOW, (), (), "standard", "mini", draw, ceiling, PREMIUM_REFUSED)
    return AdmitDecision(NOT_ALLOWED, ALLOW_LINES, refused=PREMIUM_REFUSED)


# ---------------------------------------------------------------- failure

RETRY, ROUTE, STOP = _head("retry"), _head("route"), _head("stop")
RETRY_BASE, RETRY_ALL = Part(dozen.RETRY_BASE, "count"), Part(dozen.RETRY_ALL, "count")
GIVE_UP_LINE: Line = (Part(dozen.GIVE_UP), None, None, None)
GO_ON_LINE: Line = (Part(dozen.GO_ON), None, None, None)
BASE_CLASSES = frozenset({"timeout", "rate_limit", "unavailable"})
RETRIED = BASE_CLASSES | {"server_error", "invalid_output"}
DELAYS = (250_000, 500_000, 1_000_000)
STOPPED = FailureDecision(STOP)
SENT_ON = FailureDecision(ROUTE, (GO_ON_LINE,), (), "sonnet")
GIVEN_UP = FailureDecision(STOP, (GIVE_UP_LINE,))


def best_failure(facts: FailureFacts) -> FailureDecision:
    """Where does the step go now?"""
    error = facts.error
    lines: tuple[Line, ...] = ()
    if error in RETRIED:
        made = base_made = 0
        for name, count in facts.retries.items():
            if name in RETRIED:
                made += count
                if name in BASE_CLASSES:
                    base_made += count
        if facts.plan == "base" and error in BASE_CLASSES:
            if base_made < 1 and made < 3:
                lines = ((RETRY_BASE, 1, base_made, 1), (RETRY_ALL, 3, made, 1))
                return FailureDecision(RETRY, lines, (), facts.route, DELAYS[made])
            if base_made >= 1:
                lines = ((RETRY_BASE, 1, base_made, 1),)
            if made >= 3:
                lines = (*lines, (RETRY_ALL, 3, made, 1))
        elif made < 3:
            return FailureDecision(RETRY, ((RETRY_ALL, 3, made, 1),), (), facts.route, DELAYS[made])
        else:
            lines = ((RETRY_ALL, 3, made, 1),)
    elif error == "cancelled":
        return STOPPED
    if facts.failures >= 3:
        known: Known = facts
        if 2 * known.meters[SPENT].settled > facts.price_nanos * 55 // 100:
            return FailureDecision(STOP, (*lines, GIVE_UP_LINE)) if lines else GIVEN_UP
    # Both lanes have two routes and end in sonnet: the second is next unless the step was there.
    if "sonnet" not in facts.visited:
        return FailureDecision(ROUTE, (*lines, GO_ON_LINE), (), "sonnet") if lines else SENT_ON
    return FailureDecision(STOP, lines) if lines else STOPPED


# ---------------------------------------------------------------- settle

DELIVERED, ACCEPTED, REVERSED = _head("delivered"), _head("accepted"), _head("reversed")
DELIVER = SettleDecision(DELIVERED, unit="held", window_micros=259_200_000_000)
REJECT = SettleDecision(_head("rejected"), unit="restored")
ABORT = SettleDecision(_head("aborted"), unit="restored")
HAND_OFF = SettleDecision(_head("handed_off"), unit="restored")
CLOSED = SettleDecision(_head("refuse", "window_closed"))
IMPOSSIBLE = SettleDecision(_head("refuse", "not_possible"))


def best_settle(facts: SettleFacts) -> SettleDecision:
    """What becomes of the promised unit?"""
    state, event = facts.state, facts.event
    if state == "delivered":
        left = 259_200_000_000 - facts.since_delivery_micros
        if event == "accept":
            if left <= 0:
                return CLOSED
            return SettleDecision(ACCEPTED, (), (), "consumed", facts.price_nanos, left)
        if event == "lapse":
            if left > 0:
                return IMPOSSIBLE
            return SettleDecision(ACCEPTED, (), (), "consumed", facts.price_nanos)
        if event == "reject":
            return REJECT if left > 0 else CLOSED
    elif state == "running":
        if event == "deliver":
            return DELIVER
        if event == "abort":
            return ABORT
        if event == "hand_off":
            return HAND_OFF
    elif state == "accepted" and event == "reverse":
        if facts.since_delivery_micros < 259_200_000_000:
            return SettleDecision(REVERSED, (), (), "restored", -facts.price_nanos)
        return CLOSED
    return IMPOSSIBLE
