"""A lane of several routes that no fallback ever moves along.

What: an outcome lists a lane with more than one route, and for this outcome no fallback (its own, its workflow's,
the lane's or the file's) leads anywhere but to `stop`. Without a fallback a step stops where its retries end.

Why: the routes behind the first look like a safety net and are none. The first failure that no retry mends ends the
step, and the outcome is not delivered.

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
      }
    }

Good:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    route sonnet { model "anthropic:claude-sonnet-4-5"  rates $3 in, $15 out per 1M tokens }
    lane standard { mini -> sonnet }
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
from policy_engine.language.diagnostics import Note, one_of


def check(subject: Subject) -> Iterator[Found]:
    stuck: dict[str, list[str]] = {}
    for way in subject.ways:
        if len(way.path) > 1 and all(turn.rule.target == "stop" for turn in way.turns):
            stuck.setdefault(way.outcome, []).append(way.lane)
    for outcome, lanes in stuck.items():
        path = subject.checked.lanes[lanes[0]].path
        yield Found(
            span=subject.name_span("outcome", outcome),
            message=f"`{outcome}` never gets past `{path[0]}`: no fallback leads to {one_of(path[1:])}",
            hint="add `fallback next on any`, or shorten the lane",
            notes=tuple(Note(f"the lane `{lane}`", subject.name_span("lane", lane)) for lane in lanes),
        )


RULE = LintRule(code="L042", name="no-way-out", topic="fallback", tier=Tier.WARNING, check=check)
