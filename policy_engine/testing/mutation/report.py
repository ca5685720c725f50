"""What a mutation run found: the changes that no test noticed, and how many were tried."""

from dataclasses import dataclass
from typing import Any

from policy_engine.testing.mutation.mutants import Mutant


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A case that notices a mutant: facts at a point, what the policy answers and what the mutant would have.

    `yaml` is the case as it may stand under `decisions:` in a test file.
    """

    point: str
    facts: dict[str, Any]
    answer: str
    mutant_answer: str
    yaml: str


@dataclass(frozen=True, slots=True)
class Survivor:
    """A mutant that no case noticed, and a case that would, if one was found."""

    mutant: Mutant
    suggestion: Suggestion | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run. `equivalent` are mutants proven to change nothing; `untried` were left out of a sample, or when the time
    was up.
    """

    made: int
    noticed: int
    survivors: tuple[Survivor, ...]
    equivalent: tuple[Mutant, ...] = ()
    untried: int = 0
    cases: int = 0
    seconds: float = 0.0

    @property
    def percent(self) -> float | None:
        """Noticed, of those that were tried and may be noticed, rounded down to a tenth; None where there are none."""
        tried = self.noticed + len(self.survivors)
        return 1000 * self.noticed // tried / 10 if tried else None

    def reaches(self, percent: float, *, sampled: bool) -> bool:
        """Whether enough was noticed; what the time ran out for was not, what a sample leaves out does not count."""
        if self.untried and not sampled:
            return False
        return self.untried == 0 if self.percent is None else self.percent >= percent

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "mutants": self.made,
            "noticed": self.noticed,
            "equivalent": len(self.equivalent),
            "untried": self.untried,
            "percent": self.percent,
            "cases": self.cases,
            "seconds": round(self.seconds, 3),
            "survivors": [_survivor_json(survivor) for survivor in self.survivors],
        }


def _survivor_json(survivor: Survivor) -> dict[str, Any]:
    mutant, suggestion = survivor.mutant, survivor.suggestion
    span = mutant.span
    return {
        "change": mutant.operator,
        "file": span.source.name,
        "line": span.line,
        "column": span.column,
        "rule": mutant.ref.name if mutant.ref is not None else None,
        "diff": mutant.diff,
        "suggestion": None
        if suggestion is None
        else {
            "point": suggestion.point,
            "facts": suggestion.facts,
            "answer": suggestion.answer,
            "mutant_answer": suggestion.mutant_answer,
            "yaml": suggestion.yaml,
        },
    }
