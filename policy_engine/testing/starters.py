"""First tests for what no test covers: asked of the policy, with its own answers as expectations, to be reviewed.

Without any tests there are an admission for each outcome and plan and two stories for each outcome; then, test or
no test, one case for every rule and comparison that nothing has shown yet, where facts for it are found.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from policy_engine.analysis.satisfy import Witness
from policy_engine.analysis.witness import complete
from policy_engine.evaluation.decision import AdmitDecision, AttemptDecision, Decision, FailureDecision, SettleDecision
from policy_engine.evaluation.facts import FactError
from policy_engine.language.diagnostics import Diagnostic
from policy_engine.language.source import Source
from policy_engine.language.units import print_duration, print_money
from policy_engine.language.vocabulary import Point
from policy_engine.policy import Policy
from policy_engine.testing.cases import Case
from policy_engine.testing.coverage.measure import written
from policy_engine.testing.coverage.observer import observed
from policy_engine.testing.coverage.reaching import Reaching
from policy_engine.testing.coverage.tally import Goal, Mark, Subject, Tally, goals, subjects
from policy_engine.testing.decisions import DecisionCase
from policy_engine.testing.entries import resolve
from policy_engine.testing.expectation import Expectation
from policy_engine.testing.nodes import compose
from policy_engine.testing.play import OutOfOrder, Play
from policy_engine.testing.probing.writing import flat, inline, item
from policy_engine.testing.timeline import START, read_event

ASKED = {"input_tokens": 1000, "max_output_tokens": 500}
MOST_FAILURES = 12
_WORDS = {
    Mark.EVALUATED: "is looked at",
    Mark.DECIDED: "decides",
    Mark.PASSED_OVER: "does not decide",
    Mark.TRUE: "holds",
    Mark.FALSE: "does not hold",
}
HEAD = """\
# Written by `policy test --new`: what the policy answers today, not what it should.
# Read each case; keep what was meant, mend what was not, and give it a name that says why.
"""


@dataclass(slots=True)
class Starters:
    """Cases as a test file writes them; `unreached` are rules for which no facts were found."""

    decisions: list[dict[str, Any]] = field(default_factory=list)
    scenarios: list[dict[str, Any]] = field(default_factory=list)
    unreached: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.decisions) + len(self.scenarios)

    def text(self, policy: str | None = None) -> str:
        """The whole file; `policy` is the path it has to name, if its own name does not say it."""
        lines = [HEAD]
        lines += [f"policy: {inline(policy)}\n"] if policy else []
        if self.decisions:
            lines.append("decisions:")
            lines += [line for case in self.decisions for line in (*_indented(item(case)), "")]
        if self.scenarios:
            lines.append("scenarios:")
            for case in self.scenarios:
                lines += [f"  - case: {inline(case['case'])}", "    timeline:"]
                lines += [f"      {line}" for event in case["timeline"] for line in _event_lines(event)]
                lines.append("")
        return "\n".join(lines).rstrip("\n") + "\n"


def starters(policy: Policy, cases: Sequence[Case]) -> Starters:
    """Cases for what these do not cover."""
    return _Writer(policy, cases).write()


class _Writer:
    def __init__(self, policy: Policy, cases: Sequence[Case]) -> None:
        self._policy = policy
        self._tally = Tally()
        self._watched = observed(policy, self._tally)
        self._made = Starters()
        self._names = {case.name for case in cases}
        self._first = not cases
        for case in cases:
            case.run(self._watched)

    def write(self) -> Starters:
        if self._first:
            for outcome, declared in self._policy.checked.outcomes.items():
                plans = [
                    p.name
                    for p in self._policy.checked.plans.values()
                    if outcome in p.includes or self._sold(p, outcome)
                ]
                for plan in (*plans, None):
                    title = f"{outcome} under plan {plan}" if plan else f"{outcome} without a plan"
                    self._decision(title, "admit", self._ordinary(outcome, plan))
                plan = plans[0] if plans else None
                self._story(
                    f"{outcome}, delivered{' and accepted' if declared.accepted_within_micros else ''}", outcome, plan
                )
                self._failures(f"{outcome}, failing until nothing is left", outcome, plan)
        reach = Reaching(self._policy)
        for subject in subjects(self._policy.checked):
            for goal in goals(subject):
                if not self._tally.seen[goal]:
                    self._for_goal(reach, subject, goal)
        return self._made

    @staticmethod
    def _sold(plan: Any, outcome: str) -> bool:
        return plan.overage is not None and outcome in plan.overage.prices_nanos

    def _ordinary(self, outcome: str, plan: str | None) -> dict[str, Any]:
        """An admission's facts with ordinary values, without what a fresh world adds."""
        values = complete(self._policy, Witness({}), Point.ADMIT, outcome=outcome, plan=plan, lane=None) or {}
        names = ("customer", "plan", "outcome", *self._policy.checked.facts)
        return {name: values[name] for name in names if values.get(name) is not None}

    # ------------------------------------------------------------ decisions

    def _for_goal(self, reach: Reaching, subject: Subject, goal: Goal) -> None:
        reached = reach.facts(subject, goal)
        if reached is None:
            if not reach.never(subject, goal):
                self._made.unreached.append(f"{subject.ref.name} {_WORDS[goal.mark]}")
            return
        point, entries = reached
        what = f"`{written(subject, goal.atom)}`" if goal.atom is not None else ""
        title = f"{subject.ref.name}: {what} {_WORDS[goal.mark]}" if what else f"{subject.ref.name} {_WORDS[goal.mark]}"
        if not self._decision(title, point, flat(entries), goal):
            self._made.unreached.append(title)

    def _decision(self, title: str, point: str, entries: Mapping[str, Any], goal: Goal | None = None) -> bool:
        """A case with these entries, if it can be asked (and shows the goal); what it shows counts from then on."""
        root, _ = compose(Source("starter", "\n".join(item({"case": "x", point: dict(entries)}))))
        if root is None or not isinstance(root.value, list):
            return False
        node = root.value[0]
        found: list[Diagnostic] = []
        given = resolve(node.at((point,)), {}, found)
        case = DecisionCase("x", Path(), node.span, point, given, Expectation((), node.span))
        tally = Tally()
        try:
            decision: Decision = getattr(observed(self._policy, tally), point)(
                self._policy.facts(point, case.mapping(self._policy))
            )
        except FactError:
            return False
        if goal is not None and not tally.seen[goal]:
            return False
        self._tally.add(tally)
        self._made.decisions.append({"case": self._named(title), point: dict(entries), "expect": expected(decision)})
        return True

    # ------------------------------------------------------------ stories

    def _story(self, title: str, outcome: str, plan: str | None) -> None:
        window = self._policy.checked.outcomes[outcome].accepted_within_micros
        events: list[dict[str, Any]] = [{"attempt": ASKED}, {"succeed": None}, {"deliver": None}]
        self._tell(title, outcome, plan, iter([*events, *([{"accept": None}] if window else [])]))

    def _failures(self, title: str, outcome: str, plan: str | None) -> None:
        def events() -> Iterator[dict[str, Any]]:
            for _ in range(MOST_FAILURES):
                yield {"attempt": ASKED}
                yield {"fail": "timeout"}

        self._tell(title, outcome, plan, events())

    def _tell(self, title: str, outcome: str, plan: str | None, events: Iterator[dict[str, Any]]) -> None:
        """A story as far as it goes, with what came of each event."""
        play = Play(self._watched, START)
        timeline: list[dict[str, Any]] = []
        for event in ({"admit": self._ordinary(outcome, plan)}, *events):
            try:
                moment = play.happen(_event(event))
            except (OutOfOrder, FactError):
                break
            told = dict(event)
            if moment.decision is not None:
                told["expect"] = expected(moment.decision)
                if moment.then is not None:
                    told["expect"]["then"] = expected(moment.then)
            timeline.append(told)
        if timeline:
            self._made.scenarios.append({"case": self._named(title), "timeline": timeline})

    def _named(self, title: str) -> str:
        """A name that no other case has."""
        name, number = title, 1
        while name in self._names:
            number += 1
            name = f"{title} ({number})"
        self._names.add(name)
        return name


def expected(decision: Decision) -> dict[str, Any]:
    """What a decision says, as an expectation: its answer, its amounts, the rules that decided."""
    said: dict[str, Any] = {"effect": decision.effect, "reason": decision.reason}
    currency = decision.currency
    if isinstance(decision, AdmitDecision):
        said["lane"] = decision.lane
        if decision.draw is not None:
            said |= {"draw": decision.draw.kind, "price": print_money(decision.draw.price_nanos, currency)}
    elif isinstance(decision, AttemptDecision):
        if decision.reserved_nanos is not None:
            said["reserved"] = print_money(decision.reserved_nanos, currency)
        said["cap"] = decision.output_cap
    elif isinstance(decision, FailureDecision):
        said["route"] = decision.route
        said["delay"] = print_duration(decision.delay_micros) if decision.delay_micros else None
    elif isinstance(decision, SettleDecision):
        said["unit"] = decision.unit
        said["revenue"] = print_money(decision.revenue_nanos, currency) if decision.revenue_nanos else None
    said["because"] = list(dict.fromkeys(ruling.rule.name for ruling in decision.rulings)) or None
    return {key: value for key, value in said.items() if value is not None}


def _event(written: Mapping[str, Any]) -> Any:
    root, _ = compose(Source("starter", "\n".join(item(written))))
    assert root is not None  # noqa: S101 - written just now
    found: list[Diagnostic] = []
    event = read_event(root.value[0] if isinstance(root.value, list) else root, {}, found)
    assert event is not None, found  # noqa: S101 - written just now, in forms that are read
    return event


def _event_lines(event: Mapping[str, Any]) -> Iterator[str]:
    """An event on a line, what is expected after it on another."""
    kind, value = next(iter(event.items()))
    yield f"- {kind}{': ' + inline(value) if value is not None else ':' if 'expect' in event else ''}"
    if "expect" in event:
        yield f"  expect: {inline(event['expect'])}"


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)
