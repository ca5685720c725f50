"""A dearer lane, kept for some, has no limit.

What: a lane is narrowed by an `allow`, an outcome lists it beside a lane whose first route is cheaper (by both rates,
or by its flat cost), and nothing counts how often it is entered: no `limit` in the lane or around it, no ceiling over
a window in the lane or on its first route, and no `allow` that reads a counter. Where the `allow` reads the plan, a
`limit` in any plan keeps this rule silent.

Why: the `allow` says who may have the better lane, not how often. One customer whose facts always fit takes it every
time, and the plan was not priced for that.

Bad:

    currency USD

    fact risk: low < high

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
    }

    route opus {
      model "anthropic:claude-opus-4-1"
      rates $15 in, $75 out per 1M tokens
    }

    lane standard {
      mini
    }

    lane premium {
      opus
      allow when risk is high
    }

    workflow support {
      outcome draft {
        price $1
        lanes premium, standard
        margin at least 40%
      }
    }

Good:

    currency USD

    fact risk: low < high

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
    }

    route opus {
      model "anthropic:claude-opus-4-1"
      rates $15 in, $75 out per 1M tokens
    }

    lane standard {
      mini
    }

    lane premium {
      opus
      allow when risk is high
      limit 50 per customer per month
    }

    workflow support {
      outcome draft {
        price $1
        lanes premium, standard
        margin at least 40%
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.entry import allows_of
from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.lint.tighter import blocks_around
from policy_engine.language.checked import Lane, Route, Rules, reads
from policy_engine.language.diagnostics import Note


def check(subject: Subject) -> Iterator[Found]:
    policy = subject.checked
    for lane in policy.lanes.values():
        if not allows_of(lane.rules) or _counted(subject, lane):
            continue
        cheaper = _cheaper(subject, lane)
        if cheaper is not None:
            outcome, other = cheaper
            yield Found(
                span=subject.name_span("lane", lane.name),
                message=f"`{lane.name}` is kept for some and dearer than `{other}`, and nothing limits how often it is"
                " entered",
                hint="add a limit, such as `limit 50 per customer per month`",
                notes=(Note(f"`{outcome}` lists both", subject.name_span("outcome", outcome)),),
            )


def _counted(subject: Subject, lane: Lane) -> bool:
    """Whether some rule counts entries or what they cost. Shadow rules do not hold anybody back."""
    first = subject.checked.routes[lane.path[0]].rules
    if _has_limit(lane.rules) or _has_window(lane.rules) or _has_window(first):
        return True
    rules = (*lane.rules.allows, *lane.rules.forbids)
    known = [read for rule in rules for read in reads(rule.condition)]
    if any(read.name == "plan" for read in known) and any(_has_limit(p.rules) for p in subject.checked.plans.values()):
        return True
    return any(read.meter is not None for read in known)


def _limited(subject: Subject, outcome: str) -> bool:
    return any(_has_limit(subject.rules_by_block[block]) for block in blocks_around(subject.checked, outcome))


def _has_limit(rules: Rules) -> bool:
    return any(not rule.shadow for rule in rules.limits)


def _has_window(rules: Rules) -> bool:
    return any(rule.scope.window is not None and not rule.shadow for rule in rules.ceilings)


def _cheaper(subject: Subject, lane: Lane) -> tuple[str, str] | None:
    """An outcome that lists this lane and a cheaper one, with that one."""
    policy = subject.checked
    dear = policy.routes[lane.path[0]]
    for outcome in subject.outcomes_of_lane[lane.name]:
        for other in policy.outcomes[outcome].lanes:
            if (
                other != lane.name
                and not _limited(subject, outcome)
                and _is_dearer(dear, policy.routes[policy.lanes[other].path[0]])
            ):
                return outcome, other
    return None


def _is_dearer(route: Route, other: Route) -> bool:
    """Whatever the tokens. A flat cost and rates are not compared."""
    if route.cost_nanos is not None and other.cost_nanos is not None:
        return route.cost_nanos > other.cost_nanos
    ours, theirs = route.rates, other.rates
    if ours is None or theirs is None or ours == theirs:
        return False
    return ours.input_picos >= theirs.input_picos and ours.output_picos >= theirs.output_picos


RULE = LintRule(code="L030", name="premium-without-limit", topic="lanes", tier=Tier.WARNING, check=check)
