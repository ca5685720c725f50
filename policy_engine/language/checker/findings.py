"""The mistakes found so far, and near misses within a budget."""

from collections.abc import Collection

from policy_engine.language.diagnostics import Diagnostic, nearest

_BUDGET = 40_000
"""Candidates that may be compared with misspelt names in one check. A set with thousands of unknown names
is no slip of the fingers, and comparing each with thousands of declared ones would take minutes."""


class Findings:
    """Collects the mistakes of one check.

    `partial` says that statements are missing from the trees because they could not be read. What
    could come from that alone goes to `absent`, and is then left out.
    """

    def __init__(self, *, partial: bool) -> None:
        self.partial = partial
        self.mistakes: list[Diagnostic] = []
        self._budget = _BUDGET

    def add(self, mistake: Diagnostic) -> None:
        """A mistake, whatever may be missing."""
        self.mistakes.append(mistake)

    def absent(self, mistake: Diagnostic) -> None:
        """A mistake that a statement which could not be read may explain."""
        if not self.partial:
            self.mistakes.append(mistake)

    def near(self, name: str, candidates: Collection[str]) -> str | None:
        """The candidate that `name` may be a misspelling of, if there is one."""
        self._budget -= len(candidates) + 1
        if self._budget <= 0:
            return None
        folded = {candidate.lower(): candidate for candidate in candidates}
        near = nearest(name, folded)
        return folded[near] if near is not None else None
