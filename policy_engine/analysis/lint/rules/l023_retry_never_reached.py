"""A retry has a count that another rule never lets it come to.

What: another `retry` for the same classes (and perhaps more) applies wherever this one does and has a lower count. A
retry needs count left in every rule that is for its class, so the lower one decides. Rules for the customers of one
plan, and rules under a condition, take retries away from some only: they keep this rule silent.

Why: somebody counts on three tries and gets one. Counts do not add up, and the higher one does not win.

Bad:

    currency USD

    route mini {
      model "openai:gpt-4o-mini"
      rates $0.15 in, $0.60 out per 1M tokens
      retry 3 on timeout backoff 250ms..4s
    }

    lane standard {
      mini
    }

    retry 1 on timeout, unavailable

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
      retry 3 on timeout backoff 250ms..4s
    }

    lane standard {
      mini
    }

    retry 3 on timeout, unavailable

    workflow support {
      outcome draft {
        price $1
        lanes standard
        ceiling $0.30 per outcome
      }
    }
"""

from collections.abc import Iterable, Iterator

from policy_engine.analysis.lint.rule import Edit, Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.lint.tighter import blocks_around, outcomes_of_block
from policy_engine.language import syntax as s
from policy_engine.language.checked import FILE_LEVEL, BlockId, RetryRule
from policy_engine.language.diagnostics import Note

_Lowest = dict[frozenset[str], RetryRule]


def check(subject: Subject) -> Iterator[Found]:
    lowest = {block: _lowest(rules.retries) for block, rules in subject.rules_by_block.items()}
    for rule in subject.every_rule:
        if not isinstance(rule, RetryRule) or rule.count == 0:
            continue
        cap = _cap(subject, rule, lowest)
        if cap is not None:
            number = "no retry" if cap.count == 0 else f"only {cap.count}"
            yield Found(
                span=rule.span,
                message=f"`{rule.ref.name}` never comes to {rule.count}: `{cap.ref.name}` permits {number}",
                hint="remove it, or raise the other" if cap.count == 0 else "write the lower count, or raise the other",
                notes=(Note("the rule that decides", cap.span),),
                edits=_edits(subject, rule, cap),
            )


def _lowest(rules: Iterable[RetryRule]) -> _Lowest:
    """Of the rules that always apply, the lowest for each set of classes."""
    found: _Lowest = {}
    for rule in rules:
        if rule.condition is None and (rule.classes not in found or rule.count < found[rule.classes].count):
            found[rule.classes] = rule
    return found


def _cap(subject: Subject, rule: RetryRule, lowest: dict[BlockId, _Lowest]) -> RetryRule | None:
    """A lower count for all of a rule's classes, that applies wherever the rule does."""
    blocks: tuple[BlockId, ...] = (rule.block, FILE_LEVEL)
    if rule.block.kind == "outcome":
        blocks = blocks_around(subject.checked, rule.block.name)
    here = _first(rule, blocks, lowest)
    if here is not None or rule.block.kind not in ("lane", "route"):
        return here
    for outcome in outcomes_of_block(subject, rule.block):
        here = _first(rule, blocks_around(subject.checked, outcome), lowest)
        if here is None:
            return None
    return here


def _first(rule: RetryRule, blocks: Iterable[BlockId], lowest: dict[BlockId, _Lowest]) -> RetryRule | None:
    for block in blocks:
        for classes, other in lowest[block].items():
            if other.count < rule.count and rule.classes <= classes:
                return other
    return None


def _edits(subject: Subject, rule: RetryRule, cap: RetryRule) -> tuple[Edit, ...]:
    if cap.count == 0:
        return subject.removal(rule)
    node = subject.node_of(rule)
    return (Edit(span=node.count.span, text=str(cap.count)),) if isinstance(node, s.Retry) else ()


RULE = LintRule(code="L023", name="retry-never-reached", topic="retries", tier=Tier.WARNING, check=check, fixes=True)
