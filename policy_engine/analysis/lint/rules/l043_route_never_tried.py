"""A route of a lane that no fallback leads to.

What: in every outcome that uses the lane there are fallbacks, but none is `next` and none names this route. A step
begins at the lane's first route and goes on only where a fallback says so.

Why: the route costs nothing and helps nobody: it is never tried. The lane promises more than it does.

Bad:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    route sonnet { model "anthropic:claude-sonnet-4-5"  rates $3 in, $15 out per 1M tokens }
    route desk { handoff "support desk"  cost $2  limit 9 per day }
    lane standard { mini -> sonnet -> desk }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        fallback desk on any
      }
    }

Good:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    route sonnet { model "anthropic:claude-sonnet-4-5"  rates $3 in, $15 out per 1M tokens }
    route desk { handoff "support desk"  cost $2  limit 9 per day }
    lane standard { mini -> sonnet -> desk }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        fallback next on any
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject


def check(subject: Subject) -> Iterator[Found]:
    reached: dict[str, set[str]] = {}
    moving: set[str] = set()
    for way in subject.ways:
        reached.setdefault(way.lane, set()).update(way.reached())
        if any(turn.rule.target != "stop" for turn in way.turns):
            moving.add(way.lane)  # without any, the whole lane is stuck, which is another finding
    for lane in subject.checked.lanes.values():
        if lane.name not in moving:
            continue
        for number, route in enumerate(lane.path):
            if route not in reached[lane.name]:
                yield Found(
                    span=subject.step_span(lane.name, number),
                    message=f"no fallback leads to `{route}` in the lane `{lane.name}`",
                    hint="add `fallback next`, name the route in a fallback, or take it out of the lane",
                )


RULE = LintRule(code="L043", name="route-never-tried", topic="fallback", tier=Tier.WARNING, check=check)
