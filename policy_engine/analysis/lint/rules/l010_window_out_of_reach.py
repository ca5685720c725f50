"""A long window can never fill up, because a short one is too small.

What: a ceiling or limit over a long window is above the most that a ceiling or limit over a shorter one lets
through in all its turns: $2 an hour is at most $52 a day (a day of 26 hours included: clocks are set back), so
$100 a day is out of reach. The short one must apply always and count at least what the long one counts. A rule with
an `alert` that can still fire is not reported.

Why: the larger number is a promise that is never tested. Either the small one is tighter than somebody thinks, or
the large one is dead.

Bad:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
    }

    lane standard {
      mini
    }

    ceiling $2 per hour
    ceiling $100 per day

    workflow support {
      outcome draft {
        price $1
        lanes standard
        ceiling $0.30 per outcome
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

    ceiling $20 per hour
    ceiling $100 per day

    workflow support {
      outcome draft {
        price $1
        lanes standard
        ceiling $0.30 per outcome
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.lint.tighter import Bound, blocks_around, limit_of, quantity_of, share_of
from policy_engine.language.checked import FILE_LEVEL, BlockId, CeilingRule, LimitRule, Scope
from policy_engine.language.diagnostics import Note
from policy_engine.language.units import print_money

TURNS = {
    ("minute", "hour"): 60,
    ("minute", "day"): 26 * 60,
    ("hour", "day"): 26,
    ("minute", "week"): 170 * 60,
    ("hour", "week"): 170,
    ("day", "week"): 7,
    ("minute", "month"): 746 * 60,
    ("hour", "month"): 746,
    ("day", "month"): 31,
    ("week", "month"): 6,
}
"""At most so many turns of the first window touch one turn of the second, two hours of clock change included."""

SHORTER = {long: tuple(short for short, other in TURNS if other == long) for long in ("hour", "day", "week", "month")}


def check(subject: Subject) -> Iterator[Found]:
    kept: dict[tuple[BlockId, str, Scope], Bound] = {}
    rules = [
        rule
        for rule in subject.every_rule
        if isinstance(rule, CeilingRule | LimitRule) and rule.scope.window and not rule.shadow
    ]
    for rule in rules:
        key = (rule.block, quantity_of(rule), rule.scope)
        if rule.condition is None and (key not in kept or limit_of(rule, 0) < limit_of(kept[key], 0)):
            kept[key] = rule
    for rule in rules:
        short = next(_shorter(subject, rule, kept), None)
        if short is not None:
            most = _said(subject, rule, _most(short, rule))
            yield Found(
                span=rule.span,
                message=f"`{rule.ref.name}` is out of reach: `{short.ref.name}` lets {most} through at most",
                hint="lower the one, or raise the other",
                notes=(Note("the shorter window", short.span),),
            )


def _shorter(subject: Subject, rule: Bound, kept: dict[tuple[BlockId, str, Scope], Bound]) -> Iterator[Bound]:
    """The rules over shorter windows that keep this one out of reach."""
    scope = rule.scope
    blocks: tuple[BlockId, ...] = (rule.block,) if rule.block == FILE_LEVEL else (rule.block, FILE_LEVEL)
    if rule.block.kind == "outcome":
        blocks = blocks_around(subject.checked, rule.block.name)
    lowest_alert = min(rule.alerts, default=100)
    for window in SHORTER.get(scope.window or "", ()):
        for key in dict.fromkeys((scope.key, "workflow" if scope.key == "outcome" else scope.key, None)):
            for block in blocks:
                short = kept.get((block, quantity_of(rule), Scope(key=key, window=window)))
                if (
                    short is not None
                    and share_of(short) is None
                    and _most(short, rule) * 100 < limit_of(rule, 0) * lowest_alert
                ):
                    yield short


def _most(short: Bound, long: Bound) -> int:
    assert short.scope.window is not None and long.scope.window is not None  # noqa: S101, PT018 - rules over windows
    return limit_of(short, 0) * TURNS[short.scope.window, long.scope.window]


def _said(subject: Subject, rule: Bound, amount: int) -> str:
    quantity = quantity_of(rule)
    if quantity == "spent":
        return print_money(amount, subject.checked.currency)
    return f"{amount} {'entries' if quantity == 'count' else quantity}"


RULE = LintRule(code="L010", name="window-out-of-reach", topic="money", tier=Tier.NOTE, check=check)
