"""What governs an outcome: its price, then every rule that can apply, tightest first, a sentence and a place each."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from policy_engine.analysis.explain import english
from policy_engine.analysis.explain.amounts import Price, makes_idle, prices, tightness
from policy_engine.analysis.explain.sentences import Sentences
from policy_engine.analysis.explain.standing import Standing
from policy_engine.language.checked import (
    AllowRule,
    CeilingRule,
    CheckedPolicy,
    ForbidRule,
    LimitRule,
    RetryRule,
    Rule,
    RuleRef,
)
from policy_engine.language.source import Span
from policy_engine.language.units import print_money
from policy_engine.language.vocabulary import EXECUTION_SCOPES, WINDOWS


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence and the place it comes from. `idle` are ceilings that are always at least as tight as this one."""

    sentence: str
    ref: RuleRef
    rule: Rule | None = None
    idle: tuple[CeilingRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """Lines of one kind, and how they combine where there are several."""

    kind: str
    title: str
    note: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What governs one outcome. `plan` and `lane` are None where the explanation is for all of them."""

    outcome: str
    title: str | None
    workflow: str
    plan: str | None
    lane: str | None
    prices: tuple[Price, ...]
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class Groundless:
    """A rule that can govern nothing, and why."""

    ref: RuleRef
    reason: str


def explain(policy: CheckedPolicy, outcome: str, plan: str | None = None, lane: str | None = None) -> Explanation:
    """What governs an outcome, for customers on a plan or all of them, in one of its lanes or all of them."""
    standing = Standing(policy, outcome, plan, lane)
    return _Explainer(standing).explanation()


def groundless(policy: CheckedPolicy) -> tuple[Groundless, ...]:
    """The rules that can apply to no outcome, in (file, place) order."""
    applying = {rule for outcome in policy.outcomes for rule in Standing(policy, outcome).rules}
    idle = sorted((rule for rule in policy.every_rule() if rule not in applying), key=lambda rule: rule.span.order)
    return tuple(Groundless(rule.ref, _why(policy, rule)) for rule in idle)


def _why(policy: CheckedPolicy, rule: Rule) -> str:
    kind, name = rule.block.kind, rule.block.name
    listed = {lane for outcome in policy.outcomes.values() for lane in outcome.lanes}
    if not policy.outcomes:
        return "there is no outcome"
    if kind == "workflow" and not policy.workflows[name].outcomes:
        return f"workflow {name} has no outcome"
    if kind == "lane" and name not in listed:
        return f"no outcome lists lane {name}"
    if kind == "route" and not any(name in Standing(policy, outcome).routes for outcome in policy.outcomes):
        return f"nothing leads to route {name}"
    return "no outcome, plan, lane and route together meet its condition"


class _Explainer:
    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self._policy = standing.policy
        self._prices = prices(standing.policy, standing.outcome.name, standing.plan)
        self._sentences = Sentences(standing, self._prices)
        self._enforced = [rule for rule in standing.rules if not rule.shadow]
        self._ceilings = [rule for rule in self._enforced if isinstance(rule, CeilingRule)]

    def explanation(self) -> Explanation:
        standing, outcome = self._standing, self._standing.outcome
        sections = (
            self._section("price", "Price", "", self._price()),
            self._money(),
            self._inside("attempts", "Attempts"),
            self._inside("tokens", "Tokens"),
            self._inside("elapsed", "Time"),
            self._windows(),
            self._limits(),
            self._entry(),
            self._retries(),
            self._fallbacks(),
            self._shadow(),
        )
        return Explanation(
            outcome=outcome.name,
            title=outcome.title,
            workflow=outcome.workflow,
            plan=standing.plan,
            lane=standing.lane,
            prices=self._prices,
            sections=tuple(section for section in sections if section.lines),
        )

    @staticmethod
    def _section(kind: str, title: str, note: str, lines: Iterable[Line]) -> Section:
        said = tuple(lines)
        return Section(kind, title, note if len(said) > 1 else "", said)

    def _line(self, rule: Rule) -> Line:
        idle = self._idle(rule) if isinstance(rule, CeilingRule) and not rule.shadow else ()
        return Line(self._sentences.of(rule), rule.ref, rule, idle)

    # ------------------------------------------------------------ what it brings in

    def _price(self) -> Iterable[Line]:
        policy, outcome, plan = self._policy, self._standing.outcome, self._standing.plan
        place = _ref(outcome.name, outcome.span)
        yield Line(f"The list price is {self._amount(outcome.price_nanos)}.", place)
        for name in policy.plans if plan is None else (plan,):
            yield from self._price_on(name)
        for price in self._prices:
            if price.draw == "pack" and price.pack is not None:
                pack = policy.packs[price.pack]
                units = f"{pack.units:,} for {self._amount(pack.price_nanos)}"
                said = f"Pack {pack.name} has {units}, so one from it brings in {self._amount(price.nanos)}."
                yield Line(said, _ref(pack.name, pack.span))
        lanes = english.listed(outcome.lanes)
        if self._standing.lane is None:
            yield Line(f"Of the lanes {lanes}, the first that lets an execution in is its lane.", place)
        yield Line(self._acceptance(), place)

    def _price_on(self, plan: str) -> Iterable[Line]:
        terms = self._policy.plans[plan]
        place = _ref(plan, terms.span)
        name = self._standing.outcome.name
        by_draw = {price.draw: price.nanos for price in prices(self._policy, name, plan)}
        if "included" in by_draw:
            units = f"{terms.includes[name]:,} a {terms.period}"
            share = self._amount(by_draw["included"])
            yield Line(f"Plan {plan} includes {units}; each brings in {share}, its share of the fee.", place)
        if terms.overage is not None and "overage" in by_draw:
            cap = ""
            if terms.overage.cap_nanos is not None:
                cap = f", up to {self._amount(terms.overage.cap_nanos)} per customer per {terms.overage.period}"
            beyond = "beyond what is included, " if "included" in by_draw else ""
            said = f"On plan {plan}, {beyond}it is sold at {self._amount(by_draw['overage'])}{cap}."
            yield Line(said, terms.overage.ref)
        if self._standing.plan is not None and not {"included", "overage"} & set(by_draw):
            yield Line(f"Plan {plan} neither includes nor sells it, so it takes a grant of another kind.", place)

    def _acceptance(self) -> str:
        outcome = self._standing.outcome
        if outcome.accepted_within_micros is None:
            return "Delivery is acceptance, and final."
        time = english.duration(outcome.accepted_within_micros)
        if outcome.else_expired:
            return (
                f"The customer has {time} from delivery to accept it; without a word it expires and brings in nothing."
            )
        return f"The customer has {time} from delivery to reject it; silence is acceptance."

    def _amount(self, nanos: int) -> str:
        return print_money(nanos, self._policy.currency, grouping=True)

    # ------------------------------------------------------------ ceilings

    def _money(self) -> Section:
        found = [rule for rule in self._ceilings if rule.scope.execution and rule.quantity == "spent"]
        return self._tightest_first("spent", "Money", found)

    def _inside(self, quantity: str, title: str) -> Section:
        found = [rule for rule in self._ceilings if rule.scope.execution and rule.quantity == quantity]
        return self._tightest_first(quantity, title, found)

    def _tightest_first(self, kind: str, title: str, found: list[CeilingRule]) -> Section:
        def key(rule: CeilingRule) -> tuple[int, int]:
            return tightness(rule, self._prices), EXECUTION_SCOPES.index(rule.scope.execution or "outcome")

        note = "All of these hold; the tightest comes first."
        return self._section(kind, title, note, (self._line(rule) for rule in sorted(found, key=key)))

    def _windows(self) -> Section:
        quantities = ("spent", "attempts", "tokens")

        def key(rule: CeilingRule) -> tuple[int, int, int]:
            window = WINDOWS.index(rule.scope.window or "month")
            return quantities.index(rule.quantity), window, tightness(rule, self._prices)

        found = sorted((rule for rule in self._ceilings if rule.scope.window), key=key)
        note = f"Counted by the calendar of {self._policy.timezone}; a counter that does not answer counts as full."
        if self._policy.escrow_nanos is not None:
            note = f"{note[:-1]}, but up to {self._amount(self._policy.escrow_nanos)} of work may go on meanwhile."
        section = self._section("windows", "Over a period", "", map(self._line, found))
        return Section(section.kind, section.title, note, section.lines)

    def _idle(self, rule: CeilingRule) -> tuple[CeilingRule, ...]:
        """The ceilings that make this one idle wherever it applies; empty if it may decide somewhere."""
        makers: dict[CeilingRule, None] = {}
        standing = self._standing
        plans = [rule.block.name] if rule.block.kind == "plan" else standing.plans
        lanes = [rule.block.name] if rule.block.kind == "lane" else standing.lanes
        for plan in plans:
            at = prices(self._policy, standing.outcome.name, plan)
            for lane in lanes:
                if not standing.can_apply(rule, **{"lane": lane} | ({"plan": plan} if plan is not None else {})):
                    continue
                who = {**standing.who, "plan": plan, "lane": lane}
                here = [
                    other
                    for other in self._ceilings
                    if (other.block.kind != "plan" or other.block.name == plan)
                    and (other.block.kind != "lane" or other.block.name == lane)
                ]
                maker = next((other for other in here if makes_idle(other, rule, who, at, self._policy)), None)
                if maker is None:
                    return ()
                makers[maker] = None
        return tuple(makers)

    # ------------------------------------------------------------ entries

    def _limits(self) -> Section:
        found = [rule for rule in self._enforced if isinstance(rule, LimitRule)]
        found.sort(key=lambda rule: (WINDOWS.index(rule.scope.window or "month"), rule.count))
        return self._section("limits", "Limits", "All of these hold.", map(self._line, found))

    def _entry(self) -> Section:
        forbids = [rule for rule in self._enforced if isinstance(rule, ForbidRule)]
        allows = [rule for rule in self._enforced if isinstance(rule, AllowRule)]
        note = "What is closed or refused stays so, whatever opens it." if forbids and allows else ""
        blocks = {rule.block: None for rule in (*allows, *forbids)}
        ordered = [rule for block in blocks for rule in (*allows, *forbids) if rule.block == block]
        return self._section("entry", "Who may enter", note, map(self._line, ordered))

    # ------------------------------------------------------------ failures

    def _retries(self) -> Section:
        found = [rule for rule in self._enforced if isinstance(rule, RetryRule)]
        note = "A retry needs count left in every rule that names its error; the longest wait holds."
        return self._section("retries", "Retries", note, map(self._line, found))

    def _fallbacks(self) -> Section:
        ordered: dict[Rule, None] = {}
        lanes = self._standing.lanes
        inner = [rule for lane in lanes for rule in self._standing.fallbacks(lane)]
        for kind in ("outcome", "workflow", "lane", "file"):
            ordered |= {rule: None for rule in inner if rule.block.kind == kind}
        note = "The first that matches holds, and if none does, the step stops. A cancellation matches only by name."
        section = self._section("fallbacks", "Fallbacks", "", map(self._line, ordered))
        return Section(section.kind, section.title, note, section.lines)

    def _shadow(self) -> Section:
        found = [rule for rule in self._standing.rules if rule.shadow]
        return self._section("shadow", "Only logged, never enforced", "", map(self._line, found))


def _ref(name: str, span: Span) -> RuleRef:
    """The place of what is no rule."""
    return RuleRef(name, name, span.source.name, span.line, span.column)


def explained(policy: CheckedPolicy, keep: Callable[[str], bool] = lambda name: True) -> Sequence[Explanation]:
    """The explanation of every outcome, in the order in which they are declared."""
    return [explain(policy, name) for name in policy.outcomes if keep(name)]
