"""A rule that one block needs, written in a wider one with a condition.

What: a ceiling within one execution, a `retry` or a `forbid` stands at the file level (or in a workflow), and its
condition is nothing but `outcome is …`, `workflow is …`, `plan is …`, `lane is …` or `route is …`, naming one block
in which such a rule may stand. Rules over a window are not reported: the block they stand in says what is counted.

Why: whoever reads the block sees not what governs it, and whoever removes the block leaves the rule behind.

Bad:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    route sonnet { model "anthropic:claude-sonnet-4-5"  rates $3 in, $15 out per 1M tokens }
    ceiling $0.10 per attempt when route is sonnet
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        fallback sonnet on timeout
      }
    }

Good:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    route sonnet { model "anthropic:claude-sonnet-4-5"  rates $3 in, $15 out per 1M tokens  ceiling $0.10 per attempt }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        fallback sonnet on timeout
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.language.checked import BlockId, CeilingRule, ForbidRule, Member, RetryRule, Rule
from policy_engine.language.diagnostics import Note

NARROWER = {
    "file": ("workflow", "outcome", "plan", "lane", "route"),
    "workflow": ("outcome",),
}
"""The blocks that lie wholly inside what a block governs, so that moving a rule there changes nothing else."""


def check(subject: Subject) -> Iterator[Found]:
    for rule in subject.every_rule:
        inside = NARROWER.get(rule.block.kind)
        if inside is None or not _keeps_its_meaning(rule):
            continue
        test = rule.condition
        if isinstance(test, Member) and not test.read.is_fact and len(test.values) == 1 and test.read.name in inside:
            block = BlockId(test.read.name, test.values[0])
            if isinstance(rule, ForbidRule) and block.kind in ("lane", "route"):
                continue  # in a lane it refuses the lane, not the admission; in a route it cannot stand
            yield Found(
                span=rule.span,
                message=f"this rule is for the {block.kind} `{block.name}` alone and stands outside it",
                hint=f"move it into `{block.kind} {block.name}`, without the condition",
                notes=(Note("the block", subject.name_span(block.kind, block.name)),),
            )


def _keeps_its_meaning(rule: Rule) -> bool:
    """Whether the rule counts nothing by the block it stands in, and its place decides no order."""
    if isinstance(rule, CeilingRule):
        return rule.scope.execution is not None and not rule.is_margin
    return isinstance(rule, RetryRule | ForbidRule)


RULE = LintRule(code="L076", name="rule-in-a-wider-block", topic="names", tier=Tier.NOTE, check=check)
