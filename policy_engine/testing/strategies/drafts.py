"""A policy as pieces of text: written out, extended by a rule, or laid out in another order.

A draft keeps statements apart so that a property can add one or move them about; what a
statement says is never looked at.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from policy_engine.language.diagnostics import PolicyError, render
from policy_engine.language.units import Rates, Tier
from policy_engine.policy import Policy, load
from policy_engine.prices.table import PriceTable

FILE = ("file", "")
Place = tuple[str, str]
Shuffle = Callable[[Sequence[str]], list[str]]


@dataclass(frozen=True)
class Block:
    """One block: `settings` come first, `rules` in written order, `inside` the outcomes of a workflow."""

    kind: str
    name: str
    settings: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    inside: tuple["Block", ...] = ()

    @property
    def place(self) -> Place:
        return self.kind, self.name

    def lines(self, indent: str = "") -> list[str]:
        body = [f"{indent}  {line}" for line in (*self.settings, *self.rules)]
        for block in self.inside:
            body += block.lines(indent + "  ")
        return [f"{indent}{self.kind} {self.name} {{", *body, f"{indent}}}"]

    def with_rule(self, place: Place, rule: str) -> "Block":
        if self.place == place:
            return replace(self, rules=(*self.rules, rule))
        return replace(self, inside=tuple(block.with_rule(place, rule) for block in self.inside))


@dataclass(frozen=True)
class Draft:
    """A policy set: declarations, rules at file level, blocks."""

    head: tuple[str, ...]
    rules: tuple[str, ...]
    blocks: tuple[Block, ...]

    @property
    def text(self) -> str:
        lines = [*self.head, *self.rules]
        for block in self.blocks:
            lines += block.lines()
        return "\n".join(lines) + "\n"

    def with_rule(self, place: Place, rule: str) -> "Draft":
        """One more rule, after the others of its block."""
        if place == FILE:
            return replace(self, rules=(*self.rules, rule))
        return replace(self, blocks=tuple(block.with_rule(place, rule) for block in self.blocks))

    def shuffled(self, shuffle: Shuffle) -> "Draft":
        """Every statement at another place of its block, `fallback` rules among themselves as written."""

        def block(of: Block) -> Block:
            inside = [block(each) for each in of.inside]
            # The routes of a lane and the units of a pack have no word of their own: they stay first.
            first, rest = (of.settings[:1], of.settings[1:]) if of.kind in ("lane", "pack") else ((), of.settings)
            mixed = _mixed((*rest, *of.rules), shuffle)
            return replace(of, settings=(*first, *mixed), rules=(), inside=_ordered(inside, shuffle))

        return Draft(
            head=tuple(_mixed((*self.head, *self.rules), shuffle)),
            rules=(),
            blocks=_ordered([block(each) for each in self.blocks], shuffle),
        )

    def split(self, cut: int) -> tuple["Draft", "Draft"]:
        """Two files that say the same together: the first blocks in one, the rest in the other."""
        return replace(self, blocks=self.blocks[:cut]), Draft((), (), self.blocks[cut:])


def _ordered(blocks: Sequence[Block], shuffle: Shuffle) -> tuple[Block, ...]:
    named = {block.name: block for block in blocks}
    return tuple(named[name] for name in shuffle(list(named)))


def _mixed(statements: Sequence[str], shuffle: Shuffle) -> list[str]:
    numbered = [f"{number}\n{text}" for number, text in enumerate(statements)]
    mixed = [text.split("\n", 1)[1] for text in shuffle(numbered)]
    fallbacks = iter([text for text in statements if text.startswith("fallback")])
    return [next(fallbacks) if text.startswith("fallback") else text for text in mixed]


def prices_of(text: str) -> PriceTable:
    """Prices for the routes that generated policies leave to a table, in the currency of this one."""
    short = Rates(1_000_000, 0, cached_hour_write_picos=2_000_001)
    long = Rates(3_000_000, 15_000_000, cached_read_picos=300_000, dearest_output_picos=20_000_000)
    rates = {
        "m:long": replace(long, tiers=(Tier(1000, Rates(6_000_001, 30_000_000)),), batch=Rates(1_500_000, 7_500_000)),
        "m:steep": replace(short, tiers=(Tier(4, long), Tier(1000, Rates(6_000_000, 22_500_000)))),
    }
    named = {model: of for model, of in rates.items() if f'"{model}"' in text}
    return PriceTable("CHF" if text.startswith("currency CHF") else "USD", named)


@lru_cache(maxsize=2048)
def loaded(text: str) -> Policy:
    """The policy of a generated text, which has no mistake; unpriced routes are all it is warned about.

    It is answered by the reference: the promises are about the meaning.
    """
    try:
        policy = load(text, engine="reference", prices=prices_of(text))
    except PolicyError as error:
        raise AssertionError(f"a generated policy has mistakes:\n{error}\n\n{text}") from None
    assert {warning.code for warning in policy.warnings} <= {"P299"}, render(policy.warnings)  # noqa: S101 - a claim about what is generated here
    return policy
