"""A declared error class that no rule answers.

What: an `error` is declared, no `retry` and no `fallback` of the policy holds for it (neither by name nor by
`any`), and no condition names it.

Why: the class was declared because something should happen, and nothing does: every failure of it ends the step.

Bad:

    currency USD
    error stale_index
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        retry 1 on invalid_output
      }
    }

Good:

    currency USD
    error stale_index
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        retry 1 on invalid_output, stale_index
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.language import syntax as s


def check(subject: Subject) -> Iterator[Found]:
    declared = [item.name for item, _ in subject.statements if isinstance(item, s.ErrorDeclaration)]
    if not declared:
        return
    answered = set(subject.words_of_conditions)
    for rules in subject.rules_by_block.values():
        answered = answered.union(
            *(rule.classes for rule in rules.retries), *(rule.classes for rule in rules.fallbacks)
        )
    for name in declared:
        if name.text not in answered:
            yield Found(
                span=name.span,
                message=f"no rule answers the error `{name.text}`",
                hint="name it in a `retry` or `fallback`, or take it out",
            )


RULE = LintRule(code="L073", name="unused-error", topic="names", tier=Tier.NOTE, check=check)
