"""A comment that allows what no rule finds.

What: a `# lint: allow …` comment names a code or a name that no lint rule has.

Why: it allows nothing, and whoever wrote it believes that it does.

Bad:

    # lint: allow L099 because the day's budget is watched by hand
    currency USD

Good:

    currency USD
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.discovery import by_code_or_name
from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.language.diagnostics import did_you_mean


def check(subject: Subject) -> Iterator[Found]:
    for suppression in subject.suppressions:
        for word, span in suppression.rules:
            if word not in by_code_or_name():
                yield Found(
                    span=span,
                    message=f"no lint rule is called `{word}`",
                    hint=_near(word) or "write the code of the finding, such as `L001`",
                )


def _near(word: str) -> str | None:
    # The nearest of many codes is a guess in the dark; the nearest name is not.
    upper = word.upper()
    if upper in by_code_or_name():
        return f"write `{upper}`"
    return did_you_mean(word, (name for name in by_code_or_name() if "-" in name))


RULE = LintRule(code="L092", name="suppression-of-unknown-rule", topic="suppressions", tier=Tier.WARNING, check=check)
