"""Whole policies: every declaration and every rule, in any combination that has no mistake."""

from dataclasses import dataclass, field, replace
from fractions import Fraction

from hypothesis import strategies as st

from policy_engine.policy import Policy
from policy_engine.testing.strategies.conditions import Conditions, Metered
from policy_engine.testing.strategies.drafts import FILE, Block, Draft, Place, loaded
from policy_engine.testing.strategies.picking import Pick
from policy_engine.testing.strategies.rules import Kinds, Rules, Setting
from policy_engine.testing.strategies.words import FACTS, literal, with_money

ROUTES: dict[str, tuple[str, tuple[str, ...]]] = {
    "mini": ("model", ('model "m:mini"', "rates {3} in, {15} out per 1M tokens")),
    "big": ("model", ('model "m:big"', "rates {15} in, {75} out per 1M tokens")),
    "search": ("tool", ('tool "web"', "cost {0.01}")),
    "flat": ("model", ('model "m:flat"', "cost {0.035}")),
    "unread": ("model", ('model "m:free input"', "rates {0} in, {0} out per 1M tokens")),
    "bare": ("model", ('model "m:unpriced"',)),
    "local": ("tool", ('tool "unpriced tool"',)),
    "long": ("model", ('model "m:long"',)),
    "steep": ("model", ('model "m:steep"',)),
}
TIERED = ("long", "steep")
"""Routes that `drafts.prices_of` prices, by how long a request is and by what of it is cached."""

HANDOFFS = {"desk": ('handoff "the desk"', "cost {2.50}"), "queue": ('handoff "a queue"',)}
LANES = ("standard", "premium", "research")
PLANS = ("base", "growth", "enterprise")
OUTCOMES = {"support": ("draft_reply", "refund"), "sales": ("summary", "quote")}
PRICES = ("1", "0.10", "4")


@dataclass(frozen=True)
class Shape:
    """What a property asks of the policies it gets."""

    kinds: Kinds = field(default_factory=Kinds)
    most_rules: int = 2  # per block
    escrow: str = "maybe"  # `always` or `never`: whether it says `on store failure allow`
    unpriced: bool = True  # may have routes that nothing prices
    tiered: bool = False  # may have routes of `TIERED`; their policies are loaded with `prices_of`


class Case:
    """A generated policy: its pieces, and how to write more rules for it."""

    def __init__(
        self, draft: Draft, setting: Setting, places: tuple[Place, ...], pick: Pick, conditions: Conditions
    ) -> None:
        self.draft = draft
        self.setting = setting
        self.places = places
        self.pick = pick
        self.conditions = conditions

    @property
    def text(self) -> str:
        return self.draft.text

    @property
    def policy(self) -> Policy:
        return loaded(self.draft.text)

    def __repr__(self) -> str:
        return f"the policy\n{self.draft.text}"


def policies(shape: Shape | None = None) -> st.SearchStrategy[Case]:
    """Policy sets without a mistake; loading one is an assertion of its own."""
    return _policies(shape or Shape())


@st.composite
def _policies(draw: st.DrawFn, shape: Shape) -> Case:
    return generated(Pick(draw), shape)


def generated(pick: Pick, shape: Shape) -> Case:
    """A policy of these choices."""
    currency = "CHF" if pick.one_in(8) else "USD"
    zone = pick.of(("", "Europe/Berlin", "America/New_York", "Asia/Kolkata"))
    facts = {name: form for name in FACTS if (form := pick.of(("", "required", "optional", "default")))}
    left_out = (*(() if shape.unpriced else ("bare", "local")), *(() if shape.tiered else TIERED))
    priced = tuple(name for name in ROUTES if name not in left_out)
    attempted = pick.some(priced, least=1, most=3)
    handoffs = pick.some(tuple(HANDOFFS), most=4 - len(attempted))
    lanes = pick.some(LANES, least=1)
    workflows = pick.some(tuple(OUTCOMES), least=1)
    outcomes = {workflow: pick.some(OUTCOMES[workflow], least=1) for workflow in workflows}
    every_outcome = tuple(name for names in outcomes.values() for name in names)
    setting = Setting(
        currency=currency,
        facts=tuple(facts),
        attempted=tuple(attempted),
        handoffs=tuple(handoffs),
        lanes=tuple(lanes),
        plans=tuple(pick.some(PLANS)),
        workflows=tuple(workflows),
        outcomes=every_outcome,
    )
    entered = (*setting.lanes, *setting.workflows, *setting.outcomes, *setting.plans)
    conditions = Conditions(
        pick, currency, Metered(spending=(*entered, *setting.routes), entered=(*entered, *setting.handoffs))
    )
    rules = Rules(pick, setting, conditions, shape.kinds)
    write = _Writer(pick, setting, rules, shape.most_rules)

    head = [f"currency {currency}"]
    head += [f'timezone "{zone}"'] if zone else []
    head += [_fact(name, form, currency) for name, form in facts.items()]
    head += ["error stale"]
    if shape.escrow == "always" or pick.one_in(4):
        answer = "deny" if shape.escrow == "never" else f"allow within {write.money(pick.of(('0.05', '0.5')))}"
        head.append(f"on store failure {answer}")
    blocks = [write.route(name) for name in setting.routes]
    blocks += [write.lane(name) for name in setting.lanes]
    blocks += [write.plan(name) for name in setting.plans]
    blocks += [write.pack(name, outcome) for name, outcome in zip(("burst", "spare"), every_outcome, strict=False)]
    blocks += [write.workflow(name, outcomes[name]) for name in workflows]
    draft = Draft(tuple(head), rules.some_at(FILE, shape.most_rules + 1), tuple(blocks))
    places = [FILE, *(block.place for block in blocks if block.kind != "pack")]
    places += [("outcome", name) for name in every_outcome]
    return Case(draft, setting, tuple(places), pick, conditions)


def extra_rule(case: Case, kind: str, kinds: Kinds, *, shadow: bool = False) -> tuple[Place, str]:
    """One more rule of a kind, for some block of a policy where it may stand."""
    rules = Rules(case.pick, case.setting, case.conditions, replace(kinds, shadows=False))
    places = [place for place in case.places if kind in rules.kinds_at(place)]
    place = case.pick.of(places)
    return place, rules.rule(kind, place, shadow=shadow)


def _fact(name: str, form: str, currency: str) -> str:
    type_, default = FACTS[name]
    mark, value = ("?" if form == "optional" else ""), (f" = {default}" if form == "default" else "")
    return with_money(f"fact {name}{mark}: {type_}{value}", currency)


class _Writer:
    """Writes the blocks of one policy, each with rules of its own."""

    def __init__(self, pick: Pick, setting: Setting, rules: Rules, most_rules: int) -> None:
        self._pick = pick
        self._setting = setting
        self._rules = rules
        self._most = most_rules

    def money(self, amount: str) -> str:
        return literal("money", Fraction(amount), self._setting.currency)

    def _block(self, kind: str, name: str, settings: list[str], inside: list[Block] | None = None) -> Block:
        rules = self._rules.some_at((kind, name), self._most)
        return Block(kind, name, tuple(settings), rules, tuple(inside or ()))

    def route(self, name: str) -> Block:
        settings = HANDOFFS[name] if name in HANDOFFS else ROUTES[name][1]
        return self._block("route", name, [with_money(setting, self._setting.currency) for setting in settings])

    def lane(self, name: str) -> Block:
        pick, setting = self._pick, self._setting
        path = pick.some(setting.attempted, least=1)
        if setting.handoffs and pick.number(1):
            path.append(pick.of(setting.handoffs))
        return self._block("lane", name, [" -> ".join(path)])

    def plan(self, name: str) -> Block:
        pick = self._pick
        settings = []
        if pick.number(2):
            settings.append(f"fee {self.money(pick.of(('10', '2', '0.10')))} per {pick.of(('month', 'week', 'day'))}")
        included = pick.some(self._setting.outcomes)
        if included:
            settings.append("includes " + ", ".join(f"{pick.of((2, 1, 3))} {outcome}" for outcome in included))
        over = pick.some(self._setting.outcomes)
        if over:
            prices = ", ".join(f"{self.money(pick.of(('0.80', '0.05')))} per {outcome}" for outcome in over)
            cap = f" up to {self.money(pick.of(('1.60', '0.80', '0.05')))} per {pick.of(('month', 'day'))}"
            settings.append(f"overage {prices}{cap if pick.number(1) else ''}")
        return self._block("plan", name, settings)

    def pack(self, name: str, outcome: str) -> Block:
        pick = self._pick
        units = f"{pick.of((2, 1))} {outcome} for {self.money(pick.of(('1', '0.03')))}"
        return Block("pack", name, (units, *(("expires 1d",) if pick.number(1) else ())))

    def workflow(self, name: str, outcomes: list[str]) -> Block:
        return self._block("workflow", name, [], [self._outcome(outcome) for outcome in outcomes])

    def _outcome(self, name: str) -> Block:
        pick = self._pick
        settings = [
            f"price {self.money(pick.of(PRICES))}",
            f"lanes {', '.join(pick.some(self._setting.lanes, least=1))}",
        ]
        if pick.number(2):
            settings.append(f"accepted within {pick.of(('1h', '72h'))}{pick.of(('', ' else expired'))}")
        return self._block("outcome", name, settings)
