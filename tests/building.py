"""Small policies for tests: a prelude with everything in it, and room for the rule under test."""

from collections.abc import Mapping
from typing import Any

import policy_engine
from policy_engine.evaluation.decision import Decision

PRELUDE = """
currency USD
fact risk: low < medium < high = low
fact vip?: boolean
fact size: integer 0..1000 = 0
fact score: number 0..1 = 0.5
route mini {{ model "openai:gpt-4o-mini" rates $1 in, $2 out per 1k tokens {mini} }}
route big {{ model "openai:gpt-4o" rates $10 in, $20 out per 1k tokens {big} }}
route web {{ tool "web" cost $0.01 }}
route bare {{ model "openai:unheard-of" }}
route human {{ handoff "tier 2" cost $2.50 {human} }}
lane standard {{ mini -> big -> human {standard} }}
lane premium {{ big -> human {premium} }}
plan base {{ fee $100 per month includes 100 draft overage $2 per draft {base} }}
plan pay {{ overage $2 per draft {pay} }}  # `pay` may go on with `up to …`
plan other {{ fee $10 per month includes 10 note {other} }}
pack burst {{ 10 draft for $15 expires 30d }}
{file}
workflow support {{
  {workflow}
  outcome draft {{ price $2 lanes premium, standard {outcome} }}
}}
workflow desk {{ outcome note {{ price $1 lanes standard }} }}
"""
BLOCKS = ("mini", "big", "human", "standard", "premium", "base", "pay", "other", "file", "workflow", "outcome")


def policy(**rules: str) -> policy_engine.Policy:
    """The prelude with rules put into its blocks: `policy(outcome="ceiling $1 per outcome")`."""
    assert set(rules) <= set(BLOCKS), set(rules) - set(BLOCKS)
    return policy_engine.load(PRELUDE.format(**dict.fromkeys(BLOCKS, "") | rules))


def entries(policy: policy_engine.Policy, **changed: Any) -> dict[str, Any]:
    """Entries of an attempt that has everything, on a fresh ledger; `changed` replaces or adds."""
    fresh: Mapping[str, Any] = dict.fromkeys(policy.boundary.meters, 0)
    meters = dict(fresh) | changed.pop("meters", {})
    return {
        "customer": "acme",
        "outcome": "draft",
        "plan": "base",
        "lane": "standard",
        "route": "mini",
        "step": "main",
        "price": "2",
        "meters": meters,
    } | changed


def admission(policy: policy_engine.Policy, **changed: Any) -> dict[str, Any]:
    """Entries of an admission with one unit left, on a fresh ledger."""
    meters = dict.fromkeys(policy.boundary.meters, 0) | changed.pop("meters", {})
    grants = [{"id": "g1", "left": 1, "price": "1"}]
    return {"customer": "acme", "outcome": "draft", "plan": "base", "grants": grants, "meters": meters} | changed


def deciding(decision: Decision) -> list[str]:
    """The names of the rules that decided, in order."""
    return [ruling.rule.name for ruling in decision.rulings]
