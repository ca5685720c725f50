"""A handoff without a cost, or without a limit.

What: a handoff route states no `cost`, or has no `limit` (a `limit` under a condition counts).

Why: a handoff ends the execution and is refused by no ceiling: its limit is the only thing between a bad day and a
queue of people who cannot cope, and without its cost every margin leaves out the dearest thing that can happen.

Bad:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    route desk { handoff "support desk"  cost $2 }
    lane standard { mini -> desk }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        fallback next on any
      }
    }

Good:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    route desk { handoff "support desk"  cost $2  limit 9 per day }
    lane standard { mini -> desk }
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
    for route in subject.checked.routes.values():
        if route.kind != "handoff":
            continue
        missing = ["cost"] * (route.cost_nanos is None) + ["limit"] * (not route.rules.limits)
        if missing:
            yield Found(
                span=subject.name_span("route", route.name),
                message=f"the handoff `{route.name}` has no {' and no '.join(f'`{word}`' for word in missing)}",
                hint="say what one costs" if missing == ["cost"] else "bound it, as in `limit 20 per day`",
            )


RULE = LintRule(code="L044", name="handoff-without-bound", topic="fallback", tier=Tier.WARNING, check=check)
