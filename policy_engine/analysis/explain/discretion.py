"""Words that are not for buyers: how work is done, and the policy's own names for it."""

import re

from policy_engine.language.checked import CheckedPolicy

TRADE = frozenset(
    """attempt attempts backend endpoint fallback gpu inference lane lanes llm llms model models provider providers
    retries retry route routes routing token tokens""".split()
)
"""Words of the trade, whatever a policy calls its own things."""

_WORD = re.compile(r"[^\W_]+(?:[.'][^\W_]+)*")


class Discretion:
    """Says whether a text would tell a buyer about models, routes, lanes or providers of one policy."""

    def __init__(self, policy: CheckedPolicy) -> None:
        sold = {word for name in (*policy.outcomes, *policy.plans, *policy.packs) for word in _parts(name)}
        self.secret = frozenset(_secret(policy) - sold)
        """Words, in small letters; those of outcomes, plans and packs are the buyer's own."""
        self.phrases = tuple(sorted({route.reference.lower() for route in policy.routes.values() if route.reference}))

    def gives_away(self, text: str) -> str | None:
        """The first word of a text that is not for a buyer; or the stop or line break that makes it no phrase."""
        found = _told(text)
        for word in found:
            if word in TRADE or word in self.secret:
                return word
        joined = " ".join(found)
        for phrase in self.phrases:
            told = " ".join(_told(phrase))
            if told and f" {told} " in f" {joined} ":
                return phrase
        odd = re.search(r"[.;:!?](?:\s|$)|[\n\r]", text)
        return odd[0].strip() or "a line break" if odd else None


def _secret(policy: CheckedPolicy) -> set[str]:
    words: set[str] = set()
    for route in policy.routes.values():
        words |= {route.name.lower(), *_parts(route.name)}
        if route.kind == "model":
            # A model's reference is made of names: the provider's, the family's, the version's.
            words |= {part for part in re.split(r"[^a-z0-9.]+", route.reference.lower()) if _is_telling(part)}
    for lane in policy.lanes:
        words |= {lane.lower()} if "_" in lane else set()
    return words


def _parts(name: str) -> set[str]:
    return {part for part in name.lower().split("_") if _is_telling(part)}


def _is_telling(part: str) -> bool:
    """Numbers and single letters say nothing by themselves."""
    return len(part) > 1 and not part.replace(".", "").isdigit()


def _told(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]
