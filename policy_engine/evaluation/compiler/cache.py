"""What decisions look up: nested dictionaries from names to a function and its rows; and who gets into them."""

from typing import Any

from cachetools import FIFOCache

from policy_engine.evaluation.compiler.shapes import Made, Row

ASKED_AGAIN = 2
ASKED_OFTEN = 64
"""How often a combination is asked for before its function is made: while there is room, and when there is none."""

MOST_COUNTED = 65_536
"""Combinations whose requests are counted, at most."""

Key = tuple[Any, ...]
"""The names of a combination, in the order in which they are looked up."""

Entry = tuple[Any, Row]
"""A function and its row `more`. What is looked up before the last name holds the other row."""


class Functions(FIFOCache[Key, Entry | None]):
    """A bounded cache whose content is also there to be looked up, name by name. None is kept for what has no function.

    `ready` goes from the first name to the next, and so on; the last but one leads to its row and the
    dictionary of the last name, that one to the entry. With a single name there is no such row.

    While all entries have the same function, they are in `alone` instead, which leads to the row `more`
    by itself: whoever looks there knows the function. `tell_apart` ends this.
    """

    def __init__(self, size: int, *, several: bool = False) -> None:
        super().__init__(size)
        self.ready: dict[Any, Any] = {}
        self.alone: dict[Any, Any] = {}
        self._several = several
        self._asked: dict[Key, int] = {}
        self._alike: FIFOCache[Any, Entry] = FIFOCache(size)

    def is_worth_making(self, key: Key) -> bool:
        """Count one more request for what is not there; whether there were enough of them."""
        asked = self._asked.get(key, 0) + 1
        if asked >= (ASKED_AGAIN if self.currsize < self.maxsize else ASKED_OFTEN):
            self._asked.pop(key, None)
            return True
        if len(self._asked) >= min(16 * self.maxsize, MOST_COUNTED):
            self._asked.clear()
        self._asked[key] = asked
        return False

    def takes(self, key: Key, made: Made) -> bool:
        """Whether a function's row is the one that is there for its names."""
        found = self._before_last(key)
        return found is None or found[0] == made.row

    def keep(self, key: Key, made: Made | None) -> None:
        """Keep a function. What is there for its names before the last keeps its row."""
        entry = None if made is None else self._shared((made.call, made.more))
        self[key] = entry  # may push another one out
        if made is not None and entry is not None:
            self._place(key, made.row, entry)

    def tell_apart(self) -> None:
        """Have the functions in `ready`, with their rows, from here on."""
        kept = {key: entry for key, entry in self.items() if entry is not None}
        rows = {key: () if len(key) == 1 else self._before_last(key)[0] for key in kept}
        self._several, self.alone = True, {}
        for key, entry in kept.items():
            self._place(key, rows[key], entry)

    def popitem(self) -> tuple[Key, Entry | None]:
        key, entry = super().popitem()
        if entry is not None:
            self._forget(self._top(), key)
        return key, entry

    def _top(self) -> dict[Any, Any]:
        return self.ready if self._several else self.alone

    def _place(self, key: Key, row: Row, entry: Entry) -> None:
        value = entry if self._several else entry[1]
        found = self._before_last(key)
        if found is not None:
            found[1][key[-1]] = value
            return
        level = self._top()
        for known in key[:-2]:
            level = level.setdefault(known, {})
        if len(key) == 1:
            level[key[0]] = value
        else:
            level[key[-2]] = (row, {key[-1]: value})

    def _before_last(self, key: Key) -> Any:
        """The row and the dictionary that the names before the last lead to."""
        found: Any = self._top() if len(key) > 1 else None
        for known in key[:-1]:
            found = None if found is None else found.get(known)
        return found

    def _forget(self, level: dict[Any, Any], key: Key) -> None:
        first, *rest = key
        if rest:
            below = level[first][1] if len(rest) == 1 else level[first]
            self._forget(below, tuple(rest))
            if below:
                return
        del level[first]

    def _shared(self, entry: Entry) -> Entry:
        """One object for equal entries: what a plan decides is often the same for all outcomes."""
        try:
            return self._alike.setdefault((id(entry[0]), _typed(entry[1])), entry)
        except TypeError:  # something in it has no hash
            return entry


def _typed(value: Any) -> Any:
    """A key that 1, 1.0 and True do not share."""
    return tuple(map(_typed, value)) if isinstance(value, tuple) else (value.__class__, value)
