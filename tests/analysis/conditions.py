"""Conditions of one small policy, from their text: what questions are asked about."""

from functools import cache

from policy_engine.analysis.satisfy import Satisfier
from policy_engine.language.checked import Test
from policy_engine.language.diagnostics import PolicyError
from policy_engine.policy import Policy, load

PRELUDE = """\
currency USD
fact risk: low < medium < high
fact region?: eu | us | apac
fact tier: gold | silver = silver
fact urgent: boolean
fact agreed?: boolean
fact ticket: text
fact words: integer 0..1000
fact pages: integer
fact lines?: integer
fact confidence: number 0..1 = 1
fact score: number
fact quality: percent 0%..100%
fact budget: money $0..$10
fact patience: duration
error stale
route mini {{ model "m:mini"  rates $1 in, $4 out per 1M tokens }}
route big {{ model "m:big"  rates $15 in, $75 out per 1M tokens }}
route spare {{ tool "spare"  cost $0.01 }}
route human {{ handoff "support"  cost $2.50 }}
lane standard {{ mini -> big -> human }}
lane premium {{ big }}
lane unlisted {{ spare }}
plan base {{ fee $100 per month includes 100 draft overage $2 per draft }}
plan pro {{ fee $500 per month includes 500 draft, 100 note }}
{rules}
workflow support {{
  outcome draft {{ price $2 lanes premium, standard ceiling 25% of price per outcome when lane is standard as share }}
  outcome reply {{ price $1 lanes standard ceiling $0.30 per outcome }}
}}
workflow desk {{
  outcome note {{ price $1 lanes premium {inside} }}
}}
"""


@cache
def policy_with(rules: str = "", inside: str = "") -> Policy:
    """The prelude with rules at file level and inside the outcome `note`."""
    return load(PRELUDE.format(rules=rules, inside=inside), engine="reference")


@cache
def condition(text: str) -> Test:
    """A condition as a fallback, a ceiling or a retry at file level may have it: whichever may read its names."""
    for rule in ("retry 1 when {}", "ceiling 1 tokens per outcome when {}", "fallback stop when {}"):
        try:
            policy = policy_with(rule.format(text))
        except PolicyError:
            continue
        found = next(iter(policy.checked.rules))
        assert found.condition is not None
        return found.condition
    policy_with(rule.format(text))
    raise AssertionError(text)


@cache
def satisfier() -> Satisfier:
    return Satisfier(policy_with().checked)
