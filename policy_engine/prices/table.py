"""What models cost where a policy does not say: rates by model reference, with a digest.

`PriceTable.read` takes one from a lock file, `beside` finds the lock of a policy. A route's own `rates`
always win over a table.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from hashlib import sha256
from os import PathLike
from pathlib import Path
from types import MappingProxyType

from policy_engine.language.source import Source
from policy_engine.language.units import NANOS, PICOS_PER_NANO, Rates, UnitError, decimal, scaled
from policy_engine.prices.records import PriceError, canonical, rates_of, record

LOCK_NAME = "prices.lock.json"
"""The file that lies beside a policy and has its prices."""

MOST_BYTES = 32 * 2**20
"""What is longer was no lock: the whole catalogue would take a twentieth of it."""


@dataclass(frozen=True)
class PriceTable:
    """Rates by the text after `model`, in pico units of one currency per token.

    `lock` is the lock they are from, `path` the file where it was read.
    """

    currency: str = "USD"
    rates: Mapping[str, Rates] = field(default_factory=dict)
    lock: Source | None = field(default=None, compare=False, repr=False)
    path: Path | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rates", MappingProxyType(dict(self.rates)))

    @classmethod
    def read(cls, path: str | PathLike[str]) -> "PriceTable":
        """The prices of a lock file. Raises `PriceError` for a damaged one, `OSError` for what cannot be read."""
        return cls._read(Path(path), Path(path).as_posix())

    def again(self) -> "PriceTable":
        """What the file says now that this table was read from; the same table if there is none. Raises as `read`."""
        return self if self.path is None or self.lock is None else self._read(self.path, self.lock.name)

    @classmethod
    def _read(cls, path: Path, name: str) -> "PriceTable":
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)  # a device has no end
        if len(content) > MOST_BYTES:
            raise PriceError("this is longer than any price lock", name, "name the lock of the policy")
        return replace(cls.of_lock(content, name), path=path.absolute())

    @classmethod
    def of_lock(cls, content: bytes | str, name: str = LOCK_NAME) -> "PriceTable":
        """The prices in the content of a lock file. Raises `PriceError`, with the name, for a damaged one."""
        from policy_engine.prices.lock import read_lock  # pydantic is imported where there is a lock

        lock = read_lock(content, name)
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
        return cls(lock.currency, {model: entry.rates for model, entry in lock.models.items()}, Source(name, text))

    @classmethod
    def of_text(cls, text: str) -> "PriceTable":
        """The table that has this `text`: as a ledger keeps it, whose digests vouch for it."""
        data = json.loads(text)
        return cls(data["currency"], {model: rates_of(rates) for model, rates in data["models"].items()})

    @classmethod
    def per_million(
        cls,
        amounts: Mapping[str, tuple[Decimal | int | float | str, Decimal | int | float | str]],
        currency: str = "USD",
    ) -> "PriceTable":
        """A table of (input, output) amounts per million tokens: `{"openai:gpt-4o": ("2.50", "10")}`.

        Raises `UnitError` for what is no amount, is negative, or is finer than a pico unit per token.
        """
        return cls(
            currency, {m: Rates(_picos_per_token(into), _picos_per_token(out)) for m, (into, out) in amounts.items()}
        )

    @property
    def origin(self) -> str | None:
        """The name of the lock that the prices are from, None if they are from none."""
        return None if self.lock is None else self.lock.name

    def get(self, model: str) -> Rates | None:
        """The rates of a model, None if the table does not price it."""
        return self.rates.get(model)

    @cached_property
    def text(self) -> str:
        """All of the table, in one spelling."""
        models = {model: record(rates) for model, rates in self.rates.items()}
        return canonical({"currency": self.currency, "models": models})

    @cached_property
    def digest(self) -> str:
        """A content hash, the SHA-256 of `text`: equal tables have equal digests, whatever their order."""
        return sha256(self.text.encode()).hexdigest()


def beside(paths: Iterable[str | PathLike[str]]) -> Path | None:
    """The lock that lies beside a policy: in a directory that is named, or in that of a file that is.

    Raises `PriceError` where the paths have more than one.
    """
    folders = dict.fromkeys(path if path.is_dir() else path.parent for path in map(Path, paths))
    found = list(dict.fromkeys(lock for folder in folders if (lock := folder / LOCK_NAME).is_file()))
    if len(found) > 1:
        one, other = (path.as_posix() for path in found[:2])
        raise PriceError(f"`{one}` and `{other}` both have prices for this policy", hint="name one with `--prices`")
    return found[0] if found else None


def _picos_per_token(amount: Decimal | int | float | str) -> int:
    exact = decimal(amount)
    if exact < 0:
        raise UnitError(f"{amount} is a negative rate")
    return scaled(exact, NANOS * PICOS_PER_NANO // 10**6, "a trillionth of a currency unit per token")
