"""Nothing prices a route.

What: a model without `rates` and `cost` where there is no price table to have it, or a tool without a `cost`. (A
handoff without a cost is another finding, and so is a model that the price lock lacks.)

Why: a ceiling is never an estimate, so an attempt whose cost is not known is refused, unless its caller states an
estimate. The route is there and never used.

Bad:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
    }

    route search {
      tool "web search"
    }

    lane standard {
      mini -> search
    }

    workflow support {
      outcome draft {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        fallback next on any
      }
    }

Good:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
    }

    route search {
      tool "web search"
      cost $0.01
    }

    lane standard {
      mini -> search
    }

    workflow support {
      outcome draft {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        fallback next on any
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject


def check(subject: Subject) -> Iterator[Found]:
    for route in subject.checked.routes.values():
        if route.kind == "model" and subject.prices_lock is not None:
            continue
        if route.kind != "handoff" and route.rates is None and route.cost_nanos is None:
            yield Found(
                span=subject.name_span("route", route.name),
                message=f"nothing prices `{route.name}`: every attempt on it is refused",
                hint="add `rates`, `cost` or a price table" if route.kind == "model" else "add a `cost`",
            )


RULE = LintRule(code="L085", name="unpriced-route", topic="prices", tier=Tier.WARNING, check=check)
