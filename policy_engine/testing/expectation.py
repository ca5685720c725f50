"""One `expect:` of a test file: what is wanted, aspect by aspect, and how a decision differs from it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from policy_engine.evaluation.decision import Decision
from policy_engine.language.diagnostics import Diagnostic
from policy_engine.language.source import Span
from policy_engine.language.units import UnitError
from policy_engine.testing import mistakes
from policy_engine.testing.aspects import Aspect
from policy_engine.testing.cases import Failure
from policy_engine.testing.nodes import Node

BAD_INPUT = "bad_input"
"""Expected of facts that cannot be used: the name of the fact that is missing or wrong."""


@dataclass(slots=True)
class Wanted:
    """One line of an expectation."""

    key: str
    aspect: Aspect
    value: Any
    node: Node


class Unfit(UnitError):
    """What is expected is no such amount, as the policy's currency or a finite number; with its place."""

    def __init__(self, message: str, span: Span) -> None:
        super().__init__(message)
        self.span = span


@dataclass(slots=True)
class Expectation:
    """All that is wanted of one thing; what is left out is not checked."""

    wanted: tuple[Wanted, ...]
    span: Span
    bad_input: Node | None = None

    def __bool__(self) -> bool:
        return bool(self.wanted) or self.bad_input is not None

    def differences(
        self, thing: Any, currency: str, details: Callable[[], Mapping[str, Any]] = dict, *, point: str | None = None
    ) -> tuple[Failure, ...]:
        """Every line that a decision (or another thing with these aspects) does not meet. Raises `Unfit`."""
        failures: list[Failure] = []
        for line in self.wanted:
            got = line.aspect.take(thing)
            try:
                if not line.aspect.differs(line.value, got, currency):
                    continue
                expected = line.aspect.wanted(line.value, currency)
            except UnitError as error:
                raise Unfit(f"`{line.key}`: {error}; write an amount in {currency}", line.node.span) from None
            failures.append(
                Failure(
                    where=line.node.span,
                    key=line.key,
                    expected=expected,
                    got=line.aspect.got(got, currency),
                    decision=thing if isinstance(thing, Decision) else None,
                    point=point,
                    **details(),
                )
            )
        return tuple(failures)


def read(
    node: Node, aspects: Mapping[str, Aspect], where: str, found: list[Diagnostic], *, lead: str = "effect"
) -> Expectation:
    """An expectation as it is written. A single word is the effect. Mistakes go to `found`."""
    entries = node.value
    if isinstance(entries, str):
        entries = {lead: node}
    if not isinstance(entries, dict):
        found.append(
            mistakes.wrong_shape(node.span, "an expectation is one word or a mapping", f"write `expect: {{{lead}: …}}`")
        )
        return Expectation((), node.span)
    return of(entries.items(), node.span, aspects, where, found)


def of(
    entries: Iterable[tuple[str, Node]], span: Span, aspects: Mapping[str, Aspect], where: str, found: list[Diagnostic]
) -> Expectation:
    """An expectation from its lines; one whose value is `~` says nothing."""
    wanted: list[Wanted] = []
    bad_input: Node | None = None
    for key, entry in entries:
        if entry.value is None:
            continue
        if key == BAD_INPUT and "effect" in aspects:
            bad_input = entry
            continue
        aspect = aspects.get(key)
        if aspect is None:
            known = [*aspects, BAD_INPUT] if "effect" in aspects else aspects
            found.append(mistakes.no_key(key, entry.named, known, where))
            continue
        try:
            wanted.append(Wanted(key, aspect, aspect.read(entry.plain()), entry))
        except UnitError as error:
            found.append(mistakes.bad_value(entry.span, f"`{key}` {error}"))
    return Expectation(tuple(wanted), span, bad_input)
