"""What models cost as of a day, from the data that the package `genai-prices` brings along. Nothing is downloaded.

The catalogue's amounts are per million tokens, in US dollars. They become pico units per token, rounded up. Where
they depend on something an estimate cannot know, the dearest counts: on the time of day, and on what kind of token
(audio, images, reasoning) it is. What it has for priority or flexible service, regions and the like is not looked at.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING

from policy_engine.language.diagnostics import did_you_mean
from policy_engine.language.units import Rates, Tier
from policy_engine.prices.lock import LockedModel
from policy_engine.prices.records import PriceError, rates_of

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ConditionalPrice, ModelInfo, ModelPrice, Provider

CURRENCY = "USD"
PER_MILLION = 10**6
"""Picos per token of one dollar per million tokens."""

CACHED = {
    "cache_read_mtok": "cached_read_picos",
    "cache_write_mtok": "cached_write_picos",
    "cache_write_5m_mtok": "cached_write_picos",
    "cache_write_1h_mtok": "cached_hour_write_picos",
}
TOOLS = ("web_searches_kcount", "storage_searches_kcount")
"""What a request pays for only if it asks for it; a policy has `tool` routes for such things."""

BATCH = {"processing": "batch"}

RATES_HINT = "write `rates` on its routes"

Amounts = dict[str, tuple[tuple[int, Decimal], ...]]
"""What a price key costs: pairs of a number of input tokens and the amount above it, ascending from -1."""


class Unlisted(PriceError):
    """A model that the catalogue does not have, or not with rates per token."""


class Catalogue:
    """The prices of one day. Raises `PriceError`, naming the extra, where the package is not installed."""

    def __init__(self, on: date) -> None:
        self.on = on
        self._snapshot, version = _data()
        self.source = f"genai-prices {version}"
        self.currency = CURRENCY

    def entry(self, reference: str) -> LockedModel:
        """The prices of a model, by the text after `model`: `openai:gpt-4o-mini`. Raises `Unlisted`."""
        provider, model = self._find(reference)
        rates = self._rates(reference, model, None)
        if any(model is own for own in provider.models) and any(v.when == BATCH for v in model.price_variants or ()):
            batch = self._rates(reference, model, BATCH)
            rates = rates if batch == rates else replace(rates, batch=batch)
        return LockedModel.of(rates, catalogue=f"{provider.id}/{model.id}", source=self.source, on=self.on)

    def changes(self, reference: str) -> date | None:
        """The first later day on which the catalogue has other prices for a model; None if it knows of none."""
        _, model = self._find(reference)
        constraints = [price.constraint for price in _conditional(model)]
        constraints += [variant.constraint for variant in model.price_variants or () if variant.when == BATCH]
        days = (getattr(constraint, "start_date", None) for constraint in constraints)
        return min((day for day in days if day is not None and day > self.on), default=None)

    def hint(self, reference: str) -> str | None:
        """`did you mean …?` for a near miss of a model that is there."""
        maker, sign, model = _parted(reference)
        if not sign:
            names = {known.id: f"{provider.id}:{known.id}" for provider in self._main() for known in provider.models}
            near = did_you_mean(model, names)
            return near and f"did you mean `{names[near.split('`')[1]]}`?"
        provider = self._provider(maker)
        if provider is not None:
            near = did_you_mean(model, (known.id for known in provider.models))
            return near and near.replace("`", f"`{maker}{sign}", 1)
        near = did_you_mean(maker, (provider.id for provider in self._snapshot.providers))
        return near and near.replace("`?", f"{sign}{model}`?", 1)

    # ------------------------------------------------------------ finding

    def _find(self, reference: str) -> "tuple[Provider, ModelInfo]":
        maker, sign, model = _parted(reference)
        if sign and self._provider(maker) is None:
            hint = self.hint(reference) or RATES_HINT
            raise Unlisted(f"the catalogue has no provider `{maker}`", reference, hint)
        try:
            return self._snapshot.find_provider_model(model, None, maker if sign else None, None)
        except LookupError:
            if sign and (found := self._listed(maker, model)) is not None:
                return found
            hint = self.hint(reference) or (RATES_HINT if sign else f"write it as `provider:model`, or {RATES_HINT}")
            raise Unlisted("the catalogue does not have this model", reference, hint) from None

    def _listed(self, maker: str, model: str) -> "tuple[Provider, ModelInfo] | None":
        """The model that stands in the catalogue by this very name, though its provider's clients use another one."""
        provider = self._provider(maker)
        models = [] if provider is None else provider.models
        return next(((provider, known) for known in models if provider and known.id.lower() == model.lower()), None)

    def _provider(self, maker: str) -> "Provider | None":
        from genai_prices.data_snapshot import find_provider_by_id

        return find_provider_by_id(self._snapshot.providers, maker)

    def _main(self) -> "Iterator[Provider]":
        """The providers whose models are known by their name alone."""
        return (provider for provider in self._snapshot.providers if provider.model_match is not None)

    # ------------------------------------------------------------ rates

    def _rates(self, reference: str, model: "ModelInfo", context: Mapping[str, str] | None) -> Rates:
        """The dearest rates of the day: some models have a price by night."""
        moments = (datetime.combine(self.on, moment, moment.tzinfo or UTC) for moment in _times(model))
        prices = [_amounts(model.get_prices(moment, context)) for moment in moments]
        amounts: Amounts = {}
        for key in dict.fromkeys(key for price in prices for key in price):
            for price in prices:
                found = price.get(key) or _instead(price, key)
                amounts[key] = _dearer(amounts.get(key, found), found)
        self._by_tokens(reference, amounts)
        starts = sorted({start for steps in amounts.values() for start, _ in steps if start >= 0})
        base = before = _rates_at(amounts, -1)
        tiers: list[Tier] = []
        for start in starts:
            rates = _rates_at(amounts, start)
            if rates != before:
                tiers.append(Tier(start, rates))
                before = rates
        return replace(base, tiers=tuple(tiers))

    def _by_tokens(self, reference: str, amounts: Amounts) -> None:
        """Raises `Unlisted` where rates per token would leave something out."""
        for key, words in (("input_mtok", "input"), ("output_mtok", "output")):
            if key not in amounts:
                raise Unlisted(f"the catalogue has no rate for its {words} tokens", reference, RATES_HINT)
        other = [key for key in amounts if not key.endswith("_mtok") and key not in TOOLS]
        if other:
            what = other[0].replace("_kcount", "").replace("_", " ")
            raise Unlisted(
                f"it is not paid by tokens alone, but by {what} too", reference, "write `cost` on its routes"
            )


def _data() -> "tuple[DataSnapshot, str]":
    try:
        import genai_prices
        from genai_prices.data_snapshot import get_snapshot
    except ImportError:
        raise PriceError("there is no catalogue of prices", hint='pip install "policy_engine[prices]"') from None
    return get_snapshot(), genai_prices.__version__


def _parted(reference: str) -> tuple[str, str, str]:
    """`openai:gpt-4o` → maker, sign and model; without a sign there is only a model."""
    maker, sign, model = reference.partition(":")
    return (maker, sign, model) if sign else ("", "", reference)


def _conditional(model: "ModelInfo") -> "list[ConditionalPrice]":
    return model.prices if isinstance(model.prices, list) else []


def _times(model: "ModelInfo") -> Iterable[time]:
    """Moments of a day among which every price that holds in it is found."""
    found = {time(0)}
    for each in (*_conditional(model), *(model.price_variants or ())):
        for name in ("start_time", "end_time"):
            moment = getattr(each.constraint, name, None)
            if moment is not None:
                found.add(moment)
    return found


def _amounts(price: "ModelPrice") -> Amounts:
    """The amounts of a price, each with the tiers it changes at."""
    found: Amounts = {}
    for key, value in vars(price).items():
        if isinstance(value, Decimal):
            found[key] = ((-1, value),)
        elif value is not None:
            found[key] = ((-1, value.base), *((tier.start, tier.price) for tier in value.tiers))
    return found


def _instead(price: Amounts, key: str) -> tuple[tuple[int, Decimal], ...]:
    """What tokens cost by a price that has no rate of its own for them; of what is no token, nothing."""
    others = ("cache_write_mtok", "cache_write_5m_mtok") if "cache_write" in key else ()
    plain = ("output_mtok",) if key.startswith("output_") else ("input_mtok",)
    names = (*others, *plain) if key.endswith("_mtok") else ()
    return next((price[name] for name in names if name in price), ((-1, Decimal(0)),))


def _dearer(
    one: tuple[tuple[int, Decimal], ...], other: tuple[tuple[int, Decimal], ...]
) -> tuple[tuple[int, Decimal], ...]:
    starts = sorted({start for start, _ in (*one, *other)})
    return tuple((start, max(_at(one, start), _at(other, start))) for start in starts)


def _at(steps: tuple[tuple[int, Decimal], ...], above: int) -> Decimal:
    """The amount for more input tokens than so many."""
    return [amount for start, amount in steps if start <= above][-1]


def _rates_at(amounts: Amounts, above: int) -> Rates:
    picos: dict[str, int] = {}
    dearest = {"input": 0, "output": 0}
    for key, steps in amounts.items():
        if not key.endswith("_mtok"):
            continue
        rate = ceil(Fraction(_at(steps, above)) * PER_MILLION)
        if key in CACHED:
            picos[CACHED[key]] = max(rate, picos.get(CACHED[key], 0))
        elif key in ("input_mtok", "output_mtok"):
            picos[key.replace("mtok", "picos")] = rate
        else:
            side = "output" if key.startswith("output_") else "input"
            dearest[side] = max(dearest[side], rate)
    for side, rate in dearest.items():
        if rate > picos[f"{side}_picos"]:
            picos[f"dearest_{side}_picos"] = rate
    return rates_of(picos)
