"""The catalogue of prices as commands use it: the models of a policy, looked up as of today."""

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from policy_engine.cli.problems import Problem

if TYPE_CHECKING:
    from policy_engine.language.checked import CheckedPolicy
    from policy_engine.prices.catalogue import Catalogue, Unlisted
    from policy_engine.prices.lock import LockedModel


def unstated(policy: "CheckedPolicy") -> dict[str, tuple[str, ...]]:
    """The models whose routes leave their price to a table, with those routes, in the order they are written."""
    found: dict[str, tuple[str, ...]] = {}
    for route in sorted(policy.routes.values(), key=lambda route: route.span.order):
        if route.kind == "model" and route.rates is None and route.cost_nanos is None:
            found[route.reference] = (*found.get(route.reference, ()), route.name)
    return found


def open_catalogue(policy: "CheckedPolicy") -> "Catalogue":
    """Today's prices. Raises `Problem` where there are none, or none in the policy's currency."""
    from policy_engine.cli.reading import unpriceable
    from policy_engine.prices.catalogue import CURRENCY, Catalogue
    from policy_engine.prices.records import PriceError

    if policy.currency != CURRENCY:
        raise Problem(
            f"the catalogue has prices in {CURRENCY}, and the policy is in {policy.currency}",
            hint=f"write `rates` in {policy.currency} on its routes",
        )
    try:
        return Catalogue(today())
    except PriceError as error:
        raise unpriceable(error) from None


def today() -> date:
    """The day whose prices are looked up."""
    return datetime.now(UTC).date()


def look_up(
    catalogue: "Catalogue", wanted: "dict[str, tuple[str, ...]]"
) -> "tuple[dict[str, LockedModel], list[Unlisted]]":
    """What the catalogue has of these models, and why it has not the others."""
    from policy_engine.prices.catalogue import Unlisted

    found: dict[str, LockedModel] = {}
    unlisted: list[Unlisted] = []
    for model in wanted:
        try:
            found[model] = catalogue.entry(model)
        except Unlisted as error:
            unlisted.append(error)
    return found, unlisted


def amount(picos: int | None) -> str:
    """A rate in the catalogue's currency per million tokens."""
    from policy_engine.language.units import PICOS_PER_NANO, print_money
    from policy_engine.prices.catalogue import CURRENCY

    return "–" if picos is None else print_money(picos * 10**6 // PICOS_PER_NANO, CURRENCY)
