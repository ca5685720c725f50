"""What money, retry and lane rules claim, held against the engine: generated policies, facts of possible worlds.

In a possible world a counter that counts more holds at least as much: here all of one quantity hold the same. What
an execution brings in is a price of its set, and an attempt is on a route that its outcome may come to.
"""

from typing import Any

import pytest

from policy_engine.analysis.lint.choice import Choice
from policy_engine.analysis.lint.entry import Door, shut_places
from policy_engine.analysis.lint.fixes import fix
from policy_engine.analysis.lint.rule import LintRule
from policy_engine.analysis.lint.rules import (
    l003_unaffordable_route,
    l033_plan_locked_out,
    l034_lane_behind_an_open_one,
)
from policy_engine.analysis.lint.runner import subject_of
from policy_engine.analysis.lint.subject import Subject
from policy_engine.analysis.worst import Case
from policy_engine.evaluation.decision import Decision
from policy_engine.evaluation.facts import Reading
from policy_engine.evaluation.meters import every_meter
from policy_engine.language.checked import CeilingRule, LimitRule
from policy_engine.language.source import Source
from policy_engine.policy import load
from tests.generators.facts import Asking
from tests.generators.picking import SeededPick
from tests.generators.policies import Shape, generated

REWRITING = ("L004", "L005", "L023", "L024", "L035")
SHAPE = Shape(most_rules=6, escrow="never")
ASKED = 60
SAID = (
    "effect reason lane route draw ceiling_nanos reserved_nanos reserved_tokens output_cap deadline_micros delay_micros"
).split()


class World:
    """Facts of possible worlds under one generated policy."""

    def __init__(self, seed: int) -> None:
        self.pick = SeededPick(seed)
        self.text = generated(self.pick, SHAPE).text
        self.subject: Subject = subject_of([Source("generated.policy", self.text)])
        self._asking = Asking(self.pick, load(self.text), self.text, unknown=self.pick.one_in(2))
        bounds = [rule for rule in self.subject.every_rule if isinstance(rule, CeilingRule | LimitRule)]
        self._limits = {
            quantity: sorted(
                {0, *(limit + step for rule in bounds for limit in _limits(rule, quantity) for step in (-1, 0, 1))}
            )
            for quantity in ("spent", "attempts", "tokens", "count", "elapsed")
        }

    def facts(self, point: str) -> Any:
        pick, policy = self.pick, self.subject.checked
        asked: Any = getattr(self._asking, point)()
        held = {quantity: max(0, pick.of(limits)) for quantity, limits in self._limits.items()}
        asked.meters = {meter: Reading(held.get(meter.quantity, 0)) for meter in every_meter(policy)}
        if point == "admit":
            return asked
        asked.elapsed_micros = asked.step_elapsed_micros = held["elapsed"]
        asked.route = pick.of(self.subject.worst.reached(Case(asked.outcome, asked.lane, asked.plan)))
        incomes = self.subject.worst.incomes(asked.outcome, asked.plan)
        listed = policy.outcomes[asked.outcome].price_nanos
        asked.price_nanos = pick.of([income.nanos for income in incomes] or [listed])
        match point:
            case "failure":
                asked.visited = (asked.route,)
            case "progress":
                asked.attempt_elapsed_micros = held["elapsed"]
            case "attempt" if pick.one_in(2):
                asked.estimate_nanos = max(0, pick.of(self._limits["spent"]))
        return asked


def _limits(rule: CeilingRule | LimitRule, quantity: str) -> list[int]:
    if isinstance(rule, LimitRule):
        return [rule.count] if quantity == "count" else []
    return [rule.limit] if rule.quantity == quantity and rule.limit is not None else []


def _said(decision: Decision) -> dict[str, object]:
    return {name: getattr(decision, name, None) for name in SAID}


@pytest.mark.parametrize("seed", range(40))
def test_what_is_taken_away_changes_no_decision(seed: int) -> None:
    world = World(seed)
    mended = fix(world.subject.sources, Choice(select=REWRITING))
    if not mended.made:
        return
    before, after = world.subject.policy, mended.subject.policy
    for point in ("admit", "attempt", "progress", "failure"):
        for _ in range(ASKED):
            facts = world.facts(point)
            expected, found = _said(getattr(before, point)(facts)), _said(getattr(after, point)(facts))
            assert found == expected, f"{point}: {facts}\n{world.text}\n{mended.sources[0].text}"


@pytest.mark.parametrize("seed", range(100, 160))
def test_what_is_shut_lets_nobody_in(seed: int) -> None:
    world = World(seed)
    subject = world.subject
    shut = [(place.blocks[0], place.outcome) for place in shut_places(subject)]
    locked = _names(l033_plan_locked_out.RULE, subject)
    behind = _names(l034_lane_behind_an_open_one.RULE, subject)
    if not (shut or locked or behind):
        return
    for _ in range(4 * ASKED):
        facts = world.facts("admit")
        decision = subject.policy.admit(facts)
        if decision.effect != "allow":
            continue
        workflow = subject.checked.outcomes[facts.outcome].workflow
        for block, outcome in shut:
            inside = {"lane": decision.lane, "outcome": facts.outcome, "workflow": workflow, "file": ""}[block.kind]
            assert inside != block.name or outcome not in (None, facts.outcome), f"{block}: {facts}\n{world.text}"
        assert (f"plan `{facts.plan}` sells", f"`{facts.outcome}`") not in locked, f"{facts}\n{world.text}"
        if facts.lane is None:
            assert (f"`{decision.lane}` is entered for", f"`{facts.outcome}`") not in behind, world.text


def _names(rule: LintRule, subject: Subject) -> set[tuple[str, str]]:
    """The words before the outcome, and the outcome, of each message."""
    messages = [found.message for found in rule.check(subject)]
    outcomes = subject.checked.outcomes
    return {
        (message.partition(f" `{outcome}`")[0], f"`{outcome}`")
        for message in messages
        for outcome in outcomes
        if f" `{outcome}`" in message
    }


@pytest.mark.parametrize("seed", range(40))
def test_no_attempt_on_an_unaffordable_route_goes(seed: int) -> None:
    world = World(seed)
    subject = world.subject
    found = [(item.message.split("`")[1], item.span) for item in l003_unaffordable_route.check(subject)]
    if not found:
        return
    ceilings = {(rule.span.source, rule.span.start): rule for rule in subject.every_rule}
    for _ in range(2 * ASKED):
        facts = world.facts("attempt")
        facts.estimate_nanos = None
        case = Case(facts.outcome, facts.lane, facts.plan)
        over = subject.worst.held(case, facts.route).surely
        if any(route == facts.route and ceilings[span.source, span.start] in over for route, span in found):
            assert subject.policy.attempt(facts).effect != "go", f"{facts}\n{world.text}"


def test_there_is_something_to_claim() -> None:
    """The generated policies have all these flaws: the tests above are about something."""
    made, shut = set[str](), set[Door]()
    for seed in range(20):
        subject = World(seed).subject
        made |= {finding.diagnostic.code for finding in fix(subject.sources, Choice(select=REWRITING)).made}
        shut |= {place.door for place in shut_places(subject)}
    for seed in range(100, 160):
        shut |= {place.door for place in shut_places(World(seed).subject)}
    assert made == set(REWRITING)
    assert shut == {Door.ALLOWS, Door.FORBIDS}
