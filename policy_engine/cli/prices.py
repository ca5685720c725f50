"""`policy prices`: write down what models cost, and see what has changed since."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from policy_engine.cli.app import CLEAN, FINDINGS
from policy_engine.cli.catalogue import amount, look_up, open_catalogue, unstated
from policy_engine.cli.options import PolicyPath, screen_options
from policy_engine.cli.render import Screen

if TYPE_CHECKING:
    from policy_engine.prices.catalogue import Catalogue
    from policy_engine.prices.lock import Lock

STDIN = "-"


@click.command("prices")
@click.argument("action", metavar="ACTION", type=click.Choice(["lock", "diff"]))
@click.argument("paths", metavar="[PATH...]", nargs=-1, type=PolicyPath())
@click.option(
    "--output", metavar="FILE", type=PolicyPath(), help="lock: write this file, not the one beside the policy."
)
@click.option(
    "--prices", metavar="FILE", type=PolicyPath(), help="diff: compare this file, not the one beside the policy."
)
@screen_options
def prices_command(
    action: str, paths: tuple[str, ...], output: str | None, prices: str | None, form: str, color: str
) -> int:
    """Write down what the models of a policy cost, and see what has changed since.

    ACTION is lock: write `prices.lock.json` beside the policy, with the prices of exactly the models whose routes
    state no `rates` and no `cost`; or diff: show what writing it again would change, and which bounds that moves.

    \b
      policy prices lock support.policy
      policy prices diff support.policy
      policy prices diff policies/customer_support --format json

    Prices are those of the package genai-prices (pip install "policy_engine[prices]"), which brings them along:
    upgrade it for newer ones. Nothing is downloaded. A lock is used by every command that reads the policy, and
    by load(…, prices=PriceTable.read("prices.lock.json")). PATH of diff is the working directory if not given.

    Exit code: 0 if the lock was written whole, or nothing would change; 1 if a model has no price in the catalogue,
    or something would change; 2 if the policy or the lock cannot be used.
    """  # noqa: D301 - click's mark for lines to be kept
    screen = Screen(color)
    if action == "lock":
        if prices is not None:
            raise click.UsageError("--prices is for diff; where to write is --output")
        if not paths:
            raise click.UsageError("name the PATH of the policy whose models are to be priced")
        return _lock(screen, paths, output, form)
    if output is not None:
        raise click.UsageError("--output is for lock; what to compare is --prices")
    from policy_engine.cli.prices_diff import show_difference

    return show_difference(screen, paths or (".",), prices, form)


def _lock(screen: Screen, paths: tuple[str, ...], output: str | None, form: str) -> int:
    from policy_engine.cli.reading import checked_policy
    from policy_engine.prices.lock import Lock

    policy = checked_policy(paths, screen)
    target = Path(output) if output is not None else _beside(paths)
    wanted = unstated(policy)
    if not wanted and not target.exists():
        if form == "json":
            screen.json({"file": None, "digest": None, "models": [], "dropped": [], "unlisted": []})
        else:
            screen.say("no route leaves its price to a lock: ", ("nothing to lock", "good"))
        return CLEAN
    catalogue = open_catalogue(policy)
    found, unlisted = look_up(catalogue, wanted)
    lock = Lock.of(catalogue.currency, found)
    dropped = [model for model in _locked(target) if model not in wanted]
    _write(target, lock.text)
    if form == "json":
        said = [{"model": error.place, "message": error.message, "hint": error.hint} for error in unlisted]
        written = {"file": target.as_posix(), "digest": lock.digest, "models": list(lock.models)}
        screen.json({**written, "dropped": dropped, "unlisted": said})
    else:
        _show(screen, lock, target, catalogue)
        for model in dropped:  # a policy of its own in the same directory may have left it there
            screen.say(("note: ", "note"), f"{model} is no longer in it: no route leaves its price to this lock")
    for error in unlisted:
        screen.note(("Error: ", "error"), (f"{error.place}: ", "place"), error.message)
        screen.note((f"  {error.hint}", "hint"))
    return FINDINGS if unlisted else CLEAN


def _beside(paths: tuple[str, ...]) -> Path:
    """Where the lock of a policy lies. Raises a usage error where that is not one place."""
    from policy_engine.prices.table import LOCK_NAME

    named = [Path(path) for path in paths if path != STDIN]
    folders = list(dict.fromkeys(path if path.is_dir() else path.parent for path in named)) or [Path()]
    if len(folders) > 1:
        raise click.UsageError("the policy lies in several directories: say with --output where its prices go")
    return folders[0] / LOCK_NAME


def _locked(target: Path) -> list[str]:
    """The models of the lock that is there by now; none of one that cannot be read."""
    from policy_engine.prices.table import PriceTable

    try:
        return list(PriceTable.read(target).rates) if target.is_file() else []
    except (ValueError, OSError):
        return []


def _write(target: Path, text: str) -> None:
    """Write a lock whole or not at all; what is no file is written to. Raises `OSError` with its name."""
    from policy_engine.cli.rewriting import replace_file

    try:
        if target.exists() and not target.is_file():  # the standard output, say
            target.write_text(text, encoding="utf-8")
        else:
            replace_file(target, text)
    except OSError as error:
        error.filename = target.as_posix()
        raise


# ---------------------------------------------------------------- what is shown


def _show(screen: Screen, lock: "Lock", target: Path, catalogue: "Catalogue") -> None:
    from policy_engine.cli.tables import Column, Table
    from policy_engine.language.diagnostics import count

    table = Table(
        [
            Column("per million tokens", role="strong"),
            Column("input", right=True),
            Column("cached", right=True),
            Column("output", right=True),
            Column("estimated"),
            Column(),
        ],
        indent="  ",
    )
    for model, entry in lock.models.items():
        rates = entry.rates
        for above, each in ((0, rates), *((tier.above_tokens, tier.rates) for tier in rates.tiers)):
            cached = "" if each.cached_read_picos is None else amount(each.cached_read_picos)
            worst = rates.step(above + 1 if above else 0)
            table.rows.append(
                (
                    f"  above {above:,}" if above else model,
                    amount(each.input_picos),
                    cached,
                    amount(each.output_picos),
                    f"{amount(worst.input_picos)} in, {amount(worst.output_picos)} out",
                    "" if above or _is_named(model, entry.catalogue) else f"as {entry.catalogue}",
                )
            )
    said = f": {count(len(lock.models), 'model')}, {catalogue.source}, {catalogue.on.isoformat()}"
    screen.say((target.as_posix(), "place"), said)
    if table.rows:
        table.show(screen.say, screen.width)
    for model in lock.models:
        later = catalogue.changes(model)
        if later is not None:
            screen.say(("note: ", "note"), f"{model} has other prices from {later.isoformat()} on: lock them then")


def _is_named(model: str, catalogue: str) -> bool:
    """Whether the catalogue has a model by the very name that the policy has for it."""
    return model.lower() == catalogue.replace("/", ":", 1).lower()
