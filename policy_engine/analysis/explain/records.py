"""Explanations, paths and leaflets as plain data, for programs."""

from typing import Any

from policy_engine.analysis.explain.buyer import Leaflet
from policy_engine.analysis.explain.governing import Explanation, Groundless, Line
from policy_engine.analysis.explain.path import Path
from policy_engine.language.checked import RuleRef
from policy_engine.language.units import print_money


def explanation_record(explanation: Explanation, currency: str) -> dict[str, Any]:
    """One outcome: prices, and sections of sentences with their places."""
    return {
        "outcome": explanation.outcome,
        "title": explanation.title,
        "workflow": explanation.workflow,
        "plan": explanation.plan,
        "lane": explanation.lane,
        "prices": [
            {"draw": price.draw, "pack": price.pack, "amount": print_money(price.nanos, currency), "nanos": price.nanos}
            for price in explanation.prices
        ],
        "sections": [
            {
                "kind": section.kind,
                "title": section.title,
                "note": section.note or None,
                "lines": [_line(line) for line in section.lines],
            }
            for section in explanation.sections
        ],
    }


def _line(line: Line) -> dict[str, Any]:
    rule = line.rule
    return {
        "sentence": line.sentence,
        "place": place_record(line.ref),
        "rule": line.ref.name if rule is not None else None,
        "text": line.ref.text if rule is not None else None,
        "enforced": not rule.shadow if rule is not None else None,
        "never_decides_because_of": [place_record(other.ref) | {"rule": other.ref.name} for other in line.idle],
    }


def place_record(ref: RuleRef) -> dict[str, Any]:
    """Where something is written."""
    return {"file": ref.file, "line": ref.line, "column": ref.column}


def groundless_record(found: Groundless) -> dict[str, Any]:
    """A rule that governs nothing."""
    return {"rule": found.ref.name, "text": found.ref.text, "place": place_record(found.ref), "reason": found.reason}


def path_record(path: Path) -> dict[str, Any]:
    """One lane: its routes, their retries and moves."""
    return {
        "outcome": path.outcome,
        "plan": path.plan,
        "lane": path.lane,
        "routes": [
            {
                "route": place.route,
                "kind": place.kind,
                "reference": place.reference,
                "retries": [
                    {
                        "classes": list(retry.classes),
                        "count": retry.count,
                        "waits_micros": list(retry.waits_micros),
                        "condition": retry.clause or None,
                        "rules": [place_record(ref) | {"rule": ref.name} for ref in retry.refs],
                    }
                    for retry in place.retries
                ],
                "moves": [
                    {
                        "to": move.target,
                        "classes": list(move.classes),
                        "condition": move.clause or None,
                        "rule": place_record(move.ref) | {"rule": move.ref.name} if move.ref is not None else None,
                    }
                    for move in place.moves
                ],
            }
            for place in path.places
        ],
    }


def leaflet_record(leaflet: Leaflet) -> dict[str, Any]:
    """The sentences for a buyer."""
    return {
        "offers": [
            {"kind": offer.kind, "name": offer.name or None, "sentence": str(offer)} for offer in leaflet.offers
        ],
        "notes": list(leaflet.notes),
    }
