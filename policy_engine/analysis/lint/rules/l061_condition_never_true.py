"""A rule whose condition can never hold.

What: there are no facts under which the rule applies: its condition is false for all of them, unknown ones included
(where a rule holds for the unknown, that counts as holding). Which names are settled by the block counts too:
inside `plan team`, `plan is free` is never true.

Why: the rule does nothing. If it is a ceiling or a forbid, the protection it describes does not exist.

Bad:

    currency USD
    fact risk: low < medium < high
    fact region?: eu | us | apac
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        ceiling $0.10 per outcome when risk is low and risk is high
        forbid when region is eu
      }
    }

Good:

    currency USD
    fact risk: low < medium < high
    fact region?: eu | us | apac
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        ceiling $0.10 per outcome when risk is low
        forbid when region is eu
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.satisfy import Impossible, Want
from policy_engine.language.checked import AllowRule


def check(subject: Subject) -> Iterator[Found]:
    for rule in subject.every_rule:
        if rule.condition is None:
            continue
        fixed = subject.fixed_in(rule.block)
        if subject.satisfier.never(rule.condition, fixed=fixed) is not True:
            continue
        # Unknown is enough for every rule but an `allow`: each resolves it to its strict side.
        unknown = subject.satisfier.satisfy([Want(rule.condition, None)], fixed=fixed)
        if isinstance(rule, AllowRule) or isinstance(unknown, Impossible):
            condition = subject.node_of(rule).tails.condition
            assert condition is not None  # noqa: S101 - it has one
            yield Found(
                span=condition.span,
                message="this rule never applies: no facts make its condition true",
                hint="mend the condition, or take the rule out",
            )


RULE = LintRule(code="L061", name="condition-never-true", topic="conditions", tier=Tier.WARNING, check=check)
