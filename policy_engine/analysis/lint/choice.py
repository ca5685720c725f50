"""Which lint rules run, and in which tier they report."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from policy_engine.analysis.lint.discovery import by_code_or_name, every_rule
from policy_engine.analysis.lint.rule import LintRule, Tier
from policy_engine.language.diagnostics import nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which rules run, and in which tier they report.

    A word chooses a rule by its code (`L012`), a group by the beginning of its codes (`L01`, `L`), or a rule
    by its name. The longest word that fits a rule decides; of two as long, `ignore`. An empty `select` is all
    but those that are opt-in.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    tiers: Mapping[str, Tier] = field(default_factory=dict)

    def takes(self, rule: LintRule) -> bool:
        """Whether this rule runs."""
        if rule.opt_in and not {rule.code, rule.name} & set(self.select):
            return False
        chosen = max((_fit(word, rule) for word in self.select), default=0)
        ignored = max((_fit(word, rule) for word in self.ignore), default=-1)
        return chosen > ignored

    def tier(self, rule: LintRule) -> Tier:
        """The tier its findings get."""
        return self.tiers.get(rule.code) or self.tiers.get(rule.name) or rule.tier


EVERYTHING = Choice()


def unknown_words(words: Iterable[str]) -> list[tuple[str, str]]:
    """The words that name no rule and begin no code, each with the one thing to do."""
    found = []
    for word in words:
        if word and any(_fit(word, rule) >= 0 for rule in every_rule()):
            continue
        upper = word.upper()
        if word and any(_fit(upper, rule) >= 0 for rule in every_rule()):
            found.append((word, f"write `{upper}`"))
            continue
        near = nearest(word, (key for key in by_code_or_name() if "-" in key))
        found.append((word, f"did you mean `{near}`?" if near else "`policy lint --list` shows all rules"))
    return found


def _fit(word: str, rule: LintRule) -> int:
    """How exactly a word names a rule: letters of its code, more than all of them for its name, -1 for another."""
    if word == rule.name:
        return len(rule.code) + 1
    return len(word) if rule.code.startswith(word) else -1
