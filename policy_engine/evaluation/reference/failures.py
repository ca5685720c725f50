"""`failure`: retry after a delay, go to a route, hand off, or stop."""

from policy_engine.evaluation.decision import Digests, FailureDecision, Ruling, stated
from policy_engine.evaluation.facts import FailureFacts
from policy_engine.evaluation.reference.ceilings import tightest_per_outcome
from policy_engine.evaluation.reference.view import View, Views
from policy_engine.language.checked import CheckedPolicy, FallbackRule, RetryRule, Rule, Rules
from policy_engine.language.vocabulary import NEVER_RETRIED, Point


def failure(policy: CheckedPolicy, digests: Digests, facts: FailureFacts, views: Views = View) -> FailureDecision:
    """Where does this step go now? Every target is asked again at `attempt`."""
    lane, route = policy.lanes[facts.lane], policy.routes[facts.route]
    around = policy.around(facts.outcome, facts.plan)
    view = views(policy, Point.FAILURE, facts, lane=facts.lane, price_nanos=facts.price_nanos)

    retries = [r for rules in (*around, lane.rules, route.rules) for r in rules.retries if facts.error in r.classes]
    fallbacks = [
        f for rules in _innermost_first(around, lane.rules) for f in rules.fallbacks if facts.error in f.classes
    ]
    view.require([*retries, *fallbacks])
    _look_at_ceiling(fallbacks, (*around, lane.rules), view)

    def answer(effect: str, rulings: list[Ruling], **more: object) -> FailureDecision:
        said = stated(effect, rulings=rulings, unknown=view.unknown, currency=policy.currency, digests=digests)
        return FailureDecision(*said, **more)  # type: ignore[arg-type]  # route and delay, by effect

    # An unknown retry rule counts in whichever reading permits fewer: it must have count left,
    # and it cannot be the one that permits.
    retries.sort(key=lambda rule: rule.span.order)
    held = {rule: view.holds(rule) for rule in retries}
    counted = [rule for rule in retries if held[rule] is not False]
    spent = [rule for rule in counted if _made(rule, facts) >= rule.count]
    permitted = any(held[rule] is True for rule in counted) and not spent
    if permitted and facts.error not in NEVER_RETRIED:
        delay = max(_delay(rule, _made(rule, facts) + 1) for rule in counted)
        return answer("retry", [_retry_ruling(r, facts) for r in counted], route=route.name, delay_micros=delay)

    exhausted = [_retry_ruling(rule, facts) for rule in spent]
    for rule in fallbacks:
        target = _target(rule, lane.path, facts)
        if target is None:
            continue
        ends = target == "stop" or policy.routes[target].kind == "handoff"
        holds = view.holds(rule)
        if holds is False or (holds is None and not ends):
            continue
        said = [*exhausted, Ruling(rule.ref)]
        if target == "stop":
            return answer("stop", said)
        if policy.routes[target].kind != "handoff":
            return answer("route", said, route=target)
        if not _limit_reached(policy.routes[target].rules, view):
            return answer("hand_off", said, route=target)
    return answer("stop", exhausted)


def _innermost_first(around: tuple[Rules, ...], lane: Rules) -> tuple[Rules, ...]:
    file, workflow, outcome = around[:3]
    return outcome, workflow, lane, file


def _look_at_ceiling(fallbacks: list[FallbackRule], blocks: tuple[Rules, ...], view: View) -> None:
    """`ceiling` and `remaining` are the tightest money ceiling per outcome now applying; looked up only if read."""
    if any(read.name in ("ceiling", "remaining") for rule in fallbacks for read in view.reads_of(rule)):
        ceilings = [rule for rules in blocks for rule in rules.ceilings if not rule.shadow]
        money = [c for c in ceilings if c.quantity == "spent" and c.scope.execution == "outcome"]
        view.require(money)
        view.ceiling_nanos = tightest_per_outcome(money, view)


def _made(rule: RetryRule, facts: FailureFacts) -> int:
    """The retries this step has made on this route that the rule counts."""
    return sum(made for error, made in facts.retries.items() if error in rule.classes)


def _delay(rule: RetryRule, number: int) -> int:
    """Microseconds before the `number`-th retry: doubling from the first to the longest, or constant."""
    if rule.longest_micros is None:
        return rule.first_micros
    return min(rule.longest_micros, rule.first_micros << (number - 1))


def _retry_ruling(rule: RetryRule, facts: FailureFacts) -> Ruling:
    return Ruling(rule.ref, "count", rule.count, _made(rule, facts), 1)


def _target(rule: FallbackRule, path: tuple[str, ...], facts: FailureFacts) -> str | None:
    """The route this rule names now, or `stop`; None where the step has been there, or nothing is next."""
    if rule.target == "stop":
        return "stop"
    if rule.target != "next":
        return None if rule.target in facts.visited else rule.target
    furthest = max((path.index(route) for route in facts.visited if route in path), default=-1)
    return path[furthest + 1] if furthest + 1 < len(path) else None


def _limit_reached(rules: Rules, view: View) -> bool:
    """Whether a handoff has a limit that does not leave one more; an unknown count is a reached one."""
    # Every limit is looked at, so that all that is unknown is named, whatever the order.
    reached = False
    for rule in rules.limits:
        if not rule.shadow and _applies(rule, view):
            used = view.used(rule.meter)
            reached = reached or used is None or used + 1 > rule.count
    return reached


def _applies(rule: Rule, view: View) -> bool:
    view.require([rule])
    return view.holds(rule) is not False
