"""A case of one decision: facts at a point, and what is expected of the answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import ref

from policy_engine.evaluation.context import Boundary
from policy_engine.evaluation.decision import Decision
from policy_engine.evaluation.facts import FactError, Facts
from policy_engine.language.source import Span
from policy_engine.language.vocabulary import Point
from policy_engine.policy import Policy
from policy_engine.testing import entries, mistakes
from policy_engine.testing.cases import Failure, Kind, Result
from policy_engine.testing.entries import Entries
from policy_engine.testing.expectation import Expectation, Unfit


@dataclass(slots=True, eq=False)
class DecisionCase:
    """`point` is asked with `given`; counters that are not in it read zero, or are unknown if `assume_zero` is off."""

    name: str
    file: Path
    span: Span
    point: str
    given: Entries
    expect: Expectation
    assume_zero: bool = True
    _kept: "tuple[ref[Boundary], dict[str, Any], Facts] | None" = field(default=None, repr=False)

    kind: Kind = "decision"

    @property
    def line(self) -> int:
        return self.span.line

    def run(self, policy: Policy) -> Result:
        try:
            facts = self._facts(policy)
            decision: Decision = getattr(policy, self.point)(facts)
        except FactError as error:
            return self._refused(error)
        if self.expect.bad_input is not None:
            node = self.expect.bad_input
            failure = Failure(
                where=node.span,
                key="bad_input",
                expected=str(node.value),
                got=decision.effect,
                **self._details(policy),
                decision=decision,
            )
            return Result(case=self, failures=(failure,))
        try:
            failures = self.expect.differences(
                decision, decision.currency, lambda: self._details(policy), point=self.point
            )
        except Unfit as error:
            return Result(case=self, problem=mistakes.bad_value(error.span, str(error)))
        return Result(case=self, failures=failures)

    def mapping(self, policy: Policy) -> dict[str, Any]:
        """The facts as `policy.facts` takes them, with every counter written out."""
        values = entries.completed(entries.data(self.given, policy, self.point), policy.checked, self.point)
        if self.assume_zero and self.point != "settle":
            values["meters"] = dict.fromkeys(policy.boundary.meters, 0) | _with_own_counters(values)
        return values

    def _facts(self, policy: Policy) -> Facts:
        values = entries.completed(entries.data(self.given, policy, self.point), policy.checked, self.point)
        boundary = policy.boundary
        if self._kept is not None and self._kept[0]() is boundary and self._kept[1] == values:
            return self._kept[2]
        facts = boundary.facts(Point(self.point), values, assume_zero=self.assume_zero)
        self._kept = (ref(boundary), values, facts)
        return facts

    def _details(self, policy: Policy) -> Mapping[str, Any]:
        return {"facts": self.mapping(policy)}

    def _refused(self, error: FactError) -> Result:
        """Facts that cannot be used: as expected, or a problem at the entry that is wrong."""
        wanted = self.expect.bad_input
        if wanted is not None:
            if wanted.value == error.name:
                return Result(case=self)
            failure = Failure(where=wanted.span, key="bad_input", expected=str(wanted.value), got=error.name)
            return Result(case=self, failures=(failure,))
        node = self.given.own.get(error.name) or self.given.shared.get(error.name)
        place = node.span if node is not None else self.span
        return Result(case=self, problem=mistakes.bad_value(place, str(error)))


def _with_own_counters(values: Mapping[str, Any]) -> dict[str, Any]:
    """The counters that were given; those of the execution under their short names stay where they are."""
    short = {"spent": "spent per outcome", "attempts": "attempts per outcome", "tokens": "tokens per outcome"}
    own = dict(values.get("meters") or {})
    own |= {long: values[name] for name, long in short.items() if name in values}
    return own
