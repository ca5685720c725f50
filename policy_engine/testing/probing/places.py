"""Where a block has a say: combinations of outcome, plan, lane and route, the most telling ones first."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from policy_engine.language.checked import BlockId, CheckedPolicy

MOST_PLACES = 24


@dataclass(frozen=True, slots=True)
class Place:
    """Who and what a decision is about. `lane` is the one asked for or admitted, `route` the one tried."""

    outcome: str
    plan: str | None
    lane: str
    route: str


def places(policy: CheckedPolicy, block: BlockId) -> list[Place]:
    """Places that a block governs; for a handoff, those from which work may get there."""
    return list(islice(_places(policy, block), MOST_PLACES))


def _places(policy: CheckedPolicy, block: BlockId) -> Iterator[Place]:
    # Outcomes vary fastest: what is out of reach for one is often within reach for another.
    found: list[list[Place]] = []
    for outcome in policy.outcomes.values():
        if block.kind == "outcome" and outcome.name != block.name:
            continue
        if block.kind == "workflow" and outcome.workflow != block.name:
            continue
        found.append(list(_of_outcome(policy, block, outcome.name)))
    for index in range(max(map(len, found), default=0)):
        yield from (places[index] for places in found if index < len(places))


def _of_outcome(policy: CheckedPolicy, block: BlockId, outcome: str) -> Iterator[Place]:
    plans = [block.name] if block.kind == "plan" else [*_selling(policy, outcome), None]
    lanes = [lane for lane in policy.outcomes[outcome].lanes if block.kind != "lane" or lane == block.name]
    for plan in plans:
        for lane in lanes:
            path = policy.lanes[lane].path
            attempted = [route for route in path if policy.routes[route].kind != "handoff"]
            if block.kind == "route" and policy.routes[block.name].kind != "handoff":
                attempted = [route for route in attempted if route == block.name]
            for route in attempted:
                yield Place(outcome, plan, lane, route)


def _selling(policy: CheckedPolicy, outcome: str) -> Iterator[str]:
    """The plans that a customer may use for an outcome."""
    for plan in policy.plans.values():
        if outcome in plan.includes or (plan.overage is not None and outcome in plan.overage.prices_nanos):
            yield plan.name
