"""Input tokens cost more than output tokens.

What: a model's rate for input is above its rate for output. A model without any charge for output (embeddings) is not
reported.

Why: no provider of text models charges that way round: the two amounts have been written in the wrong order, and
every estimate of a long answer is too low.

Bad:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.60 in, $0.15 out per 1M tokens
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
from policy_engine.language import syntax as s


def check(subject: Subject) -> Iterator[Found]:
    for item, _ in subject.statements:
        if isinstance(item, s.RatesSetting) and item.input.value > item.output.value > 0:
            yield Found(
                span=item.span,
                message=f"input at {item.input.text} is dearer than output at {item.output.text}",
                hint="write the rate for input first, the one for output second",
            )


RULE = LintRule(code="L087", name="input-dearer-than-output", topic="prices", tier=Tier.WARNING, check=check)
