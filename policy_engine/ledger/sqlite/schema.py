"""The tables, and how files of older versions become those of this one.

A migration takes a file from the version before; it runs in one transaction with all that follow. What stood in a
version that was once released is never changed here: tests keep such files as SQL text.
"""

import sqlite3

from policy_engine.ledger.sqlite import failures

APPLICATION = 0x504F4C31  # "POL1" in the file's header says that it is a ledger
NEVER = 2**63 - 1
"""An expiry that does not come, so that times can be compared and indexed."""

LEAST_SQLITE = (3, 37, 0)  # strict tables

_FIRST = (
    """CREATE TABLE meters (
        id INTEGER PRIMARY KEY,
        quantity TEXT NOT NULL,
        block_kind TEXT NOT NULL,
        block_name TEXT NOT NULL,
        execution TEXT NOT NULL,
        key TEXT NOT NULL,
        window TEXT NOT NULL,
        UNIQUE (quantity, block_kind, block_name, execution, key, window)
    ) STRICT""",
    """CREATE TABLE counters (
        meter INTEGER NOT NULL,
        key TEXT NOT NULL,
        window TEXT NOT NULL,
        settled INTEGER NOT NULL DEFAULT 0,
        reserved INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (meter, key, window)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE grants (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        customer TEXT NOT NULL,
        outcome TEXT NOT NULL,
        kind TEXT NOT NULL,
        units INTEGER NOT NULL,
        price_nanos INTEGER NOT NULL,
        priority INTEGER NOT NULL,
        effective_micros INTEGER NOT NULL,
        expires_micros INTEGER NOT NULL,
        created_micros INTEGER NOT NULL,
        held INTEGER NOT NULL DEFAULT 0,
        consumed INTEGER NOT NULL DEFAULT 0
    ) STRICT""",
    "CREATE INDEX grants_of ON grants (customer, outcome, expires_micros)",
    """CREATE TABLE holds (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        state TEXT NOT NULL,
        unit TEXT,
        owner TEXT NOT NULL,
        at_micros INTEGER NOT NULL,
        expires_micros INTEGER NOT NULL,
        execution TEXT NOT NULL,
        policy_digest TEXT NOT NULL,
        price_digest TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX holds_due ON holds (expires_micros) WHERE state = 'held'",
    "CREATE INDEX holds_of ON holds (execution) WHERE execution <> ''",
    """CREATE TABLE charges (
        hold INTEGER NOT NULL,
        place INTEGER NOT NULL,
        meter INTEGER NOT NULL,
        key TEXT NOT NULL,
        window TEXT NOT NULL,
        amount INTEGER NOT NULL,
        bound INTEGER,
        rule TEXT NOT NULL,
        incurred INTEGER,
        PRIMARY KEY (hold, place)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE executions (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        customer TEXT NOT NULL,
        outcome TEXT NOT NULL,
        key TEXT NOT NULL,
        plan TEXT,
        lane TEXT NOT NULL,
        draw_kind TEXT NOT NULL,
        draw_grant TEXT,
        price_nanos INTEGER NOT NULL,
        given TEXT NOT NULL,
        policy_digest TEXT NOT NULL,
        price_digest TEXT NOT NULL,
        state TEXT NOT NULL,
        admitted_micros INTEGER NOT NULL,
        delivered_micros INTEGER,
        attempts INTEGER NOT NULL,
        spent_nanos INTEGER NOT NULL,
        handoff_nanos INTEGER NOT NULL,
        revenue_nanos INTEGER NOT NULL,
        owner TEXT NOT NULL,
        lease_micros INTEGER,
        version INTEGER NOT NULL,
        decision TEXT NOT NULL,
        UNIQUE (customer, outcome, key)
    ) STRICT""",
    """CREATE TABLE documents (
        kind TEXT NOT NULL,
        digest TEXT NOT NULL,
        text TEXT NOT NULL,
        PRIMARY KEY (kind, digest)
    ) STRICT, WITHOUT ROWID""",
)

_SECOND = (
    # what pruned entries came to
    "ALTER TABLE counters ADD COLUMN carried INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE grants ADD COLUMN carried INTEGER NOT NULL DEFAULT 0",
    # what waits for its acceptance
    "CREATE INDEX executions_delivered ON executions (delivered_micros) WHERE state = 'delivered'",
)

MIGRATIONS = (_FIRST, _SECOND)
VERSION = len(MIGRATIONS)


def version_of(connection: sqlite3.Connection, path: str) -> int:
    """The file's version, 0 for an empty one. Raises `LedgerUnavailable` for a file that cannot be used."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if application or version or tables:
            raise failures.foreign(path)
    if version > VERSION:
        raise failures.newer(path, version, VERSION)
    return int(version)


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Bring the file to this version. To be called inside a transaction."""
    for statements in MIGRATIONS[version_of(connection, path) :]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
