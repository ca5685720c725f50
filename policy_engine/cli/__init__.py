"""The command line: `policy check`, `fmt`, `eval`, `replay`, `completion`; one file per command.

Exit codes: 0 clean, 1 findings or refusals, 2 usage or unreadable input.
"""

import signal
import sys
from io import TextIOWrapper


def main() -> None:
    """Run the program `policy`. Never returns."""
    from policy_engine.cli.app import app

    if hasattr(signal, "SIGPIPE"):  # `policy check … | head` ends as any other program would, in silence
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a sign gets its number; it is no reason to fail.
        if isinstance(stream, TextIOWrapper):  # else whoever put something in its place sees to that
            stream.reconfigure(errors="backslashreplace")
    app.main(prog_name="policy")
