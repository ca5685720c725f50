"""One request to a ledger under conditions that only a process of its own can have.

    python -m tests.ledger.breaking nobody PATH     as a user who may not write the file
    python -m tests.ledger.breaking small PATH      where no file may grow any more
    python -m tests.ledger.breaking lock PATH       keeps the file locked until its input ends

The first two print what `reserve` and `settle` of a hold that is there raise: code, path, and hint.
"""

import os
import resource
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

from policy_engine.ledger.protocol import Charge, Hold, LedgerUnavailable
from policy_engine.ledger.sqlite import SqliteLedger
from tests.ledger.conformance import COUNTERS

NOBODY = 65_534
LONG = "x" * 20_000


def raised(ask: Callable[[], object]) -> str:
    try:
        ask()
    except LedgerUnavailable as error:
        return f"{error.code} {error} ({error.hint})"
    return "nothing was raised"


def main(how: str, path: str) -> None:
    if how == "lock":
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        print("locked", flush=True)
        sys.stdin.read()
        return
    if how == "nobody" and os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    ledger = SqliteLedger(path, create=False)
    if how == "small":
        ledger.renew(["there"], None)
        size = Path(f"{path}-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    charge = Charge(COUNTERS[0], 1)
    print(raised(lambda: ledger.reserve([Hold("new", (charge,), owner=LONG)], 0)))
    print(raised(lambda: ledger.settle("there", {"spent": 1})))


if __name__ == "__main__":
    main(*sys.argv[1:])
