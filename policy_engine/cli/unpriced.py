"""Models that nothing prices, against the catalogue: which may have been meant, and which only wait to be locked."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from policy_engine.cli.reading import PolicySet
    from policy_engine.language.checked import Route
    from policy_engine.language.diagnostics import Diagnostic


def with_models_meant(found: "PolicySet") -> "tuple[Diagnostic, ...]":
    """All that is said of a policy; where nothing prices a model, with what the catalogue makes of its name.

    Without the catalogue (the extra `prices`) it is what was said.
    """
    from policy_engine.policy import UNPRICED

    waiting: dict[object, Route] = {}
    if found.checked is not None:
        waiting = {r.span: r for r in found.checked.routes.values() if r.kind == "model" and r.rates is None}
    if all(item.code != UNPRICED or item.span not in waiting for item in found.diagnostics):
        return found.diagnostics
    hint = _hints()
    if hint is None:
        return found.diagnostics
    return tuple(
        replace(item, hint=hint(waiting[item.span].reference) or item.hint)
        if item.code == UNPRICED and item.span in waiting
        else item
        for item in found.diagnostics
    )


def _hints() -> Callable[[str], str | None] | None:
    """What to do about a model, by its reference."""
    from policy_engine.cli.catalogue import today
    from policy_engine.prices.catalogue import Catalogue, Unlisted
    from policy_engine.prices.records import PriceError

    try:
        catalogue = Catalogue(today())
    except PriceError:
        return None

    def hint(reference: str) -> str | None:
        try:
            catalogue.entry(reference)
        except Unlisted as error:
            return error.hint
        return "`policy prices lock` knows its price; or add `rates`"

    return hint
