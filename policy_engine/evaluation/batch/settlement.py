"""`settle` of many rows: the same transitions as one by one."""

import polars as pl

from policy_engine.evaluation.batch.columns import Columns
from policy_engine.evaluation.batch.conditions import ROOM, Reader, Unbatched
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
    answers: dict[str, pl.Expr] = {}
    for number, kind in enumerate(together.kinds):
        outcome = policy.outcomes[str(kind.who["outcome"])]
        window = outcome.accepted_within_micros
        if window is not None and window > ROOM:
            raise Unbatched("window")
        left = pl.lit(0 if window is None else window, dtype=pl.Int64) - (0 if window is None else since.expr)
        event = str(kind.who["state"]), str(kind.who["event"])
        if event == ("running", "deliver"):
            first: Became = ("delivered", None, "held", 0, "all")
            became = still = ("accepted", None, "consumed", 1, None) if window is None else first
        elif event in _ALWAYS:
            became = still = _ALWAYS[event]
        else:
            became = _closed(event[1], expires=outcome.else_expired).get(event, _NOT)
            still = _OPEN.get(event, _NOT)
        here = pl.col("kind") == number
        both = zip(_values(became, price.expr, left, window), _values(still, price.expr, left, window), strict=True)
        names = ("effect", "reason", "unit", "revenue_nanos", "window_micros")
        for name, (closed, open_) in zip(names, both, strict=True):
            said = closed if became == still else pl.when(left > 0).then(open_).otherwise(closed)
            answers[name] = pl.when(here).then(said).otherwise(answers[name]) if name in answers else said
    sheet.answers = answers
    return sheet


def _values(became: Became, price: pl.Expr, left: pl.Expr, window: int | None) -> list[pl.Expr]:
    effect, reason, unit, sign, stays = became
    rest = {"all": pl.lit(window, dtype=pl.Int64), "rest": left}
    return [
        _word(EFFECTS, effect),
        _word(REASONS, reason),
        _word(UNITS, unit),
        price * sign,
        rest.get(str(stays), pl.lit(None, dtype=pl.Int64)),
    ]


def _word(words: tuple[str, ...], word: str | None) -> pl.Expr:
    return pl.lit(None if word is None else words.index(word), dtype=pl.UInt8)
