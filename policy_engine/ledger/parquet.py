"""A list of a ledger as a Parquet file. Needs the extra `batch`."""

from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path

import polars as pl

from policy_engine.ledger.listing import COLUMNS, NANO_PLACES, Row

CHUNK = 50_000

AMOUNT = pl.Decimal(38, NANO_PLACES)
TIME = pl.Datetime("us", "UTC")
_TYPES = {
    AMOUNT: ("amount", "limit", "incurred", "settled", "reserved", "price", "spent", "handoff", "revenue"),
    TIME: ("at", "expires", "admitted", "delivered", "lease", "effective"),
    pl.Int64(): ("units", "held", "consumed", "carried", "left", "priority", "attempts", "version"),
    pl.Boolean(): ("over",),
}
TYPES = {name: kind for kind, names in _TYPES.items() for name in names}
"""The type of each column; what is not here is text."""


def write(rows: Iterable[Row], what: str, path: str) -> int:
    """Write every row of the list `what`; answers how many. Raises `OSError`."""
    types = {name: TYPES.get(name, pl.String()) for name in COLUMNS[what]}
    if what == "counters":
        types["carried"] = AMOUNT  # of a grant it is a count
    table = pl.concat([pl.DataFrame(schema=types), *(pl.DataFrame(chunk, schema=types) for chunk in _chunks(rows))])
    written = BytesIO()
    table.write_parquet(written)
    Path(path).write_bytes(written.getbuffer())  # errors of the disk come as those of any file
    return table.height


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    left = iter(rows)
    while chunk := list(islice(left, CHUNK)):
        yield chunk
