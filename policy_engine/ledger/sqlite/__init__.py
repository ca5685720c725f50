"""The ledger in one file, for several threads and processes of one machine."""

from policy_engine.ledger.sqlite.ledger import SqliteLedger

__all__ = ["SqliteLedger"]
