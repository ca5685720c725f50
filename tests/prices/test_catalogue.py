"""What the catalogue says becomes rates: rounded up, by day, the dearest where it depends."""

import datetime as dt
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot
from genai_prices.types import (
    ClauseContains,
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from policy_engine.language.units import Rates
from policy_engine.language.units import Tier as Above
from policy_engine.prices.catalogue import Catalogue
from policy_engine.prices.records import PriceError

DAY = dt.date(2026, 11, 22)


def amount(text: str) -> Decimal | TieredPrices:
    """`3`, or `3 200000:6`: amounts per million tokens, with those above so many."""
    base, *tiers = text.split()
    if not tiers:
        return Decimal(base)
    pairs = [tier.split(":") for tier in tiers]
    return TieredPrices(base=Decimal(base), tiers=[Tier(start=int(s), price=Decimal(p)) for s, p in pairs])


def price(**amounts: str) -> ModelPrice:
    return ModelPrice(**{name: amount(text) for name, text in amounts.items()})


def model(name: str, prices: Any, *variants: PriceVariant) -> ModelInfo:
    return ModelInfo(id=name, match=ClauseEquals(equals=name), prices=prices, price_variants=list(variants) or None)


def batch(since: dt.date | None = None, **amounts: str) -> PriceVariant:
    constraint = None if since is None else StartDateConstraint(start_date=since)
    return PriceVariant(when={"processing": "batch"}, prices=price(**amounts), constraint=constraint)


NIGHT = TimeOfDateConstraint(start_time=dt.time(16, 30), end_time=dt.time(0, 30))
SOON = StartDateConstraint(start_date=dt.date(2026, 12, 1))
LATER = StartDateConstraint(start_date=dt.date(2027, 1, 1))
BEFORE = StartDateConstraint(start_date=DAY)

MODELS = [
    model("plain", price(input_mtok="0.15", output_mtok="0.60", web_searches_kcount="10")),
    model("cached", price(input_mtok="3", output_mtok="15", cache_read_mtok="0.3", cache_write_mtok="3.75",
                          cache_write_1h_mtok="6")),
    model("short cache", price(input_mtok="3", output_mtok="15", cache_write_5m_mtok="3.75")),
    model("fine", price(input_mtok="0.0416666666666667", output_mtok="0.0000001")),
    model("tiers", price(input_mtok="3 200000:6", output_mtok="15 200000:22.5 500000:45", cache_read_mtok="0.3")),
    model("back again", price(input_mtok="3 10:6 20:3 30:3", output_mtok="15")),
    model("batched", price(input_mtok="3", output_mtok="15", cache_read_mtok="0.3"),
          batch(input_mtok="1.5", output_mtok="7.5")),
    model("batched soon", price(input_mtok="3", output_mtok="15"),
          batch(SOON.start_date, input_mtok="1.5", output_mtok="7.5")),
    model("other service", price(input_mtok="3", output_mtok="15"),
          PriceVariant(when={"service_tier": "priority"}, prices=price(input_mtok="6"))),
    model("sounds", price(input_mtok="0.3", output_mtok="2.5", input_audio_mtok="1", output_image_mtok="30",
                          cache_audio_read_mtok="1.1", output_reasoning_mtok="3")),
    model("cheap sounds", price(input_mtok="0.3", output_mtok="2.5", input_audio_mtok="0.2")),
    model("nights", [ConditionalPrice(prices=price(input_mtok="0.55", output_mtok="1", cache_read_mtok="0.1")),
                     ConditionalPrice(constraint=NIGHT, prices=price(input_mtok="0.13", output_mtok="2"))]),
    model("days", [ConditionalPrice(constraint=BEFORE, prices=price(input_mtok="1", output_mtok="2")),
                   ConditionalPrice(constraint=LATER, prices=price(input_mtok="5", output_mtok="6")),
                   ConditionalPrice(constraint=SOON, prices=price(input_mtok="3", output_mtok="4"))]),
    model("night writes", [ConditionalPrice(prices=price(input_mtok="1", output_mtok="1", cache_write_mtok="2")),
                           ConditionalPrice(constraint=NIGHT, prices=price(input_mtok="1", output_mtok="1",
                                                                           cache_write_1h_mtok="1.5"))]),
    ModelInfo(id="Long/Name", match=ClauseEquals(equals="accounts/long/name"), prices=price(
        input_mtok="1", output_mtok="1")),
    model("free", price(input_mtok="0", output_mtok="0")),
    model("no output", price(input_mtok="0.02")),
    model("no input", price(output_mtok="0.02")),
    model("asked", price(input_mtok="1", output_mtok="1", requests_kcount="5")),
    model("heard", price(input_mtok="1", output_mtok="1", input_audio_hours="0.04")),
]  # fmt: skip
PROVIDERS = [
    Provider(id="maker", name="Maker", api_pattern="x", models=MODELS, model_match=ClauseContains(contains="ain")),
    Provider(id="cloud", name="Cloud", api_pattern="y", models=[], fallback_model_providers=["maker"]),
]


@pytest.fixture(autouse=True)
def _snapshot() -> Iterator[None]:
    set_custom_snapshot(DataSnapshot(providers=PROVIDERS, from_auto_update=False))
    yield
    set_custom_snapshot(None)


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(DAY)


@pytest.mark.parametrize(
    ("reference", "rates"),
    [
        ("maker:plain", Rates(150_000, 600_000)),  # what is searched on the web is paid apart
        ("maker:cached", Rates(3_000_000, 15_000_000, 300_000, 3_750_000, 6_000_000)),
        ("maker:short cache", Rates(3_000_000, 15_000_000, cached_write_picos=3_750_000)),
        ("maker:fine", Rates(41_667, 1)),  # up, to whole pico units
        (
            "maker:tiers",  # each amount changes at its own length, or does not
            Rates(
                3_000_000,
                15_000_000,
                300_000,
                tiers=(
                    Above(200_000, Rates(6_000_000, 22_500_000, 300_000)),
                    Above(500_000, Rates(6_000_000, 45_000_000, 300_000)),
                ),
            ),
        ),
        (
            "maker:back again",
            Rates(
                3_000_000,
                15_000_000,
                tiers=(Above(10, Rates(6_000_000, 15_000_000)), Above(20, Rates(3_000_000, 15_000_000))),
            ),
        ),
        # What a batch says nothing of costs what it ever costs.
        ("maker:batched", Rates(3_000_000, 15_000_000, 300_000, batch=Rates(1_500_000, 7_500_000, 300_000))),
        ("maker:batched soon", Rates(3_000_000, 15_000_000)),
        ("maker:other service", Rates(3_000_000, 15_000_000)),
        ("maker:sounds", Rates(300_000, 2_500_000, dearest_input_picos=1_100_000, dearest_output_picos=30_000_000)),
        ("maker:cheap sounds", Rates(300_000, 2_500_000)),
        (
            "maker:nights",
            Rates(550_000, 2_000_000, 130_000),
        ),  # the dearer of each; by night there is no rate for what is cached
        ("maker:night writes", Rates(1_000_000, 1_000_000, None, 2_000_000, 2_000_000)),
        ("maker:days", Rates(1_000_000, 2_000_000)),
        ("maker:long/name", Rates(1_000_000, 1_000_000)),  # as the catalogue calls it
        ("maker:accounts/long/name", Rates(1_000_000, 1_000_000)),  # as its provider does
        ("maker:free", Rates(0, 0)),
        ("plain", Rates(150_000, 600_000)),  # a name that tells its provider
        ("MAKER:Plain", Rates(150_000, 600_000)),
        ("cloud:batched", Rates(3_000_000, 15_000_000, 300_000)),  # another provider's batches are not for sale here
    ],
)
def test_the_rates_of_a_model(catalogue: Catalogue, reference: str, rates: Rates) -> None:
    assert catalogue.entry(reference).rates == rates


def test_an_entry_says_where_it_is_from(catalogue: Catalogue) -> None:
    entry = catalogue.entry("cloud:plain")
    assert entry.catalogue == "cloud/plain"
    assert entry.source.startswith("genai-prices 0.")
    assert entry.date == DAY


@pytest.mark.parametrize(
    ("day", "input_picos", "next_day"),
    [
        (dt.date(2026, 11, 22), 1_000_000, SOON.start_date),
        (dt.date(2026, 11, 30), 1_000_000, SOON.start_date),
    ],
)
def test_a_later_price_is_known_of(day: dt.date, input_picos: int, next_day: dt.date) -> None:
    catalogue = Catalogue(day)
    assert catalogue.entry("maker:days").rates.input_picos == input_picos
    assert catalogue.changes("maker:days") == next_day
    assert catalogue.changes("maker:plain") is None
    assert catalogue.changes("maker:batched soon") == SOON.start_date


NAMELESS = "write it as `provider:model`, or write `rates` on its routes"
NO_RATE = "the catalogue has no rate for its"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("maker:plian", "maker:plian: the catalogue does not have this model; did you mean `maker:plain`?"),
        ("maker:x9", "maker:x9: the catalogue does not have this model; write `rates` on its routes"),
        ("mkaer:plain", "mkaer:plain: the catalogue has no provider `mkaer`; did you mean `maker:plain`?"),
        ("zzz:plain", "zzz:plain: the catalogue has no provider `zzz`; write `rates` on its routes"),
        ("zzz", f"zzz: the catalogue does not have this model; {NAMELESS}"),
        ("plian", "plian: the catalogue does not have this model; did you mean `maker:plain`?"),
        ("", f": the catalogue does not have this model; {NAMELESS}"),
        (":", ":: the catalogue has no provider ``; write `rates` on its routes"),
        ("maker:no output", f"maker:no output: {NO_RATE} output tokens; write `rates` on its routes"),
        ("maker:no input", f"maker:no input: {NO_RATE} input tokens; write `rates` on its routes"),
        (
            "maker:asked",
            "maker:asked: it is not paid by tokens alone, but by requests too; write `cost` on its routes",
        ),
        (
            "maker:heard",
            "maker:heard: it is not paid by tokens alone, but by input audio hours too; write `cost` on its routes",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_priced_is_an_error(catalogue: Catalogue, reference: str, message: str) -> None:
    with pytest.raises(PriceError) as raised:
        catalogue.entry(reference)
    assert str(raised.value) == message


def test_without_the_package_there_is_no_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    with pytest.raises(PriceError) as raised:
        Catalogue(DAY)
    assert str(raised.value) == 'there is no catalogue of prices; pip install "policy_engine[prices]"'


def test_the_package_has_what_it_is_asked_for() -> None:
    """Its own data: well-known models have rates, with nothing downloaded."""
    set_custom_snapshot(None)
    catalogue = Catalogue(DAY)
    for reference in ("openai:gpt-4o-mini", "anthropic:claude-sonnet-4-5", "google:gemini-2.5-pro"):
        rates = catalogue.entry(reference).rates
        assert 0 < rates.input_picos < rates.output_picos
        assert rates.cached_read_picos is not None
        assert rates.cached_read_picos < rates.input_picos
