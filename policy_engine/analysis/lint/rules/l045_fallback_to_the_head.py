"""A fallback to the route that every step begins at.

What: wherever the fallback can apply, its target is the first route of the lane. A step visits a route at most once
and begins at the head of its lane, so the target has always been left already, and the fallback is passed over.

Why: the fallback does nothing. What follows it, or the stop, is what really happens.

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
        fallback mini on over_ceiling
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

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.language.checked import FallbackRule
from policy_engine.language.diagnostics import Note


def check(subject: Subject) -> Iterator[Found]:
    idle: dict[FallbackRule, list[str]] = {}
    useful: set[FallbackRule] = set()
    for way in subject.ways:
        for turn in way.turns:
            if turn.rule.target == way.path[0]:
                idle.setdefault(turn.rule, []).append(way.lane)
            else:
                useful.add(turn.rule)
    for rule, lanes in idle.items():
        if rule not in useful:
            yield Found(
                span=rule.span,
                message=f"every step begins at `{rule.target}`, so this fallback is always passed over",
                hint="name another route, or take the fallback out",
                notes=tuple(
                    Note(f"`{rule.target}` comes first", subject.step_span(lane, 0)) for lane in dict.fromkeys(lanes)
                ),
            )


RULE = LintRule(code="L045", name="fallback-to-the-head", topic="fallback", tier=Tier.WARNING, check=check)
