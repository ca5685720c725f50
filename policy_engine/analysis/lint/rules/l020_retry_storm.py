"""Retries alone go past a ceiling.

What: while one class of failure persists, the retries of one step, route after route, make more attempts than an
attempts ceiling on the step or execution permits, or, where attempts have a flat cost, cost more than a money ceiling
does. Only retries, moves and ceilings without an open condition are counted, so a real step goes at least as far. A
step that comes exactly to the ceiling is not reported.

Why: an outage is when retries are used up, and then they use up the ceiling: the routes that could have helped are
refused, or the execution has nothing left for its other steps. The retries past the ceiling are never made.

Bad:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
      retry 4 on timeout backoff 250ms..4s
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
        ceiling 5 attempts per outcome
        fallback next on any
      }
    }

Good:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
      retry 2 on timeout backoff 250ms..4s
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
        ceiling 5 attempts per outcome
        fallback next on any
      }
    }
"""

from collections.abc import Iterator
from dataclasses import dataclass

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.lint.tighter import limit_of, prices
from policy_engine.analysis.lint.walk import Stay, classes_apart, typical_cases, walk
from policy_engine.analysis.worst import Case
from policy_engine.language.checked import CeilingRule, RetryRule
from policy_engine.language.diagnostics import Note
from policy_engine.language.units import print_money

_OF_A_STEP = ("step", "outcome")


@dataclass(frozen=True, slots=True)
class _Storm:
    error: str
    reached: int
    ceiling: CeilingRule
    retry: RetryRule


def check(subject: Subject) -> Iterator[Found]:
    reported: set[tuple[RetryRule, CeilingRule]] = set()
    for outcome in subject.checked.outcomes:
        for case in typical_cases(subject, outcome):
            for storm in _storms(subject, case):
                if (storm.retry, storm.ceiling) not in reported:
                    reported.add((storm.retry, storm.ceiling))
                    yield _found(subject, case, storm)


def _storms(subject: Subject, case: Case) -> Iterator[_Storm]:
    sure = [rule for rule in subject.worst.held(case).surely if rule.scope.execution in _OF_A_STEP]
    price = prices(subject)[case.outcome].most
    attempts = _tightest([rule for rule in sure if rule.quantity == "attempts"], price)
    money = _tightest([rule for rule in sure if rule.quantity == "spent"], price)
    if attempts is None and money is None:
        return
    for error in classes_apart(subject, case):
        stays = list(walk(subject, case, error))
        retry = _heaviest(stays)
        if retry is None:
            continue
        made = sum(stay.attempts for stay in stays)
        if attempts is not None and made > attempts[0]:
            yield _Storm(error, made, attempts[1], retry)
        dear = [stay for stay in stays if stay.route.cost_nanos]
        paid_retry = _heaviest(dear)
        cost = sum(stay.attempts * (stay.route.cost_nanos or 0) for stay in dear)
        at_once = sum(stay.route.cost_nanos or 0 for stay in dear)
        if money is not None and paid_retry is not None and at_once <= money[0] < cost:
            yield _Storm(error, cost, money[1], paid_retry)


def _tightest(ceilings: list[CeilingRule], price: int) -> tuple[int, CeilingRule] | None:
    return min(((limit_of(rule, price), rule) for rule in ceilings), key=lambda pair: pair[0], default=None)


def _heaviest(stays: list[Stay]) -> RetryRule | None:
    """The rule that caps the retries of the route that is tried most often; None if nothing is retried."""
    longest = max(stays, key=lambda stay: stay.retries, default=None)
    if longest is None or longest.retries == 0:
        return None
    return min(longest.rules, key=lambda rule: rule.count)


def _found(subject: Subject, case: Case, storm: _Storm) -> Found:
    if storm.ceiling.quantity == "attempts":
        reached = f"{storm.reached} attempts"
    else:
        reached = f"attempts for {print_money(storm.reached, subject.checked.currency)}"
    return Found(
        span=storm.retry.span,
        message=f"while `{storm.error}` persists, one step of `{case.outcome}` makes {reached}, past"
        f" `{storm.ceiling.ref.name}`",
        hint="retry less, or raise the ceiling",
        notes=(
            Note("the ceiling", storm.ceiling.span),
            Note(f"in the lane `{case.lane}`", subject.name_span("lane", case.lane)),
        ),
    )


RULE = LintRule(code="L020", name="retry-storm", topic="retries", tier=Tier.WARNING, check=check)
