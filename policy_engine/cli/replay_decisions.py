"""`policy replay --decisions`: every logged decision once more, and what came out differently."""

import json
import re
from contextlib import ExitStack
from pathlib import Path

from policy_engine.cli.app import CLEAN, FINDINGS
from policy_engine.cli.ledger import opened
from policy_engine.cli.problems import Problem
from policy_engine.cli.reading import unreadable
from policy_engine.cli.render import Screen
from policy_engine.language.diagnostics import count
from policy_engine.policy import Policy
from policy_engine.telemetry.replaying import Change, DecisionReplay, kept_in, read_log, replay_decisions

SHORT = 12
"""Signs of a digest that are shown."""

CHANGES = 6
"""Changes of one decision that are shown."""

PACKED = b"\x1f\x8b"
"""What gzip begins with."""

_PLAIN = re.compile(r"(?!(?:true|false|null|nothing)$)(?!-?[0-9.]+$)[^\x00-\x1f\x7f\"]+")
"""A text that stands for itself: not taken for a number, and on one line."""


def replay_log(screen: Screen, policy: Policy, log: str, form: str, most: int, ledger: str | None = None) -> int:
    """Replay a log and show what came of it; the exit code. Raises `Problem` for a log without a line.

    `ledger` is a file that keeps the other versions of the policy that decisions were made by.
    """
    try:
        if is_packed(log):
            way = f"gunzip -c {log} | policy replay --decisions /dev/stdin …"
            raise Problem("it is compressed", log, hint=f"unpack it first: {way}")
        with ExitStack() as stack:
            kept = None if ledger is None else kept_in(stack.enter_context(opened(ledger, writes=False)))
            progress = stack.enter_context(screen.progress("asking again", None))
            result = replay_decisions(policy, read_log(log), kept=kept, progress=progress)
    except OSError as error:
        raise unreadable(error) from None
    if len(result.bad) == result.lines:
        if result.bad:
            _show_bad(screen, result, log, most)
        raise Problem("not one line of it can be used" if result.lines else "there are no decisions in it", log)
    if form == "json":
        screen.json(result.to_json())
    else:
        _show(screen, result, log, most, ledger)
    _show_bad(screen, result, log, most)
    return CLEAN if result.reproduced else FINDINGS


def is_packed(log: str) -> bool:
    """Whether it is a file that gzip made. Raises `OSError`."""
    if not Path(log).is_file():  # what is read only once is not looked at before
        return False
    with Path(log).open("rb") as file:
        return file.read(len(PACKED)) == PACKED


def _show(screen: Screen, result: DecisionReplay, log: str, most: int, ledger: str | None) -> None:
    screen.say((log, "place"), f": {count(result.lines, 'decision')}")
    screen.say((f"{result.same:,} the same", "good" if result.reproduced else ""))
    if result.of_the_ledger:
        said = "the policy would let it go on, but the amount was taken in between or the store was silent"
        screen.say(f"{result.of_the_ledger:,} decided by the ledger: {said}")
    for (policy, prices), lines in result.elsewhere.items():
        screen.say((f"{lines:,} left out", "warning"), f": {_made_by(result, policy, prices)}")
    if result.elsewhere:
        screen.say(("  " + _way_out(result, ledger), "hint"))
    if result.differences:
        screen.say((f"{len(result.differences):,} different", "bad"))
    for found in result.differences[:most]:
        run = f" of `{on_one_line(found.execution)}`" if found.execution is not None else ""
        screen.say()
        screen.say((f"{log}:{found.line}: ", "place"), f"{found.point}{run}")
        for change in found.changes[:CHANGES]:
            screen.say(f"  {_change(change)}")
        if len(found.changes) > CHANGES:
            screen.say((f"  and {len(found.changes) - CHANGES} more", "quiet"))
    if len(result.differences) > most:
        screen.say()
        screen.say((f"{len(result.differences) - most:,} more differences are not shown", "quiet"))


def _made_by(result: DecisionReplay, policy: str, prices: str) -> str:
    if policy != result.policy_digest:
        return f"made by the policy {on_one_line(policy[:SHORT])}, this one is {result.policy_digest[:SHORT]}"
    return f"made with the prices {on_one_line(prices[:SHORT])}, these are {result.price_digest[:SHORT]}"


def _way_out(result: DecisionReplay, ledger: str | None) -> str:
    other = any(policy != result.policy_digest for policy, _ in result.elsewhere)
    what = "that version of the policy (files named as then)" if other else "the price lock of then (--prices)"
    if ledger is not None:
        return f"`{ledger}` does not keep it: ask with {what}"
    return f"ask with {what}, or name a ledger that keeps it (--ledger)"


def _change(change: Change) -> str:
    where, before, now = change
    return f"{where}: {_value(before)} was recorded, now {_value(now)}"


def _value(value: object) -> str:
    """A value as a person reads it; texts in quotes only where they could be taken for something else."""
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return ", ".join(_item(item) for item in value) or "none"
    return json.dumps(value, ensure_ascii=False)


def _item(item: object) -> str:
    """One of a list: a rule by its name and place, a lane by its name."""
    if isinstance(item, dict) and isinstance(item.get("name"), str):
        place = ":".join(str(item[part]) for part in ("file", "line", "column") if part in item)
        return _value(item["name"]) + (f" at {on_one_line(place)}" if place else "")
    return _value(item.get("lane", item) if isinstance(item, dict) else item)


def on_one_line(text: str) -> str:
    """A name that somebody gave, which may hold line breaks."""
    return json.dumps(text, ensure_ascii=False)[1:-1].replace('\\"', '"')


def _show_bad(screen: Screen, result: DecisionReplay, log: str, most: int) -> None:
    for row in result.bad[:most]:
        screen.note(("Error: ", "error"), (f"{log}:{row.line}: ", "place"), on_one_line(row.message))
    if result.bad:
        hidden = len(result.bad) - most
        more = f", {hidden:,} of them not shown" if hidden > 0 else ""
        screen.note((f"{count(len(result.bad), 'line')} of {result.lines:,} left out{more}", "warning"))
