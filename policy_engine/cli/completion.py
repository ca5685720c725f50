"""`policy completion`: the script that teaches a shell the commands and options."""

import click

from policy_engine.cli.app import CLEAN, app
from policy_engine.cli.options import screen_options
from policy_engine.cli.render import Screen


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@screen_options
def completion_command(shell: str, form: str, color: str) -> int:
    """Print the completion script of a shell.

    \b
      bash:  echo 'eval "$(policy completion bash)"' >> ~/.bashrc
      zsh:   echo 'eval "$(policy completion zsh)"' >> ~/.zshrc
      fish:  policy completion fish > ~/.config/fish/completions/policy.fish

    It works in shells that are started afterwards. bash must be version 4.4 or newer.
    """  # noqa: D301 - click's mark for lines to be kept
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the three shells are click's own
    script = kind(app, {}, "policy", "_POLICY_COMPLETE").source()
    screen = Screen(color)
    if form == "json":
        screen.json({"shell": shell, "script": script})
    else:
        screen.raw(script + "\n")
    return CLEAN
