"""A shop whose models have prices in a catalogue of three, on one day."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from genai_prices.data_snapshot import DataSnapshot, set_custom_snapshot
from genai_prices.types import ClauseEquals, ConditionalPrice, Provider, StartDateConstraint

from policy_engine.cli import catalogue
from policy_engine.language.units import Rates, Tier
from policy_engine.prices.lock import Lock, LockedModel
from tests.prices.test_catalogue import batch, model, price

DAY = dt.date(2026, 11, 22)
VERSION = "0.2.3"

POLICY = """\
currency USD
route mini  { model "maker:mini" }
route again { model "maker:mini" }
route long  { model "maker:long"  ceiling 300k tokens per attempt as cap }
route own   { model "maker:unheard of"  rates $1 in, $2 out per 1M tokens }
lane standard { mini -> long -> own }
workflow support {
  outcome draft {
    price $1
    lanes standard
    ceiling 4 attempts per outcome
    ceiling 100k tokens per attempt as tokens_of_draft
    fallback next on any
  }
}
"""
MODELS = [
    model("mini", price(input_mtok="0.15", output_mtok="0.60", cache_read_mtok="0.075"),
          batch(input_mtok="0.075", output_mtok="0.30")),
    model("long", price(input_mtok="3 200000:6", output_mtok="15 200000:22.5", cache_write_mtok="3.75 200000:7.5")),
    model("soon", [ConditionalPrice(prices=price(input_mtok="1", output_mtok="2")),
                   ConditionalPrice(constraint=StartDateConstraint(start_date=dt.date(2026, 12, 1)),
                                    prices=price(input_mtok="2", output_mtok="4"))]),
]  # fmt: skip


@pytest.fixture
def three_models(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import genai_prices

    monkeypatch.setattr(genai_prices, "__version__", VERSION)
    monkeypatch.setattr(catalogue, "today", lambda: DAY)
    maker = Provider(id="maker", name="Maker", api_pattern="x", models=MODELS, model_match=ClauseEquals(equals="soon"))
    set_custom_snapshot(DataSnapshot(providers=[maker], from_auto_update=False))
    yield
    set_custom_snapshot(None)


@pytest.fixture
def shop(desk: Path, three_models: None) -> Path:
    """A directory with the policy above, below the working directory."""
    (desk / "shop").mkdir()
    (desk / "shop" / "a.policy").write_text(POLICY, encoding="utf-8")
    (desk / "other").mkdir()
    (desk / "other" / "b.policy").write_text("error stale\n", encoding="utf-8")
    return desk / "shop"


def write(folder: Path, text: str) -> None:
    (folder / "a.policy").write_text(text, encoding="utf-8")


def lock_of(**rates: Rates) -> str:
    """A lock with these models of the maker."""
    entries = {
        f"maker:{name}": LockedModel.of(each, catalogue=f"maker/{name}", source="genai-prices 0.1.0", on=DAY)
        for name, each in rates.items()
    }
    return Lock.of("USD", entries).text


SEVERAL = "the policy lies in several directories"
MINI = Rates(150_000, 600_000, 75_000, batch=Rates(75_000, 300_000, 75_000))
LONG = Rates(
    3_000_000,
    15_000_000,
    cached_write_picos=3_750_000,
    tiers=(Tier(200_000, Rates(6_000_000, 22_500_000, cached_write_picos=7_500_000)),),
)
