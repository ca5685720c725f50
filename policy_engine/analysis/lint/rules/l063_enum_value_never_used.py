"""An enum value that no condition names, and with which an outcome is closed to everyone.

What: a fact has a value that no condition of the policy names, and for it an outcome cannot be entered: every
`allow` of some block around the outcome, or of every lane it lists, asks for something else. A value that is
forbidden by name is meant to be, and not reported.

Why: the list of values grew and the rules did not. Every execution with the new value is denied.

Bad:

    currency USD
    fact region: eu | us | apac
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane europe { mini  allow when region is eu  limit 50 per customer per day }
    lane america { mini  allow when region is us  limit 50 per customer per day }
    workflow support {
      outcome reply {
        price $1
        lanes europe, america
        ceiling $0.30 per outcome
      }
    }

Good:

    currency USD
    fact region: eu | us | apac
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane europe { mini  allow when region is eu  limit 50 per customer per day }
    lane america { mini  allow when region in [us, apac]  limit 50 per customer per day }
    workflow support {
      outcome reply {
        price $1
        lanes europe, america
        ceiling $0.30 per outcome
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.language import syntax as s
from policy_engine.language.checked import Fact, Outcome, Rules
from policy_engine.language.diagnostics import Note, one_of
from policy_engine.language.source import Span


def check(subject: Subject) -> Iterator[Found]:
    policy = subject.checked
    named = subject.words_of_conditions
    unnamed = {
        fact.name: [value for value in fact.values if value not in named]
        for fact in policy.facts.values()
        if fact.values and fact.name in subject.facts_of_allows
    }
    closed: dict[tuple[str, str], list[str]] = {}
    for outcome in policy.outcomes.values() if any(unnamed.values()) else ():
        lanes = [policy.lanes[lane].rules for lane in outcome.lanes]
        around = policy.around(outcome.name, None)
        for name, values in unnamed.items():
            for value in values:
                shut = any(_is_shut(subject, rules, outcome, name, value) for rules in around)
                if shut or all(_is_shut(subject, rules, outcome, name, value) for rules in lanes):
                    closed.setdefault((name, value), []).append(outcome.name)
    for (name, value), outcomes in closed.items():
        fact = policy.facts[name]
        yield Found(
            span=_value_span(subject, fact, value),
            message=f"no condition names `{value}`, and with it nobody can enter {one_of(outcomes)}",
            hint="name it in an `allow`, or forbid it by name",
            notes=tuple(Note("closed to it", subject.name_span("outcome", outcome)) for outcome in outcomes[:3]),
        )


def _is_shut(subject: Subject, rules: Rules, outcome: Outcome, name: str, value: str) -> bool:
    """Whether no `allow` of a block can hold with this value."""
    allows = [rule for rule in rules.allows if not rule.shadow]
    fixed = {name: value, "outcome": outcome.name, "workflow": outcome.workflow}
    return bool(allows) and all(
        rule.condition is not None and subject.satisfier.never(rule.condition, fixed=fixed) is True for rule in allows
    )


def _value_span(subject: Subject, fact: Fact, value: str) -> Span:
    for item, _ in subject.statements:
        if isinstance(item, s.FactDeclaration) and item.name.text == fact.name and isinstance(item.type, s.Enumeration):
            return next(word.span for word in item.type.values if word.text == value)
    return fact.span


RULE = LintRule(code="L063", name="enum-value-never-used", topic="conditions", tier=Tier.WARNING, check=check)
