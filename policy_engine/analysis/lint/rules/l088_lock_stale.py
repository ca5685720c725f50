"""The price lock is not that of the policy.

What: a model without `rates` and `cost` on its route that `prices.lock.json` does not have; or a model in the lock
that no route names. The date of the lock is not looked at: `policy prices diff` says what a refresh would change.

Why: every attempt on a route that nothing prices is refused. A model that is left in the lock is a price that
nobody looks after, and it is in the digest of every decision.

Bad:

    # file: support.policy
    currency USD

    route mini {
      model "openai:gpt-4o-mini"
    }

    lane standard {
      mini
    }

    workflow support {
      outcome draft {
        price $1
        lanes standard
        ceiling $0.30 per outcome
      }
    }
    # file: prices.lock.json
    {
      "version": 1,
      "currency": "USD",
      "models": {
        "openai:gpt-4o": {
          "input_picos": 2500000,
          "output_picos": 10000000,
          "cached_read_picos": 1250000,
          "catalogue": "openai/gpt-4o",
          "source": "genai-prices 0.2.3",
          "date": "2026-11-22"
        },
        "openai:gpt-4o-mini": {
          "input_picos": 150000,
          "output_picos": 600000,
          "cached_read_picos": 75000,
          "catalogue": "openai/gpt-4o-mini",
          "source": "genai-prices 0.2.3",
          "date": "2026-11-22"
        }
      },
      "digest": "b5db81ebb92e1ad6b5a7e756c98f44996989abb2e55e7c6f70ee4065eaa48853"
    }

Good:

    # file: support.policy
    currency USD

    route mini {
      model "openai:gpt-4o-mini"
    }

    lane standard {
      mini
    }

    workflow support {
      outcome draft {
        price $1
        lanes standard
        ceiling $0.30 per outcome
      }
    }
    # file: prices.lock.json
    {
      "version": 1,
      "currency": "USD",
      "models": {
        "openai:gpt-4o-mini": {
          "input_picos": 150000,
          "output_picos": 600000,
          "cached_read_picos": 75000,
          "catalogue": "openai/gpt-4o-mini",
          "source": "genai-prices 0.2.3",
          "date": "2026-11-22"
        }
      },
      "digest": "c148c6b35288dd1a9a27eea534cc283addbd238f7a8f5e7a9ff9e5725fa7f094"
    }
"""

import json
from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.language.source import Source, Span

AGAIN = "run `policy prices lock` again"


def check(subject: Subject) -> Iterator[Found]:
    table = subject.prices_lock
    if table is None or table.lock is None:
        return
    named = {route.reference for route in subject.checked.routes.values() if route.kind == "model"}
    for route in subject.checked.routes.values():
        if route.kind == "model" and route.rates is None and route.cost_nanos is None:
            yield Found(
                span=subject.name_span("route", route.name),
                message=f"`{table.origin}` has no price for `{route.name}`: every attempt on it is refused",
                hint=f"{AGAIN}, or write `rates`",
            )
    for model in table.rates:
        if model not in named:
            yield Found(
                span=_place(table.lock, model),
                message=f"no route names the model `{model}` of the price lock",
                hint=AGAIN,
            )


def _place(lock: Source, model: str) -> Span:
    """The model in the lock, as a lock is laid out; in one that was laid out anew, its first letter."""
    for key in (json.dumps(model, ensure_ascii=False), json.dumps(model)):
        start = lock.text.find(f"\n    {key}: {{")
        if start >= 0:
            return Span(lock, start + 5, start + 5 + len(key))
    return Span(lock, 0, 1)


RULE = LintRule(code="L088", name="lock-stale", topic="prices", tier=Tier.WARNING, check=check)
