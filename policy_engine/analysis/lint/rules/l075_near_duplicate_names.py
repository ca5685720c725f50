"""Two names of a kind that a reader will take for one.

What: two routes, lanes, plans, packs, workflows, outcomes, facts, errors, or two values of one fact, have names
that differ only in upper and lower case, underscores, a doubled letter, a plural `s` at the end, or two
neighbouring letters that changed places.

Why: one of them is a slip, or will be: a rule for `refund_reply` does not hold for `refund_replies`, and no tool
can tell which was meant.

Bad:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    plan team { fee $49 per month  includes 60 reply }
    plan teams { fee $490 per month  includes 700 reply }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
      }
    }

Good:

    currency USD
    route mini { model "openai:gpt-4o-mini"  rates $0.15 in, $0.60 out per 1M tokens }
    lane standard { mini }
    plan team { fee $49 per month  includes 60 reply }
    plan company { fee $490 per month  includes 700 reply }
    workflow support {
      outcome reply {
        price $1
        lanes standard
        ceiling $0.30 per outcome
      }
    }
"""

from collections.abc import Iterator

from policy_engine.analysis.lint.rule import Found, LintRule, Tier
from policy_engine.analysis.lint.subject import Subject
from policy_engine.language import syntax as s
from policy_engine.language.diagnostics import Note
from policy_engine.language.source import Span


def check(subject: Subject) -> Iterator[Found]:
    kinds: dict[str, list[tuple[str, Span]]] = {}
    for item, _ in subject.statements:
        if isinstance(item, s.Block):
            kinds.setdefault(item.kind, []).append((item.name.text, item.name.span))
        elif isinstance(item, s.ErrorDeclaration):
            kinds.setdefault("error", []).append((item.name.text, item.name.span))
        elif isinstance(item, s.FactDeclaration):
            kinds.setdefault("fact", []).append((item.name.text, item.name.span))
            if isinstance(item.type, s.Enumeration):
                values = [(word.text, word.span) for word in item.type.values]
                kinds.setdefault(f"value of `{item.name.text}`", []).extend(values)
    for kind, names in kinds.items():
        yield from _alike(kind, names)


def _alike(kind: str, names: list[tuple[str, Span]]) -> Iterator[Found]:
    bares: dict[str, tuple[str, Span]] = {}
    swaps: dict[str, tuple[str, Span]] = {}
    for name, span in names:
        bare = _bare(name)
        swapped = list(_swapped(bare))
        other = bares.get(bare) or swaps.get(bare) or next((bares[key] for key in swapped if key in bares), None)
        if other is not None and other[0] != name:
            yield Found(
                span=span,
                message=f"the {kind} `{name}` is easily taken for `{other[0]}`",
                hint="give one of them a name that tells them apart",
                notes=(Note(f"`{other[0]}`", other[1]),),
            )
        bares.setdefault(bare, (name, span))
        for key in swapped:
            swaps.setdefault(key, (name, span))


def _bare(name: str) -> str:
    """What a quick reader sees: no case, no underscores, no doubled letters, no plural."""
    plain = name.lower().replace("_", "")
    pairs = zip(plain, " " + plain, strict=False)
    bare = "".join(letter for letter, before in pairs if letter != before or letter.isdigit())
    return bare.removesuffix("s") if len(bare) > 3 else bare  # shorter ones are abbreviations, and meant


def _swapped(bare: str) -> Iterator[str]:
    """The name with two neighbouring letters changed, at each place."""
    for place in range(len(bare) - 1):
        first, second = bare[place], bare[place + 1]
        if first.isalpha() and second.isalpha() and first != second:
            yield f"{bare[:place]}{second}{first}{bare[place + 2 :]}"


RULE = LintRule(code="L075", name="near-duplicate-names", topic="names", tier=Tier.NOTE, check=check)
