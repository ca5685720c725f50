"""Small choices, as one object instead of a strategy for each."""

from collections.abc import Sequence
from random import Random
from typing import Protocol, TypeVar

from hypothesis import strategies as st

_T = TypeVar("_T")

_UP_TO = [st.integers(0, most) for most in range(64)]


class Draw(Protocol):
    """How a composite strategy draws, and interactive data too."""

    def __call__(self, strategy: st.SearchStrategy[_T], /) -> _T: ...


class Pick:
    """Draws by hand. Whatever comes first is what a failing example shrinks to."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._numbers = 0

    def of(self, choices: Sequence[_T]) -> _T:
        return choices[self.number(len(choices) - 1)]

    def number(self, most: int) -> int:
        """From nought to `most`."""
        if most <= 0:
            return 0
        return self._draw(_UP_TO[most] if most < len(_UP_TO) else st.integers(0, most))

    def one_in(self, count: int) -> bool:
        """True once in so many draws, False otherwise and when shrunk."""
        return self.number(count - 1) == count - 1

    def some(self, choices: Sequence[_T], least: int = 0, most: int | None = None) -> list[_T]:
        """Several of the choices, each once, in any order."""
        top = len(choices) if most is None else min(most, len(choices))
        left = list(choices)
        return [left.pop(self.number(len(left) - 1)) for _ in range(least + self.number(top - least))]

    def shuffled(self, items: Sequence[_T]) -> list[_T]:
        return self._draw(st.permutations(items)) if len(items) > 1 else list(items)

    def fresh(self) -> int:
        """A number that no other rule has."""
        self._numbers += 1
        return self._numbers


class SeededPick(Pick):
    """The same choices from a seed, without Hypothesis: a hundred times as fast, and not shrunk."""

    def __init__(self, seed: int) -> None:
        super().__init__(_never)
        self._random = Random(seed)  # noqa: S311 - no secret: test data that can be made again

    def number(self, most: int) -> int:
        return int(self._random.random() * (most + 1)) if most > 0 else 0

    def shuffled(self, items: Sequence[_T]) -> list[_T]:
        return self._random.sample(items, len(items))


def _never(strategy: st.SearchStrategy[_T], /) -> _T:
    raise AssertionError("a seeded pick draws nothing")
