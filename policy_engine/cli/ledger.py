"""`policy ledger`: what a ledger holds, whether it adds up, and forgetting what is old."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

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
    if parquet and output is None:
        raise click.UsageError("--parquet needs --output FILE")
    path = path or _default()
    screen = Screen(color)
    with opened(path, writes=action == "prune") as ledger:
        if action == "show":
            return _show(screen, ledger, path, customer, 50 if most is None else most, form)
        if action == "export":
            return _export(screen, ledger, path, what or "entries", output, parquet)
        if action == "verify":
            return _verify(screen, ledger, path, form)
        return _prune(screen, ledger, before, form)


def _default() -> str:
    from policy_engine.ledger.sqlite import default_path

    return default_path()


@contextmanager
def opened(path: str, *, writes: bool) -> "Iterator[SqliteLedger]":
    """A ledger that is there; a copy of it where it can only be read. Raises `Problem` for one that is of no use."""
    from policy_engine.ledger.protocol import LedgerError, LedgerUnavailable

    with ExitStack() as stack:
        try:
            ledger = _ledger(stack, path, writes=writes)
            try:
                yield ledger
            except (TypeError, ValueError, ArithmeticError):
                _require_sound(ledger)  # a row may hold what no ledger writes
                raise
        except LedgerUnavailable as error:
            raise Problem(f"{error.message} ({error.code})", path if error.where else None, hint=error.hint) from None
        except LedgerError as error:
            raise Problem(str(error), path) from None


def _require_sound(ledger: "SqliteLedger") -> None:
    from policy_engine.ledger.sqlite.failures import damaged

    with ledger.book() as book:
        for said in book.damage():
            raise damaged(ledger.path, f": {said}")


def _ledger(stack: ExitStack, path: str, *, writes: bool) -> "SqliteLedger":
    from policy_engine.ledger.protocol import LedgerUnavailable
    from policy_engine.ledger.sqlite import SqliteLedger
    from policy_engine.ledger.sqlite.copying import copied
    from policy_engine.ledger.sqlite.failures import FULL, READONLY, UNOPENED

    try:
        return stack.enter_context(SqliteLedger(path, create=False))
    except LedgerUnavailable as error:
        if writes or error.code not in (FULL, READONLY, UNOPENED) or not Path(path).is_file():
            raise
        return stack.enter_context(SqliteLedger(stack.enter_context(copied(path)), create=False))


# ---------------------------------------------------------------- actions


def _show(screen: Screen, ledger: "SqliteLedger", path: str, customer: str | None, most: int, form: str) -> int:
    from policy_engine.cli.ledger_tables import Shown

    with ledger.book() as book:
        shown = Shown(book, customer)
    if form == "json":
        screen.json(shown.to_json())
    else:
        shown.show(screen, path, most)
    return CLEAN


def _export(screen: Screen, ledger: "SqliteLedger", path: str, what: str, output: str | None, parquet: bool) -> int:
    from policy_engine.cli.ledger_export import export

    with ledger.book() as book:
        export(screen, book, what, output, parquet=parquet, ledger=path)
    return CLEAN


def _verify(screen: Screen, ledger: "SqliteLedger", path: str, form: str) -> int:
    from policy_engine.cli.ledger_tables import difference_row, show_differences
    from policy_engine.ledger.protocol import LedgerUnavailable
    from policy_engine.ledger.verification import contradictions, differences

    with ledger.book() as book:
        damage = list(book.damage())
        try:
            counted = {"entries": sum(1 for _ in book.entries()), "balances": sum(1 for _ in book.balances())}
            counted["grants"] = sum(1 for _ in book.lots())
            damage += contradictions(book)
            found = list(differences(book))
        except LedgerUnavailable:
            for said in damage:
                screen.note(("damage: ", "error"), said)
            raise
    if form == "json":
        screen.json({**counted, "damage": damage, "differences": [difference_row(item) for item in found]})
    else:
        show_differences(screen, path, counted, damage, found)
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


def _micros(text: str) -> int:
    """A date (its first moment, in UTC), a time, or an age."""
    import time
    from datetime import UTC, datetime

    from policy_engine.language.units import UnitError, duration_micros
    from policy_engine.ledger.windows import micros_of

    no_time = click.UsageError(f"--before: `{text}` is no date, time or age; write 2026-09-01 or 90d")

    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        try:
            age = duration_micros(text)
        except UnitError:
            raise no_time from None
        if age < 0:
            raise no_time from None  # nobody means what has yet to begin
        return time.time_ns() // 1000 - age
    return micros_of(found if found.tzinfo is not None else found.replace(tzinfo=UTC))
