"""Where the steps of an outcome may go: each outcome in each of its lanes, with the fallbacks that can apply there.

What is said here is never too little: a fallback is left out only where the names that are fixed (workflow, outcome,
lane) make its condition false, and a route only where no fallback that is left names it or moves towards it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from policy_engine.evaluation.terms import fold
from policy_engine.language.checked import CheckedPolicy, FallbackRule, Test


@dataclass(frozen=True, slots=True)
class Turn:
    """A fallback as one way asks it: `condition` is what stays of its own (None: it always holds)."""

    rule: FallbackRule
    condition: Test | None


@dataclass(frozen=True, slots=True)
class Way:
    """One outcome in one of its lanes: the lane's routes, and the fallbacks in the order in which they are asked."""

    outcome: str
    lane: str
    path: tuple[str, ...]
    turns: tuple[Turn, ...]

    def reached(self) -> frozenset[str]:
        """The routes a step may come to: the lane's head, what a fallback names, and with `next` the whole lane."""
        named = {turn.rule.target for turn in self.turns}
        lane = self.path if "next" in named else self.path[:1]
        return frozenset(lane) | (named - {"next", "stop"})


def ways(policy: CheckedPolicy) -> Iterator[Way]:
    """Every outcome in every lane it lists; innermost block first, as a failure asks."""
    for outcome in policy.outcomes.values():
        file, workflow, own = policy.around(outcome.name, None)
        for lane in map(policy.lanes.__getitem__, outcome.lanes):
            who = {"outcome": outcome.name, "workflow": outcome.workflow, "lane": lane.name}
            turns = []
            for rules in (own, workflow, lane.rules, file):
                for rule in rules.fallbacks:
                    condition = True if rule.condition is None else fold(rule.condition, who)
                    if condition is not False:
                        turns.append(Turn(rule, None if condition is True else condition))
            yield Way(outcome.name, lane.name, lane.path, tuple(turns))
