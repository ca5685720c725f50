"""`policy prices diff`: the lock against today's catalogue."""

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from policy_engine.cli.app import CLEAN, FINDINGS
from policy_engine.cli.catalogue import amount, look_up, open_catalogue, unstated
from policy_engine.cli.problems import Problem
from policy_engine.cli.render import Screen
from policy_engine.language.diagnostics import count
from policy_engine.language.units import print_money
from policy_engine.prices.comparing import Change, changes, percent

if TYPE_CHECKING:
    from policy_engine.analysis.repricing import Move
    from policy_engine.prices.catalogue import Unlisted
    from policy_engine.prices.table import PriceTable


@dataclass(slots=True)
class Difference:
    """What writing a lock again would change. `changed` is by model, `routes` are those of each."""

    table: "PriceTable"
    source: str | None
    day: str | None
    currency: str
    routes: dict[str, tuple[str, ...]]
    changed: dict[str, tuple[Change, ...]] = field(default_factory=dict)
    added: list[str] = field(default_factory=list)  # models that the catalogue has and the lock lacks
    unused: list[str] = field(default_factory=list)  # models of the lock that no route leaves to it
    unlisted: "list[Unlisted]" = field(default_factory=list)
    moves: "tuple[Move, ...]" = ()

    def __bool__(self) -> bool:
        """Whether anything would change."""
        gone = any(error.place in self.table.rates for error in self.unlisted)
        return bool(self.changed or self.added or self.unused or gone)

    def to_json(self) -> dict[str, Any]:
        return {
            "lock": self.table.origin,
            "source": self.source,
            "date": self.day,
            "changed": [
                {
                    "model": model,
                    "routes": list(self.routes[model]),
                    "rate": change.rate,
                    "batch": change.batch,
                    "above_tokens": change.above_tokens,
                    "old_picos": change.old_picos,
                    "new_picos": change.new_picos,
                    "percent": None if change.percent is None else float(change.percent),
                }
                for model, found in self.changed.items()
                for change in found
            ],
            "added": [{"model": model, "routes": list(self.routes[model])} for model in self.added],
            "unused": self.unused,
            "unlisted": [
                {"model": error.place, "message": error.message, "hint": error.hint} for error in self.unlisted
            ],
            "worst": [
                {
                    "ceiling": None if move.ceiling is None else move.ceiling.name,
                    "place": None if move.ceiling is None else move.ceiling.place,
                    "outcome": None if move.case is None else move.case.outcome,
                    "lane": None if move.case is None else move.case.lane,
                    "plan": None if move.case is None else move.case.plan,
                    "old_nanos": move.old_nanos,
                    "new_nanos": move.new_nanos,
                }
                for move in self.moves
            ],
        }


def show_difference(screen: Screen, paths: tuple[str, ...], lock: str | None, form: str) -> int:
    """Compare and show. Raises `Problem` where there is no lock, or something cannot be used."""
    found = _difference(screen, paths, lock)
    if form == "json":
        screen.json(found.to_json())
    else:
        _show(screen, found)
    return FINDINGS if found else CLEAN


def _difference(screen: Screen, paths: tuple[str, ...], lock: str | None) -> Difference:
    from policy_engine.analysis.repricing import moves
    from policy_engine.cli.reading import checked_policy, read_prices, unpriceable
    from policy_engine.policy import price
    from policy_engine.prices.records import PriceError
    from policy_engine.prices.table import PriceTable

    table = read_prices(paths, lock)
    policy = checked_policy(paths, screen)
    wanted = unstated(policy)
    if table is None and not wanted:
        return Difference(PriceTable(policy.currency), None, None, policy.currency, wanted)
    if table is None:
        raise Problem("there is no price lock beside the policy", hint="write one with `policy prices lock`")
    catalogue = open_catalogue(policy)
    entries, unlisted = look_up(catalogue, wanted)
    fresh = {model: entry.rates for model, entry in entries.items()}
    found = Difference(table, catalogue.source, catalogue.on.isoformat(), policy.currency, wanted, unlisted=unlisted)
    for model, rates in fresh.items():
        old = table.get(model)
        if old is None:
            found.added.append(model)
        elif old != rates:
            found.changed[model] = changes(old, rates)
    found.unused = [model for model in table.rates if model not in wanted]
    try:
        # A model that comes or goes is told by itself: what moves is what is priced before and after.
        before = price(policy, PriceTable(table.currency, {**fresh, **table.rates}))[0]
        now = price(policy, PriceTable(catalogue.currency, {**table.rates, **fresh}))[0]
    except PriceError as error:
        raise unpriceable(error) from None
    found.moves = moves(before, now)
    return found


# ---------------------------------------------------------------- for people


def _show(screen: Screen, found: Difference) -> None:
    from policy_engine.cli.tables import Column, Table

    table = Table([Column(), Column(right=True), Column(), Column(right=True), Column(right=True)], indent="  ")
    for model, changed in found.changed.items():
        screen.say((model, "strong"), f"  {_routes(found.routes[model])}")
        table.rows = [
            (change.words, amount(change.old_picos), "→", amount(change.new_picos), _percent(change.percent))
            for change in changed
        ]
        table.show(screen.say, screen.width)
    for model in found.added:
        screen.say((model, "strong"), f"  {_routes(found.routes[model])}: ", ("not in the lock", "warning"))
    for model in found.unused:
        screen.say((model, "strong"), ": ", ("no route leaves its price to the lock", "warning"))
    for error in found.unlisted:
        screen.say(
            (error.place or "", "strong"), f"  {_routes(found.routes[error.place or ''])}: ", (error.message, "bad")
        )
    if found.moves:
        screen.say()
        screen.say(("at worst", "title"))
        table.rows = [
            (
                _what(move),
                _money(move.old_nanos, found.currency),
                "→",
                _money(move.new_nanos, found.currency),
                _percent(percent(move.old_nanos, move.new_nanos)),
            )
            for move in found.moves
        ]
        table.show(screen.say, screen.width)
    if found or found.unlisted:
        screen.say()
    screen.say(*_summary(found))


def _summary(found: Difference) -> list[str | tuple[str, str]]:
    if found.source is None:
        return ["no route leaves its price to a lock: ", ("nothing would change", "good")]
    against = f"{found.table.origin} against {found.source}, {found.day}: "
    if not found:
        return [against, ("nothing would change", "good")]
    rates = sum(map(len, found.changed.values()))
    said = [f"change {count(rates, 'rate')} of {count(len(found.changed), 'model')}"] if rates else []
    said += [f"add {count(len(found.added), 'model')}"] if found.added else []
    fewer = len(found.unused) + sum(error.place in found.table.rates for error in found.unlisted)
    said += [f"drop {count(fewer, 'model')}"] if fewer else []
    return [against, (f"`policy prices lock` would {', '.join(said)}", "warning")]


def _routes(names: tuple[str, ...]) -> str:
    return f"({', '.join(names)})"


def _what(move: "Move") -> str:
    if move.ceiling is not None:
        return f"{move.ceiling.name} ({move.ceiling.place})"
    assert move.case is not None  # noqa: S101 - it is about one of the two
    return f"one {move.case.outcome} in lane {move.case.lane}"


def _money(nanos: int | None, currency: str) -> str:
    return "no bound" if nanos is None else print_money(nanos, currency)


def _percent(more: Fraction | None) -> str:
    return "" if more is None else f"{float(more):+.1f}%"
