"""Assertions for Python tests: what a test file would say, as a call; failures read like the runner's.

    check(policy, "admit", {"customer": "acme", "outcome": "support_reply", "risk": "high"}, lane="premium")

Facts and expectations are written as in a test file, with what a fresh world adds.
"""

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from policy_engine.evaluation.decision import Decision
from policy_engine.language.diagnostics import Diagnostic, render
from policy_engine.language.source import Source
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.policy import Policy
from policy_engine.runtime.clock import PinnedClock
from policy_engine.runtime.engine import Engine
from policy_engine.testing import expectation
from policy_engine.testing.aspects import ASPECTS
from policy_engine.testing.cases import Case, Result
from policy_engine.testing.checking import check as check_names
from policy_engine.testing.decisions import DecisionCase
from policy_engine.testing.entries import resolve
from policy_engine.testing.explanation import explain
from policy_engine.testing.nodes import Node, compose, scalar
from policy_engine.testing.scenario import ScenarioCase
from policy_engine.testing.timeline import START, moment_micros, read_event

_PLAIN = re.compile(r"[^\W\d_][\w .%-]*[\w%]|[$€£]\d[\d.]*|\w")


def check(
    policy: Policy, point: str, facts: Mapping[str, Any], *, counters: str = "zero", **expected: Any
) -> Decision | None:
    """Ask the policy at a point and compare; answers the decision (None for expected bad input).

    `expected` are the keys of an `expect:`; amounts and durations may be texts. `counters="unknown"` leaves
    counters that are not given unknown. Raises `AssertionError` with everything that `policy test` would show,
    `ValueError` for what a test file could not say.
    """
    if point not in ASPECTS:
        raise ValueError(f"`{point}` is no decision point")
    root = _written({point: facts, "expect": expected}, case=f"{point}")
    found: list[Diagnostic] = []
    expect = expectation.read(root.at(("expect",)), ASPECTS[point], f"an expectation of `{point}`", found)
    given = resolve(root.at((point,)), {}, found)
    case = DecisionCase(f"{point}", Path("<test>"), root.span, point, given, expect, counters == "zero")
    _run(case, policy, found)
    if expect.bad_input is not None:
        return None
    mapping = case.mapping(policy)
    decision: Decision = getattr(policy, point)(policy.facts(point, mapping))
    return decision


def check_decision(decision: Decision, policy: Policy | None = None, **expected: Any) -> None:
    """Compare a decision that is at hand. With its `policy`, a failure shows the rules that decided."""
    root = _written({"expect": expected}, case="expect")
    found: list[Diagnostic] = []
    point = decision.point
    expect = expectation.read(root.at(("expect",)), ASPECTS[point], f"an expectation of `{point}`", found)
    _refuse(found)
    failures = expect.differences(decision, decision.currency, point=point)
    case = ScenarioCase("", Path("<test>"), root.span, START, ())
    _fail(Result(case=case, failures=failures), policy)


def check_story(policy: Policy, timeline: Sequence[Mapping[str, Any] | str], *, start: str = START) -> None:
    """Play a timeline as a test file writes it: a list of events, each perhaps with an `expect`."""
    root = _written({"timeline": list(timeline)}, case="timeline")
    found: list[Diagnostic] = []
    items = root.at(("timeline",)).value
    events = [read_event(item, {}, found) for item in (items if isinstance(items, list) else [])]
    case = ScenarioCase("story", Path("<test>"), root.span, start, tuple(e for e in events if e is not None))
    _run(case, policy, found)


def in_memory(policy: Policy, *, start: str = START) -> Engine:
    """An engine over a ledger in memory and a clock that stands still until it is moved: `engine.clock.sleep(…)`.

    `start` is a time of the policy's time zone.
    """
    return Engine(policy, ledger=MemoryLedger(), clock=PinnedClock(moment_micros(start, policy.checked.timezone)))


# ---------------------------------------------------------------- as a test file would write it


def _run(case: Case, policy: Policy, found: list[Diagnostic]) -> None:
    found += check_names([case], policy, {})
    _refuse(found)
    _fail(case.run(policy), policy)


def _refuse(found: list[Diagnostic]) -> None:
    if found:
        raise ValueError("\n" + render(found))


def _fail(result: Result, policy: Policy | None) -> None:
    if result.problem is not None:
        raise ValueError("\n" + str(result.problem))
    if not result.passed:
        raise AssertionError("\n" + "\n".join(explain(result, policy)))


def _written(data: Mapping[str, Any], case: str) -> Node:
    """Plain data as YAML, read again, so that a failure has a text to underline."""
    lines = []
    for key, value in data.items():
        lines.append(f"{_key(key)}:")
        if isinstance(value, Mapping):
            lines += [f"  {_key(name)}: {_flow(item)}" for name, item in value.items()]
        else:
            lines += [f"  - {_flow(item)}" for item in value]
        if not value:
            lines[-1] += " {}" if isinstance(value, Mapping) else " []"
    root, found = compose(Source("<test>", "\n".join(lines) + "\n"))
    if root is None or found:
        raise ValueError(f"`{case}` holds what no test file can: {render(found)}")
    return root


def _key(name: object) -> str:
    return _text(str(name))


def _flow(value: Any) -> str:
    if value is None:
        return "~"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | Decimal):
        return format(Decimal(str(value)), "f")
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(name)}: {_flow(item)}" for name, item in value.items()) + "}"
    if isinstance(value, Sequence | set | frozenset):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    raise ValueError(f"`{value!r}` is nothing that a test file can say")


def _text(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and scalar(text) == text else json.dumps(text, ensure_ascii=False)
