"""A top-up pack whose units cost more than overage.

What: every plan that sells the pack's outcome bills overage for it, without a cap, at less than what one unit of
the pack costs. Where overage is capped, or some plan has none, a pack can be worth its price, and nothing is
reported.

Why: nobody who can count buys it. A pack is paid for in advance, so it has to be the cheaper way.

Bad:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    plan team { fee $49 per month  includes 60 reply  overage $0.90 per reply }
    pack burst { 100 reply for $95 }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.08 per outcome
      }
    }

Good:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    plan team { fee $49 per month  includes 60 reply  overage $0.90 per reply }
    pack burst { 100 reply for $75 }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.08 per outcome
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.language.checked import Plan
from policy_engine.language.diagnostics import Note
from policy_engine.language.units import print_money


def check(subject: Subject) -> Iterator[Found]:
    policy = subject.checked
    sellers: dict[str, list[Plan]] = {name: [] for name in {pack.outcome for pack in policy.packs.values()}}
    for plan in policy.plans.values():
        billed = plan.overage.prices_nanos if plan.overage is not None else {}
        for outcome in sellers.keys() & {*plan.includes, *billed}:
            sellers[outcome].append(plan)
    for pack in policy.packs.values():
        # By the whole pack, so that nothing is rounded.
        if sellers[pack.outcome] and all(
            plan.overage is not None
            and plan.overage.cap_nanos is None
            and pack.outcome in plan.overage.prices_nanos
            and plan.overage.prices_nanos[pack.outcome] * pack.units < pack.price_nanos
            for plan in sellers[pack.outcome]
        ):
            cheapest = max(sellers[pack.outcome], key=lambda plan: _overage(plan, pack.outcome))
            price = print_money(_overage(cheapest, pack.outcome) * pack.units, policy.currency, grouping=True)
            yield Found(
                span=subject.name_span("pack", pack.name),
                message=f"the pack `{pack.name}` costs more than the same {pack.units:,} units as overage",
                hint=f"{pack.units:,} units of overage cost at most {price}",
                notes=(Note("billed here", subject.overage_span(cheapest.name, pack.outcome)),),
            )


def _overage(plan: Plan, outcome: str) -> int:
    assert plan.overage is not None  # noqa: S101 - asked of plans that bill it
    return plan.overage.prices_nanos[outcome]


RULE = LintRule(code="L052", name="pack-dearer-than-overage", topic="plans", tier=Tier.WARNING, check=check)
