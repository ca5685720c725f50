"""A difference made small: statements and blocks dropped, facts simplified, for as long as the two still disagree."""

import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from policy_engine.language.diagnostics import PolicyError
from policy_engine.policy import load
from tests.evaluation.differential import VARIANTS, Answer, Difference, Pair, agree, compiling, point_of, shown
from tests.evaluation.kept import Plain, from_plain, to_plain
from tests.generators.drafts import Block, Draft, prices_of

MOST_TRIES = 3000
"""Shrinking stops after so many candidates, however large the case still is."""

Disagreement = tuple[Answer, Answer]


def disagreement(text: str, point: str, plain: Plain) -> Disagreement | None:
    """What the reference and the compiled evaluator answer where they disagree, under any of the variants."""
    try:
        checked = load(text, prices=prices_of(text)).checked
        facts = from_plain(checked, point_of(point), plain)
    except (PolicyError, LookupError):
        return None
    for variant in VARIANTS:
        with compiling(variant):
            pair = Pair(checked, variant)
            answers = pair.expected(point, facts), pair.found(point, facts)
        if not agree(*answers):
            return answers
    return None


def shrunk(difference: Difference) -> Difference:
    """The same disagreement, as small as greed makes it; the difference itself where it does not show again."""
    draft, plain, point = difference.draft, difference.facts, difference.point
    answers = disagreement(draft.text, point, plain)
    if answers is None:
        return difference
    at, tries, smaller = 0, 0, False
    while tries < MOST_TRIES:
        candidate = next(islice(_smaller(draft, plain), at, None), None)
        if candidate is None:  # the end of a round: another one, if this one got anywhere
            if not smaller:
                break
            at, smaller = 0, False
            continue
        tries += 1
        still = disagreement(candidate[0].text, point, candidate[1])
        if still is None:
            at += 1
        else:  # what comes next has moved to this place
            (draft, plain), answers, smaller = candidate, still, True
    checked = load(draft.text, prices=prices_of(draft.text)).checked
    plain = to_plain(checked, from_plain(checked, point_of(point), plain))
    expected, found = answers
    return replace(difference, draft=draft, facts=plain, expected=shown(expected), found=shown(found))


def keep(difference: Difference, folder: Path) -> Path:
    """Write a case where the tests replay it; its name follows from what it says."""
    case = {
        "point": difference.point,
        "seed": difference.seed,
        "policy": difference.draft.text.splitlines(),
        "facts": difference.facts,
    }
    text = json.dumps(case, indent=1) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{difference.point.replace('.', '-')}-{sha256(text.encode()).hexdigest()[:10]}.json"
    path.write_text(text, encoding="utf-8")
    return path


# ---------------------------------------------------------------- what is a little smaller


def _smaller(draft: Draft, plain: Plain) -> Iterator[tuple[Draft, Plain]]:
    for less in _less_text(draft):
        yield less, plain
    for simpler in _simpler(plain):
        yield draft, simpler


def _less_text(draft: Draft) -> Iterator[Draft]:
    """Large pieces first: blocks, then all rules of one, then statements one by one."""
    if draft.rules:
        yield replace(draft, rules=())
    for blocks in _less_blocks(draft.blocks):
        yield replace(draft, blocks=blocks)
    for rules in _without_one(draft.rules):
        yield replace(draft, rules=rules)
    for head in _without_one(draft.head):
        yield replace(draft, head=head)


def _less_blocks(blocks: tuple[Block, ...]) -> Iterator[tuple[Block, ...]]:
    yield from _without_one(blocks)
    for number, block in enumerate(blocks):
        for less in _less_block(block):
            yield (*blocks[:number], less, *blocks[number + 1 :])


def _less_block(block: Block) -> Iterator[Block]:
    if len(block.rules) > 1:
        yield replace(block, rules=())
    for inside in _less_blocks(block.inside):
        yield replace(block, inside=inside)
    for rules in _without_one(block.rules):
        yield replace(block, rules=rules)
    for settings in _without_one(block.settings):
        yield replace(block, settings=settings)
    for number, setting in enumerate(block.settings):
        for less in _shorter(setting):
            yield replace(block, settings=(*block.settings[:number], less, *block.settings[number + 1 :]))


def _shorter(setting: str) -> Iterator[str]:
    """A path or a list with one name less."""
    for joint in (" -> ", ", "):
        parts = tuple(setting.split(joint))
        yield from (joint.join(less) for less in _without_one(parts) if less)


def _without_one(items: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    for number in range(len(items)):
        yield (*items[:number], *items[number + 1 :])


_SIMPLE: dict[str, tuple[Any, ...]] = {
    "plan": (None,),
    "escrow": (None,),
    "customer": ("cora",),
    "price_nanos": (0, 10**9),
    "attempt": (1,),
    "estimate_nanos": (None,),
    "input_tokens": (0,),
    "max_output_tokens": (0,),
    "min_output_tokens": (None,),
    "output_cap": (None,),
    "retries": ({},),
    "grants": ([],),
    "lane": (None,),
}
"""What a field is when it says nothing; 0 for every other number."""


def _simpler(plain: Plain) -> Iterator[Plain]:
    for name, value in plain.items():
        simple = _SIMPLE.get(name, (0,) if isinstance(value, int) else ())
        for choice in simple if value not in simple else ():
            if not (name == "lane" and "route" in plain):
                yield {**plain, name: choice}
        if isinstance(value, dict):
            for key in value:
                yield {**plain, name: {other: value[other] for other in value if other != key}}
        if name == "meters":
            for meter, pair in value.items():
                if pair is not None and any(pair):
                    yield {**plain, name: {**value, meter: [0, 0]}}
        if name == "grants" and value:
            for less in _without_one(tuple(value)):
                yield {**plain, name: list(less)}
        if name == "visited" and len(value) > 1:
            yield {**plain, name: value[-1:]}
