"""What `ceiling` is: the tightest money ceiling per outcome that applies, so not just any amount.

A witness for `spent > 50% of ceiling` with a ceiling that no rule says would be a world that cannot be
reached. So whoever asks about `ceiling` or `remaining` also asks about the rules that make it: `ceiling`
is at most what each applying rule says, and what one of them says; it is unknown where none applies.
"""

from collections.abc import Iterator, Mapping

from policy_engine.analysis.satisfy.answers import Value
from policy_engine.analysis.satisfy.domains import FALSE, TRUE, UNKNOWN
from policy_engine.analysis.satisfy.rows import Row
from policy_engine.analysis.satisfy.split import Goal, Known, Split
from policy_engine.language.checked import AllOf, CeilingRule, CheckedPolicy, Member, Read, Test, reads
from policy_engine.language.vocabulary import BUILTINS

MAX_RULES = 24
"""With more rules than this that may be the tightest, `ceiling` is left free."""

_BLOCKS = ("workflow", "outcome", "plan", "lane")


def builtin(name: str) -> Read:
    """The read of a built-in name."""
    return Read(name, BUILTINS[name].unit)


CEILING, REMAINING, SPENT, PRICE = map(builtin, ("ceiling", "remaining", "spent", "price"))


def makers(policy: CheckedPolicy, fixed: Mapping[str, Value]) -> tuple[CeilingRule, ...] | None:
    """The rules that may be the tightest money ceiling of an execution; None where there are too many of them."""
    found = tuple(
        rule for rule in _per_outcome(policy) if fixed.get(rule.block.kind, rule.block.name) == rule.block.name
    )
    if "outcome" in fixed and fixed["outcome"] in policy.outcomes:
        workflow = policy.outcomes[str(fixed["outcome"])].workflow
        found = tuple(rule for rule in found if rule.block.kind != "workflow" or rule.block.name == workflow)
    return found if len(found) <= MAX_RULES else None


def _per_outcome(policy: CheckedPolicy) -> Iterator[CeilingRule]:
    blocks = (policy.workflows, policy.outcomes, policy.plans, policy.lanes)
    for rules in (policy.rules, *(block.rules for kind in blocks for block in kind.values())):
        for rule in rules.ceilings:
            if rule.quantity == "spent" and rule.scope.execution == "outcome" and not rule.shadow:
                yield rule


def names_of(rules: tuple[CeilingRule, ...]) -> Iterator[Read]:
    """Every name that decides which of these rules applies, and what it says."""
    yield CEILING
    for rule in rules:
        yield from reads(rule.condition)
        if rule.block.kind in _BLOCKS:
            yield builtin(rule.block.kind)
        if rule.percent_of_price is not None:
            yield PRICE


def goals_of(rules: tuple[CeilingRule, ...]) -> tuple[tuple[Goal, ...], tuple[Split, ...]]:
    """What ties `ceiling` to its rules."""
    goals: list[Goal] = []
    splits: list[Split] = []
    says: list[tuple[Goal, ...]] = [((Known(CEILING, known=False), TRUE),)]
    known: Goal = (Known(CEILING, known=True), TRUE)
    for rule in rules:
        applies = _applies(rule)
        at_most, at_least = _limits(rule)
        if applies is None:
            goals += [known, (at_most, TRUE)]
            says.append((known, (at_least, TRUE)))
        else:
            splits.append((((applies, FALSE),), (known, (at_most, TRUE))))
            says.append(((applies, TRUE | UNKNOWN), known, (at_least, TRUE)))
    return tuple(goals), (tuple(says), *splits)


def _applies(rule: CeilingRule) -> Test | None:
    """The condition under which a rule stands over an execution; None: it always does."""
    parts: list[Test] = []
    if rule.block.kind in _BLOCKS:
        parts.append(Member(builtin(rule.block.kind), (rule.block.name,), rule.span))
    if rule.condition is not None:
        parts.append(rule.condition)
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def _limits(rule: CeilingRule) -> tuple[Row, Row]:
    """That `ceiling` is at most, and at least, what a rule says: an amount, or a share of the price rounded down."""
    if rule.percent_of_price is None:
        assert rule.limit is not None  # noqa: S101 - the checker sets one or the other
        return Row(((1, "ceiling"),), rule.limit), Row(((-1, "ceiling"),), -rule.limit)
    share = rule.percent_of_price / 100
    at_most = Row(((1, "ceiling"), (-share, "price")), 0)
    return at_most, Row(((-1, "ceiling"), (share, "price")), 1, strict=True)
