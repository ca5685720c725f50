"""`policy fmt`: policy files in canonical form. A file is replaced whole or not at all."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from policy_engine.cli.app import CLEAN, FINDINGS, UNREADABLE
from policy_engine.cli.options import PolicyPath, screen_options
from policy_engine.cli.problems import Problem, refusal
from policy_engine.cli.render import Screen, show_diagnostics
from policy_engine.cli.rewriting import replace_file, show_diff, unified

if TYPE_CHECKING:
    from policy_engine.language.diagnostics import Diagnostic

STDIN, STDIN_NAME = "-", "<stdin>"


@dataclass(slots=True)
class Formatted:
    """One file: `text` is its canonical form, None where mistakes or the system stand in the way."""

    name: str
    before: str = ""
    text: str | None = None
    changed: bool = False
    mistakes: "tuple[Diagnostic, ...]" = ()
    unreadable: str | None = None
    path: Path | None = field(default=None, repr=False)

    @property
    def state(self) -> str:
        if self.unreadable is not None:
            return "unreadable"
        if self.text is None:
            return "broken"
        return "changed" if self.changed else "unchanged"


@click.command("fmt")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=PolicyPath())
@click.option("--check", is_flag=True, help="Write nothing; list the files that are not in canonical form.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
@screen_options
def fmt_command(paths: tuple[str, ...], check: bool, diff: bool, form: str, color: str) -> int:
    """Rewrite policy files in canonical form.

    PATH is a file, a directory (every `.policy` file below it) or, alone, `-`: then standard input is formatted to
    standard output. Comments are kept, the meaning never changes, line ends become LF. A file with a syntax mistake
    is left as it is, and the mistake is shown.

    \b
      policy fmt policies/              rewrite
      policy fmt --check policies/      for a build: exit code 1 if a file is not in canonical form
      policy fmt --diff support.policy
      policy fmt - < support.policy

    Exit code: 0 if all is well, 1 if a file has a syntax mistake (with --check or --diff, also if one would change),
    2 if a PATH cannot be read or written.
    """  # noqa: D301 - click's mark for lines to be kept
    screen = Screen(color)
    if STDIN in paths and len(paths) > 1:
        raise Problem("`-` stands alone: standard input is formatted to standard output")
    dry = check or diff
    files = [_format(data, name, path) for data, name, path in _inputs(paths)]
    if not dry:
        for file in files:
            _write(file)
    if form == "json":
        screen.json(_json(files, diff=diff))
    else:
        _show(screen, files, dry=dry, diff=diff)
    if any(file.unreadable is not None for file in files):
        return UNREADABLE
    return FINDINGS if any(file.text is None or (dry and file.changed) for file in files) else CLEAN


# ---------------------------------------------------------------- the work


def _inputs(paths: Sequence[str]) -> list[tuple[bytes | OSError, str, Path | None]]:
    from policy_engine.cli.reading import unreadable
    from policy_engine.policy import policy_files

    if STDIN in paths:
        return [(sys.stdin.buffer.read(), STDIN_NAME, None)]
    try:
        files = policy_files(paths)
    except FileNotFoundError as error:
        raise Problem(str(error)) from None
    except OSError as error:
        raise unreadable(error) from None
    return [(_bytes(path), path.as_posix(), path) for path in files]


def _bytes(path: Path) -> bytes | OSError:
    from policy_engine.policy import policy_bytes

    try:
        return policy_bytes(path)
    except OSError as error:
        return error


def _format(data: bytes | OSError, name: str, path: Path | None) -> Formatted:
    from policy_engine.language import encoding, formatter, parser
    from policy_engine.language.diagnostics import Severity

    if isinstance(data, OSError):
        return Formatted(name, unreadable=refusal(data))
    source, mistakes = encoding.decode(data, name)
    if not mistakes:
        file, mistakes = parser.parse(source)
    errors = tuple(item for item in mistakes if item.severity is Severity.ERROR)
    if errors:
        return Formatted(name, before=source.text, mistakes=errors)
    text = formatter.format_file(file)
    # Compared as bytes: a byte order mark or other line ends are a difference too.
    return Formatted(name, before=source.text, text=text, changed=text.encode() != data, path=path)


def _write(file: Formatted) -> None:
    if not file.changed or file.text is None or file.path is None:
        return
    try:
        replace_file(file.path, file.text)
    except OSError as error:
        file.unreadable = refusal(error)


# ---------------------------------------------------------------- what is shown


def _show(screen: Screen, files: Sequence[Formatted], *, dry: bool, diff: bool) -> None:
    from policy_engine.language.diagnostics import count

    for file in files:
        show_diagnostics(screen.note, file.mistakes)
        if file.unreadable is not None:
            screen.note(("Error: ", "error"), f"{file.name}: {file.unreadable}")
    if len(files) == 1 and files[0].name == STDIN_NAME and not dry:
        screen.raw(files[0].text or "")
        return
    for file in files:
        if file.state == "changed" and diff:
            show_diff(screen, _diff(file))
        elif file.state == "changed":
            screen.say("would reformat " if dry else "reformatted ", (file.name, "place"))
    states = [file.state for file in files]
    changed, same = states.count("changed"), states.count("unchanged")
    failed = len(files) - changed - same
    said = [f"{count(changed, 'file')} {'would be ' if dry else ''}reformatted"] if changed else []
    said += [f"{same:,} unchanged" if changed else f"{count(same, 'file')} unchanged"] if same else []
    said += [f"{failed:,} not formatted" if said else f"{count(failed, 'file')} not formatted"] if failed else []
    # With --diff the answer is a patch; what is said about it must not be part of it.
    (screen.note if diff else screen.say)(", ".join(said))


def _diff(file: Formatted) -> str:
    return unified(file.name, file.before, file.text or "", "formatted")


def _json(files: Sequence[Formatted], *, diff: bool) -> dict[str, object]:
    rows: list[dict[str, object]] = []
    for file in files:
        row: dict[str, object] = {"file": file.name, "state": file.state}
        if file.unreadable is not None:
            row["error"] = file.unreadable
        if file.name == STDIN_NAME:
            row["text"] = file.text
        if diff:
            row["diff"] = _diff(file) if file.state == "changed" else ""
        rows.append(row)
    return {"files": rows, "diagnostics": [item.to_json() for file in files for item in file.mistakes]}
