"""Why a case failed, for people: what was expected, what came, the rules that decided, what would have changed it.

Plain lines, in the form of diagnostics; a screen may colour them, pytest and JUnit show them as they are.
"""

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from policy_engine.evaluation.decision import AdmitDecision, Decision, Ruling
from policy_engine.language.diagnostics import Diagnostic
from policy_engine.language.source import Span
from policy_engine.policy import Policy
from policy_engine.testing.aspects import ASPECTS, amount
from policy_engine.testing.cases import Failure, Result

_ANSWERS = ("effect", "lane", "route", "draw", "reason")
"""What another decision is another answer in; of the rest only the ways to what was expected are shown."""

FLIPS = 3
"""So many ways to another decision are shown at most."""


def explain(result: Result, policy: Policy | None) -> list[str]:
    """Everything about a failed case but its name; no lines for one that passed."""
    return [line for _, lines in sections(result, policy) for line in lines]


def sections(result: Result, policy: Policy | None) -> Iterator[tuple[str, list[str]]]:
    """The same by what it is: a role of the screen, and lines."""
    if result.problem is not None:
        yield "error", str(result.problem).split("\n")
        return
    above: Failure | None = None
    for failure in result.failures:
        yield "error", [*_difference(failure, above)]
        above = failure
    told: list[int] = []
    for failure in result.failures:
        if failure.decision is not None and policy is not None and id(failure.decision) not in told:
            told.append(id(failure.decision))
            yield "warning", [*_decided(failure.decision, policy)]
            yield "hint", [*_flips(failure, policy)]


def first_line(result: Result) -> str:
    """A failed case in one line: `effect: expected go, got refuse`."""
    if result.problem is not None:
        return result.problem.message
    failure = result.failures[0]
    return f"{failure.key}: expected {_one_line(failure.expected)}, got {_one_line(failure.got)}"


def _difference(failure: Failure, above: Failure | None) -> Iterator[str]:
    """What was expected, underlined; of two in one line only the first shows the line."""
    short = "\n" not in failure.got and "\n" not in failure.expected and len(failure.got) < 60
    if failure.expected == "it happens":
        hint = "this cannot happen here"
    elif failure.expected == failure.where.text.strip("\"'") and short:
        hint = f"`{failure.key}` is `{failure.got}`"
    elif short:
        hint = f"expected `{failure.key}` `{failure.expected}`, got `{failure.got}`"
    else:
        hint = f"`{failure.key}` is not this"
    same_line = above is not None and (above.file, above.line) == (failure.file, failure.line)
    yield from snippet(failure.where, hint)[2 if same_line else 0 :]
    if failure.expected == "it happens":
        yield f"  {failure.got}"
    elif not short:
        yield from _listed("expected", failure.expected)
        yield from _listed("got", failure.got)


def _listed(head: str, text: str) -> Iterator[str]:
    first, *rest = text.split("\n")
    yield f"  {head:<9} {first}"
    yield from (f"  {'':<9} {line}" for line in rest)


def _decided(decision: Decision, policy: Policy) -> Iterator[str]:
    """The decision in its own words, and each rule behind it, underlined in the policy."""
    spans = _spans(policy)
    said = [(ruling, "") for ruling in decision.rulings]
    if isinstance(decision, AdmitDecision):
        said += [(ruling, f"refuses lane {refusal.lane}") for refusal in decision.refused for ruling in refusal.rulings]
    yield f"  {decision.point}: {_headline(decision)}"
    for ruling, role in said:
        span = spans.get((ruling.rule.file, ruling.rule.line, ruling.rule.column))
        hint = "; ".join(filter(None, (role, _numbers(ruling, decision.currency))))
        if span is None:
            yield f"  {ruling.rule.name} at {ruling.rule.place}{': ' + hint if hint else ''}"
        else:
            yield from snippet(span, hint or "decides")


def _headline(decision: Decision) -> str:
    """The decision's sentence up to its rules, which are shown in full below."""
    sentence = str(decision)
    for mark in ("; because ", "; lane "):
        sentence = sentence.partition(mark)[0]
    unknown = f"; unknown: {', '.join(decision.unknown)}" if decision.unknown else ""
    return sentence if unknown and unknown in sentence else sentence + unknown


def _numbers(ruling: Ruling, currency: str) -> str:
    if ruling.unit is None:
        return ""
    numbers = [("limit", ruling.limit), ("used", ruling.used), ("asked", ruling.asked)]
    # A time ceiling asks for nothing; what is unknown elsewhere is often why.
    shown = [(name, value) for name, value in numbers if value is not None or ruling.unit != "time" or name == "used"]
    return ", ".join(f"{name} {amount(value, ruling.unit, currency)}" for name, value in shown)


def _spans(policy: Policy) -> Mapping[tuple[str, int, int], Span]:
    return {(rule.ref.file, rule.ref.line, rule.ref.column): rule.span for rule in policy.checked.every_rule()}


def _flips(failure: Failure, policy: Policy) -> Iterator[str]:
    """The smallest changes of facts after which another decision comes; those first that give what was expected."""
    if failure.facts is None or failure.point is None or failure.point == "settle":
        return
    try:
        from policy_engine.analysis.witness import flips
    except ImportError:  # an analysis that is not there explains nothing, and breaks nothing
        return
    try:
        found = flips(policy, _point(failure.point), failure.facts, limit=FLIPS)
    except ValueError:
        return
    aspect = ASPECTS[failure.point].get(failure.key)
    wanted, others = [], []
    for flip in found:
        changed = ", ".join(f"{name}: {_plain(value)}" for name, value in flip.changes.items())
        got = aspect.got(aspect.take(flip.decision), flip.decision.currency) if aspect is not None else ""
        if got == failure.expected:
            wanted.append(f"  it would be `{failure.expected}` with {changed}")
        elif got != failure.got:
            others.append(f"  it would be `{flip.decision.effect}`{_where(flip.decision)} with {changed}")
    yield from (wanted or (others if failure.key in _ANSWERS else []))[:FLIPS]


def _where(decision: Decision) -> str:
    place = getattr(decision, "lane", None) or getattr(decision, "route", None)
    return f" ({place})" if place else ""


def _plain(value: Any) -> str:
    return "unknown" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _point(name: str) -> Any:
    from policy_engine.language.vocabulary import Point

    return Point(name)


def _one_line(text: str) -> str:
    return " and ".join(text.split("\n"))


def snippet(span: Span, hint: str) -> list[str]:
    """A place with its line and the underlined text, as diagnostics show it."""
    return str(Diagnostic(code="", message="", span=span, hint=hint)).split("\n")[1:]


class Explained:
    """A failed case as pytest takes a failure: all lines for the terminal, one for its summary and for JUnit."""

    def __init__(self, result: Result, policy: Policy | None) -> None:
        self.text = "\n".join(explain(result, policy))
        self.reprcrash = SimpleNamespace(message=first_line(result))

    def __str__(self) -> str:
        return self.text

    def toterminal(self, screen: Any) -> None:
        """Write it with a terminal writer."""
        screen.line(self.text)
