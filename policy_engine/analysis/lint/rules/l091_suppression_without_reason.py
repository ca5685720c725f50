"""A comment that allows a finding and does not say why.

What: a comment says `# lint: allow L001` without `because` and a reason behind it. It allows nothing.

Why: whoever reads the policy next cannot tell a decision from an oversight, and the comment outlives both.

Bad:

    currency USD  # lint: allow L001

Good:

    currency USD
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject


def check(subject: Subject) -> Iterator[Found]:
    for suppression in subject.suppressions:
        if suppression.readable and not suppression.reason:
            yield Found(
                span=suppression.span,
                message="this comment does not say why the finding is allowed, so it allows nothing",
                hint="write `because` and the reason behind it",
            )


RULE = LintRule(code="L091", name="suppression-without-reason", topic="suppressions", tier=Tier.WARNING, check=check)
