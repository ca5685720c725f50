'''The page of a lint rule: its docstring, taken apart.

    """A sentence that names the finding.

    What: when exactly it is reported, and when it is not.

    Why: what it costs to leave it.

    Bad:

        currency USD
        …                  (a complete little policy set; only this rule reports it)

    Good:

        currency USD
        …                  (the same set, mended; no rule reports anything)
    """

`What` and `Why` are paragraphs of Markdown. A line `# file: NAME` in a set begins its next file, which may be its
price lock.
'''

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import cleandoc
from textwrap import dedent

from policy_engine.analysis.lint.rule import LintRule
from policy_engine.language.source import Source

HEADS = ("What", "Why", "Bad", "Good")

_HEAD = re.compile(rf"^({'|'.join(HEADS)})(?::[ \t]*|[ \t]*$)", re.MULTILINE)
_FILE = re.compile(r"^# file: (\S+)\n", re.MULTILINE)


class PageError(ValueError):
    """A docstring that is no page: its message says what is missing."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a page says. `bad` and `good` are texts of policy sets."""

    title: str
    what: str
    why: str
    bad: str
    good: str


def page_of(rule: LintRule) -> Page:
    """The page of a rule. Raises `PageError` where its docstring is not one."""
    text = sys.modules[rule.check.__module__].__doc__
    if not text:
        raise PageError(f"{rule.code} has no docstring")
    title, *parts = _HEAD.split(_dedented(text))
    if tuple(parts[::2]) != HEADS:
        raise PageError(f"{rule.code} has the heads {', '.join(parts[::2]) or 'none'}; they are {', '.join(HEADS)}")
    if not title.strip() or not all(part.strip() for part in parts[1::2]):
        raise PageError(f"{rule.code} has an empty part")
    what, why, bad, good = parts[1::2]
    return Page(title.strip(), _prose(what), _prose(why), _set(bad), _set(good))


def files_of(text: str) -> Mapping[str, str]:
    """The files of a set by their names; without a `# file:` line, one `example.policy`."""
    parts = _FILE.split(text)
    if len(parts) == 1:
        return {"example.policy": text}
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def sources_of(text: str) -> list[Source]:
    """The same files, to be read as a policy with its price lock."""
    return [Source(name, body) for name, body in files_of(text).items()]


def _dedented(text: str) -> str:
    first, _, rest = text.partition("\n")
    return f"{first}\n{dedent(rest)}"


def _prose(text: str) -> str:
    prose = cleandoc(text).strip()
    return prose[:1].upper() + prose[1:]


def _set(text: str) -> str:
    return dedent(text.strip("\n")).strip("\n") + "\n"
