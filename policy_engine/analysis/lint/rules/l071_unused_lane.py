"""A lane that no outcome lists.

What: no outcome names the lane in its `lanes`.

Why: nothing is ever served in it. If it is the lane that was sold, its buyers get another one.

Bad:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    lane premium { mini  limit 50 per customer per day }
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
    counted = {read.meter.block.name for read in subject.meters_read if read.meter is not None}
    for name, outcomes in subject.outcomes_of_lane.items():
        if not outcomes:
            named = name in subject.words_of_conditions or name in counted
            yield Found(
                span=subject.name_span("lane", name),
                message=f"no outcome lists the lane `{name}`",
                hint="add it to the `lanes` of an outcome, or take it out",
                # A condition may still name or count it: then taking it out is not a removal but a rewrite.
                edits=() if named else subject.removal(subject.block("lane", name)),
            )


RULE = LintRule(code="L071", name="unused-lane", topic="names", tier=Tier.WARNING, check=check, fixes=True)
