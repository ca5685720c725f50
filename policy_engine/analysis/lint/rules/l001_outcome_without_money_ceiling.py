"""An outcome that nothing keeps from costing any amount.

What: some execution of the outcome, in a lane it may be admitted to, is bounded by no enforced money
ceiling: none per outcome, no `margin`, and no number of attempts with a bound on each. Ceilings over a
window (`per day`) are not counted: one execution may use them up. Shadow ceilings are not counted either.

Why: one execution that loops, or one very long input, can cost more than a month of its price. Everything
else in a policy limits how often work is tried; only money per outcome says what one result may cost.

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
      outcome reply {
        price $0.99
        lanes standard
        ceiling 6 attempts per outcome
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
      outcome reply {
        price $0.99
        lanes standard
        ceiling 6 attempts per outcome
        ceiling $0.30 per outcome
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.worst import Case


def check(subject: Subject) -> Iterator[Found]:
    for outcome in subject.checked.outcomes.values():
        case = _unbounded(subject, outcome.name)
        if case is not None:
            yield Found(
                span=subject.name_span("outcome", outcome.name),
                message=f"nothing bounds the cost of one `{outcome.name}` in lane `{case.lane}`{_whom(subject, case)}",
                hint="add a ceiling per outcome, such as `ceiling 40% of price per outcome`",
            )


def _whom(subject: Subject, case: Case) -> str:
    if not subject.checked.plans:
        return ""
    return f" for customers of plan `{case.plan}`" if case.plan is not None else " for customers without a plan"


def _unbounded(subject: Subject, outcome: str) -> Case | None:
    """The first case without a bound: even with every ceiling that may or may not apply, so that this is no guess."""
    price = subject.checked.outcomes[outcome].price_nanos  # any: a share of it bounds whatever it is
    for case in subject.worst.cases(outcome):
        if subject.worst.execution_nanos(case, price_nanos=price, conditional=True) is None:
            return case
    return None


RULE = LintRule(code="L001", name="outcome-without-money-ceiling", topic="money", tier=Tier.WARNING, check=check)
