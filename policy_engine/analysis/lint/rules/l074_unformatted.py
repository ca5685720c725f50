"""A file that is not in the canonical form.

What: `policy fmt` would change the file. Opt-in: a table of aligned columns can be worth more than one layout for
all.

Why: where every file has one layout, a diff shows what changed and nothing else.

Bad:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
    }

    lane standard { mini }

    workflow support {
      outcome reply {
        price    $1
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

    lane standard { mini }

    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
      }
    }
"""

from collections.abc import Iterator
from itertools import zip_longest

from policy_engine.analysis.lint.rule import Edit, Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.language.formatter import format_file
from policy_engine.language.source import Source, Span


def check(subject: Subject) -> Iterator[Found]:
    for file in subject.files:
        written, wanted = file.source.text, format_file(file)
        if written != wanted:
            yield Found(
                span=_first_difference(file.source, wanted),
                message=f"`{file.source.name}` is not in the canonical form; this is the first line that differs",
                hint="run `policy fmt`",
                edits=(Edit(span=Span(file.source, 0, len(written)), text=wanted),),
            )


def _first_difference(source: Source, wanted: str) -> Span:
    """The first line that differs, or, if that is an empty one, the first after it that is not."""
    start, same = 0, True
    for line, other in zip_longest(source.text.splitlines(keepends=True), wanted.splitlines(keepends=True)):
        same = same and line == other
        if line is None:
            break
        if not same and line.strip():
            return Span(source, start, start + len(line.rstrip()))
        start += len(line)
    last = source.text.rstrip()
    return Span(source, last.rfind("\n") + 1, len(last))


RULE = LintRule(code="L074", name="unformatted", topic="names", tier=Tier.NOTE, check=check, fixes=True, opt_in=True)
