"""What a lint rule is, and what it finds.

A rule is one file in `rules/`: a docstring that is its documentation page (`page.py` says how it is
written), a generator `check`, and a constant `RULE`. It reads a `Subject` and yields what it found;
codes, tiers, suppressions and output are not its business. What it yields must be true: proven from
integers or by the satisfier, never guessed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from policy_engine.language.diagnostics import Diagnostic, Note, Severity
from policy_engine.language.source import Span

if TYPE_CHECKING:
    from policy_engine.analysis.lint.subject import Subject


class Tier(StrEnum):
    """How much a finding weighs, heaviest first.

    An error loses money or refuses work whatever happens, a warning does so in a case that the rule can
    name, a note is about clarity.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"

    @property
    def severity(self) -> Severity:
        return Severity(self.value)


TOPICS = {
    "money": "L001–L019",
    "retries": "L020–L029",
    "lanes": "L030–L039",
    "fallback": "L040–L049",
    "plans": "L050–L059",
    "conditions": "L060–L069",
    "names": "L070–L084",
    "prices": "L085–L089",
    "suppressions": "L090–L094",
}
"""What rules are about, with the codes kept for it. A code is never given twice, not even after its rule is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Write `text` instead of what stands in `span`."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One finding as its rule sees it.

    `span` is underlined; `message` says what is so, `hint` the one thing to do, both as diagnostics are
    written. `edits` are the safe fix, made together or not at all: after them the policy means what it meant
    (or, for an unused thing, the same without it) and the rule finds nothing here. Empty where a person must choose.
    """

    span: Span
    message: str
    hint: str
    notes: tuple[Note, ...] = ()
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LintRule:
    """A rule by its code (`L012`), its name (`kebab-slug`), its topic (a key of `TOPICS`) and its usual tier.

    `fixes` says whether it ever proposes edits. A rule that is `opt_in` (one about taste) runs only where it is
    selected by its own code or name.
    """

    code: str
    name: str
    topic: str
    tier: Tier
    check: Callable[["Subject"], Iterator[Found]]
    fixes: bool = False
    opt_in: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding as it is reported: under its rule, in its tier, and, if a comment allows it, with the reason why.

    `rule` is None for a mistake that keeps the policy from loading, so that no rule could look at it.
    """

    rule: LintRule | None
    diagnostic: Diagnostic
    edits: tuple[Edit, ...] = ()
    allowed_because: str | None = None

    @property
    def order(self) -> tuple[tuple[str, int, int], str, str]:
        """The key by which findings are listed: file, place, code."""
        return (self.diagnostic.span.order, self.diagnostic.code, self.diagnostic.message)
