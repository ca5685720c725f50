"""The ledger in a file: the conformance machine, with the file closed and opened again in between."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis.stateful import rule

from policy_engine.ledger.sqlite import SqliteLedger
from tests.generators.settings import examples
from tests.ledger.conformance import LedgerMachine


class SqliteMachine(LedgerMachine):
    def make(self) -> SqliteLedger:
        self.directory = TemporaryDirectory()
        self.path = Path(self.directory.name) / "ledger.db"
        return SqliteLedger(self.path, synchronous="OFF")

    @rule()
    def open_again(self) -> None:
        self.ledger.close()
        self.ledger = SqliteLedger(self.path, synchronous="OFF", create=False)

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "directory"):
            self.directory.cleanup()


TestSqlite = SqliteMachine.TestCase
TestSqlite.settings = settings(examples(40), stateful_step_count=40)
