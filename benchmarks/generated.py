"""Policy sets of any size, of which the same number of rules applies to every attempt.

Each outcome has a lane of its own with two routes of its own and seven rules; each plan has one rule, the file one.
An attempt falls under five ceilings, whatever the size: file, plan, outcome (two), lane or route.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from random import Random
from sys import intern
from typing import Any

from policy_engine.evaluation.decision import AttemptDecision, Digests, Head
from policy_engine.evaluation.facts import AttemptFacts, Given, Reading, given_type
from policy_engine.evaluation.meters import every_meter
from policy_engine.language.checked import ATTEMPTS, SPENT, BlockId, Meter, Scope
from policy_engine.policy import Policy

SHAPES = {10: (1, 2), 100: (13, 8), 1_000: (141, 12), 10_000: (1_427, 10)}
"""Rules: outcomes and plans."""

OUTCOMES_PER_FILE = 150

HEAD = """currency USD
fact risk: low < medium < high
ceiling $90000 per day alert at 80%
"""
PLAN = """plan p{n} {{ fee ${fee} per month  includes 100 o0  ceiling ${cap} per customer per day }}
"""
OUTCOME = """route a{n} {{ model "m{n}"  rates $1 in, $4 out per 1M tokens  ceiling $0.{c:02}1 per attempt }}
route b{n} {{ model "n{n}"  rates $3 in, $15 out per 1M tokens  ceiling $0.{c:02}2 per attempt }}
lane l{n} {{ a{n} -> b{n}  ceiling $0.{c:02}5 per step when risk is high }}
workflow w{n} {{
  outcome o{n} {{
    price $2  lanes l{n}
    ceiling $0.{c:02} per outcome
    ceiling 6 attempts per outcome
    retry 2 on timeout, rate_limit backoff 250ms..4s
    fallback next on any
  }}
}}
"""

BY_CUSTOMER = """currency USD
fact risk: low < medium < high
route a { model "m"  rates $1 in, $4 out per 1M tokens }
route b { model "n"  rates $3 in, $15 out per 1M tokens }
lane l { a -> b }
workflow w { outcome o { price $2  lanes l
"""


@dataclass(frozen=True, slots=True)
class Key:
    """What an evaluator is specialised for."""

    customer: str
    outcome: str
    plan: str | None
    lane: str
    route: str


def texts(rules: int) -> list[str]:
    """The files of a set of so many rules (a key of `SHAPES`)."""
    outcomes, plans = SHAPES[rules]
    found = [HEAD + "".join(PLAN.format(n=n, fee=100 + n, cap=50 + n) for n in range(plans))]
    for begin in range(0, outcomes, OUTCOMES_PER_FILE):
        numbers = range(begin, min(begin + OUTCOMES_PER_FILE, outcomes))
        found.append("".join(OUTCOME.format(n=n, c=20 + n % 70) for n in numbers))
    return found


def keys(rules: int) -> list[Key]:
    """Every combination of outcome, plan, lane and route of a set.

    One text per name, as in a program: else what grows is the number of texts, and not what a decision needs.
    """
    outcomes, plans = SHAPES[rules]
    return [
        Key("acme", intern(f"o{outcome}"), intern(f"p{plan}"), intern(f"l{outcome}"), intern(f"{route}{outcome}"))
        for outcome, plan, route in product(range(outcomes), range(plans), "ab")
    ]


def by_customer(rules: int) -> str:
    """A set of so many rules, each for one customer only."""
    limits = "".join(f'ceiling $0.{20 + n % 70} per outcome when customer is "c{n}"\n' for n in range(rules))
    return BY_CUSTOMER + limits + "} }\n"


def customer_keys(rules: int) -> list[Key]:
    """Every customer that a rule names, on each route."""
    return [Key(intern(f"c{n}"), "o", None, "l", route) for n in range(rules) for route in "ab"]


def written(directory: Path, files: Sequence[str]) -> Path:
    """The files as a policy directory."""
    for number, text in enumerate(files):
        (directory / f"{number:03}.policy").write_text(text, encoding="utf-8")
    return directory


def drawn(policy: Policy, among: Sequence[Key], number: int, seed: int = 0) -> list[AttemptFacts]:
    """Attempts with keys drawn uniformly; one record per draw, so that reading facts costs the same at each size."""
    random = Random(seed)
    given: Given = _given(policy)(risk="low")
    meters = {meter: Reading(1_000_000 if meter.quantity == "spent" else 1) for meter in every_meter(policy.checked)}
    return [_attempt(random, random.choice(among), given, meters) for _ in range(number)]


def _given(policy: Policy) -> Any:
    return given_type(tuple(policy.checked.facts))


def _attempt(random: Random, key: Key, given: Given, meters: Any) -> AttemptFacts:
    return AttemptFacts(
        customer=key.customer,
        outcome=key.outcome,
        plan=key.plan,
        lane=key.lane,
        route=key.route,
        given=given,
        meters=meters,
        step="draft",
        price_nanos=2_000_000_000,
        input_tokens=random.randint(200, 2_000),
        max_output_tokens=random.randint(100, 900),
    )


# ---------------------------------------------------------------- by hand


def by_hand(policy: Policy, rules: int) -> Any:
    """`attempt` as one would write it for a set of this shape: a row of numbers per combination, one function.

    It covers the attempts of `drawn` alone, all of which go as asked. What it shows is how a table grows.
    """
    rows = {}
    all_work = Meter("spent", BlockId("file"), Scope(window="day"))
    for key in keys(rules):
        outcome, plan = int(key.outcome[1:]), int(str(key.plan)[1:])
        cents = (20 + outcome % 70) * 10**7
        sent, received, more = (1_000, 4_000, 1) if key.route[0] == "a" else (3_000, 15_000, 2)
        mine = Meter("spent", BlockId("plan", str(key.plan)), Scope(key="customer", window="day"))
        ceiling = cents + more * 10**6
        rows[key.outcome, key.plan, key.lane, key.route] = (sent, received, ceiling, cents, mine, (50 + plan) * 10**9)
    go = Head("go", None, policy.checked.currency, Digests(policy.digest, policy.prices.digest))

    def attempt(facts: Any) -> AttemptDecision:
        sent, received, ceiling, cents, mine, budget = rows[facts.outcome, facts.plan, facts.lane, facts.route]
        input_tokens, cap = facts.input_tokens, facts.max_output_tokens
        nanos = sent * input_tokens + received * cap
        meters = facts.meters
        reading = meters[SPENT]
        spent = reading.settled + reading.reserved
        reading = meters[mine]
        today = reading.settled + reading.reserved
        reading = meters[all_work]
        everybody = reading.settled + reading.reserved
        reading = meters[ATTEMPTS]
        made = reading.settled + reading.reserved
        if (
            nanos <= ceiling
            and spent + nanos <= cents
            and today + nanos <= budget
            and everybody + nanos < 72_000_000_000_000
            and made < 6
            and facts.given.risk != "high"
        ):
            return AttemptDecision(go, (), (), nanos, input_tokens + cap, cap)
        raise NotImplementedError("a refusal")  # the drawn facts have none; an answer here would be timed for nothing

    return attempt
