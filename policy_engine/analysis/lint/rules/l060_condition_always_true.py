"""A condition that is true whatever the facts.

What: `when` or `unless` narrows nothing: there are no facts, unknown ones included, for which the condition is not
true. Which names are settled by the block counts too: inside `outcome reply`, `outcome is reply` is always true. (A
single comparison that its declared range decides is an error of `policy check` already.)

Why: somebody meant to narrow the rule, and it holds for everyone.

Bad:

    currency USD
    fact risk: low < medium < high
    fact region?: eu | us | apac
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    plan team { fee $49 per month  includes 60 reply }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        ceiling 6 attempts per outcome when risk < high or risk is high
        forbid when region is eu
      }
    }

Good:

    currency USD
    fact risk: low < medium < high
    fact region?: eu | us | apac
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    plan team { fee $49 per month  includes 60 reply }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        ceiling 6 attempts per outcome
        ceiling 3 attempts per outcome when risk < high
        forbid when region is eu
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Edit, Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject, with_blanks_before


def check(subject: Subject) -> Iterator[Found]:
    for rule in subject.every_rule:
        if (
            rule.condition is None
            or subject.satisfier.always(rule.condition, fixed=subject.fixed_in(rule.block)) is not True
        ):
            continue
        condition = subject.node_of(rule).tails.condition
        assert condition is not None  # noqa: S101 - it has one
        word = "unless" if condition.negated else "when"
        yield Found(
            span=condition.span,
            message=f"`{word}` narrows nothing: the rule applies whatever the facts",
            hint="take the condition out, or mend it",
            edits=(Edit(span=with_blanks_before(condition.span), text=""),),
        )


RULE = LintRule(
    code="L060", name="condition-always-true", topic="conditions", tier=Tier.WARNING, check=check, fixes=True
)
