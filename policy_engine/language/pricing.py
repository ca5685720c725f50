"""What one execution brings in: plan fee shared over what it includes, pack price, overage price, list price."""

from policy_engine.language.checked import BlockId, CheckedPolicy, Meter, Pack, Plan, Scope


def included_price_nanos(policy: CheckedPolicy, plan: Plan, outcome: str) -> int:
    """The plan fee's share of one included unit: in proportion to list value, capped at list, rounded down.

    With `includes 2000 support_draft, 120 account_summary` a draft of list price p gets
    fee x p / (2000 x p + 120 x q).
    """
    list_nanos = policy.outcomes[outcome].price_nanos
    whole = sum(units * policy.outcomes[name].price_nanos for name, units in plan.includes.items())
    return min(list_nanos, plan.fee_nanos * list_nanos // whole) if whole else 0


def pack_price_nanos(pack: Pack) -> int:
    """The cost basis of one unit of a pack, rounded down."""
    return pack.price_nanos // pack.units


def overage_meter(plan: Plan) -> Meter:
    """The counter of money billed beyond the allowance, per customer and period."""
    period = plan.overage.period if plan.overage is not None and plan.overage.period else plan.period
    return Meter("overage", BlockId("plan", plan.name), Scope(key="customer", window=period))


def lowest_price_nanos(policy: CheckedPolicy, outcome: str, plan: str | None) -> int:
    """The least that an execution can turn out to bring in, where the store cannot say what it draws on."""
    prices = [policy.outcomes[outcome].price_nanos]
    prices += [pack_price_nanos(pack) for pack in policy.packs.values() if pack.outcome == outcome]
    if plan is not None:
        terms = policy.plans[plan]
        if outcome in terms.includes:
            prices.append(included_price_nanos(policy, terms, outcome))
        if terms.overage is not None and outcome in terms.overage.prices_nanos:
            prices.append(terms.overage.prices_nanos[outcome])
    return min(prices)
