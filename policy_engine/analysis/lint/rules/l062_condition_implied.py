"""A part of a condition, or a whole rule, that says what is said already.

What: one part of an `and` holds wherever the others do, or one part of an `or` only where another does: without it
the condition is the same for all facts, unknown ones included. Or an `allow` or `forbid` whose condition holds only
where that of an earlier one of the same block does.

Why: the reader looks for a case that is not there, and the next edit will change one of the two only.

Bad:

    currency USD
    fact risk: low < medium < high
    fact region?: eu | us | apac
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        ceiling $0.10 per outcome when risk >= medium and risk is high
        forbid when region is eu
      }
    }

Good:

    currency USD
    fact risk: low < medium < high
    fact region?: eu | us | apac
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
        ceiling $0.10 per outcome when risk is high
        forbid when region is eu
      }
    }
"""

from collections.abc import Iterator, Sequence

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.satisfy import Impossible, Want
from policy_engine.language.checked import AllOf, AllowRule, AnyOf, ForbidRule, Inverse, Rule, Test, atoms, reads
from policy_engine.language.diagnostics import Note
from policy_engine.language.source import Span

MOST_COMPARED = 24
"""Parts of one condition, or entry rules of one block, that are compared pairwise; longer lists are left alone."""

_AND = ((True, False), (True, None), (None, False))
_OR = ((False, True), (False, None), (None, True))
"""Truths of the rest and of a part under which the part would make a difference."""


def check(subject: Subject) -> Iterator[Found]:
    for rule in subject.every_rule:
        if rule.condition is not None:
            yield from _parts(subject, rule, rule.condition)
    for block, rules in subject.rules_by_block.items():
        entries: tuple[Sequence[AllowRule | ForbidRule], ...] = (rules.allows, rules.forbids)
        for entry in entries:
            for shadow in (False, True):
                alike = [rule for rule in entry if rule.shadow is shadow]
                yield from _rules(subject, alike, subject.fixed_in(block))


def _parts(subject: Subject, rule: Rule, test: Test) -> Iterator[Found]:
    if isinstance(test, Inverse):
        yield from _parts(subject, rule, test.part)
        return
    if not isinstance(test, AllOf | AnyOf):
        return
    if len(test.parts) <= MOST_COMPARED:
        for number, part in enumerate(test.parts):
            others = test.parts[:number] + test.parts[number + 1 :]
            if _share_a_name(part, others) and _adds_nothing(subject, rule, type(test), part, others):
                word = "and" if isinstance(test, AllOf) else "or"
                yield Found(
                    span=_span(part),
                    message=f"this part of the `{word}` changes nothing: the rest says as much",
                    hint="take it out",
                )
                return  # one at a time: of two that say the same, only one may go
    for part in test.parts:
        yield from _parts(subject, rule, part)


def _adds_nothing(
    subject: Subject, rule: Rule, kind: type[AllOf | AnyOf], part: Test, others: tuple[Test, ...]
) -> bool:
    rest = others[0] if len(others) == 1 else kind(others)
    fixed = subject.fixed_in(rule.block)
    return all(
        isinstance(subject.satisfier.satisfy([Want(rest, of_rest), Want(part, of_part)], fixed=fixed), Impossible)
        for of_rest, of_part in (_AND if kind is AllOf else _OR)
    )


def _rules(subject: Subject, rules: Sequence[AllowRule | ForbidRule], fixed: dict[str, str]) -> Iterator[Found]:
    if len(rules) > MOST_COMPARED:
        return
    for number, rule in enumerate(rules):
        for other in rules[:number]:
            if _says_as_much(subject, other, rule, fixed):
                yield Found(
                    span=rule.span,
                    message=f"`{rule.ref.text}` changes nothing: an earlier rule of this block says as much",
                    hint="take it out, or mend its condition",
                    notes=(Note("the earlier rule", other.span),),
                )
                break


def _says_as_much(subject: Subject, earlier: Rule, later: Rule, fixed: dict[str, str]) -> bool:
    if earlier.condition is None:
        return True
    if later.condition is None or not _share_a_name(later.condition, (earlier.condition,)):
        return False
    # An allow holds only where it is true, a forbid also where it is unknown.
    holds = (True,) if isinstance(later, AllowRule) else (True, None)
    fails = (False, None) if isinstance(later, AllowRule) else (False,)
    return all(
        isinstance(
            subject.satisfier.satisfy([Want(later.condition, yes), Want(earlier.condition, no)], fixed=fixed),
            Impossible,
        )
        for yes in holds
        for no in fails
    )


def _share_a_name(part: Test, others: tuple[Test, ...]) -> bool:
    """Conditions over different names do not imply one another, unless one is always true, which is another finding."""
    names = {read.name for read in reads(part)}
    return any(read.name in names for other in others for read in reads(other))


def _span(part: Test) -> Span:
    first, *rest = atoms(part)
    return first.span.to(rest[-1].span) if rest else first.span


RULE = LintRule(code="L062", name="condition-implied", topic="conditions", tier=Tier.WARNING, check=check)
