"""A pack that no buyer would choose, because another one is better in every way.

What: another pack of the same outcome holds at least as many units, for at most as much money, and lasts at least
as long; and in one of these it is better, or stands earlier.

Why: the pack is on the price list and nobody buys it; or, worse, somebody does, and finds the other one later.

Bad:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    pack burst { 100 reply for $65  expires 90d }
    pack spring { 100 reply for $70  expires 30d }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
      }
    }

Good:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    pack burst { 100 reply for $65  expires 90d }
    pack spring { 40 reply for $30  expires 30d }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.language.checked import Pack
from policy_engine.language.diagnostics import Note


def check(subject: Subject) -> Iterator[Found]:
    by_outcome: dict[str, list[Pack]] = {}
    for pack in subject.checked.packs.values():
        by_outcome.setdefault(pack.outcome, []).append(pack)
    for packs in by_outcome.values():
        kept: list[Pack] = []
        for pack in sorted(packs, key=_best_first):
            better = next((other for other in kept if _is_as_good(other, pack)), None)
            if better is None:
                kept.append(pack)
                continue
            yield Found(
                span=subject.name_span("pack", pack.name),
                message=f"nobody has a reason to buy `{pack.name}`: `{better.name}` is as good or better in every way",
                hint="lower its price, let it last longer, or take it out",
                notes=(Note(f"`{better.name}`", subject.name_span("pack", better.name)),),
            )


def _best_first(pack: Pack) -> tuple[int, int, int, tuple[str, int, int]]:
    return (-pack.units, pack.price_nanos, -_lasts(pack), pack.span.order)


def _is_as_good(other: Pack, pack: Pack) -> bool:
    return other.units >= pack.units and other.price_nanos <= pack.price_nanos and _lasts(other) >= _lasts(pack)


def _lasts(pack: Pack) -> int:
    """Microseconds; a pack that never expires outlasts all that do."""
    return 1 << 62 if pack.expires_micros is None else pack.expires_micros


RULE = LintRule(code="L072", name="unused-pack", topic="names", tier=Tier.NOTE, check=check)
