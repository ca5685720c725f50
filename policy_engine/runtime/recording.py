"""The record of an execution, changed by whoever has it: each change is for the version that was read.

An answer may be lost on its way: then nobody knows whether a change was made. Such a change is remembered, so that
finding it made is no sign of somebody else.
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from policy_engine.ledger.protocol import ExecutionRecord, Ledger, LedgerUnavailable

Ends = Mapping[str, Any]
"""What `Ledger.change` takes beside a record: which holds are settled, released, reversed, renewed."""


class Recording:
    """`record` is the execution's as it was put or expected last."""

    def __init__(self, ledger: Ledger, record: ExecutionRecord) -> None:
        self._ledger = ledger
        self.record = record
        self._unanswered: list[ExecutionRecord] = []

    def put(self, changed: ExecutionRecord, ends: Ends) -> bool:
        """Keep a changed record; False if somebody else has changed it meanwhile. Raises `LedgerUnavailable`."""
        sent = replace(changed, version=self.record.version)
        try:
            while not self._ledger.change(sent, **ends):
                there = self._there()
                if there == _next(sent):
                    break  # it was made the last time it was asked for
                if there is None or there not in self._unanswered:
                    return False
                sent = replace(sent, version=there.version)
        except LedgerUnavailable:
            self._unanswered.append(_next(sent))
            raise
        self._unanswered.clear()
        self.record = _next(sent)
        return True

    def expect(self, changed: ExecutionRecord) -> None:
        """Go by a changed record that is put later."""
        self.record = replace(changed, version=self.record.version)

    def amend(self, *, attempts: int, spent_nanos: int) -> None:
        """Correct the figures of one that has ended, whatever has become of it since. Raises `LedgerUnavailable`."""
        while not self.put(replace(self.record, attempts=attempts, spent_nanos=spent_nanos), {}):
            there = self._there()
            if there is None:
                return
            self.record = there

    def _there(self) -> ExecutionRecord | None:
        record = self.record
        return self._ledger.execution(record.customer, record.outcome, record.key)


def _next(sent: ExecutionRecord) -> ExecutionRecord:
    """A record as it stands when it was put."""
    return replace(sent, version=sent.version + 1)
