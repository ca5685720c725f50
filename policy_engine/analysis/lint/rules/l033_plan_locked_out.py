"""A plan sells an outcome that its customers can never have.

What: a plan includes an outcome, or bills it as overage, and every lane of the outcome refuses the plan's customers
whatever the facts: the `allow` and `forbid` rules of the file, workflow, outcome, plan and lane let nobody of that
plan in. Reported only where customers of other plans, or without one, do get in.

Why: the customer has paid for it, and every request is denied.

Bad:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
    }

    lane careful {
      mini
      allow when plan in [growth]
    }

    plan base {
      fee $100 per month
      includes 200 draft
    }

    plan growth {
      fee $500 per month
      includes 1k draft
    }

    workflow support {
      outcome draft {
        price $1
        lanes careful
        ceiling $0.30 per outcome
      }
    }

Good:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
    }

    lane careful {
      mini
      allow when plan in [base, growth]
    }

    plan base {
      fee $100 per month
      includes 200 draft
    }

    plan growth {
      fee $500 per month
      includes 1k draft
    }

    workflow support {
      outcome draft {
        price $1
        lanes careful
        ceiling $0.30 per outcome
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.entry import Door, closed_on_purpose, entry, shut_places
from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.lint.tighter import blocks_around, outcomes_of_block
from policy_engine.language import syntax as s
from policy_engine.language.checked import BlockId
from policy_engine.language.diagnostics import Note
from policy_engine.language.source import Span


def check(subject: Subject) -> Iterator[Found]:
    shut = {block for place in shut_places(subject) for block in place.blocks[:1]}
    for plan in subject.checked.plans:
        block = BlockId("plan", plan)
        if closed_on_purpose(subject, (block,)):
            continue
        for outcome in outcomes_of_block(subject, block):
            if _locked_out(subject, block, outcome, shut):
                lanes = subject.checked.outcomes[outcome].lanes
                yield Found(
                    span=_sold_at(subject, plan, outcome),
                    message=f"plan `{plan}` sells `{outcome}`, and every lane of it refuses the plan's customers",
                    hint=f"let `{plan}` into a lane, or do not sell it",
                    notes=tuple(Note("refuses them", subject.name_span("lane", lane)) for lane in lanes[:3]),
                )


def _locked_out(subject: Subject, plan: BlockId, outcome: str, shut: set[BlockId]) -> bool:
    around = blocks_around(subject.checked, outcome)
    lanes = [BlockId("lane", lane) for lane in subject.checked.outcomes[outcome].lanes]
    who = {"outcome": outcome, "workflow": subject.checked.outcomes[outcome].workflow}
    theirs = {**who, "plan": plan.name}
    doors = entry(subject)
    if not shut.isdisjoint((*around, *lanes)):
        return False  # nobody gets in: that is reported
    return all(doors.door((lane, plan, *around), theirs) is not Door.OPEN for lane in lanes)


def _sold_at(subject: Subject, plan: str, outcome: str) -> Span:
    """Where the plan includes the outcome, else where it bills it."""
    for item in subject.block("plan", plan).items:
        if isinstance(item, s.Includes):
            for units in item.units:
                if units.outcome.text == outcome:
                    return units.span
    return subject.overage_span(plan, outcome)


RULE = LintRule(code="L033", name="plan-locked-out", topic="lanes", tier=Tier.ERROR, check=check)
