"""A comment that allows what is not there.

What: a `# lint: allow …` comment names a rule that ran and found nothing where the comment stands. A rule
that was not chosen to run is not counted.

Why: the reason in such a comment was about a policy that has changed since. Left standing, it hides the next
finding of the rule at this place, for a reason that nobody gave for it.

Bad:

    currency USD
    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
    }
    lane standard {
      mini
    }
    workflow support {
      # lint: allow L001 because the inbox is small
      outcome reply {
        price $0.99
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
      # lint: allow L001 because the provider's own cap holds until the contract is signed
      outcome reply {
        price $0.99
        lanes standard
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Edit, Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject, whole_lines
from policy_engine.analysis.lint.suppression import Suppression
from policy_engine.language.source import Span


def check(subject: Subject) -> Iterator[Found]:
    unused = list(subject.suppressions.unused())
    words = {(suppression.span.order, word) for suppression, word, _ in unused}
    for suppression, word, span in unused:
        whole = all((suppression.span.order, other) in words for other, _ in suppression.rules)
        yield Found(
            span=span,
            message=f"`{word}` finds nothing here, so nothing needs to be allowed",
            hint="remove the comment" if whole else f"remove `{word}` from the comment",
            edits=(Edit(span=whole_lines(suppression.span) if whole else _with_comma(suppression, span), text=""),),
        )


def _with_comma(suppression: Suppression, span: Span) -> Span:
    """One of several words, with the comma that parts it from another."""
    spans = [other for _, other in suppression.rules]
    index = spans.index(span)
    if index + 1 < len(spans):
        return Span(span.source, span.start, spans[index + 1].start)
    return Span(span.source, spans[index - 1].end, span.end)


RULE = LintRule(
    code="L090", name="unused-suppression", topic="suppressions", tier=Tier.WARNING, check=check, fixes=True
)
