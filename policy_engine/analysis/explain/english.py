"""English for numbers, names and lists: plurals, articles, periods.

Own rules instead of a library: what is counted here are the names of outcomes, one or a few
words each, and the amounts that a policy can write. Everything is exact; nothing is rounded.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from policy_engine.language.units import MICROS, print_duration

ACRONYMS = frozenset(
    """ai aml api apac asap b2b b2c ceo cfo crm csv cto cv dpa emea erp esg eta eu faq gdpr hipaa hr html http id ip iso
    json jwt kpi kyc latam llm ml mri nda ocr okr pdf pii po pr qa rca rfi rfp rfq roi rss saas sdk seo sla slo sms soc
    sop sow sql sre svg tos ui uk url us usa ux vat vip vpn xml""".split()
)
"""Words that people write in capitals, where a policy writes them small."""

IRREGULAR = {
    "person": "people",
    "child": "children",
    "mouse": "mice",
    "foot": "feet",
    "tooth": "teeth",
    "goose": "geese",
    "ox": "oxen",
    "datum": "data",
    "medium": "media",
    "criterion": "criteria",
    "phenomenon": "phenomena",
    "corpus": "corpora",
    "matrix": "matrices",
    "appendix": "appendices",
    "vertex": "vertices",
    "addendum": "addenda",
    "memorandum": "memoranda",
    "stimulus": "stimuli",
    "quiz": "quizzes",
}
UNCOUNTED = frozenset(
    """advice assistance content copy correspondence coverage data equipment evidence feedback guidance help homework
    information knowledge mail metadata music news progress research series software species staff support text traffic
    training translation-work work""".split()
)
"""What has no plural; so many pieces of it."""

_ES_AFTER_O = frozenset({"echo", "hero", "potato", "tomato", "torpedo", "veto"})
_VES = frozenset(
    """calf half knife leaf life loaf scarf self sheaf shelf thief wife wolf bookshelf afterlife""".split(),
)
_AXES = frozenset({"axis", "basis", "crisis", "oasis", "thesis"})
_OF_WORDS = frozenset({"about", "at", "by", "for", "from", "in", "into", "of", "on", "per", "that", "to", "with"})
"""The word before one of these is the head of a phrase: `proof of income`, `answers to a question`."""

_CONSONANT_SOUND = re.compile(r"(?i)(?:uni(?!n|m)|use|usa|usu|uti|ura|ubi|eu|ewe|one(?:\b|-|_)|once)")
_VOWEL_SOUND = re.compile(r"(?i)(?:[aeiou]|hour|honest|honou?r|heir)")
_SPELLED_VOWEL = "AEFHILMNORSX"
"""Letters whose names begin with a vowel: an MRI, an SLA, a URL."""


@dataclass(frozen=True, slots=True)
class Noun:
    """What is counted: `support draft`, `support drafts`, and the shortest way to name one: `draft`."""

    singular: str
    plural: str
    head: str

    def count(self, number: int) -> str:
        """`1 support draft`, `2,000 support drafts`."""
        return f"{number:,} {self.singular if number == 1 else self.plural}"


def words(identifier: str) -> str:
    """A name as words: `support_draft` → `support draft`, `pr_review` → `PR review`."""
    parts = [part for part in identifier.split("_") if part]
    return " ".join(part.upper() if part.lower() in ACRONYMS else part for part in parts) or identifier


def noun(identifier: str) -> Noun:
    """The noun of a declared name. A plural one counts sets (`set of invoice fields`), a mass pieces."""
    phrase = words(identifier)
    head, _ = _head(phrase)
    last = head.rpartition(" ")[2]
    if last.lower() in UNCOUNTED:
        return Noun(f"piece of {phrase}", f"pieces of {phrase}", "piece")
    if is_plural(last):
        return Noun(f"set of {phrase}", f"sets of {phrase}", "set")
    return Noun(phrase, plural(phrase), last)


def flag(identifier: str, truth: bool) -> str:
    """A boolean fact as a statement: `confidential`, `not urgent`, `it touches payments`, `it does not need review`."""
    phrase = words(identifier)
    verb, _, rest = phrase.partition(" ")
    if not rest or not verb.endswith("s") or verb.endswith("ss"):
        return phrase if truth else f"not {phrase}"
    if truth or verb in ("is", "was"):
        return f"it {verb}{'' if truth else ' not'} {rest}"
    if verb == "has":
        stem = "have"
    elif verb.endswith("ies"):
        stem = verb[:-3] + "y"
    else:
        stem = verb[:-2] if verb.endswith(("ches", "shes", "sses", "xes", "zes")) else verb[:-1]
    return f"it does not {stem} {rest}"


def is_plural(word: str) -> bool:
    """Whether a word is a plural already."""
    small = word.lower()
    if small in IRREGULAR.values() or small in {"people", "axes", "bases", "analyses"}:
        return True
    return len(small) > 3 and small.endswith("s") and not small.endswith(("ss", "us", "is", "as", "news", "series"))


def is_counted(phrase: str) -> bool:
    """Whether a phrase names things that are counted: `pages`, `lines changed`."""
    parts = phrase.split(" ")
    return is_plural(parts[0]) or is_plural(parts[-1])


def plural(phrase: str) -> str:
    """`support draft` → `support drafts`, `proof of income` → `proofs of income`."""
    head, rest = _head(phrase)
    before, gap, last = head.rpartition(" ")
    return f"{before}{gap}{_plural(last)}{rest}"


def _head(phrase: str) -> tuple[str, str]:
    """The phrase up to its head noun, and what follows."""
    parts = phrase.split(" ")
    for place, word in enumerate(parts):
        if place and word.lower() in _OF_WORDS:
            return " ".join(parts[:place]), " " + " ".join(parts[place:])
    return phrase, ""


def _plural(word: str) -> str:
    small = word.lower()
    if word.isupper() and len(word) > 1:
        return word + "s"
    if small in IRREGULAR:
        return _like(word, IRREGULAR[small])
    if small in UNCOUNTED or is_plural(word):
        return word
    if small.endswith(("man", "woman")) and small not in {"human", "german", "roman", "talisman"}:
        return word[:-2] + "en"
    if small in _VES:
        return (word[:-2] if small.endswith("fe") else word[:-1]) + "ves"
    if small in _AXES or small.endswith(("lysis", "nosis", "thesis", "opsis", "phasis", "tasis")):
        return word[:-2] + "es"
    if small.endswith(("s", "x", "z", "ch", "sh")) or small in _ES_AFTER_O:
        return word + "es"
    if small.endswith("y") and small[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def _like(written: str, other: str) -> str:
    return other.capitalize() if written[:1].isupper() else other


def article(phrase: str) -> str:
    """The phrase with `a` or `an`, as it sounds: `an hour`, `a user`, `an SLA`, `a URL`, `an 8`."""
    first = re.split(r"[\s-]", phrase, maxsplit=1)[0]
    if first.isupper() and first.isalpha():
        vowel = first[0] in _SPELLED_VOWEL
    elif first[:1].isdigit():
        vowel = first.startswith("8") or re.match(r"(?:11|18)(?:\D|$|,\d{3}$)", first) is not None
    else:
        vowel = bool(_VOWEL_SOUND.match(first)) and not _CONSONANT_SOUND.match(first)
    return f"{'an' if vowel else 'a'} {phrase}"


def a_period(period: str) -> str:
    """`a month`, `an hour`."""
    return article(period)


def listed(items: Sequence[str], joint: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {joint} {items[-1]}"


def capital(phrase: str) -> str:
    """With its first letter capital, the rest as it is."""
    return phrase[:1].upper() + phrase[1:]


def times(number: int) -> str:
    """`never`, `once`, `twice`, `3 times`."""
    return {0: "never", 1: "once", 2: "twice"}.get(number, f"{number:,} times")


_UNIT_WORDS = {"ms": "millisecond", "s": "second", "min": "minute", "h": "hour", "d": "day"}


def duration(micros: int) -> str:
    """`90 seconds`, `72 hours`, `7 days`: exact, in the largest unit that fits, but up to three days in hours."""
    hours, rest = divmod(micros, MICROS["h"])
    if not rest and 24 <= hours <= 72:
        return f"{hours} hours"
    found = re.fullmatch(r"([\d.]+)([a-z]+)", print_duration(micros))
    if found is None:  # a negative one
        return print_duration(micros)
    number, unit = found[1], _UNIT_WORDS[found[2]]
    whole = f"{int(number):,}" if number.isdigit() else number
    return f"{whole} {unit if number == '1' else unit + 's'}"
