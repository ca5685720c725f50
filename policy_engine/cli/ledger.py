"""`policy ledger`: what a ledger holds, whether it adds up, and forgetting what is old."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from policy_engine.cli.app import CLEAN, FINDINGS
from policy_engine.cli.options import screen_options
from policy_engine.cli.problems import Problem
from policy_engine.cli.render import Screen

if TYPE_CHECKING:
    from policy_engine.ledger.sqlite import SqliteLedger

ACTIONS = ("show", "export", "verify", "prune")
OF = {
    "--customer": ("show",),
    "--most": ("show",),
    "--what": ("export",),
    "--output": ("export",),
    "--parquet": ("export",),
    "--before": ("prune",),
}
"""The actions that an option belongs to."""


@click.command("ledger")
@click.argument("action", metavar="ACTION", type=click.Choice(ACTIONS))
@click.argument("path", metavar="[FILE]", type=click.Path(), required=False)
@click.option("--customer", metavar="NAME", help="show: this customer alone.")
@click.option("--most", type=click.IntRange(min=0), help="show: so many rows of each table (50 if not said).")
@click.option(
    "--what",
    type=click.Choice(["entries", "executions", "counters", "grants"]),
    help="export: which list (entries if not said).",
)
@click.option("--output", "-o", metavar="FILE", type=click.Path(), help="export: a file instead of standard output.")
@click.option("--parquet", is_flag=True, help="export: Parquet instead of JSON lines; needs --output.")
@click.option("--before", metavar="TIME", help="prune: a date, a time with its offset, or an age such as 90d.")
@screen_options
def ledger_command(
    action: str,
    path: str | None,
    customer: str | None,
    most: int | None,
    what: str | None,
    output: str | None,
    parquet: bool,
    before: str | None,
    form: str,
    color: str,
) -> int:
    """Look at a ledger in a file: what it holds, and whether it adds up.

    ACTION is `show`, `export` (one JSON object per line), `verify` (every balance worked out anew) or `prune`
    (forget executions that ended and began before a time, with their holds; balances stay).

    \b
      policy ledger show ledger.db --customer acme
      policy ledger export ledger.db > entries.jsonl
      policy ledger export ledger.db --what executions --parquet --output executions.parquet
      policy ledger verify ledger.db
      policy ledger prune ledger.db --before 90d

    Without FILE it is the one that an engine uses when it is given none: what the environment variable
    POLICY_ENGINE_LEDGER names, else policy_engine.db in the working directory.

    The ledger may be in use: all but `prune` read it as it is at one moment, and nobody waits for them.

    Exit code: 0 if it could be done, 1 if `verify` found a difference, 2 if the file cannot be used.
    """  # noqa: D301 - click's mark for lines to be kept
    given = {"--customer": customer, "--most": most, "--what": what, "--output": output, "--before": before}
    for option, value in {**given, "--parquet": parquet or None}.items():
        if value is not None and action not in OF[option]:
            raise click.UsageError(f"{option} belongs to `policy ledger {OF[option][0]}`")
    screen = Screen(color)
    with _opened(path) as ledger:
        if action == "show":
            return _show(screen, ledger, customer, 50 if most is None else most, form)
        if action == "export":
            return _export(screen, ledger, what or "entries", output, parquet)
        if action == "verify":
            return _verify(screen, ledger, form)
        return _prune(screen, ledger, before, form)


@contextmanager
def _opened(path: str | None) -> "Iterator[SqliteLedger]":
    """A ledger that is there. Raises `Problem` for one that cannot be used."""
    from policy_engine.ledger.protocol import LedgerUnavailable
    from policy_engine.ledger.sqlite import SqliteLedger, default_path

    path = path or default_path()
    try:
        ledger = SqliteLedger(path, create=False)
        try:
            yield ledger
        finally:
            ledger.close()
    except LedgerUnavailable as error:
        raise Problem(f"{error.message} ({error.code})", error.where or path, hint=error.hint) from None


# ---------------------------------------------------------------- actions


def _show(screen: Screen, ledger: "SqliteLedger", customer: str | None, most: int, form: str) -> int:
    from policy_engine.cli.ledger_tables import Shown

    with ledger.book() as book:
        shown = Shown(book, customer)
    if form == "json":
        screen.json(shown.to_json())
    else:
        shown.show(screen, ledger.path, most)
    return CLEAN


def _export(screen: Screen, ledger: "SqliteLedger", what: str, output: str | None, parquet: bool) -> int:
    from policy_engine.ledger.listing import LISTS

    if parquet and output is None:
        raise click.UsageError("--parquet needs --output FILE")
    with ledger.book() as book:
        rows = LISTS[what](book)
        if parquet:
            assert output is not None  # noqa: S101 - looked at above
            _parquet()(rows, output)
        elif output is not None:
            with open(output, "w", encoding="utf-8") as file:  # noqa: PTH123 - an error names the path as it was given
                file.writelines(line + "\n" for line in map(_line, rows))
        else:
            for row in rows:
                screen.raw(_line(row) + "\n")
            sys.stdout.flush()
    return CLEAN


def _verify(screen: Screen, ledger: "SqliteLedger", form: str) -> int:
    from policy_engine.cli.ledger_tables import difference_row, show_differences
    from policy_engine.ledger.verification import differences

    with ledger.book() as book:
        damage = list(book.damage())
        counted = {"entries": sum(1 for _ in book.entries()), "balances": sum(1 for _ in book.balances())}
        counted["grants"] = sum(1 for _ in book.lots())
        found = list(differences(book))
    if form == "json":
        screen.json({**counted, "damage": damage, "differences": [difference_row(item) for item in found]})
    else:
        show_differences(screen, ledger.path, counted, damage, found)
    return FINDINGS if found or damage else CLEAN


def _prune(screen: Screen, ledger: "SqliteLedger", before: str | None, form: str) -> int:
    from policy_engine.language.diagnostics import count

    if before is None:
        raise click.UsageError("say how old is old: --before 90d, or --before 2026-09-01")
    pruned = ledger.prune(_micros(before))
    if form == "json":
        screen.json({"executions": pruned.executions, "holds": pruned.entries, "counters": pruned.counters})
    else:
        what = f"{count(pruned.executions, 'execution')}, {count(pruned.entries, 'hold')}"
        screen.say(f"{ledger.path}: forgot {what} and {count(pruned.counters, 'counter')}; balances stay")
    return CLEAN


# ---------------------------------------------------------------- words


def _line(row: dict[str, Any]) -> str:
    """One row as JSON: amounts and times are texts, as JSON's numbers are not exact."""
    import json

    return json.dumps(row, default=lambda value: value.isoformat() if hasattr(value, "isoformat") else f"{value:f}")


def _parquet() -> Callable[[Iterator[dict[str, Any]], str], int]:
    try:
        from policy_engine.ledger.parquet import write
    except ModuleNotFoundError as error:
        if error.name != "polars":
            raise
        raise Problem("--parquet needs the extra `batch`", hint="pip install 'policy_engine[batch]'") from None
    return write


def _micros(text: str) -> int:
    """A date (its first moment, in UTC), a time, or an age."""
    import time
    from datetime import UTC, datetime

    from policy_engine.language.units import UnitError, duration_micros
    from policy_engine.ledger.windows import micros_of

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            return time.time_ns() // 1000 - duration_micros(text)
        except UnitError:
            raise click.UsageError(f"--before: `{text}` is no date, time or age; write 2026-09-01 or 90d") from None
    return micros_of(found if found.tzinfo is not None else found.replace(tzinfo=UTC))
