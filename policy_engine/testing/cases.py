"""What a test is: a case that is run under a policy, and what came of it.

A case does everything through the policy it is given and keeps none of its own, so that
coverage may watch that policy and mutation may change it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from policy_engine.evaluation.decision import Decision
from policy_engine.language.diagnostics import Diagnostic
from policy_engine.language.source import Span
from policy_engine.policy import Policy

Kind = Literal["decision", "scenario"]


class Case(Protocol):
    """One test: of a decision, or of a story. `line` is 1-based, where it stands in `file`."""

    @property
    def name(self) -> str: ...

    @property
    def file(self) -> Path: ...

    @property
    def line(self) -> int: ...

    @property
    def kind(self) -> Kind: ...

    def run(self, policy: Policy) -> "Result":
        """Run it. Never raises for what a file can get wrong: that is a result with a `problem`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One expectation that was not met.

    `where` is the expectation in the test file, `key` its name, `expected` and `got` are for people. `facts`
    is what `policy.facts(point, …)` takes, with every counter in it; None where no single decision is meant.
    """

    where: Span
    key: str
    expected: str
    got: str
    decision: Decision | None = None
    point: str | None = None
    facts: Mapping[str, Any] | None = None
    event: str = ""  # of a story: what had just happened

    @property
    def file(self) -> str:
        return self.where.source.name

    @property
    def line(self) -> int:
        return self.where.line


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a case. A `problem` is bad input in the case itself: neither passed nor failed on its merits."""

    case: Case
    failures: tuple[Failure, ...] = ()
    problem: Diagnostic | None = None
    seconds: float = field(default=0.0, compare=False)

    @property
    def passed(self) -> bool:
        return not self.failures and self.problem is None
