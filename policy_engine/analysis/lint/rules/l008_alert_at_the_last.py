"""An alert fires only with the very last one.

What: attempts and entries are counted one by one, and the percent of a small number may be reached no sooner than
the number itself: 80% of 4 is 3.2, and the fourth is the first past it. Alerts at 100% are not reported: they ask for
just that. Two alerts on one rule that the same step reaches are reported too.

Why: an alert below 100% is meant to leave time. This one comes together with the last permitted entry.

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
      outcome draft {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        limit 4 per customer per day alert at 80%
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
      outcome draft {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        limit 4 per customer per day alert at 75%
      }
    }
"""

from collections.abc import Iterator
from fractions import Fraction
from math import ceil

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.lint.tighter import Bound, limit_of, quantity_of
from policy_engine.language.checked import CeilingRule, LimitRule
from policy_engine.language.units import print_percent


def check(subject: Subject) -> Iterator[Found]:
    for rule in subject.every_rule:
        if (
            isinstance(rule, CeilingRule | LimitRule)
            and rule.alerts
            and not rule.shadow
            and quantity_of(rule) in ("attempts", "count")
        ):
            yield from _late(subject, rule)


def _late(subject: Subject, rule: Bound) -> Iterator[Found]:
    limit = limit_of(rule, 0)
    alert = subject.node_of(rule).tails.alert
    first: dict[int, Fraction] = {}
    for percent in alert.percents if alert is not None else ():
        step = ceil(limit * percent.value / 100)
        said = print_percent(percent.value)
        if step in first:
            yield Found(
                span=percent.span,
                message=f"{print_percent(first[step])} and {said} of {limit} are one alert: number {step} passes both",
                hint="keep one of them",
            )
        elif step == limit and percent.value < 100:
            yield Found(
                span=percent.span,
                message=f"{said} of {limit} is not passed before number {limit}, the last one that is permitted",
                hint=_hint(limit),
            )
        first.setdefault(step, percent.value)


def _hint(limit: int) -> str:
    if limit == 1:
        return "remove the alert: one is the first and the last"
    earlier = Fraction((limit - 1) * 100 // limit)
    return f"write at most {print_percent(earlier)}: it fires with number {ceil(limit * earlier / 100)}"


RULE = LintRule(code="L008", name="alert-at-the-last", topic="money", tier=Tier.NOTE, check=check)
