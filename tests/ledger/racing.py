"""Processes that race for the same money in one file: run as a program, so that it may fork before there are threads.

    python -m tests.ledger.racing race PATH PROCESSES THREADS
    python -m tests.ledger.racing fork PATH
    python -m tests.ledger.racing forks PATH THREADS
    python -m tests.ledger.racing memory

`race` prints how many of the runs went; `fork` forks while a thread is writing, and has every child write, too; so does
`forks`, from several threads at once. `memory` forks while threads write in a ledger of one process.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread

from policy_engine.evaluation.facts import Reading
from policy_engine.ledger.memory import MemoryLedger
from policy_engine.ledger.protocol import Charge, Counter, Hold, Ledger
from policy_engine.ledger.sqlite import SqliteLedger
from tests.ledger.conformance import COUNTERS

RUNS, COST, CEILING = 20, 35, 100
DAY = COUNTERS[0]
TOGETHER = 0.3
"""Seconds until everybody starts."""


def run(ledger: Ledger, name: str) -> bool:
    """One attempt: reserved, then settled."""
    if ledger.reserve([Hold(name, (Charge(DAY, COST, CEILING),))], 0):
        return False
    ledger.settle(name, {"spent": COST})
    return True


def race(path: str, processes: int, threads: int) -> int:
    """Everybody tries all the runs at one moment; how many went."""
    SqliteLedger(path).close()
    begin = time.time() + TOGETHER
    children = []
    for number in range(processes):
        child = os.fork()
        if child == 0:
            os._exit(_take_part(path, number, threads, begin))
        children.append(child)
    return sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


def _take_part(path: str, number: int, threads: int, begin: float) -> int:
    ledger = SqliteLedger(path, wait_seconds=60)
    time.sleep(max(0.0, begin - time.time()))
    with ThreadPoolExecutor(threads) as pool:
        went = sum(pool.map(lambda turn: run(ledger, f"{number}/{turn}"), range(RUNS)))
    ledger.close()
    return went


def fork_while_writing(path: str, forks: int = 20) -> None:
    """One ledger object, used by a thread of the parent and by every child."""
    ledger = SqliteLedger(path, wait_seconds=60)
    done = Event()
    written = 0

    def write() -> None:
        nonlocal written
        while not done.is_set():
            ledger.reserve([Hold(f"parent {written}", (Charge(DAY, 1),))], 0)
            ledger.settle(f"parent {written}")
            written += 1

    thread = Thread(target=write)
    thread.start()
    for number in range(forks):
        child = os.fork()
        if child == 0:
            if ledger._store._idle:
                os._exit(2)  # SQLite's connections must not be carried over a fork
            ledger.reserve([Hold(f"child {number}", (Charge(DAY, 1),))], 0)
            ledger.settle(f"child {number}")
            ledger.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    done.set()
    thread.join()
    reading = ledger.readings([DAY])[DAY]
    assert reading is not None
    assert (reading.settled, reading.reserved) == (written + forks, 0)
    assert written > forks, "the thread had no chance to write in between"


def forks_at_once(path: str, threads: int, forks: int = 25) -> None:
    """Two ledgers are open; no thread waits for another's fork for ever."""
    ledgers = [SqliteLedger(f"{path}.{number}", synchronous="OFF", wait_seconds=60) for number in range(2)]

    def fork(thread: int) -> None:
        for number in range(forks):
            child = os.fork()
            ledger = ledgers[number % 2]
            if child == 0:
                ledger.reserve([Hold(f"child {thread} {number}", (Charge(DAY, 1),))], 0)
                os._exit(0)
            ledger.reserve([Hold(f"parent {thread} {number}", (Charge(DAY, 1),))], 0)
            assert os.waitpid(child, 0)[1] == 0

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fork, range(threads)))
    held = [ledger.readings([DAY])[DAY] for ledger in ledgers]
    assert sum(reading.reserved for reading in held if reading is not None) == 2 * threads * forks


def fork_beside_memory(forks: int = 10) -> None:
    """A ledger of one process has a copy in the child, which must not wait for threads that are not there."""
    ledger = MemoryLedger()
    done = Event()

    def slowly() -> Iterator[Counter]:
        time.sleep(0.05)  # under the ledger's lock
        yield DAY

    def read() -> None:
        while not done.wait(0.005):
            ledger.readings(slowly())

    thread = Thread(target=read)
    thread.start()
    waiting = 0
    for number in range(forks):
        time.sleep(0.02)  # until the thread is at it
        child = os.fork()
        if child == 0:
            signal.alarm(3)
            os._exit(bool(ledger.reserve([Hold("child", (Charge(DAY, 1, 1),))], 0)))
        waiting += os.waitpid(child, 0)[1] != 0
        ledger.reserve([Hold(f"parent {number}", (Charge(COUNTERS[1], 1),))], 0)
        if waiting:
            break
    done.set()
    thread.join()
    assert not waiting, "a child waits for ever"
    assert ledger.readings([DAY, COUNTERS[1]]) == {DAY: Reading(), COUNTERS[1]: Reading(0, forks)}


if __name__ == "__main__":
    if sys.argv[1] == "race":
        print(race(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
    elif sys.argv[1] == "memory":
        fork_beside_memory()
    elif sys.argv[1] == "forks":
        forks_at_once(sys.argv[2], int(sys.argv[3]))
    else:
        fork_while_writing(sys.argv[2])
