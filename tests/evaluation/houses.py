"""A small policy with room for rules in every block, for the tests of the compiler."""

from typing import Any

from policy_engine.evaluation.facts import AdmitFacts, given_type
from policy_engine.policy import Policy
from policy_engine.policy import load as load_policy

HOUSE = """
currency USD
fact urgent: boolean = false
route mini {{ model "a:mini" cost $0.10 {route} }}
route big {{ model "a:big" cost $0.20 }}
lane standard {{ mini -> big {lane} }}
lane premium {{ big -> mini }}
plan base {{ fee $10 per month includes 10 reply overage $2 per reply {plan} }}
plan growth {{ fee $20 per month includes 10 reply overage $2 per reply }}
{file}
workflow support {{
  {workflow}
  outcome reply {{ price $2 lanes premium, standard {outcome} }}
  outcome refund {{ price $2 lanes standard }}
}}
"""
BLOCKS = ("route", "lane", "plan", "file", "workflow", "outcome")


def house(**rules: str) -> Policy:
    """The policy with these rules, by the kind of block that they stand in."""
    return load_policy(HOUSE.format(**dict.fromkeys(BLOCKS, "") | rules))


def admission(policy: Any, customer: str = "acme", **more: Any) -> AdmitFacts:
    """An admission to it, of a customer without a plan."""
    given = given_type(tuple(policy.facts))(**dict.fromkeys(policy.facts, False))
    return AdmitFacts(customer=customer, outcome="reply", plan=None, given=given, **more)
