"""What became of a model's rates: each one that is another now."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from policy_engine.language.units import Rates
from policy_engine.prices.records import RATES

WORDS = {
    "input_picos": "input",
    "output_picos": "output",
    "cached_read_picos": "read from the cache",
    "cached_write_picos": "written to the cache",
    "cached_hour_write_picos": "written to the cache for an hour",
    "dearest_input_picos": "the dearest input",
    "dearest_output_picos": "the dearest output",
}

Key = tuple[bool, int, str]
"""Whether in a batch, above how many input tokens, and the name of the rate."""


@dataclass(frozen=True, slots=True)
class Change:
    """One rate, before and now, in pico units per token; None where there is no such rate."""

    batch: bool
    above_tokens: int
    rate: str
    old_picos: int | None
    new_picos: int | None

    @property
    def words(self) -> str:
        """The rate as a reader knows it: `input`, `output in a batch above 200,000 tokens`."""
        above = f" above {self.above_tokens:,} tokens" if self.above_tokens else ""
        return f"{WORDS[self.rate]}{' in a batch' * self.batch}{above}"

    @property
    def percent(self) -> Fraction | None:
        return percent(self.old_picos, self.new_picos)


def percent(old: int | None, new: int | None) -> Fraction | None:
    """How much more, in percent; None where that says nothing."""
    return None if not old or new is None else Fraction(100 * (new - old), old)


def changes(old: Rates, new: Rates) -> tuple[Change, ...]:
    """Every rate that differs: those of single requests first, of short ones before long ones."""
    before, now = dict(_every(old)), dict(_every(new))
    keys = sorted({*before, *now}, key=lambda key: (key[0], key[1], RATES.index(key[2])))
    pairs = ((key, _at(before, key), _at(now, key)) for key in keys)
    return tuple(Change(*key, one, other) for key, one, other in pairs if one != other)


def _every(rates: Rates, batch: bool = False) -> Iterator[tuple[Key, int]]:
    for above, each in ((0, rates), *((tier.above_tokens, tier.rates) for tier in rates.tiers)):
        for name in RATES:
            value = getattr(each, name)
            if value is not None:
                yield (batch, above, name), value
    if rates.batch is not None:
        yield from _every(rates.batch, batch=True)


def _at(rates: Mapping[Key, int], key: Key) -> int | None:
    """A rate; where there is no such tier, that of the next one below, which then holds there too."""
    batch, above, name = key
    tiers = {start for in_batch, start, _ in rates if in_batch is batch and start <= above}
    return rates.get((batch, max(tiers), name)) if tiers else None
