"""Another limit is always tighter.

What: a second `limit` permits no more entries (of a handoff: handoffs), counts at least as many (the same window,
or a window, key or block around it) and applies on the same or on a wider condition. So this one never decides. A
limit with an `alert` that can still fire is not reported: it is an alarm.

Why: who reads the larger number believes that so many may enter. Usually the window, the key or the block of one
of the two is not what was meant.

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
        ceiling $0.30 per outcome
        limit 40 per customer per month
        limit 50 per customer per day
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
        ceiling $0.30 per outcome
        limit 40 per customer per month
        limit 5 per customer per day
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.lint.tighter import alerts_within, tighter
from policy_engine.language.checked import LimitRule
from policy_engine.language.diagnostics import Note


def check(subject: Subject) -> Iterator[Found]:
    for rule in subject.every_rule:
        if not isinstance(rule, LimitRule):
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
            notes=(Note("the limit that decides", outdone.by.span),),
            edits=subject.removal(rule),
        )


RULE = LintRule(code="L035", name="shadowed-limit", topic="lanes", tier=Tier.WARNING, check=check, fixes=True)
