"""A leaflet as text, Markdown or HTML. Every text of a policy is escaped; the page needs nothing but itself."""

from collections.abc import Iterator
from html import escape
from itertools import groupby

from policy_engine.analysis.explain.buyer import Leaflet, Offer

_TITLES = {"plan": "Plans", "pack": "More on top", "list": "Prices", "terms": "When you pay"}

_STYLE = """\
:root { color-scheme: light dark; }
body { font: 1.05rem/1.6 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 0.5rem; }
p { margin: 0.5rem 0; }"""


def text(leaflet: Leaflet) -> Iterator[str]:
    """A line for each sentence, an empty line between plans, packs, prices and terms."""
    for number, (_, offers) in enumerate(_groups(leaflet)):
        if number:
            yield ""
        yield from map(str, offers)


def markdown(leaflet: Leaflet) -> Iterator[str]:
    """A heading for each kind, a paragraph for each sentence."""
    for number, (kind, offers) in enumerate(_groups(leaflet)):
        if number:
            yield ""
        yield f"## {_TITLES[kind]}"
        for offer in offers:
            yield ""
            yield f"**{_plain(offer.lead)}**{_plain(offer.rest)}."


def html(leaflet: Leaflet) -> Iterator[str]:
    """A whole page."""
    yield "<!DOCTYPE html>"
    yield '<html lang="en">'
    yield "<head>"
    yield '<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield "<title>Plans</title>"
    yield f"<style>\n{_STYLE}\n</style>"
    yield "</head>"
    yield "<body>"
    for kind, offers in _groups(leaflet):
        yield f"<h2>{_TITLES[kind]}</h2>"
        for offer in offers:
            yield f"<p><strong>{escape(offer.lead)}</strong>{escape(offer.rest)}.</p>"
    yield "</body>"
    yield "</html>"


def _groups(leaflet: Leaflet) -> Iterator[tuple[str, list[Offer]]]:
    for kind, offers in groupby(leaflet.offers, key=lambda offer: offer.kind):
        yield kind, list(offers)


_MARKS = frozenset("\\`*_{}[]<>#|~&")


def _plain(words: str) -> str:
    """Text that Markdown leaves as it is."""
    return "".join(f"\\{sign}" if sign in _MARKS else sign for sign in words)
