"""The way of one step through a lane: its routes, how often each is tried again, and where it goes from there.

The graph is explored as the engine walks it: a step visits a route once, `next` is the first route of
the lane after the furthest one the step was sent to, and the first fallback that matches holds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count as counting

from policy_engine.analysis.explain import english
from policy_engine.analysis.explain.conditions import ConditionWords
from policy_engine.analysis.explain.standing import Standing
from policy_engine.language.checked import CheckedPolicy, FallbackRule, RetryRule, Rule, RuleRef
from policy_engine.language.units import print_duration
from policy_engine.language.vocabulary import NEVER_RETRIED

STOP = "stop"
MOST_STATES = 4_000
"""Beyond so many ways through a lane, what a step has visited is remembered only in part."""

_WAITS_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Retry:
    """A route is tried again: at most `count` times for these classes, with these waits."""

    classes: tuple[str, ...]
    count: int
    waits_micros: tuple[int, ...]
    clause: str
    refs: tuple[RuleRef, ...]
    errors: str = ""
    """What the classes are called where they are nearly all of them."""

    def __str__(self) -> str:
        said = f"retry {english.times(self.count)} after {self.errors or ', '.join(self.classes)}"
        shown = [print_duration(wait) for wait in self.waits_micros[:_WAITS_SHOWN]]
        if any(self.waits_micros):
            more = ", …" if len(self.waits_micros) > _WAITS_SHOWN else ""
            same = len(set(self.waits_micros)) == 1
            said += f"; wait {shown[0] if same else ', '.join(shown) + more}"
        return f"{said}; {self.clause}" if self.clause else said


@dataclass(frozen=True, slots=True)
class Move:
    """A step goes to `target`, a route or `stop`: for these classes, under this condition.

    `rest` says that the classes are all that the moves before it leave. Without a rule, the step stops because
    no fallback matches.
    """

    classes: tuple[str, ...]
    rest: bool
    clause: str
    target: str
    ref: RuleRef | None
    is_first: bool = False

    def __str__(self) -> str:
        """When it goes there."""
        if not self.rest:
            return ", ".join([*self.classes, self.clause] if self.clause else self.classes)
        return self.clause or ("any failure" if self.is_first else "otherwise")


@dataclass(frozen=True, slots=True)
class Place:
    """One route on the way. `kind` is `model`, `tool` or `handoff`; a handoff is an end."""

    route: str
    kind: str
    reference: str
    retries: tuple[Retry, ...]
    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class Path:
    """Every place that a step can come to in a lane, the first one first."""

    outcome: str
    plan: str | None
    lane: str
    places: tuple[Place, ...]


def path(policy: CheckedPolicy, outcome: str, lane: str, plan: str | None = None) -> Path:
    """The way of one step of an outcome through a lane."""
    walker = _Walker(Standing(policy, outcome, plan, lane), lane)
    return Path(outcome, plan, lane, tuple(walker.places()))


def paths(policy: CheckedPolicy, outcome: str, lane: str | None, plan: str | None = None) -> tuple[Path, ...]:
    """The ways through one lane of an outcome, or through each of them."""
    lanes = (lane,) if lane is not None else policy.outcomes[outcome].lanes
    return tuple(path(policy, outcome, name, plan) for name in lanes)


class _Walker:
    def __init__(self, standing: Standing, lane: str) -> None:
        self._standing = standing
        self._policy = standing.policy
        self._lane = lane
        self._path = standing.policy.lanes[lane].path
        self._fallbacks = tuple(standing.fallbacks(lane))
        self._words = ConditionWords(standing.policy)

    def places(self) -> Iterator[Place]:
        moves = self._explored()
        for name, found in moves.items():
            route = self._policy.routes[name]
            retries = () if route.kind == "handoff" else tuple(self._retries(name))
            yield Place(name, route.kind, route.reference, retries, tuple(found))

    def _explored(self) -> dict[str, list[Move]]:
        """Every route that is reached, in the order in which it is found, with its moves."""
        for forgetful in (False, True):
            found = self._walk(forgetful=forgetful)
            if found is not None:
                return found
        raise AssertionError("a walk that forgets is short")

    def _walk(self, *, forgetful: bool) -> dict[str, list[Move]] | None:
        head = self._path[0]
        first = (head, frozenset({head}))
        waiting, seen = [first], {first}
        merged: dict[str, dict[tuple[int, str], Move]] = {}
        while waiting:
            current, visited = waiting.pop(0)
            known = merged.setdefault(current, {})
            if self._policy.routes[current].kind == "handoff":
                continue
            for number, move in self._moves(current, visited):
                before = known.get((number, move.target))
                known[number, move.target] = move if before is None else _joined(before, move, self._policy)
                if move.target == STOP:
                    continue
                after = visited | {move.target}
                if forgetful:
                    furthest = self._path[self._furthest(after)]
                    after = frozenset({head, furthest, move.target})
                state = (move.target, after)
                if state not in seen:
                    seen.add(state)
                    waiting.append(state)
                if not forgetful and len(seen) > MOST_STATES:
                    return None
        return {name: self._in_order(known) for name, known in merged.items()}

    def _in_order(self, known: dict[tuple[int, str], Move]) -> list[Move]:
        """By rule; what `next` leads to along the lane, saying from where on it leads to the later ones."""
        listed = sorted(known, key=lambda key: (key[0], self._place(key[1])))
        moves: list[Move] = []
        for before, key in zip([None, *listed], listed, strict=False):
            move = replace(known[key], is_first=not moves)
            if before is not None and before[0] == key[0]:
                having = f"having been to {self._path[self._place(move.target) - 1]}"
                move = replace(move, clause=f"{move.clause}, {having}" if move.clause else having)
            moves.append(move)
        return moves

    def _place(self, target: str) -> int:
        return self._path.index(target) if target in self._path else 0

    def _furthest(self, visited: frozenset[str]) -> int:
        return max(place for place, route in enumerate(self._path) if route in visited)

    def _moves(self, current: str, visited: frozenset[str]) -> Iterator[tuple[int, Move]]:
        """Where a step goes from here, each with the number of its rule."""
        left = list(self._policy.error_classes)
        numbers = counting()
        for rule in self._fallbacks:
            number = next(numbers)
            classes = [name for name in left if name in rule.classes and self._fits(rule, current, name)]
            target = self._target(rule, visited)
            if not classes or target is None:
                continue
            condition = self._standing.left_of(rule, lane=self._lane, route=current)
            clause = self._words.clause(condition) if condition is not None else ""
            yield number, Move(tuple(classes), _is_rest(classes, left), clause, target, rule.ref)
            if condition is None and not self._may_be_full(target):
                left = [name for name in left if name not in classes]
        rest = [name for name in left if name != "cancelled"]
        if rest:
            yield next(numbers), Move(tuple(rest), True, "", STOP, None)

    def _fits(self, rule: Rule, route: str, error: str) -> bool:
        return self._standing.can_apply(rule, lane=self._lane, route=route, error=error)

    def _target(self, rule: FallbackRule, visited: frozenset[str]) -> str | None:
        if rule.target == STOP:
            return STOP
        if rule.target != "next":
            return None if rule.target in visited else rule.target
        after = self._furthest(visited) + 1
        return self._path[after] if after < len(self._path) else None

    def _may_be_full(self, target: str) -> bool:
        """A handoff whose limit is reached is passed over."""
        return target != STOP and any(not rule.shadow for rule in self._policy.routes[target].rules.limits)

    # ------------------------------------------------------------ retries

    def _retries(self, route: str) -> Iterator[Retry]:
        rules = tuple(self._standing.retries(self._lane, route))
        groups: dict[tuple[RetryRule, ...], list[str]] = {}
        for name in self._policy.error_classes:
            if name not in NEVER_RETRIED:
                named = tuple(r for r in rules if name in r.classes and self._fits(r, route, name))
                groups.setdefault(named, []).append(name)
        for named, classes in groups.items():
            always = [rule for rule in named if not self._clause(rule, route)]
            sometimes = [rule for rule in named if rule not in always]
            counts = min((rule.count for rule in always), default=max((rule.count for rule in named), default=0))
            if not counts:
                continue
            delayed = always or sometimes
            waits = tuple(max(_delay(rule, number) for rule in delayed) for number in range(1, counts + 1))
            where = self._where(always, sometimes, counts, route)
            refs = tuple(rule.ref for rule in named)
            yield Retry(tuple(classes), counts, waits, where, refs, self._called(classes))

    def _called(self, classes: list[str]) -> str:
        others = [name for name in self._policy.error_classes if name not in (*classes, *NEVER_RETRIED)]
        if len(others) * 3 > len(classes):
            return ""
        return f"any error but {', '.join(others)}" if others else "any error"

    def _where(self, always: list[RetryRule], sometimes: list[RetryRule], count: int, route: str) -> str:
        """Under which condition, or where there are fewer."""
        if always:
            fewer = [rule for rule in sometimes if rule.count < count]
            said = [
                f"{english.times(rule.count) if rule.count else 'never'} {self._clause(rule, route)}" for rule in fewer
            ]
        else:
            said = [self._clause(rule, route) for rule in sometimes]
        return "; ".join(dict.fromkeys(said))

    def _clause(self, rule: RetryRule, route: str) -> str:
        condition = self._standing.left_of(rule, lane=self._lane, route=route)
        parts = [self._words.clause(condition)] if condition is not None else []
        if rule.block.kind == "plan" and self._standing.plan is None:
            parts.insert(0, f"on plan {rule.block.name}")
        return ", ".join(parts)


def _joined(one: Move, other: Move, policy: CheckedPolicy) -> Move:
    """The same move from the same route, reached in two ways."""
    classes = tuple(name for name in policy.error_classes if name in one.classes or name in other.classes)
    return replace(one, classes=classes, rest=one.rest and other.rest)


def _is_rest(classes: list[str], left: list[str]) -> bool:
    return set(classes) >= set(left) - {"cancelled"}


def _delay(rule: RetryRule, number: int) -> int:
    if rule.longest_micros is None:
        return rule.first_micros
    return min(rule.longest_micros, rule.first_micros << (number - 1))
