"""The lots of units that a policy's plans and packs give a customer.

An allowance is a lot per calendar period of the policy's time zone: it is made when it is first asked for, and the one
before has simply expired. Nothing resets, so nothing has to run at midnight.
"""

from policy_engine.evaluation.facts import Grant
from policy_engine.language.checked import CheckedPolicy, Pack, Plan
from policy_engine.language.pricing import included_price_nanos, pack_price_nanos
from policy_engine.ledger.windows import days_in, window_end, window_name, window_start


def allowance(
    checked: CheckedPolicy, plan: Plan, customer: str, outcome: str, now_micros: int, joined_micros: int | None = None
) -> Grant:
    """The units of one outcome that a plan includes in the period of now.

    For a customer who joined in this very period, a share of them: the days from that of joining to the period's end,
    of all days of the period, rounded up to whole units. The first lot of a period that a ledger is given stays, so it
    is enough to say so once, when the customer joins. The plan must include the outcome.
    """
    period, zone = plan.period, checked.timezone
    name = window_name(period, now_micros, zone)
    units = plan.includes[outcome]
    if joined_micros is not None and window_name(period, joined_micros, zone) == name:
        left, whole = days_in(period, joined_micros, zone)
        units = -(-units * left // whole)
    start = window_start(period, now_micros, zone)
    return Grant(
        id=f"{plan.name}/{_one_word(customer)}/{outcome}/{name}",
        kind="allowance",
        left=units,
        price_nanos=included_price_nanos(checked, plan, outcome),
        expires_micros=window_end(period, now_micros, zone),
        effective_micros=start,
        created_micros=start,
    )


def bought(pack: Pack, customer: str, key: str, now_micros: int) -> Grant:
    """The units of a pack bought now; `key` names the purchase."""
    return Grant(
        id=f"{pack.name}/{_one_word(customer)}/{key}",
        kind="pack",
        left=pack.units,
        price_nanos=pack_price_nanos(pack),
        expires_micros=None if pack.expires_micros is None else now_micros + pack.expires_micros,
        effective_micros=now_micros,
        created_micros=now_micros,
    )


def _one_word(customer: str) -> str:
    """A customer's name without the sign that divides an id, so that no two customers share one."""
    return customer.replace("%", "%25").replace("/", "%2F")
