"""What is sold, in sentences for a buyer: one for each plan and pack, no word of how the work is done.

A plan reads: "Growth, $1,490 a month: 2,000 support drafts and 120 account summaries; advanced
reasoning for high-risk tasks, 50 a month; beyond that $0.80 a draft and $4 a summary." Every amount
is exact. Names of lanes, routes, models and providers are not for buyers; a lane is spoken of by its
title, and only where not everybody has it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from policy_engine.analysis.explain import english
from policy_engine.analysis.explain.discretion import Discretion
from policy_engine.analysis.explain.english import Noun
from policy_engine.analysis.explain.standing import Standing
from policy_engine.language.checked import (
    CheckedPolicy,
    ForbidRule,
    Lane,
    LimitRule,
    Linear,
    Pack,
    Plan,
    Rule,
    Rules,
    Scope,
)
from policy_engine.language.units import print_money
from policy_engine.language.vocabulary import Unit


@dataclass(frozen=True, slots=True)
class Offer:
    """One sentence: `lead` is what it is about, `rest` what is said. `kind`: `plan`, `pack`, `list`, `terms`."""

    kind: str
    name: str
    lead: str
    rest: str

    def __str__(self) -> str:
        return f"{self.lead}{self.rest}."


@dataclass(frozen=True, slots=True)
class Leaflet:
    """All offers, and notes for the author about what a buyer is not told."""

    offers: tuple[Offer, ...]
    notes: tuple[str, ...]


def leaflet(policy: CheckedPolicy, outcome: str | None = None, plan: str | None = None) -> Leaflet:
    """What a buyer is told: of every plan and outcome, or of one plan, or of one outcome."""
    writer = _Writer(policy, outcome, plan)
    return Leaflet(tuple(writer.offers()), tuple(writer.notes()))


class _Writer:
    def __init__(self, policy: CheckedPolicy, outcome: str | None, plan: str | None) -> None:
        self._policy = policy
        self._discretion = Discretion(policy)
        named = policy.plans if plan is None else {plan: policy.plans[plan]}
        self._plans = [p for p in named.values() if outcome is None or outcome in _sold(p)]
        self._one_plan = plan is not None
        if outcome is not None:
            self._outcomes = [outcome]
        else:
            of_plan = _sold(policy.plans[plan]) if plan is not None else policy.outcomes
            self._outcomes = [name for name in policy.outcomes if name in of_plan]

    def offers(self) -> Iterator[Offer]:
        for plan in self._plans:
            yield self._plan(plan)
        for pack in self._policy.packs.values():
            if pack.outcome in self._outcomes:
                yield self._pack(pack)
        sold = [] if self._one_plan else [name for name in self._outcomes if self._is_served(name, None)]
        if sold:
            yield self._list_prices(sold)
        yield from self._terms()

    def notes(self) -> Iterator[str]:
        """Why a lane that is not for everybody is not spoken of."""
        for lane in self._gated:
            if lane.title is None:
                yield f"lane `{lane.name}` is left out: a buyer knows a lane by its title, and it has none"
            elif (word := self._discretion.gives_away(lane.title)) is not None:
                yield f"lane `{lane.name}` is left out: its title says `{word}`, which is not for a buyer"
        for plan in self._plans:
            for name in _sold(plan):
                if not self._is_served(name, plan.name):
                    yield f"plan `{plan.name}` sells `{name}`, but its rules let none of it in"
            for rule in (*plan.rules.allows, *plan.rules.forbids):
                if not rule.shadow and not (isinstance(rule, ForbidRule) and self._most(rule) is not None):
                    yield f"a buyer of plan `{plan.name}` is not told of `{rule.ref.text}` at {rule.ref.place}"

    # ------------------------------------------------------------ names

    @cached_property
    def _nouns(self) -> dict[str, Noun]:
        return {name: english.noun(name) for name in self._policy.outcomes}

    def _short(self, outcome: str, among: Iterable[str]) -> str:
        """The last word of its name, where no other outcome here ends in it."""
        noun = self._nouns[outcome]
        heads = [self._nouns[name].head for name in among]
        return noun.head if heads.count(noun.head) == 1 else noun.singular

    def _name(self, name: str, title: str | None) -> str:
        said = " ".join(english.capital(word) for word in english.words(name).split(" "))
        if title is None or self._discretion.gives_away(title) is not None:
            return said
        return english.capital(title) if said.lower() in title.lower() else f"{said} ({title})"

    def _amount(self, nanos: int) -> str:
        return print_money(nanos, self._policy.currency, grouping=True)

    # ------------------------------------------------------------ plans

    def _plan(self, plan: Plan) -> Offer:
        fee = f", {self._amount(plan.fee_nanos)} {english.article(plan.period)}" if plan.fee_nanos else ", no fee"
        bounds = list(self._bounds(plan))
        most = f"at most {english.listed(bounds)}" if bounds else ""
        parts = [part for part in (self._included(plan), *self._lanes(plan), most) if part]
        parts += self._overage(plan)
        return Offer("plan", plan.name, self._name(plan.name, plan.title), f"{fee}: {'; '.join(parts)}")

    def _included(self, plan: Plan) -> str:
        counted = [self._nouns[name].count(units) for name, units in plan.includes.items()]
        if not counted:
            return "" if plan.overage is not None else "nothing included"
        per = "" if plan.fee_nanos else f" {english.article(plan.period)}"
        return english.listed(counted) + per + self._up_to(plan)

    def _up_to(self, plan: Plan) -> str:
        """` of up to 40 pages each`, where the plan refuses what has more."""
        said = [text for rule in plan.rules.forbids if (text := self._most(rule)) is not None]
        return f", each of up to {english.listed(said)}" if said else ""

    def _most(self, rule: ForbidRule) -> str | None:
        """`40 pages` for `forbid when pages > 40`; None for any other rule."""
        test = rule.condition
        if rule.shadow or not isinstance(test, Linear) or len(test.terms) != 1 or test.op not in (">", ">="):
            return None
        factor, read = test.terms[0]
        most = test.bound / factor
        phrase = english.words(read.name)
        if not (read.is_fact and read.unit is Unit.INTEGER and english.is_counted(phrase)) or most.denominator != 1:
            return None
        if self._discretion.gives_away(phrase) is not None:
            return None
        whole = int(most) - (test.op == ">=")
        return f"{whole:,} {phrase}" if whole > 1 else None

    def _overage(self, plan: Plan) -> list[str]:
        if plan.overage is None:
            return []
        prices = plan.overage.prices_nanos
        here = {*plan.includes, *prices}
        beyond = [self._each(name, prices[name], here) for name in prices if name in plan.includes]
        apart = [self._apart(name, prices[name]) for name in prices if name not in plan.includes]
        parts = [f"beyond that {english.listed(beyond)}"] if beyond else []
        parts += [english.listed(apart)] if apart else []
        if plan.overage.cap_nanos is not None:
            cap = f"up to {self._amount(plan.overage.cap_nanos)} {english.article(plan.overage.period or plan.period)}"
            if len(prices) == 1:
                parts[-1] += f", {cap}"
            else:
                parts[-1] += f", {cap} in all"
        return parts

    def _each(self, outcome: str, nanos: int, among: Iterable[str]) -> str:
        return f"{self._amount(nanos)} {english.article(self._short(outcome, among))}"

    def _apart(self, outcome: str, nanos: int) -> str:
        return f"{self._nouns[outcome].plural} at {self._amount(nanos)} each"

    # ------------------------------------------------------------ lanes that not everybody has

    @cached_property
    def _gated(self) -> list[Lane]:
        """Lanes of these outcomes with an `allow` or a `limit`."""
        listed = {lane: None for name in self._outcomes for lane in self._policy.outcomes[name].lanes}
        lanes = [self._policy.lanes[name] for name in listed]
        return [lane for lane in lanes if any(not rule.shadow for rule in (*lane.rules.allows, *lane.rules.limits))]

    def _lanes(self, plan: Plan) -> Iterator[str]:
        for lane in self._gated:
            if lane.title is None or self._discretion.gives_away(lane.title) is not None:
                continue
            outcomes = [name for name in self._outcomes if name in _sold(plan)]
            if any(self._may_enter(name, plan.name, lane) for name in outcomes):
                limits = [self._often(rule) for rule in lane.rules.limits if self._always(rule, plan, outcomes)]
                yield ", ".join([lane.title, *dict.fromkeys(limits)])

    def _may_enter(self, outcome: str, plan: str, lane: Lane) -> bool:
        if lane.name not in self._policy.outcomes[outcome].lanes:
            return False
        return _is_open(lane.rules, Standing(self._policy, outcome, plan, lane.name), plan)

    def _often(self, rule: LimitRule) -> str:
        if rule.scope.key == "customer":
            return f"{rule.count:,} {english.article(str(rule.scope.window))}"
        return "while there is room"

    # ------------------------------------------------------------ what a plan bounds

    def _bounds(self, plan: Plan) -> Iterator[str]:
        """`8 a day`: the limits of a customer that always hold, of the plan and of its outcomes."""
        outcomes = [name for name in self._outcomes if name in _sold(plan)]
        for rules, about in self._blocks(plan, outcomes):
            for rule in rules.limits:
                if _per_customer(rule.scope) and self._always(rule, plan, outcomes):
                    what = self._nouns[about].count(rule.count) if about else f"{rule.count:,}"
                    yield f"{what} {english.article(str(rule.scope.window))}"

    def _blocks(self, plan: Plan, outcomes: Sequence[str]) -> Iterator[tuple[Rules, str | None]]:
        """The plan's rules, then those of its outcomes, each with the outcome it speaks of if there are several."""
        policy = self._policy
        yield policy.rules, None
        yield plan.rules, None
        for name in dict.fromkeys(policy.outcomes[outcome].workflow for outcome in outcomes):
            inside = [outcome for outcome in outcomes if policy.outcomes[outcome].workflow == name]
            if len(inside) == len(outcomes):
                yield policy.workflows[name].rules, None
            elif len(inside) == 1:
                yield policy.workflows[name].rules, inside[0]
        for outcome in outcomes:
            yield policy.outcomes[outcome].rules, outcome if len(outcomes) > 1 else None

    def _always(self, rule: Rule, plan: Plan, outcomes: Sequence[str]) -> bool:
        """Whether an enforced rule holds for all of the plan's work it stands over."""
        if not _is_enforced(rule):
            return False
        if rule.block.kind == "outcome":
            outcomes = [rule.block.name]
        lane = rule.block.name if rule.block.kind == "lane" else None
        listed = [name for name in outcomes if lane is None or lane in self._policy.outcomes[name].lanes]
        return bool(listed) and all(
            Standing(self._policy, name, plan.name, lane).always_applies(rule) for name in listed
        )

    # ------------------------------------------------------------ packs, list prices, terms

    def _pack(self, pack: Pack) -> Offer:
        noun = self._nouns[pack.outcome]
        said = f": {pack.units:,} more {noun.singular if pack.units == 1 else noun.plural}"
        said += f" for {self._amount(pack.price_nanos)}"
        if pack.expires_micros is not None:
            said += f", valid {english.duration(pack.expires_micros)}"
        return Offer("pack", pack.name, self._name(pack.name, pack.title), said)

    def _list_prices(self, sold: Iterable[str]) -> Offer:
        prices = [
            f"{self._amount(self._policy.outcomes[name].price_nanos)} {english.article(self._nouns[name].singular)}"
            for name in sold
        ]
        return Offer("list", "", "Without a plan", f": {english.listed(prices)}")

    def _is_served(self, outcome: str, plan: str | None) -> bool:
        """Whether anything may let it in: no `forbid` that always holds, no block that cannot open, and a lane."""
        policy = self._policy
        standing = Standing(policy, outcome, plan)
        lanes = [policy.lanes[lane].rules for lane in policy.outcomes[outcome].lanes]
        around = policy.around(outcome, plan)
        return all(_is_open(rules, standing, plan) for rules in around) and any(
            _is_open(rules, standing, plan) for rules in lanes
        )

    def _terms(self) -> Iterator[Offer]:
        """When a delivered result is paid for, a sentence for each reading."""
        readings: dict[tuple[int | None, bool], list[str]] = {}
        for name in self._outcomes:
            outcome = self._policy.outcomes[name]
            readings.setdefault((outcome.accepted_within_micros, outcome.else_expired), []).append(name)
        for (micros, expires), names in readings.items():
            nouns = english.listed([self._nouns[name].plural for name in names])
            them = english.capital(nouns)
            if micros is None:
                yield Offer("terms", "", them, ": you pay when they are delivered")
                continue
            time = english.duration(micros)
            if expires:
                yield Offer("terms", "", them, f": you pay only for what you accept within {time}")
            else:
                yield Offer("terms", "", them, f": you pay only for what you accept, with {time} to reject")


def _sold(plan: Plan) -> dict[str, None]:
    """The outcomes that a plan includes or sells."""
    prices = plan.overage.prices_nanos if plan.overage is not None else {}
    return dict.fromkeys((*plan.includes, *prices))


def _is_open(rules: Rules, standing: Standing, plan: str | None) -> bool:
    """Whether the rules of a block let customers on this plan (None: on none) in, for some facts."""
    if any(_is_enforced(rule) and standing.always_applies(rule, plan=plan) for rule in rules.forbids):
        return False
    allows = [rule for rule in rules.allows if not rule.shadow]
    return not allows or any(standing.can_apply(rule, plan=plan) for rule in allows)


def _per_customer(scope: Scope) -> bool:
    return scope.key == "customer"


def _is_enforced(rule: Rule) -> bool:
    return not rule.shadow
