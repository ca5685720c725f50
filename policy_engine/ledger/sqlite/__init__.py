"""The ledger in one file, for several threads and processes of one machine."""

import os

from policy_engine.ledger.sqlite.ledger import SqliteLedger

__all__ = ["DEFAULT_PATH", "PATH_VARIABLE", "SqliteLedger", "default_path"]

PATH_VARIABLE = "POLICY_ENGINE_LEDGER"
DEFAULT_PATH = "policy_engine.db"


def default_path() -> str:
    """The file of whoever names none: what the environment says, else one in the working directory."""
    return os.environ.get(PATH_VARIABLE) or DEFAULT_PATH
