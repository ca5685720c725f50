"""Which counters a policy reads: what a ledger must answer for, and what a caller may give."""

from collections.abc import Iterable, Iterator

from policy_engine.language.checked import (
    ATTEMPTS,
    SPENT,
    TOKENS,
    CeilingRule,
    CheckedPolicy,
    LimitRule,
    Meter,
    Rule,
    reads,
)
from policy_engine.language.pricing import overage_meter


def meters_of(rules: Iterable[Rule]) -> Iterator[Meter]:
    """The counters that these rules check or read, repetitions included."""
    for rule in rules:
        if (
            isinstance(rule, CeilingRule) and rule.quantity != "elapsed" and rule.scope.execution != "attempt"
        ) or isinstance(rule, LimitRule):
            yield rule.meter
        for read in reads(rule.condition):
            if read.meter is not None:
                yield read.meter


def every_meter(policy: CheckedPolicy) -> tuple[Meter, ...]:
    """Every counter of the policy, once, the three of one execution first."""
    found = dict.fromkeys((SPENT, ATTEMPTS, TOKENS))
    found.update(dict.fromkeys(meters_of(policy.every_rule())))
    for plan in policy.plans.values():
        if plan.overage is not None and plan.overage.cap_nanos is not None:
            found[overage_meter(plan)] = None
    return tuple(found)
