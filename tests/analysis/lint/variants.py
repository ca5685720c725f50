"""Policies made from others by seeded edits that keep their intent, and a way to plant a flaw in one.

An edit works on the text, at places that the tree tells: so comments and layout stay as an author had them.
What it changes, it changes everywhere: a new name at each use, all amounts by one factor, a copied plan in
each condition that names the one it was copied from.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import is_dataclass
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from msgspec import Struct

from policy_engine.analysis.lint.fixes import edited
from policy_engine.analysis.lint.rule import Edit
from policy_engine.language import syntax as s
from policy_engine.language.formatter import format_file
from policy_engine.language.parser import parse
from policy_engine.language.source import Source, Span
from policy_engine.language.units import SYMBOLS, plain_number
from policy_engine.language.vocabulary import ANY, ERROR_CLASSES, NEVER_RETRIED
from policy_engine.testing.strategies.picking import SeededPick

ROOT = Path(__file__).resolve().parents[3]
SETS = tuple(sorted(path.name for path in (ROOT / "policies").iterdir() if any(path.glob("*.policy"))))
FACTORS = (Fraction(1, 2), Fraction(2), Fraction(3), Fraction(10), Fraction(7, 5))
_WORD = re.compile(r'"(?:[^"\\\n]|\\.)*"|#[^\n]*|[A-Za-z_][A-Za-z0-9_]*|[0-9][A-Za-z0-9_.]*')
_SYLLABLES = "bar dex fin gol hum jet kol lam mop nur pes qua ros sit tul vex wim yor zan".split()

Sources = list[Source]
EditOf = Callable[[Sources, SeededPick], Sources]


def example(name: str) -> Sources:
    """An example policy as it stands."""
    files = sorted((ROOT / "policies" / name).glob("*.policy"))
    return [Source(file.name, file.read_text(encoding="utf-8")) for file in files]


@cache
def variant(seed: int, *, formatted: bool = False) -> tuple[Sources, str]:
    """One of the examples after several edits, and what was done to it."""
    pick = SeededPick(seed)
    name = SETS[seed % len(SETS)]
    sources = example(name)
    chosen = pick.some(list(EDITS), 1, 5)
    for edit in chosen:
        sources = edit(sources, pick)
    if formatted:
        sources = [Source(source.name, format_file(tree(source))) for source in sources]
    return sources, f"{name}: {', '.join(edit.__name__ for edit in chosen)}"


# ---------------------------------------------------------------- reading


@lru_cache(maxsize=200)
def tree(source: Source) -> s.File:
    file, mistakes = parse(source)
    assert not mistakes, mistakes[0]
    return file


def nodes(item: object) -> Iterator[Any]:
    """A node and all below it."""
    if isinstance(item, tuple):
        for part in item:
            yield from nodes(part)
    elif isinstance(item, Struct | s.Block) and not isinstance(item, Span):
        yield item
        names = item.__dataclass_fields__ if is_dataclass(item) else item.__struct_fields__
        for name in names:
            if name not in ("span", "source", "head", "op_span"):
                yield from nodes(getattr(item, name))


def everywhere(sources: Sources, edit: Callable[[Any], Iterable[Edit]]) -> Sources:
    """What this edit makes of every node."""
    return [
        Source(source.name, edited(source, [made for node in nodes(tree(source).items) for made in edit(node)]))
        for source in sources
    ]


def blocks(sources: Sources, kind: str) -> list[s.Block]:
    found = [node for source in sources for node in nodes(tree(source).items) if isinstance(node, s.Block)]
    return [block for block in found if block.kind == kind]


def declared(sources: Sources) -> list[str]:
    """Every name of the sources that is its author's: blocks, facts, errors."""
    kinds = (s.Block, s.FactDeclaration, s.ErrorDeclaration)
    return [node.name.text for source in sources for node in nodes(tree(source).items) if isinstance(node, kinds)]


def labels(sources: Sources) -> list[str]:
    tails = [node for source in sources for node in nodes(tree(source).items) if isinstance(node, s.Tails)]
    return [tail.label.text for tail in tails if tail.label is not None]


def fresh(pick: SeededPick) -> str:
    """A name unlike all others: what is long and random is no near miss of anything."""
    return "_".join("".join(pick.of(_SYLLABLES) for _ in range(3)) for _ in range(2)) + str(pick.fresh())


def renamed(text: str, names: dict[str, str]) -> str:
    """New names for old ones, but not in comments and quoted texts."""
    return _WORD.sub(lambda word: names.get(word[0], word[0]), text)


# ---------------------------------------------------------------- the edits


def rename(sources: Sources, pick: SeededPick) -> Sources:
    """Other names for some of what is declared."""
    names = pick.some([*declared(sources), *labels(sources)], 1)
    # An enum's value may have the name of something else: a new name for both keeps all as it was.
    new = {name: fresh(pick) for name in names}
    return [Source(source.name, renamed(source.text, new)) for source in sources]


def scale(sources: Sources, pick: SeededPick) -> Sources:
    """All amounts of money by one factor."""
    factor = pick.of(FACTORS)

    def edit(node: Any) -> Iterator[Edit]:
        if isinstance(node, s.Money):
            yield Edit(span=node.span, text=money(node.value * factor, node.currency))

    return everywhere(sources, edit)


def money(value: Fraction, currency: str) -> str:
    symbol = next((sign for sign, code in SYMBOLS.items() if code == currency), None)
    return f"{symbol}{plain_number(value)}" if symbol else f"{plain_number(value)} {currency}"


def copy_plan(sources: Sources, pick: SeededPick) -> Sources:
    """A further plan like one of those there are, meant wherever that one is."""
    plans = blocks(sources, "plan")
    return _copied(sources, pick.of(plans), pick) if plans else sources


def copy_outcome(sources: Sources, pick: SeededPick) -> Sources:
    """A further outcome like one of those there are, sold beyond the allowance wherever that one is."""
    block = pick.of(blocks(sources, "outcome"))
    sources, name = _copied(sources, block, pick), block.name.text
    new = next(other.name.text for other in blocks(sources, "outcome") if other.name.text.startswith("copy_"))

    def edit(node: Any) -> Iterator[Edit]:
        if isinstance(node, s.UnitPrice) and node.outcome.text == name:
            yield Edit(
                span=Span(node.span.source, node.span.end, node.span.end), text=f", {node.amount.text} per {new}"
            )

    names = {new: fresh(pick)}
    return [Source(source.name, renamed(source.text, names)) for source in everywhere(sources, edit)]


def _copied(sources: Sources, block: s.Block, pick: SeededPick) -> Sources:
    """The sources with a copy of a block behind it, named in each condition that names the block."""
    name, kind = block.name.text, block.kind
    new = f"copy_{fresh(pick)}" if kind == "outcome" else fresh(pick)
    body = Source("copy", block.span.text)
    own = {label: fresh(pick) for label in labels(sources)}
    text = renamed(body.text, {name: new, **own})

    def edit(node: Any) -> Iterator[Edit]:
        if isinstance(node, s.In) and isinstance(node.left, s.Name) and node.left.text == kind:
            for item in node.items:
                if isinstance(item, s.Name) and item.text == name:
                    yield Edit(span=item.span, text=f"{name}, {new}")
        if isinstance(node, s.Compare) and [_text(node.left), _text(node.right)] == [kind, name]:
            word = "not in" if node.op == "is not" else "in"
            yield Edit(span=node.span, text=f"{kind} {word} [{name}, {new}]")
        if isinstance(node, s.Block) and node.kind == kind and node.name.text == name:
            end = node.span.end
            yield Edit(span=Span(node.span.source, end, end), text=f"\n{text}\n")

    return everywhere(sources, edit)


def _text(node: object) -> str | None:
    return node.text if isinstance(node, s.Name) else None


def merge(sources: Sources, pick: SeededPick) -> Sources:
    """All files in one."""
    return [Source("all.policy", "\n".join(source.text for source in pick.shuffled(sources)))]


def split(sources: Sources, pick: SeededPick) -> Sources:
    """What stands at the top of files, in several files, in any order; file-level fallbacks together, as they were."""
    chunks: list[str] = []
    fallbacks = ""
    for source in sources:
        end = 0
        for item in tree(source).items:
            stop = source.text.find("\n", item.span.end)
            stop = len(source.text) if stop < 0 else stop + 1
            if stop <= end:
                continue  # on one line with the one before
            chunk, end = source.text[end:stop], stop
            if isinstance(item, s.Fallback):
                fallbacks += chunk
            else:
                chunks.append(chunk)
    chunks = pick.shuffled([*chunks, fallbacks])
    number = 1 + pick.number(4)
    return [Source(f"part{index}.policy", "".join(chunks[index::number]) or "\n") for index in range(number)]


def comment(sources: Sources, pick: SeededPick) -> Sources:
    """Comments where lines begin."""

    def noted(line: str) -> str:
        return f"# {pick.of(_SYLLABLES)}: why this is so, said at length\n{line}" if pick.one_in(6) else line

    return [Source(source.name, "".join(map(noted, source.text.splitlines(keepends=True)))) for source in sources]


def space(sources: Sources, pick: SeededPick) -> Sources:
    """Other indentation, wider gaps, empty lines."""

    def spaced(line: str) -> str:
        wide = re.sub(r'(?<=\S) (?=[^"#]*$)', " " * (1 + pick.number(2)), line) if '"' not in line else line
        return "\n" * (not pick.number(8)) + " " * pick.number(6) + wide.lstrip(" ")

    return [Source(source.name, "".join(map(spaced, source.text.splitlines(keepends=True)))) for source in sources]


def tidy(sources: Sources, pick: SeededPick) -> Sources:
    """The canonical form."""
    return [Source(source.name, format_file(tree(source))) for source in sources]


EDITS: tuple[EditOf, ...] = (rename, scale, copy_plan, copy_outcome, merge, split, comment, space, tidy)


# ---------------------------------------------------------------- planting


def planted(bed: Sources, flaw: Sources, pick: SeededPick, *, moving: bool = True) -> Sources:
    """Both sets as one.

    The bed gets new names throughout, the flaw models of its own and the bed's currency. What the flaw says for the
    whole file is said in its workflows instead, if it is `moving`: else it would govern the bed too.
    """
    declared_in = [node.code.text for source in bed for node in nodes(tree(source).items) if is_currency(node)]
    currency = declared_in[0] if declared_in else "USD"
    names = {name: fresh(pick) for name in (*declared(bed), *labels(bed))}
    own = fresh(pick)

    def edit(node: Any) -> Iterator[Edit]:
        if isinstance(node, s.CurrencyDeclaration | s.TimezoneDeclaration | s.StoreFailure):
            yield Edit(span=node.span, text="")
        if isinstance(node, s.Money):
            yield Edit(span=node.span, text=money(node.value, currency))
        if isinstance(node, s.Model):
            yield Edit(span=node.model.span, text=f'"{node.model.value}-{own}"')

    kinds = (s.Ceiling, s.Retry, s.Fallback, s.Allow, s.Forbid, s.Limit)
    moved = everywhere(into_workflows(flaw, kinds) if moving else flaw, edit)
    renamed_bed = [Source(source.name, renamed(source.text, names)) for source in spelt_out(bed)]
    return [*renamed_bed, *(Source(f"flaw{number}.policy", source.text) for number, source in enumerate(moved))]


def spelt_out(sources: Sources) -> Sources:
    """Every class by its name where a rule says `any` or nothing: what is planted beside it may declare others."""
    own = [node.name.text for source in sources for node in nodes(tree(source).items) if is_error(node)]
    classes = [*ERROR_CLASSES, *own]

    def edit(node: Any) -> Iterator[Edit]:
        if not isinstance(node, s.Retry | s.Fallback):
            return
        never = NEVER_RETRIED if isinstance(node, s.Retry) else ("cancelled",)
        text = "on " + ", ".join(name for name in classes if name not in never)
        first = node.count if isinstance(node, s.Retry) else node.target
        if node.tails.on is None:
            yield Edit(span=Span(first.span.source, first.span.end, first.span.end), text=f" {text}")
        elif [name.text for name in node.tails.on.classes] == [ANY]:
            yield Edit(span=node.tails.on.span, text=text)

    return everywhere(sources, edit)


def is_error(node: object) -> bool:
    return isinstance(node, s.ErrorDeclaration)


def governs_all(bed: Sources) -> bool:
    """Whether a file-level `fallback` or `retry` would lend itself to whatever is planted."""
    return any(isinstance(item, s.Fallback | s.Retry) for source in bed for item in tree(source).items)


def into_workflows(sources: Sources, kinds: tuple[type, ...]) -> Sources:
    """File-level rules of these kinds, said at the end of each workflow instead."""
    items = [item for source in sources for item in tree(source).items]
    rules = [item for item in items if isinstance(item, kinds)]
    if not rules:
        return sources
    if not blocks(sources, "workflow"):
        sources = [*sources, Source("workflow.policy", "workflow of_the_flaw {\n}\n")]
    text = "".join(f"  {rule.span.text}\n" for rule in rules)

    def edit(source: Source) -> Iterator[Edit]:
        for item in tree(source).items:
            if isinstance(item, kinds):
                yield Edit(span=item.span, text="")
            if isinstance(item, s.Block) and item.kind == "workflow":
                yield Edit(span=Span(source, item.span.end - 1, item.span.end - 1), text=text)

    return [Source(source.name, edited(source, edit(source))) for source in sources]


def is_currency(node: object) -> bool:
    return isinstance(node, s.CurrencyDeclaration)


# ---------------------------------------------------------------- one flaw for each rule

WORDS = tuple(
    """acorn amber azure badger beige birch bronze burgundy cactus cerulean charcoal cobalt copper coral crimson cypress
    dahlia dolphin ebony elderberry emerald falcon fennel foxglove fuchsia garnet ginger golden granite hazelnut heather
    heron hyacinth indigo ivory jackal jasmine juniper khaki kingfisher lavender lemon lichen lilac lobster lotus
    magenta magnolia mahogany mango marble maroon mimosa mustard narwhal nectarine nutmeg ochre octopus olive opal
    orchid oyster papaya parsley peach pebble pelican peony plum poppy primrose pumpkin quartz quince raspberry rosemary
    saffron sapphire scarlet sepia silver sorrel tangerine tarragon teal thistle topaz turquoise vanilla vermilion
    violet walnut willow zinc zucchini""".split()
)
"""One for each code, whichever other codes there are."""


def together(flaw: Sources, code: str, *, first: bool) -> Sources:
    """A flaw as one of many in a policy: its names and its models get a word, and the first says the currency."""
    word = WORDS[int(code.removeprefix("L"))]
    names = {name: f"{word}_{name}" for name in (*declared(flaw), *labels(flaw))}

    def edit(node: Any) -> Iterator[Edit]:
        if isinstance(node, s.CurrencyDeclaration | s.TimezoneDeclaration | s.StoreFailure):
            yield Edit(span=node.span, text=node.span.text if first else "")
        if isinstance(node, s.Model):
            yield Edit(span=node.model.span, text=f'"{node.model.value}-{word}"')
        if isinstance(node, s.On) and [name.text for name in node.classes] == [ANY]:
            # `any` would answer the errors that others declare.
            yield Edit(span=node.span, text="on timeout, rate_limit, invalid_output, over_ceiling")

    kinds = () if code in STAYS_PUT else (s.Ceiling, s.Retry, s.Fallback, s.Allow, s.Forbid, s.Limit)
    moved = [
        Source(source.name, renamed(source.text, names)) for source in everywhere(into_workflows(flaw, kinds), edit)
    ]
    if code == UNFORMATTED:
        return moved
    return [Source(source.name, format_file(tree(source))) for source in moved]


LOCKED = {"L088"}
"""Rules about a price lock: a set has one or none, so no flaw of theirs is planted in another."""

STAYS_PUT = {"L076"}
"""Rules whose flaw is where a rule stands, so that planting must not move it."""

UNFORMATTED = "L074"
