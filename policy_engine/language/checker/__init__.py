"""Syntax trees → one checked policy, or every mistake in them at once.

`check` never raises for a tree the parser can give. The rooms, from the ground up:
`findings` collects, `names` resolves, `amounts` reads literals, `facts`, `reading`,
`linear` and `conditions` check what conditions compare, `scopes`, `placement` and
`rules` check rules, `settings` and `blocks` check what is declared, `policy_set`
joins them. The mistakes themselves are worded in `policy_engine.language.mistakes`.
"""

from policy_engine.language.checker.policy_set import Rechecker, check

__all__ = ["Rechecker", "check"]
