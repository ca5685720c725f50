"""A lane stands behind one that lets everybody in.

What: an outcome lists a lane after another one that never refuses: no `allow`, `forbid` or `limit` of its own, no
ceiling over a window in it, and none around it with a condition on the lane. The first eligible lane wins, so the
later one is taken only by a caller who asks for it by name.

Why: most often the order is the wrong way round, and the better (or cheaper) lane that somebody set up is never used.

Bad:

    currency USD

    fact risk: low < high

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
    }

    route opus {
      model "anthropic:claude-opus-4-1"
      rates $15 in, $75 out per 1M tokens
    }

    lane standard {
      mini
    }

    lane premium {
      opus
      allow when risk is high
      limit 50 per customer per month
    }

    workflow support {
      outcome draft {
        price $1
        lanes standard, premium
        margin at least 40%
      }
    }

Good:

    currency USD

    fact risk: low < high

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
    }

    route opus {
      model "anthropic:claude-opus-4-1"
      rates $15 in, $75 out per 1M tokens
    }

    lane standard {
      mini
    }

    lane premium {
      opus
      allow when risk is high
      limit 50 per customer per month
    }

    workflow support {
      outcome draft {
        price $1
        lanes premium, standard
        margin at least 40%
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.language import syntax as s
from policy_engine.language.checked import FILE_LEVEL, BlockId, Lane, Rules, reads
from policy_engine.language.diagnostics import Note


def check(subject: Subject) -> Iterator[Found]:
    policy = subject.checked
    sensitive = {block for block, rules in subject.rules_by_block.items() if _by_lane(rules)}
    if FILE_LEVEL in sensitive or any(block.kind == "plan" for block in sensitive):
        return  # a ceiling there may refuse any lane
    for outcome in policy.outcomes.values():
        around = {BlockId("outcome", outcome.name), BlockId("workflow", outcome.workflow)}
        if len(outcome.lanes) < 2 or not around.isdisjoint(sensitive):
            continue
        open_lane = next((lane for lane in outcome.lanes[:-1] if _never_refuses(policy.lanes[lane])), None)
        if open_lane is None:
            continue
        place = outcome.lanes.index(open_lane)
        names = _names(subject, outcome.name)
        for lane in outcome.lanes[place + 1 :]:
            yield Found(
                span=names[lane].span,
                message=f"`{lane}` is entered for `{outcome.name}` by name alone: `{open_lane}` before it lets all in",
                hint=f"list `{open_lane}` last",
                notes=(Note("it has no `allow`, `forbid` or `limit`", subject.name_span("lane", open_lane)),),
            )


def _names(subject: Subject, outcome: str) -> dict[str, s.Name]:
    items = subject.block("outcome", outcome).items
    return {name.text: name for item in items if isinstance(item, s.Lanes) for name in item.names}


def _never_refuses(lane: Lane) -> bool:
    rules = lane.rules
    enforced = (*rules.allows, *rules.forbids, *rules.limits, *(r for r in rules.ceilings if r.scope.window))
    return all(rule.shadow for rule in enforced)


def _by_lane(rules: Rules) -> bool:
    """Whether a ceiling over a window is looked at lane by lane."""
    return any(
        not rule.shadow and rule.scope.window is not None and any(read.name == "lane" for read in reads(rule.condition))
        for rule in rules.ceilings
    )


RULE = LintRule(code="L034", name="lane-behind-an-open-one", topic="lanes", tier=Tier.WARNING, check=check)
