"""What is charged is what the catalogue itself works out, for every model that it has; what is estimated is no less."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import TimeOfDateConstraint, Usage

from policy_engine.language.units import Rates
from policy_engine.prices.catalogue import BATCH, Catalogue, Unlisted

DAY = dt.date(2026, 11, 22)
NOON = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
PROVIDERS = [provider for provider in get_snapshot().providers if provider.models]
KINDS = ("audio", "image", "video")
CACHED = {
    "cached_read_tokens": "cache_read_tokens",
    "cached_write_tokens": "cache_write_tokens",
    "cached_hour_write_tokens": "cache_write_1h_tokens",
}


def uses(rates: Rates) -> list[dict[str, int]]:
    """Some requests: short, long, and on both sides of every tier; with nothing in the cache, and with much."""
    edges = [tier.above_tokens + more for tier in rates.tiers for more in (0, 1)]
    found: list[dict[str, int]] = []
    for sent in (0, 1, 1_000, 999_999, *edges):
        found.append({"input_tokens": sent, "output_tokens": 777})
        found.append({"input_tokens": sent, "output_tokens": 0, "cached_read_tokens": sent // 2})
        found.append({"input_tokens": sent, "output_tokens": 1, "cached_write_tokens": sent // 3})
    return found


def theirs(model: Any, provider: Any, used: dict[str, int], context: dict[str, str] | None) -> Decimal:
    """The price in dollars, by the catalogue's own account."""
    usage = Usage(**{CACHED.get(name, name): count for name, count in used.items()})
    priced: Decimal = model.calc_price(usage, provider, genai_request_timestamp=NOON, price_context=context).total_price
    return priced


def by_the_hour(model: Any) -> bool:
    prices = model.prices if isinstance(model.prices, list) else []
    return any(isinstance(price.constraint, TimeOfDateConstraint) for price in prices)


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.id)
def test_every_model_of_a_provider_costs_what_the_catalogue_says(provider: Any) -> None:
    catalogue = Catalogue(DAY)
    for model in provider.models:
        try:
            rates = catalogue._rates(model.id, model, None)
            batch = catalogue._rates(model.id, model, BATCH)
        except Unlisted:
            continue
        for used in uses(rates):
            for context, one in ((None, rates), (BATCH, batch)):
                exact = theirs(model, provider, used, context) * 10**9
                charged = one.cost_nanos(**used)  # type: ignore[arg-type]  # `batch` is a truth value
                # A rate is rounded up to a pico unit per token, a cost to a nano unit.
                slack = 1 + Decimal(used["input_tokens"] + used["output_tokens"]) / 1000
                assert exact <= charged, (model.id, used)
                assert charged <= exact + slack or by_the_hour(model), (model.id, used)
                assert charged <= one.worst_nanos(used["input_tokens"], used["output_tokens"]), (model.id, used)


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.id)
def test_what_is_no_text_is_charged_at_no_less(provider: Any) -> None:
    """A call that is all audio, all images or all video, in the cache or not."""
    catalogue = Catalogue(DAY)
    for model in provider.models:
        price = model.get_prices(NOON)
        kinds = [name for name in vars(price) if name.endswith("_mtok") and name.split("_")[1] in KINDS]
        if not kinds:
            continue
        try:
            rates = catalogue._rates(model.id, model, None)
        except Unlisted:
            continue
        for kind in kinds:
            side, name = kind.split("_")[:2]
            side = "output" if side == "output" else "input"
            read = {"cache_read_tokens": 9_000, kind.replace("mtok", "tokens"): 9_000} if "cache" in kind else {}
            used = {"input_tokens": 0, "output_tokens": 0, f"{side}_tokens": 9_000}
            exact = theirs(model, provider, used | {f"{side}_{name}_tokens": 9_000} | read, None) * 10**9
            more = {f"media_{side}_tokens": 9_000, "cached_read_tokens": 9_000 if read else 0}
            assert exact <= rates.cost_nanos(**used, **more), (model.id, kind)  # type: ignore[arg-type]  # `batch` is a truth value
            assert exact <= rates.worst_nanos(**used), (model.id, kind)


def test_most_models_have_a_price() -> None:
    catalogue, found = Catalogue(DAY), 0
    for provider in PROVIDERS:
        for model in provider.models:
            try:
                catalogue._rates(model.id, model, None)
            except Unlisted:
                continue
            found += 1
    assert found > 1_000
