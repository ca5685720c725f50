"""When the retries are spent, no fallback follows.

What: a `retry` is for a class of failure that no fallback of the outcome, its workflow, the lane or the file is for,
on a route that others follow in the lane. Where an outcome has no fallback that leads anywhere, that is another
finding. `fallback stop on …` is a decision and keeps this rule silent.

Why: the failure was thought worth another try, and after it the step stops although the next route is there. Most
often a class was added to the `retry` and not to the `fallback`.

Bad:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
      retry 2 on timeout, unavailable backoff 250ms..4s
    }

    route sonnet {
      model "anthropic:claude-sonnet-4-5"
      rates $3 in, $15 out per 1M tokens
    }

    lane standard {
      mini -> sonnet
    }

    workflow support {
      outcome draft {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        fallback next on timeout, invalid_output, over_ceiling
      }
    }

Good:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
      retry 2 on timeout, unavailable backoff 250ms..4s
    }

    route sonnet {
      model "anthropic:claude-sonnet-4-5"
      rates $3 in, $15 out per 1M tokens
    }

    lane standard {
      mini -> sonnet
    }

    workflow support {
      outcome draft {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        fallback next on timeout, unavailable, invalid_output, over_ceiling
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.lint.walk import typical_cases
from policy_engine.analysis.worst import Case
from policy_engine.language.checked import RetryRule
from policy_engine.language.diagnostics import Note, one_of

FEW = 3
"""So many classes are named one by one."""


def check(subject: Subject) -> Iterator[Found]:
    reported: set[RetryRule] = set()
    for outcome in subject.checked.outcomes:
        for case in typical_cases(subject, outcome):
            for rule, route, classes in _left_alone(subject, case):
                if rule not in reported:
                    reported.add(rule)
                    yield _found(subject, case, rule, route, classes)


def _left_alone(subject: Subject, case: Case) -> Iterator[tuple[RetryRule, str, tuple[str, ...]]]:
    """Retry rules on a route that others follow, with their classes that no fallback is for."""
    fallbacks = subject.worst.fallbacks(case)
    if all(rule.target == "stop" for rule in fallbacks):
        return
    covered = frozenset().union(*(rule.classes for rule in fallbacks))
    for route in subject.checked.lanes[case.lane].path[:-1]:
        for rule in subject.worst.retry_rules(case, route):
            if rule.count and not rule.classes <= covered:
                missing = rule.classes - covered
                yield rule, route, tuple(name for name in subject.checked.error_classes if name in missing)


def _found(subject: Subject, case: Case, rule: RetryRule, route: str, classes: tuple[str, ...]) -> Found:
    return Found(
        span=rule.span,
        message=f"after its retries on {one_of(classes, FEW)} a step of `{case.outcome}` stops on `{route}`:"
        " no fallback is for that",
        hint=f"add `fallback next on {', '.join(classes) if len(classes) <= FEW else 'any'}`, or say `stop`",
        notes=(Note(f"the lane `{case.lane}` goes on", subject.name_span("lane", case.lane)),),
    )


RULE = LintRule(code="L022", name="retry-without-fallback", topic="retries", tier=Tier.WARNING, check=check)
