"""A route that nothing leads to.

What: the route is in no lane, and no fallback names it.

Why: no attempt is ever made on it. Its rates and ceilings are read, kept up to date and believed, and govern
nothing.

Bad:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    route sonnet { model "anthropic:claude-sonnet-4-5"  rates $3 in, $15 out per 1M tokens }
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
    lane standard { mini }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject


def check(subject: Subject) -> Iterator[Found]:
    for name in subject.checked.routes:
        if not subject.lanes_of_route[name] and not subject.fallbacks_to[name]:
            yield Found(
                span=subject.name_span("route", name),
                message=f"no lane and no fallback leads to the route `{name}`",
                hint="add it to a lane, or take it out",
                # A condition may still name it: then taking it out is not a removal but a rewrite.
                edits=() if name in subject.words_of_conditions else subject.removal(subject.block("route", name)),
            )


RULE = LintRule(code="L070", name="unused-route", topic="names", tier=Tier.WARNING, check=check, fixes=True)
