"""Options that several commands share, and options that take several words."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    NameType = click.ParamType[str]
    PairType = click.ParamType[tuple[str, str]]
else:  # older versions of click have no such parameters
    NameType = PairType = click.ParamType

F = TypeVar("F", bound=Callable[..., Any])


def screen_options(command: F) -> F:
    """`--format` and `--color`."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(["text", "json"]),
        default="text",
        help="`text` for people, `json` for programs.",
    )(color_option(command))


def color_option(command: F) -> F:
    """`--color`."""
    return click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        help="Colour: `auto` on a terminal where NO_COLOR is not set.",
    )(command)


def prices_option(command: F) -> F:
    """`--prices`."""
    return click.option(
        "--prices",
        metavar="FILE",
        type=PolicyPath(),
        help="The price lock to use; without it, the `prices.lock.json` beside the policy if there is one.",
    )(command)


def policy_options(command: F) -> F:
    """`--policy`, `--prices` and `--engine`."""
    command = click.option(
        "--engine",
        type=EngineName(),
        default="compiled",
        help="How the policy is evaluated; all engines decide alike.",
    )(command)
    return policy_option(prices_option(command))


def policy_option(command: F) -> F:
    """`--policy`."""
    return click.option(
        "--policy",
        "-p",
        "paths",
        metavar="PATH...",
        multiple=True,
        required=True,
        type=PolicyPath(),
        help="The policy: files or directories, `-` for standard input. May be repeated.",
    )(command)


class PolicyPath(click.Path):
    """A path of a policy. An empty one is refused: it is a variable that was not set, not the working directory."""

    def __init__(self) -> None:
        super().__init__(readable=False)  # whether it can be read shows when it is

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not value:
            self.fail("a path is empty; write `.` for the working directory", param, ctx)
        return super().convert(value, param, ctx)


class EngineName(NameType):
    """The name of an engine; the list is only looked up when one is used."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from policy_engine.policy import ENGINES

        if value not in ENGINES:
            self.fail(f"`{value}` is no engine; engines are {', '.join(ENGINES)}", param, ctx)
        return str(value)


class Assignment(PairType):
    """One `name=value`."""

    name = "name=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, sign, rest = str(value).partition("=")
        if not sign or not name.strip():
            self.fail(f"`{value}` is not of the form name=value", param, ctx)
        return name.strip(), rest


class ManyWords(click.Command):
    """A command whose repeatable options may be given once with several words: `--set plan=pro customer=acme`.

    `many` says by option which following words belong to it; all others are read as ever.
    """

    many: Mapping[str, Callable[[str], bool]] = {
        "--map": lambda word: "=" in word,
        "--set": lambda word: "=" in word,
        "--policy": lambda word: word.endswith(".policy"),
        "-p": lambda word: word.endswith(".policy"),
    }

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self._spread(args))

    def _spread(self, args: list[str]) -> list[str]:
        known = {option for param in self.params for option in param.opts}
        spread: list[str] = []
        current: str | None = None  # the option whose words are being read
        waiting = False  # its first word comes next, whatever it is
        for index, word in enumerate(args):
            if word == "--":
                return spread + args[index:]
            if waiting:
                waiting = False
            elif word.startswith("-") and word != "-":
                current = word.partition("=")[0]
                current = current if current in self.many and current in known else None
                waiting = current is not None and "=" not in word
            elif current is not None and self.many[current](word):
                spread.append(current)
            else:
                current = None
            spread.append(word)
        return spread
