"""The command line: `policy check`, `fmt`, `eval`, `replay`, `completion`; one file per command.

Exit codes: 0 clean, 1 findings or refusals, 2 usage or unreadable input.
"""

import signal
import sys


def main() -> None:
    """Run the program `policy`. Never returns."""
    from policy_engine.cli.app import app

    if hasattr(signal, "SIGPIPE"):  # `policy check … | head` ends as any other program would, in silence
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a sign gets its number; it is no reason to fail.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # text files both
    app.main(prog_name="policy")
