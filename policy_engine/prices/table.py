"""What models cost where a policy does not say: rates by model reference, with a digest.

A lock file fills one later; a route's own `rates` always win over it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from types import MappingProxyType

from policy_engine.language.units import NANOS, PICOS_PER_NANO, Rates, UnitError, decimal, scaled


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Rates by the text after `model`, in pico units of one currency per token."""

    currency: str = "USD"
    rates: Mapping[str, Rates] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rates", MappingProxyType(dict(self.rates)))

    @classmethod
    def per_million(
        cls,
        amounts: Mapping[str, tuple[Decimal | int | float | str, Decimal | int | float | str]],
        currency: str = "USD",
    ) -> "PriceTable":
        """A table of (input, output) amounts per million tokens: `{"openai:gpt-4o": ("2.50", "10")}`.

        Raises `UnitError` for what is no amount, is negative, or is finer than a pico unit per token.
        """
        return cls(currency, {model: Rates(*map(_picos_per_token, pair)) for model, pair in amounts.items()})

    def get(self, model: str) -> Rates | None:
        """The rates of a model, None if the table does not price it."""
        return self.rates.get(model)

    @property
    def digest(self) -> str:
        """A content hash: equal tables have equal digests, whatever their order."""
        lines = [f"{model}\t{r.input_picos}\t{r.output_picos}" for model, r in sorted(self.rates.items())]
        return sha256("\n".join([self.currency, *lines]).encode()).hexdigest()


def _picos_per_token(amount: Decimal | int | float | str) -> int:
    exact = decimal(amount)
    if exact < 0:
        raise UnitError(f"{amount} is a negative rate")
    return scaled(exact, NANOS * PICOS_PER_NANO // 10**6, "a trillionth of a currency unit per token")
