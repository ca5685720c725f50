"""`settle` of many rows: the same transitions as one by one."""

from typing import Any

import polars as pl

from policy_engine.evaluation.batch.columns import Columns
from policy_engine.evaluation.batch.conditions import NULL, ROOM, Reader, Unbatched
from policy_engine.evaluation.batch.groups import Kind, Together, Who
from policy_engine.evaluation.batch.sheet import Sheet
from policy_engine.language.checked import CheckedPolicy
from policy_engine.language.vocabulary import Point

EFFECTS = ("delivered", "accepted", "rejected", "expired", "reversed", "aborted", "handed_off", "refuse")
REASONS = ("window_closed", "not_possible")
UNITS = ("held", "consumed", "restored")

Became = tuple[str, str | None, str | None, int, str | None]
"""Effect, reason, unit, how often the price is earned, and what stays of the window: all, the rest, nothing."""


def kind_of(policy: CheckedPolicy, point: Point, who: Who) -> Kind:
    """How an outcome is accepted, and what happened to it."""
    del point
    outcome = policy.outcomes[str(who["outcome"])]
    how = outcome.accepted_within_micros, outcome.else_expired
    return Kind(who, (), (how, who["state"], who["event"]))


def _closed(event: str, *, expires: bool) -> dict[tuple[str, str], Became]:
    """Of a state and an event when no window is open."""
    lapsed: Became = ("expired", None, "restored", 0, None) if expires else ("accepted", None, "consumed", 1, None)
    late: Became = ("refuse", "window_closed", None, 0, None)
    return {
        ("delivered", "lapse"): lapsed,
        ("delivered", "accept"): late,
        ("delivered", "reject"): late,
        ("accepted", "reverse"): late,
    }


_OPEN: dict[tuple[str, str], Became] = {
    ("delivered", "accept"): ("accepted", None, "consumed", 1, "rest"),
    ("delivered", "reject"): ("rejected", None, "restored", 0, None),
    ("accepted", "reverse"): ("reversed", None, "restored", -1, None),
}
_ALWAYS: dict[tuple[str, str], Became] = {
    ("running", "abort"): ("aborted", None, "restored", 0, None),
    ("running", "hand_off"): ("handed_off", None, "restored", 0, None),
}
_NOT: Became = ("refuse", "not_possible", None, 0, None)


def settle(policy: CheckedPolicy, columns: Columns, together: Together) -> Sheet:
    """The query of an event."""
    reader = Reader(columns)
    sheet = Sheet(together, reader)
    price, since = reader.column("price_nanos"), reader.column("since_delivery_micros")
    windows: dict[int, set[int]] = {}
    said: list[tuple[Became, Became]] = []
    for number, kind in enumerate(together.kinds):
        outcome = policy.outcomes[str(kind.who["outcome"])]
        window = outcome.accepted_within_micros
        if window is not None and window > ROOM:
            raise Unbatched("window")
        windows.setdefault(window or 0, set()).add(number)
        event = str(kind.who["state"]), str(kind.who["event"])
        if event == ("running", "deliver"):
            first: Became = ("delivered", None, "held", 0, "all")
            became = still = ("accepted", None, "consumed", 1, None) if window is None else first
        elif event in _ALWAYS:
            became = still = _ALWAYS[event]
        else:
            became = _closed(event[1], expires=outcome.else_expired).get(event, _NOT)
            still = _OPEN.get(event, _NOT)
        said.append((became, still))
    window_of = _chosen([(pl.lit(window, dtype=pl.Int64), kinds) for window, kinds in windows.items()], together)
    # The length of an outcome's window; without one it is never open.
    left = sheet.keep(window_of - since.expr, sheet.stage())
    windowless = together.within(windows.get(0, ()))
    is_open = left > 0
    if windows.get(0):
        is_open = pl.lit(value=False) if windowless is None else is_open & ~windowless
    # What became of it, by kind and by whether the window is open.
    case = sheet.keep(pl.col("kind").cast(pl.UInt32) * 2 + is_open.cast(pl.UInt32), sheet.stage())
    cases = [became for both in said for became in both]
    stays = {"all": window_of, "rest": left}
    sheet.answers = {
        "effect": _looked_up(case, [EFFECTS.index(became[0]) for became in cases]),
        "reason": _looked_up(case, [None if became[1] is None else REASONS.index(became[1]) for became in cases]),
        "unit": _looked_up(case, [None if became[2] is None else UNITS.index(became[2]) for became in cases]),
        "revenue_nanos": price.expr * _looked_up(case, [became[3] for became in cases], pl.Int8),
        "window_micros": NULL,
    }
    for how, value in stays.items():
        stay = _looked_up(case, [became[4] == how for became in cases], pl.Boolean)
        sheet.answers["window_micros"] = pl.when(stay).then(value).otherwise(sheet.answers["window_micros"])
    return sheet


def _chosen(values: list[tuple[pl.Expr, set[int]]], together: Together) -> pl.Expr:
    found: pl.Expr | None = None
    for value, kinds in values:
        within = together.within(kinds)
        found = value if found is None or within is None else pl.when(within).then(value).otherwise(found)
    assert found is not None  # noqa: S101 - there are kinds
    return found


def _looked_up(case: pl.Expr, values: list[int] | list[int | None] | list[bool], dtype: Any = pl.UInt8) -> pl.Expr:
    """The value of each row's case; one expression if it is the same in all of them."""
    if len(set(values)) == 1:
        return pl.lit(values[0], dtype=dtype)
    return pl.lit(pl.Series(values, dtype=dtype)).gather(case)
