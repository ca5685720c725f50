"""A fallback that answers `over_ceiling` with a dearer route.

What: a fallback names `over_ceiling` and a route whose rates (or flat cost) are above those of every route that a
step can come from, in every lane where it applies. Not reported for `next` and `any`, where a route before it has a
ceiling of its own (the dearer one may lie under that), or where a ceiling is told apart by `route`.

Why: what did not fit on the cheaper route fits even less on the dearer one. The step asks once more, is refused
once more, and the answer that would have helped (a cheaper route, a person, an honest stop) is not tried.

Bad:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    route sonnet { model "anthropic:claude-sonnet-4-5"  rates $3 in, $15 out per 1M tokens }
    lane standard { mini -> sonnet }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        fallback sonnet on over_ceiling
        fallback next on timeout
      }
    }

Good:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    route sonnet { model "anthropic:claude-sonnet-4-5"  rates $3 in, $15 out per 1M tokens }
    lane standard { sonnet -> mini }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        fallback mini on over_ceiling
        fallback next on timeout
      }
    }
"""

from collections.abc import Iterator, Sequence

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.ways import Way
from policy_engine.evaluation.terms import fold
from policy_engine.language.checked import CeilingRule, CheckedPolicy, FallbackRule, Route, reads
from policy_engine.language.diagnostics import Note, one_of


def check(subject: Subject) -> Iterator[Found]:
    policy = subject.checked
    every_class = len(policy.error_classes) - 1  # `any` is every class but `cancelled`
    named = {
        rule: list[Way]()
        for way in subject.ways
        for rule in (turn.rule for turn in way.turns)
        if rule.target not in ("next", "stop")
        and policy.routes[rule.target].kind != "handoff"
        and "over_ceiling" in rule.classes
        and len(rule.classes) < every_class
    }
    if not named:
        return
    suspects = list(_by_route(subject))
    for way in subject.ways:
        for turn in way.turns:
            if turn.rule in named:
                named[turn.rule].append(way)
    for rule, applies in named.items():
        before = {name for way in applies for name in way.reached()} - {rule.target}
        routes = [policy.routes[name] for name in sorted(before) if policy.routes[name].kind != "handoff"]
        apart = any(_tells_apart(ceiling, [rule.target, *before]) for ceiling in suspects)
        if routes and not apart and all(_is_dearer(policy, rule, route) for route in routes):
            yield Found(
                span=rule.span,
                message=f"`over_ceiling` is answered with `{rule.target}`, which costs more than {one_of(before)}",
                hint="name a cheaper route, a handoff or `stop`",
                notes=(Note("its price", policy.routes[rule.target].span),),
            )


def _is_dearer(policy: CheckedPolicy, rule: FallbackRule, route: Route) -> bool:
    """Whether the target costs more than `route`, which no ceiling of its own can have refused."""
    target = policy.routes[rule.target]
    if any(not ceiling.shadow for ceiling in route.rules.ceilings):
        return False
    if target.rates is not None and route.rates is not None and target.cost_nanos is route.cost_nanos is None:
        ours = (target.rates.input_picos, target.rates.output_picos)
        theirs = (route.rates.input_picos, route.rates.output_picos)
        return ours != theirs and all(a >= b for a, b in zip(ours, theirs, strict=True))
    if target.cost_nanos is not None and route.cost_nanos is not None:
        return target.cost_nanos > route.cost_nanos
    return False


def _by_route(subject: Subject) -> Iterator[CeilingRule]:
    """The ceilings that may apply to one route and not to another, or count them apart."""
    for rule in subject.every_rule:
        if isinstance(rule, CeilingRule) and not rule.shadow and _looks_at_the_route(rule):
            yield rule


def _looks_at_the_route(rule: CeilingRule) -> bool:
    return rule.scope.key == "route" or any(read.name in ("route", "estimate") for read in reads(rule.condition))


def _tells_apart(ceiling: CeilingRule, routes: Sequence[str]) -> bool:
    """Whether it may treat these routes differently: one that none of them has in its condition does not."""
    if ceiling.scope.key == "route" or ceiling.condition is None:
        return True
    left = [fold(ceiling.condition, {"route": route}) for route in routes]
    return any(other != left[0] for other in left) or any(
        read.name == "estimate" for test in left if not isinstance(test, bool) for read in reads(test)
    )


RULE = LintRule(code="L041", name="dearer-target-over-ceiling", topic="fallback", tier=Tier.WARNING, check=check)
