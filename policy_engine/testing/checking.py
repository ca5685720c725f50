"""A test file against its policy: every name it uses is one the policy has.

A case that names a rule by how it begins gets the whole of its words here, so that
afterwards it means that rule and no other.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from policy_engine.language.checked import Rule, RuleRef
from policy_engine.language.diagnostics import Diagnostic
from policy_engine.language.source import Span
from policy_engine.policy import Policy
from policy_engine.testing import entries, mistakes
from policy_engine.testing.aspects import begins
from policy_engine.testing.cases import Case
from policy_engine.testing.decisions import DecisionCase
from policy_engine.testing.entries import LIKE, Entries
from policy_engine.testing.expectation import Expectation, Wanted
from policy_engine.testing.nodes import Node
from policy_engine.testing.scenario import ScenarioCase
from policy_engine.testing.timeline import Event


def check(cases: Iterable[Case], policy: Policy, fixtures: Mapping[str, Node]) -> list[Diagnostic]:
    """What the cases, and fixtures that none of them uses, name that the policy does not have."""
    against = Against(policy)
    found: list[Diagnostic] = []
    for node in fixtures.values():
        own = node.value if isinstance(node.value, dict) else {}
        found += against.entries(Entries({}, {name: entry for name, entry in own.items() if name != LIKE}), "admit")
    for case in cases:
        if isinstance(case, DecisionCase):
            found += against.entries(case.given, case.point)
            if case.expect.bad_input is None:
                found += against.names(case.given)
            found += against.expectation(case.expect)
        elif isinstance(case, ScenarioCase):
            found += against.story(case)
    return found


@dataclass
class Against:
    """The names of one policy."""

    policy: Policy

    @cached_property
    def rules(self) -> dict[str, list[tuple[RuleRef, Span]]]:
        """Every rule by label and by text; several rules may say the same."""
        found: dict[str, list[tuple[RuleRef, Span]]] = {}
        for rule in self._rules():
            for name in dict.fromkeys((rule.ref.name, rule.ref.text)):
                found.setdefault(name, []).append((rule.ref, rule.span))
        for plan in self.policy.checked.plans.values():
            if plan.overage is not None:
                found.setdefault(plan.overage.ref.name, []).append((plan.overage.ref, plan.span))
        return found

    def _rules(self) -> Iterator[Rule]:
        return self.policy.checked.every_rule()

    @cached_property
    def counters(self) -> list[str]:
        return list(self.policy.boundary.meters)

    @cached_property
    def anywhere(self) -> set[str]:
        """Every entry that some point takes."""
        return {name for point in ("admit", "attempt", "progress", "failure", "settle") for name in self.known(point)}

    def known(self, point: str) -> frozenset[str]:
        return entries.known(self.policy.boundary, self.policy.checked, point)

    def entries(self, given: Entries, point: str) -> Iterator[Diagnostic]:
        """Own entries must be known at the point, those of a fixture at any point."""
        for part, names in ((given.own, self.known(point)), (given.shared, self.anywhere)):
            for name, node in part.items():
                if entries.is_counter(name):
                    yield from self._counter(name, node.named)
                elif name == "meters" and isinstance(node.value, dict):
                    for counter, entry in node.value.items():
                        yield from self._counter(counter, entry.named)
                elif name not in names:
                    known = [*sorted(names), *self.counters]
                    yield mistakes.no_entry(
                        name, node.named, known, f"`{point}`" if part is given.own else "a decision"
                    )

    def names(self, given: Entries) -> Iterator[Diagnostic]:
        """Who and what a decision is about is declared, wherever it is written."""
        checked = self.policy.checked
        kinds = {
            "outcome": checked.outcomes,
            "plan": checked.plans,
            "lane": checked.lanes,
            "route": checked.routes,
            "error": checked.error_classes,
        }
        for name, node in {**given.shared, **given.own}.items():
            if name in kinds and isinstance(node.value, str) and node.value not in kinds[name]:
                kind = "error class" if name == "error" else name
                yield mistakes.no_such(node.value, node.span, kind, kinds[name])

    def story(self, case: ScenarioCase) -> Iterator[Diagnostic]:
        """What is named in a story, and who was admitted under which name."""
        checked = self.policy.checked
        told: set[str] = set()
        for event in case.timeline:
            if event.of and event.of not in told:
                span = event.node.at(("of",)).span
                yield mistakes.no_such(event.of, span, "execution of this story", sorted(told - {""}))
            if event.kind == "admit":
                told.add(event.name)
                yield from self._admission(event)
            if "error" in event.values and event.values["error"] not in checked.error_classes:
                span = event.node.at((event.kind, "error")).span
                yield mistakes.no_such(event.values["error"], span, "error class", checked.error_classes)
            if "pack" in event.values and event.values["pack"] not in checked.packs:
                span = event.node.at((event.kind, "pack")).span
                yield mistakes.no_such(event.values["pack"], span, "pack", checked.packs)
            for expect in (event.decision, event.then, event.world):
                if expect is not None:
                    yield from self.expectation(expect)

    def _admission(self, event: Event) -> Iterator[Diagnostic]:
        """An execution starts with who and what; its counters and units are those of the story."""
        names = {"customer", "outcome", "plan", "lane", *self.policy.checked.facts}
        for name, node in event.given.own.items():
            if name not in names:
                yield mistakes.no_entry(name, node.named, sorted(names), "an admission in a story")
        yield from self.entries(Entries({}, event.given.shared), "admit")
        yield from self.names(event.given)
        if not {"outcome"} & {*event.given.own, *event.given.shared}:
            yield mistakes.key_missing("outcome", event.span, "`admit`", "outcome: NAME")

    def _counter(self, name: str, span: Span) -> Iterator[Diagnostic]:
        if " ".join(name.split()) not in self.counters:
            yield mistakes.no_such(name, span, "counter", self.counters)

    def expectation(self, expect: Expectation) -> Iterator[Diagnostic]:
        for line in expect.wanted:
            kind = line.aspect.names
            if kind == "rule":
                yield from self._named_rules(line)
            elif kind == "refused":
                yield from self._refused(line)
            elif kind == "counter":
                yield from self._counter(line.key, line.node.named)
            elif kind == "units":
                if line.key not in ("allowance", "promotion", *self.policy.checked.packs):
                    known = ("allowance", *self.policy.checked.packs)
                    yield mistakes.no_such(line.key, line.node.named, "kind of unit", known)
            elif kind and isinstance(line.value, str):
                yield from self._declared(line.value, line.node.span, kind)

    def _declared(self, name: str, span: Span, kind: str) -> Iterator[Diagnostic]:
        checked = self.policy.checked
        known = {"lane": checked.lanes, "route": checked.routes, "plan": checked.plans, "pack": checked.packs}[kind]
        if name not in known:
            yield mistakes.no_such(name, span, kind, known)

    def _named_rules(self, line: Wanted) -> Iterator[Diagnostic]:
        """Each name becomes the whole name of the rule it means."""
        whole = {}
        for name, more in line.value.items():
            full, problem = self.rule(name, _place(line.node, name))
            if problem is not None:
                yield problem
            whole[full] = more
        line.value = whole

    def _refused(self, line: Wanted) -> Iterator[Diagnostic]:
        from policy_engine.testing.aspects import REFUSAL_REASONS

        whole = {}
        for lane, why in line.value.items():
            node = line.node.at((lane,))
            yield from self._declared(lane, node.named, "lane")
            names = set()
            for word in why:
                if word in REFUSAL_REASONS:
                    names.add(word)
                    continue
                full, problem = self.rule(word, node.span)
                if problem is not None:
                    yield problem
                names.add(full)
            whole[lane] = frozenset(names)
        line.value = whole

    def rule(self, name: str, span: Span) -> tuple[str, Diagnostic | None]:
        """The whole name of a rule that is called so, or begins so."""
        if name in self.rules:
            return name, None
        longer = {ref.text: place for named in self.rules.values() for ref, place in named if begins(ref.text, name)}
        if len(longer) == 1:
            return next(iter(longer)), None
        if longer:
            return name, mistakes.two_rules(name, span, sorted(longer.items()))
        return name, mistakes.no_rule(name, span, self.rules)


def _place(node: Node, name: str) -> Span:
    """Where a rule's name stands in what was written."""
    if isinstance(node.value, dict):
        for key, entry in node.value.items():
            if " ".join(key.split()) == name:
                return entry.named
    if isinstance(node.value, list):
        for item in node.value:
            if isinstance(item.value, str) and " ".join(item.value.split()) == name:
                return item.span
    return node.span
