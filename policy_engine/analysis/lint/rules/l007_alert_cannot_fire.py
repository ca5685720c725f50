"""An alert can never fire.

What: an `alert at` on a `shadow` rule, on the `limit` of a handoff, or at an amount that another ceiling or limit
keeps out of reach. Alerts are given by the decision that grants the work: a shadow rule grants nothing, a handoff is
no attempt, and what is stopped earlier never comes so far.

Why: somebody waits for a warning that will not come, and learns of the spent budget from a refusal.

Bad:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
    }

    lane standard {
      mini
    }

    ceiling $100 per day
    shadow ceiling $60 per day alert at 80%

    workflow support {
      outcome draft {
        price $1
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

    ceiling $100 per day alert at 48%
    shadow ceiling $60 per day

    workflow support {
      outcome draft {
        price $1
        lanes standard
        ceiling $0.30 per outcome
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Edit, Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.lint.tighter import Bound, alerts_within, quantity_of, tighter
from policy_engine.language import syntax as s
from policy_engine.language.checked import CeilingRule, LimitRule
from policy_engine.language.diagnostics import Note
from policy_engine.language.source import Span
from policy_engine.language.units import print_percent


def check(subject: Subject) -> Iterator[Found]:
    for rule in subject.every_rule:
        if not isinstance(rule, CeilingRule | LimitRule) or not rule.alerts:
            continue
        alert = _alert_of(subject, rule)
        if rule.shadow:
            why = f"the alert of `{rule.ref.name}` can never fire: a shadow rule is only logged"
            yield _always(alert, why, "put the alert on an enforced rule")
        elif quantity_of(rule) == "handoffs":
            why = f"the alert of `{rule.ref.name}` can never fire: handoffs are counted without alerts"
            yield _always(alert, why, "remove it")
        else:
            yield from _out_of_reach(subject, rule, alert)


def _out_of_reach(subject: Subject, rule: Bound, alert: s.AlertAt) -> Iterator[Found]:
    outdone = tighter(subject).beside(rule)
    if outdone is None:
        return
    can, cannot = alerts_within(rule, outdone.by)
    if not cannot or (not can and not (isinstance(rule, CeilingRule) and rule.is_margin)):
        return  # the whole rule is reported as shadowed
    for percent in alert.percents:
        if percent.value in cannot:
            yield Found(
                span=percent.span,
                message=f"the alert at {print_percent(percent.value)} of `{rule.ref.name}` can never fire",
                hint="lower it, or remove it",
                notes=(Note("this stops the work before", outdone.by.span),),
            )


def _always(alert: s.AlertAt, message: str, hint: str) -> Found:
    source, start = alert.span.source, alert.span.start
    while source.text[start - 1] in " \t":
        start -= 1
    return Found(
        span=alert.span,
        message=message,
        hint=hint,
        edits=(Edit(span=Span(source, start, alert.span.end), text=""),),
    )


def _alert_of(subject: Subject, rule: Bound) -> s.AlertAt:
    alert = subject.node_of(rule).tails.alert
    assert alert is not None  # noqa: S101 - a rule with alerts has them written
    return alert


RULE = LintRule(code="L007", name="alert-cannot-fire", topic="money", tier=Tier.WARNING, check=check, fixes=True)
