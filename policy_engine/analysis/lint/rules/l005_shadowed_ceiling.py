"""Another ceiling is always tighter.

What: a second ceiling on the same quantity permits no more, counts at least as much (the same scope, or a
window or block around it) and applies on the same or on a wider condition. So this one never decides anything,
or, for a `shadow` ceiling, never says anything that the enforced one has not said. A `margin` is not reported: it
is a promise, kept or not by other rules. Neither is a ceiling with an `alert` that can still fire: it is an alarm.

Why: the reader takes the larger amount for the limit. Usually one of the two was meant for another block,
another window or another condition.

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
      ceiling $20 per customer per day
      outcome draft {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        ceiling $25 per customer per day
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
      ceiling $20 per customer per day
      outcome draft {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        ceiling $15 per customer per day
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
        if not isinstance(rule, CeilingRule) or rule.is_margin:
            continue
        outdone = tighter(subject).beside(rule)
        if outdone is None or alerts_within(rule, outdone.by)[0]:
            continue
        by = outdone.by.ref.name
        if rule.shadow:
            message = f"`{rule.ref.name}` says nothing new: `{by}` is enforced and permits no more"
        else:
            message = f"`{rule.ref.name}` never decides: `{by}` applies whenever it does and permits no more"
        yield Found(
            span=rule.span,
            message=message,
            hint="lower it, or remove it",
            notes=(Note("the ceiling that decides", outdone.by.span),),
            edits=subject.removal(rule),
        )


RULE = LintRule(code="L005", name="shadowed-ceiling", topic="money", tier=Tier.WARNING, check=check, fixes=True)
