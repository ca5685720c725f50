"""A list of a ledger as a Parquet file. Needs the extra `batch`."""

from collections.abc import Iterable, Iterator
from io import BytesIO
from itertools import islice
from pathlib import Path

import polars as pl

from policy_engine.ledger.listing import NANO_PLACES, Row

CHUNK = 50_000

AMOUNT = pl.Decimal(38, NANO_PLACES)
TIME = pl.Datetime("us", "UTC")
_TYPES = {
    AMOUNT: ("amount", "limit", "incurred", "settled", "reserved", "price", "spent", "handoff", "revenue"),
    TIME: ("at", "expires", "admitted", "delivered", "lease", "effective"),
    pl.Int64(): ("units", "held", "consumed", "left", "priority", "attempts", "version"),
    pl.Boolean(): ("over",),
}
TYPES = {name: kind for kind, names in _TYPES.items() for name in names}
"""The type of each column; what is not here is text."""


def write(rows: Iterable[Row], path: str) -> int:
    """Write every row; answers how many. A list without rows is a file without columns. Raises `OSError`."""
    frames = [_frame(chunk) for chunk in _chunks(rows)]
    table = pl.concat(frames) if frames else pl.DataFrame()
    written = BytesIO()
    table.write_parquet(written)
    Path(path).write_bytes(written.getbuffer())  # errors of the disk come as those of any file
    return table.height


def _frame(rows: list[Row]) -> pl.DataFrame:
    units = isinstance(rows[0].get("carried"), int)  # of a grant; of a counter it is an amount
    types = {name: TYPES.get(name, pl.String()) for name in rows[0]}
    if "carried" in types:
        types["carried"] = pl.Int64() if units else AMOUNT
    return pl.DataFrame(rows, schema=types)


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    left = iter(rows)
    while chunk := list(islice(left, CHUNK)):
        yield chunk
