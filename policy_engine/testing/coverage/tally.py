"""What there is to cover in a policy, and how often tests have seen each of it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from policy_engine.language.checked import FILE_LEVEL, Atom, BlockId, CheckedPolicy, Rule, RuleRef, Rules, atoms
from policy_engine.language.source import Source, Span


class Mark(StrEnum):
    """What a test can show of a rule, or of one comparison in its condition.

    `evaluated`: a decision looked at the rule, and who it was about did not rule it out. `decided`: a decision names
    the rule as deciding it (for a shadow rule: that it would have refused). `passed_over`: a decision looked at
    the rule and was not decided by it. `true`, `false`: a comparison came out so.
    """

    EVALUATED = "evaluated"
    DECIDED = "decided"
    PASSED_OVER = "passed_over"
    TRUE = "true"
    FALSE = "false"


RULE_MARKS = (Mark.EVALUATED, Mark.DECIDED, Mark.PASSED_OVER)
ATOM_MARKS = (Mark.TRUE, Mark.FALSE)

ROOMS = {"workflow": "workflows", "outcome": "outcomes", "plan": "plans", "lane": "lanes", "route": "routes"}
"""Kind of block → where a checked policy keeps those that have rules."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """One rule as tests can cover it. The cap of an overage is one too: a decision can name it; it is no `Rule`."""

    ref: RuleRef
    block: BlockId
    span: Span
    rule: Rule | None = None
    atoms: tuple[Atom, ...] = ()


@dataclass(frozen=True, slots=True)
class Goal:
    """One thing to be seen: a mark of a rule, or of the `atom`-th comparison of its condition."""

    rule: RuleRef
    mark: Mark
    atom: int | None = None


@dataclass(slots=True)
class Tally:
    """How many decisions showed each goal, and how often a comparison was unknown.

    `governed` are the rules whose block had a say in some decision, looked at or not, `blocks` those blocks and the
    ones they name; `errors` counts decision points that raised for bad input.
    """

    seen: Counter[Goal] = field(default_factory=Counter)
    unknown: Counter[tuple[RuleRef, int]] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    governed: set[RuleRef] = field(default_factory=set)
    blocks: set[BlockId] = field(default_factory=set)
    errors: int = 0

    def add(self, other: "Tally") -> None:
        """Count what another tally counted."""
        self.seen.update(other.seen)
        self.unknown.update(other.unknown)
        self.decisions.update(other.decisions)
        self.governed |= other.governed
        self.blocks |= other.blocks
        self.errors += other.errors

    @property
    def looked_at(self) -> set[RuleRef]:
        """The rules that some decision looked at."""
        return {goal.rule for goal in self.seen}


def subjects(policy: CheckedPolicy) -> tuple[Subject, ...]:
    """Everything of a policy that a decision can name, in (file, place) order."""
    found = [
        Subject(rule.ref, rule.block, rule.span, rule, tuple(atoms(rule.condition)) if rule.condition else ())
        for rule in policy.every_rule()
    ]
    sources = {source.name: source for source in policy.sources}
    for plan in policy.plans.values():
        if plan.overage is not None and plan.overage.cap_nanos is not None:
            span = written_at(sources, plan.overage.ref)
            found.append(Subject(plan.overage.ref, BlockId("plan", plan.name), span))
    return tuple(sorted(found, key=lambda subject: subject.span.order))


def goals(subject: Subject) -> Iterator[Goal]:
    """Everything that tests can show of one rule."""
    for mark in RULE_MARKS:
        yield Goal(subject.ref, mark)
    for number in range(len(subject.atoms)):
        for mark in ATOM_MARKS:
            yield Goal(subject.ref, mark, number)


def written_at(sources: Mapping[str, Source], ref: RuleRef) -> Span:
    """The place of something that is known by line and column alone: up to the end of its last word."""
    source = sources[ref.file]
    lines = source.text.split("\n")
    start = sum(len(line) + 1 for line in lines[: ref.line - 1]) + ref.column - 1
    end, words = start, iter(ref.text.split())
    for word in words:
        found = source.text.find(word, end)
        end = found + len(word) if found >= 0 else end
    return Span(source, start, end)


def total(tallies: Iterable[Tally]) -> Tally:
    """All of them as one."""
    whole = Tally()
    for tally in tallies:
        whole.add(tally)
    return whole


def rules_of(policy: CheckedPolicy, block: BlockId) -> Rules:
    """The rules that stand in a block."""
    if block == FILE_LEVEL:
        return policy.rules
    rules: Rules = getattr(policy, ROOMS[block.kind])[block.name].rules
    return rules
