"""What the rules permit at worst: the dearest attempt, the dearest execution, the least it brings in.

All of it is exact integers (nano currency units, counts, microseconds), all of it a bound that holds for
every caller and every model: estimates are the most an attempt can cost, so nothing is known of one but its
route's rates, its flat cost and the ceilings over it. None is "nothing bounds it".

A *case* is an outcome in a lane for the customers of a plan (or of none). A ceiling with a condition holds
in a case *surely* if who and what the case is about decides the condition, else *perhaps*: bounds count the
sure ones alone, unless the caller says otherwise. Shadow rules bound nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from policy_engine.evaluation.terms import fold
from policy_engine.language.checked import (
    CeilingRule,
    CheckedPolicy,
    FallbackRule,
    RetryRule,
    Rule,
    Rules,
    Test,
)
from policy_engine.language.pricing import included_price_nanos, pack_price_nanos
from policy_engine.language.units import Rates, share_nanos

IN_EXECUTION = ("attempt", "step", "outcome")
"""The scopes that lie within one execution, narrowest first."""


@dataclass(frozen=True, slots=True)
class Case:
    """An outcome in a lane, for a customer of this plan; `plan` is None for one without."""

    outcome: str
    lane: str
    plan: str | None = None

    def __str__(self) -> str:
        whom = f"for plan `{self.plan}`" if self.plan is not None else "without a plan"
        return f"`{self.outcome}` in lane `{self.lane}` {whom}"


@dataclass(frozen=True, slots=True)
class Held:
    """Rules over a case: those that surely apply, and those of which a condition is left, with that condition."""

    surely: tuple[CeilingRule, ...]
    perhaps: tuple[tuple[CeilingRule, Test], ...]

    def ceilings(self, *, conditional: bool = False) -> tuple[CeilingRule, ...]:
        return (*self.surely, *(rule for rule, _ in self.perhaps)) if conditional else self.surely


@dataclass(frozen=True, slots=True)
class Income:
    """One way to pay: `kind` is `list`, `plan`, `pack` or `overage`, `name` that of the outcome, plan or pack."""

    kind: str
    name: str
    nanos: int


class Worst:
    """Bounds over one policy. Answers are remembered."""

    def __init__(self, policy: CheckedPolicy) -> None:
        self._policy = policy
        self._held: dict[tuple[Case, str | None], Held] = {}
        self._reached: dict[Case, tuple[str, ...]] = {}
        self._incomes: dict[tuple[str, str | None], tuple[Income, ...]] = {}

    # ------------------------------------------------------------ who and what

    def cases(self, outcome: str) -> Iterator[Case]:
        """Every lane of an outcome with every kind of customer who can draw on it and is not surely kept out."""
        declared = self._policy.outcomes[outcome]
        for plan in (None, *self.plans_selling[outcome]):
            for lane in declared.lanes:
                case = Case(outcome, lane, plan)
                if self.may_enter(case):
                    yield case

    @cached_property
    def plans_selling(self) -> Mapping[str, tuple[str, ...]]:
        """The plans whose customers can have an outcome: by allowance, by overage, or (any plan) by a pack of it."""
        in_packs = {pack.outcome for pack in self._policy.packs.values()}
        found: dict[str, list[str]] = {name: [] for name in self._policy.outcomes}
        for plan in self._policy.plans.values():
            sold = set(plan.includes) | set(plan.overage.prices_nanos if plan.overage is not None else ()) | in_packs
            for outcome in sold:
                found[outcome].append(plan.name)
        return {outcome: tuple(plans) for outcome, plans in found.items()}

    def who(self, case: Case, route: str | None = None) -> dict[str, str | None]:
        """The identity names of a case, as `fold` takes them."""
        workflow = self._policy.outcomes[case.outcome].workflow
        known = {"outcome": case.outcome, "workflow": workflow, "plan": case.plan, "lane": case.lane}
        return known if route is None else {**known, "route": route}

    def may_enter(self, case: Case) -> bool:
        """False if who and what the case is about decides that an `allow` or `forbid` keeps it out."""
        who = self.who(case)
        for rules in self._over(case):
            if any(not rule.shadow and applies(rule, who) is True for rule in rules.forbids):
                return False
            allows = [rule for rule in rules.allows if not rule.shadow]
            if allows and all(applies(rule, who) is False for rule in allows):
                return False
        return True

    def reached(self, case: Case) -> tuple[str, ...]:
        """The routes an attempt of a case may be on: those of the lane, then the targets of fallbacks; no handoff."""
        found = self._reached.get(case)
        if found is None:
            names = (*self._policy.lanes[case.lane].path, *(rule.target for rule in self.fallbacks(case)))
            routes = (self._policy.routes[name] for name in dict.fromkeys(names) if name not in ("next", "stop"))
            found = self._reached[case] = tuple(route.name for route in routes if route.kind != "handoff")
        return found

    def fallbacks(self, case: Case) -> tuple[FallbackRule, ...]:
        """The fallbacks a case may come to, in the order they are looked at: outcome, workflow, lane, file."""
        policy = self._policy
        outcome = policy.outcomes[case.outcome]
        blocks = (outcome.rules, policy.workflows[outcome.workflow].rules, policy.lanes[case.lane].rules, policy.rules)
        who = self.who(case)
        return tuple(rule for rules in blocks for rule in rules.fallbacks if applies(rule, who) is not False)

    def held(self, case: Case, route: str | None = None) -> Held:
        """The enforced ceilings over a case; with a route, over its attempts there, the route's own among them."""
        found = self._held.get((case, route))
        if found is None:
            over = self._over(case)
            if route is not None:
                over = (*over, self._policy.routes[route].rules)
            found = self._held[case, route] = _held(over, self.who(case, route))
        return found

    def _over(self, case: Case) -> tuple[Rules, ...]:
        return (*self._policy.around(case.outcome, case.plan), self._policy.lanes[case.lane].rules)

    # ------------------------------------------------------------ what it costs

    def attempt_nanos(
        self, case: Case, route: str, *, price_nanos: int | None = None, conditional: bool = False
    ) -> int | None:
        """The most one attempt on a route may cost: the least of

        - every money ceiling per attempt, step or outcome (the route's own among them); shares of the price
          count where `price_nanos` says what the execution brings in;
        - the flat cost; nothing at all if a ceiling is below it, or the route has no price: no attempt is made;
        - what so many tokens as the tightest token ceiling per attempt, step or outcome cost, whichever of them
          are input: all at the dearer of the two rates, unless a rate depends on the length of a request.
        """
        declared = self._policy.routes[route]
        ceilings = self.held(case, route).ceilings(conditional=conditional)
        money = _tightest(ceilings, "spent", IN_EXECUTION, price_nanos)
        if declared.cost_nanos is not None:
            return declared.cost_nanos if money is None or declared.cost_nanos <= money else 0
        if declared.rates is None:
            return 0
        tokens = _tightest(ceilings, "tokens", IN_EXECUTION)
        return _least(money, None if tokens is None else tokens_nanos(declared.rates, tokens))

    def execution_nanos(
        self, case: Case, *, price_nanos: int | None = None, conditional: bool = False, windows: bool = False
    ) -> int | None:
        """The most one execution may cost, handoffs apart: the least of

        - every money ceiling per outcome; with `windows`, every money ceiling over a window too, because one
          execution is part of what it counts;
        - attempts per outcome x the dearest attempt; steps are as many as the caller likes, so retries alone
          bound nothing;
        - the sum over the routes reached of the least of: its money ceiling per outcome, its attempts per
          outcome x its dearest attempt.
        """
        ceilings = self.held(case).ceilings(conditional=conditional)
        money = _tightest(ceilings, "spent", ("outcome",), price_nanos, windows=windows)
        attempts = _tightest(ceilings, "attempts", ("outcome",))
        each = {
            route: self.attempt_nanos(case, route, price_nanos=price_nanos, conditional=conditional)
            for route in self.reached(case)
        }
        dearest = None if None in each.values() else max((nanos for nanos in each.values() if nanos), default=0)
        by_attempts = None if attempts is None or dearest is None else attempts * dearest
        if dearest == 0:
            by_attempts = 0  # nothing that costs anything is ever attempted
        by_route = self._by_route(case, each, price_nanos, conditional=conditional)
        return _least(money, by_attempts, by_route)

    def _by_route(
        self, case: Case, each: Mapping[str, int | None], price_nanos: int | None, *, conditional: bool
    ) -> int | None:
        total = 0
        for route, nanos in each.items():
            rules = _held((self._policy.routes[route].rules,), self.who(case, route)).ceilings(conditional=conditional)
            attempts = _tightest(rules, "attempts", ("outcome",))
            by_attempts = 0 if nanos == 0 else None if attempts is None or nanos is None else attempts * nanos
            most = _least(_tightest(rules, "spent", ("outcome",), price_nanos), by_attempts)
            if most is None:
                return None
            total += most
        return total

    def retry_rules(self, case: Case, route: str) -> tuple[RetryRule, ...]:
        """The retry rules that may apply to a step of a case on a route."""
        over = (*self._over(case), self._policy.routes[route].rules)
        who = self.who(case, route)
        return tuple(rule for rules in over for rule in rules.retries if applies(rule, who) is not False)

    # ------------------------------------------------------------ what it brings in

    def incomes(self, outcome: str, plan: str | None) -> tuple[Income, ...]:
        """Every way an execution may be paid for by a customer of a plan; empty if the plan does not sell the outcome.

        - without a plan: the list price, or a unit of a pack;
        - with one: the fee's share, fee x list / (sum of units x list over what is included), at most list,
          rounded down; the overage price; a unit of a pack, price / units, rounded down.

        Grants that a caller makes beside the policy (promotions, credits) are not known here.
        """
        key = (outcome, plan)
        found = self._incomes.get(key)
        if found is None:
            found = self._incomes[key] = tuple(self._find_incomes(outcome, plan))
        return found

    def _find_incomes(self, outcome: str, plan: str | None) -> Iterator[Income]:
        policy = self._policy
        if plan is None:
            yield Income("list", outcome, policy.outcomes[outcome].price_nanos)
        else:
            terms = policy.plans[plan]
            if outcome in terms.includes:
                yield Income("plan", plan, included_price_nanos(policy, terms, outcome))
            if terms.overage is not None and outcome in terms.overage.prices_nanos:
                yield Income("overage", plan, terms.overage.prices_nanos[outcome])
        for pack in self._packs.get(outcome, ()):
            yield Income("pack", pack, pack_price_nanos(policy.packs[pack]))

    @cached_property
    def _packs(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for pack in self._policy.packs.values():
            found[pack.outcome] = (*found.get(pack.outcome, ()), pack.name)
        return found

    def least_income(self, outcome: str, plan: str | None) -> Income | None:
        """The way that brings in least; None if the plan does not sell the outcome."""
        return min(self.incomes(outcome, plan), key=lambda income: income.nanos, default=None)


# ---------------------------------------------------------------- single rules


def applies(rule: Rule, who: Mapping[str, str | None]) -> bool | None:
    """Whether a rule applies to these identities (plan, outcome, workflow, lane, route); None where more is needed."""
    if rule.condition is None:
        return True
    left = fold(rule.condition, who)
    return left if isinstance(left, bool) else None


def limit_of(rule: CeilingRule, price_nanos: int | None = None) -> int | None:
    """A ceiling's limit in its own unit; a share of the price only where the price is known, rounded down."""
    if rule.percent_of_price is None:
        return rule.limit
    return None if price_nanos is None else share_nanos(rule.percent_of_price, price_nanos)


def _held(over: Iterable[Rules], who: Mapping[str, str | None]) -> Held:
    surely: list[CeilingRule] = []
    perhaps: list[tuple[CeilingRule, Test]] = []
    for rules in over:
        for rule in rules.ceilings:
            if rule.shadow:
                continue
            left = True if rule.condition is None else fold(rule.condition, who)
            if left is True:
                surely.append(rule)
            elif left is not False:
                perhaps.append((rule, left))
    return Held(tuple(surely), tuple(perhaps))


def _tightest(
    ceilings: Iterable[CeilingRule],
    quantity: str,
    scopes: tuple[str, ...],
    price_nanos: int | None = None,
    *,
    windows: bool = False,
) -> int | None:
    limits = (
        limit_of(rule, price_nanos)
        for rule in ceilings
        if rule.quantity == quantity and (rule.scope.execution in scopes if rule.scope.execution else windows)
    )
    return min((limit for limit in limits if limit is not None), default=None)


def _least(*bounds: int | None) -> int | None:
    return min((bound for bound in bounds if bound is not None), default=None)


def tokens_nanos(rates: Rates, tokens: int) -> int:
    """The most that one attempt with so many tokens in and out may cost."""
    steps = rates.steps
    ends = [step.above_tokens for step in steps[1:]]
    # Between the ends of a step the cost grows, or falls, with every token that is input instead of output.
    edges = (0, *(edge for end in ends for edge in (end, end + 1)), tokens)
    return max(rates.worst_nanos(edge, tokens - edge) for edge in edges if edge <= tokens)
