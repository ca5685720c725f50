"""`policy replay --decisions`: every logged decision once more, and what came out differently."""

import json

from policy_engine.cli.app import CLEAN, FINDINGS
from policy_engine.cli.problems import Problem
from policy_engine.cli.reading import unreadable
from policy_engine.cli.render import Screen
from policy_engine.language.diagnostics import count
from policy_engine.policy import Policy
from policy_engine.telemetry.replaying import Change, DecisionReplay, read_log, replay_decisions

SHORT = 12
"""Signs of a digest that are shown."""

CHANGES = 6
"""Changes of one decision that are shown."""


def replay_log(screen: Screen, policy: Policy, log: str, form: str, most: int) -> int:
    """Replay a log and show what came of it; the exit code. Raises `Problem` for a log without a line."""
    try:
        with screen.progress("asking again", None) as progress:
            result = replay_decisions(policy, read_log(log), progress=progress)
    except OSError as error:
        raise unreadable(error) from None
    if len(result.bad) == result.lines:
        if result.bad:
            _show_bad(screen, result, log, most)
        raise Problem("not one line of it can be used" if result.lines else "there are no decisions in it", log)
    if form == "json":
        screen.json(result.to_json())
    else:
        _show(screen, result, log, most)
    _show_bad(screen, result, log, most)
    return CLEAN if result.reproduced else FINDINGS


def _show(screen: Screen, result: DecisionReplay, log: str, most: int) -> None:
    screen.say((log, "place"), f": {count(result.lines, 'decision')}")
    screen.say((f"{result.same:,} the same", "good" if result.reproduced else ""))
    if result.of_the_ledger:
        said = "the policy would let it go on, but the amount was taken in between or the store was silent"
        screen.say(f"{result.of_the_ledger:,} decided by the ledger: {said}")
    for (policy, prices), lines in result.elsewhere.items():
        screen.say((f"{lines:,} left out", "warning"), f": {_made_by(result, policy, prices)}")
    if result.differences:
        screen.say((f"{len(result.differences):,} different", "bad"))
    for found in result.differences[:most]:
        run = f" of `{found.execution}`" if found.execution is not None else ""
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
        return f"made by the policy {policy[:SHORT]}, this one is {result.policy_digest[:SHORT]}"
    return f"made with the prices {prices[:SHORT]}, these are {result.price_digest[:SHORT]}"


def _change(change: Change) -> str:
    where, before, now = change
    return f"{where}: {_value(before)} was recorded, now {_value(now)}"


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _show_bad(screen: Screen, result: DecisionReplay, log: str, most: int) -> None:
    for row in result.bad[:most]:
        screen.note(("Error: ", "error"), (f"{log}:{row.line}: ", "place"), row.message)
    if result.bad:
        hidden = len(result.bad) - most
        more = f", {hidden:,} of them not shown" if hidden > 0 else ""
        screen.note((f"{count(len(result.bad), 'line')} of {result.lines:,} left out{more}", "warning"))
