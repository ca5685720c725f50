"""The program: its commands, loaded when one is run, and what is done about errors.

Nothing but click is imported here, so that help and completion answer at once.
"""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from policy_engine import __version__
from policy_engine.cli.problems import Problem, refusal

CLEAN, FINDINGS, UNREADABLE, INTERRUPTED = 0, 1, 2, 130
"""The exit codes."""

COMMANDS = {
    "check": "Find every mistake in a policy.",
    "fmt": "Rewrite policy files in canonical form.",
    "lint": "Find what loads and still loses money.",
    "test": "Run the tests of a policy.",
    "explain": "Say in plain words what a policy does.",
    "eval": "Ask a policy for decisions, with facts in JSON.",
    "replay": "Run recorded work through a policy.",
    "prices": "Write down what the models of a policy cost, and see what has changed since.",
    "ledger": "Look at a ledger in a file: what it holds, and whether it adds up.",
    "completion": "Print the completion script of a shell.",
}
"""Every command and what it is for; `cli/<name>.py` has it as `<name>_command`."""


class LazyGroup(click.Group):
    """Imports a command when it is run; its one line of help stands in `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"policy_engine.cli.{cmd_name}"), f"{cmd_name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(name, COMMANDS, 1)
            ctx.fail(f"no such command `{name}`; " + (f"did you mean `{close[0]}`?" if close else _listed(COMMANDS)))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(  # type: ignore[override]  # one signature instead of click's overloads
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        """Run and exit. Whatever a user can cause ends in a message and an exit code, never in a traceback."""
        extra.pop("standalone_mode", None)
        sys.exit(_exit_code(lambda: super(LazyGroup, self).main(args, prog_name, standalone_mode=False, **extra)))


def _exit_code(run: Callable[[], Any]) -> int:
    try:
        code = run()
        sys.stdout.flush()  # a full disk or a closed pipe shows here, not at the very end
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except OSError as error:
        Problem(refusal(error), error.filename).show()
        return UNREADABLE
    return code if isinstance(code, int) else CLEAN


def _listed(names: Sequence[str] | dict[str, str]) -> str:
    return "commands are " + ", ".join(f"`{name}`" for name in names)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="%(prog)s %(version)s")
def app() -> None:
    """Policies for priced AI work: check them, format them, ask them, replay recorded work through them.

    A policy is one or more `.policy` files. Where a command takes a PATH, a directory stands for every
    `.policy` file below it, and all paths together make one policy.

    \b
      policy check support.policy       every mistake, with its place and what to do
      policy fmt support.policy         canonical form
      policy lint support.policy        what loads and still loses money
      policy test                       the tests that lie beside policies
      policy eval admit --policy support.policy --facts ticket.json
      policy replay trace.csv --policy support.policy

    \b
    Exit codes:
      0  clean
      1  findings (check, lint, fmt --check, fmt --diff) or refusals (eval)
      2  wrong usage, or input that cannot be read
    """  # noqa: D301 - click's mark for lines to be kept
