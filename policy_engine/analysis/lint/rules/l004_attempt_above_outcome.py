"""A ceiling on a part is above the ceiling on the whole.

What: a ceiling `per attempt` or `per step` permits more than one `per step` or `per outcome` that applies
wherever it does: the one on the whole always stops the work first, and the one on the part never decides
anything. Equal limits are not reported, and neither is a ceiling on a route or lane that only some of its
outcomes outdo.

Why: somebody believes that a single call is held to the amount that is written there. Either it is a typing
slip, and one call may cost more than was meant, or the line is dead and misleads the next reader.

Bad:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
    }

    lane standard {
      mini
    }

    workflow support {
      outcome draft {
        price $1
        lanes standard
        ceiling $0.50 per attempt
        ceiling $0.30 per outcome
      }
    }

Good:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
    }

    lane standard {
      mini
    }

    workflow support {
      outcome draft {
        price $1
        lanes standard
        ceiling $0.05 per attempt
        ceiling $0.30 per outcome
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.lint.tighter import alerts_within, tighter
from policy_engine.language.checked import CeilingRule
from policy_engine.language.diagnostics import Note


def check(subject: Subject) -> Iterator[Found]:
    for rule in subject.every_rule:
        if not isinstance(rule, CeilingRule) or rule.scope.execution not in ("attempt", "step"):
            continue
        outdone = tighter(subject).above(rule)
        if outdone is None or tighter(subject).beside(rule) is not None:
            continue  # what its own scope already outdoes is reported there
        if alerts_within(rule, outdone.by)[0]:
            continue  # it serves as an alarm
        yield Found(
            span=rule.span,
            message=f"`{rule.ref.name}` can never decide: `{outdone.by.ref.name}` always stops first",
            hint="lower it below the ceiling on the whole, or remove it",
            notes=(Note("the ceiling on the whole", outdone.by.span),),
            edits=subject.removal(rule),
        )


RULE = LintRule(code="L004", name="attempt-above-outcome", topic="money", tier=Tier.WARNING, check=check, fixes=True)
