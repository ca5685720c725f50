"""A retry on `rate_limit` does not wait.

What: a `retry` names `rate_limit`, has no `backoff`, and no other rule for `rate_limit` that may apply together with it
has one. (Of several rules that apply the longest delay wins, so one is enough.)

Why: a rate limit is an answer about time. Asked again at once, the provider says the same, the retry is spent, and
many clients count the refused call too.

Bad:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
      retry 2 on timeout, rate_limit
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

Good:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
      retry 2 on timeout, rate_limit backoff 250ms..4s
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

_CLASS = "rate_limit"


def check(subject: Subject) -> Iterator[Found]:
    waiting = {
        block
        for block, rules in subject.rules_by_block.items()
        if any(_CLASS in rule.classes and (rule.first_micros or rule.longest_micros) for rule in rules.retries)
    }
    for rule in subject.every_rule:
        if not isinstance(rule, RetryRule) or _CLASS not in rule.classes or waiting & subject.meeting(rule.block):
            continue
        on = subject.node_of(rule).tails.on
        named = next((name for name in on.classes if name.text == _CLASS), None) if on is not None else None
        if named is not None and rule.count:
            yield Found(
                span=named.span,
                message="the retry on `rate_limit` comes at once: no rule gives it a delay",
                hint="add a backoff, such as `backoff 500ms..8s`",
            )


RULE = LintRule(code="L025", name="rate-limit-at-once", topic="retries", tier=Tier.NOTE, check=check)
