"""A comment to the linter that it cannot read.

What: a comment begins with `# lint:` and goes on otherwise than `allow CODE because REASON`.

Why: it allows nothing, and whoever wrote it believes that it does.

Bad:

    # lint: ignore L001
    currency USD

Good:

    currency USD
    # the lint rules are listed in the documentation
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject


def check(subject: Subject) -> Iterator[Found]:
    for suppression in subject.suppressions:
        if not suppression.readable:
            yield Found(
                span=suppression.span,
                message="this comment to the linter says nothing that it understands",
                hint="write `# lint: allow CODE because REASON`",
            )


RULE = LintRule(code="L093", name="unreadable-suppression", topic="suppressions", tier=Tier.WARNING, check=check)
