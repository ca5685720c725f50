"""`prices.lock.json`: the prices a policy was given, with their source and date, under a digest.

    {
      "version": 1,
      "currency": "USD",
      "models": {
        "openai:gpt-4o-mini": {                  the text after `model` of some route
          "input_picos": 150000,                 $0.15 per million tokens, in pico units per token
          "output_picos": 600000,
          "cached_read_picos": 75000,
          "catalogue": "openai/gpt-4o-mini",     what the source calls it
          "source": "genai-prices 0.2.3",
          "date": "2026-11-22"                   the day whose prices these are
        }
      },
      "digest": "…"                              SHA-256 of all the rest
    }

Rates beside these: `cached_write_picos`, `cached_hour_write_picos`, `dearest_input_picos`, `dearest_output_picos`;
`tiers` is a list of rates that hold for a whole request of more than `above_tokens` input tokens, `batch` has the
rates of requests handed in as a batch. A rate that is left out is the one it is a case of. Nothing is taken for zero.
"""

import datetime as dt
import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from policy_engine.language.units import CURRENCIES, Rates
from policy_engine.prices.records import PriceError, canonical, rates_of, record

VERSION: Literal[1] = 1
MOST_PICOS = 10**15
"""A thousand currency units per token: what is dearer is taken for a slip."""

AGAIN = "write it again with `policy prices lock`"

Picos = Annotated[int, Field(ge=0, le=MOST_PICOS)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class LockedRates(_Form):
    """What tokens cost, in pico currency units each."""

    input_picos: Picos
    output_picos: Picos
    cached_read_picos: Picos | None = None
    cached_write_picos: Picos | None = None
    cached_hour_write_picos: Picos | None = None
    dearest_input_picos: Picos | None = None
    dearest_output_picos: Picos | None = None


class _Start(_Form):
    above_tokens: Annotated[int, Field(ge=0)]


class LockedTier(LockedRates, _Start):
    """What all tokens of a request cost that has more input tokens than this."""


class LockedPrices(LockedRates):
    """Rates, and those of longer requests, ascending."""

    tiers: list[LockedTier] = []

    @model_validator(mode="after")
    def _ascending(self) -> "LockedPrices":
        starts = [tier.above_tokens for tier in self.tiers]
        if starts != sorted(set(starts)):
            raise ValueError("tiers are not in order")
        return self


class LockedModel(LockedPrices):
    """The prices of one model, and where and when they were found."""

    batch: LockedPrices | None = None
    catalogue: str
    source: str
    date: Annotated[dt.date, Field(strict=False)]

    @property
    def rates(self) -> Rates:
        return rates_of(self.model_dump())

    @classmethod
    def of(cls, rates: Rates, *, catalogue: str, source: str, on: dt.date) -> "LockedModel":
        return cls.model_validate(record(rates) | {"catalogue": catalogue, "source": source, "date": on})


class Lock(_Form):
    """A whole lock file."""

    version: Literal[1]
    currency: str
    models: dict[str, LockedModel]
    digest: str

    @classmethod
    def of(cls, currency: str, models: Mapping[str, LockedModel]) -> "Lock":
        """The lock of these models, under its digest."""
        ordered = dict(sorted(models.items()))
        lock = cls(version=VERSION, currency=currency, models=ordered, digest="")
        return lock.model_copy(update={"digest": _digest(lock.model_dump(mode="json", exclude_defaults=True))})

    @property
    def text(self) -> str:
        """The content of the file."""
        return json.dumps(self.model_dump(mode="json", exclude_defaults=True), indent=2, ensure_ascii=False) + "\n"


def read_lock(content: bytes | str, name: str) -> Lock:
    """The lock in the content of a file of this name. Raises `PriceError` for one that is damaged, or is none."""
    data = _object(content, name)
    version = data.get("version")
    if version != VERSION or type(version) is not int:
        if "version" not in data:
            raise PriceError("this is no price lock: it has no `version`", name, AGAIN)
        raise PriceError(f"its version is {_short(version)}, and {VERSION} is what can be read here", name, AGAIN)
    if data.get("digest") != _digest(data):
        raise PriceError("its content is not what its digest says: it is damaged, or was edited", name, AGAIN)
    try:
        lock = Lock.model_validate_json(canonical(data))
    except ValidationError as error:
        (first, *_) = error.errors()
        where = ".".join(map(str, first["loc"]))
        what = f"`{where}` is not what a price lock has there" if where else "this is no price lock"
        raise PriceError(what, name, AGAIN) from None
    if lock.currency not in CURRENCIES:
        raise PriceError(f"`{_short(lock.currency)}` is not a currency code", name, AGAIN)
    return lock


def _object(content: bytes | str, name: str) -> dict[str, Any]:
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
        data = json.loads(text, object_pairs_hook=_once)
    except UnicodeDecodeError:
        raise PriceError("this is no UTF-8 text", name, AGAIN) from None
    except json.JSONDecodeError as error:
        raise PriceError(f"line {error.lineno} is not JSON", name, AGAIN) from None
    except _Twice as error:
        raise PriceError(f"`{_short(error.args[0])}` stands in it twice", name, AGAIN) from None
    except (ValueError, RecursionError):  # a number of thousands of digits, brackets in brackets in brackets
        raise PriceError("this is no price lock", name, AGAIN) from None
    if not isinstance(data, dict):
        raise PriceError("this is no price lock", name, AGAIN)
    return data


class _Twice(ValueError):
    """A name that one object has more than once: who reads the file may see another value than is used."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _Twice(name)
        found[name] = value
    return found


def _digest(data: Mapping[str, Any]) -> str:
    """The hash of all but the digest itself."""
    content = {name: value for name, value in data.items() if name != "digest"}
    return sha256(canonical(content).encode()).hexdigest()


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 20 else text[:20] + "…"
