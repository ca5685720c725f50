"""A `retry 0` takes away what nobody gives.

What: `retry 0` can only take retries away from other rules, and no other rule that may apply together with it retries
any of its classes.

Why: without a `retry` nothing is retried; the line says what is so anyway. Often the rule that it was meant to stop
is for other classes, or has been removed.

Bad:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
      retry 2 on timeout backoff 250ms..4s
    }

    lane standard {
      mini
    }

    workflow support {
      outcome draft {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        retry 0 on invalid_output
      }
    }

Good:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
      retry 2 on timeout backoff 250ms..4s
    }

    lane standard {
      mini
    }

    workflow support {
      outcome draft {
        price $1
        lanes standard
        ceiling $0.30 per outcome
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.language.checked import RetryRule


def check(subject: Subject) -> Iterator[Found]:
    for rule in subject.every_rule:
        if not isinstance(rule, RetryRule) or rule.count:
            continue
        blocks = (subject.rules_by_block[block] for block in subject.meeting(rule.block))
        if not any(other.count and rule.classes & other.classes for rules in blocks for other in rules.retries):
            yield Found(
                span=rule.span,
                message=f"`{rule.ref.name}` takes nothing away: no rule retries what it is for",
                hint="remove it",
                edits=subject.removal(rule),
            )


RULE = LintRule(code="L024", name="retry-of-nothing", topic="retries", tier=Tier.NOTE, check=check, fixes=True)
