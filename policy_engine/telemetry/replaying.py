"""Logged decisions asked again: each is the same, or the difference is said.

A decision is compared in everything but its sentence, which says the same in words, and the folders of the files that
rules stand in, which a digest does not cover either. Decisions of another policy or other prices cannot be asked for
again: they are counted by their digests and left out.

A log may hold the decisions of several editions of a policy: `kept` finds those that are not at hand by their digests.

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

from policy_engine.evaluation.decision import AdmitDecision, AttemptDecision, Decision, FailureDecision, Head
from policy_engine.evaluation.facts import FactError
from policy_engine.ledger.protocol import Ledger
from policy_engine.policy import Policy
from policy_engine.runtime.edition import Editions
from policy_engine.telemetry.entries import Entry
from policy_engine.telemetry.reading import NO_ENTRY, EntryError, checked, facts_of

Change = tuple[str, Any, Any]
"""Where two decisions differ, with what was recorded and what is said now."""

ABSENT = "(not there)"
"""What is recorded, or said now, of a field that only the other one has."""

Kept = Callable[[str, str], Policy | None]
"""The policy with these digests, its own and that of its prices."""


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
                found = json.loads(line.decode("utf-8-sig"))
            except UnicodeDecodeError:
                yield number, BadLine(number, "not UTF-8")
            except (ValueError, RecursionError):
                cut = "" if line.endswith(b"\n") else ": the file ends in the midst of a line"
                yield number, BadLine(number, f"not JSON{cut}")
            else:
                yield number, found if isinstance(found, dict) else BadLine(number, NO_ENTRY)


def kept_in(ledger: Ledger) -> Kept:
    """The policies and prices that a ledger keeps, as engines used them. Asking it may raise `LedgerUnavailable`."""
    editions = Editions(ledger)

    def find(policy_digest: str, price_digest: str) -> Policy | None:
        try:
            return editions.restore(policy_digest, price_digest).policy
        except LookupError:
            return None

    return find


def replay_decisions(
    policy: Policy,
    entries: Iterable[tuple[int, Entry | BadLine]],
    *,
    kept: Kept | None = None,
    progress: Callable[[int], None] | None = None,
) -> DecisionReplay:
    """Ask for every decision of a log again.

    What `policy` did not decide is asked of what `kept` has for its digests (policy, prices), if it is given and has
    it. `progress` is told how many were asked, now and then.
    """
    result = DecisionReplay(policy.digest, policy.prices.digest)
    editions: dict[tuple[str, str], Policy | None] = {(policy.digest, policy.prices.digest): policy}
    for number, entry in entries:
        result.lines += 1
        if progress is not None and result.lines % 256 == 0:
            progress(result.lines)
        if isinstance(entry, BadLine):
            result.bad.append(entry)
            continue
        try:
            made_by = checked(entry)
            if made_by not in editions:
                editions[made_by] = kept(*made_by) if kept is not None else None
            edition = editions[made_by]
            if edition is None:
                result.elsewhere[made_by] += 1
                continue
            again = ask(edition, entry)
        except EntryError as error:
            result.bad.append(BadLine(number, str(error)))
        except FactError as error:
            changes: tuple[Change, ...] = (("decision", entry["decision"].get("effect"), str(error)),)
            result.differences.append(Difference(number, entry["execution"], entry["point"], changes))
        else:
            _compare(number, entry, again, result)
    return result


def ask(policy: Policy, entry: Mapping[str, Any]) -> Decision:
    """The decision of a checked entry, made once more. Raises `EntryError`, and `FactError` where a fact is missing."""
    facts = facts_of(entry, policy)
    made: Decision = getattr(policy.evaluator, entry["point"])(facts)
    return made


def _compare(number: int, entry: Entry, again: Decision, result: DecisionReplay) -> None:
    now = again.to_json()
    if _text(now) == _text(entry["decision"]):
        result.same += 1
        return
    before, now = _comparable(entry["decision"]), _comparable(json.loads(_text(now)))
    changes = tuple(_changes("", before, now))
    if not changes:
        result.same += 1
    elif any(_is_equal(before, _comparable(said.to_json())) for said in _of_the_ledger(again)):
        result.of_the_ledger += 1
    else:
        result.differences.append(Difference(number, entry["execution"], entry["point"], changes))


def _text(said: Any) -> str:
    """As JSON tells one thing from another: 1 from 1.0 and from true, which are equal here."""
    return json.dumps(said)


def _is_equal(one: Any, other: Any) -> bool:
    return not any(_changes("", one, other))


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


def _of_the_ledger(again: Decision) -> tuple[Decision, ...]:
    """What the runtime may have put in the place of this decision."""

    def head(effect: str, reason: str | None = None) -> Head:
        return Head(effect, reason, again.currency, again.digests)

    if again.effect == "allow":
        return tuple(AdmitDecision(head("deny", reason)) for reason in ("limit_reached", "store_silent"))
    if isinstance(again, AttemptDecision) and again.effect == "go":
        return tuple(AttemptDecision(head("refuse", reason)) for reason in ("over_ceiling", "store_silent"))
    return (FailureDecision(head("stop")),) if again.effect == "hand_off" else ()


def _who(item: Any) -> Any:
    """What an item of a list is about: lists about other rules or lanes are told whole."""
    return (item.get("lane"), item.get("text")) if isinstance(item, dict) else None


def _changes(where: str, before: Any, now: Any) -> Iterator[Change]:
    """Every leaf that differs, and every list of other things."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in [*now, *(name for name in before if name not in now)]:
            place = f"{where}.{name}" if where else name
            yield from _changes(place, before.get(name, ABSENT), now.get(name, ABSENT))
    elif isinstance(before, list) and isinstance(now, list) and [*map(_who, before)] == [*map(_who, now)]:
        for index, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from _changes(f"{where}[{index}]", one, other)
    elif type(before) is not type(now) or before != now:
        yield where, before, now
