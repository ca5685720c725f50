"""Paths drawn: as a tree for a terminal, as a Mermaid flowchart for a page."""

from collections.abc import Iterator, Sequence
from textwrap import wrap

from policy_engine.analysis.explain.path import STOP, Path, Place

_NARROWEST = 24


def tree(path: Path, width: int = 100) -> Iterator[str]:
    """The lines of one path. A route is laid out where it is first reached, and named from then on."""
    places = {place.route: place for place in path.places}
    yield from _wrapped(_named(path.places[0]), "", "", width)
    yield from _branches(path.places[0], places, {path.places[0].route}, "", width)


def _branches(place: Place, places: dict[str, Place], shown: set[str], indent: str, width: int) -> Iterator[str]:
    branches: list[tuple[str, Place | None]] = [(str(retry), None) for retry in place.retries]
    new: list[Place] = []
    for move in place.moves:
        target = places.get(move.target)
        known = move.target in shown
        shown.add(move.target)
        if target is None or target.kind == "handoff" or known:
            name = STOP if target is None else _named(target) if not known else target.route
            above = " (as shown)" if known and target is not None and target.kind != "handoff" else ""
            branches.append((f"{move} → {name}{above}", None))
        else:
            new.append(target)
            branches.append((f"{move} → {_named(target)}", target))
    for number, (text, below) in enumerate(branches):
        last = number == len(branches) - 1
        stem = indent + ("   " if last else "│  ")
        yield from _wrapped(text, indent + ("└─ " if last else "├─ "), stem, width)
        if below is not None:
            yield from _branches(below, places, shown, stem, width)


def _named(place: Place) -> str:
    return f'{place.route}, {place.kind} "{place.reference}"'


def _wrapped(text: str, first: str, following: str, width: int) -> Iterator[str]:
    room = max(_NARROWEST, width - len(first))
    lines = wrap(text, room, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False) or [""]
    yield first + lines[0]
    yield from (following + line for line in lines[1:])


# ---------------------------------------------------------------- Mermaid

_SIGNS = {"#": "#35;", "&": "#amp;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;", "%": "#37;"}
"""What means something in a Mermaid text, or in the HTML it becomes."""


def mermaid(paths: Sequence[Path]) -> Iterator[str]:
    """One flowchart: a frame for each lane, a box for each route, an arrow for each retry and fallback."""
    yield "flowchart TD"
    for number, path in enumerate(paths):
        yield f'  subgraph lane{number}["{_safe(f"{path.outcome}, lane {path.lane}")}"]'
        ids = {place.route: f"r{number}_{index}" for index, place in enumerate(path.places)}
        end = f"stop{number}"
        for place in path.places:
            left, right = ("([", "])") if place.kind == "handoff" else ("[", "]")
            yield f'    {ids[place.route]}{left}"{_safe(place.route)}<br/>{_safe(place.reference)}"{right}'
        if any(move.target == STOP for place in path.places for move in place.moves):
            yield f'    {end}(("stop"))'
        for place in path.places:
            here = ids[place.route]
            for retry in place.retries:
                yield f'    {here} -->|"{_safe(str(retry))}"| {here}'
            for move in place.moves:
                yield f'    {here} -->|"{_safe(str(move))}"| {ids.get(move.target, end)}'
        yield "  end"


def _safe(text: str) -> str:
    flat = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return "".join(_SIGNS.get(sign, sign) for sign in flat)
