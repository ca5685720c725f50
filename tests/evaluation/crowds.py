"""Generated policies on which compiled code has something to say: open to most, and with rules to combine."""

import re
from dataclasses import replace
from fractions import Fraction

from tests.generators.drafts import Block, Draft
from tests.generators.picking import Pick
from tests.generators.policies import Case, Shape, generated
from tests.generators.rules import Kinds, Rules
from tests.generators.words import MONEY, WINDOWS, Choice, Names, literal


def drawn(pick: Pick, *, tiered: bool = False) -> Draft:
    """A policy: one in four as generated, the others opened; half of them crowded."""
    kinds = Kinds(shadows=pick.one_in(2))
    most_rules, unpriced = pick.of((2, 2, 3, 1)), pick.one_in(5)
    case = generated(pick, Shape(kinds=kinds, most_rules=most_rules, unpriced=unpriced, tiered=tiered))
    draft = case.draft if pick.one_in(4) else opened(case.draft)
    return crowded(case, draft, kinds) if pick.number(1) else draft


def opened(draft: Draft) -> Draft:
    """The draft without rules that let nobody in, and without shadow rules at admission: those are the fallback's."""

    def kept(rules: tuple[str, ...]) -> tuple[str, ...]:
        lit = [_unshaded(rule) for rule in rules]
        return tuple(rule for rule in lit if not rule.startswith("forbid") or " when " in rule)

    def block(of: Block) -> Block:
        return replace(of, rules=kept(of.rules), inside=tuple(block(each) for each in of.inside))

    return replace(draft, rules=kept(draft.rules), blocks=tuple(block(each) for each in draft.blocks))


def crowded(case: Case, draft: Draft, kinds: Kinds) -> Draft:
    """The draft with more rules to combine: ceilings known at admission, who may enter a lane, retries."""
    pick = case.pick
    rules = Rules(pick, case.setting, case.conditions, replace(kinds, shadows=False))
    known = rules._names["allow"]
    lanes = [Choice("lane", case.setting.lanes)] if len(case.setting.lanes) > 1 else []
    by_lane, by_all = Names(choices=lanes), replace(known, choices=[*known.choices, *lanes])
    around = [place for place in case.places if place[0] in ("file", "workflow", "outcome", "lane")]
    for _ in range(1 + pick.number(2)):
        amount = literal(MONEY, Fraction(pick.of(("0.3", "0.1", "0.05", "1"))), case.setting.currency)
        share = f"{pick.of((50, 10))}% of price"
        ceiling = pick.of((f"{amount} per outcome", f"{share} per outcome", f"{amount} per customer per day"))
        tail = case.conditions.tail(pick.of((Names(), by_lane, by_lane, by_all)))
        draft = draft.with_rule(pick.of(around), f"ceiling {ceiling}{tail}")
    for kind in pick.some(("allow", "allow", "retry", "retry", "fallback", "limit", "forbid"), least=1, most=4):
        entering = kind in ("allow", "forbid", "limit")
        places = [place for place in case.places if kind in rules.kinds_at(place)]
        place = pick.of([place for place in places if place[0] == "lane"] if entering else places)
        draft = draft.with_rule(place, rules.rule(kind, place))
    if pick.one_in(6):
        place = pick.of(around)
        draft = draft.with_rule(place, rules.rule("forbid", place, shadow=True))
    return draft


def _unshaded(rule: str) -> str:
    words = rule.split()
    inside = words[1:2] == ["margin"] or (words[1:2] == ["ceiling"] and not _has_window(rule))
    return rule if inside else rule.removeprefix("shadow ")


def _has_window(rule: str) -> bool:
    core, *_ = re.split(" when | unless ", rule, maxsplit=1)
    return any(f" per {window}" in core for window in WINDOWS)
