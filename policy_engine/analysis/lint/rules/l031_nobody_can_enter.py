"""The allows around a lane exclude each other: nobody can enter.

What: every block with an `allow` needs one of its own to be true, and there are no facts for which the blocks around
a lane (or an outcome, a workflow) agree. Each `allow` can be true by itself; one that never can is another finding.

Why: the lane is never chosen, or every admission of the outcome is denied with `not_allowed`, whoever asks.

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
    }

    workflow support {
      outcome draft {
        price $1
        lanes careful
        ceiling $0.30 per outcome
        allow when seats < 50
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
    }

    workflow support {
      outcome draft {
        price $1
        lanes careful
        ceiling $0.30 per outcome
        allow when seats < 500
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.entry import Door, Shut, allows_of, entry, place, shut_places
from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.language.checked import AllowRule
from policy_engine.language.diagnostics import Note


def check(subject: Subject) -> Iterator[Found]:
    for shut in shut_places(subject):
        groups = _groups(subject, shut)
        if shut.door is not Door.ALLOWS or any(all(map(entry(subject).never, group)) for group in groups):
            continue
        (inner, *_), *others = groups
        yield Found(
            span=inner.span,
            message=f"nobody can enter {place(shut)}: no facts fulfil every `allow` that is asked",
            hint="let the conditions overlap, or remove one of them",
            notes=tuple(Note("asked as well", group[0].span) for group in others),
        )


def _groups(subject: Subject, shut: Shut) -> list[tuple[AllowRule, ...]]:
    """The allows of each block that has any, innermost first: one of each is needed."""
    found = (allows_of(subject.rules_by_block[block]) for block in shut.blocks)
    return [group for group in found if group]


RULE = LintRule(code="L031", name="nobody-can-enter", topic="lanes", tier=Tier.ERROR, check=check)
