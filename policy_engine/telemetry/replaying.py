"""Logged decisions asked again: each is the same, or the difference is said.

A decision is compared in everything but its sentence, which says the same in words, and the folders of the files that
rules stand in, which a digest does not cover either. Decisions of another policy or other prices cannot be asked for
again: they are counted by their digests and left out.

Two answers are the runtime's and not the policy's: a refusal because another execution took the amount between the
question and the hold, and one because the store was silent then. Where the policy had said `allow`, `go` or `hand_off`,
these are counted as the ledger's.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path, PurePath
from typing import Any

from policy_engine.evaluation.decision import Decision
from policy_engine.evaluation.facts import FactError
from policy_engine.policy import Policy
from policy_engine.telemetry.entries import Entry, EntryError, facts_of

Change = tuple[str, Any, Any]
"""Where two decisions differ, with what was recorded and what is said now."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A decision that is not made again."""

    line: int
    execution: str | None
    point: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be used."""

    line: int
    message: str


@dataclass(slots=True)
class DecisionReplay:
    """What came of a log. `elsewhere` counts decisions by the digests (policy, prices) that are not those asked."""

    policy_digest: str
    price_digest: str
    lines: int = 0
    same: int = 0
    of_the_ledger: int = 0
    differences: list[Difference] = field(default_factory=list)
    elsewhere: Counter[tuple[str, str]] = field(default_factory=Counter)
    bad: list[BadLine] = field(default_factory=list)

    @property
    def reproduced(self) -> bool:
        """Whether every line was asked again and said the same."""
        return not (self.differences or self.elsewhere or self.bad)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "policy_digest": self.policy_digest,
            "price_digest": self.price_digest,
            "lines": self.lines,
            "same": self.same,
            "of_the_ledger": self.of_the_ledger,
            "differences": [
                {
                    "line": found.line,
                    "execution": found.execution,
                    "point": found.point,
                    "changes": [{"where": w, "recorded": before, "now": now} for w, before, now in found.changes],
                }
                for found in self.differences
            ],
            "elsewhere": [
                {"policy_digest": policy, "price_digest": prices, "lines": lines}
                for (policy, prices), lines in self.elsewhere.items()
            ],
            "bad": [{"line": found.line, "message": found.message} for found in self.bad],
            "reproduced": self.reproduced,
        }


def read_log(path: str | PathLike[str]) -> Iterator[tuple[int, Entry | BadLine]]:
    """The lines of a log with their numbers, empty ones left out. Raises `OSError`."""
    with Path(path).open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                yield number, BadLine(number, "not JSON")
                continue
            yield number, found if isinstance(found, dict) else BadLine(number, "not a line of a decision log")


def replay_decisions(
    policy: Policy,
    entries: Iterable[tuple[int, Entry | BadLine]],
    *,
    progress: Callable[[int], None] | None = None,
) -> DecisionReplay:
    """Ask a policy for every decision of a log again. `progress` is told how many were, now and then."""
    result = DecisionReplay(policy.digest, policy.prices.digest)
    here = (policy.digest, policy.prices.digest)
    for number, entry in entries:
        result.lines += 1
        if progress is not None and result.lines % 256 == 0:
            progress(result.lines)
        if isinstance(entry, BadLine):
            result.bad.append(entry)
            continue
        made_by = (str(entry.get("policy_digest")), str(entry.get("price_digest")))
        if made_by != here:
            if "policy_digest" in entry and "price_digest" in entry:
                result.elsewhere[made_by] += 1
            else:
                result.bad.append(BadLine(number, "not a line of a decision log"))
            continue
        try:
            again = ask(policy, entry)
        except EntryError as error:
            result.bad.append(BadLine(number, str(error)))
        except FactError as error:
            changes: tuple[Change, ...] = (("decision", entry["decision"].get("effect"), str(error)),)
            result.differences.append(Difference(number, entry.get("execution"), entry["point"], changes))
        else:
            _compare(number, entry, again, result)
    return result


def ask(policy: Policy, entry: Mapping[str, Any]) -> Decision:
    """The decision of an entry, made once more. Raises `EntryError`, and `FactError` where a fact is missing."""
    if not isinstance(entry.get("decision"), dict):
        raise EntryError("not a line of a decision log")
    facts = facts_of(entry, policy)
    made: Decision = getattr(policy.evaluator, entry["point"])(facts)
    return made


def _compare(number: int, entry: Entry, again: Decision, result: DecisionReplay) -> None:
    before = _comparable(entry["decision"])
    now = _comparable(json.loads(json.dumps(again.to_json())))
    if before == now:
        result.same += 1
    elif _of_the_ledger(before, again):
        result.of_the_ledger += 1
    else:
        changes = tuple(_changes("", before, now))
        result.differences.append(Difference(number, entry.get("execution"), entry["point"], changes))


def _comparable(said: Any) -> Any:
    """Without sentences and folders."""
    if isinstance(said, list):
        return [_comparable(item) for item in said]
    if not isinstance(said, dict):
        return said
    kept = {name: _comparable(value) for name, value in said.items() if name != "sentence"}
    if isinstance(kept.get("file"), str):
        kept["file"] = PurePath(kept["file"]).name
    return kept


def _of_the_ledger(before: Mapping[str, Any], again: Decision) -> bool:
    """Whether the runtime put its own answer in the place of this one."""
    if before.get("rules") or before.get("alerts") or before.get("shadow") or before.get("unknown"):
        return False
    said = (before.get("point"), before.get("effect"), before.get("reason"))
    if again.effect == "allow":
        return said in (("admit", "deny", "limit_reached"), ("admit", "deny", "store_silent"))
    if again.effect == "go":
        return said in (("attempt", "refuse", "over_ceiling"), ("attempt", "refuse", "store_silent"))
    return again.effect == "hand_off" and said == ("failure", "stop", None)


def _changes(where: str, before: Any, now: Any) -> Iterator[Change]:
    """Every leaf that differs."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in [*now, *(name for name in before if name not in now)]:
            yield from _changes(f"{where}.{name}" if where else name, before.get(name), now.get(name))
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from _changes(f"{where}[{index}]", one, other)
    elif before != now:
        yield where, before, now
