"""A fact that no condition reads.

What: the fact is declared, and no rule's condition names it.

Why: callers go on giving it, and readers believe that it decides something. A misspelt condition can be the reason.

Bad:

    currency USD
    fact risk: low < medium < high
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
      }
    }

Good:

    currency USD
    fact risk: low < medium < high
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        ceiling $0.10 per outcome when risk is low
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject


def check(subject: Subject) -> Iterator[Found]:
    for fact in subject.checked.facts.values():
        if fact.name not in subject.readers:
            yield Found(
                span=fact.span,
                message=f"no condition reads the fact `{fact.name}`",
                hint="read it in a condition, or take it out and no longer give it",
            )


RULE = LintRule(code="L064", name="fact-never-read", topic="conditions", tier=Tier.NOTE, check=check)
