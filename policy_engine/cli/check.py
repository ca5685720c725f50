"""`policy check`: every mistake of a policy set at once."""

from typing import TYPE_CHECKING

import click

from policy_engine.cli.app import CLEAN, FINDINGS
from policy_engine.cli.options import PolicyPath, prices_option, screen_options
from policy_engine.cli.render import Screen, show_diagnostics

if TYPE_CHECKING:
    from policy_engine.cli.reading import PolicySet
    from policy_engine.language.diagnostics import Diagnostic


@click.command("check")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=PolicyPath())
@click.option("--strict", is_flag=True, help="Count warnings as findings.")
@prices_option
@screen_options
def check_command(paths: tuple[str, ...], strict: bool, prices: str | None, form: str, color: str) -> int:
    """Find every mistake in a policy, with its place and what to do.

    PATH is a file, a directory (every `.policy` file below it) or `-` for standard input. All PATHs together
    are checked as one policy; check separate policies one by one.

    \b
      policy check support.policy
      policy check policies/customer_support --strict
      cat support.policy | policy check - --format json

    Exit code: 0 if there is no error, 1 if there is one (with --strict, also for a warning), 2 if a PATH cannot
    be read.
    """  # noqa: D301 - click's mark for lines to be kept
    from policy_engine.cli.reading import read_set
    from policy_engine.cli.unpriced import with_models_meant
    from policy_engine.language.diagnostics import Severity

    found = read_set(paths, prices)
    diagnostics = with_models_meant(found)
    screen = Screen(color)
    if form == "json":
        screen.json(_json(found, diagnostics))
    else:
        show_diagnostics(screen.say, diagnostics)
        screen.say(*_summary(found))
    fatal = [item for item in found.diagnostics if strict or item.severity is Severity.ERROR]
    return FINDINGS if fatal else CLEAN


def _summary(found: "PolicySet") -> list[str | tuple[str, str]]:
    from policy_engine.language.diagnostics import count

    what = count(len(found.sources), "file")
    if found.checked is not None:
        what += f", {count(sum(1 for _ in found.checked.every_rule()), 'rule')}"
        if found.prices is not None:
            what += f", prices from {found.prices.origin}"
    if not found.diagnostics:
        return [f"{what}: ", ("clean", "good")]
    return [f"{what}: ", *_counts(found.diagnostics)]


def _counts(diagnostics: "tuple[Diagnostic, ...]") -> list[str | tuple[str, str]]:
    from policy_engine.language.diagnostics import Severity, count

    parts: list[str | tuple[str, str]] = []
    for severity in Severity:
        number = sum(item.severity is severity for item in diagnostics)
        if number:
            parts += [", "] * bool(parts) + [(count(number, str(severity)), str(severity))]
    return parts


def _json(found: "PolicySet", diagnostics: "tuple[Diagnostic, ...]") -> dict[str, object]:
    checked = found.checked
    return {
        "files": [source.name for source in found.sources],
        "rules": None if checked is None else sum(1 for _ in checked.every_rule()),
        "digest": None if checked is None else checked.digest,
        "prices": None if found.prices is None else {"file": found.prices.origin, "digest": found.prices.digest},
        "diagnostics": [item.to_json() for item in diagnostics],
    }
