"""Who may enter: whether the `allow` and `forbid` rules around a lane leave anybody.

Every block with an `allow` needs one of its own to be true; no `forbid` may be true or unknown. What who and what
an admission is about decides is folded first, so that most questions never reach the satisfier.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from policy_engine.analysis.lint.tighter import once_for_each_subject
from policy_engine.evaluation.terms import fold
from policy_engine.language.checked import FILE_LEVEL, AllowRule, AnyOf, BlockId, ForbidRule, Rule, Rules, Test

if TYPE_CHECKING:
    from policy_engine.analysis.lint.subject import Subject

Who = Mapping[str, str | None]


class Door(Enum):
    """What was found. Only what is proven counts as shut."""

    OPEN = "open, or not decided"
    ALLOWS = "the allows exclude each other"
    FORBIDS = "the forbids cover all that the allows let in"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What must come out true (`allows`, one of each block) and false (`refusals`) for somebody to enter."""

    allows: tuple[Test, ...]
    refusals: tuple[Test, ...]
    decided: Door  # what is shut before any fact is asked for


class Entry:
    """Answers for one set; equal questions are asked once."""

    def __init__(self, subject: "Subject") -> None:
        self._subject = subject
        self._doors: dict[_Wanted, Door] = {}

    def door(self, blocks: Iterable[BlockId], who: Who) -> Door:
        """Whether the rules of these blocks let in anybody who fits `who` (outcome, workflow, perhaps the plan)."""
        wanted = _wanted([self._subject.rules_by_block[block] for block in blocks], who)
        if wanted.decided is not Door.OPEN or not (wanted.allows or wanted.refusals):
            return wanted.decided
        found = self._doors.get(wanted)
        if found is None:
            found = self._doors[wanted] = self._ask(wanted)
        return found

    def _ask(self, wanted: _Wanted) -> Door:
        from policy_engine.analysis.satisfy import Impossible, Want

        allows = [Want(test, True) for test in wanted.allows]
        refusals = [Want(test, False) for test in wanted.refusals]
        satisfy = self._subject.satisfier.satisfy
        if not isinstance(satisfy([*allows, *refusals]), Impossible):
            return Door.OPEN
        return Door.ALLOWS if allows and isinstance(satisfy(allows), Impossible) else Door.FORBIDS

    def never(self, rule: AllowRule) -> bool:
        """Whether an `allow` is never true all by itself, where it stands."""
        if rule.condition is None:
            return False
        return self._subject.satisfier.never(rule.condition, fixed=self._subject.fixed_in(rule.block)) is True


@once_for_each_subject
def entry(subject: "Subject") -> Entry:
    return Entry(subject)


@dataclass(frozen=True, slots=True)
class Shut:
    """What nobody can enter. `blocks` are those around it, innermost first; `outcome` is set for a lane of one."""

    door: Door
    blocks: tuple[BlockId, ...]
    outcome: str | None = None


@once_for_each_subject
def shut_places(subject: "Subject") -> tuple[Shut, ...]:
    """Everything that is shut for everybody, each once: what is inside a shut place is not named again."""
    return tuple(_shut_places(subject))


def _shut_places(subject: "Subject") -> Iterator[Shut]:
    doors, policy = entry(subject), subject.checked
    file = doors.door((FILE_LEVEL,), {})
    if file is not Door.OPEN:
        yield Shut(file, (FILE_LEVEL,))
        return
    alone = {lane: doors.door((BlockId("lane", lane),), {}) for lane in policy.lanes}
    for lane, door in alone.items():
        if door is not Door.OPEN:
            yield Shut(door, (BlockId("lane", lane),))
    for workflow in policy.workflows.values():
        outer = (BlockId("workflow", workflow.name), FILE_LEVEL)
        door = doors.door(outer, {"workflow": workflow.name})
        if door is not Door.OPEN:
            yield Shut(door, outer)
            continue
        for outcome in workflow.outcomes:
            around = (BlockId("outcome", outcome), *outer)
            who = {"workflow": workflow.name, "outcome": outcome}
            door = doors.door(around, who)
            if door is not Door.OPEN:
                yield Shut(door, around)
                continue
            for lane in policy.outcomes[outcome].lanes:
                inside = (BlockId("lane", lane), *around)
                door = doors.door(inside, who) if alone[lane] is Door.OPEN else Door.OPEN
                if door is not Door.OPEN:
                    yield Shut(door, inside, outcome)


def allows_of(rules: Rules) -> tuple[AllowRule, ...]:
    """Those that are enforced."""
    return tuple(rule for rule in rules.allows if not rule.shadow)


def forbids_of(rules: Rules) -> tuple[ForbidRule, ...]:
    """Those that are enforced."""
    return tuple(rule for rule in rules.forbids if not rule.shadow)


def closed_on_purpose(subject: "Subject", blocks: Iterable[BlockId]) -> bool:
    """Whether a bare `forbid`, in a block without an `allow`, shuts the place: nobody writes that by accident."""
    around = (subject.rules_by_block[block] for block in blocks)
    return any(forbid.condition is None for rules in around if not allows_of(rules) for forbid in forbids_of(rules))


def place(shut: Shut) -> str:
    """How a message names it."""
    block = shut.blocks[0]
    if block == FILE_LEVEL:
        return "at all"
    return f"{block.kind} `{block.name}`" + (f" for `{shut.outcome}`" if shut.outcome is not None else "")


def _wanted(blocks: Iterable[Rules], who: Who) -> _Wanted:
    allows, refusals = list[Test](), list[Test]()
    decided = Door.OPEN
    for rules in blocks:
        left = [_left(rule, who) for rule in allows_of(rules)]
        if left and True not in left:
            tests = tuple(test for test in left if not isinstance(test, bool))
            if not tests:
                decided = Door.ALLOWS
            allows += [tests[0] if len(tests) == 1 else AnyOf(tests)] if tests else []
        for forbid in forbids_of(rules):
            test = _left(forbid, who)
            if test is True and decided is Door.OPEN:
                decided = Door.FORBIDS
            refusals += [test] if not isinstance(test, bool) else []
    return _Wanted(tuple(allows), tuple(refusals), decided)


def _left(rule: Rule, who: Who) -> Test | bool:
    return True if rule.condition is None else fold(rule.condition, who)
