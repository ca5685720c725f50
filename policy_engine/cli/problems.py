"""What stops a command: one message on the standard error stream, and exit code 2."""

from typing import IO, Any

import click


def refusal(error: OSError) -> str:
    """What the operating system said, as our messages are written."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]


class Problem(click.ClickException):
    """Input that cannot be used. `what` is the file or option it is about, `hint` the one thing to do."""

    exit_code = 2

    def __init__(self, message: str, what: object = None, *, hint: str | None = None) -> None:
        super().__init__(f"{what}: {message}" if what is not None else message)
        self.hint = hint

    def show(self, file: IO[Any] | None = None) -> None:
        from policy_engine.cli.render import Screen

        screen = Screen()
        screen.note(("Error: ", "error"), self.message)
        if self.hint:
            screen.note(("  " + self.hint, "hint"))
