"""The forbids cover all that the allows let in: nobody can enter.

What: whatever facts make the `allow` rules around a lane (or an outcome, a workflow) true also make a `forbid` true,
or leave it unknown, which forbids too. The same without any `allow`, where the forbids cover all facts between them.
A bare `forbid` in a block without an `allow` is not reported: that closes the block on purpose.

Why: forbid beats allow. The lane is never chosen, or every admission of the outcome is denied with `forbidden`.

Bad:

    currency USD

    fact seats: integer 0..5000

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
    }

    lane careful {
      mini
      allow when seats >= 100
      forbid when seats > 50
    }

    workflow support {
      outcome draft {
        price $1
        lanes careful
        ceiling $0.30 per outcome
      }
    }

Good:

    currency USD

    fact seats: integer 0..5000

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
    }

    lane careful {
      mini
      allow when seats >= 100
      forbid when seats > 500
    }

    workflow support {
      outcome draft {
        price $1
        lanes careful
        ceiling $0.30 per outcome
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.entry import Door, allows_of, closed_on_purpose, forbids_of, place, shut_places
from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.language.diagnostics import Note


def check(subject: Subject) -> Iterator[Found]:
    for shut in shut_places(subject):
        if shut.door is not Door.FORBIDS or closed_on_purpose(subject, shut.blocks):
            continue
        around = [subject.rules_by_block[block] for block in shut.blocks]
        allows = [rule for rules in around for rule in allows_of(rules)]
        first, *others = [rule for rules in around for rule in forbids_of(rules)]
        why = "a `forbid` covers every `allow`" if allows else "the `forbid` rules leave no facts over"
        yield Found(
            span=first.span,
            message=f"nobody can enter {place(shut)}: {why}",
            hint="narrow the `forbid`",
            notes=(
                *(Note("forbids as well", rule.span) for rule in others[:3]),
                *(Note("what it covers", rule.span) for rule in allows[:3]),
            ),
        )


RULE = LintRule(code="L032", name="forbid-covers-every-allow", topic="lanes", tier=Tier.ERROR, check=check)
