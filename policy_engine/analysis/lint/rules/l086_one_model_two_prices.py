"""Two routes reach the same model at different prices.

What: two routes with the same text after `model` state different `rates`, or different flat costs. Routes that are
the same model at the same price are not reported: they may differ in their rules.

Why: a provider has one price list. When it changes, one of the two is forgotten, and from then on estimates, ceilings
and margins are wrong on one of them.

Bad:

    currency USD

    route sonnet {
      model "anthropic:claude-sonnet-4-5"
      rates $3 in, $15 out per 1M tokens
    }

    route sonnet_long {
      model "anthropic:claude-sonnet-4-5"
      rates $6 in, $22.50 out per 1M tokens
    }

    lane standard {
      sonnet -> sonnet_long
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

    route sonnet {
      model "anthropic:claude-sonnet-4-5"
      rates $3 in, $15 out per 1M tokens
    }

    route sonnet_long {
      model "anthropic:claude-sonnet-4-5:long-context"
      rates $6 in, $22.50 out per 1M tokens
    }

    lane standard {
      sonnet -> sonnet_long
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
from policy_engine.language.checked import Route
from policy_engine.language.diagnostics import Note


def check(subject: Subject) -> Iterator[Found]:
    first: dict[str, Route] = {}
    for route in sorted(subject.checked.routes.values(), key=lambda route: route.span.order):
        if route.kind != "model" or (route.rates is None and route.cost_nanos is None):
            continue
        other = first.setdefault(route.reference, route)
        if (other.rates, other.cost_nanos) != (route.rates, route.cost_nanos):
            yield Found(
                span=subject.name_span("route", route.name),
                message=f"`{route.name}` and `{other.name}` are the model `{route.reference}` at two prices",
                hint="correct one of the prices, or name the models apart",
                notes=(Note("the other price", subject.name_span("route", other.name)),),
            )


RULE = LintRule(code="L086", name="one-model-two-prices", topic="prices", tier=Tier.NOTE, check=check)
