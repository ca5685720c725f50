"""The tables of `policy ledger`."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from policy_engine.cli.render import Screen
from policy_engine.cli.tables import Column, Table
from policy_engine.language.diagnostics import count
from policy_engine.ledger.listing import LAST, amount_of, counters, executions, grants
from policy_engine.ledger.protocol import FINAL, HELD, Book
from policy_engine.ledger.verification import Difference

COUNTERS = (
    *(Column("counter", wrapped=True), Column("key", wrapped=True), Column("window")),
    *(Column("settled", right=True), Column("reserved", right=True)),
)
GRANTS = (
    *(Column("grant", wrapped=True), Column("outcome"), Column("left", right=True), Column("held", right=True)),
    *(Column("consumed", right=True), Column("of", right=True), Column("each", right=True), Column("expires")),
)
OPEN = (
    *(Column("open execution", wrapped=True), Column("customer", wrapped=True), Column("outcome"), Column("state")),
    *(Column("spent", right=True), Column("admitted")),
)


class Shown:
    """What `show` says. Counters of single executions are left out: there is one for each, and the execution says it.

    With a customer, only that one's executions and holds, grants, and the counters that are kept by that name.
    """

    def __init__(self, book: Book, customer: str | None) -> None:
        self.ended = self.open_holds = self.holds = 0
        self.executions = []
        theirs: set[str] = set()
        for row in executions(book):
            if customer is None or row["customer"] == customer:
                theirs.add(row["execution"])
                if row["state"] in FINAL:
                    self.ended += 1
                else:
                    self.executions.append(row)
        for entry in book.entries():
            if customer is None or entry.hold.execution in theirs:
                self.holds += 1
                self.open_holds += entry.state == HELD
        self.counters = [
            row
            for row in counters(book, own=False)
            if customer is None or (" per customer " in row["counter"] and row["key"] == customer)
        ]
        for name, newest_first in (("key", False), ("window", True), ("counter", False)):
            self.counters.sort(key=lambda row: row[name] or "", reverse=newest_first)
        self.grants = [row for row in grants(book) if customer is None or row["customer"] == customer]
        self.grants.sort(key=lambda row: row["expires"] or LAST, reverse=True)
        self.currency = {document.text for document in book.documents() if document.kind == "currency"}

    def to_json(self) -> dict[str, Any]:
        return {
            "currency": next(iter(self.currency)) if len(self.currency) == 1 else None,
            "holds": {"all": self.holds, "open": self.open_holds},
            "executions": {"ended": self.ended, "open": [_plain(row) for row in self.executions]},
            "counters": [_plain(row) for row in self.counters],
            "grants": [_plain(row) for row in self.grants],
        }

    def show(self, screen: Screen, path: str, most: int) -> None:
        what = f"{count(self.ended + len(self.executions), 'execution')} ({len(self.executions)} open)"
        money = f", money in {next(iter(self.currency))}" if len(self.currency) == 1 else ""
        screen.say(f"{path}: {what}, {count(self.holds, 'hold')} ({self.open_holds} open){money}")
        newest = _newest(self.counters, most)
        parts: list[tuple[Sequence[Column], list[list[str]]]] = [
            (COUNTERS, [_cells(row, "counter", "key", "window", "settled", "reserved") for row in newest]),
            (
                GRANTS,
                [
                    _cells(row, "grant", "outcome", "left", "held", "consumed", "units", "price", "expires")
                    for row in self.grants
                ],
            ),
            (
                OPEN,
                [_cells(row, "key", "customer", "outcome", "state", "spent", "admitted") for row in self.executions],
            ),
        ]
        sizes = (len(self.counters), len(self.grants), len(self.executions))
        for (columns, rows), size in zip(parts, sizes, strict=True):
            if rows:
                screen.say()
                Table(columns, list(rows[:most])).show(screen.say, screen.width)
            if size > most:
                screen.say((f"{size - most:,} more; see `policy ledger export`, or say --most", "quiet"))


def _newest(rows: Sequence[Mapping[str, Any]], most: int) -> Sequence[Mapping[str, Any]]:
    """So many of these counters, the newest windows of each of them first of all, in the order they have."""
    ranks: list[int] = []
    before: Mapping[str, Any] = {}
    for row in rows:
        same = row["counter"] == before.get("counter")
        ranks.append((ranks[-1] + (row["window"] != before["window"])) if same else 0)
        before = row
    chosen = sorted(range(len(rows)), key=ranks.__getitem__)[:most]
    return [rows[place] for place in sorted(chosen)]


def show_differences(
    screen: Screen, path: str, counted: Mapping[str, int], damage: Sequence[str], found: Sequence[Difference]
) -> None:
    """One line for each thing that is wrong, and a summary."""
    for said in damage:
        screen.say(("damage: ", "error"), said)
    for item in found:
        row = difference_row(item)
        where = " ".join(_one_line(str(row[name])) for name in ("counter", "key", "window", "grant") if row[name])
        screen.say(
            ("difference: ", "error"),
            f"{where}: {row['stored']} {item.what}, and its entries come to {row['computed']}",
        )
    looked_at = f"{count(counted['balances'], 'balance')} and {count(counted['grants'], 'grant')}"
    wrong = count(len(found), "difference") + (f", {count(len(damage), 'damaged place')}" if damage else "")
    verdict = (wrong, "bad") if found or damage else ("everything adds up", "good")
    screen.say(f"{path}: {looked_at} against {count(counted['entries'], 'hold')}: ", verdict)


def difference_row(item: Difference) -> dict[str, Any]:
    """A difference in readable units."""
    counter = item.counter
    quantity = counter.meter.quantity if counter is not None else ""
    return {
        "counter": str(counter.meter) if counter is not None else None,
        "key": counter.key or None if counter is not None else None,
        "window": counter.window or None if counter is not None else None,
        "grant": item.grant,
        "what": item.what,
        "stored": f"{amount_of(quantity, item.stored):f}",
        "computed": f"{amount_of(quantity, item.computed):f}",
    }


def _cells(row: Mapping[str, Any], *names: str) -> list[str]:
    return [_cell(row[name]) for name in names]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value:,f}"
    return f"{value:%Y-%m-%d %H:%M}" if hasattr(value, "strftime") else _one_line(str(value))


def _one_line(text: str) -> str:
    """Whatever breaks a line stands as a blank."""
    return " ".join(text.split())


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: f"{value:f}"
        if isinstance(value, Decimal)
        else value.isoformat()
        if hasattr(value, "isoformat")
        else value
        for name, value in row.items()
    }
