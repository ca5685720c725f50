"""A window has less room than one execution is granted.

What: a ceiling over a window (`per day`, `per customer per hour`) is below the ceiling on one execution of an
outcome that it counts, in money, attempts or tokens. Reported only where the ceiling on the execution has no
condition and is the tightest there is; a share of the price is taken at the lowest price.

Why: an execution is promised more than the window has. The first one uses the window up and is then stopped in
the middle, after its cost and before its result.

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
      outcome draft {
        price $1
        lanes standard
        ceiling $0.60 per outcome
        ceiling $0.40 per customer per day
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
      outcome draft {
        price $1
        lanes standard
        ceiling $0.60 per outcome
        ceiling $40 per customer per day
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.lint.tighter import blocks_around, limit_of, outcomes_of_block, prices
from policy_engine.language.checked import BlockId, CeilingRule, Rules
from policy_engine.language.diagnostics import Note

QUANTITIES = ("spent", "attempts", "tokens")


def check(subject: Subject) -> Iterator[Found]:
    granted = {quantity: dict(_granted(subject, quantity)) for quantity in QUANTITIES}
    for rule in subject.every_rule:
        if not isinstance(rule, CeilingRule) or rule.scope.window is None or rule.shadow or rule.limit is None:
            continue
        if "route" in (rule.block.kind, rule.scope.key):
            continue  # it counts one route, an execution may use several
        found = [
            (limit, one)
            for outcome in outcomes_of_block(subject, rule.block)
            for limit, one in _over(subject, rule, outcome, granted[rule.quantity].get(outcome))
        ]
        if found:
            _, one = max(found, key=lambda pair: pair[0])
            yield Found(
                span=rule.span,
                message=f"`{rule.ref.name}` has less room than `{one.ref.name}` grants to a single execution",
                hint="raise the ceiling on the window, or lower the one on the execution",
                notes=(Note("the ceiling on one execution", one.span),),
            )


def _over(
    subject: Subject, rule: CeilingRule, outcome: str, granted: tuple[int, CeilingRule] | None
) -> Iterator[tuple[int, CeilingRule]]:
    """What one execution is granted, if that is more than the window has."""
    if granted is not None and rule.block.kind in ("plan", "lane"):
        own = _tightest(subject, (subject.rules_by_block[rule.block],), rule.quantity, outcome)
        granted = granted if own is None or granted[0] <= own[0] else own
    if granted is not None and rule.limit is not None and rule.limit < granted[0] and granted[1].condition is None:
        yield granted


def _granted(subject: Subject, quantity: str) -> Iterator[tuple[str, tuple[int, CeilingRule]]]:
    """By outcome: its tightest ceiling on one execution, in the lane that grants most."""
    for outcome in subject.checked.outcomes.values():
        around = tuple(subject.rules_by_block[block] for block in blocks_around(subject.checked, outcome.name))
        own = _tightest(subject, around, quantity, outcome.name)
        if own is None:
            continue
        lanes = (subject.rules_by_block[BlockId("lane", lane)] for lane in outcome.lanes)
        inside = [_tightest(subject, (rules,), quantity, outcome.name) for rules in lanes]
        least = [own if lane is None or own[0] <= lane[0] else lane for lane in inside]
        yield outcome.name, max(least, key=lambda pair: pair[0])


def _tightest(
    subject: Subject, blocks: tuple[Rules, ...], quantity: str, outcome: str
) -> tuple[int, CeilingRule] | None:
    price = prices(subject)[outcome].least
    found = [
        (limit_of(rule, price), rule)
        for rules in blocks
        for rule in rules.ceilings
        if rule.quantity == quantity and rule.scope.execution == "outcome" and not rule.shadow
    ]
    return min(found, key=lambda pair: pair[0], default=None)


RULE = LintRule(code="L009", name="window-below-outcome", topic="money", tier=Tier.WARNING, check=check)
