"""Retries wait longer than the work may take.

What: the delays before the retries on one route add up to a time ceiling `per step` or `per outcome`, or more. Only
retries and ceilings without an open condition are counted, and of several rules the longest delay, as the engine
does.

Why: time runs while a retry waits. When the wait ends the time is up, the attempt is refused, and the time that
another route could have used is gone.

Bad:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
      retry 3 on rate_limit backoff 10s..60s
    }

    lane standard {
      mini
    }

    workflow support {
      outcome draft {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        ceiling 60s per outcome
      }
    }

Good:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
      retry 3 on rate_limit backoff 2s..8s
    }

    lane standard {
      mini
    }

    workflow support {
      outcome draft {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        ceiling 60s per outcome
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.lint.walk import Stay, classes_apart, stay, typical_cases
from policy_engine.analysis.worst import Case
from policy_engine.language.checked import CeilingRule, RetryRule
from policy_engine.language.diagnostics import Note
from policy_engine.language.units import print_duration


def check(subject: Subject) -> Iterator[Found]:
    reported: set[RetryRule] = set()
    for outcome in subject.checked.outcomes:
        for case in typical_cases(subject, outcome):
            for here, ceiling in _too_long(subject, case):
                slowest = max(here.rules, key=lambda rule: (rule.longest_micros or rule.first_micros, -rule.span.start))
                if slowest not in reported:
                    reported.add(slowest)
                    yield _found(case, here, ceiling, slowest)


def _too_long(subject: Subject, case: Case) -> Iterator[tuple[Stay, CeilingRule]]:
    for route in subject.worst.reached(case):
        times = [
            rule
            for rule in subject.worst.held(case, route).surely
            if rule.quantity == "elapsed" and rule.scope.execution in ("step", "outcome")
        ]
        if not times or not any(rule.first_micros for rule in subject.worst.retry_rules(case, route)):
            continue
        tightest = min(times, key=lambda rule: rule.limit or 0)
        for error in classes_apart(subject, case):
            here = stay(subject, case, route, error)
            if here.retries and here.waiting_micros >= (tightest.limit or 0):
                yield here, tightest


def _found(case: Case, here: Stay, ceiling: CeilingRule, retry: RetryRule) -> Found:
    waited, number = 0, 0
    while waited < (ceiling.limit or 0):
        number += 1
        waited += here.delay_micros(number)
    return Found(
        span=retry.span,
        message=f"retry {number} on `{here.route.name}` comes after {print_duration(waited)} of waiting, and"
        f" `{ceiling.ref.name}` of `{case.outcome}` ends the work before",
        hint="shorten the backoff, retry less, or raise the time ceiling",
        notes=(Note("the time ceiling", ceiling.span),),
    )


RULE = LintRule(code="L021", name="backoff-past-the-deadline", topic="retries", tier=Tier.WARNING, check=check)
