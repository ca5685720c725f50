"""Executions under generated policies, in any order, against a ledger kept by hand.

Attempts, settlements, deliveries, acceptances, reversals, aborts, top-ups and clock moves of several
executions are interleaved. After every one of them the counters must be the sums of what was done, no
ceiling or limit may be passed, and no unit be drawn twice; in the end nothing may be left reserved.
"""

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from policy_engine.evaluation.facts import Reading
from policy_engine.evaluation.reference.ceilings import limit_of
from policy_engine.language.checked import CeilingRule, LimitRule, Meter
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.protocol import Counter
from policy_engine.policy import load
from policy_engine.runtime.attempt import Attempt
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.counting import Place
from policy_engine.runtime.engine import Engine
from policy_engine.runtime.errors import Denied, NotRunning
from policy_engine.runtime.execution import Execution
from policy_engine.runtime.step import Step
from tests.generators import Asking, Case, examples, policies
from tests.generators.picking import Pick
from tests.generators.words import CUSTOMERS, ERRORS, STEPS

NOON = 1_795_348_800_000_000  # 2026-11-22 12:00 UTC, in microseconds
HOUR = 3_600_000_000
FREED = ("rejected", "expired", "reversed", "aborted", "handed_off")
"""The ends that give the unit back."""


@dataclass
class Booked:
    """One thing that counters count: `state` is `held`, `settled` or `freed`."""

    place: Place
    micros: int
    amounts: dict[str, int]
    state: str = "held"


@dataclass
class Story:
    """One execution as the test keeps it."""

    execution: Execution
    entry: Booked
    unit: Booked
    steps: list[Step] = field(default_factory=list)
    open: list[tuple[Step, Attempt, Booked]] = field(default_factory=list)
    attempts: int = 0
    delivered: int = 0


def counts(meter: Meter, place: Place) -> bool:
    """Whether a block's meter counts what happens at a place."""
    block = meter.block
    here = {
        "file": "",
        "workflow": place.workflow,
        "outcome": place.outcome,
        "plan": place.plan,
        "lane": place.lane,
        "route": place.route,
    }
    return here[block.kind] == block.name


class Executions(RuleBasedStateMachine):
    """See the module. With `over` on, actuals may be above what was reserved, and ceilings are not looked at."""

    @initialize(case=policies(), over=st.booleans())
    def begin(self, case: Case, over: bool) -> None:
        self.case = case
        self.over = over
        self.ledger = MemoryLedger()
        self.clock = PinnedClock(NOON)
        self.engine = Engine(load(case.text), ledger=self.ledger, clock=self.clock)
        self.stories: list[Story] = []
        self.booked: list[Booked] = []
        self.granted: dict[str, int] = {}
        self.bought = 0

    # ------------------------------------------------------------ what happens

    @precondition(lambda self: len(self.some(running=True)) < 4)
    @rule(data=st.data())
    def admit(self, data: st.DataObject) -> None:
        pick, checked = Pick(data.draw), self.case.policy.checked
        customer = pick.of(CUSTOMERS)
        plan = pick.of((None, *checked.plans))
        given = Asking(pick, self.case.policy, self.case.text).given()
        outcome = pick.of(list(checked.outcomes))
        try:
            execution = self.engine.execution(outcome, customer=customer, plan=plan, facts=given)
        except Denied as denied:
            said = denied.decision
            assert said.reason != "limit_reached" or said.rulings, "allowed by the policy, refused by the ledger"
            return
        now, draw = self.clock.now_micros(), execution.admission.draw
        assert draw is not None
        entry = Booked(execution.place, now, {"count": 1})
        unit = Booked(execution.place, now, {"overage": draw.price_nanos} if draw.kind == "overage" else {})
        self.booked += [entry, unit]
        self.stories.append(Story(execution, entry, unit))

    @precondition(lambda self: self.some(running=True))
    @rule(data=st.data())
    def attempt(self, data: st.DataObject) -> None:
        pick = Pick(data.draw)
        story = pick.of(self.some(running=True))
        ready = [step for step in story.steps if step.open is None and step.ended is None]
        if ready and pick.number(3):
            step = pick.of(ready)
        else:
            step = story.execution.step(pick.of(STEPS))
            story.steps.append(step)
        now = self.clock.now_micros() + step._delay_micros
        route, place = step.route, story.execution.place.at(route=step.route, step=step.name)
        asked = pick.of((500, 0, 4000, None))
        attempt = step.ask(
            input_tokens=pick.of((1000, 0, 100, None)),
            max_output_tokens=asked,
            min_output_tokens=None if asked is None or pick.number(1) else 0,
            estimate_nanos=pick.of((None, None, 5_000_000)),
        )
        if attempt is None:
            assert step.decisions[-2].effect == "refuse", "granted by the policy, refused by the ledger"
            self.look_at_handoff(story, step)
            return
        assert attempt.route == route
        said = attempt.decision
        assert said.reserved_nanos is not None
        amounts = {"spent": said.reserved_nanos, "attempts": 1, "tokens": said.reserved_tokens or 0}
        booked = Booked(place, now, amounts)
        self.booked.append(booked)
        story.attempts += 1
        story.open.append((step, attempt, booked))

    @precondition(lambda self: any(story.open for story in self.stories))
    @rule(data=st.data())
    def end_attempt(self, data: st.DataObject) -> None:
        pick = Pick(data.draw)
        story = pick.of([story for story in self.stories if story.open])
        step, attempt, booked = pick.of(story.open)
        reserved = booked.amounts["spent"]
        cost = pick.of((reserved, reserved // 2, 0, *((reserved + 1, 2 * reserved + 10**8) if self.over else ())))
        spent = story.execution.spent_nanos
        if pick.number(1):
            over = attempt.succeed(cost_nanos=cost)
            assert over == (("spent",) if cost > reserved else ())
            assert step.ended == "succeeded"
        else:
            attempt.fail(pick.of([e for e in ERRORS if e in self.engine.checked.error_classes]), cost_nanos=cost)
            self.look_at_handoff(story, step)
        assert story.execution.spent_nanos == spent + cost
        booked.amounts["spent"] = cost
        booked.state = "settled"
        story.open.remove((step, attempt, booked))

    def look_at_handoff(self, story: Story, step: Step) -> None:
        """A step that handed off has ended its execution and counts on the handoff."""
        if step.ended == "handed_off":
            target = step.decisions[-1].route  # type: ignore[union-attr]  # a failure decision
            assert target is not None
            assert story.execution.state == "handed_off"
            place = story.execution.place.at(route=target, step=step.name)
            route_counts = {"count": 1}
            self.booked.append(Booked(place, self.clock.now_micros(), route_counts, "handoff"))
            self.ended(story)

    @precondition(lambda self: self.stories)
    @rule(data=st.data(), event=st.sampled_from(("deliver", "accept", "reject", "reverse", "lapse", "abort")))
    def settle(self, data: st.DataObject, event: str) -> None:
        story = Pick(data.draw).of(self.stories)
        execution, before = story.execution, story.execution.state
        revenue, now = execution.revenue_nanos, self.clock.now_micros()
        window = self.engine.checked.outcomes[execution.place.outcome].accepted_within_micros
        open_ = window is not None and now < story.delivered + window
        said = getattr(execution, event)()
        possible = {
            ("running", "deliver"): True,
            ("running", "abort"): True,
            ("delivered", "accept"): open_,
            ("delivered", "reject"): open_,
            ("delivered", "lapse"): not open_,
            ("accepted", "reverse"): open_,
        }
        assert said.permits == possible.get((before, event), False)
        if not said.permits:
            assert (execution.state, execution.revenue_nanos) == (before, revenue)
            return
        if event == "deliver":
            story.delivered = now
        if before == "running":
            self.ended(story)
        self.follow_unit(story)

    def ended(self, story: Story) -> None:
        """Limits count an execution if it made an attempt."""
        story.entry.state = "settled" if story.attempts else "freed"
        self.follow_unit(story)

    def follow_unit(self, story: Story) -> None:
        state = story.execution.state
        story.unit.state = "freed" if state in FREED else "settled" if state == "accepted" else "held"
        assert story.execution.revenue_nanos == (story.execution.price_nanos if state == "accepted" else 0)

    @precondition(lambda self: self.case.policy.checked.packs)
    @rule(data=st.data())
    def top_up(self, data: st.DataObject) -> None:
        pick, packs = Pick(data.draw), self.case.policy.checked.packs
        name, customer = pick.of(list(packs)), pick.of(CUSTOMERS)
        key = f"order {self.bought - 1 if self.bought and pick.one_in(4) else self.bought}"
        self.bought += 1
        self.engine.top_up(customer, name, key=key)

    @rule(hours=st.sampled_from((0.001, 0.5, 1, 24, 72, 24 * 31)))
    def pass_time(self, hours: float) -> None:
        self.clock.sleep(int(hours * HOUR))

    # ------------------------------------------------------------ what always holds

    def some(self, *, running: bool) -> list[Story]:
        return [story for story in self.stories if (story.execution.state == "running") == running]

    def sums(self) -> dict[Counter, Reading]:
        """What the counters must hold, from what happened."""
        found: dict[Counter, Reading] = {}
        for booked in self.booked:
            if booked.state == "freed":
                continue
            for meter in self.engine.meters:
                amount = booked.amounts.get(meter.quantity)
                # A handoff is no admission: it counts on its own route alone.
                handoff_only = booked.state == "handoff" and meter.block.kind != "route"
                if amount is None or handoff_only or not counts(meter, booked.place):
                    continue
                counter = booked.place.counter(meter, booked.micros, self.engine.zone)
                so_far = found.get(counter, Reading())
                held = booked.state == "held"
                found[counter] = Reading(
                    so_far.settled + (0 if held else amount), so_far.reserved + (amount if held else 0)
                )
        return found

    @invariant()
    def counters_are_the_sum_of_what_happened(self) -> None:
        if not hasattr(self, "engine"):
            return
        sums = self.sums()
        assert self.ledger.readings(sums) == sums
        others = [counter for counter in self.ledger._counters if counter not in sums]
        assert all(reading == Reading() for reading in self.ledger.readings(others).values())

    @invariant()
    def no_unconditional_bound_is_passed(self) -> None:
        if not hasattr(self, "engine"):
            return
        checked = self.engine.checked
        by_meter: dict[Meter, list[int]] = {}
        prices = {story.execution.key: story.execution.price_nanos for story in self.stories}
        places = {story.execution.key: story.execution.place for story in self.stories}
        shares: list[CeilingRule] = []
        for bound in checked.every_rule():
            if bound.shadow or bound.condition is not None:
                continue
            if isinstance(bound, LimitRule):
                by_meter.setdefault(bound.meter, []).append(bound.count)
            elif isinstance(bound, CeilingRule) and bound.quantity != "elapsed" and not self.over:
                if bound.scope.window:
                    by_meter.setdefault(bound.meter, []).append(limit_of(bound, 0))
                elif bound.scope.execution != "attempt":
                    shares.append(bound)
        for counter, reading in self.sums().items():
            for limit in by_meter.get(counter.meter, ()):
                assert reading.used <= limit, counter
            key = counter.key.split("\n", maxsplit=1)[0]
            for rule_ in shares:
                governs = key in places and (
                    rule_.block.kind == "route" or getattr(places[key], rule_.block.kind, "") == rule_.block.name
                )
                if rule_.meter == counter.meter and governs:
                    assert reading.used <= limit_of(rule_, prices[key]), counter

    @invariant()
    def no_unit_is_drawn_twice(self) -> None:
        if not hasattr(self, "engine"):
            return
        drawn: dict[str, int] = {}
        for story in self.stories:
            draw = story.execution.admission.draw
            assert draw is not None
            if draw.grant is not None and story.unit.state != "freed":
                drawn[draw.grant] = drawn.get(draw.grant, 0) + 1
        for name, lot in self.ledger._units.items():
            assert lot.left == lot.grant.left - drawn.get(name, 0) >= 0

    def teardown(self) -> None:
        """Every execution ends; nothing stays reserved."""
        if not hasattr(self, "engine"):
            return
        for story in self.stories:
            for _, attempt, booked in story.open:
                attempt.succeed(cost_nanos=booked.amounts["spent"])
                booked.state = "settled"
            story.open.clear()
            execution = story.execution
            if execution.state == "running":
                execution.abort()
                self.ended(story)
            elif execution.state == "delivered":
                within = self.engine.checked.outcomes[execution.place.outcome].accepted_within_micros
                assert within is not None
                self.clock.set(max(self.clock.now_micros(), story.delivered + within))
                execution.lapse()
                self.follow_unit(story)
            try:
                execution.step("late")
            except NotRunning:
                pass
            else:
                raise AssertionError("a step of an execution that has ended")
        self.counters_are_the_sum_of_what_happened()
        assert all(amounts.reserved == 0 for amounts in self.ledger._counters.values())


TestExecutions = Executions.TestCase
TestExecutions.settings = settings(examples(60), stateful_step_count=30)
