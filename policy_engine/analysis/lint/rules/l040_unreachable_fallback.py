"""A fallback that another one always answers before it.

What: wherever this fallback can apply, fallbacks that are asked earlier answer every one of its error classes: a
`stop` ends the step, or the same target is named without a condition (or with the same condition). Fallbacks are
asked in written order, the outcome's first, then the workflow's, the lane's, and the file's. An earlier fallback to
another route answers only until the step has been there, so it hides nothing.

Why: the way out that it describes does not exist. Whoever reads the policy believes that it does.

Bad:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    route sonnet { model "anthropic:claude-sonnet-4-5"  rates $3 in, $15 out per 1M tokens }
    lane standard { mini -> sonnet }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        fallback next on timeout
        fallback stop on any
        fallback next on rate_limit
      }
    }

Good:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    route sonnet { model "anthropic:claude-sonnet-4-5"  rates $3 in, $15 out per 1M tokens }
    lane standard { mini -> sonnet }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        fallback next on timeout, rate_limit
        fallback stop on any
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.ways import Turn
from policy_engine.language.checked import CheckedPolicy, FallbackRule
from policy_engine.language.diagnostics import Note


def check(subject: Subject) -> Iterator[Found]:
    hidden: dict[FallbackRule, list[FallbackRule]] = {}
    open_somewhere: set[FallbackRule] = set()
    for way in subject.ways:
        earlier: list[Turn] = []
        for turn in way.turns:
            before = _hiding(subject.checked, turn, earlier)
            if before:
                hidden.setdefault(turn.rule, before)
            else:
                open_somewhere.add(turn.rule)
            earlier.append(turn)
    for rule, before in hidden.items():
        if rule not in open_somewhere:
            yield Found(
                span=rule.span,
                message=f"`fallback {rule.target}` is never reached: every error it names is answered before it",
                hint="move it up, or take it out",
                notes=tuple(Note("answered here", other.span) for other in before),
            )


def _hiding(policy: CheckedPolicy, turn: Turn, earlier: list[Turn]) -> list[FallbackRule]:
    """The earlier fallbacks that leave nothing for this one; empty if something is left."""
    open_classes = set(turn.rule.classes)
    found = []
    for other in earlier:
        if other.rule.classes & open_classes and _always_before(policy, other, turn):
            open_classes -= other.rule.classes
            found.append(other.rule)
    return [] if open_classes else found


def _always_before(policy: CheckedPolicy, other: Turn, turn: Turn) -> bool:
    """Whether, where `turn` would answer, `other` has answered already (or could not, for the same reason)."""
    target, ends = other.rule.target, _ends(policy, other.rule.target)
    if target not in ("stop", turn.rule.target):
        return False
    # Unknown holds for what ends the step and for nothing else: an equal condition hides only what is no laxer.
    return other.condition is None or (
        other.condition == turn.condition and (ends or not _ends(policy, turn.rule.target))
    )


def _ends(policy: CheckedPolicy, target: str) -> bool:
    return target == "stop" or (target != "next" and policy.routes[target].kind == "handoff")


RULE = LintRule(code="L040", name="unreachable-fallback", topic="fallback", tier=Tier.WARNING, check=check)
