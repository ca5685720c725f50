"""What an admission draws on: a grant, the plan's overage, or the list price."""

import ast

from policy_engine.evaluation.compiler.index import Who
from policy_engine.evaluation.compiler.quoting import branch, expression, name, statements
from policy_engine.evaluation.compiler.shapes import Namespace
from policy_engine.evaluation.decision import AdmitDecision, Digests, Draw, Head, Part
from policy_engine.evaluation.facts import Grant
from policy_engine.evaluation.terms import burn_down
from policy_engine.language.checked import CheckedPolicy, Overage, Plan
from policy_engine.language.pricing import overage_meter

SLOW = "return slow(f)"

OF_PLAN = ("outcome", "plan")
"""What decides the amounts of a plan."""


def drawing(policy: CheckedPolicy, digests: Digests, who: Who, namespace: Namespace) -> list[ast.stmt]:
    """Statements that put it into `draw` and its price into `price`, or answer that there is nothing to draw on."""
    body = statements(
        "grants = f.grants\n"
        "if grants is None:\n"
        "    return slow(f)\n"
        "draw = None\n"
        "if len(grants) == 1:\n"
        "    grant = grants[0]\n"
        "    if grant.left > 0:\n"
        "        draw = DRAW(grant.kind, grant.price_nanos, grant.id)\n"
        "elif grants:\n"
        "    draw = DRAWN",
        DRAW=namespace.everywhere(Draw),
        DRAWN=namespace.call(drawn, name("grants")),
    )
    otherwise = _without_grant(policy, digests, who, namespace)
    return [*body, branch(expression("draw is None"), otherwise), *statements("price = draw.price_nanos")]


def _without_grant(policy: CheckedPolicy, digests: Digests, who: Who, namespace: Namespace) -> list[ast.stmt]:
    price = policy.outcomes[who.outcome].price_nanos
    draw, capped = Draw("list", price), None
    head = Head("deny", "allowance_spent", policy.currency, digests)
    if who.plan is not None:
        plan = policy.plans[who.plan]
        overage = plan.overage
        if overage is None or who.outcome not in overage.prices_nanos:
            spent = namespace.everywhere(AdmitDecision(head))
            if who.outcome in plan.includes:
                return [ast.Return(spent)]
            absent = AdmitDecision(Head("deny", "not_in_plan", policy.currency, digests))
            return statements("return SPENT if grants else ABSENT", SPENT=spent, ABSENT=namespace.everywhere(absent))
        price = overage.prices_nanos[who.outcome]
        draw, capped = Draw("overage", price), None if overage.cap_nanos is None else (plan, overage)
    take = statements("draw = D", D=namespace.bind(draw, OF_PLAN))
    if all(each.overage is None or each.overage.cap_nanos is None for each in policy.plans.values()):
        return take
    is_capped = namespace.slot(capped is not None, ("plan",), "capped")
    return [branch(is_capped, _within_cap(capped, price, head, namespace)), *take]


def _within_cap(capped: tuple[Plan, Overage] | None, price: int, head: Head, namespace: Namespace) -> list[ast.stmt]:
    """Whether the price is still within the cap of the plan's overage.

    A plan without a cap has this code too and passes it by: so it is of one shape with those that have one.
    """
    meter = part = cap = most = None
    if capped is not None:
        plan, overage = capped
        cap = overage.cap_nanos or 0
        meter, part, most = overage_meter(plan), Part(overage.ref, "money"), cap - price
    return statements(
        "billed = f.meters.get(METER)\n"
        "if billed is None:\n"
        "    return slow(f)\n"
        "billed = billed.settled + billed.reserved\n"
        "if billed > MOST:\n"
        "    return DECISION(HEAD, ((PART, CAP, billed, PRICE),))",
        METER=namespace.slot(meter, ("plan",), "meter"),
        MOST=namespace.slot(most, OF_PLAN, "most"),
        DECISION=namespace.everywhere(AdmitDecision),
        HEAD=namespace.everywhere(head),
        PART=namespace.slot(part, ("plan",), "part"),
        CAP=namespace.slot(cap, ("plan",), "cap"),
        PRICE=namespace.slot(price, OF_PLAN, "price"),
    )


def drawn(grants: tuple[Grant, ...]) -> Draw | None:
    """The grant that burns down first, as a draw."""
    first: Grant | None = None
    for grant in grants:
        if grant.left > 0 and (first is None or _is_before(grant, first)):
            first = grant
    return None if first is None else Draw(first.kind, first.price_nanos, first.id)


def _is_before(one: Grant, other: Grant) -> bool:
    """Whether a grant burns down before another one. Mostly the priority says so, and the whole order costs ten times
    as much.
    """
    if one.priority != other.priority:
        return one.priority < other.priority
    return burn_down(one) < burn_down(other)
