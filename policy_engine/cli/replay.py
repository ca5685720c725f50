"""`policy replay`: recorded work through a policy."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from policy_engine.cli.app import CLEAN
from policy_engine.cli.options import Assignment, ManyWords, PolicyPath, policy_options, screen_options
from policy_engine.cli.problems import Problem
from policy_engine.cli.render import Screen

if TYPE_CHECKING:
    from policy_engine.insight.report import ReplayResult
    from policy_engine.insight.trace import Trace
    from policy_engine.policy import Policy

LARGE_FILE = 4_000_000
"""Bytes that take long enough to read for a bar to be seen."""


@click.command("replay", cls=ManyWords)
@click.argument("trace", metavar="[TRACE]", required=False, type=PolicyPath())
@click.option(
    "--decisions",
    metavar="LOG",
    type=PolicyPath(),
    help="Ask for every decision of this decision log again, instead of running a TRACE.",
)
@click.option(
    "--ledger",
    metavar="FILE",
    type=PolicyPath(),
    help="With --decisions: a ledger; decisions of other versions of the policy are asked of those that it keeps.",
)
@policy_options
@click.option(
    "--map",
    "renamed",
    metavar="COLUMN=NAME...",
    multiple=True,
    type=Assignment(),
    help="Read our column COLUMN from the file's column NAME.",
)
@click.option(
    "--set",
    "constants",
    metavar="COLUMN=VALUE...",
    multiple=True,
    type=Assignment(),
    help="One value for all rows; `{line}` in it is the row's line number.",
)
@click.option(
    "--max-bad",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="Show so many of the bad rows, or of the differences; all are counted.",
)
@screen_options
def replay_command(
    trace: str | None,
    decisions: str | None,
    ledger: str | None,
    paths: tuple[str, ...],
    prices: str | None,
    engine: str,
    renamed: tuple[tuple[str, str], ...],
    constants: tuple[tuple[str, str], ...],
    max_bad: int,
    form: str,
    color: str,
) -> int:
    """Run recorded work through a policy: what it saves, and what it loses.

    TRACE is a CSV file with a header, or JSON lines (.jsonl). One row is one attempt; the columns are execution,
    customer, plan, outcome, step, attempt, route, model, input_tokens, output_tokens, cost, error, accepted, time,
    and one for each fact of the policy. Of these execution, customer, outcome and time are needed.

    \b
      policy replay trace.csv --policy support.policy
      policy replay calls.jsonl --policy support.policy --map execution=ticket time=started_at
      policy replay calls.csv --policy support.policy --set customer=acme plan=growth --format json

    Work that was never recorded is never invented: where the policy would go on and nothing was recorded, the
    execution ends and is counted as one that left the recording. A row that cannot be read is reported with its
    line number on standard error, left out and counted.

    With --decisions, each decision that a `DecisionLog` wrote is made again from the facts written with it, and must
    come out the same; one that another policy or other prices made is asked of what the --ledger keeps, else left out
    and said.

    \b
      policy replay --decisions decisions.jsonl --policy support.policy
      policy replay --decisions decisions.jsonl --policy support.policy --ledger ledger.db

    Exit code: 0 when the replay was done, whatever the policy refused in it; with --decisions, 1 if anything came out
    differently or was left out; 2 if the policy or the file cannot be used, or not one row of it can.
    """  # noqa: D301 - click's mark for lines to be kept
    if (trace is None) == (decisions is None):
        raise click.UsageError("name a TRACE, or a decision log with --decisions")
    from policy_engine.cli.reading import open_policy
    from policy_engine.insight.replay import replay

    screen = Screen(color)
    policy = open_policy(paths, engine, screen, prices)
    if trace is None:
        if renamed or constants:
            raise click.UsageError("--map and --set are for a TRACE; a decision log has its own columns")
        from policy_engine.cli.replay_decisions import replay_log

        assert decisions is not None  # noqa: S101 - one of the two was named
        return replay_log(screen, policy, decisions, form, max_bad, ledger)
    if ledger is not None:
        raise click.UsageError("--ledger is for a decision log: name one with --decisions")
    recorded = _read(trace, policy, _by_header(renamed), dict(constants), screen)
    attempts = sum(len(execution.attempts) for execution in recorded.executions.values())
    with screen.progress("replaying", attempts) as progress:
        result = replay(policy, recorded, progress=progress)
    _show_bad(screen, result, trace, max_bad)
    if not result.summary().executions:
        raise Problem("there are no rows in it" if not result.rows else "not one row of it can be used", trace)
    if form == "json":
        screen.json(result.to_json())
    else:
        from policy_engine.cli.replay_tables import show_result

        show_result(screen, result, trace)
    return CLEAN


def _by_header(renamed: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """Our columns by the file's. Raises a usage error where one of either is named twice."""
    for names in zip(*renamed, strict=True):
        for name in names:
            if names.count(name) > 1:
                raise click.UsageError(f"--map names the column `{name}` twice")
    return {name: ours for ours, name in renamed}


def _read(path: str, policy: "Policy", renamed: dict[str, str], constants: dict[str, str], screen: Screen) -> "Trace":
    from policy_engine.cli.reading import unreadable
    from policy_engine.insight.trace import TraceError, TraceReader

    file = Path(path)
    try:
        reader = TraceReader(policy, renamed, constants)
        large = file.stat().st_size > LARGE_FILE
        with screen.progress("reading", None) if large else screen.progress("reading", 0):
            return reader.read(file)
    except TraceError as error:
        raise Problem(str(error)) from None
    except OSError as error:
        raise unreadable(error) from None


def _show_bad(screen: Screen, result: "ReplayResult", name: str, most: int) -> None:
    from policy_engine.language.diagnostics import count

    for row in result.bad[:most]:
        screen.note(("Error: ", "error"), (f"{name}:{row.line}: ", "place"), row.message)
    if result.bad:
        hidden = len(result.bad) - most
        more = f", {hidden:,} of them not shown" if hidden > 0 else ""
        screen.note((f"{count(len(result.bad), 'row')} of {result.rows:,} left out{more}", "warning"))
